"""Gathers what a run has left into a card."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.config import CardConfig
from core.files import folder_size
from pages import sources
from pages.dates import utc_text
from pages.model_card import page
from pages.model_card.data import describe_split
from pages.model_card.training import summarize_curves
from pages.saved_models import count_weights
from pages.sources import Sources
from results import retrieval
from results.metadata import WARNING

_NOT_RECIPE = ("card", "evaluator")
"""Sections that are told in a place of their own."""

_JOINS = {
    "cosine": "compared by their cosine similarity and by the attributes that both tell of",
    "concat": "joined in a dense layer",
}


def gather_card(of: Sources, dataset: str, training_code: str) -> page.Card:
    """Reads all that the card tells.

    Args:
      of: the run.
      dataset: name of the data set.
      training_code: digest of the code that trained the model.
    """
    own = CardConfig(**of.config["card"])
    warning = of.artifacts[sources.LEAKAGE].properties.get(WARNING)
    return page.Card(
        name=of.name,
        is_blessed=of.is_blessed,
        version=of.pushed_version,
        details=_details(of, training_code),
        libraries=list(of.libraries.items()),
        owner=[
            ("Owner", own.owner),
            ("Licence", own.licence),
            ("Intended use", own.intended_use),
        ],
        limits=own.limits,
        dataset=dataset,
        splits=[describe_split(name, split) for name, split in of.splits.items()],
        warnings=[warning] if warning else [],
        recipe=_recipe(of.config),
        curves=summarize_curves(of.scalars),
        evaluation=of.evaluation,
        bounds=page.bounds(of.evaluator.blessing, of.evaluation),
        few=of.evaluator.min_slice_pairs,
        threshold=of.evaluator.threshold,
        retrieval=retrieval.load(of.uri(sources.RETRIEVAL)),
        written=utc_text(datetime.now(UTC)),
    )


def _details(of: Sources, training_code: str) -> list[tuple[str, str]]:
    """(what, value) of the model."""
    model = of.artifacts[sources.MODEL]
    architecture, size = of.config["model"], of.config["image"]["size"]
    details = {
        "Task": "probability that a caption describes a picture",
        "Architecture": (
            f"{architecture['backbone']} for the picture ({size} × {size} pixels), "
            f"{architecture['recurrent']} for the caption "
            f"(at most {of.config['caption']['max_tokens']} words), {_JOINS[architecture['join']]}"
        ),
        "Initial weights": _without_folder(architecture["weights"]),
        "Weights": f"{count_weights(of.saved_model):,}",
        "SavedModel": f"{folder_size(of.saved_model) / 1e6:,.1f} MB",
        "Trained": utc_text(model.created) if model.created else "",
        "Artifact": f"{model.id} in MLMD" if model.id else "",
        "Python": platform.python_version(),
        "Training code": training_code,
    }
    return [(name, value) for name, value in details.items() if value]


def _recipe(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        section: {key: _without_folder(value) for key, value in values.items()}
        for section, values in config.items()
        if section not in _NOT_RECIPE
    }


def _without_folder(value: Any) -> Any:
    """A card is passed on: where a file lies on this machine is nobody's business."""
    return Path(value).name if isinstance(value, str) and os.sep in value else value
