from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import erlen.headers
from erlen.datastructures import MultiDict
from erlen.headers import Headers, HeadersView, RequestHeaders
from tests.steps import steps_of

RAW = [(b"host", b"example.com"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x-latin", b"\xe9")]
names = st.sampled_from(["a", "A", "b", "x-Y"])
values = st.text("xyz é", max_size=3).map(str.strip)
pairs = st.lists(st.tuples(names, values), max_size=8)


@pytest.fixture(params=[RequestHeaders, Headers.over], ids=["RequestHeaders", "Headers"])
def headers(request):
    return request.param(list(RAW))


def test_the_package_has_every_name_it_promises():
    promised = erlen.headers.__all__

    assert [name for name in promised if not hasattr(erlen.headers, name)] == []
    assert sorted(set(promised)) == sorted(promised)


# Reading


@pytest.mark.parametrize("name", ["x-a", "X-A", "X-a"])
def test_a_name_is_found_in_any_case(headers, name):
    assert headers[name] == "1"
    assert headers.get(name) == "1"
    assert headers.getlist(name) == ["1", "2"]
    assert headers.get_all(name) == ["1", "2"]
    assert name in headers


@pytest.mark.parametrize("name", ["x-b", "", "ключ", "\ud800", "x-a\r\n"])
def test_a_name_that_is_not_there_is_missing(headers, name):
    assert headers.get(name) is None
    assert headers.get(name, "none") == "none"
    assert headers.getlist(name) == []
    assert name not in headers
    with pytest.raises(KeyError) as caught:
        headers[name]
    assert caught.value.args == (name,)


def test_only_strings_are_in_headers(headers):
    assert b"host" not in headers
    assert None not in headers


def test_values_are_latin_1(headers):
    assert headers["x-latin"] == "é"


@pytest.mark.parametrize(
    ("value", "type", "result"),
    [(b"5", int, 5), (b"x", int, 7), (b"x", lambda text: text + 1, 7)],
    ids=["converts", "ValueError", "TypeError"],
)
def test_get_with_a_type(value, type, result):
    assert Headers.over([(b"n", value)]).get("N", 7, type=type) == result


def test_getlist_with_a_type_drops_what_does_not_convert():
    headers = RequestHeaders([(b"n", b"1"), (b"n", b"x"), (b"n", b"3")])

    assert headers.getlist("n", type=int) == [1, 3]


def test_iteration_gives_pairs_in_title_case(headers):
    expected = [("Host", "example.com"), ("X-A", "1"), ("X-A", "2"), ("X-Latin", "é")]

    assert list(headers) == expected
    assert list(headers.items()) == expected
    assert headers.to_wsgi_list() == expected
    assert list(headers.keys()) == ["Host", "X-A", "X-A", "X-Latin"]
    assert list(headers.values()) == ["example.com", "1", "2", "é"]
    assert len(headers) == 4


def test_names_can_be_left_in_lower_case(headers):
    assert list(headers.keys(lower=True)) == ["host", "x-a", "x-a", "x-latin"]
    assert next(headers.items(lower=True)) == ("host", "example.com")


@pytest.mark.parametrize("kind", [RequestHeaders, Headers])
def test_empty_headers_are_false(kind):
    assert not kind()
    assert kind([(b"a", b"1")] if kind is RequestHeaders else [("a", "1")])


def test_headers_are_equal_in_any_order_of_names():
    assert Headers([("A", "1"), ("b", "2")]) == Headers([("B", "2"), ("a", "1")])
    assert Headers([("A", "1")]) == RequestHeaders([(b"a", b"1")])
    assert Headers([("A", "1")]) != Headers([("A", "1"), ("A", "1")])
    assert Headers() != {}


def test_headers_are_no_key_of_a_set(headers):
    with pytest.raises(TypeError):
        hash(headers)


def test_headers_are_written_as_they_are_sent(headers):
    assert str(headers) == "Host: example.com\r\nX-A: 1\r\nX-A: 2\r\nX-Latin: é\r\n\r\n"


def test_the_repr_shows_the_pairs():
    assert repr(Headers([("a", "1")])) == "Headers([('A', '1')])"
    assert repr(RequestHeaders([(b"a", b"1")])) == "RequestHeaders([('A', '1')])"


@pytest.mark.parametrize("clone", [copy.copy, HeadersView.copy], ids=["copy", "method"])
def test_a_copy_can_be_changed_and_changes_alone(headers, clone):
    other = clone(headers)

    other["x-a"] = "9"

    assert type(other) is Headers
    assert other.getlist("x-a") == ["9"]
    assert headers.getlist("x-a") == ["1", "2"]


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))], ids=["deepcopy", "pickle"]
)
def test_headers_survive(headers, clone):
    assert clone(headers) == headers
    assert type(clone(headers)) is type(headers)


# What a client sent


def test_a_missing_header_of_a_request_raises_what_key_error_names(monkeypatch):
    class Missing(KeyError):
        pass

    monkeypatch.setattr(MultiDict, "key_error", Missing)

    with pytest.raises(Missing):
        RequestHeaders()["x"]
    with pytest.raises(KeyError) as caught:
        Headers()["x"]
    assert not isinstance(caught.value, Missing)


def test_names_of_a_request_may_be_in_any_case():
    headers = RequestHeaders([(b"Host", b"a"), (b"X-A", b"1"), (b"X-a", b"2"), (b"b", b"3")])

    assert headers["b"] == "3"
    assert headers["host"] == "a"
    assert headers["x-a"] == "1"
    assert headers.getlist("X-A") == ["1", "2"]
    assert headers.raw == [(b"host", b"a"), (b"x-a", b"1"), (b"x-a", b"2"), (b"b", b"3")]


@pytest.mark.parametrize("read", [lambda h: h.getlist("x-a"), lambda h: [h["x-a"], "2"]])
def test_the_first_look_may_be_of_any_kind(read):
    assert read(RequestHeaders([(b"X-A", b"1"), (b"X-a", b"2")])) == ["1", "2"]


def test_a_name_in_lower_case_is_found_before_the_same_name_in_another():
    headers = RequestHeaders([(b"X-A", b"1"), (b"x-a", b"2")])

    for _ in range(2):  # before and after a look at what is missing
        assert headers["x-a"] == headers.get("X-A") == "2"
        assert headers.getlist("x-a") == ["1", "2"]
        assert "x-b" not in headers
    assert headers.raw == [(b"x-a", b"1"), (b"x-a", b"2")]


@pytest.mark.parametrize("kind", [tuple, iter], ids=["tuple", "iterator"])
def test_pairs_of_a_request_may_be_any_iterable(kind):
    headers = RequestHeaders(kind(RAW))

    assert headers["host"] == "example.com"
    assert len(headers) == 4


def test_pairs_may_be_lists():
    assert RequestHeaders([[b"a", b"1"]])["a"] == "1"


def test_the_list_of_the_server_is_left_alone():
    raw = [(b"Host", b"a")]

    assert RequestHeaders(raw)["host"] == "a"
    assert raw == [(b"Host", b"a")]


@pytest.mark.parametrize("name", ["set", "add", "__setitem__", "__delitem__", "update", "nonsense"])
def test_headers_of_a_request_cannot_be_changed(name):
    with pytest.raises(AttributeError, match=f"'RequestHeaders' object has no attribute '{name}'"):
        getattr(RequestHeaders(RAW), name)


@pytest.mark.parametrize("name", ["x-4", "x-999", "missing"])
def test_a_header_of_very_many_is_found_in_as_many_steps_as_one_of_many(name):
    many = RequestHeaders([(b"x-%d" % n, b"") for n in range(50)])
    very_many = RequestHeaders([(b"x-%d" % n, b"") for n in range(5000)])
    many.get(name), very_many.get(name)

    assert steps_of(very_many.get, name) <= steps_of(many.get, "x-4")


@pytest.mark.parametrize("count", [0, 1, 40])
def test_few_headers_and_many_are_read_alike(count):
    raw = [(b"x-%d" % n, b"") for n in range(count)]
    headers = RequestHeaders([*raw, (b"x-a", b"1"), (b"x-a", b"2")])

    assert headers.get("x-a") == "1"
    assert headers.get("x-b") is None
    assert headers.getlist("x-a") == ["1", "2"]
    assert headers.get("X-A") == "1"


# What an app answers


def test_it_writes_to_the_list_it_was_given():
    raw = [(b"x-a", b"1")]
    headers = Headers.over(raw)

    headers.add("X-B", "2")
    headers["X-A"] = "3"
    del headers["X-B"]
    headers.update({"X-C": "4"})
    headers.pop("X-A")

    assert raw == [(b"x-c", b"4")]
    assert headers.raw is raw


@pytest.mark.parametrize(
    "items",
    [
        [("X-A", "1"), ("X-A", "2"), ("B", "3")],
        {"X-A": ["1", "2"], "B": 3},
        {"X-A": ("1", "2"), "B": ["3"]},
        MultiDict([("X-A", "1"), ("X-A", "2"), ("B", "3")]),
        Headers([("X-A", "1"), ("X-A", "2"), ("B", "3")]),
        RequestHeaders([(b"x-a", b"1"), (b"x-a", b"2"), (b"b", b"3")]),
    ],
    ids=["pairs", "lists", "tuples", "MultiDict", "Headers", "RequestHeaders"],
)
def test_headers_are_made_from(items):
    assert Headers(items).raw == [(b"x-a", b"1"), (b"x-a", b"2"), (b"b", b"3")]


def test_add_leaves_what_is_there():
    headers = Headers({"a": "1"})

    headers.add("A", 2)

    assert headers.getlist("a") == ["1", "2"]


def test_parameters_are_added_to_the_value():
    headers = Headers()

    headers.add("Content-Disposition", "attachment", filename="a b.png", max_size=3, x=None)
    headers.set("X", "form-data", name="n", value="v")

    assert headers["content-disposition"] == 'attachment; filename="a b.png"; max-size=3'
    assert headers["x"] == "form-data; name=n; value=v"


def test_set_keeps_the_place_of_the_first():
    headers = Headers([("a", "1"), ("b", "2"), ("A", "3"), ("c", "4")])

    headers.set("A", "9")

    assert headers.raw == [(b"a", b"9"), (b"b", b"2"), (b"c", b"4")]


def test_set_appends_what_is_new():
    headers = Headers({"a": "1"})

    headers["B"] = 2

    assert headers.raw == [(b"a", b"1"), (b"b", b"2")]


def test_a_name_that_is_set_for_every_response_has_the_value_of_each():
    sent = []

    for value in ["one", "one", "two", "one", 1, "one", b"two", "é", "one" * 100]:
        headers = Headers([("x-a", "0"), ("x-b", "0")])
        headers["X-Often"] = headers["x-a"] = value
        sent.append(headers.raw)

    values = [b"one", b"one", b"two", b"one", b"1", b"one", b"two", b"\xe9", b"one" * 100]
    assert sent == [[(b"x-a", v), (b"x-b", b"0"), (b"x-often", v)] for v in values]


def test_setlist_replaces_all():
    headers = Headers([("a", "1"), ("b", "2"), ("a", "3")])

    headers.setlist("A", ["7", 8])
    headers.setlist("b", [])

    assert headers.raw == [(b"a", b"7"), (b"a", b"8")]


def test_setdefault_gives_what_is_there_then():
    headers = Headers({"a": "1"})

    assert headers.setdefault("A", "9") == "1"
    assert headers.setdefault("b", 9) == "9"
    assert headers.raw == [(b"a", b"1"), (b"b", b"9")]


def test_removing_takes_all_values_and_what_is_missing_is_fine():
    headers = Headers([("a", "1"), ("b", "2"), ("A", "3")])

    del headers["A"]
    del headers["missing"]
    headers.remove("ключ")

    assert headers.raw == [(b"b", b"2")]


def test_pop_gives_the_first_and_takes_all():
    headers = Headers([("a", "1"), ("A", "2")])

    assert headers.pop("A", None) == "1"
    assert headers.pop("a", None) is None
    with pytest.raises(KeyError):
        headers.pop("a")


def test_clear_takes_everything():
    raw = [(b"a", b"1")]

    Headers.over(raw).clear()

    assert raw == []


def test_extend_appends():
    headers = Headers({"a": "1"})

    headers.extend({"a": ["2", "3"]}, b="4")
    headers.extend(headers)

    assert headers.getlist("a") == ["1", "2", "3", "1", "2", "3"]
    assert headers.getlist("b") == ["4", "4"]


def test_extend_with_one_bad_value_leaves_all_as_it_was():
    headers = Headers({"a": "1"})

    with pytest.raises(ValueError, match="'c'"):
        headers.extend([("b", "2"), ("c", "3\r\n")])

    assert headers.raw == [(b"a", b"1")]


def test_update_with_a_mapping_keeps_all_values_of_a_name():
    headers = Headers([("a", "1"), ("b", "2"), ("a", "3")])

    headers.update({"A": ["8", "9"]}, c="4")

    assert headers.getlist("a") == ["8", "9"]
    assert headers.getlist("b") == ["2"]
    assert headers.getlist("c") == ["4"]


def test_update_with_headers_keeps_all_values_of_a_name():
    headers = Headers({"a": "1"})

    headers.update(RequestHeaders([(b"A", b"8"), (b"a", b"9")]))

    assert headers.getlist("a") == ["8", "9"]


def test_update_with_pairs_lets_the_last_win():
    headers = Headers({"a": "1"})

    headers.update([("a", "8"), ("A", "9")])

    assert headers.getlist("a") == ["9"]


def test_or_makes_new_headers_and_ior_changes_these():
    headers = same = Headers({"a": "1"})

    both = headers | {"b": "2"}
    headers |= [("c", "3")]

    assert both.raw == [(b"a", b"1"), (b"b", b"2")]
    assert headers is same
    assert same.raw == [(b"a", b"1"), (b"c", b"3")]


WRITES = [
    lambda h, name, value: h.__setitem__(name, value),
    lambda h, name, value: h.set(name, value),
    lambda h, name, value: h.add(name, value),
    lambda h, name, value: h.setlist(name, [value]),
    lambda h, name, value: h.setdefault(name, value),
    lambda h, name, value: h.extend([(name, value)]),
    lambda h, name, value: h.update({name: value}),
    lambda h, name, value: h.update([(name, value)]),
    lambda h, name, value: Headers({name: value}),
    lambda h, name, value: h | {name: value},
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("name", "value"),
    [("a", "x\r\nSet-Cookie: e=1"), ("a", "\0"), ("a", "ж"), ("a b", "x"), ("a\n", "x"), ("", "x")],
)
def test_no_way_to_write_lets_an_injection_in(write, name, value):
    headers = Headers({"b": "1"})

    with pytest.raises(ValueError, match=r"[Hh]eader"):
        write(headers, name, value)

    assert headers.raw == [(b"b", b"1")]


def test_no_parameter_lets_an_injection_in():
    headers = Headers()

    with pytest.raises(ValueError, match="filename"):
        headers.add("Content-Disposition", "attachment", filename='a"\r\nX: 1')

    assert not headers


# Laws


@settings(deadline=None)
@given(pairs)
def test_headers_read_as_a_list_of_pairs(items):
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in items]

    for headers in (Headers(items), Headers.over(raw), RequestHeaders(raw)):
        for name in ("a", "b", "X-y"):
            expected = [value for key, value in items if key.lower() == name.lower()]
            assert headers.getlist(name) == expected
            assert headers.get(name) == (expected[0] if expected else None)
        assert list(headers) == [(name.title(), value) for name, value in items]


@settings(deadline=None)
@given(pairs, names, values)
def test_set_leaves_one_value_and_touches_no_other(items, name, value):
    headers = Headers(items)

    headers.set(name, value)

    assert headers.getlist(name) == [value]
    others = [(key.title(), each) for key, each in items if key.lower() != name.lower()]
    assert [pair for pair in headers if pair[0] != name.title()] == others


@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(), st.binary())))
@example([(b"\xdf", b"")])
def test_no_bytes_of_a_server_make_reading_fail(raw):
    headers = RequestHeaders(raw)

    assert len(list(headers)) == len(raw)
    for name, value in headers:
        assert name in headers or not name.isascii()
        assert isinstance(value, str)
