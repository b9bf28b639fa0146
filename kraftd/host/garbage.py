"""How often Python looks for garbage that refers to itself."""

import gc

_NEW_OBJECTS = 20_000


def collect_seldom() -> None:
    """Look for it seldom, and never among what is loaded by now.

    A cycle of the collector makes tens of thousands of objects and keeps them until the next one; hardly any refer to
    themselves. Python looks at the new ones after each 700, and now and then at all: a fifth of a cycle's CPU.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
