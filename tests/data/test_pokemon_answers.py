"""PokeAPI's answers, read: typed records, or one line that says what is wrong."""

import json

import pytest

from data.pokemon import answers
from data.pokemon.answers import Term
from data.pokemon.errors import Transient, Unobtainable
from data.pokemon.language import Language


def encoded(answer):
    return json.dumps(answer).encode()


def test_a_species_in_a_language(pokeapi):
    answer = pokeapi.species(1, pokeapi.LEAFLING)
    read = answers.read_species(encoded(answer), Language.EN)
    assert (read.name, read.genus) == ("Leafling", "Leaf Pokémon")
    assert read.flavor_texts.keys() == {1, 30, 34}
    assert read.color == Term("pokemon-color", 5, "green")
    assert (read.shape, read.habitat, read.generation) == ("quadruped", "grassland", 1)
    assert (read.evolution_chain, read.is_legendary, read.pokemon) == (1, False, 1)


def test_japanese_is_read_in_ordinary_spelling_and_in_kana_where_there_is_no_other(pokeapi):
    read = answers.read_species(encoded(pokeapi.species(1, pokeapi.LEAFLING)), Language.JA)
    assert (read.name, read.genus) == ("ハッパン", "はっぱポケモン")
    assert read.flavor_texts.keys() == {23}  # Version 24 is there in kana alone.


def test_languages_are_known_by_names_of_any_case(pokeapi):
    looks = {**pokeapi.LEAFLING, "genera": {"ja-Hrkt": "はっぱポケモン"}}
    read = answers.read_species(encoded(pokeapi.species(1, looks)), Language.JA)
    assert read.genus == "はっぱポケモン"


def test_no_other_language_stands_in(pokeapi):
    read = answers.read_species(encoded(pokeapi.species(4, pokeapi.EMBERLING)), Language.DE)
    assert (read.name, read.genus, read.flavor_texts) == ("Glutling", "", {})
    assert answers.read_name(encoded({"names": []}), Language.KO) == ""


def test_what_the_api_may_not_know_yet_is_empty(pokeapi):
    unknown = dict.fromkeys(("color", "shape", "habitat", "evolution_chain"))
    read = answers.read_species(
        encoded(pokeapi.species(1, pokeapi.LEAFLING, **unknown)), Language.EN
    )
    assert (read.color, read.shape, read.habitat, read.evolution_chain) == (None, "", "", None)


def test_mythical_ones_are_legendary(pokeapi):
    read = answers.read_species(
        encoded(pokeapi.species(1, pokeapi.LEAFLING, is_mythical=True)), Language.EN
    )
    assert read.is_legendary


def test_types_are_read_in_the_order_of_their_slots(pokeapi):
    read = answers.read_pokemon(encoded(pokeapi.pokemon(1)))
    assert read.types == (Term("type", 12, "grass"), Term("type", 4, "poison"))
    assert read.artwork == "/art/1.png"


def test_names_are_one_line(pokeapi):
    answer = {"names": [{"name": " 스텔라\n", "language": {"name": "ko"}}]}
    assert answers.read_name(encoded(answer), Language.KO) == "스텔라"


@pytest.mark.parametrize(
    "address",
    ["/api/v2/type/12/", "/api/v2/type/12", "https://pokeapi.co/api/v2/type/12/", "x/y/12/"],
)
def test_of_addresses_only_the_number_is_used(pokeapi, address):
    answer = {**pokeapi.species_list(), "results": [{"name": "x", "url": address}]}
    assert answers.read_species_list(encoded(answer)) == [12]


@pytest.mark.parametrize(
    "address",
    ["/api/v2/type/../../etc/", "/api/v2/type/-1/", "/api/v2/type/0/", "/type/1/x", "12", 12, None],
)
def test_an_address_without_a_number_is_told(pokeapi, address):
    answer = {**pokeapi.species_list(), "results": [{"name": "x", "url": address}]}
    with pytest.raises(
        Unobtainable, match="results.0.url: should be an address that ends in a num"
    ):
        answers.read_species_list(encoded(answer))


def test_a_species_is_listed_once(pokeapi):
    assert answers.read_species_list(encoded(pokeapi.species_list(3, 1, 3))) == [3, 1]


def test_a_list_that_goes_on_elsewhere_is_told(pokeapi):
    answer = {**pokeapi.species_list(1), "next": "/api/v2/pokemon-species/?offset=20"}
    with pytest.raises(Unobtainable, match="only some of the species"):
        answers.read_species_list(encoded(answer))


def test_a_list_without_end_is_told(pokeapi):
    answer = encoded(pokeapi.species_list(*range(1, 20_002)))
    with pytest.raises(Unobtainable, match="results: List should have at most 20000 items"):
        answers.read_species_list(answer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": None}, "names: Input should be a valid"),
        ({"names": [{"name": "x"}]}, "names.0.language: Field required"),
        ({"names": [{"name": "x" * 3000, "language": {"name": "en"}}]}, "at most 2000"),
        ({"generation": None}, "generation: Input should be"),
        ({"evolution_chain": {"url": "?"}}, "evolution_chain.url: should be an address"),
        ({"color": {"name": "../x", "url": "/5/"}}, "color.name: String should match"),
        ({"is_legendary": "no"}, "is_legendary: Input should be a valid boolean"),
        ({"varieties": []}, "varieties: none is the default one"),
    ],
)
def test_a_species_of_another_shape_is_told(pokeapi, changes, message):
    content = encoded(pokeapi.species(1, pokeapi.LEAFLING, **changes))
    with pytest.raises(Unobtainable, match=message):
        answers.read_species(content, Language.EN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"types": []}, "types: List should have at least 1 item"),
        ({"sprites": {"other": {}}}, "sprites.other.official-artwork: Field required"),
        (
            {"sprites": {"other": {"official-artwork": {"front_default": None}}}},
            "names no official artwork",
        ),
    ],
)
def test_a_pokemon_of_another_shape_is_told(pokeapi, changes, message):
    with pytest.raises(Unobtainable, match=message):
        answers.read_pokemon(encoded({**pokeapi.pokemon(1), **changes}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Log in</html>", "HTML instead of JSON"),
        (b'{"names": [', "something else instead of JSON"),
        (b"", "something else instead of JSON"),
        (b"\xff\xfe", "something else instead of JSON"),
        (b"[" * 100_000, "something else instead of JSON"),
    ],
)
def test_what_is_no_json_may_be_asked_for_again(content, message):
    with pytest.raises(Transient, match=message):
        answers.read_name(content, Language.EN)


def test_json_of_another_kind_is_told():
    with pytest.raises(Unobtainable, match="Input should be an object"):
        answers.read_name(b"[]", Language.EN)
