import subprocess
import sys

import pytest

PROGRAM = """
import gc, sys
from core.garbage import spare_libraries
class Kept:
    def __del__(self): print("looked through")
kept = Kept()
kept.itself = kept
if "spare" in sys.argv: spare_libraries()
else: gc.disable()
print(gc.get_threshold()[0] == 50_000, gc.isenabled())
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], ["False False", "looked through"]), (["spare"], ["True True"])],
)
def test_nothing_is_looked_through_when_the_process_ends(arguments, said):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == said
