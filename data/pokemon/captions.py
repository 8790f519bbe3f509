"""What is said of a Pokémon: one sentence of ours, then a flavor text of the games.

The words of colour, type and genus are PokeAPI's. Of shapes it has names in English and French
alone, so those are ours, as are the sentences around them. Where it has no word in the language,
the sentence does without that part; no part is ever told in another language.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from data.pokemon.language import Language

_LAST_GAME_OF_THE_STUDY = 30
"""Number of Ultra Moon. The study project's captions were made when the flavor texts of later games
were there for new species only; with the same choice its 781 captions are among these."""

SHAPES: Mapping[Language, Mapping[str, str]] = {
    Language.EN: {
        "ball": "ball-shaped",
        "squiggle": "serpentine",
        "fish": "fish-like",
        "arms": "two-armed",
        "blob": "blob-like",
        "upright": "upright",
        "legs": "two-legged",
        "quadruped": "four-legged",
        "wings": "winged",
        "tentacles": "tentacled",
        "heads": "many-headed",
        "humanoid": "humanoid",
        "bug-wings": "insect-winged",
        "armor": "armoured",
    },
    Language.KO: {
        "ball": "공 모양의",
        "squiggle": "뱀 모양의",
        "fish": "물고기 모양의",
        "arms": "두 팔 달린",
        "blob": "덩어리 모양의",
        "upright": "똑바로 선",
        "legs": "두 다리 달린",
        "quadruped": "네 발로 걷는",
        "wings": "날개 달린",
        "tentacles": "촉수 달린",
        "heads": "머리가 여럿인",
        "humanoid": "사람 모습의",
        "bug-wings": "곤충 날개 달린",
        "armor": "갑옷을 두른",
    },
    Language.JA: {
        "ball": "球形の",
        "squiggle": "ヘビのように細長い",
        "fish": "魚の形の",
        "arms": "二本腕の",
        "blob": "かたまり状の",
        "upright": "直立した",
        "legs": "二本足の",
        "quadruped": "四つ足の",
        "wings": "翼のある",
        "tentacles": "触手のある",
        "heads": "いくつも頭のある",
        "humanoid": "人型の",
        "bug-wings": "虫の羽のある",
        "armor": "よろいをまとった",
    },
    Language.DE: {
        "ball": "kugelförmiges",
        "squiggle": "schlangenförmiges",
        "fish": "fischförmiges",
        "arms": "zweiarmiges",
        "blob": "klumpenförmiges",
        "upright": "aufrechtes",
        "legs": "zweibeiniges",
        "quadruped": "vierbeiniges",
        "wings": "geflügeltes",
        "tentacles": "tentakeltragendes",
        "heads": "mehrköpfiges",
        "humanoid": "menschenähnliches",
        "bug-wings": "insektenflügeliges",
        "armor": "gepanzertes",
    },
}
"""Language to shape, as the API calls it, to what stands before the noun."""


@dataclasses.dataclass(frozen=True, slots=True)
class Looks:
    """What the first sentence tells, each in its language; what is empty is left out.

    Attributes:
      color: the API's word.
      shape: out of `SHAPES`.
      types: the API's words, two at most.
      genus: the API's words.
    """

    color: str
    shape: str
    types: Sequence[str]
    genus: str


def describe(language: Language, looks: Looks, flavor_text: str) -> str:
    """The caption.

    Args:
      language: of everything.
      looks: what the first sentence tells.
      flavor_text: what follows it, as `choose_flavor_text` gives it; may be empty.

    Returns:
      One or more sentences, on one line.
    """
    first = _SENTENCES[language](looks)
    between = "" if language is Language.JA else " "
    return f"{first}{between}{flavor_text}" if flavor_text else first


def choose_flavor_text(language: Language, by_version: Mapping[int, str]) -> str:
    """That of the latest game up to Ultra Moon, or where none of these has one, of the latest.

    Args:
      language: of the texts.
      by_version: number of the game to its text, with the line breaks of its screen.

    Returns:
      The text on one line, empty where there is none.
    """
    studied = {v: text for v, text in by_version.items() if v <= _LAST_GAME_OF_THE_STUDY}
    chosen = studied or by_version
    if not chosen:
        return ""
    # Old games hyphenate with soft hyphens.
    words = chosen[max(chosen)].replace("\u00ad\n", "").replace("\u00ad", "").split()
    # The games help children by spaces between words, which Japanese has none of.
    return ("" if language is Language.JA else " ").join(words)


def _english(looks: Looks) -> str:
    types = f"{' and '.join(looks.types)} type".lower() if looks.types else ""
    words = _spaced(looks.color.lower(), looks.shape, types, "Pokémon")
    article = "An" if words[0] in "aeiou" else "A"
    genus = f", the {looks.genus}" if looks.genus else ""
    return f"{article} {words}{genus}."


def _korean(looks: Looks) -> str:
    color = f"{looks.color} 빛깔의" if looks.color else ""
    types = f"{'·'.join(looks.types)} 타입" if looks.types else ""
    genus = f", {looks.genus}" if looks.genus else ""
    return f"{_spaced(color, looks.shape, types, '포켓몬')}{genus}."


def _japanese(looks: Looks) -> str:
    color = f"{looks.color}の" if looks.color else ""
    types = f"{'・'.join(looks.types)}タイプの" if looks.types else ""
    genus = f"、{looks.genus}" if looks.genus else ""
    return f"{color}{looks.shape}{types}ポケモン{genus}。"


def _german(looks: Looks) -> str:
    # "In Grün" and "Kategorie" take the API's words as they are, whatever their gender and ending.
    color = f"in {looks.color}" if looks.color else ""
    of_type = "mit den Typen" if looks.types[1:] else "vom Typ"
    types = f"{of_type} {' und '.join(looks.types)}" if looks.types else ""
    genus = f", Kategorie {looks.genus}" if looks.genus else ""
    return f"{_spaced('Ein', looks.shape, 'Pokémon', color, types)}{genus}."


def _spaced(*parts: str) -> str:
    return " ".join(filter(None, parts))


_SENTENCES: Mapping[Language, Callable[[Looks], str]] = {
    Language.EN: _english,
    Language.KO: _korean,
    Language.JA: _japanese,
    Language.DE: _german,
}
