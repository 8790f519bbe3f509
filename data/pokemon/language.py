"""The languages in which captions are made."""

import enum


class Language(enum.StrEnum):
    """A language, by its code for `--language`."""

    EN = "en"
    KO = "ko"
    JA = "ja"
    DE = "de"

    @property
    def english_name(self) -> str:
        """What messages call it."""
        return _NAMES[self]

    @property
    def codes(self) -> tuple[str, ...]:
        """The names by which PokeAPI knows it, in lower case, the preferred one first.

        Japanese is there in ordinary spelling and in kana alone, and some words only in the second.
        """
        return ("ja", "ja-hrkt") if self is Language.JA else (self.value,)


_NAMES = {
    Language.EN: "English",
    Language.KO: "Korean",
    Language.JA: "Japanese",
    Language.DE: "German",
}
