"""A data set in which some captions stand at the picture of another group."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core import features
from data import dataset as datasets
from data import striking
from data.dataset import Dataset
from data.records import Record


class SwappedReader(striking.DatasetReader):
    """The pairs of a data set, some with the caption of another.

    Args:
      dataset: whose pairs are read.
      captions: id to the caption that stands there now.
    """

    def __init__(self, dataset: Dataset, captions: dict[str, str]):
        super().__init__(dataset, {})
        self._captions = captions

    def pairs(self, *, with_images: bool) -> Iterator[Record]:
        """All pairs."""
        for record in super().pairs(with_images=with_images):
            caption = self._captions.get(str(record.fields[features.ID]))
            changed = {} if caption is None else {features.CAPTION: caption}
            yield Record(record.origin, {**record.fields, **changed})


def write_swapped(source: Path, out: Path, share: float, seed: int) -> tuple[Dataset, set[str]]:
    """Swaps captions between groups.

    Args:
      source: folder of a data set.
      out: folder to make.
      share: of the pairs whose captions are swapped.
      seed: of the draw.

    Returns:
      The new data set, and the ids of the pairs whose caption is another's.
    """
    dataset = datasets.load(source)
    pairs = striking.DatasetReader(dataset, {}).pairs(with_images=False)
    fields = [record.fields for record in pairs]
    swapped = swap(fields, round(share * len(fields)), seed)
    made = striking.write_from(SwappedReader(dataset, swapped), dataset, out, rejects=0)
    return made, set(swapped)


def swap(pairs: list[dict], count: int, seed: int) -> dict[str, str]:
    """Gives pairs, of different groups each, the captions of each other.

    Args:
      pairs: with `id`, `group` and `caption`.
      count: of the pairs that get another caption.
      seed: of the draw.

    Returns:
      Id to caption.
    """
    by_group = defaultdict(list)
    for pair in pairs:
        by_group[pair[features.GROUP]].append(pair)
    generator = np.random.default_rng(seed)
    # One of a group: so whoever comes next in the ring is of another one.
    drawn = [members[generator.integers(len(members))] for _, members in sorted(by_group.items())]
    ring = [drawn[index] for index in generator.permutation(len(drawn))[:count]]
    captions = [pair[features.CAPTION] for pair in ring]
    return {
        pair[features.ID]: caption
        for pair, caption in zip(ring, captions[1:] + captions[:1], strict=True)
        if caption != pair[features.CAPTION]
    }
