from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.headers import ETags, generate_etag, parse_etags, quote_etag, unquote_etag

opaque = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='"\x7f'))


@pytest.mark.parametrize(
    ("header", "strong", "weak"),
    [
        (None, set(), set()),
        ("", set(), set()),
        ('"a"', {"a"}, set()),
        ('"a", W/"b"', {"a"}, {"b"}),
        ('"a",w/"b" "c"', {"a", "c"}, {"b"}),
        ("a, W/b", {"a"}, {"b"}),
        ('"a,b", "x y"', {"a,b", "x y"}, set()),
        ('""', {""}, set()),
        ('"a", *', {"a", "*"}, set()),
        ('"open', {"open"}, set()),
    ],
)
def test_tags_are_read(header, strong, weak):
    tags = parse_etags(header)

    assert tags.as_set() == set(tags) == strong
    assert tags.as_set(include_weak=True) == strong | weak
    assert bool(tags) == bool(strong | weak)
    assert len(tags) == len(strong)
    assert not tags.star_tag


def test_a_star_is_every_tag():
    tags = parse_etags(" * ")

    assert tags.star_tag
    assert tags
    assert "anything" in tags
    assert tags.contains("x")
    assert tags.contains_weak("x")
    assert tags.contains_raw('W/"x"')
    assert tags.to_header() == "*"
    assert list(tags) == []


def test_a_strong_comparison_takes_strong_tags_only():
    tags = parse_etags('"a", W/"b"')

    assert tags.contains("a")
    assert "a" in tags
    assert not tags.contains("b")
    assert "b" not in tags
    assert 5 not in tags


def test_a_weak_comparison_takes_both():
    tags = parse_etags('"a", W/"b"')

    assert tags.contains_weak("a")
    assert tags.contains_weak("b")
    assert not tags.contains_weak("c")


@pytest.mark.parametrize(
    ("raw", "found"),
    [('"a"', True), ('W/"a"', True), ('"b"', False), ('W/"b"', True), ("a", True), ("", False)],
)
def test_a_tag_in_quotes_is_looked_up(raw, found):
    assert parse_etags('"a", W/"b"').contains_raw(raw) is found


def test_it_knows_which_tags_are_weak():
    tags = parse_etags('"a", W/"b"')

    assert (tags.is_strong("a"), tags.is_weak("a")) == (True, False)
    assert (tags.is_strong("b"), tags.is_weak("b")) == (False, True)


def test_tags_are_written():
    tags = ETags(["a", "b"], ["c"])

    assert tags.to_header() == str(tags) == '"a", "b", W/"c"'
    assert repr(tags) == """<ETags '"a", "b", W/"c"'>"""


def test_equal_tags_are_equal_and_no_key_of_a_set():
    assert parse_etags('"a", W/"b"') == ETags(["a"], ["b"])
    assert ETags(["a"]) != ETags([], ["a"])
    assert ETags() != "a"
    with pytest.raises(TypeError):
        hash(ETags())


@pytest.mark.parametrize(
    ("tag", "weak", "quoted"),
    [("a", False, '"a"'), ("a", True, 'W/"a"'), ("", False, '""'), ("a b", False, '"a b"')],
)
def test_a_tag_is_quoted(tag, weak, quoted):
    assert quote_etag(tag, weak) == quoted
    assert unquote_etag(quoted) == (tag, weak)


@pytest.mark.parametrize("tag", ['a"b', "a\r\nb", "\0", "\x7f", '"'])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(ValueError, match="is no entity tag") as caught:
        quote_etag(tag)

    assert repr(tag) in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "tag"),
    [
        (None, (None, None)),
        ("", (None, None)),
        ("a", ("a", False)),
        (' "a" ', ("a", False)),
        ('w/"a"', ("a", True)),
        ('"a', ('"a', False)),
        ('"', ('"', False)),
    ],
)
def test_a_tag_is_unquoted(raw, tag):
    assert unquote_etag(raw) == tag


def test_a_generated_tag_changes_with_the_data():
    assert generate_etag(b"x") == "11f6ad8ec52a2984abaafd7c3b516503785c2072"
    assert generate_etag(b"x") != generate_etag(b"y")
    assert quote_etag(generate_etag(b""))


@settings(deadline=None)
@given(st.lists(opaque), st.lists(opaque))
def test_tags_that_were_written_come_back(strong, weak):
    tags = ETags(strong, weak)

    assert parse_etags(tags.to_header()) == tags


@settings(deadline=None)
@given(st.text() | st.text('W/"a, *'))
def test_no_text_makes_it_fail(header):
    parse_etags(header)
    unquote_etag(header)


@pytest.mark.parametrize("piece", ['"', "W/", 'W/"', "a ", '"a"', ",", '",', "W"])
def test_a_lot_of_hostile_tags_comes_to_an_end(piece):
    parse_etags(piece * (300_000 // len(piece)))
