import keras
import pytest

from core.config import TrainerConfig
from modules.training.optimizer import LearningRate, build_optimizer
from modules.training.stages import plan_stages


def rates(steps, **settings):
    """The learning rate of each step of a training of 11 epochs with 10 steps, one more at the
    end."""
    chosen = TrainerConfig(epochs=11, learning_rate=1.0, **settings)
    stage = plan_stages(chosen)[0]
    model = keras.Sequential()
    model.compile(build_optimizer(stage, chosen))
    rate = LearningRate(stage, 10, chosen)
    rate.set_model(model)
    found = []
    for step in steps:
        model.optimizer.iterations.assign(step)
        rate.on_train_batch_begin(0)
        found.append(float(model.optimizer.learning_rate))
    return found


def test_the_learning_rate_rises_and_falls():
    found = rates(range(111), warmup_epochs=1)
    assert found[0] == pytest.approx(0.1)
    assert found[10] == pytest.approx(1.0)
    assert found[:11] == sorted(found[:11])
    assert found[60] == pytest.approx(0.5, abs=1e-2)
    assert found[110] == pytest.approx(0.0, abs=1e-6)
    assert all(rate >= 0 for rate in found)


def test_without_a_warm_up_it_begins_at_its_peak():
    assert rates([0, 55, 110], warmup_epochs=0) == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)


@pytest.mark.parametrize("warmup_epochs", [0, 1])
def test_without_a_cosine_the_peak_is_kept(warmup_epochs):
    found = rates((10, 50, 109), warmup_epochs=warmup_epochs, schedule="constant")
    assert found == pytest.approx([1.0] * 3)


def test_a_warm_up_that_is_the_whole_training_ends_at_the_peak():
    assert rates([0, 109], warmup_epochs=11) == pytest.approx([1 / 110, 1.0], abs=0.01)


def test_in_float16_the_loss_is_scaled_and_the_rate_is_set_all_the_same():
    half = {"precision": "mixed_float16"}
    settings = TrainerConfig(**half)
    optimizer = build_optimizer(plan_stages(settings)[0], settings)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert rates([0, 55, 110], warmup_epochs=0, **half) == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)
