"""How a text is divided among the variables of a rule."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlen.division import division, expression

PATH, PLAIN, DIGITS = "[^/].*?", "[^/]+", "[0-9]+"

looks = st.sampled_from([PATH, PATH, PLAIN, DIGITS, "[^/]{0,2}", "[^/]{2,}"])
literals = st.sampled_from(["", "/", "-", "x", "/x", "/x/", "//", "1", "\n"])
letters = st.sampled_from(["a", "x", "1", "/", "-", "\n", "/x/"])


@st.composite
def rules_and_texts(draw):
    """Two to four variables, the texts around them, and a text that may be theirs."""
    found = draw(st.lists(looks, min_size=2, max_size=4))
    around = draw(st.lists(literals, min_size=len(found) + 1, max_size=len(found) + 1))
    middle = "".join(draw(st.lists(letters | st.sampled_from(around), max_size=12)))
    return around, found, draw(st.sampled_from([middle, f"{around[0]}{middle}{around[-1]}"]))


@given(rules_and_texts())
def test_a_text_is_divided_as_a_regular_expression_would(rule):
    texts, looks, text = rule

    match = re.fullmatch(expression(texts, looks), text)

    wanted = match and match.groups()
    assert division(texts, looks, short=-1)(text) == wanted
    assert division(texts, looks)(text) == wanted


@pytest.mark.parametrize(
    ("texts", "looks", "text", "values"),
    [
        (["", "/x/", "/y"], [PATH, PATH], "a/x/b/x/c/y", ("a", "b/x/c")),
        (["", "/x/", ""], [PATH, PATH], "a/x//x/b", ("a/x/", "b")),
        (["", "/x/", ""], [PATH, PATH], "a/x/b/x/\nc", ("a/x/b", "\nc")),
        (["", "/x/", ""], [PATH, PATH], "a/x/b\nc", None),
        (["", "-", ""], [PLAIN, PLAIN], "a-b-c", ("a-b", "c")),
        (["", "", ""], [PLAIN, DIGITS], "a123", ("a12", "3")),
        (["x", "x"], ["[^/]{0,}"], "x", None),
    ],
)
def test_lazy_variables_end_early_and_others_late(texts, looks, text, values):
    assert division(texts, looks, short=-1)(text) == values


def test_variables_of_another_kind_are_left_to_their_expression():
    divide = division(["", "-", ".html"], ["(?:ab|a)", PLAIN], short=-1)

    assert divide("ab-c.html") == ("ab", "c")
    assert divide("b-c.html") is None


@pytest.mark.parametrize(
    ("texts", "looks", "text"),
    [
        (["", "/x/", "/y/", "/z"], [PATH] * 3, "a" + "/x/a" * 800 + "/y/a" * 800 + "/z\n/z"),
        (["", "/x/", "/y/", ""], [PATH] * 3, "a" + "/x/a" * 800 + "/y/a" * 800 + "/\n"),
        (["", "-", "-", ".html"], [PLAIN] * 3, "-" * 2000 + "/.html"),
    ],
)
def test_dividing_takes_time_in_proportion_to_length(texts, looks, text):
    started = time.process_time()
    found = division(texts, looks)(text)

    assert found is None
    assert time.process_time() - started < 5
