"""Docker's daemon is not where the run is: it is told places that hold for every process."""

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.infra_validator.executor import Executor


def test_the_model_is_copied_to_where_every_process_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    executor = Executor(BaseExecutor.Context(tmp_dir="/proc/self/cwd/scratch", unique_id="7"))
    folder = executor._get_tmp_dir()
    assert folder.startswith(f"{tmp_path}/scratch")
