"""What TFX loads, each from a module that is named after its component, and what these call.

| component | function           | in            |
|-----------|--------------------|---------------|
| Transform | `preprocessing_fn` | `transform`   |
| Tuner     | `tuner_fn`         | `tuner`       |
| Trainer   | `run_fn`           | `trainer`     |
| Evaluator | `eval_config`      | `evaluator`   |

`preprocessing` is shared by Transform and the served model, `network` builds the model, `training`
fits and calibrates it, `export` is the model with its signatures, and `evaluation` has metrics that
TFMA does not.
"""
