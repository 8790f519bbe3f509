from datetime import UTC, datetime, timedelta, timezone

from pages.dates import utc_text


def test_a_moment_is_written_in_utc_to_the_minute():
    assert utc_text(datetime(2026, 11, 7, 9, 5, 59, tzinfo=UTC)) == "07 November 2026, 09:05 UTC"
    elsewhere = timezone(timedelta(hours=2))
    assert utc_text(datetime(2026, 1, 1, 1, 0, tzinfo=elsewhere)) == "31 December 2025, 23:00 UTC"
