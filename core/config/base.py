"""What all sections of the configuration are made of."""

from typing import Annotated

import pydantic
from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(pydantic.BaseModel):
    """A frozen part of the tree that refuses unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
