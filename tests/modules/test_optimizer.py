import pytest

from modules.training import optimizer


def test_the_learning_rate_rises_and_falls():
    schedule = optimizer.WarmupSchedule(peak=1.0, warmup_steps=10, total_steps=110)
    rates = [float(schedule(step)) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0, abs=1e-3)
    assert rates[60] == pytest.approx(0.5, abs=1e-2)
    assert rates[110] == pytest.approx(0.0, abs=1e-6)
    assert all(rate >= 0 for rate in rates)


def test_without_a_cosine_the_peak_is_kept():
    schedule = optimizer.WarmupSchedule(peak=0.3, warmup_steps=0, total_steps=None)
    assert [float(schedule(step)) for step in (0, 5, 10_000)] == pytest.approx([0.3] * 3)
