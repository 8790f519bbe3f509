"""`dexmatch run`."""

from pathlib import Path
from typing import Annotated

import typer

from core import config as configs
from core.config import Config
from core.errors import DexmatchError
from core.terminal import say
from pipeline.commands.runner_options import (
    BeamArgOption,
    FlinkMasterOption,
    RunnerOption,
    SparkMasterOption,
    check_masters,
)

NOT_BLESSED = 3
"""Exit status of a run that came to its end with a model that may not be pushed."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE|RECIPE",
        help="A TOML file, or the name of a recipe that comes along: "
        f"[bold]{'[/], [bold]'.join(configs.recipe_names())}[/].",
        show_default=f"{configs.PROJECT_FILE}, if there is one here",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="SECTION.KEY=VALUE", help="Overrides one key; repeatable."),
]


def run(
    data: Annotated[
        str | None,
        typer.Option(help="Data set folder, as written by [bold]dexmatch data import[/]."),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    orchestrator: Annotated[
        str | None, typer.Option(help="[bold]local[/] (LocalDagRunner) or [bold]beam[/].")
    ] = None,
    runner: RunnerOption = None,
    flink_master: FlinkMasterOption = None,
    spark_master: SparkMasterOption = None,
    beam_arg: BeamArgOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the log of TFX, Beam and TensorFlow.")
    ] = False,
) -> None:
    """Runs the pipeline: from a data set to a blessed and pushed model.

    What an earlier run made from the same input is taken from the cache. Exit status: 0 blessed and
    pushed, 3 not blessed or not to be served, 2 a mistake that you can mend, 1 any other failure.

    Examples:

        dexmatch run --data datasets/mine

        dexmatch run --data datasets/mine --set trainer.epochs=50 --set image.size=96

        dexmatch run --config seed --data datasets/mine --orchestrator beam
          --beam-arg=--direct_running_mode=multi_processing --beam-arg=--direct_num_workers=2

        dexmatch run --data datasets/mine --runner flink --flink-master flink.example:8081
    """
    settings = load_config(
        config,
        set_,
        data,
        beam_arg,
        orchestrator=orchestrator,
        runner=runner,
        flink_master=flink_master,
        spark_master=spark_master,
    )
    check_masters(settings.run.runner, flink_master, spark_master)
    raise typer.Exit(execute_and_report(settings, verbose))


def load_config(
    path: Path | None,
    overrides: list[str] | None,
    data: str | None = None,
    beam_args: list[str] | None = None,
    **of_run: str | None,
) -> Config:
    """The configuration that a command line asks for; options win over `--set`, and it over the
    file, which may be a recipe. Without one it is the project's, if there is one in the current
    folder, which is said.

    Args:
      path: `--config`.
      overrides: `--set`.
      data: `--data`.
      beam_args: `--beam-arg`; added to those of the configuration.
      of_run: keys of the section `run` that have options of their own.
    """
    file = configs.file_or_recipe(path) if path else _project_file()
    settings = configs.load(file, overrides or ())
    tree = settings.model_dump()
    if settings.user_functions and not settings.run.code:
        tree["run"]["code"] = str(file.parent if file and not configs.is_recipe(file) else Path())
    if data:
        tree["data"]["dataset"] = data
    tree["run"] |= {key: value for key, value in of_run.items() if value}
    tree["run"]["beam_args"] = (*settings.run.beam_args, *(beam_args or ()))
    return configs.validate(tree)


def _project_file() -> Path | None:
    file = Path(configs.PROJECT_FILE)
    if not file.is_file():
        return None
    say(f"configuration: {file}")
    return file


def execute_and_report(settings: Config, verbose: bool) -> int:
    """Runs the pipeline and prints how it went.

    Returns:
      The exit status, see `run`.
    """
    from core.terminal import console
    from pipeline import execution, summary
    from results import retrieval, serving_report
    from results.workspace import Workspace

    outcome = execution.execute(settings, verbose)
    workspace = Workspace.from_config(settings)
    run, evaluation = outcome.run, outcome.evaluation
    if run:
        summary.print_components(run)
    if outcome.error:
        console.print("[bold red]Failed[/]: ", end="")
        say(outcome.error)
        say(f"Everything that was said is in {outcome.log}")
        return 2 if outcome.is_users else 1
    if run is None or evaluation is None:
        raise DexmatchError(f"{workspace.metadata}: no trace of the run that just ended")
    summary.print_evaluation(evaluation, settings.evaluator.min_slice_pairs)
    if searched := run.output("RetrievalMetrics"):
        summary.print_retrieval(retrieval.load(searched.uri))
    summary.print_warnings(run)
    infra = run.output("InfraBlessing")
    served = serving_report.load(infra.uri) if infra else None
    summary.print_verdict(run, evaluation, served, workspace)
    summary.print_pointers(run, workspace, outcome.log)
    return 0 if run.is_blessed and run.is_infra_blessed is not False else NOT_BLESSED
