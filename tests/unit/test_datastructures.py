from __future__ import annotations

import copy
import json
import pickle
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.datastructures import (
    CombinedMultiDict,
    ImmutableMultiDict,
    MultiDict,
    Singles,
    TooManyItems,
    pairs_of,
    parse_query,
)
from tests.steps import steps_of

KINDS = [MultiDict, ImmutableMultiDict]
PAIRS = [("a", "1"), ("a", "2"), ("b", "3")]

keys = st.sampled_from("abc")
pairs = st.lists(st.tuples(keys, st.integers(0, 3)))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def values(request):
    return request.param(PAIRS)


# Filling


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "items",
    [
        PAIRS,
        {"a": ["1", "2"], "b": "3"},
        {"a": ("1", "2"), "b": ["3"]},
        {"a": ["1", "2"], "b": {"3"}},
        MultiDict(PAIRS),
    ],
    ids=["pairs", "mapping", "tuples", "sets", "multi dict"],
)
def test_it_is_filled_from(kind, items):
    assert list(kind(items).items(multi=True)) == PAIRS


def test_an_iterator_of_pairs_fills_it():
    assert MultiDict(iter(PAIRS)).getlist("a") == ["1", "2"]


@pytest.mark.parametrize("kind", [*KINDS, CombinedMultiDict])
def test_without_items_it_is_empty(kind):
    assert not kind()
    assert len(kind()) == 0


def test_a_key_with_an_empty_list_is_left_out():
    assert "a" not in MultiDict({"a": [], "b": 1})


def test_a_copy_has_lists_of_its_own():
    first = MultiDict(PAIRS)

    second = MultiDict(first)
    second.add("a", "9")

    assert first.getlist("a") == ["1", "2"]


# Reading


def test_a_key_gives_its_first_value(values):
    assert values["a"] == "1"
    assert values.get("a") == "1"


def test_a_missing_key_raises_with_the_key_as_only_argument(values):
    with pytest.raises(KeyError) as caught:
        values["x"]

    assert caught.value.args == ("x",)


def test_a_missing_key_raises_what_key_error_names(monkeypatch):
    class Missing(KeyError):
        pass

    monkeypatch.setattr(MultiDict, "key_error", Missing)

    with pytest.raises(Missing):
        ImmutableMultiDict()["x"]
    with pytest.raises(Missing):
        MultiDict().pop("x")
    with pytest.raises(Missing):
        MultiDict().popitem()


def test_get_of_a_missing_key_gives_the_default(values):
    assert values.get("x") is None
    assert values.get("x", 5) == 5
    assert values.get("x", 5, type=int) == 5


@pytest.mark.parametrize(
    ("raw", "type", "value"),
    [("5", int, 5), ("five", int, 7), ("5", lambda text: text + 1, 7)],
    ids=["converts", "ValueError", "TypeError"],
)
def test_get_with_a_type(raw, type, value):
    assert ImmutableMultiDict({"n": raw}).get("n", 7, type=type) == value


def test_get_lets_other_errors_of_the_type_through():
    with pytest.raises(ZeroDivisionError):
        ImmutableMultiDict({"n": 1}).get("n", type=lambda n: n / 0)


def test_getlist_gives_all_values(values):
    assert values.getlist("a") == ["1", "2"]
    assert values.getlist("x") == []


def test_getlist_with_a_type_drops_what_does_not_convert():
    assert MultiDict({"n": ["1", "x", "3"]}).getlist("n", type=int) == [1, 3]


def test_getlist_is_a_list_of_its_own():
    values = MultiDict(PAIRS)

    values.getlist("a").append("9")

    assert values.getlist("a") == ["1", "2"]


def test_iteration_shows_each_key_once(values):
    assert list(values) == ["a", "b"]
    assert list(values.keys()) == ["a", "b"]
    assert len(values) == 2


def test_items_and_values_are_the_first_ones(values):
    assert list(values.items()) == [("a", "1"), ("b", "3")]
    assert list(values.values()) == ["1", "3"]


def test_items_multi_is_a_pair_for_every_value(values):
    assert list(values.items(multi=True)) == PAIRS


def test_lists_and_listvalues_are_whole(values):
    assert list(values.lists()) == [("a", ["1", "2"]), ("b", ["3"])]
    assert list(values.listvalues()) == [["1", "2"], ["3"]]


def test_to_dict_is_flat_or_whole(values):
    assert values.to_dict() == {"a": "1", "b": "3"}
    assert values.to_dict(flat=False) == {"a": ["1", "2"], "b": ["3"]}
    assert type(values.to_dict()) is dict


@pytest.mark.parametrize(
    "read", [dict, lambda v: {**v}, lambda v: json.loads(json.dumps(v))], ids=["dict", "**", "json"]
)
def test_others_see_first_values(values, read):
    assert read(values) == {"a": "1", "b": "3"}


def test_equality_is_about_all_values():
    assert MultiDict(PAIRS) == ImmutableMultiDict(PAIRS)
    assert MultiDict(PAIRS) != MultiDict(PAIRS[1:])
    assert MultiDict(PAIRS) == {"a": ["1", "2"], "b": ["3"]}


@pytest.mark.parametrize("kind", [*KINDS, CombinedMultiDict])
def test_it_is_no_key_of_a_set(kind):
    with pytest.raises(TypeError):
        hash(kind())


@pytest.mark.parametrize("kind", KINDS)
def test_the_repr_can_be_read(kind):
    assert repr(kind(PAIRS)) == f"{kind.__name__}({PAIRS!r})"


# Changing


def test_setting_a_key_replaces_all_its_values():
    values = MultiDict(PAIRS)

    values["a"] = "9"

    assert values.getlist("a") == ["9"]


def test_add_appends():
    values = MultiDict(PAIRS)

    values.add("a", "9")
    values.add("c", "8")

    assert values.getlist("a") == ["1", "2", "9"]
    assert values.getlist("c") == ["8"]


def test_setlist_takes_a_copy_of_what_it_gets():
    values, given = MultiDict(PAIRS), ["7", "8"]

    values.setlist("a", given)
    given.append("9")

    assert values.getlist("a") == ["7", "8"]


def test_setdefault_leaves_what_is_there():
    values = MultiDict(PAIRS)

    assert values.setdefault("a", "9") == "1"
    assert values.setdefault("c", "9") == "9"
    assert values.getlist("c") == ["9"]


def test_setlistdefault_gives_the_live_list():
    values = MultiDict(PAIRS)

    values.setlistdefault("a", ["no"]).append("9")
    values.setlistdefault("c", ["7"]).append("8")

    assert values.getlist("a") == ["1", "2", "9"]
    assert values.getlist("c") == ["7", "8"]


def test_an_empty_list_is_a_missing_key_to_readers():
    values = MultiDict()
    values.setlistdefault("a")

    with pytest.raises(KeyError):
        values["a"]
    assert values.get("a", 5) == 5
    assert list(values.items()) == []
    assert list(values.values()) == []
    assert values.setdefault("a", 7) == 7


def test_update_appends_as_in_flask():
    values = MultiDict(PAIRS)

    values.update({"a": ["8", "9"]}, c="7")
    values.update([("b", "6")])

    assert values.to_dict(flat=False) == {"a": ["1", "2", "8", "9"], "b": ["3", "6"], "c": ["7"]}


def test_or_makes_a_changeable_copy():
    values = ImmutableMultiDict(PAIRS)

    both = values | {"a": "9"}

    assert type(both) is MultiDict
    assert both.getlist("a") == ["1", "2", "9"]
    assert values.getlist("a") == ["1", "2"]


def test_or_with_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        MultiDict() | 5


def test_ior_changes_in_place():
    values = same = MultiDict(PAIRS)

    values |= {"c": "9"}

    assert values is same
    assert same["c"] == "9"


def test_pop_gives_the_first_value_and_removes_all():
    values = MultiDict(PAIRS)

    assert values.pop("a") == "1"
    assert "a" not in values


def test_pop_of_a_missing_key_gives_the_default_or_raises():
    assert MultiDict().pop("a", None) is None
    with pytest.raises(KeyError) as caught:
        MultiDict().pop("a")
    assert caught.value.args == ("a",)


def test_popitem_gives_the_newest_key_with_its_first_value():
    values = MultiDict({"a": ["1"], "b": ["2", "3"]})

    assert values.popitem() == ("b", "2")
    assert list(values) == ["a"]


def test_popitem_of_a_key_without_values_raises():
    values = MultiDict()
    values.setlist("a", [])

    with pytest.raises(KeyError):
        values.popitem()


def test_poplist_gives_all_values():
    values = MultiDict(PAIRS)

    assert values.poplist("a") == ["1", "2"]
    assert values.poplist("a") == []


def test_popitemlist_gives_the_newest_key_with_all_values():
    values = MultiDict(PAIRS)

    assert values.popitemlist() == ("b", ["3"])
    assert values.popitemlist() == ("a", ["1", "2"])
    with pytest.raises(KeyError):
        values.popitemlist()


@pytest.mark.parametrize("clone", [copy.copy, MultiDict.copy], ids=["copy", "method"])
def test_the_copy_of_an_immutable_one_can_be_changed(clone):
    values = ImmutableMultiDict(PAIRS)

    other = clone(values)
    other.add("a", "9")

    assert type(other) is MultiDict
    assert values.getlist("a") == ["1", "2"]


@pytest.mark.parametrize(
    "clone",
    [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))],
    ids=["deepcopy", "pickle"],
)
@pytest.mark.parametrize(
    "values",
    [MultiDict(PAIRS), ImmutableMultiDict(PAIRS), CombinedMultiDict([PAIRS])],
    ids=lambda values: type(values).__name__,
)
def test_nothing_is_lost_by(clone, values):
    other = clone(values)

    assert type(other) is type(values)
    assert list(other.items(multi=True)) == PAIRS


# Immutable


@pytest.mark.parametrize(
    "write",
    [
        lambda v: v.__setitem__("a", 1),
        lambda v: v.__delitem__("a"),
        lambda v: v.__ior__({"a": 1}),
        lambda v: v.add("a", 1),
        lambda v: v.setlist("a", [1]),
        lambda v: v.setdefault("a", 1),
        lambda v: v.setlistdefault("a"),
        lambda v: v.update(a=1),
        lambda v: v.pop("a"),
        lambda v: v.pop("a", None),
        lambda v: v.popitem(),
        lambda v: v.poplist("a"),
        lambda v: v.popitemlist(),
        lambda v: v.clear(),
    ],
)
@pytest.mark.parametrize("kind", [ImmutableMultiDict, CombinedMultiDict])
def test_writing_to_an_immutable_one_is_refused(kind, write):
    values = kind([PAIRS] if kind is CombinedMultiDict else PAIRS)

    with pytest.raises(TypeError, match=f"'{kind.__name__}' objects are immutable.*copy"):
        write(values)

    assert list(values.items(multi=True)) == PAIRS


def test_no_method_of_a_dict_that_writes_was_forgotten():
    writers = {"clear", "pop", "popitem", "setdefault", "update"}
    writers |= {"__setitem__", "__delitem__", "__ior__"}

    assert writers <= set(vars(ImmutableMultiDict))


def test_every_writer_of_a_multi_dict_is_refused_by_the_immutable_one():
    readers = {"copy", "get", "getlist", "items", "listvalues", "lists", "to_dict", "values"}
    own = {name for name, thing in vars(MultiDict).items() if callable(thing)}

    writers = {name for name in own if not name.startswith("_")} - readers - {"key_error"}

    assert writers <= set(vars(ImmutableMultiDict))


ONE_EACH = [("a", "1"), ("b", "3")]


@pytest.mark.parametrize(
    "read",
    [
        lambda v: v["b"],
        lambda v: [v.get("a"), v.get("x"), v.get("x", 5)],
        lambda v: [v.get("a", type=int), v.get("a", 7, type=list.index), v.get("x", 7, type=int)],
        lambda v: [v.getlist("a"), v.getlist("x"), v.getlist("a", type=int)],
        lambda v: [list(v), list(v.keys()), len(v), "a" in v, "x" in v],
        lambda v: [list(v.values()), list(v.items()), list(v.items(multi=True))],
        lambda v: [list(v.lists()), list(v.listvalues()), v.to_dict(), v.to_dict(flat=False)],
        lambda v: [dict(v), {**v}, json.dumps(v), repr(v), list(reversed(v))],
        lambda v: [v == MultiDict(PAIRS), v == MultiDict(ONE_EACH), MultiDict(ONE_EACH) == v],
        lambda v: [v != MultiDict(PAIRS), v != MultiDict(ONE_EACH), v == {"a": ["1"], "b": ["3"]}],
        lambda v: [v == {"a": "1", "b": "3"}, v == 5, v != 5],
        lambda v: [v | {"a": "2"}, type(v | {}), v.copy(), type(copy.copy(v))],
        lambda v: [type(pickle.loads(pickle.dumps(v))), pickle.loads(pickle.dumps(v))],
        lambda v: [type(copy.deepcopy(v)), copy.deepcopy(v), v == Singles(dict(ONE_EACH))],
        lambda v: [CombinedMultiDict([v, v]), MultiDict(v), list(pairs_of(v))],
    ],
)
def test_one_without_repeated_keys_reads_like_any_other(read):
    assert read(Singles(dict(ONE_EACH))) == read(ImmutableMultiDict(ONE_EACH))


def test_one_without_repeated_keys_names_what_is_missing(monkeypatch):
    class Missing(KeyError):
        pass

    monkeypatch.setattr(MultiDict, "key_error", Missing)

    with pytest.raises(Missing) as caught:
        Singles({"a": "1"})["x"]
    assert caught.value.args == ("x",)
    with pytest.raises(TypeError):
        hash(Singles({}))
    with pytest.raises(TypeError, match=r"^'ImmutableMultiDict' objects are immutable"):
        Singles({"a": "1"})["a"] = "3"


# Combined


def test_the_first_that_knows_a_key_wins():
    combined = CombinedMultiDict([{"a": "1"}, {"a": "2", "b": "3"}])

    assert combined["a"] == "1"
    assert combined["b"] == "3"
    assert combined.get("b", type=int) == 3


def test_getlist_joins_the_values_of_all():
    combined = CombinedMultiDict([MultiDict(PAIRS), {"a": "9"}])

    assert combined.getlist("a") == ["1", "2", "9"]
    assert combined.to_dict(flat=False) == {"a": ["1", "2", "9"], "b": ["3"]}
    assert len(combined) == 2


def test_a_combined_one_is_a_multi_dict_for_extensions():
    assert isinstance(CombinedMultiDict(), ImmutableMultiDict)
    assert isinstance(CombinedMultiDict(), MultiDict)
    assert isinstance(CombinedMultiDict(), dict)


# Laws


@settings(deadline=None)
@given(pairs)
def test_it_behaves_as_a_list_of_pairs(items):
    values = MultiDict(items)

    for key in "abc":
        of_key = [value for name, value in items if name == key]
        assert values.getlist(key) == of_key
        assert values.get(key) == (of_key[0] if of_key else None)
        assert (key in values) == bool(of_key)
    assert sorted(values.items(multi=True)) == sorted(items)


@settings(deadline=None)
@given(pairs, pairs)
def test_a_combined_one_reads_as_if_its_parts_were_one(first, second):
    parts = [MultiDict(first), MultiDict(second)]

    assert CombinedMultiDict(parts) == MultiDict(first + second)


@settings(deadline=None)
@given(pairs)
def test_pairs_of_gives_back_what_went_in(items):
    assert MultiDict(pairs_of(MultiDict(items))) == MultiDict(items)
    assert list(pairs_of(items)) == items


# The query


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"", []),
        (b"a=1", [("a", "1")]),
        (b"a=1&b=2&a=3", [("a", "1"), ("a", "3"), ("b", "2")]),
        (b"a&b=&=c", [("a", ""), ("b", ""), ("", "c")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=1=2", [("a", "1=2")]),
        (b"&&a=1&", [("a", "1")]),
        (b"a+b=c+d", [("a b", "c d")]),
        (b"a%2Bb=%2b", [("a+b", "+")]),
        (b"%C3%A9=%e2%82%ac", [("é", "€")]),
        (b"a=%26&b=%3D", [("a", "&"), ("b", "=")]),
        (b"a=\xc3\xa9", [("a", "é")]),
        (b"a=\xff&b=%FF", [("a", "\ufffd"), ("b", "\ufffd")]),
        (b"a=%&b=%z1&c=%4", [("a", "%"), ("b", "%z1"), ("c", "%4")]),
        (b"a=%00", [("a", "\0")]),
    ],
)
def test_a_query_is_read_as(query, pairs):
    assert list(parse_query(query, max_items=100).items(multi=True)) == pairs


def test_a_query_cannot_be_changed():
    with pytest.raises(TypeError):
        parse_query(b"a=1", max_items=1).add("b", "2")


def test_as_many_items_as_the_limit_are_fine():
    assert len(parse_query(b"a&b&c", max_items=3)) == 3


def test_one_item_more_than_the_limit_is_too_many():
    with pytest.raises(
        TooManyItems, match=r"^4 query or form items were sent, 3 are allowed$"
    ) as caught:
        parse_query(b"a&a&a&a", max_items=3)

    assert (caught.value.count, caught.value.limit) == (4, 3)
    assert caught.value.what == "query or form items"
    assert isinstance(caught.value, ValueError)


def test_empty_items_count_too():
    with pytest.raises(TooManyItems):
        parse_query(b"&" * 10, max_items=10)


def test_no_limit_lifts_it():
    assert len(parse_query(b"a&" * 5000, max_items=None).getlist("a")) == 5000


@settings(deadline=None)
@given(st.lists(st.tuples(words, words)))
def test_what_was_urlencoded_comes_back(items):
    query = urlencode(items).encode()

    assert parse_query(query, max_items=None) == MultiDict(items)


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_make_the_query_parser_fail(query):
    values = parse_query(query, max_items=None)

    for key, value in values.items(multi=True):
        assert (key + value).encode().decode() == key + value


@settings(deadline=None)
@given(st.text("ab&=+%12C3A9fF ;#"))
def test_the_query_is_read_as_the_standard_library_does(query):
    expected = parse_qsl(query, keep_blank_values=True, errors="replace")

    assert parse_query(query.encode(), max_items=None) == MultiDict(expected)


@pytest.mark.parametrize("item", [b"a&", b"a=1&", b"%41=%42&", b"&", b"%", b"+"])
def test_twice_the_query_takes_twice_the_steps(item):
    once = steps_of(parse_query, item * 2000, max_items=None)
    twice = steps_of(parse_query, item * 4000, max_items=None)

    assert twice <= 2 * once + 20


@pytest.mark.parametrize("item", [b"a&", b"a=1&", b"%41=%42&", b"%", b"+", b"\xff", b"k%ff"])
def test_a_hostile_query_of_great_length_comes_to_an_end(item):
    query = item * (300_000 // len(item))

    assert parse_query(query, max_items=None)
