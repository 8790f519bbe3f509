"""What is said of a creature: a small grammar with synonyms, orders and moods.

True and negatives come from the same grammar, so that nothing in the words alone tells which
is which: one has to look.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from data.demo.creatures import ATTRIBUTES, Creature

HARD_CAPTIONS = 4
"""Nearly right captions per creature."""

Looks = Mapping[str, str]
"""Attribute to value, see `creatures.ATTRIBUTES`."""

WORDING: dict[str, dict[str, tuple[str, ...]]] = {
    "color": {
        "red": ("red", "crimson", "scarlet"),
        "yellow": ("yellow", "golden-yellow", "lemon-coloured"),
        "green": ("green", "emerald", "grass-green"),
        "blue": ("blue", "azure", "cobalt"),
        "purple": ("purple", "violet", "plum-coloured"),
        "pink": ("pink", "rose-coloured", "bubblegum-pink"),
        "white": ("white", "ivory", "milk-white"),
        "black": ("black", "coal-black", "jet-black"),
    },
    "body": {
        "blob": ("blob", "dumpling-shaped creature", "round little ball of a creature"),
        "bird": ("bird", "beaked creature", "feathered friend"),
        "serpent": ("serpent", "snake", "long legless creature"),
        "quadruped": ("four-legged creature", "beast on four paws", "quadruped"),
        "fish": ("fish", "finned creature", "swimmer with fins"),
        "butterfly": ("butterfly", "creature with broad wings", "big-winged flutterer"),
    },
    "pattern": {
        "plain": ("without any markings", "with a plain coat", "in one single colour"),
        "spots": ("covered in spots", "with big round dots", "with a spotted coat"),
        "stripes": ("with bold stripes", "with a striped coat", "banded from end to end"),
        "belly": ("with a pale belly", "with a light patch on its front", "with a bright tummy"),
    },
    "part": {
        "none": ("a bare head", "nothing at all on its head", "no ornament on its head"),
        "horns": ("two horns", "a pair of curved horns", "horns on its brow"),
        "crown": ("a crown", "a little golden crown", "a royal crown on its head"),
        "leaf": ("a leaf on its head", "a sprout growing on top", "fresh leaves for a hat"),
        "flame": ("a flame on its head", "fire burning on top", "a blazing tuft of fire"),
        "antennae": ("two antennae", "a pair of feelers", "long feelers with round tips"),
    },
    "place": {
        "meadow": ("in a meadow", "among flowers in the grass", "on a grassy hillside"),
        "night": ("under the stars", "at night", "by moonlight"),
        "sea": ("in the sea", "under water", "among the bubbles of the ocean"),
        "desert": ("in the desert", "on hot sand", "between the dunes"),
        "snow": ("in the snow", "on a winter day", "on a snowy field"),
        "cave": ("in a cave", "deep underground", "among the rocks of a cavern"),
    },
}
"""Attribute to value to the phrases that name it. No phrase is part of another value's."""

# {subject} is colour, body and pattern.
_FRAMES = (
    "{subject}, with {part}, {place}.",
    "{place} there is {subject}, and it has {part}.",
    "{subject} {verb} {place}; it has {part}.",
    "It has {part}: {subject} {place}.",
    "{mood} {subject} {verb} {place} and shows off {part}.",
    "Look, {subject}, with {part}, {place}!",
    "{place} {verb2} {subject}, proud of having {part}.",
    "With {part}, {subject} {verb} {place}.",
)
# The same without the part or without the place: a caption need not say everything.
_SHORT_FRAMES = (
    "{subject} {place}.",
    "{place}, {subject} {verb}.",
    "{subject}; it has {part}.",
    "There is {subject}, and it has {part}.",
)
_SHORT_SHARE = 0.2
_VERBS = ("waits", "rests", "smiles", "looks around", "is at home", "daydreams", "plays")
_INVERTED_VERBS = ("lives", "sits", "waits", "dreams")
_MOODS = ("a cheerful sight:", "what a day:", "quietly,", "as ever,", "full of joy,")
_SIZES = ("", "", "little ", "young ", "curious ", "friendly ", "shy ")


def describe(looks: Looks, generator: random.Random) -> str:
    """Puts looks into words: color, body and pattern always, part and place nearly always.

    Args:
      looks: attribute to value.
      generator: chooses frame, order and synonyms.

    Returns:
      One sentence of 6 to 30 words.
    """
    return _compose(looks, _frame(generator), generator)


def describe_wrongly(creature: Creature, generator: random.Random) -> list[str]:
    """Captions that are nearly right: each states one attribute wrongly, and the others rightly.

    Args:
      creature: whom they are not true of.
      generator: chooses attributes, wrong values and words.

    Returns:
      `HARD_CAPTIONS` sentences, each with another attribute wrong.
    """
    looks = looks_of(creature)
    sentences: list[str] = []
    unused = list(ATTRIBUTES)
    while len(sentences) < HARD_CAPTIONS:
        frame = _frame(generator)
        # What the frame leaves out it cannot get wrong.
        open_to_error = [name for name in unused if _states(frame, name)]
        if not open_to_error:
            continue
        attribute = generator.choice(open_to_error)
        unused.remove(attribute)
        values = [value for value in ATTRIBUTES[attribute] if value != looks[attribute]]
        wrong = {**looks, attribute: generator.choice(values)}
        sentences.append(_compose(wrong, frame, generator))
    return sentences


def looks_of(creature: Creature) -> dict[str, str]:
    """A creature's attributes alone."""
    return {name: value for name, value in asdict(creature).items() if name in ATTRIBUTES}


def stated(caption: str) -> dict[str, str]:
    """Reads a caption back: every attribute that it states, and the value that it gives it.

    Longer phrases are looked for first, so that "rose-coloured" is not missed for a shorter one.
    """
    text = caption.lower()
    found = {}
    for attribute, values in WORDING.items():
        phrases = [(phrase, value) for value, phrases in values.items() for phrase in phrases]
        for phrase, value in sorted(phrases, key=lambda each: -len(each[0])):
            if _contains(text, phrase):
                found[attribute] = value
                break
    return found


def _frame(generator: random.Random) -> str:
    frames = _SHORT_FRAMES if generator.random() < _SHORT_SHARE else _FRAMES
    return generator.choice(frames)


def _states(frame: str, attribute: str) -> bool:
    return attribute in ("color", "body", "pattern") or f"{{{attribute}}}" in frame


def _compose(looks: Looks, frame: str, generator: random.Random) -> str:
    words = {name: generator.choice(WORDING[name][value]) for name, value in looks.items()}
    size = generator.choice(_SIZES)
    subject = f"{size}{words['color']} {words['body']} {words['pattern']}"
    sentence = frame.format(
        subject=f"{_article(subject)} {subject}",
        part=words["part"],
        place=words["place"],
        verb=generator.choice(_VERBS),
        verb2=generator.choice(_INVERTED_VERBS),
        mood=generator.choice(_MOODS),
    )
    return sentence[0].upper() + sentence[1:]


def _article(text: str) -> str:
    return "an" if text[0] in "aeiou" else "a"


def _contains(text: str, phrase: str) -> bool:
    """Whether the phrase stands in the text as whole words."""
    before, found, after = text.partition(phrase)
    if not found:
        return False
    whole = not before[-1:].isalnum() and not after[:1].isalnum()
    return whole or _contains(after, phrase)


def distinct_words(captions: Sequence[str]) -> set[str]:
    """The vocabulary of some captions, in lower case, without punctuation."""
    return {word.strip(".,;:!").lower() for caption in captions for word in caption.split()}
