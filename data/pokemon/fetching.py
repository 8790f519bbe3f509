"""Fetches all that a set of Pokémon needs, a few species at a time, and keeps it.

    species list ──> species ──> Pokémon ──> artwork     for each species, one after the other
                     colours, types                      each once, at the end

A species that cannot be had is a reject. What all captions need, and a server that is not there or
down, ends the run; the next one goes on with what is missing.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import httpx

from core import disk
from core.errors import DexmatchError
from core.progress import show_progress
from data import pictures
from data.pokemon import answers, cache
from data.pokemon.answers import Term
from data.pokemon.cache import Cache
from data.pokemon.client import POLITE, Client, Manners
from data.pokemon.errors import Transient, Unobtainable
from data.pokemon.language import Language
from data.pokemon.reader import Fetched, PokemonReader, origin
from data.records import Reason, Reject, Rejected

_AT_A_TIME = 4
"""Requests."""
_ALL = 100_000
"""More than there are species: the API gives 20 at a time unless it is asked for more."""
_MAX_ANSWER_BYTES = 16 * 2**20
"""The largest answer, of a Pokémon with all its moves, has 1.3 MB."""
_MAX_PICTURE_BYTES = 16 * 2**20
"""Official artwork has some 150 kB."""

_MAY_BE_DAMAGE = (Reason.NOT_AN_IMAGE, Reason.CORRUPT_IMAGE)

_Answer = TypeVar("_Answer")


def fetch(
    api: httpx.URL,
    folder: Path,
    language: Language,
    limit: int | None = None,
    manners: Manners = POLITE,
) -> PokemonReader:
    """Fetches what is not there yet; shows how far it is.

    Args:
      api: PokeAPI's address or a mirror's, as `client.api_address` gives it.
      folder: where answers and pictures are kept, see `Cache`.
      language: of the captions.
      limit: how many species, from the first one of the list; None for all.
      manners: how the server is treated.

    Returns:
      What to import: a record or a reject for each species, in the order of the list.

    Raises:
      DexmatchError: the server cannot be reached or is down, the list of species or the name of a
        colour or type cannot be had, or the folder cannot be written.
    """
    with disk.explained(folder):
        return asyncio.run(_fetch(api, Cache(folder, api), language, limit, manners))


async def _fetch(
    api: httpx.URL, kept: Cache, language: Language, limit: int | None, manners: Manners
) -> PokemonReader:
    async with Client(api, manners) as client:
        source = _Source(client, kept, language)
        numbers = (await source.species_list())[:limit]
        with show_progress("Fetching Pokémon", len(numbers)) as done:
            fetched = await source.all_of(numbers, done)
        words = await source.words(each for each in fetched if isinstance(each, Fetched))
    return PokemonReader(language, kept.folder, fetched, words)


class _Source:
    """The API, behind what is kept of it."""

    def __init__(self, client: Client, kept: Cache, language: Language):
        self._client = client
        self._kept = kept
        self._language = language

    async def species_list(self) -> list[int]:
        """The numbers of all species."""
        numbers = await _needed(self._answer("pokemon-species", None, answers.read_species_list))
        if not numbers:
            raise DexmatchError("pokemon-species: the API lists none; check --api")
        return numbers

    async def all_of(
        self, numbers: list[int], on_progress: Callable[[int], None]
    ) -> list[Fetched | Reject]:
        """What there is of each species, in their order."""
        outcomes: dict[int, Fetched | Reject] = {}
        waiting = iter(numbers)

        async def work() -> None:
            for number in waiting:
                outcomes[number] = await self._one(number)
                on_progress(len(outcomes))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_A_TIME):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            # The first one stopped the others.
            raise errors.exceptions[0] from errors
        return [outcomes[number] for number in numbers]

    async def words(self, fetched: Iterable[Fetched]) -> dict[Term, str]:
        """The words of all colours and types that occur."""
        terms: dict[Term, None] = {}
        for each in fetched:
            terms.update(dict.fromkeys(each.pokemon.types))
            if each.species.color:
                terms[each.species.color] = None
        read_name = functools.partial(answers.read_name, language=self._language)
        return {
            term: await _needed(self._answer(term.resource, term.number, read_name))
            for term in terms
        }

    async def _one(self, number: int) -> Fetched | Reject:
        picture = self._kept.picture(number)
        image = picture.relative_to(self._kept.folder).as_posix()
        read_species = functools.partial(answers.read_species, language=self._language)
        try:
            species = await self._answer("pokemon-species", number, read_species)
            pokemon = await self._answer("pokemon", species.pokemon, answers.read_pokemon)
            try:
                await self._get(picture, pokemon.artwork, _MAX_PICTURE_BYTES, _look_at)
            except Unobtainable:
                # By the next run the answer may name another address.
                self._kept.answer("pokemon", species.pokemon).unlink(missing_ok=True)
                raise
        except Unobtainable as error:
            return Reject(origin(number), image, Reason.NOT_FETCHED, str(error))
        return Fetched(number, image, species, pokemon)

    async def _answer(
        self, resource: str, number: int | None, read: Callable[[bytes], _Answer]
    ) -> _Answer:
        """One of a resource; with None for a number, the list of all."""
        what = f"?limit={_ALL}" if number is None else f"{number}/"
        path = self._kept.answer(resource, number)
        return await self._get(path, f"{resource}/{what}", _MAX_ANSWER_BYTES, read)

    async def _get(
        self, path: Path, address: str, most: int, read: Callable[[bytes], _Answer]
    ) -> _Answer:
        """What is kept, or else, or where that is damaged, what the server has."""
        content = cache.read(path)
        if content is not None:
            try:
                return read(content)
            except (Transient, Unobtainable):
                pass  # Written by another version, or by hand.
        content, answer = await self._client.get(address, most, read)
        cache.write(path, content)
        return answer


async def _needed(answer: Awaitable[_Answer]) -> _Answer:
    """An answer without which there are no captions."""
    try:
        return await answer
    except Unobtainable as error:
        raise DexmatchError(
            f"{error}; check --api, or start the same command again later"
        ) from error


def _look_at(content: bytes) -> None:
    """Decodes a picture; a broken one may have broken on its way."""
    try:
        pictures.check(content)
    except Rejected as error:
        kind = Transient if error.reason in _MAY_BE_DAMAGE else Unobtainable
        raise kind(f"the picture is not to be used ({error.detail})") from error
