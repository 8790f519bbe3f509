"""Options of the commands whose work Beam can do elsewhere."""

from typing import Annotated

import typer

from core.config import FLINK, SPARK
from core.errors import DexmatchError

RunnerOption = Annotated[
    str | None,
    typer.Option(
        help="What does the Beam jobs: [bold]direct[/] (this machine), [bold]flink[/] or "
        "[bold]spark[/]."
    ),
]
FlinkMasterOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="REST address of the Flink cluster.")
]
SparkMasterOption = Annotated[
    str | None, typer.Option(metavar="spark://HOST:PORT", help="Address of the Spark cluster.")
]
BeamArgOption = Annotated[
    list[str] | None,
    typer.Option(metavar="--NAME=VALUE", help="Option for Apache Beam; repeatable."),
]


def check_masters(runner: str, flink_master: str | None, spark_master: str | None) -> None:
    """Whether an address on the command line is that of the runner.

    Raises:
      DexmatchError: it is not, and so would mean nothing.
    """
    for master, cluster in (flink_master, FLINK), (spark_master, SPARK):
        if master and runner != cluster:
            raise DexmatchError(
                f"--{cluster}-master {master}: the runner is {runner}; add --runner {cluster}"
            )
