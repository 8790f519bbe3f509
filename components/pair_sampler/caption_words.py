"""What the model cannot read of the captions, in words, without Beam or TensorFlow."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class CaptionWords:
    """How many words the true captions of a split have.

    Attributes:
      captions: how many there are.
      longest: words of the longest.
      cut: how many have more words than the model reads.
      without: how many have none.
    """

    captions: int
    longest: int
    cut: int
    without: int


def warning(splits: Mapping[str, CaptionWords], max_tokens: int) -> str:
    """What the user should know of the captions of all splits, in one line; empty if nothing."""
    said = []
    if cut := [(name, split) for name, split in splits.items() if split.cut]:
        counts = ", ".join(
            f"{split.cut:,} of {split.captions:,} captions in split {name} (the longest has "
            f"{split.longest:,} words)"
            for name, split in cut
        )
        said.append(f"caption.max_tokens = {max_tokens} cuts {counts}; raise it to keep all words")
    if without := [(name, split) for name, split in splits.items() if split.without]:
        counts = ", ".join(
            f"{split.without:,} of {split.captions:,} captions in split {name}"
            for name, split in without
        )
        said.append(
            f"no word is in {counts}: the model says 0 of them, and that counts in the evaluation; "
            "import the data again without --keep-wordless-captions"
        )
    return ". ".join(said)
