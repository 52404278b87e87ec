from __future__ import annotations

import functools

import pytest

from erlen.errors import place_of


def function(): ...


class Callable:
    def __call__(self): ...


@functools.wraps(function)
def wrapper(): ...


@pytest.mark.parametrize(
    ("thing", "place"),
    [
        (function, "'function' (test_errors.py:"),
        (functools.partial(function), "'function' (test_errors.py:"),
        (wrapper, "'function' (test_errors.py:"),
        (Callable(), "'Callable' (test_errors.py:"),
        (len, "'len'"),
        (3, "'int'"),
    ],
    ids=["function", "partial", "decorated", "callable object", "builtin", "number"],
)
def test_a_thing_is_named_with_the_place_where_it_was_written(thing, place):
    assert place_of(thing).startswith(place)
