"""What users see."""

import io

from rich.console import Console

from core import terminal


def test_say_takes_brackets_as_they_are(monkeypatch):
    console = Console(file=io.StringIO(), width=100)
    monkeypatch.setattr(terminal, "console", console)
    terminal.say("images[0] [bold]x[/]")
    assert console.file.getvalue() == "images[0] [bold]x[/]\n"
