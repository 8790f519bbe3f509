"""Which ids are taken: what of an import depends on all rows that stand before."""

import collections
import hashlib


class Ids:
    """Counts how often a name was used, and so finds the ids that are free."""

    def __init__(self) -> None:
        # Eight bytes each instead of the names: a million ids are some 100 MB less.
        self._uses: collections.Counter[int] = collections.Counter()

    def claim(self, row_id: str) -> int:
        """How often an id was asked for, this time included."""
        key = int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=8).digest())
        self._uses[key] += 1
        return self._uses[key]

    def number(self, image: str) -> int:
        """The number with which the name of a picture makes an id that is free, see `numbered`."""
        number = self.claim(image)
        # A picture may really be called "a.png#2", or so be an explicit id.
        while number > 1 and self.claim(numbered(image, number)) > 1:
            number = self.claim(image)
        return number


def numbered(name: str, number: int) -> str:
    """The id of the pair that is the first, or a later one, of a name."""
    return name if number == 1 else f"{name}#{number}"
