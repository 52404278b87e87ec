"""How instances keep their attributes. Knows what CPython does, and no class of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["MOST_SHARED", "shares"]

C = TypeVar("C", bound=type[Any])

MOST_SHARED = 29
"""How many attributes all instances of a class can keep without a dictionary each."""


def shares(*names: str) -> Callable[[C], C]:
    """Let the instances of a class keep the attributes *names* without a dictionary each.

    Others can be set all the same. It goes for the class alone, and not for its subclasses.

    PERF: the instances of a class share one table of names (PEP 412). CPython takes names into it
    from the first instances only: each leaves room for one less, and an instance with a name that
    came too late makes itself a dictionary, 0.3 us (timeit). So what an app serves first would
    decide how long the rest takes. Here an instance that nobody sees takes all room.

    :raises ValueError: if there are more than :data:`MOST_SHARED`.
    """
    if len(names) > MOST_SHARED:
        raise ValueError(f"{len(names)} names are too many: {MOST_SHARED} can be shared.")

    def share(cls: C) -> C:
        first = object.__new__(cls)
        for name in names:
            object.__setattr__(first, name, None)
        return cls

    return share
