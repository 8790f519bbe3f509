"""Moments as the pages write them."""

from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """A moment in words, to the minute, such as "07 November 2026, 09:05 UTC".

    Args:
      moment: with a time zone, or in local time.
    """
    return f"{moment.astimezone(UTC):%d %B %Y, %H:%M} UTC"
