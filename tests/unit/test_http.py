from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.http import (
    dump_options_header,
    encode_header_name,
    encode_header_value,
    find_control,
    http_date,
    is_token,
    parse_date,
    parse_dict_header,
    parse_list_header,
    parse_options_header,
    parse_seconds,
    quote_string,
    split_list,
    unquote_string,
)
from tests.steps import steps_of

printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
names = st.text("abcxyz-_1", min_size=1, max_size=6)
BIRTHDAY = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)

# Tokens and control characters


@pytest.mark.parametrize("text", ["a", "X-Forwarded-For", "!#$%&'*+-.^_`|~09azAZ"])
def test_it_is_a_token(text):
    assert is_token(text)


@pytest.mark.parametrize("text", ["", "a b", "a:", "a\n", "é", "a\0", "(a)", 'a"', "a,b", "a=b"])
def test_it_is_no_token(text):
    assert not is_token(text)


@pytest.mark.parametrize(
    ("text", "control"),
    [("plain", None), ("é\u2028\xa0", None), ("a\r\n", "\r"), ("\x7f", "\x7f"), ("a\tb", "\t")],
)
def test_the_first_control_character_is_found(text, control):
    assert find_control(text) == control


# Names and values of headers


def test_a_name_is_encoded_in_lower_case():
    assert encode_header_name("X-Request-ID") == b"x-request-id"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "é", "a\n"])
def test_a_name_that_is_no_token_is_refused(name):
    with pytest.raises(ValueError, match="is not the name of a header") as caught:
        encode_header_name(name)

    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("plain", b"plain"),
        ("", b""),
        ("é", b"\xe9"),
        (b"\xe9", b"\xe9"),
        (12, b"12"),
        ("a\tb", b"a\tb"),
        (" \ta b\t ", b"a b"),
        ("\xa0", b"\xa0"),
    ],
)
def test_a_value_is_encoded(value, encoded):
    assert encode_header_value("X-A", value) == encoded


class Injection:
    def __str__(self):
        return "a\r\nSet-Cookie: e=1"


@pytest.mark.parametrize(
    "value",
    ["a\r\nSet-Cookie: e=1", "a\n", "\ra", "a\0b", "\x7f", "\x1b[0m", b"a\nb", Injection()],
)
def test_a_value_with_a_control_character_is_refused(value):
    with pytest.raises(ValueError, match="control characters") as caught:
        encode_header_value("X-A", value)

    text = value.decode() if isinstance(value, bytes) else str(value)
    assert "'X-A'" in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("value", ["ж", "€", "\ud800"])
def test_a_value_that_is_not_latin_1_is_refused(value):
    with pytest.raises(ValueError, match=r"'X-A' cannot be .*latin-1") as caught:
        encode_header_value("X-A", value)

    assert type(caught.value) is ValueError


@settings(deadline=None)
@given(st.text())
def test_no_value_ends_its_line(value):
    try:
        encoded = encode_header_value("X-A", value)
    except ValueError:
        return

    assert not set(encoded) & {10, 13, 0}
    assert encoded.decode("latin-1") == value.strip(" \t")


# Quoting


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("token", "token"), ("a b", '"a b"'), ("", '""'), ('"', '"\\""'), ("\\", '"\\\\"')],
)
def test_what_is_no_token_is_quoted(text, quoted):
    assert quote_string(text) == quoted
    assert unquote_string(quoted) == text


def test_quotes_can_be_asked_for():
    assert quote_string("token", always=True) == '"token"'


@pytest.mark.parametrize("text", ['"', '"a', 'a"', "a", ""])
def test_what_is_not_in_quotes_stays(text):
    assert unquote_string(text) == text


@settings(deadline=None)
@given(st.text())
def test_quoting_can_be_undone(text):
    assert unquote_string(quote_string(text, always=True)) == text


# Lists


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("", []),
        ("a, b", ["a", "b"]),
        (",a,, b ,", ["a", "b"]),
        ('token, "quoted, value"', ["token", "quoted, value"]),
        ('a="b,c", d', ['a="b,c"', "d"]),
        ('"a\\"b,c", d', ['a"b,c', "d"]),
        ('a, "open, b', ["a", '"open, b']),
        ('"a\\', ['"a\\']),
    ],
)
def test_a_list_is_split_outside_quotes(value, items):
    assert parse_list_header(value) == items


def test_split_list_leaves_the_quotes():
    assert split_list('a, "b, c"') == ["a", '"b, c"']


@settings(deadline=None)
@given(st.lists(printable))
def test_a_list_that_was_quoted_comes_back(items):
    assert parse_list_header(", ".join(quote_string(item) for item in items)) == items


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("", {}),
        ("a=1, b", {"a": "1", "b": None}),
        ('a="b, c", d=', {"a": "b, c", "d": ""}),
        ("a = 1 ,=2", {"a": "1"}),
        ("a=1=2", {"a": "1=2"}),
    ],
)
def test_a_list_of_pairs_is_read(value, items):
    assert parse_dict_header(value) == items


# Parameters


@pytest.mark.parametrize(
    ("value", "main", "options"),
    [
        (None, "", {}),
        ("", "", {}),
        ("text/html", "text/html", {}),
        (" text/html ; charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ("a; B=1; b=2", "a", {"b": "2"}),
        ('a; x="q\\"b;c"; y = 2', "a", {"x": 'q"b;c', "y": "2"}),
        ('a; x="q" r; y=1', "a", {"x": "q", "y": "1"}),
        ('a; x=""', "a", {"x": ""}),
        ("a; b; c=; =d; e f=g", "a", {}),
        ('a; x="open; y=1', "a", {}),
        ("; a=1", "", {}),
        ('form-data; name="a%22b"', "form-data", {"name": 'a"b'}),
        ("a;x='q;r'", "a", {"x": "'q"}),
    ],
)
def test_parameters_are_read(value, main, options):
    assert parse_options_header(value) == (main, options)


@pytest.mark.parametrize(
    ("parameters", "filename"),
    [
        ("filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
        ("filename*=utf-8'en'%e2%82%ac", "€"),
        ("filename*=iso-8859-1''%e9", "é"),
        ("filename*=UTF-8''it's", "it's"),
        ("filename*=us-ascii''%41%ff", "A\ufffd"),
        ("filename*=klingon''%41", "%41"),
        ("filename*=%41", "%41"),
        ("filename*=UTF-8''%41; filename=plain", "A"),
        ("filename=plain; filename*=UTF-8''%41", "A"),
        ("filename*=UTF-8''a; filename*=UTF-8''b", "b"),
        ('filename*0="a"; filename*1="b"', "ab"),
        ("filename*0*=UTF-8''%41%20; filename*1=b%41; filename*2*=%43", "A b%41C"),
        ("filename*0=a'b'%41; filename*1*=%41", "a'b'%41%41"),
    ],
)
def test_extended_parameters_are_put_together(parameters, filename):
    assert parse_options_header(f"attachment; {parameters}")[1] == {"filename": filename}


@pytest.mark.parametrize("key", ["a*b", "*", "**", "a*0*1", "a*99999", "*0"])
def test_a_malformed_extended_parameter_is_dropped(key):
    assert parse_options_header(f"a; {key}=1") == ("a", {})


@pytest.mark.parametrize(
    ("main", "options", "header"),
    [
        ("a", {}, "a"),
        ("attachment", {"filename": "cat.png"}, "attachment; filename=cat.png"),
        ("attachment", {"filename": "a b.png"}, 'attachment; filename="a b.png"'),
        ("attachment", {"filename": "€.png"}, "attachment; filename*=UTF-8''%E2%82%AC.png"),
        ("attachment", {"filename*": "a b"}, "attachment; filename*=UTF-8''a%20b"),
        ("attachment", {"filename": "a\ud800b€"}, "attachment; filename*=UTF-8''a%3Fb%E2%82%AC"),
        ("a", {"x": None, "n": 3, "e": ""}, 'a; n=3; e=""'),
        (None, {"a": "b"}, "a=b"),
    ],
)
def test_parameters_are_written(main, options, header):
    assert dump_options_header(main, options) == header


@pytest.mark.parametrize("key", ["", "a b", "a;b", "é", "a\n", "*"])
def test_a_parameter_that_is_no_token_is_refused(key):
    with pytest.raises(ValueError, match="not the name of a parameter"):
        dump_options_header("a", {key: "1"})


@pytest.mark.parametrize("text", ["a\r\nb", "a\0", "\x7f"])
def test_a_parameter_with_a_control_character_is_refused(text):
    with pytest.raises(ValueError, match="'filename' cannot be") as caught:
        dump_options_header("attachment", {"filename": text})

    assert repr(text) in str(caught.value)


@settings(deadline=None)
@given(st.dictionaries(names, printable.filter(lambda text: "%22" not in text)))
def test_parameters_that_were_written_come_back(options):
    header = dump_options_header("form-data", options)

    assert parse_options_header(header) == ("form-data", options)


# Dates


@pytest.mark.parametrize(
    "value",
    [
        BIRTHDAY,
        BIRTHDAY.replace(tzinfo=None),
        BIRTHDAY.astimezone(timezone(timedelta(hours=-5))),
        BIRTHDAY.timestamp(),
        int(BIRTHDAY.timestamp()),
        time.gmtime(BIRTHDAY.timestamp()),
    ],
    ids=["aware", "naive is UTC", "another zone", "float", "int", "struct_time"],
)
def test_a_date_is_written_as_http_does(value):
    assert http_date(value) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_day_is_its_midnight():
    assert http_date(date(2026, 1, 2)) == "Fri, 02 Jan 2026 00:00:00 GMT"


def test_no_date_is_now():
    before = datetime.now(UTC).replace(microsecond=0)

    written = parse_date(http_date())

    assert written is not None
    assert before <= written <= datetime.now(UTC)


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 03:49:37 -0500",
        "Sun, 06 Nov 1994 08:49:37",
    ],
)
def test_all_forms_of_a_date_are_read(text):
    assert parse_date(text) == BIRTHDAY


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "tomorrow",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +999999999",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT" + " " * 100,
        "1" * 5000,
    ],
)
def test_what_is_no_date_is_none(text):
    assert parse_date(text) is None


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1900, 1, 1)))
def test_a_date_that_was_written_comes_back(moment):
    assert parse_date(http_date(moment)) == moment.replace(microsecond=0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("3600", 3600),
        ("2147483649", 2**31),
        ("9" * 5000, 2**31),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("x", None),
    ],
)
def test_seconds_are_digits_and_bounded(text, seconds):
    assert parse_seconds(text) == seconds


# Hostile input

PARSERS = [parse_options_header, parse_list_header, parse_dict_header, parse_date, parse_seconds]


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@settings(deadline=None)
@given(value=st.text() | st.text("a=;,\"\\*%'0 /-"))
def test_no_text_makes_a_parser_fail(parse, value):
    parse(value)


HOSTILE = [
    '"',
    "\\",
    '\\"',
    ";",
    ",",
    '="',
    ";a=",
    ';a="',
    ',"',
    " ",
    "a;",
    'a="\\";',
    "*0*=''%41;",
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
def test_a_lot_of_hostile_text_comes_to_an_end(parse, piece):
    parse("a;" + piece * (300_000 // len(piece)))


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("parse", PARSERS[:3], ids=lambda parse: parse.__name__)
def test_twice_the_text_takes_at_most_twice_the_steps(parse, piece):
    once, twice = (steps_of(parse, "a;" + piece * count) for count in (500, 1000))

    assert twice <= 2 * once + 20
