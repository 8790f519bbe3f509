"""The one exception that stands for a user's mistake, and what an exception comes from."""

from collections.abc import Iterator


class DexmatchError(Exception):
    """A mistake that the user can mend, told in one line.

    The message names the file, row, field or key that is wrong and says what to do. The command
    line prints it without a stack trace and exits with status 2; the stack trace goes to the log.
    """


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it comes from, also what a stack trace would not show."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
