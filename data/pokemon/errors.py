"""Why something that was asked for is not there: for the moment, or for good."""


class Transient(Exception):
    """Did not come, or came damaged, and may be right when it is asked for again.

    Args:
      reason: part of a sentence.
      pause_s: seconds for which the server asks to be left alone; None if it does not.
    """

    def __init__(self, reason: str, pause_s: float | None = None):
        super().__init__(reason)
        self.pause_s = pause_s


class Unobtainable(Exception):
    """Cannot be had, however often it is asked for; the message is part of a sentence."""
