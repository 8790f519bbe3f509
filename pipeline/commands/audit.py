"""`dexmatch data audit`."""

import csv
import json
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from core import terminal
from core.errors import DexmatchError
from data import dataset as datasets
from data import striking
from data.striking import STRIKE
from pipeline.commands.data import INTERRUPTED, tell_import
from pipeline.commands.run import ConfigOption, SetOption, load_config

if TYPE_CHECKING:
    from pages.audit.findings import Findings, Pair

_COLUMNS = (
    *(STRIKE, "rank", "id", "reasons", "confidence", "probability"),
    *("pictures_better", "captions_better", "near_duplicate", "group", "caption"),
)
_SHOWN = 20
_ON_SHEET = 200
_FEWEST_COLUMNS = 3


def audit(
    data: Annotated[Path, typer.Argument(help="Folder written by [bold]dexmatch data import[/].")],
    config: ConfigOption = None,
    set_: SetOption = None,
    worst: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many captions in the table and on the sheet.",
            show_default=f"{_SHOWN}, and {_ON_SHEET} on the sheet",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, a line for each pair, to mark and strike out.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="OUT.html", help="Write a page with the pictures as well."),
    ] = None,
    strike: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Pairs to leave out: those of column [bold]id[/] with a mark in column "
            "[bold]strike[/], or all if there is no such column. Needs --write; nothing is judged.",
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Data set folder to make, without the pairs of --strike."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the data set that is in --write.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the log of TFX, Beam and TensorFlow.")
    ] = False,
) -> None:
    """Finds captions that are probably wrong, and pictures that stand twice.

    Each pair is judged by a model that never saw its group: as many models as
    audit.folds are trained, as the configuration says, in the workspace
    runs/NAME-audit. That takes about as many trainings; one that was killed goes
    on, and a second look comes from the cache. Nothing is left out of the data
    set unless you strike it out.

    Examples:

        dexmatch data audit datasets/mine --config pretrained --sheet audit.html

        dexmatch data audit datasets/mine --config pretrained --csv > audit.csv

        dexmatch data audit datasets/mine --strike audit.csv --write datasets/clean
    """
    if as_json and as_csv:
        raise DexmatchError("--json and --csv: name one of them")
    if bool(strike) != bool(write):
        raise DexmatchError(
            "--strike and --write go together: mark pairs in the CSV that --csv prints, and name "
            "it by --strike, and by --write the data set to make without them"
        )
    if strike and write:
        _write(data, strike, write, overwrite)
        return
    if sheet and not (sheet.suffix.lower() == ".html" and sheet.parent.is_dir()):
        raise DexmatchError(
            f"--sheet {sheet}: name a file that ends in .html, in a folder that exists"
        )
    dataset = datasets.load(data)
    settings = load_config(config, set_, str(data))
    # TensorFlow and TFX take seconds to load.
    from pipeline import audit as audits

    judgments = audits.judge(settings, verbose)
    from pages.audit import findings

    found = findings.gather(dataset, judgments)
    if as_json:
        print(json.dumps(_describe(found), indent=2))
    elif as_csv:
        _print_csv(found)
    else:
        _print_tables(found, worst or _SHOWN)
    if sheet:
        from pages.audit import sheet as sheets

        sheets.write(sheet, dataset, found, worst or _ON_SHEET)
        terminal.say(f"sheet  {sheet}")


def _write(data: Path, strike: Path, out: Path, overwrite: bool) -> None:
    """Makes a data set without the pairs that were struck out."""
    struck = striking.read_struck(strike)
    try:
        made = striking.write_without(datasets.load(data), struck, out, overwrite=overwrite)
    except KeyboardInterrupt:
        terminal.say("Stopped. Nothing was written.")
        raise typer.Exit(INTERRUPTED) from None
    tell_import(made)
    terminal.say(f"Next: dexmatch run --data {shlex.quote(str(out))}")


def _cells(rank: int, pair: "Pair", twins: dict[str, str]) -> dict[str, Any]:
    """What is told of a pair, by `_COLUMNS`."""
    found = pair.judgment
    return {
        STRIKE: "",
        "rank": rank,
        "id": pair.id,
        "reasons": " ".join(pair.reasons),
        "confidence": found and round(math.exp(found.log_confidence), 6),
        "probability": found and round(found.probability, 4),
        "pictures_better": found and round(found.pictures_better, 4),
        "captions_better": found and round(found.captions_better, 4),
        "near_duplicate": twins.get(pair.id, ""),
        "group": pair.group,
        "caption": pair.caption,
    }


def _lines(found: "Findings") -> list[dict[str, Any]]:
    """Every pair, the most doubtful first; those that could not be judged last."""
    twins = {}
    for each in found.near_duplicates:
        twins.update({each.one.id: each.other.id, each.other.id: each.one.id})
    pairs = (*found.ranked, *found.unjudged)
    return [_cells(rank, pair, twins) for rank, pair in enumerate(pairs, start=1)]


def _print_csv(found: "Findings") -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_lines(found))


def _describe(found: "Findings") -> dict[str, Any]:
    lines = _lines(found)
    for line in lines:
        del line[STRIKE]
    return {
        "pairs": len(lines),
        "judged": len(found.ranked),
        "doubtful": len(found.doubtful),
        "captions": lines,
        "near_duplicates": [
            {
                "ids": [each.one.id, each.other.id],
                "similarity": round(each.similarity, 4),
                "difference": round(each.difference, 2),
            }
            for each in found.near_duplicates
        ],
        "repeated_captions": [
            {"caption": alike[0].caption, "ids": [pair.id for pair in alike]}
            for alike in found.repeated
        ],
        "slices": [
            {
                "slice": each.name,
                "pairs": each.pairs,
                "doubtful": each.doubtful,
                "expected": round(each.expected, 2),
            }
            for each in found.slices
        ],
    }


def _print_tables(found: "Findings", most: int) -> None:
    columns = ("caption", "id", "probability>", "pictures better>", "captions better>", "reasons")
    rows: list[list[str | Text]] = []
    for pair in found.ranked[:most]:
        judged = pair.judgment
        assert judged is not None
        shares = (judged.probability, judged.pictures_better, judged.captions_better)
        figures = [f"{share:.1%}" for share in shares]
        rows.append([Text(pair.caption), Text(pair.id), *figures, " ".join(pair.reasons)])
    terminal.output.print(terminal.fitted(columns, rows, _FEWEST_COLUMNS))
    _print_some(
        ("near-duplicates", "of another group", "similarity>"),
        [
            (Text(each.one.id), Text(each.other.id), f"{each.similarity:.3f}")
            for each in found.near_duplicates
        ],
        most,
    )
    _print_some(
        ("caption, word for word", "pairs>", "such as"),
        [
            (Text(alike[0].caption), f"{len(alike)}", Text(f"{alike[0].id}, {alike[-1].id}"))
            for alike in found.repeated
        ],
        most,
    )
    _print_some(
        ("slice", "pairs>", "doubtful>", "expected>"),
        [
            (Text(each.name), f"{each.pairs:,}", f"{each.doubtful:,}", f"{each.expected:,.1f}")
            for each in found.slices
        ],
        most,
    )
    counts = terminal.table("judged", f"{len(found.ranked):,}>")
    counts.add_row("doubtful captions", f"{len(found.doubtful):,}")
    counts.add_row("pictures that stand twice", f"{len(found.near_duplicates):,}")
    counts.add_row("captions at pictures of several groups", f"{len(found.repeated):,}")
    if found.unjudged:
        counts.add_row("not judged, the picture cannot be decoded", f"{len(found.unjudged):,}")
    terminal.output.print(counts)


def _print_some(columns: Sequence[str], rows: Sequence[Sequence[Any]], most: int) -> None:
    """A table, if there is anything in it."""
    if not rows:
        return
    table = terminal.table(*columns)
    for row in rows[:most]:
        table.add_row(*row)
    terminal.output.print(table)
    if len(rows) > most:
        terminal.say(f"and {len(rows) - most:,} more (--json)")
