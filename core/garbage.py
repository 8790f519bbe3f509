"""Python's garbage collector, kept off the libraries: they are hundreds of thousands of objects.

Looking these through takes a fifth of the time in which TFX is loaded, and at the end of a process
two to three seconds.
"""

import atexit
import gc

# Python's own, 700 or 2,000 new objects, are soon there while modules are loaded.
_NEW_OBJECTS = 50_000


def spare_libraries() -> None:
    """Looks for garbage less often, and no more when the process ends; what programs begin with."""
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)
