"""The sheet: doubtful pairs with their pictures, as one file that needs no network."""

from collections.abc import Iterable
from pathlib import Path

from core import features
from core.files import write_atomically
from core.html import template_environment
from data import pair_examples
from data.dataset import Dataset
from pages.audit.findings import Findings, Pair
from pages.report import inline_data

TEMPLATE = "audit.html.j2"


def write(path: Path, dataset: Dataset, found: Findings, most: int) -> None:
    """Writes the sheet, whole or not at all.

    Args:
      path: of the HTML file.
      dataset: that was audited.
      found: in it.
      most: captions, near-duplicates and repeated captions on the sheet, of each kind.

    Raises:
      DexmatchError: it cannot be written there.
    """
    ranked = found.ranked[:most]
    twins = found.near_duplicates[:most]
    repeated = found.repeated[:most]
    shown = [
        *ranked,
        *(pair for each in twins for pair in (each.one, each.other)),
        *(pair for alike in repeated for pair in alike),
    ]
    page = (
        template_environment("pages.audit")
        .get_template(TEMPLATE)
        .render(
            name=dataset.path.resolve().name,
            found=found,
            ranked=ranked,
            twins=twins,
            repeated=repeated,
            pictures=_pictures(dataset, shown),
        )
    )
    write_atomically(path, page.encode("utf-8", "replace"))


def _pictures(dataset: Dataset, shown: Iterable[Pair]) -> dict[str, str]:
    """Id to a small picture as a data URI, empty where it cannot be shown."""
    wanted = {pair.id for pair in shown}
    files = [str(dataset.path / shard.name) for shard in dataset.files]
    found = {}
    for example in pair_examples.read_examples(files):
        pair_id = pair_examples.first_bytes(example, features.ID).decode()
        if pair_id in wanted:
            picture = pair_examples.first_bytes(example, features.IMAGE)
            found[pair_id] = inline_data.data_uri(picture)
    return found
