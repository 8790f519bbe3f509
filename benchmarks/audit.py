"""How many swapped captions an audit finds, and what is left to learn from without them.

    python -m benchmarks.audit --data datasets/demo recipes/demo.toml
    python -m benchmarks.audit --data datasets/demo recipes/demo.toml \\
        --data datasets/pokemon recipes/pokemon.toml --no-training

In a copy of each data set some captions are swapped between groups. `dexmatch data audit` ranks
the pairs of the copy; as many as were swapped, from the top of its list, are struck out. Then a
model is trained on what is left, and one on the data set as it was. Both are scored on the same
test pairs, those of the data set as it was, by the ruler of `benchmarks/judging.py`.

Real data has wrong captions of its own, which the audit may find first: only those that were
swapped here count as found.
"""

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path

from benchmarks import accuracy, tables
from benchmarks.accuracy import apart, changed
from benchmarks.swapped_captions import write_swapped
from core import terminal
from core.config import Config
from core.errors import DexmatchError
from data import dataset as datasets
from data import striking

BARS = {"demo": "≥ 80 %", "pokemon": "≥ 3 times"}
"""What is asked of the first part of the list, by data set; printed, not asserted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What an audit found of the captions that were swapped.

    Attributes:
      pairs: of the data set.
      swapped: how many of them have another's caption.
      struck: ids at the top of the list, as many as were swapped.
      found: how many of these were swapped.
    """

    pairs: int
    swapped: int
    struck: list[str]
    found: int

    @property
    def share(self) -> float:
        """Of those that were swapped, 0 to 1."""
        return self.found / self.swapped

    @property
    def times_chance(self) -> float:
        """How many times as many as in a random order."""
        return self.share / (len(self.struck) / self.pairs)


def main() -> None:
    """Measures and prints."""
    options = parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    audits = terminal.table("data", "pairs>", "swapped>", "found>", "of them>", "chance>", "bar")
    models = terminal.table("data", "trained on", "AUC random>", "AUC hard>", "ECE>", "matched>")
    try:
        for folder, recipe in options.data:
            config = accuracy.config_of(folder, recipe, options.set)
            name = Path(folder).resolve().name
            with tempfile.TemporaryDirectory() as scratch:
                swapped = Path(scratch) / "swapped" / name
                found = audit(config, swapped, options.share, options.seed)
                share, times = f"{found.share:.1%}", f"{found.times_chance:.1f} times"
                counts = (f"{found.pairs:,}", f"{found.swapped:,}", f"{found.found:,}")
                audits.add_row(name, *counts, share, times, BARS.get(name, ""))
                terminal.say(f"{name}: {share} of the swapped captions found, {times} chance")
                if not options.no_training:
                    for title, figures in compare(config, swapped, found).items():
                        cells = [f"{figures[key]:.3f}" for key in accuracy.FIGURES]
                        models.add_row(name, title, *cells)
    except DexmatchError as error:
        raise SystemExit(str(error)) from error
    tables.show(audits)
    if not options.no_training:
        tables.show(models)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = accuracy.parser_of_runs(__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=0.05, help="of the captions to swap")
    parser.add_argument("--seed", type=int, default=1, help="of the swapping")
    parser.add_argument("--no-training", action="store_true", help="audit only")
    return parser.parse_args()


def audit(config: Config, out: Path, share: float, seed: int) -> Found:
    """Swaps captions in a copy of the data set, and audits it.

    Args:
      config: of the data set as it is.
      out: folder of the copy.
      share: of the captions to swap.
      seed: of the swapping.
    """
    made, swapped = write_swapped(Path(config.data.dataset), out, share, seed)
    ranked = apart(rank, in_scratch(config, out))
    struck = ranked[: len(swapped)]
    return Found(made.imported, len(swapped), struck, len(swapped.intersection(struck)))


def rank(config: Config) -> list[str]:
    """Ids of the pairs of a data set, the most doubtful first."""
    # TensorFlow and TFX take seconds to load, and only the processes that work need them.
    from pages.audit import findings
    from pipeline import audit as audits

    judgments = audits.judge(config)
    found = findings.gather(datasets.load(config.data.dataset), judgments)
    return [pair.id for pair in found.ranked]


def in_scratch(config: Config, dataset: Path) -> Config:
    """The same for another data set, with everything written beside it."""
    beside = accuracy.in_scratch(config, dataset.parent / f"{dataset.name}-work")
    return changed(beside, data={"dataset": str(dataset)})


def compare(config: Config, swapped: Path, found: Found) -> dict[str, dict[str, float]]:
    """Trains on the data set as it was, and on what an audit left of the copy.

    Returns:
      What was trained on, to figures of the test pairs, see `judging.figures`.
    """
    struck = dict.fromkeys(found.struck, "benchmark")
    left = swapped.with_name(f"{swapped.name}-left")
    striking.write_without(datasets.load(swapped), struck, left)
    plain = in_scratch(config, swapped.with_name(f"{swapped.name}-plain"))
    plain = changed(plain, data={"dataset": config.data.dataset})
    before = apart(accuracy.run_dexmatch, plain)
    after = apart(accuracy.run_dexmatch, in_scratch(config, left), accuracy.split(plain))
    return {"no swaps": before.figures, "what is left": after.figures}


if __name__ == "__main__":
    main()
