"""What counts as a word of a caption: the rules, and a count without TensorFlow.

`modules.preprocessing.captions` splits captions by these rules inside the model; importers and
reports only need to know how many words there are. Tests hold the two together.
"""

import functools
import re
import sys
import unicodedata
from collections.abc import Iterable

# Chinese and Japanese are written without spaces: each sign is a word of its own. Han, Hiragana and
# Katakana as Unicode's script property has them.
_SIGN_RANGES = (
    (0x2E80, 0x2E99), (0x2E9B, 0x2EF3), (0x2F00, 0x2FD5), (0x3005, 0x3005), (0x3007, 0x3007),
    (0x3021, 0x3029), (0x3038, 0x303B), (0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA),
    (0x30FD, 0x30FF), (0x31F0, 0x31FF), (0x32D0, 0x32FE), (0x3300, 0x3357), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xF900, 0xFA6D), (0xFA70, 0xFAD9), (0xFF66, 0xFF6F), (0xFF71, 0xFF9D),
    (0x16FE2, 0x16FE3), (0x16FF0, 0x16FF1), (0x1AFF0, 0x1AFF3), (0x1AFF5, 0x1AFFB),
    (0x1AFFD, 0x1AFFE), (0x1B000, 0x1B122), (0x1B132, 0x1B132), (0x1B150, 0x1B152),
    (0x1B155, 0x1B155), (0x1B164, 0x1B167), (0x1F200, 0x1F200), (0x20000, 0x2A6DF),
    (0x2A700, 0x2B739), (0x2B740, 0x2B81D), (0x2B820, 0x2CEA1), (0x2CEB0, 0x2EBE0),
    (0x2F800, 0x2FA1D), (0x30000, 0x3134A), (0x31350, 0x323AF),
)  # fmt: skip

# Thai, Lao, Khmer and Burmese are written without spaces too. Where their words end only a
# dictionary knows, so a word here is a cluster: a consonant with the vowels and tones around it and
# what is stacked below it, most often a syllable. A single letter would say less, and several
# clusters are too many different ones for a vocabulary.
_BEFORE = "\u0e40-\u0e44\u0ec0-\u0ec4"  # Vowels that are written before their consonant.
_THAI_LAO = "\u0e01-\u0e2e\u0e81-\u0eae\u0edc-\u0edf"
_AFTER = "\u0e30\u0e32\u0e45\u0eb0\u0eb2\u0ebd"
_KHMER = "\u1780-\u17b3"
_COENG = "\u17d2"  # Stacks the next consonant.
_BURMESE = (
    "\u1000-\u102a\u103f\u1050-\u1055\u105a-\u105d\u1061\u1065\u1066\u106e-\u1070\u1075-\u1081"
    "\u108e\ua9e0-\ua9e4\ua9e6-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa76\uaa7a\uaa7e\uaa7f"
)
_VIRAMA = "\u1039"  # Stacks the next consonant.
_ASAT = "\u103a"  # The consonant before it ends the syllable.

# What is not seen and ends no word, as Unicode Standard Annex 29 has it: the soft hyphen that says
# where a word may be broken, joiners inside of Persian and Sinhala words, marks of the direction of
# Arabic and Hebrew. The space of no width is left out, because it does end words.
_INVISIBLE_RANGES = (
    (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200C, 0x200F), (0x202A, 0x202E),
    (0x2060, 0x2064), (0x2066, 0x206F), (0xFEFF, 0xFEFF),
)  # fmt: skip

# Letters of Unicode 15.1, which Python 3.13 knows and TensorFlow 2.21, on any Python, does not.
_TOO_NEW = range(0x2EBF0, 0x2EE5E)

_ASCII_WORD = re.compile("[A-Za-z0-9]+")


def unspaced(mark: str) -> str:
    """A regular expression for each word of the scripts that are written without spaces.

    Args:
      mark: a regular expression for one combining mark (Unicode's category M), which not every
        dialect can say.
    """
    sign = f"[{_ranges(_SIGN_RANGES)}]"
    thai_lao = f"[{_BEFORE}]?[{_THAI_LAO}]{mark}*[{_AFTER}]*"
    khmer = f"[{_KHMER}](?:{_COENG}[{_KHMER}]|{mark})*"
    burmese = f"[{_BURMESE}](?:{_VIRAMA}[{_BURMESE}]|{mark})*(?:[{_BURMESE}]{_ASAT}{mark}*)*"
    return f"(?:{sign}|{thai_lao}|{khmer}|{burmese})"


def count_words(caption: str) -> int:
    """How many words the model finds in a caption, before any is cut off."""
    if caption.isascii():
        return len(_ASCII_WORD.findall(caption))
    unspaced_word, word = _patterns()
    text = unicodedata.normalize("NFKC", re.sub(INVISIBLE, "", caption))
    return len(word.findall(unspaced_word.sub(r" \g<0> ", text)))


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What to set apart, and any word: a letter or number, with more of them and marks."""
    return re.compile(unspaced(_class("M"))), re.compile(f"{_class('LN')}{_class('LMN')}*")


def _class(categories: str) -> str:
    """A character class of Unicode's general categories, by their first letter."""
    found: list[tuple[int, int]] = []
    for code in range(sys.maxunicode + 1):
        if code not in _TOO_NEW and unicodedata.category(chr(code))[0] in categories:
            if found and found[-1][1] == code - 1:
                found[-1] = (found[-1][0], code)
            else:
                found.append((code, code))
    return f"[{_ranges(found)}]"


def _ranges(ranges: Iterable[tuple[int, int]]) -> str:
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in ranges)


INVISIBLE = f"[{_ranges(_INVISIBLE_RANGES)}]"
"""A regular expression for one character that a word may hold and that is no part of it."""
