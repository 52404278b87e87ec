"""Attributes that all instances of a class keep alike, whatever came first."""

from __future__ import annotations

import gc
import platform
from typing import Any

import pytest

from erlen.sharing import MOST_SHARED, shares

pytestmark = pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="this is how CPython does it"
)

NAMES = [f"name{number}" for number in range(MOST_SHARED)]


def has_dictionary(thing: object) -> bool:
    return any(type(each) is dict for each in gc.get_referents(thing))


def one_after_many(kind: type[Any]) -> Any:
    """A full instance of *kind*, made when there were many with one attribute."""
    for _ in range(100):
        kind().name0 = 0
    late = kind()
    for name in NAMES:
        setattr(late, name, 0)
    return late


def test_a_shared_attribute_makes_no_dictionary_however_late_it_comes():
    @shares(*NAMES)
    class Thing:
        pass

    assert not has_dictionary(one_after_many(Thing))


def test_one_that_is_not_shared_makes_a_dictionary_if_it_comes_late():
    class Thing:
        pass

    assert has_dictionary(one_after_many(Thing))


def test_other_attributes_can_be_set_and_found_all_the_same():
    @shares("name")
    class Thing:
        name = "usual"

    thing: Any = Thing()
    thing.other = 1

    assert (thing.name, vars(thing)) == ("usual", {"other": 1})


def test_more_than_can_be_shared_are_refused():
    with pytest.raises(ValueError, match=f"30 names are too many: {MOST_SHARED} can be shared"):
        shares(*NAMES, "one more")
