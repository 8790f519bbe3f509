"""`dexmatch monitor`."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from core import terminal
from core.errors import DexmatchError
from pipeline.commands.run import ConfigOption, SetOption, load_config
from results import run_names, versions
from results.metadata import Metadata, Run
from results.workspace import Workspace

if TYPE_CHECKING:
    from monitoring.drift import Measure
    from monitoring.request_logs import Bad
    from monitoring.traffic import Traffic

DRIFTED = 4
"""Exit status when something has drifted."""

_STYLES = {"ok": "green", "drift": "bold red", "too few": "yellow", "not compared": "dim"}


def monitor(
    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG...",
            help="TFRecord of PredictionLog (as model servers write) or of tf.Examples, or JSON "
            'Lines of REST bodies, each alone or as {"request": ..., "response": ...}; gzipped '
            "or not.",
            show_default=False,
        ),
    ],
    run: Annotated[
        str | None,
        typer.Option(
            help=f"Compare with this one. {run_names.HELP}",
            show_default="the run that pushed the served version",
            metavar="RUN",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Compares requests that a server took with what the model was trained on.

    TFDV measures how far captions (length, words that the model does not know), picture sizes and,
    where the log has answers, scores are from the training data; scores from the test split. The
    bounds are the section `monitor` of the configuration. Of numbers the table shows median, least
    and most; of texts the one whose share changed most. Records that cannot be read are counted and
    named.

    Exit status, for cron: 0 no drift; 4 drift; 2 a mistake that you can mend, such as a missing
    file; 1 any other failure.

    Examples:

        dexmatch monitor requests.tfrecord

        dexmatch monitor requests.tfrecord* --set monitor.scores=0.3 --json

        0 6 * * * cd /srv/dexmatch && dexmatch monitor requests.tfrecord.1 || mail -s drift me
    """
    settings = load_config(config, set_)
    for log in logs:
        if not log.is_file():
            raise DexmatchError(f"{log}: no such file")
    workspace = Workspace.from_config(settings)
    runs = Metadata.of(workspace).runs()
    chosen = run_names.find(runs, run) if run else _serving_run(runs, workspace)
    from pipeline.logs import hushed

    with hushed():
        from monitoring import drift, request_logs, training
        from monitoring.traffic import Traffic

        reference = training.load(chosen)
        traffic, bad = Traffic(reference.vocabulary), request_logs.Bad()
        for log in logs:
            request_logs.read(log, traffic, bad)
        measures = drift.measure(traffic, reference, settings.monitor)
    if not measures:
        raise DexmatchError(
            f"{', '.join(map(str, logs))}: no request with a picture or a caption"
            + (f"; {bad.first[0]}" if bad.first else "")
        )
    has_drifted = any(each.state == drift.DRIFT for each in measures)
    if as_json:
        document = {
            "run": chosen.id,
            "logs": [str(log) for log in logs],
            "drift": has_drifted,
            "measures": [dataclasses.asdict(each) for each in measures],
            **_counted(traffic, bad),
        }
        print(json.dumps(document, indent=2))
    else:
        _print(measures, traffic, bad)
    if has_drifted:
        raise typer.Exit(DRIFTED)


def _serving_run(runs: list[Run], workspace: Workspace) -> Run:
    """The run whose model is served."""
    served = versions.served(versions.list_versions(workspace.serving))
    if served is None:
        raise DexmatchError(f"{workspace.serving}: no pushed model; name a run with --run")
    for each in reversed(runs):
        if each.pushed_version == str(served.number):
            return each
    raise DexmatchError(
        f"{workspace.metadata}: no run pushed the served version {served.number}; name one with "
        "--run"
    )


def _counted(traffic: "Traffic", bad: "Bad") -> dict[str, Any]:
    return {
        "requests": traffic.requests,
        "captions": traffic.lengths.total(),
        "captions_without_words": traffic.wordless,
        "pictures": traffic.sizes.total() + traffic.unreadable,
        "unreadable_pictures": traffic.unreadable,
        "scores": traffic.scores.total() + traffic.unjudged,
        "pairs_not_judged": traffic.unjudged,
        "bad_records": bad.count,
        "first_bad_records": bad.first,
    }


def _print(measures: "list[Measure]", traffic: "Traffic", bad: "Bad") -> None:
    counted = _counted(traffic, bad)
    terminal.say(
        f"{counted['requests']:,} requests: {counted['captions']:,} captions "
        f"({counted['captions_without_words']:,} without a word), {counted['pictures']:,} pictures "
        f"({counted['unreadable_pictures']:,} unreadable), {counted['scores']:,} scores "
        f"({counted['pairs_not_judged']:,} not judged)"
    )
    for line in bad.first:
        terminal.say(f"cannot be read: {line}")
    if bad.count > len(bad.first):
        terminal.say(f"cannot be read: {bad.count - len(bad.first):,} more")
    rows = [
        (
            each.name,
            Text(each.state, _STYLES[each.state]),
            "-" if each.value is None else f"{each.value:.3f}",
            f"{each.bound:g}",
            each.training,
            each.log,
            f"{each.count:,}",
            each.kind,
        )
        for each in measures
    ]
    columns = [
        *("requests", "verdict", "distance>", "bound>"),
        *("training", "log", "values>", "measured as"),
    ]
    terminal.output.print(terminal.fitted(columns, rows, fewest=4))
