"""Hands what was fetched to the importer: a record for each species, or a reject."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data.pokemon.answers import Pokemon, Species, Term
from data.pokemon.captions import SHAPES, Looks, choose_flavor_text, describe
from data.pokemon.language import Language
from data.readers.base import Reader
from data.records import Origin, Record, Reject

GROUP_COLUMN = "evolution_chain"
"""The family, whose members look alike."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """All that there is of one species.

    Attributes:
      number: of the species, in the National Pokédex.
      image: path of its picture, relative to the reader's folder.
      species: itself.
      pokemon: its default variety, whom the picture shows.
    """

    number: int
    image: str
    species: Species
    pokemon: Pokemon


def origin(number: int) -> Origin:
    """What stands for the place in the source."""
    return Origin("pokemon-species", number)


class PokemonReader(Reader):
    """Reads what was fetched.

    Args:
      language: of the captions.
      folder: what the paths of pictures are relative to.
      fetched: in the order of the API's list; a reject for what could not be had.
      words: of colours and types, in the language; empty where the API has none.
    """

    format = "pokeapi"

    def __init__(
        self,
        language: Language,
        folder: Path,
        fetched: Sequence[Fetched | Reject],
        words: Mapping[Term, str],
    ):
        self.name = f"Pokémon in {language.english_name}"
        self.folder = folder
        self._language = language
        self._fetched = fetched
        self._words = words

    def records(self, *, with_images: bool) -> Iterator[Record | Reject]:
        """See `Reader.records`."""
        del with_images  # They are files.
        missing: collections.Counter[str] = collections.Counter()
        for each in self._fetched:
            yield each if isinstance(each, Reject) else self._record(each, missing)
        self.remarks = [
            f"PokeAPI has no {part} in {self._language.english_name} for {count:,} species, whose "
            "captions do without"
            for part, count in missing.items()
            if count
        ]

    def _record(self, fetched: Fetched, missing: collections.Counter[str]) -> Record:
        species, types = fetched.species, fetched.pokemon.types
        looks = Looks(
            color=self._words[species.color] if species.color else "",
            shape=SHAPES[self._language].get(species.shape, ""),
            types=[self._words[each] for each in types if self._words[each]],
            genus=species.genus,
        )
        flavor_text = choose_flavor_text(self._language, species.flavor_texts)
        missing["colour"] += not looks.color
        missing["shape"] += not looks.shape
        missing["type"] += len(looks.types) < len(types)
        missing["genus"] += not looks.genus
        missing["flavor text"] += not flavor_text
        fields: dict[str, str | int | None] = {
            "image": fetched.image,
            "caption": describe(self._language, looks, flavor_text),
            "species_id": fetched.number,
            "name": species.name,
            GROUP_COLUMN: species.evolution_chain,
            "primary_type": types[0].slug,
            "secondary_type": types[1].slug if types[1:] else None,
            "color": species.color.slug if species.color else None,
            "shape": species.shape,
            "habitat": species.habitat,
            "generation": species.generation,
            "legendary": int(species.is_legendary),
        }
        return Record(origin(fetched.number), fields)
