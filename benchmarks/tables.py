"""How the benchmarks print their tables."""

from rich.console import Console
from rich.table import Table

_NARROWEST = 100


def show(table: Table) -> None:
    """Prints it whole: a terminal that is too narrow, or none, does not fold the figures."""
    console = Console()
    console.width = max(_NARROWEST, console.width)
    console.print(table)
