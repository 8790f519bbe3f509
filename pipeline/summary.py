"""What `dexmatch run` prints at its end: components, figures, verdict, and where to look next."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from core import terminal
from core.metrics import AUC, MEAN_PREDICTION, SUMMARISED
from core.slices import KEY_SLICES, TRUE_PAIRS
from pages import MODEL_CARD, REPORT
from results.metadata import CACHED, FAILED, NEW, UNFINISHED, Execution, Run
from results.retrieval import CUTOFFS, Ranking, Retrieval
from results.serving_report import ServingReport
from results.workspace import Workspace

if TYPE_CHECKING:  # Its module loads TFMA, and TensorFlow with it.
    from results.evaluation import Evaluation

_STYLES = {NEW: "green", CACHED: "dim", FAILED: "bold red", UNFINISHED: "yellow"}
_COUNTS = "pairs_"


def print_components(run: Run) -> None:
    """Prints a row for each component: new or cached, seconds, what it made; and whether all is
    cached."""
    table = terminal.table("component", "state", "seconds>", "made")
    for execution in run.executions:
        table.add_row(
            execution.node,
            Text(execution.state, _STYLES[execution.state]),
            f"{execution.seconds:.1f}",
            _made(execution),
        )
    total = sum(execution.seconds for execution in run.executions)
    table.add_section()
    table.add_row("", "", f"{total:.1f}", "")
    terminal.output.print(table)
    if run.is_cached:
        _print_plain("Nothing has changed: all that was made comes from the cache.")


def print_evaluation(evaluation: "Evaluation", fewest: int) -> None:
    """Prints the figures overall, against each kind of negative, and on the worst slice."""
    named = [(name, evaluation.slice(name)) for name in KEY_SLICES]
    if worst := evaluation.worst(fewest):
        named.append((f"{worst.name} (worst)", worst))
    table = terminal.table("test split", "pairs>", *(f"{name}>" for name in SUMMARISED))
    # In a narrow terminal a long name is folded, not these, nor a figure.
    table.columns[0].min_width = max(map(len, KEY_SLICES))
    table.columns[2].no_wrap = True
    for name, figures in named:
        if figures is not None:
            shown = (figures.shown(name, interval=name == AUC) for name in SUMMARISED)
            table.add_row(Text(name, overflow="fold"), str(figures.examples), *shown)
    terminal.output.print(table)
    true_pairs = evaluation.slice(TRUE_PAIRS)
    if true_pairs and MEAN_PREDICTION in true_pairs.figures:
        mean = true_pairs.shown(MEAN_PREDICTION)
        _print_plain(f"Mean probability of the {true_pairs.examples} true pairs: {mean}")


def print_retrieval(found: Retrieval) -> None:
    """Prints how well captions find pictures and pictures captions, and what chance would reach."""
    drawn = f", drawn from {found.of_pairs:,}" if found.of_pairs > found.pairs else ""
    for name, direction in found.directions().items():
        _print_plain(
            f"{name}: {_ranking(direction.model)} of {direction.items:,}{drawn} "
            f"(chance: {_ranking(direction.chance)})"
        )


def _ranking(ranking: Ranking) -> str:
    recalls = zip(CUTOFFS, ranking.recall, strict=True)
    shown = ", ".join(f"@{cutoff} {recall:.3f}" for cutoff, recall in recalls)
    return f"recall{shown}, median rank {ranking.median_rank:g}"


def print_verdict(
    run: Run,
    evaluation: "Evaluation",
    served: ServingReport | None,
    workspace: Workspace,
) -> None:
    """Prints whether the model was blessed and pushed, or what it missed."""
    if run.is_blessed:
        terminal.output.print("[bold green]Blessed[/]: every threshold holds.")
    else:
        terminal.output.print("[bold red]Not blessed[/], and not pushed:")
        for failure in evaluation.failures:
            _print_plain(f"  {failure.metric} on {failure.slice} {failure.reason}")
        if not evaluation.failures:
            _print_plain("  no threshold could be judged (evaluator.blessing)")
    _print_unjudged(evaluation)
    if run.is_blessed and run.is_infra_blessed is False:
        terminal.output.print("[bold red]Cannot be served[/], and was not pushed:")
        for check in served.failures if served else ():
            _print_plain(f"  {check.name}: {check.found}")
    elif run.is_blessed and served:
        _print_plain(f"Served by {served.engine}: {len(served.checks)} checks passed")
    if run.is_blessed and run.pushed_version:
        _print_plain(f"Pushed to {_relative(workspace.serving / run.pushed_version)}")


def print_warnings(run: Run) -> None:
    """Prints what the components found worth knowing, whether new or cached."""
    for node, warning in run.warnings:
        terminal.output.print(f"[bold yellow]Warning[/] of {node}: ", end="")
        _print_plain(warning)


def _print_unjudged(evaluation: "Evaluation") -> None:
    """Prints which thresholds were set aside: those that name their slice, and how many others."""
    named = [each for each in evaluation.unjudged if each.is_named]
    for each in named:
        _print_plain(f"Not judged: {each.metric} on {each.slice} {each.reason}")
    others = {each.slice for each in evaluation.unjudged} - {each.slice for each in named}
    if others:
        slices = "1 slice" if len(others) == 1 else f"{len(others)} slices"
        _print_plain(f"Shown in the evaluation, but too small to be judged: {slices}")


def print_pointers(run: Run, workspace: Workspace, log: Path) -> None:
    """Prints where to look next."""
    evaluation = run.output("ModelEvaluation")
    report = run.output("Report")
    card = run.output("ModelCard")
    training = run.output("ModelRun")
    bulk = run.execution("BulkInferrer")
    scored = bulk.outputs.get("Examples") if bulk else None
    pointers = {
        **({"report": _relative(Path(report.uri) / REPORT)} if report else {}),
        "model card": _relative(Path(card.uri) / MODEL_CARD) if card else "",
        "evaluation": _relative(Path(evaluation.uri)) if evaluation else "",
        "training": f"tensorboard --logdir {_relative(Path(training.uri))}" if training else "",
        **({"scored pairs": _relative(Path(scored.uri))} if scored else {}),
        "artifacts": _relative(workspace.artifacts),
        "log": _relative(log),
        "past runs": "dexmatch runs",
    }
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, place in pointers.items():
        table.add_row(Text(name, "dim"), Text(place, overflow="fold"))
    terminal.output.print(table)


def _made(execution: Execution) -> Text:
    """What the execution made, with the number of pairs where an artifact tells it."""
    counts = [
        f"{key.removeprefix(_COUNTS)} {value}"
        for output in execution.outputs.values()
        for key, value in output.properties.items()
        if key.startswith(_COUNTS)
    ]
    return Text(", ".join(execution.outputs) + (f": {', '.join(counts)}" if counts else ""))


def _relative(path: Path) -> str:
    """A path as the user would type it from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _print_plain(text: str) -> None:
    terminal.output.print(text, markup=False, soft_wrap=True)
