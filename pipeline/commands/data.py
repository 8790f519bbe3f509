"""`dexmatch data`: make a data set from your own pictures and captions, and look at it."""

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from core import config as configs
from core import terminal
from core.config import DATAFLOW, DIRECT, RunConfig
from core.errors import DexmatchError
from data import dataset, readers
from data.columns import TYPES, Columns
from data.dataset import Dataset, Feature, Quantiles
from data.survey import FeatureType
from pipeline.commands.runner_options import (
    BeamArgOption,
    FlinkMasterOption,
    RunnerOption,
    SparkMasterOption,
    check_masters,
)

if TYPE_CHECKING:
    from data.importer import BeamOptions

app = typer.Typer(
    help="Import pictures with captions, and look at what was imported.", no_args_is_help=True
)

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended."""
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the data set that is in --out.")
]
_SHOWN_VALUES = 8
_WHICH_COLUMN = "Which column is what"


def _column(help_text: str, default: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        help=help_text, show_default=default, rich_help_panel=_WHICH_COLUMN, metavar="NAME"
    )
    return option


@app.command("import")
def import_(
    source: Annotated[
        str,
        typer.Argument(help="A file, a folder, or a brace pattern of tar files."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder to make. Nothing appears there unless the import succeeds."),
    ],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"One of {', '.join(readers.FORMATS)}.",
            show_default="guessed from the path",
            metavar="NAME",
        ),
    ] = None,
    image_folder: Annotated[
        Path | None,
        typer.Option(
            help="What the picture paths are relative to.", show_default="the source's folder"
        ),
    ] = None,
    allow_outside_paths: Annotated[
        bool,
        typer.Option(
            "--allow-outside-paths",
            help="Picture paths may be absolute, or lead out of the picture folder by `..`. Links "
            "in the folder are always followed.",
        ),
    ] = False,
    keep_wordless_captions: Annotated[
        bool,
        typer.Option(
            "--keep-wordless-captions",
            help="Import captions without a letter or digit too. The model says 0 of them, which "
            "the evaluation counts.",
        ),
    ] = False,
    image_column: Annotated[
        str | None, _column("Path of the picture, or the picture itself.", "image, file_name, ...")
    ] = None,
    caption_column: Annotated[
        str | None, _column("The caption, or a list of captions.", "caption, text, ...")
    ] = None,
    id_column: Annotated[
        str | None,
        _column(
            "Names the pair; no two may be equal. `none`: no column does.",
            "id, else the picture's path",
        ),
    ] = None,
    group_column: Annotated[
        str | None,
        _column(
            "Pairs of one group stay on one side of a split: name what makes pictures near twins, "
            "such as the product, the scene or the family.",
            "group, else each picture is its own",
        ),
    ] = None,
    hard_caption_column: Annotated[
        str | None,
        _column(
            "Captions that are nearly right and wrong: a list, or in CSV separated by |.",
            "hard_caption",
        ),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="The type of a metadata column: int, float or text; repeatable. Else a column is "
            "text, as it is written, or int where every value is a whole number.",
            metavar="NAME=TYPE",
            rich_help_panel=_WHICH_COLUMN,
        ),
    ] = None,
    max_rejects: Annotated[
        str,
        typer.Option(help="More bad rows than this fail the import: 5%, 0.05, or a count like 20."),
    ] = "5%",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at most.", show_default="one per core")
    ] = None,
    runner: RunnerOption = None,
    flink_master: FlinkMasterOption = None,
    spark_master: SparkMasterOption = None,
    beam_arg: BeamArgOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Makes a data set from pictures with captions.

    Reads CSV, TSV, JSON Lines, COCO captions, Hugging Face imagefolder and
    Parquet, and WebDataset tar files. Every picture is decoded and checked; a
    row that cannot be imported is listed in rejects.csv, with the reason. All
    columns that have no part of their own are kept as metadata, to measure a
    model on slices of the data.

    With --runner or --beam-arg the work is done by Beam jobs, whose workers
    must see the source and --out under the same paths.

    Examples:

        dexmatch data import captions.csv --out datasets/mine

        dexmatch data import photos/ --out datasets/photos --group-column scene

        dexmatch data import annotations/captions_val2017.json --out datasets/coco

        dexmatch data import "shards/{00000..00009}.tar" --out datasets/web

        dexmatch data import "/mnt/shards/{00000..00999}.tar" --out /mnt/web
          --runner flink --flink-master flink.example:8081
    """
    by_beam = _by_beam(runner, flink_master, spark_master, beam_arg)
    if by_beam and workers:
        raise DexmatchError("--workers is for processes of this machine; leave it out for Beam")
    # Pillow and what else an import needs take longer to load than the help takes to print.
    from data import importer
    from pipeline import logs

    columns = Columns(
        image=image_column,
        caption=caption_column,
        id=id_column,
        group=group_column,
        hard_caption=hard_caption_column,
    )
    try:
        # Beam's workers may be this very process, or write where it does.
        with logs.hushed() if by_beam else contextlib.nullcontext():
            imported = importer.import_pairs(
                source,
                out,
                format_name=format_name,
                columns=columns,
                types=dict(map(_column_type, types or ())),
                image_folder=image_folder,
                allow_outside_paths=allow_outside_paths,
                keep_wordless_captions=keep_wordless_captions,
                max_rejects=max_rejects,
                num_workers=workers,
                beam_options=_beam_options(by_beam) if by_beam else None,
                overwrite=overwrite,
            )
    except KeyboardInterrupt:
        terminal.say("Stopped. Nothing was imported.")
        raise typer.Exit(INTERRUPTED) from None
    tell_import(imported)
    terminal.say(f"Next: dexmatch run --data {shlex.quote(str(out))}")


def _by_beam(
    runner: str | None,
    flink_master: str | None,
    spark_master: str | None,
    beam_args: list[str] | None,
) -> RunConfig | None:
    """What an import by Beam is told; None for one by processes of this machine."""
    check_masters(runner or DIRECT, flink_master, spark_master)
    asked = {
        "runner": runner,
        "flink_master": flink_master,
        "spark_master": spark_master,
        "beam_args": beam_args,
    }
    given = {key: value for key, value in asked.items() if value}
    if not given:
        return None
    settings = configs.validate({"run": given}).run
    if settings.runner == DATAFLOW:
        raise DexmatchError(
            "--runner dataflow: its workers reach no folder of this machine, and an import writes "
            "into one: leave it out, or take flink or spark"
        )
    return settings


def _beam_options(settings: RunConfig) -> "BeamOptions":
    from pipeline.beam import boot, options

    options.check(settings)

    def make(folder: Path) -> list[str]:
        program = folder / "worker"
        boot.write_program(program, folder)
        return options.arguments(settings, boot=str(program))

    return make


def tell_import(imported: Dataset) -> None:
    """Prints what was imported, and where the rejected rows are listed."""
    _print_summary(imported)
    if imported.rejected:
        terminal.say(f"Rejected rows: {imported.path / dataset.REJECTS}")


def _column_type(text: str) -> tuple[str, FeatureType]:
    """A column and its type out of `NAME=TYPE`."""
    column, equals, kind = text.rpartition("=")
    if not equals or kind not in TYPES:
        raise DexmatchError(f"--type {text}: write NAME=TYPE, the type one of {', '.join(TYPES)}")
    return column, TYPES[kind]


@app.command()
def describe(
    folder: Annotated[Path, typer.Argument(help="Folder written by `dexmatch data import`.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print dataset.json, for other programs to read.")
    ] = False,
) -> None:
    """Shows what is in a data set.

    Prints the counts, the metadata columns with their values, how long the
    captions are, how large the pictures are, and a few pairs. It reads
    dataset.json only, so it is quick on any size.

    Examples:

        dexmatch data describe datasets/mine

        dexmatch data describe datasets/mine --json | jq .rejected_by_reason
    """
    described = dataset.load(folder)
    if as_json:
        typer.echo(described.to_json(), nl=False)
        return
    _print_summary(described)
    _print_distributions(described)
    _print_samples(described)


def _print_summary(described: Dataset) -> None:
    """Counts, then one line per metadata column."""
    source = described.source
    counts = terminal.table("data set", escape(str(described.path)))
    counts.add_row("source", escape(f"{source.name} ({source.format})"))
    counts.add_row("rows read", f"{described.read:,}")
    counts.add_row("imported", f"{described.imported:,}")
    counts.add_row("rejected", f"{described.rejected:,}")
    for reason, count in described.rejected_by_reason.items():
        counts.add_row(f"  {reason}", f"{count:,}")
    counts.add_row("pictures", f"{described.images:,}")
    counts.add_row("groups", f"{described.groups:,}")
    counts.add_row("size", f"{described.bytes / 1e6:,.1f} MB in {len(described.files):,} shards")
    terminal.output.print(counts)
    if described.metadata:
        columns = terminal.table("metadata", "type", "pairs>", "values")
        for feature in described.metadata:
            row = (feature.name, feature.type, f"{feature.present:,}", escape(_values(feature)))
            columns.add_row(*row)
        terminal.output.print(columns)


def _values(feature: Feature) -> str:
    """The most frequent values of a column: `red (12), green (7), and 3 more`."""
    if feature.values is None:
        return f"more than {dataset.MAX_DISTINCT} different ones"
    frequent = sorted(feature.values, key=lambda value: -value.count)[:_SHOWN_VALUES]
    shown = [f"{value.value} ({value.count:,})" for value in frequent]
    rest = len(feature.values) - len(frequent)
    return ", ".join(shown) + (f", and {rest} more" if rest else "")


def _print_distributions(described: Dataset) -> None:
    table = terminal.table("distribution", "least>", "5 %>", "median>", "95 %>", "most>")
    named: dict[str, Quantiles] = {
        "words per caption": described.caption_words,
        "picture height": described.image_height,
        "picture width": described.image_width,
    }
    for name, values in named.items():
        numbers = (values.minimum, values.p5, values.median, values.p95, values.maximum)
        table.add_row(name, *(f"{number:,}" for number in numbers))
    terminal.output.print(table)


def _print_samples(described: Dataset) -> None:
    table = terminal.table("id", "caption")
    for sample in described.samples:
        table.add_row(escape(sample.id), escape(sample.caption))
    terminal.output.print(table)
