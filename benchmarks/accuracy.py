"""How good the models are, and how long they train, beside the recipe that the project grew from.

    python -m benchmarks.accuracy --data datasets/demo recipes/demo.toml
    python -m benchmarks.accuracy --data datasets/demo recipes/demo.toml \\
        --data datasets/pokemon recipes/pokemon.toml --seeds 1,2,3 --random-weights-seeds 1 \\
        --seed-recipe-seeds 1 --seed-recipe-minutes 16 --json figures.json --resume figures.json

For every data set and seed `dexmatch run` trains a model in a workspace that is thrown away, as the
recipe says and, for the seeds of `--random-weights-seeds`, the same with `model.weights = "none"`;
`benchmarks/seed_recipe.py` trains on the same split. All are scored on the same test pairs:
dexmatch through the `serving_default` signature of the model that its Trainer exported, blessed or
not, and without TFMA. Every run has a process of its own, one after another.

Figures are the mean over the seeds and, below it, the least and the greatest. With three seeds this
takes hours; `--json` writes each run down as it ends, and `--resume` does not repeat what was
written down, unless data, recipe or code have changed since.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import multiprocessing
import os
import re
import statistics
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks import tables
from core import config as configs
from core import terminal
from core.config import Config
from core.errors import DexmatchError
from core.files import write_atomically
from data import dataset as datasets
from pipeline.code_digest import digest_of_code
from results.metadata import Execution, Metadata
from results.workspace import Workspace

if TYPE_CHECKING:
    from benchmarks.judging import Trained

DEXMATCH = "dexmatch"
RANDOM_WEIGHTS = "random weights"
SEED_RECIPE = "seed recipe"
SYSTEMS = (DEXMATCH, RANDOM_WEIGHTS, SEED_RECIPE)

FIGURES = ("auc_random", "auc_hard", "ece", "matched_probability")
"""The columns of the table, before the time."""

BARS = {
    "demo": {"auc_random": "≥ 0.995", "auc_hard": "≥ 0.96", "ece": "≤ 0.04", "minutes": "≤ 3"},
    "pokemon": {"auc_random": "≥ 0.90", "auc_hard": "≥ 0.77", "ece": "≤ 0.05", "minutes": "≤ 8"},
}
"""What is asked of dexmatch on two cores, by data set; printed, not asserted."""

_BATCH_SIZE = 64
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S,%f"
_LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) .*?: (?P<text>.*)")
_TRAINER_STARTS = re.compile(r"(?:Component|node) Trainer is running\.")
_EPOCH = re.compile(r"epoch \d+ of \d+: .*\bval_auc (?P<auc>\d\.\d+)")

_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One run of one system.

    Attributes:
      data: name of the data set's folder.
      system: one of `SYSTEMS`.
      seed: what it was started with.
      settings: digest of all else that the figures depend on: data, recipe, code.
      figures: of the test pairs, see `judging.figures`.
      seconds: training time; dexmatch's is that of the whole Trainer, export included.
      curve: for each epoch the seconds since the training began, and the AUC on the val pairs.
    """

    data: str
    system: str
    seed: int
    settings: str
    figures: dict[str, float]
    seconds: float
    curve: list[tuple[float, float]]

    def is_same_run(self, other: "Measured") -> bool:
        """Whether the other was started with just the same."""
        return self._key() == other._key()

    def _key(self) -> tuple[str, str, int, str]:
        return self.data, self.system, self.seed, self.settings


class Notebook:
    """The runs so far, in a JSON file.

    Args:
      source: runs of earlier invocations; None, or a file that is not there yet, for none.
      target: each run is written here as it ends; None for nowhere.
    """

    def __init__(self, source: Path | None, target: Path | None):
        self._target = target
        self.runs: list[Measured] = []
        self._earlier: list[Measured] = []
        if source and source.exists():
            self._earlier = [Measured(**run) for run in json.loads(source.read_text("utf-8"))]

    def find(self, data: str, system: str, seed: int, settings: str) -> bool:
        """Takes over a run from an earlier invocation; False if there is none."""
        wanted = Measured(data, system, seed, settings, {}, 0.0, [])
        found = next((run for run in self._earlier if run.is_same_run(wanted)), None)
        if found:
            self.add(found)
        return found is not None

    def add(self, run: Measured) -> None:
        """Adds a run, and writes the file anew. What earlier invocations found stays in it."""
        self.runs.append(run)
        if self._target:
            others = [run for run in self._earlier if not any(map(run.is_same_run, self.runs))]
            text = json.dumps([dataclasses.asdict(run) for run in self.runs + others], indent=1)
            # A benchmark that is stopped while it writes must not lose the hours before.
            write_atomically(self._target, text)


def main() -> None:
    """Measures and prints."""
    options = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook = Notebook(options.resume, options.json)
    try:
        for folder, recipe in options.data:
            config = config_of(folder, recipe, options.set)
            with tempfile.TemporaryDirectory() as scratch:
                measure(in_scratch(config, Path(scratch)), options, notebook)
    except DexmatchError as error:
        raise SystemExit(str(error)) from error
    show(notebook.runs)
    show_ratios(notebook.runs)


def config_of(folder: str, recipe: str, settings: Sequence[str] | None) -> Config:
    """The configuration of a run on a data set, see `parser_of_runs`."""
    asked = [*(settings or ()), f"data.dataset={json.dumps(folder)}"]
    return configs.load(configs.file_or_recipe(Path(recipe)), asked)


def parser_of_runs(description: str) -> argparse.ArgumentParser:
    """A command line that names data sets, each with its recipe, and settings of all runs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data",
        nargs=2,
        action="append",
        required=True,
        metavar=("FOLDER", "RECIPE"),
        help="a data set, as written by `dexmatch data import`, and its configuration; repeatable",
    )
    parser.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE")
    return parser


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of_runs(__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=seeds, default=[1, 2, 3], metavar="N,N,...")
    parser.add_argument(
        "--random-weights-seeds",
        type=seeds,
        default=[],
        metavar="N,N,...",
        help="also train the recipe from random weights; by default not",
    )
    parser.add_argument(
        "--seed-recipe-seeds",
        type=seeds,
        metavar="N,N,...",
        help='by default those of --seeds; "" for none',
    )
    parser.add_argument("--seed-recipe-minutes", type=float, help="stop its training after so long")
    parser.add_argument("--seed-recipe-epochs", type=int, help="at most")
    parser.add_argument("--seed-recipe-size", type=int, help="pixels, if not its own 224")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    parser.add_argument("--resume", type=Path, help="do not repeat the runs in this file")
    options = parser.parse_args()
    names = [Path(folder).resolve().name for folder, _ in options.data]
    if len(set(names)) < len(names):
        parser.error("--data: two folders have the same name, so their figures would mix")
    return options


def seeds(text: str) -> list[int]:
    """ "1,2,3" to its numbers, each once."""
    return list(dict.fromkeys(int(part) for part in text.split(",") if part))


def in_scratch(config: Config, scratch: Path) -> Config:
    """The same, but that everything is written below `scratch`."""
    return changed(
        config,
        run={"workspace": str(scratch / "runs")},
        pusher={"directory": str(scratch / "serving")},
    )


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    """A configuration with a few keys set otherwise."""
    tree = config.model_dump()
    for section, values in sections.items():
        tree[section].update(values)
    return configs.validate(tree)


def measure(config: Config, options: argparse.Namespace, notebook: Notebook) -> None:
    """Runs all systems on one data set with all seeds."""
    data = datasets.load(config.data.dataset).path.resolve().name
    chosen = {
        DEXMATCH: (config, options.seeds),
        RANDOM_WEIGHTS: (changed(config, model={"weights": "none"}), options.random_weights_seeds),
    }
    for system, (recipe, wanted) in chosen.items():
        settings = settings_of(recipe)
        for seed in wanted:
            if not notebook.find(data, system, seed, settings):
                terminal.say(f"{data}: {system}, seed {seed}")
                trained = apart(run_dexmatch, changed(recipe, trainer={"seed": seed}))
                notebook.add(measured(data, system, seed, settings, trained))
    choice = {
        "minutes": options.seed_recipe_minutes,
        "epochs": options.seed_recipe_epochs,
        "size": options.seed_recipe_size,
    }
    choice = {name: value for name, value in choice.items() if value is not None}
    settings = settings_of_seed_recipe(config, choice)
    given = options.seed_recipe_seeds
    for seed in options.seeds if given is None else given:
        if not notebook.find(data, SEED_RECIPE, seed, settings):
            terminal.say(f"{data}: {SEED_RECIPE}, seed {seed}")
            trained = apart(run_seed_recipe, split(config), seed, choice)
            notebook.add(measured(data, SEED_RECIPE, seed, settings, trained))


def measured(data: str, system: str, seed: int, settings: str, trained: "Trained") -> Measured:
    """What was found, with what it was found of."""
    return Measured(
        data, system, seed, settings, trained.figures, trained.seconds, list(trained.curve)
    )


def settings_of(config: Config) -> str:
    """Digest of the data, of the recipe but for its seed, and of the code that trains."""
    recipe = config.model_dump(mode="json", exclude={"run", "pusher", "evaluator", "audit"})
    del recipe["trainer"]["seed"], recipe["data"]["dataset"]
    code = digest_of_code("modules.transform", "modules.trainer")
    return _digest(*_data(config), recipe, code)


def settings_of_seed_recipe(config: Config, choice: dict[str, Any]) -> str:
    """The same for the seed recipe, which takes no more than the split from the pipeline."""
    split = config.model_dump(mode="json", include={"data", "pairs"})
    del split["data"]["dataset"]
    code = Path(__file__).with_name("seed_recipe.py").read_text("utf-8")
    return _digest(*_data(config), split, choice, code)


def _data(config: Config) -> tuple[str, str]:
    """What the pairs depend on, but for the configuration."""
    data = datasets.load(config.data.dataset).digest
    return data, digest_of_code("components.pair_sampler.executor")


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def apart(function: Callable[..., _Result], *arguments: object) -> _Result:
    """Calls a function in a fresh process: each run starts from the same state and memory."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def run_dexmatch(config: Config, pairs: Path | None = None) -> "Trained":
    """Runs the pipeline, and scores the model that its Trainer exported.

    Args:
      config: of the run.
      pairs: `sampled_examples` whose test split it is scored on; by default the run's own.

    Raises:
      DexmatchError: the run failed. A model that is not blessed is no failure.
    """
    log = run_pipeline(config)
    # Not earlier: what TensorFlow says as it is loaded belongs in the log.
    from tfx.utils import path_utils

    from benchmarks import judging

    trainer = newest(config, "Trainer")
    model = Path(path_utils.serving_model_path(trainer.outputs["Model"].uri))
    test = judging.read(pairs or split(config), "test")
    figures = judging.figures(test.labels, test.kinds, probabilities(model, test))
    curve = validation_curve(log.read_text("utf-8", errors="replace"))
    return judging.Trained(figures, trainer.seconds, curve)


def run_pipeline(config: Config) -> Path:
    """Runs the pipeline in the configuration's workspace.

    Returns:
      The log.

    Raises:
      DexmatchError: the run failed.
    """
    # TensorFlow and TFX take seconds to load, and only the processes that work need them.
    from pipeline import execution

    outcome = execution.execute(config)
    if outcome.error:
        raise DexmatchError(f"{config.data.dataset}, seed {config.trainer.seed}: {outcome.error}")
    return outcome.log


def run_seed_recipe(folder: Path, seed: int, choice: dict[str, Any]) -> "Trained":
    """Trains and scores the seed recipe; see `seed_recipe.train_and_score`."""
    from benchmarks import seed_recipe

    return seed_recipe.train_and_score(folder, seed=seed, **choice)


def split(config: Config) -> Path:
    """The `sampled_examples` of the newest run in a workspace.

    Where all runs of dexmatch were taken over from an earlier invocation, there is none yet: a run
    of a single epoch makes it.
    """
    if not Workspace.from_config(config).metadata.exists():
        apart(run_pipeline, changed(config, trainer={"epochs": 1}))
    return Path(newest(config, "PairSampler").outputs["Examples"].uri)


def newest(config: Config, node: str) -> Execution:
    """A component's execution in the newest run of a workspace.

    Raises:
      DexmatchError: the run has none.
    """
    run = Metadata.of(Workspace.from_config(config)).latest()
    execution = run.execution(node) if run else None
    if execution is None:
        raise DexmatchError(f"{config.data.dataset}: the newest run has no {node}")
    return execution


def probabilities(model: Path, pairs: Any) -> Any:
    """What a SavedModel's `serving_default` answers.

    Args:
      model: folder of the SavedModel.
      pairs: `judging.Pairs`.

    Returns:
      float64 [N].
    """
    import numpy as np
    import tensorflow as tf

    from core import features

    score = tf.saved_model.load(str(model)).signatures["serving_default"]
    answers = []
    for start in range(0, len(pairs.images), _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        images, captions = tf.constant(pairs.images[rows]), tf.constant(pairs.captions[rows])
        answer = score(**{features.IMAGE: images, features.CAPTION: captions})
        answers.append(np.ravel(answer[features.PROBABILITY].numpy()))
    return np.concatenate(answers).astype(np.float64)


def validation_curve(log: str) -> list[tuple[float, float]]:
    """Reads from a run's log how the validation AUC grew.

    Returns:
      For each epoch the seconds since the Trainer started, and the AUC.
    """
    started: datetime | None = None
    curve = []
    for line in map(_LINE.match, log.splitlines()):
        if line is None:
            continue
        time = datetime.strptime(line["time"], _TIME_FORMAT)
        if _TRAINER_STARTS.match(line["text"]):
            started = time
        elif started and (epoch := _EPOCH.match(line["text"])):
            curve.append(((time - started).total_seconds(), float(epoch["auc"])))
    return curve


def show(runs: Sequence[Measured]) -> None:
    """Prints the figures of each system on each data set."""
    table = terminal.table(
        "data", "system", "AUC random>", "AUC hard>", "ECE>", "matched>", "minutes>"
    )
    for data in dict.fromkeys(run.data for run in runs):
        for system in SYSTEMS:
            chosen = [run for run in runs if run.data == data and run.system == system]
            if not chosen:
                continue
            cells = [
                spread([run.figures[name] for run in chosen if name in run.figures])
                for name in FIGURES
            ]
            minutes = spread([run.seconds / 60 for run in chosen], digits=1)
            plural = "" if len(chosen) == 1 else "s"
            table.add_row(data, f"{system}\n{len(chosen)} seed{plural}", *cells, minutes)
        if data in BARS:
            bar = [BARS[data].get(name, "") for name in (*FIGURES, "minutes")]
            table.add_row(data, "the bar", *bar)
        table.add_section()
    tables.show(table)


def show_ratios(runs: Sequence[Measured]) -> None:
    """Prints what does not depend on the machine so much."""
    table = terminal.table("ratio, dexmatch : seed recipe", "mean>", "least, greatest>")
    for data in dict.fromkeys(run.data for run in runs):
        ours, theirs = (
            [run for run in runs if run.data == data and run.system == system]
            for system in (DEXMATCH, SEED_RECIPE)
        )
        both = list(itertools.product(ours, theirs))
        if not both:
            continue
        table.add_row(
            f"{data}: training time",
            *spread([our.seconds / their.seconds for our, their in both], digits=2).split("\n"),
        )
        ratios = [time_ratio(our.curve, their.curve) for our, their in both]
        reached = [ratio for ratio in ratios if ratio is not None]
        missed = len(ratios) - len(reached)
        table.add_row(
            f"{data}: time to the seed recipe's best validation AUC"
            + (f" (missed by {missed} of {len(ratios)})" if missed else ""),
            *spread(reached, digits=2).split("\n"),
        )
    if table.row_count:
        tables.show(table)


def spread(values: Sequence[float], digits: int = 3) -> str:
    """The mean and, on a line of its own, the least and the greatest; "-" for no values."""
    if not values:
        return "-\n-"
    mean, *ends = (f"{x:.{digits}f}" for x in (statistics.mean(values), min(values), max(values)))
    return f"{mean}\n{'–'.join(ends)}"


def time_ratio(
    ours: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]
) -> float | None:
    """How long ours takes to the best AUC that theirs ever has, by how long theirs does.

    Args:
      ours: (seconds, AUC), see `Measured.curve`.
      theirs: likewise.

    Returns:
      The ratio of the times; None if ours never gets there, or theirs has no epoch.
    """
    if not theirs:
        return None
    best = max(auc for _, auc in theirs)
    reached, target = time_to(ours, best), time_to(theirs, best)
    return None if reached is None or target is None else reached / target


def time_to(curve: Sequence[tuple[float, float]], auc: float) -> float | None:
    """Seconds until an AUC is reached for the first time; None if it never is."""
    return next((seconds for seconds, reached in curve if reached >= auc), None)


if __name__ == "__main__":
    main()
