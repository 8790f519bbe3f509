"""What users see: one console for words, one for results, and tables in the house style.

Progress and remarks go to stderr, results to stdout, so that `dexmatch ... --json | jq` works.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import IO

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

console = Console(stderr=True, highlight=False)
"""For remarks, progress and errors."""
output = Console(highlight=False)
"""For what the user asked for."""

_ANY_WIDTH = 10_000


@contextlib.contextmanager
def attached(out: IO[str], err: IO[str]) -> Iterator[None]:
    """Has `output` and `console` write to these streams for a while."""
    output.file, console.file = out, err
    try:
        yield
    finally:
        # None stands for whatever sys.stdout and sys.stderr are at the time.
        output.file = console.file = None  # type: ignore[assignment]


def say(text: str) -> None:
    """Prints a remark as it is: square brackets in it are no markup."""
    console.print(text, markup=False, soft_wrap=True)


def table(*columns: str) -> Table:
    """A table in the house style.

    Args:
      columns: their names; one that ends in ">" is right-aligned.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        justify: JustifyMethod = "right" if column.endswith(">") else "left"
        made.add_column(column.rstrip(">"), justify=justify, overflow="fold", min_width=4)
    return made


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], fewest: int) -> Table:
    """A table without the last columns, as many as the terminal is too narrow for.

    Args:
      columns: as for `table`, the most telling first.
      rows: a cell for each column; an empty row is a line between its neighbours. The first cell
        is folded where even the fewest columns are too wide, the others never.
      fewest: how many columns are shown however narrow the terminal is.
    """
    for count in range(len(columns), fewest - 1, -1):
        made = table(*columns[:count])
        for column in made.columns[1:]:
            column.no_wrap = True
        for row in rows:
            if row:
                made.add_row(*row[:count])
            else:
                made.add_section()
        wanted = Measurement.get(output, output.options.update(max_width=_ANY_WIDTH), made).maximum
        if wanted <= output.width:
            break
    return made


def figure(value: float | None) -> str:
    """A metric as the tables show it; "-" where there is none."""
    return "-" if value is None else f"{value:.3f}"
