"""What all sections of the configuration are made of."""

import re
from typing import Annotated

import pydantic
from pydantic import AfterValidator, Field

Share = Annotated[float, Field(ge=0, le=1)]

# As `pipeline.code_digest` finds them.
_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){2,}", re.ASCII)


def _is_a_function(name: str) -> str:
    if name and not _DOTTED_NAME.fullmatch(name):
        raise ValueError("must be a function in a module of a package, such as catalog.model.build")
    return name


FunctionName = Annotated[str, AfterValidator(_is_a_function)]
"""The dotted name of a function, or nothing; what it must be is in docs/extend.md."""


class Section(pydantic.BaseModel):
    """A frozen part of the tree that refuses unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
