"""What was made from what: components, artifacts, time, configuration, libraries."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pages.report.graph import Graph, draw_run
from pages.sources import Sources
from results.metadata import Run

_OURS = "Report"


@dataclass(frozen=True)
class Step:
    """A component in the run.

    Attributes:
      node: its id.
      state: new, cached, failed or unfinished.
      seconds: how long it took.
      made: (artifact type, id in MLMD) of what it made.
    """

    node: str
    state: str
    seconds: float
    made: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Difference:
    """Something that two runs do not have alike; None where one has no such thing."""

    name: str
    here: str | None
    there: str | None


@dataclass(frozen=True)
class Lineage:
    """The section on what was made from what, and how it differs from another run.

    Attributes:
      run: id of the run; empty if it is not known.
      steps: in the order in which they were started.
      seconds: of all of them.
      graph: components and artifacts; None if MLMD cannot be read.
      compared: id of the run that this one is compared with; empty if there is none.
      config: what the configurations do not have alike.
      libraries: name to version.
      are_libraries_of_run: whether the run had these.
      library_changes: versions that the two runs do not have alike.
    """

    run: str
    steps: tuple[Step, ...]
    seconds: float
    graph: Graph | None
    compared: str
    config: tuple[Difference, ...]
    libraries: Mapping[str, str]
    are_libraries_of_run: bool
    library_changes: tuple[Difference, ...]


def gather_lineage(of: Sources, other: Sources | None) -> Lineage:
    """Reads what MLMD knows of the run.

    Args:
      of: the run.
      other: the run to compare with.
    """
    run = _without_report(of.run) if of.run else None
    steps = tuple(
        Step(
            node=each.node,
            state=each.state,
            seconds=each.seconds,
            made=tuple((output.type, output.id) for output, _ in each.made),
        )
        for each in (run.executions if run else ())
    )
    both_known = other is not None and other.are_libraries_of_run and of.are_libraries_of_run
    return Lineage(
        run=run.id if run else "",
        steps=steps,
        seconds=sum(step.seconds for step in steps),
        graph=draw_run(run) if run else None,
        compared=other.run.id if other and other.run else "",
        config=differences(flattened(of.config), flattened(other.config)) if other else (),
        libraries=of.libraries,
        are_libraries_of_run=of.are_libraries_of_run,
        library_changes=differences(of.libraries, other.libraries) if other and both_known else (),
    )


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> tuple[Difference, ...]:
    """What two mappings do not have alike, by name."""
    return tuple(
        Difference(name, here.get(name), there.get(name))
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    )


def flattened(config: Mapping[str, Any]) -> dict[str, str]:
    """A configuration as section.key to the value in JSON; an inner mapping counts as a value."""
    return {
        f"{section}.{key}": json.dumps(value, ensure_ascii=False, sort_keys=True)
        for section, values in config.items()
        for key, value in values.items()
    }


def _without_report(run: Run) -> Run:
    """While a report is written, it is not finished itself."""
    return Run(run.id, run.started, tuple(e for e in run.executions if e.node != _OURS))
