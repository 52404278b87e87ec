from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.datastructures import TooManyItems
from erlen.headers import dump_cookie, parse_cookies
from tests.steps import steps_of

printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
tokens = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1)


def sent(cookie):
    """Return what a browser sends back for a Set-Cookie header, as a server decodes it."""
    return cookie.partition("; ")[0].encode().decode("latin-1")


# Parsing


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", []),
        ("a=1", [("a", "1")]),
        ("a=1; b=2;c=3", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("a=1; a=2", [("a", "1"), ("a", "2")]),
        (" a = 1 ;\tb\t=\t2", [("a", "1"), ("b", "2")]),
        ("a=; b", [("a", "")]),
        ("a=b=c", [("a", "b=c")]),
        ("a=x y, z", [("a", "x y, z")]),
        (";; ;a=1;", [("a", "1")]),
        ('a="quoted"', [("a", "quoted")]),
        ('a=""', [("a", "")]),
        ('a="', [("a", '"')]),
        ('a="open', [("a", '"open')]),
        ('a=x"y"', [("a", 'x"y"')]),
        (r'a="x\054y\073z"', [("a", "x,y;z")]),
        (r'a="\303\251"', [("a", "é")]),
        (r'a="\"\\"', [("a", '"\\')]),
        (r'a="\1\400\9"', [("a", "14009")]),
        (r'a="\377"', [("a", "\ufffd")]),
        (r"a=\054", [("a", r"\054")]),
        ("a=caf\xc3\xa9", [("a", "café")]),
        ("a=\xff", [("a", "\ufffd")]),
        ("a=ж\xe9", [("a", "ж\xe9")]),
        ('a="\ud800\\054"', [("a", "?,")]),
    ],
)
def test_a_cookie_header_is_read_as(header, cookies):
    assert list(parse_cookies([header]).items(multi=True)) == cookies


@pytest.mark.parametrize("header", ["=__Host-x=bad", "__Host-x", " = 1", "=", "a"])
def test_a_cookie_without_a_name_is_dropped(header):
    assert not parse_cookies([header])


def test_cookies_of_all_headers_count():
    cookies = parse_cookies(["a=1; b=2", "a=3"])

    assert cookies.getlist("a") == ["1", "3"]


def test_cookies_cannot_be_changed():
    with pytest.raises(TypeError):
        parse_cookies(["a=1"]).add("b", "2")


def test_a_semicolon_in_quotes_separates_all_the_same():
    assert list(parse_cookies(['a="x; csrftoken=evil"'])) == ["a", "csrftoken"]


def test_as_many_cookies_as_the_limit_are_fine():
    assert len(parse_cookies(["a=1; b=2", "c=3"], max_items=3)) == 3
    assert len(parse_cookies(["a=1;" * 199 + "b=2"])) == 2


@pytest.mark.parametrize(
    ("headers", "limit"),
    [(["a=1; b=2", "c=3; d=4"], 3), (["a=1;" * 200 + "b=2"], 200), ([";" * 300], 200)],
)
def test_one_cookie_more_than_the_limit_is_too_many(headers, limit):
    with pytest.raises(TooManyItems, match="cookies were sent") as caught:
        parse_cookies(headers, max_items=limit)

    assert caught.value.limit == limit


def test_two_hundred_cookies_are_the_default_limit():
    assert len(parse_cookies(["a=1;" * 199 + "a=1"]).getlist("a")) == 200
    with pytest.raises(TooManyItems):
        parse_cookies(["a=1;" * 200 + "a=1"])


def test_no_limit_lifts_it():
    assert len(parse_cookies(["a=1;" * 1000], max_items=None).getlist("a")) == 1000


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_make_the_parser_fail(header):
    cookies = parse_cookies([header.decode("latin-1")], max_items=None)

    for key, value in cookies.items(multi=True):
        assert key
        assert value.encode() is not None


@settings(deadline=None)
@given(st.text('a="\\1230; ,\xc3\xa9\ud800ж'))
def test_no_text_makes_the_parser_fail(header):
    parse_cookies([header], max_items=None)


HOSTILE = ['"\\', "\\", '\\"', "\\1", "\\123", '"', "=", "a=;", ";", " ", 'a="\\\\";', "\xff"]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_lot_of_hostile_cookies_comes_to_an_end(piece, quote):
    header = f"a={quote}{piece * (300_000 // len(piece))}{quote}"

    parse_cookies([header], max_items=None)


@pytest.mark.parametrize("piece", HOSTILE)
def test_twice_the_cookies_take_at_most_twice_the_steps(piece):
    once, twice = (
        steps_of(parse_cookies, [f'a="{piece * count}"'], max_items=None) for count in (500, 1000)
    )

    assert twice <= 2 * once + 20


# Writing


@pytest.mark.parametrize(
    ("options", "cookie"),
    [
        ({}, "k=v; Path=/"),
        ({"path": None}, "k=v"),
        ({"path": "/a b/é"}, "k=v; Path=/a%20b/%C3%A9"),
        ({"path": ""}, "k=v; Path="),
        ({"path": None, "domain": "example.com"}, "k=v; Domain=example.com"),
        ({"path": None, "domain": ".example.com"}, "k=v; Domain=example.com"),
        ({"path": None, "domain": "example.com:5000"}, "k=v; Domain=example.com"),
        ({"path": None, "domain": "bücher.example"}, "k=v; Domain=xn--bcher-kva.example"),
        ({"path": None, "domain": "localhost"}, "k=v; Domain=localhost"),
        ({"path": None, "domain": ""}, "k=v"),
        ({"path": None, "max_age": 60}, "k=v; Max-Age=60"),
        ({"path": None, "max_age": 1.9}, "k=v; Max-Age=1"),
        ({"path": None, "max_age": 0}, "k=v; Max-Age=0"),
        ({"path": None, "max_age": timedelta(hours=1, milliseconds=5)}, "k=v; Max-Age=3600"),
        ({"path": None, "expires": 0}, "k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ({"path": None, "expires": 0.5}, "k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ({"path": None, "expires": "whenever"}, "k=v; Expires=whenever"),
        (
            {"path": None, "expires": datetime(2026, 1, 2, tzinfo=UTC)},
            "k=v; Expires=Fri, 02 Jan 2026 00:00:00 GMT",
        ),
        ({"path": None, "secure": True}, "k=v; Secure"),
        ({"path": None, "httponly": True}, "k=v; HttpOnly"),
        ({"path": None, "samesite": "STRICT"}, "k=v; SameSite=Strict"),
        ({"path": None, "samesite": "lax"}, "k=v; SameSite=Lax"),
        ({"path": None, "samesite": "None"}, "k=v; SameSite=None"),
        ({"path": None, "partitioned": True}, "k=v; Secure; Partitioned"),
    ],
)
def test_an_attribute_is_written(options, cookie):
    assert dump_cookie("k", "v", **options) == cookie


def test_all_attributes_are_written_in_the_order_that_flask_has():
    cookie = dump_cookie(
        "k",
        "v w",
        max_age=3,
        expires=0,
        path="/x",
        domain="a.b",
        secure=True,
        httponly=True,
        samesite="lax",
        partitioned=True,
    )

    assert cookie == (
        'k="v w"; Domain=a.b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=3; Secure; HttpOnly;'
        " Path=/x; SameSite=Lax; Partitioned"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", ""),
        ("azAZ09_!#$%&'()*+-./:<=>?@[]^`{|}~", "azAZ09_!#$%&'()*+-./:<=>?@[]^`{|}~"),
        ("a b", '"a b"'),
        ("a,b;c", r'"a\054b\073c"'),
        ('"\\', r'"\"\\"'),
        ("é", r'"\303\251"'),
    ],
)
def test_a_value_is_quoted_as_flask_does(value, written):
    assert dump_cookie("k", value, path=None) == f"k={written}"


@pytest.mark.parametrize("key", ["", "a b", "a;b", "a=b", "a\r\n", "é", "a\0", '"a"', "a,b"])
def test_a_name_that_is_no_token_is_refused(key):
    with pytest.raises(ValueError, match="is not the name of a cookie") as caught:
        dump_cookie(key, "v")

    assert repr(key) in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: e=1", "a\n", "\0", "a\tb", "\x7f", "\x1b"])
def test_a_value_with_a_control_character_is_refused(value):
    with pytest.raises(ValueError, match="control character") as caught:
        dump_cookie("k", value)

    assert repr(value) in str(caught.value)


def test_a_value_that_is_not_utf_8_is_refused():
    with pytest.raises(ValueError, match="not UTF-8") as caught:
        dump_cookie("k", "\ud800")

    assert type(caught.value) is ValueError


@pytest.mark.parametrize("text", ["/; Secure", "/\r\nX: 1", "/\0", "x\x7f"])
@pytest.mark.parametrize("name", ["path", "expires"])
def test_an_attribute_starts_no_other(name, text):
    with pytest.raises(ValueError, match=f"cannot have {name}=") as caught:
        dump_cookie("k", "v", **{name: text})

    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "domain",
    ["x.com; Secure", "x.com\r\n", ".", "a b", "x.com,y.com", "-", "é" * 70, "é..x", "a/b", "é;x"],
)
def test_a_domain_that_is_no_name_of_a_host_is_refused(domain):
    with pytest.raises(ValueError, match="cannot have domain=") as caught:
        dump_cookie("k", "v", domain=domain)

    assert repr(domain) in str(caught.value)


@pytest.mark.parametrize("samesite", ["", "Lax; Secure", "no", "lax\r\n"])
def test_another_samesite_is_refused(samesite):
    with pytest.raises(ValueError, match="cannot have samesite="):
        dump_cookie("k", "v", samesite=samesite)


@pytest.mark.parametrize("max_age", ["3; Secure", "x", float("nan"), float("inf")])
def test_a_max_age_that_is_no_number_is_refused(max_age):
    with pytest.raises(ValueError, match="cannot have max_age="):
        dump_cookie("k", "v", max_age=max_age)


# Laws


@settings(deadline=None)
@given(tokens, printable)
def test_any_printable_value_comes_back(key, value):
    cookies = parse_cookies([sent(dump_cookie(key, value))])

    assert list(cookies.items(multi=True)) == [(key, value)]


@settings(deadline=None)
@given(st.dictionaries(tokens, printable, max_size=10))
def test_cookies_do_not_disturb_one_another(values):
    header = "; ".join(sent(dump_cookie(key, value)) for key, value in values.items())

    assert parse_cookies([header]).to_dict() == values


@settings(deadline=None)
@given(tokens, st.text(), st.text(), st.text(), st.text())
def test_no_part_adds_an_attribute_or_ends_the_line(key, value, path, domain, expires):
    try:
        cookie = dump_cookie(key, value, path=path, domain=domain, expires=expires)
    except ValueError:
        return

    assert cookie.count(";") == (3 if domain else 2)
    assert not set(cookie) & {"\r", "\n", "\0"}
    assert cookie.partition(";")[0].isascii()
