"""The threshold that a version was blessed with."""

from types import SimpleNamespace

import pytest

from pages.app.thresholds import Thresholds


def run(name, version, config):
    return SimpleNamespace(id=name, pushed_version=version, config=config)


RUNS = (
    run("first", "7", {"evaluator": {"threshold": 0.3}}),
    run("second", "8", {}),
    run("third", None, {"evaluator": {"threshold": 0.9}}),
)


@pytest.mark.parametrize(
    ("version", "given", "value", "is_blessed", "source"),
    [
        (7, None, 0.3, True, "of run first, which pushed it"),
        (7, 0.6, 0.6, False, "as --threshold says"),
        (8, None, 0.5, False, "is not known"),  # What it was asked for is not told.
        (9, None, 0.5, False, "no run here has pushed this version"),
    ],
)
def test_where_it_is_from(version, given, value, is_blessed, source):
    found = Thresholds(lambda: SimpleNamespace(runs=lambda: list(RUNS)), 0.5, given).of(version)
    assert (found.value, found.is_blessed) == (value, is_blessed)
    assert source in found.source
