"""Progress of parts, and of their parts."""

import logging

import pytest

from core import reporting


@pytest.fixture
def told(caplog):
    """(text, done, total) of all that was reported."""
    caplog.set_level(logging.INFO, logger=reporting.LOGGER)
    return lambda: [(record.getMessage(), *record.progress) for record in caplog.records]


def test_a_part_has_its_share_of_the_whole(told):
    reporting.report("alone", 1, 4, logging.INFO)
    with reporting.part("trial 2 of 2", 1, 2):
        reporting.report("epoch 1", 1, 4, logging.INFO)
    reporting.report("after", 2, 4, logging.INFO)
    assert told() == [("alone", 1, 4), ("trial 2 of 2, epoch 1", 5, 8), ("after", 2, 4)]


def test_a_part_may_have_parts_of_its_own(told):
    with reporting.part("trial 2 of 2", 1, 2):
        with reporting.part("", 0, 3):
            reporting.report("epoch 1", 1, 4, logging.INFO)
        with reporting.part("calibration 1 of 2", 1, 3):
            reporting.report("epoch 1", 1, 4, logging.INFO)
    assert told() == [
        ("trial 2 of 2, epoch 1", 13, 24),
        ("trial 2 of 2, calibration 1 of 2, epoch 1", 17, 24),
    ]
