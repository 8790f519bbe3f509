"""How fast StatisticsGen and Transform go through the pairs, beside a bare tf.data loop.

    python -m benchmarks.preprocessing            5,000 pairs
    python -m benchmarks.preprocessing --pairs 10000 --times 2

Made-up pictures of 256 pixels, half of them PNG and half JPEG, are imported, and a run is made of
them that ends with Transform: the pipeline's own components, on its own DirectRunner, once as they
run by default (one worker, in the process of the run) and once with two worker processes. The bare
loop reads the same files and makes of each picture the same PNG, by the same functions, on all
cores. They take turns, `--times` over, each in a process of its own; the figures are medians.

Rates are of rows: a training pair is one, a judged one stands beside wrong captions, too. From a
component's time that of the same component on a few pairs is taken away, which is what loading,
tracing and starting workers take, however many pairs there are. Both are told. Seconds of
processors are told beside those of the clock, because a busy machine changes them little.
"""

import argparse
import dataclasses
import json
import logging
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import tables
from benchmarks.import_throughput import make_pictures, write_source
from core import config as configs
from core import features, terminal
from core.machine import available_cores
from data.importer import import_pairs

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

PAIRS, FEW = 5_000, 250
ONE, TWO, LOOP = "one worker", "two workers", "bare tf.data loop"
BEAM_ARGS = {
    ONE: (),
    TWO: ("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
}
STATISTICS, TRANSFORM = "StatisticsGen", "Transform"
READ = {
    STATISTICS: (features.TRAIN, features.VAL, features.TEST),
    TRANSFORM: (features.TRAIN, features.VAL),
}
"""Which splits a component reads."""
BARS = {"rate": 0.6, "workers": 1.6}
_EXAMPLES, _SIZE, _NAME = "Examples", 64, "preprocessing"


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A component's work on a data set.

    Attributes:
      rows: how many it went through.
      seconds: from its start to its end.
      cpu_seconds: of all processors meanwhile, in its worker processes too.
    """

    rows: int
    seconds: float
    cpu_seconds: float


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--times", type=int, default=1, help="how often each is measured")
    # What the processes of their own are told.
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--loop", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(Path(options.run[0]), Path(options.run[1]), options.run[2])))
    elif options.loop:
        print(json.dumps(bare_loop(options.loop)))
    else:
        with tempfile.TemporaryDirectory() as name:
            compare(Path(name), options.pairs, options.times)


def compare(folder: Path, pairs: int, times: int) -> None:
    """Measures all in turns, and prints."""
    pictures = make_pictures(folder)
    sizes = {size: _imported(folder, pictures, size) for size in (FEW, pairs)}
    found: dict[tuple[str, str, int], list[Measured]] = defaultdict(list)
    for turn in range(times):
        files: list[str] = []
        for workers in BEAM_ARGS:
            for size, data in sizes.items():
                terminal.say(f"turn {turn + 1} of {times}: {size:,} pairs, {workers}")
                workspace = folder / f"run-{turn}-{workers.split()[0]}-{size}"
                said = _alone("--run", str(workspace), str(data), workers)
                files = said.pop("files")
                for component, each in said.items():
                    found[component, workers, size].append(Measured(*each))
        terminal.say(f"turn {turn + 1} of {times}: {LOOP}")
        found[TRANSFORM, LOOP, pairs].append(Measured(*_alone("--loop", *files)))
    show(found, pairs)


def _imported(folder: Path, pictures: list[Path], pairs: int) -> Path:
    source, out = folder / f"{pairs}.csv", folder / f"pairs-{pairs}"
    write_source(source, pictures, pairs)
    import_pairs(source, out, say=lambda text: None)
    return out


def _alone(*arguments: str):
    """What this module prints in a process of its own, as JSON in its last line."""
    command = [sys.executable, "-m", "benchmarks.preprocessing", *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr[-4000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def run(workspace: Path, data: Path, workers: str) -> dict[str, object]:
    """A run up to Transform; component to its `Measured`, and the files that Transform reads."""
    from pipeline import execution

    clock = _Clock()

    def compose(*arguments) -> "Pipeline":
        # Not before: a run captures the log, and sets aside who listened until then.
        logging.getLogger().addHandler(clock)
        return _up_to_transform(*arguments)

    settings = configs.load(None, [f"run.name={_NAME}", f"run.workspace={workspace}"])
    tree = settings.model_dump()
    tree["data"]["dataset"] = str(data)
    tree["image"]["size"] = _SIZE
    tree["run"]["beam_args"] = (*settings.run.beam_args, *BEAM_ARGS[workers])
    tree["pusher"]["directory"] = str(workspace / "pushed")
    outcome = execution.execute(configs.validate(tree), compose=compose)
    if outcome.error or outcome.run is None:
        raise SystemExit(f"the run failed: {outcome.error}, see {outcome.log}")
    sampled = outcome.run.execution("PairSampler")
    examples = sampled.outputs[_EXAMPLES]
    counts = examples.properties
    found: dict[str, object] = {
        component: (
            sum(counts[f"pairs_{split}"] for split in splits),
            *clock.took[component],
        )
        for component, splits in READ.items()
    }
    folders = (Path(examples.uri, f"Split-{split}") for split in READ[TRANSFORM])
    found["files"] = [str(path) for folder in folders for path in sorted(folder.iterdir())]
    return found


def _up_to_transform(*arguments) -> "Pipeline":
    """See `pipeline.execution.Compose`."""
    from pipeline.execution import compose_whole

    pipeline = compose_whole(*arguments)
    ids = [each.id for each in pipeline.components]
    kept = pipeline.components[: ids.index(TRANSFORM) + 1]
    for node in kept:
        for later in node.downstream_nodes - set(kept):
            node.remove_downstream_node(later)
    pipeline.components = kept
    return pipeline


class _Clock(logging.Handler):
    """Reads from the log of a run when a component begins and ends.

    Attributes:
      took: component to its seconds and those of processors.
    """

    _TOLD = re.compile(r"Component (\S+) is (running|finished)\.")

    def __init__(self):
        super().__init__()
        self.took: dict[str, tuple[float, ...]] = {}
        self._began = _now()

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at one record; most mean nothing to it."""
        told = self._TOLD.match(record.getMessage())
        if told and told[2] == "running":
            self._began = _now()
        elif told:
            self.took[told[1]] = _since(self._began)


def _now() -> tuple[float, ...]:
    """Seconds of the clock, and those of processors: of this process and its former children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(each.ru_utime + each.ru_stime for each in used)


def _since(began: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(now - then for now, then in zip(_now(), began, strict=True))


def bare_loop(files: list[str]) -> tuple[float, ...]:
    """Decodes, fits and encodes the pictures of some files; as `Measured`."""
    import tensorflow as tf

    from data.pair_examples import record_dataset
    from modules.preprocessing import images

    spec = {features.IMAGE: tf.io.FixedLenFeature([], tf.string)}

    def encoded(record: tf.Tensor) -> tf.Tensor:
        image = tf.io.parse_single_example(record, spec)[features.IMAGE]
        return tf.io.encode_png(images.fitted(image, _SIZE))

    def rows(records: tf.data.Dataset) -> int:
        mapped = records.map(encoded, num_parallel_calls=available_cores())
        return sum(1 for _ in mapped.prefetch(tf.data.AUTOTUNE))

    records = record_dataset(files)
    rows(records.take(100))  # What is set up once is no part of it.
    began = _now()
    return rows(records), *_since(began)


def show(found: dict[tuple[str, str, int], list[Measured]], pairs: int) -> None:
    """Prints seconds, rates and ratios."""

    def measured(component: str, workers: str, size: int = pairs) -> Measured:
        every = found[component, workers, size]
        return Measured(
            every[0].rows,
            median(each.seconds for each in every),
            median(each.cpu_seconds for each in every),
        )

    loop = measured(TRANSFORM, LOOP)
    bare = loop.rows / loop.seconds
    columns = ("workers", "rows>", "seconds>", "of CPUs>", "rows/s>", "rows/s, start aside>")
    table = terminal.table("", *columns)
    table.add_row(LOOP, "", *_cells(loop), f"{bare:,.0f}", "")
    ratios = terminal.table(
        "ratio", "with the start>", "start aside>", "CPUs, start aside>", "asked>"
    )
    for component in READ:
        rates = {}
        for workers in BEAM_ARGS:
            every, few = measured(component, workers), measured(component, workers, FEW)
            more = Measured(*(a - b for a, b in zip(_values(every), _values(few), strict=True)))
            rates[workers] = whole, aside = every.rows / every.seconds, more.rows / more.seconds
            table.add_row(component, workers, *_cells(every), f"{whole:,.0f}", f"{aside:,.0f}")
            per_cpu = (more.rows / more.cpu_seconds) / (loop.rows / loop.cpu_seconds)
            shown = (*(f"{rate / bare:.2f}" for rate in (whole, aside)), f"{per_cpu:.2f}")
            ratios.add_row(f"{component}, {workers} : loop", *shown, f"{BARS['rate']}")
        shown = [f"{two / one:.2f}" for one, two in zip(rates[ONE], rates[TWO], strict=True)]
        ratios.add_row(f"{component}, two workers : one", *shown, "", f"{BARS['workers']}")
    tables.show(table)
    tables.show(ratios)


def _values(measured: Measured) -> tuple[float, ...]:
    return measured.rows, measured.seconds, measured.cpu_seconds


def _cells(measured: Measured) -> tuple[str, str, str]:
    return f"{measured.rows:,}", f"{measured.seconds:.1f}", f"{measured.cpu_seconds:.1f}"


if __name__ == "__main__":
    main()
