"""The bounds that bless a model, and how they name slices."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.config.base import Section, Share
from core.features import CROSS, OVERALL

EVERY = "*"
"""As the value of a slice's column: each of the column's values."""
EVERY_SLICE = f"{EVERY}:{EVERY}"
"""Each slice by metadata, by a bucket, or by a cross of columns."""

_SLICE = (
    'as the summary prints it: "overall", "column:value" such as "against:random", or a cross, '
    '"color:red × shape:round"; with the value *, each value of the column is bounded, and with '
    '"*:*" each slice by metadata'
)
HIGHER_IS_BETTER = ("auc", "auc_pr", "accuracy", "precision", "recall")
LOWER_IS_BETTER = ("ece", "log_loss")


class Threshold(Section):
    """A bound that a candidate must hold on a slice to be blessed."""

    metric: Literal[(*HIGHER_IS_BETTER, *LOWER_IS_BETTER)]  # type: ignore[valid-type]
    slice: str = Field(OVERALL, description=_SLICE)
    min: Share | None = Field(None, description="where higher is better: the least it may be")
    max_drop: Share | None = Field(
        None, description="how much lower than the latest blessed model's it may be"
    )
    max: Annotated[float, Field(ge=0)] | None = Field(
        None, description="where lower is better (ece, log_loss): the most it may be"
    )
    max_rise: Annotated[float, Field(ge=0)] | None = Field(
        None, description="how much higher than the latest blessed model's it may be"
    )

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(column, value) of the slice, several for a cross; none for "overall"."""
        if self.slice == OVERALL:
            return ()
        pairs = (part.partition(":") for part in self.slice.split(CROSS))
        return tuple((column, value) for column, _, value in pairs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the slice names, in order of name."""
        return tuple(sorted(column for column, _ in self.parts if column != EVERY))

    @model_validator(mode="after")
    def _is_a_bound(self) -> "Threshold":
        lower_is_better = self.metric in LOWER_IS_BETTER
        fit = ("max", "max_rise") if lower_is_better else ("min", "max_drop")
        unfit = ("min", "max_drop") if lower_is_better else ("max", "max_rise")
        if any(getattr(self, name) is not None for name in unfit):
            better = "lower" if lower_is_better else "higher"
            raise ValueError(
                f"a {better} {self.metric} is better: bound it by `{fit[0]}` or `{fit[1]}`"
            )
        if all(getattr(self, name) is None for name in fit):
            raise ValueError(f"a threshold needs `{fit[0]}` or `{fit[1]}`")
        return self

    @model_validator(mode="after")
    def _names_a_slice(self) -> "Threshold":
        columns = [column for column, _ in self.parts]
        if not all(column and value for column, value in self.parts):
            raise ValueError(f"slice {self.slice!r} is neither 'overall' nor 'column:value'")
        if len(set(columns)) < len(columns) or (EVERY in columns and self.slice != EVERY_SLICE):
            raise ValueError(f"slice {self.slice!r} must name different columns, or be '*:*'")
        return self
