from __future__ import annotations

import math
import re
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlen.converters import (
    DEFAULT_CONVERTERS,
    AnyConverter,
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    NumberConverter,
    PathConverter,
    UnicodeConverter,
    UUIDConverter,
    ValidationError,
    quote_path,
)

SOME_UUID = uuid.UUID("0b3e6b5e-8a8a-4f6e-9d7b-6c1f2f0a1b2c")
HUGE = "1" * (sys.get_int_max_str_digits() + 1)


def accepts(converter, text):
    return re.fullmatch(converter.regex, text) is not None


@pytest.mark.parametrize(
    ("converter", "text", "value"),
    [
        (UnicodeConverter(None), "ada", "ada"),
        (PathConverter(None), "a/b", "a/b"),
        (AnyConverter(None, "about", "help"), "help", "help"),
        (IntegerConverter(None), "007", 7),
        (IntegerConverter(None, signed=True), "-7", -7),
        (IntegerConverter(None, fixed_digits=3), "007", 7),
        (IntegerConverter(None, min=1, max=9), "9", 9),
        (FloatConverter(None), "1.50", 1.5),
        (FloatConverter(None, signed=True), "-1.5", -1.5),
        (UUIDConverter(None), str(SOME_UUID).upper(), SOME_UUID),
    ],
)
def test_text_becomes_a_value(converter, text, value):
    assert accepts(converter, text)
    assert converter.to_python(text) == value
    assert type(converter.to_python(text)) is type(value)


@pytest.mark.parametrize(
    ("converter", "text"),
    [
        (UnicodeConverter(None), ""),
        (UnicodeConverter(None), "a/b"),
        (UnicodeConverter(None, minlength=2), "a"),
        (UnicodeConverter(None, maxlength=2), "abc"),
        (UnicodeConverter(None, length=2), "a"),
        (UnicodeConverter(None, length=2), "abc"),
        (PathConverter(None), "/a"),
        (PathConverter(None), "a\nb"),
        (PathConverter(None), ""),
        (AnyConverter(None, "a.b"), "axb"),
        (IntegerConverter(None), "-1"),
        (IntegerConverter(None), "1\n"),
        (IntegerConverter(None), "\N{ARABIC-INDIC DIGIT THREE}"),
        (IntegerConverter(None), "1_000"),
        (FloatConverter(None), "1"),
        (FloatConverter(None), "1."),
        (FloatConverter(None), "-1.5"),
        (FloatConverter(None), "1e5"),
        (UUIDConverter(None), SOME_UUID.hex),
    ],
)
def test_what_does_not_look_right_is_not_matched(converter, text):
    assert not accepts(converter, text)


@pytest.mark.parametrize(
    ("converter", "text", "reason"),
    [
        (IntegerConverter(None, fixed_digits=3), "7", "does not have 3 digits"),
        (IntegerConverter(None, min=5), "4", "4 is not between 5 and None"),
        (IntegerConverter(None, max=5), "6", "6 is not between None and 5"),
        (FloatConverter(None, min=0.5), "0.4", "between"),
        (FloatConverter(None, max=0.5), "0.6", "between"),
        (IntegerConverter(None), HUGE, "limit"),
        (FloatConverter(None), f"{'9' * 400}.0", "too large"),
    ],
    ids=["width", "min", "max", "float min", "float max", "huge int", "infinite float"],
)
def test_a_number_that_is_not_wanted_is_no_match(converter, text, reason):
    assert accepts(converter, text)

    with pytest.raises(ValidationError, match=reason):
        converter.to_python(text)


@pytest.mark.parametrize(
    ("converter", "value", "piece"),
    [
        (UnicodeConverter(None), "a b?#%é", "a%20b%3F%23%25%C3%A9"),
        (UnicodeConverter(None), "../a", "..%2Fa"),
        (UnicodeConverter(None), 7, "7"),
        (PathConverter(None), "a/b c", "a/b%20c"),
        (AnyConverter(None, "a/b"), "a/b", "a/b"),
        (IntegerConverter(None), "7", "7"),
        (IntegerConverter(None, fixed_digits=3), 7, "007"),
        (FloatConverter(None), 2, "2.0"),
        (FloatConverter(None), 1e22, "10000000000000000000000.0"),
        (FloatConverter(None), 1e-7, "0.0000001"),
        (UUIDConverter(None), SOME_UUID, str(SOME_UUID)),
        (UUIDConverter(None), SOME_UUID.hex, str(SOME_UUID)),
    ],
)
def test_a_value_becomes_a_piece_of_path(converter, value, piece):
    assert converter.to_url(value) == piece


@pytest.mark.parametrize(
    ("converter", "value", "reason"),
    [
        (AnyConverter(None, "a", "b"), "c", "'c' is none of 'a', 'b'"),
        (IntegerConverter(None), "x", "'x'"),
        (FloatConverter(None), math.nan, "nan"),
        (FloatConverter(None), math.inf, "inf"),
        (UUIDConverter(None), "x", "UUID"),
    ],
)
def test_a_value_without_a_piece_of_path_is_refused(converter, value, reason):
    with pytest.raises(ValueError, match=reason):
        converter.to_url(value)


def test_any_needs_words():
    with pytest.raises(ValueError, match=r"<any\(about, help\):page>"):
        AnyConverter(None)


@given(st.integers())
def test_an_integer_comes_back(number):
    converter = IntegerConverter(None, signed=True)

    assert accepts(converter, converter.to_url(number))
    assert converter.to_python(converter.to_url(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back(number):
    converter = FloatConverter(None, signed=True)

    assert accepts(converter, converter.to_url(number))
    assert converter.to_python(converter.to_url(number)) == number


def test_a_regex_that_lets_slashes_through_spans_segments():
    class Slug(BaseConverter):
        regex = "[^/]+"

    class Pair(BaseConverter):
        regex = "[a-z]+/[a-z]+"

    class Stated(BaseConverter):
        regex = "[a-z]+/[a-z]+"
        part_isolating = True

    class Given(BaseConverter):
        def __init__(self, map, regex):
            super().__init__(map)
            self.regex = regex

    assert [kind(None).isolated for kind in (BaseConverter, Slug, Stated)] == [True] * 3
    assert not Pair(None).isolated
    assert Given(None, "a|b").isolated
    assert not Given(None, "a/b").isolated


def test_the_shortcut_skips_what_would_be_asked_in_vain():
    class Doubling(IntegerConverter):
        def to_python(self, value):
            return super().to_python(value) * 2

    assert UnicodeConverter(None).shortcut is None
    assert IntegerConverter(None).shortcut is int
    assert IntegerConverter(None, signed=True).shortcut is int
    assert IntegerConverter(None, max=3).shortcut is not int
    doubling = Doubling(None).shortcut
    assert doubling is not None
    assert doubling("2") == 4


def test_a_converter_knows_its_map_and_ignores_arguments_it_does_not_name():
    router = object()

    assert BaseConverter(router, 1, x=2).map is router


def test_a_kind_of_number_says_how_it_is_read():
    with pytest.raises(NotImplementedError):
        NumberConverter(None).to_python("1")


def test_the_converters_of_every_app():
    assert sorted(DEFAULT_CONVERTERS) == [
        "any",
        "default",
        "float",
        "int",
        "path",
        "string",
        "uuid",
    ]


@pytest.mark.parametrize(
    ("text", "encoded", "quoted"),
    [
        ("/a/b", False, "/a/b"),
        ("/a%20b", False, "/a%2520b"),
        ("/a%20b c", True, "/a%20b%20c"),
        ("\\\r\n", False, "%5C%0D%0A"),
        ("\udc80", False, "%3F"),
    ],
)
def test_a_path_is_percent_encoded_once(text, encoded, quoted):
    assert quote_path(text, encoded=encoded) == quoted
