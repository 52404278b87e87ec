"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import re

import pytest

from erlen.patterns import pattern


@pytest.mark.parametrize("method", ["match", "fullmatch", "search"])
def test_an_expression_that_is_compiled_late_finds_what_it_would_have_found(method):
    late, early = pattern(r"(a+)b", re.IGNORECASE), re.compile(r"(a+)b", re.IGNORECASE)

    for text in ("aab", "xaab", "AAB", "nothing"):
        found, wanted = getattr(late, method)(text), getattr(early, method)(text)
        assert (found and found.span(1)) == (wanted and wanted.span(1))


def test_an_expression_replaces_and_splits_and_says_what_it_is():
    comma = pattern(rb", *")

    assert comma.sub(b";", b"a, b") == b"a;b"
    assert comma.split(b"a,b") == [b"a", b"b"]
    assert comma.pattern == rb", *"
    assert repr(comma) == "pattern(b', *')"


def test_an_expression_is_compiled_when_it_is_first_used():
    broken = pattern("(")

    with pytest.raises(re.error):
        broken.match("")
