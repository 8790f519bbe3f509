import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from core import terminal
from pipeline import logs


def test_everything_goes_to_the_file_but_what_is_meant_for_the_user(tmp_path, capfd):
    log = tmp_path / "logs" / "run.log"
    with logs.captured(log):
        os.write(1, b"from C, out\n")
        os.write(2, b"from C, err\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        logging.getLogger("somebody").info("from a logger")
        warnings.warn("from warnings", stacklevel=1)
        terminal.say("for the user")
        terminal.output.print("a result")
    out, err = capfd.readouterr()
    assert out == "a result\n"
    assert err == "for the user\n"
    text = log.read_text(encoding="utf-8")
    for source in ("C, out", "C, err", "a child", "a logger", "warnings"):
        assert f"from {source}" in text
    assert "user" not in text


def test_what_is_meant_for_the_progress_display_alone_is_not_in_the_file(tmp_path):
    ours = logging.getLogger("dexmatch")
    level = ours.level
    with logs.captured(tmp_path / "run.log"):
        ours.setLevel(logging.DEBUG)
        ours.debug("step 17")
        ours.info("epoch 2")
        ours.setLevel(level)
    text = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert "step 17" not in text
    assert "epoch 2" in text


def test_afterwards_all_is_as_before(tmp_path, capfd):
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    with pytest.raises(ZeroDivisionError), logs.captured(tmp_path / "run.log"):
        _ = 1 / 0
    os.write(1, b"out\n")
    terminal.say("err")
    assert capfd.readouterr() == ("out\n", "err\n")
    assert logging.getLogger().handlers == handlers
    assert logging.getLogger().level == level


def test_echo_shows_the_log_as_well(tmp_path, capfd):
    with logs.captured(tmp_path / "run.log", echo=True):
        os.write(1, "schön\n".encode())
        logging.getLogger("somebody").warning("look")
    err = capfd.readouterr().err
    assert "schön" in err
    assert "look" in err


HUSHED = """
import os, sys
from core import terminal
from pipeline import logs
with logs.hushed():
    os.write(2, b"from C")
    print("from a library", file=sys.stderr)
    terminal.say("for the user")
    terminal.output.print("a result")
terminal.say("afterwards")
"""


def test_what_is_meant_for_the_user_is_seen_while_libraries_are_hushed():
    done = subprocess.run(
        [sys.executable, "-c", HUSHED], capture_output=True, text=True, check=True
    )
    assert done.stderr == "for the user\nafterwards\n"
    assert done.stdout == "a result\n"


def test_a_full_disk_does_not_keep_the_streams_from_their_owners(capfd):
    """What could not be logged is lost, and nothing else."""
    with logs.captured(Path("/dev/full")):
        print("for the log")
        logging.getLogger("somebody").info("for the log")
        terminal.say("for the user")
    print("afterwards")
    out, err = capfd.readouterr()
    assert out.endswith("afterwards\n")
    assert err == "for the user\n"
