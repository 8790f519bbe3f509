"""The bounds that bless a model, and how they name slices."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.config.base import Section
from core.metrics import COMPARED, LOWER_IS_BETTER, METRICS, Better
from core.slices import EVERY, EVERY_SLICE, OVERALL, Parts, is_meant, is_one, parts_of

_SLICE = (
    'as the summary prints it: "overall", "column:value" such as "against:random", or a cross, '
    '"color:red × shape:round"; with the value *, each value of the column is bounded, and with '
    '"*:*" each slice by metadata'
)
_Bound = Annotated[float, Field(allow_inf_nan=False)]
_Change = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Threshold(Section):
    """A bound that a candidate must hold on a slice to be blessed."""

    metric: Literal[COMPARED]  # type: ignore[valid-type]
    slice: str = Field(OVERALL, description=_SLICE)
    min: _Bound | None = Field(None, description="where higher is better: the least it may be")
    max_drop: _Change | None = Field(
        None, description="how much lower than the latest blessed model's it may be"
    )
    max: _Bound | None = Field(
        None,
        description=f"where lower is better ({', '.join(LOWER_IS_BETTER)}): the most it may be",
    )
    max_rise: _Change | None = Field(
        None, description="how much higher than the latest blessed model's it may be"
    )

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(column, value) of the slice, several for a cross; none for "overall"."""
        return parts_of(self.slice)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the slice names, in order of name."""
        return tuple(sorted(column for column, _ in self.parts if column != EVERY))

    @property
    def is_on_one_slice(self) -> bool:
        """Whether it bounds the slice that it names, and not each value of a column."""
        return is_one(self.parts)

    def is_on(self, parts: Parts) -> bool:
        """Whether it bounds the slice that these (column, value) pairs make."""
        return is_meant(parts, self.parts)

    @model_validator(mode="after")
    def _is_a_bound(self) -> "Threshold":
        better = METRICS[self.metric].better
        fit, unfit = ("min", "max_drop"), ("max", "max_rise")
        if better is Better.LOWER:
            fit, unfit = unfit, fit
        if any(getattr(self, name) is not None for name in unfit):
            raise ValueError(
                f"a {better} {self.metric} is better: bound it by `{fit[0]}` or `{fit[1]}`"
            )
        if all(getattr(self, name) is None for name in fit):
            raise ValueError(f"a threshold needs `{fit[0]}` or `{fit[1]}`")
        return self

    @model_validator(mode="after")
    def _is_within_the_range_of_the_metric(self) -> "Threshold":
        metric = METRICS[self.metric]
        width = metric.upper - metric.lower
        ranges = {
            "min": (metric.lower, metric.upper),
            "max": (metric.lower, metric.upper),
            "max_drop": (0.0, width),
            "max_rise": (0.0, width),
        }
        for name, (low, high) in ranges.items():
            bound = getattr(self, name)
            if bound is not None and not low <= bound <= high:
                asked = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
                raise ValueError(f"`{name}` of {self.metric} must be {asked}, and is {bound:g}")
        return self

    @model_validator(mode="after")
    def _names_a_slice(self) -> "Threshold":
        columns = [column for column, _ in self.parts]
        if not all(column and value for column, value in self.parts):
            raise ValueError(f"slice {self.slice!r} is neither 'overall' nor 'column:value'")
        if len(set(columns)) < len(columns) or (EVERY in columns and self.slice != EVERY_SLICE):
            raise ValueError(f"slice {self.slice!r} must name different columns, or be '*:*'")
        return self
