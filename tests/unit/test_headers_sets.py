from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.headers import HeaderSet, parse_set_header
from tests.steps import steps_of


@pytest.fixture
def written():
    return []


@pytest.fixture
def vary(written):
    return parse_set_header("Cookie, Accept", lambda items: written.append(items.to_header()))


def test_it_keeps_order_and_spelling_and_drops_doubles():
    items = parse_set_header('a, B, "c d", A')

    assert list(items) == ["a", "B", "c d"]
    assert items.to_header() == str(items) == 'a, B, "c d"'
    assert len(items) == 3
    assert items[1] == "B"


def test_without_a_header_it_is_empty():
    assert not parse_set_header(None)
    assert HeaderSet().to_header() == ""


def test_case_does_not_count(vary):
    assert "cookie" in vary
    assert "COOKIE" in vary
    assert "host" not in vary
    assert 5 not in vary


def test_add_appends_what_is_new_and_tells(vary, written):
    vary.add("Host")
    vary.add("cookie")

    assert written == ["Cookie, Accept, Host"]


def test_update_tells_once(vary, written):
    vary.update(["Host", "accept", "Origin"])
    vary.update([])

    assert written == ["Cookie, Accept, Host, Origin"]


def test_remove_takes_an_item_or_raises(vary, written):
    vary.remove("COOKIE")

    assert written == ["Accept"]
    with pytest.raises(KeyError, match="Cookie"):
        vary.remove("Cookie")


def test_discard_takes_an_item_if_it_is_there(vary, written):
    vary.discard("cookie")
    vary.discard("cookie")

    assert written == ["Accept"]


def test_clear_takes_all_and_tells_once(vary, written):
    vary.clear()
    vary.clear()

    assert written == [""]
    assert not vary


def test_the_place_of_an_item(vary):
    assert vary.find("ACCEPT") == vary.index("accept") == 1
    assert vary.find("cookie") == vary.index("Cookie") == 0
    assert vary.find("host") == -1
    with pytest.raises(IndexError, match="host"):
        vary.index("host")


def test_it_becomes_a_plain_set(vary):
    assert vary.as_set() == {"cookie", "accept"}
    assert vary.as_set(preserve_casing=True) == {"Cookie", "Accept"}


def test_it_is_a_set(vary, written):
    vary |= {"Host"}

    assert vary == {"cookie", "ACCEPT", "host"}
    assert vary == HeaderSet(["host", "accept", "COOKIE"])
    assert vary != {"cookie"}
    assert vary != ["Cookie", "Accept", "Host"]
    assert vary.isdisjoint({"x"})
    assert written == ["Cookie, Accept, Host"]
    assert list(vary & {"accept"}) == ["accept"]


def test_the_repr_shows_the_items(vary):
    assert repr(vary) == "HeaderSet(['Cookie', 'Accept'])"


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_is_written_is_read_again(items):
    written = HeaderSet(items)

    assert list(parse_set_header(written.to_header())) == list(written)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "discard"]), st.sampled_from("aAbB"))))
def test_it_behaves_as_a_set_of_lower_case(changes):
    items, plain = HeaderSet(), set()

    for name, item in changes:
        getattr(items, name)(item)
        getattr(plain, name)(item.lower())

    assert items.as_set() == plain


def test_an_item_of_many_is_found_in_as_many_steps_as_of_few():
    few, many = HeaderSet(map(str, range(5))), HeaderSet(map(str, range(5000)))

    assert steps_of(few.__contains__, "4") == steps_of(many.__contains__, "4999")
