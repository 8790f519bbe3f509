"""Python processes that we start run this very package, whatever folder they are started in.

Python puts the current folder first on the path of `python -m` and `python -c`. What a user has
there, be it called `data` or `pickle.py`, must not be taken for what the process is to import.
"""

import contextlib
import os
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_SAFE_PATH = "PYTHONSAFEPATH"
_PATH = "PYTHONPATH"

_lock = threading.Lock()
_users = 0
_before: dict[str, str | None] = {}


def child_environment() -> dict[str, str]:
    """The environment variables by which a Python process finds this package, first of all.

    The current folder is not searched. Both hold for the processes that it starts in turn.
    """
    # An empty entry stands for the current folder. The others hold wherever the process is started.
    named = os.environ.get(_PATH, "").split(os.pathsep)
    paths = [os.path.abspath(path) for path in named if path]
    # An installed package is found without help, and what is installed beside it must not come
    # before the standard library.
    if Path(sysconfig.get_path("purelib")) != _ROOT:
        paths.insert(0, str(_ROOT))
    return {_SAFE_PATH: "1", _PATH: os.pathsep.join(paths)}


@contextlib.contextmanager
def child_environment_applied() -> Iterator[None]:
    """Processes that a library starts inside, without asking for their environment, get it too.

    It is that of the whole process, so other threads' children get it as well; with several
    threads inside, it ends with the last.
    """
    global _users
    with _lock:
        if not _users:
            variables = child_environment()
            _before.update({name: os.environ.get(name) for name in variables})
            os.environ.update(variables)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _restore()


def _restore() -> None:
    for name, value in _before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    _before.clear()
