"""How fast pictures are imported, beside decoding them once, and how much memory that takes.

    python -m benchmarks.import_throughput            1,000 and 10,000 pairs
    python -m benchmarks.import_throughput --large    100,000 too

Everything is measured in one run on made-up pictures, so the ratios at the end can be compared
between machines, and the absolute figures cannot. Each import runs in a process of its own. The
seconds that TensorFlow takes to load in the workers are part of the figures, as they are for users;
the ratio beside it takes those of 1,000 pairs away from both sides.

What it is compared with reads the same files and decodes each once by Pillow, in two processes that
wait to be told. An import also decodes by TensorFlow, which later has to, groups by content, and
writes TFRecords.
"""

import argparse
import csv
import dataclasses
import io
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks import tables
from core import terminal

DISTINCT_PICTURES = 500
SIDE = 256
WORKERS = 2
BAR = 0.7
"""What the import's rate is asked to be of that of decoding alone."""
_FEW, _MANY = 1_000, 10_000
_PICTURES_AT_ONCE = 64
_INTERVAL = 0.02
"""Seconds between two looks at the memory."""


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One import.

    Attributes:
      pairs: number of pairs.
      workers: number of worker processes.
      seconds: from start to end of the process.
      input_bytes: size of the pictures that were read.
      peak_bytes: resident memory of the process and its workers together, at most.
    """

    pairs: int
    workers: int
    seconds: float
    input_bytes: int
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Pairs per second."""
        return self.pairs / self.seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--large", action="store_true", help="import 100,000 pairs too")
    sizes = [_FEW, _MANY] + [100_000] * parser.parse_args().large
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = make_pictures(folder)
        runs, decoding = [], {}
        for size in sizes:  # In turns.
            decoding[size] = decode_alone(pictures, size)
            runs.append(measure(folder, pictures, size, workers=WORKERS))
        alone = measure(folder, pictures, _MANY, workers=1)
    show([*runs, alone])
    show_decoding(runs, decoding)
    show_ratios(runs, alone)


def make_pictures(folder: Path) -> list[Path]:
    """Writes smooth random pictures, half of them PNG and half JPEG, always the same."""
    random = np.random.default_rng(7)
    paths = []
    for number in range(DISTINCT_PICTURES):
        colours = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        path = folder / f"{number:03}.{'png' if number % 2 else 'jpg'}"
        Image.fromarray(colours).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


def write_source(path: Path, pictures: list[Path], pairs: int) -> list[Path]:
    """Writes a CSV file of `pairs` pairs, which take the pictures in turns; their pictures."""
    chosen = [pictures[number % len(pictures)] for number in range(pairs)]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", "number", "parity"])
        for number, picture in enumerate(chosen):
            writer.writerow([picture.name, f"picture {number} of many", number, number % 2])
    return chosen


def measure(folder: Path, pictures: list[Path], pairs: int, workers: int) -> Measured:
    """Imports `pairs` pairs."""
    source = folder / "captions.csv"
    chosen = write_source(source, pictures, pairs)
    code = "import sys; from pipeline.commands.data import app; app(sys.argv[1:])"
    arguments = ["import", source, "--out", folder / "out", "--workers", workers, "--overwrite"]
    command = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(_INTERVAL)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"the import of {pairs} pairs failed with status {process.returncode}")
    input_bytes = sum(path.stat().st_size for path in chosen)
    return Measured(pairs, workers, seconds, input_bytes, peak)


def decode_alone(pictures: list[Path], pairs: int) -> float:
    """Seconds to read and decode so many pictures once, by Pillow in two processes."""
    paths = [pictures[number % len(pictures)] for number in range(pairs)]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(_decode, paths[:_PICTURES_AT_ONCE], chunksize=1)  # Both have begun.
        start = time.perf_counter()
        for _ in pool.imap_unordered(_decode, paths, chunksize=_PICTURES_AT_ONCE):
            pass
        return time.perf_counter() - start


def _decode(path: Path) -> None:
    Image.open(io.BytesIO(path.read_bytes())).load()


def memory(pid: int) -> int:
    """Resident bytes of a process and of all below it; 0 if it has just ended."""
    try:
        process = psutil.Process(pid)
        everyone = [process, *process.children(recursive=True)]
        return sum(each.memory_info().rss for each in everyone)
    except psutil.NoSuchProcess:
        return 0


def show(runs: list[Measured]) -> None:
    """Prints the figures of each import."""
    table = terminal.table("pairs>", "workers>", "seconds>", "pairs/s>", "MB/s>", "peak MB>")
    for run in runs:
        table.add_row(
            f"{run.pairs:,}",
            f"{run.workers}",
            f"{run.seconds:.1f}",
            f"{run.rate:,.0f}",
            f"{run.input_bytes / 1e6 / run.seconds:.1f}",
            f"{run.peak_bytes / 1e6:,.0f}",
        )
    tables.show(table)


def show_decoding(runs: list[Measured], decoding: dict[int, float]) -> None:
    """Prints the rates of imports beside those of decoding alone."""
    table = terminal.table("pairs>", "decoding alone, pairs/s>", "import : decoding>", "asked>")
    few = runs[0]
    for run in runs:
        seconds = decoding[run.pairs]
        table.add_row(
            f"{run.pairs:,}",
            f"{run.pairs / seconds:,.0f}",
            f"{seconds / run.seconds:.2f}",
            f"{BAR}",
        )
        if run is not few:
            aside = (seconds - decoding[few.pairs]) / (run.seconds - few.seconds)
            name = f"{few.pairs:,} to {run.pairs:,}"
            rate = (run.pairs - few.pairs) / (seconds - decoding[few.pairs])
            table.add_row(name, f"{rate:,.0f}", f"{aside:.2f}", f"{BAR}")
    tables.show(table)


def show_ratios(runs: list[Measured], alone: Measured) -> None:
    """Prints what does not depend on the machine so much."""
    table = terminal.table("ratio", "value>")
    for run in runs[1:]:
        ratio = run.peak_bytes / runs[0].peak_bytes
        table.add_row(f"peak memory, {run.pairs:,} : {runs[0].pairs:,} pairs", f"{ratio:.2f}")
    table.add_row("pairs/s, 2 workers : 1 worker", f"{runs[1].rate / alone.rate:.2f}")
    tables.show(table)


if __name__ == "__main__":
    main()
