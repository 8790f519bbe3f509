"""Whether the data sets are whole that the configuration names."""

from collections.abc import Iterator

from core.errors import DexmatchError
from core.progress import show_progress
from data import dataset as datasets
from pipeline.doctor.check import Check, of_error, ok, problem
from pipeline.doctor.subject import Subject

_AGAIN = "import the data again"


def checks(subject: Subject) -> Iterator[Check]:
    """See the module."""
    settings = subject.settings
    yield look_at("data set", settings.data.dataset, subject.thorough)
    if settings.bulk.dataset:
        yield look_at("bulk data set", settings.bulk.dataset, subject.thorough)


def look_at(name: str, folder: str, thorough: bool) -> Check:
    """Looks at one data set.

    Args:
      name: of the check.
      folder: of the data set; empty for none.
      thorough: whether every byte is read, and not the sizes of the files only.
    """
    if not folder:
        return ok(name, "none is named (--data)")
    try:
        dataset = datasets.load(folder)
        if thorough:
            with show_progress(f"Reading {folder}, in bytes", dataset.bytes) as done:
                datasets.verify(dataset, done)
    except DexmatchError as error:
        return of_error(name, error, _AGAIN, path=folder)
    pairs = sum(shard.examples for shard in dataset.files)
    facts = {"path": folder, "pairs": pairs, "bytes": dataset.bytes, "read_whole": thorough}
    if pairs != dataset.imported:
        found = f"{folder}: {dataset.imported:,} pairs were imported, its shards hold {pairs:,}"
        return problem(name, found, _AGAIN, **facts)
    looked = "every byte as imported" if thorough else "sizes as imported; --thorough reads them"
    size = f"{dataset.bytes / 1e6:,.1f} MB in {len(dataset.files):,} shards"
    return ok(name, f"{folder}: {pairs:,} pairs, {size}, {looked}", **facts)
