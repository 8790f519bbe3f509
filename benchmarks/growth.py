"""What each component of a run takes as the data grow: time, memory, disk.

    python -m benchmarks.growth                        1,000, 10,000 and 100,000 pairs
    python -m benchmarks.growth 1000 10000 --set trainer.batch_size=64

Made-up pairs, each with a JPEG of 64 × 64 pixels of its own, are imported and go through the whole
pipeline with one epoch at 32 × 32, each number of pairs in a process and a workspace of its own.
Nothing is asked of the model, so it is not blessed, and neither served nor pushed.

Components run in one process, one after another. Memory is what that process and all below it hold
resident, looked at ten times a second; *rise* is how far that went above where it stood as the
component began, since what one leaves behind is there for the next ones too. Seconds of processors
are told beside those of the clock, because they are the ones that a busy machine changes little.
Disk is what lies in the component's artifacts in the end.

The last table tells what 1,000 more pairs took from each size to the next, in seconds of processors
and in the rise of memory, and divides the last two such seconds: 1.0 is linear.
"""

import argparse
import csv
import dataclasses
import io
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks import tables
from benchmarks.import_throughput import memory
from core import terminal

SIZES = (1_000, 10_000, 100_000)
SIDE = 64
NAME = "growth"
_SETTINGS = (
    "image.size=32",
    "trainer.epochs=1",
    "trainer.warmup_epochs=0",
    "evaluator.blessing=[]",
)
_METADATA = {"color": 8, "shape": 6, "place": 5}
"""Columns, and how many values each has."""
_WORDS = 2_000
_GRAIN = 8
_INTERVAL = 0.1
"""Seconds between two looks at the memory."""
_BEGINS = re.compile(r"\[ *\d+/\d+\] (\S+)")
_ENDED = (0, 3)
"""Exit status of a command that came to its end; a run's is 3 if the model was not blessed."""
_IMPORT, _LOADING = "(import)", "(loading)"


@dataclasses.dataclass(slots=True)
class Used:
    """What a component took.

    Attributes:
      seconds: from its beginning to that of the next.
      cpu_seconds: of all processors.
      before_bytes: resident when it began.
      peak_bytes: resident at most.
      disk_bytes: size of its artifacts.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    before_bytes: int = 0
    peak_bytes: int = 0
    disk_bytes: int = 0

    @property
    def rise_bytes(self) -> int:
        """How far memory went up."""
        return self.peak_bytes - self.before_bytes


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="numbers of pairs")
    parser.add_argument("--set", action="append", default=[], help="a setting of the run")
    options = parser.parse_args()
    found = {}
    for size in sorted(options.sizes):
        with tempfile.TemporaryDirectory() as name:
            found[size] = measure(Path(name), size, options.set)
        show(size, found[size])
    if len(found) > 1:
        show_growth(found)


def measure(folder: Path, pairs: int, settings: Sequence[str]) -> dict[str, Used]:
    """Imports so many pairs and runs the pipeline on them; component to what it took."""
    terminal.say(f"{pairs:,} pairs: making, importing")
    captions = make_pairs(folder / "pairs", pairs)
    data = folder / "data"
    used = watch(["data", "import", str(captions), "--out", str(data)], _IMPORT)
    places = (
        f"run.name={NAME}",
        f"run.workspace={folder}",
        f"pusher.directory={folder / 'pushed'}",
    )
    sets = [f"--set={each}" for each in (*places, *_SETTINGS, *settings)]
    used |= watch(["run", "--data", str(data), *sets], _LOADING)
    used[_IMPORT].disk_bytes = size_of(data)
    for component, each in used.items():
        each.disk_bytes += size_of(folder / NAME / "artifacts" / component)
    return used


def make_pairs(folder: Path, count: int) -> Path:
    """Writes so many pictures, no two alike, with captions and metadata; always the same.

    Returns:
      The CSV file.
    """
    folder.mkdir()
    colours = np.random.default_rng(7)
    generator = random.Random(7)
    path = folder / "captions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", *_METADATA])
        for number in range(count):
            grain = colours.integers(0, 256, (_GRAIN, _GRAIN, 3), dtype=np.uint8)
            content = io.BytesIO()
            Image.fromarray(grain).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(
                content, "JPEG"
            )
            (folder / f"{number:06}.jpg").write_bytes(content.getvalue())
            values = [f"{name}{generator.randrange(n)}" for name, n in _METADATA.items()]
            words = [f"word{generator.randrange(_WORDS)}" for _ in range(8)]
            writer.writerow([f"{number:06}.jpg", " ".join([*values, *words]), *values])
    return path


def watch(arguments: Sequence[str], first: str) -> dict[str, Used]:
    """Runs a command of dexmatch; what each component took that it names as it goes along.

    Args:
      arguments: of `dexmatch`.
      first: name of what comes before the first component.

    Raises:
      SystemExit: the command failed.
    """
    code = "from pipeline.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    names = [first]

    def listen() -> None:
        assert process.stderr
        for line in process.stderr:
            said.append(line)
            if begun := _BEGINS.match(line):
                names.append(begun[1])
                terminal.say(line.rstrip())

    listener = threading.Thread(target=listen)
    listener.start()
    used: dict[str, Used] = {}
    then, cpu_then = time.perf_counter(), 0.0
    while process.poll() is None:
        resident, now = memory(process.pid), time.perf_counter()
        cpu_now = max(cpu_then, cpu_seconds(process.pid))
        each = used.setdefault(names[-1], Used(before_bytes=resident))
        each.peak_bytes = max(each.peak_bytes, resident)
        each.seconds += now - then
        each.cpu_seconds += cpu_now - cpu_then
        then, cpu_then = now, cpu_now
        time.sleep(_INTERVAL)
    listener.join()
    if process.returncode not in _ENDED:
        raise SystemExit(f"dexmatch {arguments[0]} failed:\n{''.join(said[-20:])}")
    return used


def cpu_seconds(pid: int) -> float:
    """Seconds of processors that a process has taken, and all below it; 0 if it has just ended."""
    try:
        process = psutil.Process(pid)
        # Each tells of those of its children that have ended, too.
        return sum(
            sum(each.cpu_times()[:4]) for each in [process, *process.children(recursive=True)]
        )
    except psutil.NoSuchProcess:
        return 0.0


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; 0 if there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def show(pairs: int, used: dict[str, Used]) -> None:
    """Prints what each component took."""
    columns = ("seconds>", "of CPUs>", "peak MB>", "rise MB>", "disk MB>", "disk, bytes/pair>")
    table = terminal.table(f"{pairs:,} pairs", *columns)
    for component, each in used.items():
        table.add_row(
            component,
            f"{each.seconds:.1f}",
            f"{each.cpu_seconds:.1f}",
            f"{each.peak_bytes / 1e6:,.0f}",
            f"{each.rise_bytes / 1e6:,.0f}",
            f"{each.disk_bytes / 1e6:,.2f}",
            f"{each.disk_bytes / pairs:,.0f}",
        )
    tables.show(table)


def show_growth(found: dict[int, dict[str, Used]]) -> None:
    """Prints what 1,000 pairs more take, from each size to the next."""
    steps = list(zip(found, list(found)[1:], strict=False))
    spans = [f"{few:,}–{many:,}" for few, many in steps]
    columns = [f"{what}, {span}>" for what in ("CPU s", "MB") for span in spans]
    table = terminal.table("per 1,000 pairs", *columns, "CPU s, last : before>")
    for component in found[steps[-1][1]]:
        seconds, rise = [], []
        for few, many in steps:
            less, more = (found[size].get(component, Used()) for size in (few, many))
            thousands = (many - few) / 1_000
            seconds.append((more.cpu_seconds - less.cpu_seconds) / thousands)
            rise.append((more.rise_bytes - less.rise_bytes) / 1e6 / thousands)
        ratio = f"{seconds[-1] / seconds[-2]:.2f}" if len(steps) > 1 and seconds[-2] > 0 else ""
        cells = [*(f"{each:.2f}" for each in seconds), *(f"{each:.1f}" for each in rise)]
        table.add_row(component, *cells, ratio)
    tables.show(table)


if __name__ == "__main__":
    main()
