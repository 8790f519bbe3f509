"""How the benchmarks print their tables."""

from rich.console import Console
from rich.table import Table

_WIDEST = 1_000


def show(table: Table) -> None:
    """Prints it whole: a terminal that is too narrow, or none, does not fold it."""
    console = Console()
    whole = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    console.width = max(whole, console.width)
    console.print(table)
