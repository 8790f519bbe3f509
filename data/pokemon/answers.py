"""What PokeAPI answers, as far as captions and pictures need it: checked and typed.

Answers refer to each other by addresses. Only the numbers at their ends are used, so that whoever
answers cannot send us elsewhere, and answers with absolute addresses, with paths, and those of a
mirror read alike. The address of a picture is the exception.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import pydantic
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from data.pokemon.errors import Transient, Unobtainable
from data.pokemon.language import Language

_NUMBER_AT_END = re.compile(r"/([1-9][0-9]{0,8})/?\Z")
_MOST_SPECIES = 20_000
_LONGEST_TEXT = 2000
"""Characters of a name or a flavor text; real ones have 300 at most."""


def _number(address: object) -> int:
    """The number of what an address stands for."""
    if isinstance(address, str) and (found := _NUMBER_AT_END.search(address)):
        return int(found[1])
    raise PydanticCustomError("address", "should be an address that ends in a number")


_TermResource = Literal["pokemon-color", "type"]
_Slug = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,50}$")]
_Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]


class _Part(pydantic.BaseModel):
    """A part of an answer; what else stands there is passed over."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True)


class _Link(_Part):
    number: Annotated[int, BeforeValidator(_number)] = Field(alias="url")


class _Resource(_Link):
    name: _Slug


class _LanguageName(_Part):
    name: _Text


class _Name(_Part):
    name: _Text
    language: _LanguageName


class _Genus(_Part):
    genus: _Text
    language: _LanguageName


class _FlavorText(_Part):
    flavor_text: _Text
    language: _LanguageName
    version: _Link


class _Variety(_Part):
    is_default: bool
    pokemon: _Link


class _SpeciesList(_Part):
    results: list[_Link] = Field(max_length=_MOST_SPECIES)
    next: str | None


class _SpeciesAnswer(_Part):
    names: list[_Name]
    genera: list[_Genus]
    flavor_text_entries: list[_FlavorText]
    color: _Resource | None
    shape: _Resource | None
    habitat: _Resource | None
    generation: _Link
    evolution_chain: _Link | None
    is_legendary: bool
    is_mythical: bool
    varieties: list[_Variety]


class _Slot(_Part):
    slot: int
    type: _Resource


class _Artwork(_Part):
    front_default: str | None


class _OtherSprites(_Part):
    official_artwork: _Artwork = Field(alias="official-artwork")


class _Sprites(_Part):
    other: _OtherSprites


class _PokemonAnswer(_Part):
    types: list[_Slot] = Field(min_length=1, max_length=2)
    sprites: _Sprites


class _Named(_Part):
    names: list[_Name]


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """A colour or a type.

    Attributes:
      resource: what the API calls its kind.
      number: by which the API knows it.
      slug: its name in the API and in metadata columns, such as "green".
    """

    resource: _TermResource
    number: int
    slug: str


@dataclasses.dataclass(frozen=True, slots=True)
class Species:
    """A species, with its texts in one language.

    Attributes:
      name: empty where the API has none in this language.
      genus: such as "Seed Pokémon"; empty where the API has none in this language.
      flavor_texts: version of the games, by its number in the order of their release, to the text;
        line breaks are those of the games' screens.
      color: None where the API has none yet.
      shape: slug; empty where the API has none yet.
      habitat: slug; only the first three generations have one, others an empty one.
      generation: from 1.
      evolution_chain: number of the family; None where the API has none yet.
      is_legendary: or mythical.
      pokemon: number of its default variety.
    """

    name: str
    genus: str
    flavor_texts: Mapping[int, str]
    color: Term | None
    shape: str
    habitat: str
    generation: int
    evolution_chain: int | None
    is_legendary: bool
    pokemon: int


@dataclasses.dataclass(frozen=True, slots=True)
class Pokemon:
    """A variety of a species.

    Attributes:
      types: one or two, the primary one first.
      artwork: address of the official artwork, absolute or not.
    """

    types: tuple[Term, ...]
    artwork: str


def read_species_list(content: bytes) -> list[int]:
    """The numbers of all species, out of `pokemon-species/?limit=...`.

    Args:
      content: of the answer, JSON in UTF-8. So it is for the other functions.

    Raises:
      Transient: it is no JSON. So it is for the other functions.
      Unobtainable: something is missing there, or of the wrong kind. So it is for the other
        functions.
    """
    answer = _validated(_SpeciesList, content)
    if answer.next is not None:
        raise Unobtainable("lists only some of the species, though it was asked for all")
    return list(dict.fromkeys(each.number for each in answer.results))


def read_species(content: bytes, language: Language) -> Species:
    """A species with its texts in a language, out of `pokemon-species/ID/`."""
    answer = _validated(_SpeciesAnswer, content)
    default = next((each.pokemon.number for each in answer.varieties if each.is_default), None)
    if default is None:
        raise Unobtainable("varieties: none is the default one")
    names = _in_language(answer.names, language)
    genera = _in_language(answer.genera, language)
    return Species(
        name=_line(names[0].name) if names else "",
        genus=_line(genera[0].genus) if genera else "",
        flavor_texts={
            each.version.number: each.flavor_text
            for each in _in_language(answer.flavor_text_entries, language)
        },
        color=_term("pokemon-color", answer.color) if answer.color else None,
        shape=answer.shape.name if answer.shape else "",
        habitat=answer.habitat.name if answer.habitat else "",
        generation=answer.generation.number,
        evolution_chain=answer.evolution_chain.number if answer.evolution_chain else None,
        is_legendary=answer.is_legendary or answer.is_mythical,
        pokemon=default,
    )


def read_pokemon(content: bytes) -> Pokemon:
    """A variety of a species, out of `pokemon/ID/`."""
    answer = _validated(_PokemonAnswer, content)
    artwork = answer.sprites.other.official_artwork.front_default
    if artwork is None:
        raise Unobtainable("names no official artwork")
    types = [each.type for each in sorted(answer.types, key=lambda each: each.slot)]
    return Pokemon(tuple(_term("type", each) for each in types), artwork)


def read_name(content: bytes, language: Language) -> str:
    """The name of a colour or type in a language, out of `pokemon-color/ID/` or `type/ID/`.

    Returns:
      The name, empty where the API has none in this language.
    """
    names = _in_language(_validated(_Named, content).names, language)
    return _line(names[0].name) if names else ""


_Answer = TypeVar("_Answer", bound=_Part)
_Entry = TypeVar("_Entry", _Name, _Genus, _FlavorText)


def _validated(model: type[_Answer], content: bytes) -> _Answer:
    try:
        return model.model_validate_json(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            kind = "HTML" if content.lstrip()[:1] == b"<" else "something else"
            raise Transient(f"answered with {kind} instead of JSON") from error
        where = ".".join(map(str, first["loc"]))
        raise Unobtainable(f"{where}: {first['msg']}" if where else first["msg"]) from error


def _in_language(entries: Sequence[_Entry], language: Language) -> list[_Entry]:
    """Those in the language's preferred spelling that the API has."""
    for code in language.codes:
        if found := [each for each in entries if each.language.name.lower() == code]:
            return found
    return []


def _term(kind: _TermResource, resource: _Resource) -> Term:
    return Term(kind, resource.number, resource.name)


def _line(text: str) -> str:
    """On one line: some texts have white space around them."""
    return " ".join(text.split())
