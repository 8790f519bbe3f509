"""The one exception that stands for a user's mistake."""


class DexmatchError(Exception):
    """A mistake that the user can mend, told in one line.

    The message names the file, row, field or key that is wrong and says what to do. The command
    line prints it without a stack trace and exits with status 2; the stack trace goes to the log.
    """
