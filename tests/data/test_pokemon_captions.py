"""Captions of Pokémon in every language, and how the model splits them."""

import pytest

from core.words import count_words
from data.pokemon.captions import SHAPES, Looks, choose_flavor_text, describe
from data.pokemon.language import Language
from modules.preprocessing.captions import words

BULBASAUR = {
    Language.EN: Looks("Green", "four-legged", ["Grass", "Poison"], "Seed Pokémon"),
    Language.KO: Looks("초록", "네 발로 걷는", ["풀", "독"], "씨앗포켓몬"),
    Language.JA: Looks("緑色", "四つ足の", ["くさ", "どく"], "たねポケモン"),
    Language.DE: Looks("Grün", "vierbeiniges", ["Pflanze", "Gift"], "Samen-Pokémon"),
}
SENTENCES = {
    Language.EN: "A green four-legged grass and poison type Pokémon, the Seed Pokémon.",
    Language.KO: "초록 빛깔의 네 발로 걷는 풀·독 타입 포켓몬, 씨앗포켓몬.",
    Language.JA: "緑色の四つ足のくさ・どくタイプのポケモン、たねポケモン。",
    Language.DE: (
        "Ein vierbeiniges Pokémon in Grün mit den Typen Pflanze und Gift, Kategorie Samen-Pokémon."
    ),
}
SHORTEST = {
    Language.EN: "A Pokémon.",
    Language.KO: "포켓몬.",
    Language.JA: "ポケモン。",
    Language.DE: "Ein Pokémon.",
}


@pytest.mark.parametrize("language", Language)
def test_the_first_sentence(language):
    assert describe(language, BULBASAUR[language], "") == SENTENCES[language]


@pytest.mark.parametrize("language", Language)
def test_what_is_missing_is_left_out(language):
    assert describe(language, Looks("", "", [], ""), "") == SHORTEST[language]


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        (Language.EN, "A red fire type Pokémon."),
        (Language.KO, "빨강 빛깔의 불꽃 타입 포켓몬."),
        (Language.JA, "赤色のほのおタイプのポケモン。"),
        (Language.DE, "Ein Pokémon in Rot vom Typ Feuer."),
    ],
)
def test_one_type_and_neither_shape_nor_genus(language, sentence):
    colors = {"en": "Red", "ko": "빨강", "ja": "赤色", "de": "Rot"}
    types = {"en": "Fire", "ko": "불꽃", "ja": "ほのお", "de": "Feuer"}
    assert describe(language, Looks(colors[language], "", [types[language]], ""), "") == sentence


def test_a_vowel_takes_an():
    looks = Looks("", "upright", ["Ice"], "")
    assert describe(Language.EN, looks, "") == "An upright ice type Pokémon."


def test_the_flavor_text_follows_as_sentences_do_in_the_language():
    nothing = Looks("", "", [], "")
    assert describe(Language.EN, nothing, "It naps.") == "A Pokémon. It naps."
    assert describe(Language.JA, nothing, "ねむる。") == "ポケモン。ねむる。"


def test_every_language_has_a_word_for_every_shape():
    for language in Language:
        assert SHAPES[language].keys() == SHAPES[Language.EN].keys()
        assert len(set(SHAPES[language].values())) == len(SHAPES[language])
    assert len(SHAPES[Language.EN]) == 14  # As many as PokeAPI knows.


@pytest.mark.parametrize(
    ("by_version", "chosen"),
    [
        ({}, ""),
        ({1: "old", 30: "Ultra Moon", 34: "Shield"}, "Ultra Moon"),
        ({34: "Shield", 26: "Alpha Sapphire", 25: "Omega Ruby"}, "Alpha Sapphire"),
        ({33: "Sword", 40: "Scarlet"}, "Scarlet"),
    ],
)
def test_which_flavor_text(by_version, chosen):
    assert choose_flavor_text(Language.EN, by_version) == chosen


@pytest.mark.parametrize(
    ("language", "text", "line"),
    [
        (
            Language.EN,
            " burn vigor\u00ad\nously, even\nif\fit gets wet.",
            "burn vigorously, even if it gets wet.",
        ),
        (Language.KO, "등에\n씨앗이 있다.", "등에 씨앗이 있다."),
        (Language.JA, "背中に\n不思議な\u3000タネが\u3000ある。", "背中に不思議なタネがある。"),
        (Language.DE, "Samen\nauf dem Rücken.", "Samen auf dem Rücken."),
    ],
)
def test_a_flavor_text_loses_the_breaks_of_its_screen(language, text, line):
    assert choose_flavor_text(language, {1: text}) == line


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (Language.EN, {"green", "four", "legged", "grass", "poison", "seed"}),
        (Language.KO, {"초록", "풀", "독", "타입", "포켓몬", "씨앗포켓몬"}),
        (Language.JA, {"緑", "色", "四", "く", "さ", "ど"}),
        (Language.DE, {"vierbeiniges", "grün", "pflanze", "gift", "samen"}),
    ],
)
def test_the_model_finds_the_words(language, expected):
    """Colour and types stand alone, in Japanese sign by sign."""
    caption = describe(language, BULBASAUR[language], "")
    found = [word.decode() for word in words([caption])[0].numpy()]
    assert expected <= set(found)
    assert len(found) == count_words(caption)
