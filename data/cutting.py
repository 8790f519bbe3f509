"""Which rows go into which shard."""

ROWS_PER_SHARD = 512
"""Of the source; rejected ones leave gaps, so that a shard does not depend on those before it."""
EMBEDDED_BYTES_PER_SHARD = 32 * 2**20
"""A shard is shorter where the source holds large pictures: they travel between processes."""


class Cutter:
    """Says where a shard ends."""

    def __init__(self) -> None:
        self._rows = 0
        self._bytes = 0

    @property
    def rows(self) -> int:
        """How many there are in the shard that is not yet full."""
        return self._rows

    def add(self, embedded_bytes: int) -> bool:
        """Takes a row.

        Args:
          embedded_bytes: of its picture; 0 if that is a file, or the row a reject.

        Returns:
          Whether the shard is full with it.
        """
        self._rows += 1
        self._bytes += embedded_bytes
        if self._rows < ROWS_PER_SHARD and self._bytes < EMBEDDED_BYTES_PER_SHARD:
            return False
        self._rows = self._bytes = 0
        return True
