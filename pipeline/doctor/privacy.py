"""What is left out of a text for an issue: the home folder, and logins in addresses."""

import os
import re
from pathlib import Path
from typing import Any

from serving.client.addresses import without_login

# One that was taken for a path has lost a slash.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/+)([^\s'\"<>]+)")


def without_secrets(value: Any) -> Any:
    """The same text, list or dict of plain values, with `~` for the home folder and no logins."""
    if isinstance(value, str):
        return _without_home(_ADDRESS.sub(lambda found: found[1] + without_login(found[2]), value))
    if isinstance(value, dict):
        return {name: without_secrets(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    return value


def _without_home(text: str) -> str:
    try:
        home = Path.home()
    except RuntimeError:  # There is none.
        return text
    for place in dict.fromkeys((os.path.realpath(home), str(home))):
        if place != os.sep:
            text = re.sub(rf"(?<![\w.~/-]){re.escape(place)}(?![\w.-])", "~", text)
    return text
