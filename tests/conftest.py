"""What several tests need: quiet libraries, and pictures of every kind."""

import os

# Before TensorFlow is loaded.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses
import fcntl
import gc
import importlib.util
import io
import shutil
import socket
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

# The same examples each time, however long they take on a busy machine.
hypothesis.settings.register_profile("dexmatch", deadline=None, derandomize=True)
hypothesis.settings.load_profile("dexmatch")

# Libraries are the most of what lives, and stay: looking them through for garbage takes a third of
# the time that loading them takes, and as long again when the process ends.
gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _painting(width: int = 40, height: int = 28) -> Image.Image:
    """Colours that change over both axes, so that a flip or a swap shows."""
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def _see_through() -> Image.Image:
    image = _painting().convert("RGBA")
    alpha = np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))
    image.putalpha(Image.fromarray(alpha))
    return image


PICTURES: dict[str, Callable[[], bytes]] = {
    "rgb.png": lambda: _encoded(_painting(), "PNG"),
    "rgba.png": lambda: _encoded(_see_through(), "PNG"),
    "grey.png": lambda: _encoded(_painting().convert("L"), "PNG"),
    "grey_alpha.png": lambda: _encoded(_see_through().convert("LA"), "PNG"),
    "palette.png": lambda: _encoded(_painting().quantize(16), "PNG"),
    "palette_alpha.png": lambda: _encoded(_painting().quantize(16), "PNG", transparency=3),
    "tall.png": lambda: _encoded(_painting(9, 50), "PNG"),
    "thin.png": lambda: _encoded(_painting(500, 1), "PNG"),
    "rgb.jpg": lambda: _encoded(_painting(), "JPEG", quality=90),
    "grey.jpg": lambda: _encoded(_painting().convert("L"), "JPEG", quality=90),
    "rgb.bmp": lambda: _encoded(_painting(), "BMP"),
    "rgb.webp": lambda: _encoded(_painting(), "WEBP", lossless=True),
    "first_frame.gif": lambda: _encoded(
        _painting().quantize(16),
        "GIF",
        save_all=True,
        append_images=[Image.new("P", (40, 28))],
    ),
}


@pytest.fixture(scope="session")
def pictures() -> dict[str, bytes]:
    """File name to encoded content, one for each kind that is served."""
    return {name: make() for name, make in PICTURES.items()}


def _module(path: str) -> types.ModuleType:
    """A module of the tests, by its path from here."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, Path(__file__).parent / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def test_module() -> Callable[[str], types.ModuleType]:
    """Loads a module of the tests, by its path from here."""
    return _module


@pytest.fixture(scope="session")
def runs() -> types.ModuleType:
    """Trainings in miniature; see `training_runs`."""
    return _module("modules/training_runs.py")


@pytest.fixture(scope="session")
def transformed(runs, made_once) -> Path:
    """A folder with a transform graph, and files of 12 transformed pairs."""
    return made_once("transformed", runs.write_transformed)


@pytest.fixture(scope="session")
def metadata_store() -> type:
    """What writes MLMD databases, given a path; see `metadata_store.Store`."""
    return _module("metadata_store.py").Store


@pytest.fixture
def mount_disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system, given its size such as "1m"; only root may do so."""
    folder = tmp_path / "small"

    def mount(size: str) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        return folder

    yield mount
    if folder.is_mount():
        # Whoever failed to write may still hold a file open.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def foreign_folder(tmp_path_factory) -> Path:
    """A folder whose owner has packages that are called like ours, and a module like Python's.

    Whoever imports one of them fails.
    """
    folder = tmp_path_factory.mktemp("foreign")
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    for name in project["tool"]["importlinter"]["root_packages"]:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise ImportError('{name} of another')\n")
    # Neither frozen nor loaded when Python starts, and what multiprocessing imports first.
    (folder / "pickle.py").write_text("raise ImportError('pickle of another')\n")
    return folder


@pytest.fixture(scope="session")
def dexmatch_command(tmp_path_factory) -> list[str]:
    """What starts `dexmatch` as the installed script does.

    Unlike `python -c` or `python -m`, that does not put the current folder on the path.
    """
    script = tmp_path_factory.mktemp("scripts") / "dexmatch"
    script.write_text(
        "from pipeline.cli import main\n"
        # Worker processes import it.
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    return [sys.executable, str(script)]


@dataclasses.dataclass(frozen=True)
class TinyModels:
    """Two models that answer differently: folders of versions, each with version 1."""

    first: Path
    second: Path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Gives the folder of a name, which the first worker that asks fills; nobody else writes."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        path, done = base / name, base / f"{name}.done"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                fill(path)
                done.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def tiny_models(made_once) -> TinyModels:
    """Models like pushed ones, made in seconds."""

    def fill(folder: Path) -> None:
        support = _module("serving/core_support.py")
        for seed, name in enumerate(("first", "second"), start=1):
            support.push(folder / name / "1", seed=seed)

    base = made_once("tiny_models", fill)
    return TinyModels(base / "first", base / "second")


@pytest.fixture(scope="session")
def tiny(tiny_models):
    """The first of the tiny models, loaded in this process."""
    from serving.client import open_model

    return open_model(tiny_models.first)


@pytest.fixture(scope="session")
def serving(tiny_models):
    """The embedded server on the first of the tiny models, with the project's own settings.

    Requests are joined, so it takes 32 rows at most.
    """
    from serving import engines

    settings = Path(__file__).parents[1] / "serving_model"
    options = engines.Options(
        "dexmatch",
        tiny_models.first,
        grpc_port=0,
        rest_port=0,
        batching_config=settings / "batching.config",
        monitoring_config=settings / "monitoring.config",
    )
    with engines.running(engines.choose("embedded"), options) as running:
        yield running


@pytest.fixture
def free_port():
    """A TCP port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def browser():
    """Debian's chromium, driven by playwright."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("needs chromium")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def listen_to():
    """Gives, of a page in the browser, two lists that grow: what it says, and URLs it asks for."""

    def listen(page) -> tuple[list[str], list[str]]:
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message) or dialog.dismiss())
        page.on("request", lambda request: asked.append(request.url))
        return said, asked

    return listen
