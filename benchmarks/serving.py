"""How fast the pushed model is served, beside the same model called in process, and what bad
clients cost.

    python -m benchmarks.serving --quick
    python -m benchmarks.serving --model serving_model/dexmatch --seconds 5 --json figures.json
    python -m benchmarks.serving --quick --clients 16 --batches 1 --seconds 10
    python -m benchmarks.serving --faults

The server, the load generator and the model in process have a process each, on one machine: the
load generator takes its share of the processor, and the ratios contain that. `of same batch` is the
rate beside calling the SavedModel with the batch of one request; `of joined batch` beside calling
it with as many pairs as the server could join, which is the bar: with batching, 16 clients should
reach 85 % of it over gRPC and 70 % over REST.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import serving_load, tables
from benchmarks.serving_faults import MODEL
from benchmarks.serving_load import Load
from core import terminal
from core.errors import DexmatchError
from core.files import folder_size
from core.progress import show_progress
from serving import engines, files

APIS = ("gRPC", "REST")
GARBAGE = 10_000
LARGE_BYTES = 100_000_000
LARGE_EVERY = 20
"""Of the bodies that are too long, one in so many has `LARGE_BYTES`."""
BURST = 400
"""Requests at once, of the largest batch, to fill the queue."""
_MEGABYTE = 1e6


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """The points to measure."""

    clients: tuple[int, ...]
    batches: tuple[int, ...]
    sides: tuple[int, ...]


FULL = Grid((1, 4, 16, 64), (1, 8, 32), (64, 256, 1000, 2000))
QUICK = Grid((1, 16), (1, 8), (256,))


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """One row of the table.

    Attributes:
      is_batching: whether the server joined requests.
      rate: pairs per second.
      p50, p99: milliseconds of a request.
      of_same_batch: rate over that in process, with the batch of a request.
      of_joined_batch: the same, with as many pairs as can be joined.
      codes: number of answers by code.
    """

    api: str
    is_batching: bool
    clients: int
    batch: int
    side: int
    rate: float
    p50: float
    p99: float
    of_same_batch: float
    of_joined_batch: float
    codes: dict[str, int]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=Path, default=Path("serving_model/dexmatch"))
    parser.add_argument("--batching", type=Path, default=Path("serving_model/batching.config"))
    parser.add_argument("--engine", choices=engines.ENGINES, default="embedded")
    parser.add_argument("--seconds", type=float, default=3.0, help="at each point")
    parser.add_argument("--quick", action="store_true", help="a few points")
    for name in ("clients", "batches", "sides"):
        parser.add_argument(
            f"--{name}", type=numbers, metavar="N,N,...", help="these, and not the grid's"
        )
    parser.add_argument("--faults", action="store_true", help="bad clients only")
    parser.add_argument("--garbage", type=int, default=GARBAGE, help="bad requests")
    parser.add_argument("--json", type=Path, help="writes the figures there, too")
    arguments = parser.parse_args()
    try:
        figures = measure(arguments)
    except DexmatchError as error:
        raise SystemExit(f"Error: {error}") from None
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def numbers(text: str) -> tuple[int, ...]:
    """ "1,16" to its numbers."""
    return tuple(int(part) for part in text.split(","))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is asked for, as it goes into the JSON file."""
    engine = engines.choose(arguments.engine)
    version = newest(arguments.model)
    size = folder_size(version) / _MEGABYTE
    figures: dict[str, Any] = {"engine": engine.name, "megabytes": size}
    if not arguments.faults:
        options = options_of(arguments, batching=True)
        figures["cold_start_s"] = cold_start(engine, options)
        terminal.output.print(
            f"{version}: {size:.1f} MB, first answer {figures['cold_start_s']:.1f} s "
            f"after the start of the server ({engine.name})"
        )
        chosen = {
            name: getattr(arguments, name)
            for name in ("clients", "batches", "sides")
            if getattr(arguments, name)
        }
        grid = dataclasses.replace(QUICK if arguments.quick else FULL, **chosen)
        points = list(measure_grid(engine, arguments, grid, version))
        show(points)
        figures["points"] = [dataclasses.asdict(point) for point in points]
    if arguments.faults or not arguments.quick:
        figures["faults"] = faults(engine, arguments)
    return figures


def newest(model: Path) -> Path:
    """The folder of the newest version.

    Raises:
      DexmatchError: there is none.
    """
    numbers = [int(path.name) for path in model.glob("*") if path.name.isdigit()]
    if not numbers:
        raise DexmatchError(f"{model}: no pushed model; run the pipeline, or give --model")
    return model / str(max(numbers))


def options_of(arguments: argparse.Namespace, batching: bool) -> engines.Options:
    """How the server is started, on free ports."""
    return engines.Options(
        model_name=MODEL,
        base_path=arguments.model.resolve(),
        batching_config=arguments.batching if batching else None,
        grpc_port=0,
        rest_port=0,
    )


def cold_start(engine: engines.Engine, options: engines.Options) -> float:
    """Seconds from the start of the process to its first answer."""
    start = time.perf_counter()
    with engines.running(engine, options) as server:
        measured = serving_load.run(Load("REST", server.rest_url, 1, 1, 64, 0.0))
        return time.perf_counter() - start - measured.seconds


def measure_grid(
    engine: engines.Engine, arguments: argparse.Namespace, grid: Grid, version: Path
) -> Iterator[Point]:
    """All points; a server for those with batching and one for those without."""
    largest = files.max_batch_size(files.read_batching(arguments.batching))
    total = 2 * len(APIS) * len(grid.clients) * len(grid.batches) * len(grid.sides)
    with (
        serving_load.process() as in_process,
        serving_load.process() as in_load,
        show_progress("Measuring", total) as done,
    ):
        count = 0
        for batching in (False, True):
            with engines.running(engine, options_of(arguments, batching)) as server:
                for side, batch, clients, api in itertools.product(
                    grid.sides, grid.batches, grid.clients, APIS
                ):
                    joined = max(batch, min(largest, clients * batch)) if batching else batch
                    # Each time anew: what else the machine does changes by the minute.
                    rates = {
                        size: in_process(
                            serving_load.in_process, version, size, side, arguments.seconds
                        )
                        for size in sorted({batch, joined})
                    }
                    address = server.rest_url if api == "REST" else server.grpc_address
                    load = Load(api, address, clients, batch, side, arguments.seconds)
                    measured = in_load(serving_load.run, load)
                    rate = batch * len(measured.latencies) / measured.seconds
                    yield Point(
                        api=api,
                        is_batching=batching,
                        clients=clients,
                        batch=batch,
                        side=side,
                        rate=rate,
                        p50=quantile(measured.latencies, 50),
                        p99=quantile(measured.latencies, 99),
                        of_same_batch=rate / rates[batch],
                        of_joined_batch=rate / rates[joined],
                        codes=measured.codes,
                    )
                    count += 1
                    done(count)


def quantile(latencies: list[float], percent: int) -> float:
    """In milliseconds; 0 if nothing was answered."""
    if len(latencies) < 2:
        return 1000 * sum(latencies)
    return 1000 * statistics.quantiles(latencies, n=100, method="inclusive")[percent - 1]


def show(points: list[Point]) -> None:
    """Prints a row for each point."""
    table = terminal.table(
        "API",
        "batching",
        "clients>",
        "batch>",
        "pixels>",
        "pairs/s>",
        "p50 ms>",
        "p99 ms>",
        "of same batch>",
        "of joined batch>",
        "failed>",
    )
    for point in points:
        table.add_row(
            point.api,
            "on" if point.is_batching else "off",
            str(point.clients),
            str(point.batch),
            str(point.side),
            f"{point.rate:,.1f}",
            f"{point.p50:,.1f}",
            f"{point.p99:,.1f}",
            f"{point.of_same_batch:.0%}",
            f"{point.of_joined_batch:.0%}",
            str(sum(count for code, count in point.codes.items() if code != "200")),
        )
    tables.show(table)


def faults(engine: engines.Engine, arguments: argparse.Namespace) -> dict[str, Any]:
    """Sends bad requests and too many, and prints codes and memory."""
    with (
        serving_load.process() as in_load,
        engines.running(engine, options_of(arguments, batching=True)) as server,
    ):
        process = psutil.Process(server.pid)

        def send(numbers: range) -> Counter[Any]:
            found: Counter[Any] = in_load(
                serving_load.send_garbage, server.rest_url, numbers, LARGE_BYTES, LARGE_EVERY
            )
            return found

        # What the first requests bring to memory stays there for good reasons.
        warm = arguments.garbage // 10
        seen = send(range(warm))
        memory = [process.memory_info().rss]
        seen += send(range(warm, arguments.garbage))
        memory.append(process.memory_info().rss)
        bursts = {}
        for api, address in (("REST", server.rest_url), ("gRPC", server.grpc_address)):
            load = Load(api, address, 1, 32, 64, 0.0)
            bursts[api] = dict(in_load(serving_load.burst, load, BURST))
            memory.append(process.memory_info().rss)
        answer = httpx.get(f"{server.rest_url}/v1/models/{MODEL}", timeout=60)
    table = terminal.table("bad request", "code", "times>")
    for (kind, code), count in sorted(seen.items()):
        table.add_row(kind, code, f"{count:,}")
    for api, codes in bursts.items():
        for code, count in sorted(codes.items()):
            table.add_row(f"{BURST} at once over {api}", code, f"{count:,}")
    terminal.output.print(table)
    first, last, rest, rpc = (f"{rss / _MEGABYTE:,.0f} MB" for rss in memory)
    terminal.output.print(
        f"memory of the server: {first} after {warm:,} bad requests, {last} after "
        f"{arguments.garbage:,}; {rest} after {BURST} at once over REST, {rpc} after as many over "
        f"gRPC; its status afterwards: {answer.status_code}"
    )
    return {
        "codes": {f"{kind}: {code}": count for (kind, code), count in sorted(seen.items())},
        "bursts": bursts,
        "megabytes": [rss / _MEGABYTE for rss in memory],
    }


if __name__ == "__main__":
    main()
