"""How the model was trained: curves, time, settings, and what the tuner tried."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages import sources
from pages.sources import Sources
from pages.training_logs import Point

_TUNER_FILE = "tuner_results.json"
_SECTIONS = ("trainer", "model", "augment", "image", "caption", "tuner")


@dataclass(frozen=True)
class Line:
    """A figure over the epochs.

    Attributes:
      stage: of the training, such as "fine_tuning".
      split: train or validation.
      points: in order.
    """

    stage: str
    split: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """The lines of one figure."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Stage:
    """A stage of the training.

    Attributes:
      name: of the stage.
      epochs: how many.
      seconds: between its first and its last epoch's end.
    """

    name: str
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Trials:
    """What the tuner tried.

    Attributes:
      names: of the settings.
      rows: (trial, score, values in the order of the names), the best first.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, float, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Training:
    """The section on the training.

    Attributes:
      charts: one for each figure.
      stages: in order.
      seconds: of the whole component; None if it is not known.
      settings: section to key to value.
      trials: None if the tuner has not run.
    """

    charts: tuple[Chart, ...]
    stages: tuple[Stage, ...]
    seconds: float | None
    settings: dict[str, dict[str, str]]
    trials: Trials | None

    def payload(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [
            {
                "name": chart.name,
                "lines": [
                    {
                        "name": f"{line.stage}: {line.split}" if line.stage else line.split,
                        "x": [point.step for point in line.points],
                        "y": [_finite(point.value) for point in line.points],
                    }
                    for line in chart.lines
                ],
            }
            for chart in self.charts
        ]


def gather_training(of: Sources) -> Training:
    """Reads logs, configuration and trials; what a run does not have is left out."""
    charts: dict[str, list[Line]] = {}
    for name, points in of.scalars.items():
        folder, _, tag = name.partition(": ")
        stage, _, split = folder.rpartition("/")
        charts.setdefault(tag, []).append(Line(stage, split, tuple(points)))
    trainer = of.run.execution("Trainer") if of.run else None
    return Training(
        charts=tuple(Chart(name, tuple(lines)) for name, lines in sorted(charts.items())),
        stages=_stages([line for lines in charts.values() for line in lines]),
        seconds=trainer.seconds if trainer else None,
        settings={
            section: {key: _shown(value) for key, value in of.config[section].items()}
            for section in _SECTIONS
            if section in of.config
        },
        trials=_trials(Path(of.uri(sources.TUNER_RESULTS)) / _TUNER_FILE)
        if sources.TUNER_RESULTS in of.artifacts
        else None,
    )


def _stages(lines: Sequence[Line]) -> tuple[Stage, ...]:
    made = []
    for name in dict.fromkeys(line.stage for line in lines):
        points = [point for line in lines if line.stage == name for point in line.points]
        times = [point.wall_time for point in points]
        epochs = len({point.step for point in points})
        made.append((min(times), Stage(name or "training", epochs, max(times) - min(times))))
    return tuple(stage for _, stage in sorted(made, key=lambda each: each[0]))


def _trials(path: Path) -> Trials | None:
    if not path.is_file():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    names = tuple(sorted({key for row in rows for key in row} - {"trial_id", "score"}))
    return Trials(
        names,
        tuple(
            (
                str(row["trial_id"]),
                float(row["score"]),
                tuple(_shown(row.get(name)) for name in names),
            )
            for row in sorted(rows, key=lambda row: -row["score"])
        ),
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
