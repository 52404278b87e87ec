from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.headers import (
    ContentRange,
    IfRange,
    Range,
    parse_content_range_header,
    parse_if_range_header,
    parse_range_header,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What a client wants


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-99", [(0, 100)]),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=5-", [(5, None)]),
        ("bytes=-5", [(-5, None)]),
        ("bytes=-1", [(-1, None)]),
        ("bytes=0-1,3-4", [(0, 2), (3, 5)]),
        ("bytes=3-4, -2", [(3, 5), (-2, None)]),
        (" BYTES = 1 - 2 ", [(1, 3)]),
        ("bytes=0-" + "9" * 32, [(0, 10**32)]),
    ],
)
def test_a_range_is_read(header, ranges):
    parsed = parse_range_header(header)

    assert parsed.units == "bytes"
    assert parsed.ranges == ranges


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "=0-1",
        "bytes=a-b",
        "bytes=5-3",
        "bytes=-0",
        "bytes=-",
        "bytes=--1",
        "bytes=0-1,",
        "bytes=0x1-2",
        "bytes=\u0661-\u0662",
        "bytes=1-2-3",
        "bytes=1_0-20",
        "bytes=+1-2",
        "bytes=0-" + "9" * 5000,
        "bytes=" + ",".join(["0-1"] * 101),
    ],
)
def test_a_range_that_makes_no_sense_is_none(header):
    assert parse_range_header(header) is None


def test_a_hundred_parts_still_make_sense():
    assert len(parse_range_header("bytes=" + ",".join(["0-1"] * 100)).ranges) == 100


@pytest.mark.parametrize(
    ("header", "length", "part"),
    [
        ("bytes=0-4", 10, (0, 5)),
        ("bytes=0-99", 10, (0, 10)),
        ("bytes=5-", 10, (5, 10)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=10-", 10, None),
        ("bytes=10-20", 10, None),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-99", 10, (0, 10)),
        ("bytes=-3", 0, None),
        ("bytes=0-", 0, None),
        ("bytes=0-1,3-4", 10, None),
        ("items=0-1", 10, None),
        ("bytes=0-1", None, None),
    ],
)
def test_the_part_of_something_with_a_length(header, length, part):
    assert parse_range_header(header).range_for_length(length) == part


def test_a_content_range_is_made():
    wanted = parse_range_header("bytes=0-99")

    assert wanted.make_content_range(10).to_header() == "bytes 0-9/10"
    assert wanted.to_content_range_header(10) == "bytes 0-9/10"
    assert wanted.make_content_range(0) is None
    assert wanted.to_content_range_header(None) is None


def test_a_range_is_written():
    wanted = Range("bytes", [(0, 5), (0, None), (7, None), (-2, None)])

    assert wanted.to_header() == str(wanted) == "bytes=0-4,0-,7-,-2"
    assert repr(wanted) == "<Range 'bytes=0-4,0-,7-,-2'>"


@pytest.mark.parametrize("part", [(5, 5), (5, 3), (-1, 3)])
def test_what_is_no_range_is_refused(part):
    with pytest.raises(ValueError, match="is no range") as caught:
        Range("bytes", [part])

    assert repr(part) in str(caught.value)


# What a response carries


@pytest.fixture
def written():
    return []


@pytest.fixture
def content(written):
    return ContentRange("bytes", 0, 5, 10, lambda part: written.append(part.to_header()))


@pytest.mark.parametrize(
    ("arguments", "header"),
    [
        ((), ""),
        (("bytes", 0, 5, 10), "bytes 0-4/10"),
        (("bytes", 0, 5), "bytes 0-4/*"),
        (("bytes", None, None, 10), "bytes */10"),
    ],
)
def test_a_content_range_is_written(arguments, header):
    part = ContentRange(*arguments)

    assert part.to_header() == str(part) == header
    assert bool(part) == bool(header)
    assert repr(part) == f"<ContentRange {header!r}>"


def test_making_one_tells_nobody(content, written):
    assert content
    assert written == []


@pytest.mark.parametrize(
    ("name", "value", "header"),
    [
        ("units", "items", "items 0-4/10"),
        ("start", 2, "bytes 2-4/10"),
        ("stop", 7, "bytes 0-6/10"),
        ("length", None, "bytes 0-4/*"),
    ],
)
def test_each_part_can_be_set_and_tells(content, written, name, value, header):
    setattr(content, name, value)

    assert getattr(content, name) == value
    assert written == [header]


def test_all_parts_can_be_set_at_once(content, written):
    content.set(1, 2, 3)
    content.set(None, None, 3)
    content.unset()

    assert written == ["bytes 1-1/3", "bytes */3", ""]
    assert not content


@pytest.mark.parametrize("part", [(5, 5), (5, 3), (-1, 3), (None, 3), (3, None)])
def test_what_is_no_part_is_refused(content, written, part):
    with pytest.raises(ValueError, match="is no range"):
        content.set(*part)

    assert written == []
    assert content.to_header() == "bytes 0-4/10"


@pytest.mark.parametrize("header", ["bytes 0-4/10", "bytes 0-4/*", "bytes */10", "x-y */*"])
def test_a_content_range_is_read(header):
    assert parse_content_range_header(header).to_header() == header


def test_a_content_range_that_was_read_is_live(written):
    part = parse_content_range_header("bytes */10", lambda p: written.append(p.to_header()))

    part.set(0, 5, 10)

    assert written == ["bytes 0-4/10"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        "bytes 9-1/10",
        "bytes 0-10/10",
        "bytes a-b/c",
        "bytes \u0661-\u0662/*",
        "bytes 0-1",
    ],
)
def test_a_content_range_that_makes_no_sense_is_none(header):
    assert parse_content_range_header(header) is None


# Which version


@pytest.mark.parametrize(
    ("header", "etag", "date", "is_weak"),
    [
        (None, None, None, False),
        ("", None, None, False),
        ('"abc"', "abc", None, False),
        ("abc", "abc", None, False),
        ('W/"abc"', "abc", None, True),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None, EPOCH, False),
    ],
)
def test_if_range_is_a_tag_or_a_date(header, etag, date, is_weak):
    parsed = parse_if_range_header(header)

    assert (parsed.etag, parsed.date, parsed.is_weak) == (etag, date, is_weak)


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ("", True),
        ('"abc"', True),
        ('"other"', False),
        ('W/"abc"', False),
        ("Thu, 01 Jan 1970 00:00:00 GMT", True),
        ("Thu, 01 Jan 1970 00:00:01 GMT", False),
    ],
)
def test_a_part_may_be_sent_of_the_same_version(header, matches):
    assert parse_if_range_header(header).matches("abc", EPOCH) is matches


def test_a_tag_does_not_match_what_has_none():
    assert not IfRange("abc").matches(None, EPOCH)
    assert not IfRange(date=EPOCH).matches("abc", None)


@pytest.mark.parametrize("header", ["", '"abc"', 'W/"abc"', "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_if_range_is_written(header):
    parsed = parse_if_range_header(header)

    assert parsed.to_header() == str(parsed) == header
    assert repr(parsed) == f"<IfRange {header!r}>"


# Laws

numbers = st.integers(0, 50)


@settings(deadline=None)
@given(numbers, numbers, st.sampled_from(["{0}-{1}", "{0}-", "-{1}"]), numbers)
def test_a_part_is_inside_and_is_what_a_slice_would_be(first, last, form, length):
    wanted = parse_range_header(f"bytes={form.format(first, last)}")
    if wanted is None:
        return

    part = wanted.range_for_length(length)

    everything = range(length)
    if form == "-{1}":
        expected = everything[-last:]
    else:
        expected = everything[first : last + 1 if form == "{0}-{1}" else None]
    assert (everything[slice(*part)] if part else range(0)) == expected


@settings(deadline=None)
@given(st.text() | st.text("bytes=0123- ,*/"))
def test_no_text_makes_a_parser_fail(header):
    wanted = parse_range_header(header)
    parse_content_range_header(header)
    parse_if_range_header(header)

    if wanted is not None:
        wanted.range_for_length(10)
        assert parse_range_header(wanted.to_header()).ranges == wanted.ranges


@pytest.mark.parametrize("piece", ["0-1,", "-", " ", "9", ",", " -", "0-"])
@pytest.mark.parametrize(
    "parse", [parse_range_header, parse_content_range_header, parse_if_range_header]
)
def test_a_lot_of_hostile_ranges_comes_to_an_end(parse, piece):
    many = piece * (300_000 // len(piece))

    parse(f"bytes={many}")
    parse(f"bytes {many}")
