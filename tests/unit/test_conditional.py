from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlen.conditional import Verdict, evaluate
from erlen.headers import RequestHeaders

NOON = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
AT_NOON = "Wed, 01 May 2024 12:00:00 GMT"
BEFORE = "Wed, 01 May 2024 11:59:59 GMT"
AFTER = "Wed, 01 May 2024 12:00:01 GMT"


def verdict(
    *,
    etag: str | None = '"v1"',
    last_modified: datetime | None = NOON,
    length: int | None = 100,
    **headers: str,
) -> Verdict:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return evaluate(RequestHeaders(sent), etag=etag, last_modified=last_modified, length=length)


def test_without_conditions_the_answer_is_as_it_is():
    assert verdict() == Verdict(None)


STRONG = {
    "its tag": ('"v1"', None),
    "its tag among others": ('"v0", "v1"', None),
    "anything": ("*", None),
    "another tag": ('"v2"', 412),
    "its tag, but weak": ('W/"v1"', 412),
    "nothing": ("", 412),
    "a tag cut in two": ('"v 1"', 412),
}


@pytest.mark.parametrize(("header", "status"), STRONG.values(), ids=STRONG)
def test_if_match_compares_strongly(header, status):
    assert verdict(if_match=header).status == status


def test_if_match_never_holds_for_a_weak_tag():
    assert verdict(etag='W/"v1"', if_match='"v1"').status == 412
    assert verdict(etag='W/"v1"', if_match='W/"v1"').status == 412


def test_if_match_holds_without_a_tag_only_for_anything():
    assert verdict(etag=None, if_match='"v1"').status == 412
    assert verdict(etag=None, if_match="*").status is None


WEAK = {
    "its tag": ('"v1"', 304),
    "its tag, but weak": ('W/"v1"', 304),
    "its tag among others": ('"v0", W/"v1"', 304),
    "anything": ("*", 304),
    "another tag": ('"v2"', None),
    "nothing": ("", None),
    "a tag cut in two": ('"v 1"', None),
}


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
@pytest.mark.parametrize(("header", "status"), WEAK.values(), ids=WEAK)
def test_if_none_match_compares_weakly(header, status, etag):
    assert verdict(etag=etag, if_none_match=header).status == status


def test_if_none_match_finds_nothing_without_a_tag():
    assert verdict(etag=None, if_none_match='"v1"').status is None


MODIFIED_SINCE = {
    "later": (AFTER, 304),
    "the same second": (AT_NOON, 304),
    "earlier": (BEFORE, None),
    "no date": ("yesterday", None),
    "empty": ("", None),
    "the old form": ("Wednesday, 01-May-24 12:00:00 GMT", 304),
    "asctime": ("Wed May  1 12:00:00 2024", 304),
    "another zone": ("Wed, 01 May 2024 14:00:00 +0200", 304),
    "a year that is none": ("Wed, 01 May 99999999999 12:00:00 GMT", None),
}


@pytest.mark.parametrize(("header", "status"), MODIFIED_SINCE.values(), ids=MODIFIED_SINCE)
def test_if_modified_since_saves_what_did_not_change(header, status):
    assert verdict(if_modified_since=header).status == status


UNMODIFIED_SINCE = {
    "later": (AFTER, None),
    "the same second": (AT_NOON, None),
    "earlier": (BEFORE, 412),
    "no date": ("yesterday", None),
}


@pytest.mark.parametrize(("header", "status"), UNMODIFIED_SINCE.values(), ids=UNMODIFIED_SINCE)
def test_if_unmodified_since_refuses_what_changed(header, status):
    assert verdict(if_unmodified_since=header).status == status


def test_fractions_of_a_second_are_not_compared():
    late = NOON + timedelta(microseconds=999_999)

    assert verdict(last_modified=late, if_modified_since=AT_NOON).status == 304
    assert verdict(last_modified=late, if_unmodified_since=AT_NOON).status is None
    assert verdict(last_modified=late, range="bytes=0-0", if_range=AT_NOON).status == 206


def test_the_zone_of_the_last_change_does_not_matter():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))

    assert verdict(last_modified=elsewhere, if_modified_since=AT_NOON).status == 304
    assert verdict(last_modified=elsewhere, if_modified_since=BEFORE).status is None


def test_dates_are_ignored_where_the_last_change_is_unknown():
    headers = {"if_unmodified_since": BEFORE, "if_modified_since": AFTER}

    assert verdict(last_modified=None, **headers) == Verdict(None)


PRECEDENCE = {
    "If-Match over If-Unmodified-Since": (
        {"if_match": '"v1"', "if_unmodified_since": BEFORE},
        None,
    ),
    "If-None-Match over If-Modified-Since": (
        {"if_none_match": '"v2"', "if_modified_since": AFTER},
        None,
    ),
    "If-Match before If-None-Match": ({"if_match": '"v2"', "if_none_match": '"v1"'}, 412),
    "If-None-Match after If-Match": ({"if_match": '"v1"', "if_none_match": '"v1"'}, 304),
    "If-Unmodified-Since before If-Modified-Since": (
        {"if_unmodified_since": BEFORE, "if_modified_since": AFTER},
        412,
    ),
    "If-None-Match after If-Unmodified-Since": (
        {"if_unmodified_since": AFTER, "if_none_match": '"v1"'},
        304,
    ),
    "If-None-Match before Range": ({"if_none_match": '"v1"', "range": "bytes=0-1"}, 304),
    "If-Modified-Since before Range": ({"if_modified_since": AFTER, "range": "bytes=0-1"}, 304),
    "If-Match before Range": ({"if_match": '"v2"', "range": "bytes=0-1"}, 412),
    "Range at last": ({"if_match": '"v1"', "if_none_match": '"v2"', "range": "bytes=0-1"}, 206),
}


@pytest.mark.parametrize(("headers", "status"), PRECEDENCE.values(), ids=PRECEDENCE)
def test_conditions_are_weighed_in_their_order(headers, status):
    assert verdict(**headers).status == status


PARTS = {
    "from the start": ("bytes=0-9", (0, 10)),
    "one byte": ("bytes=0-0", (0, 1)),
    "in the middle": ("bytes=10-19", (10, 20)),
    "the last byte": ("bytes=99-99", (99, 100)),
    "open": ("bytes=90-", (90, 100)),
    "all of it": ("bytes=0-", (0, 100)),
    "beyond the end": ("bytes=90-1000", (90, 100)),
    "far beyond the end": ("bytes=0-99999999999999999999999999999999", (0, 100)),
    "the last ten": ("bytes=-10", (90, 100)),
    "more than there is": ("bytes=-1000", (0, 100)),
    "in capitals": ("Bytes=0-9", (0, 10)),
    "with leading zeros": ("bytes=000-0009", (0, 10)),
}


@pytest.mark.parametrize(("header", "part"), PARTS.values(), ids=PARTS)
def test_one_range_gets_its_part(header, part):
    assert verdict(range=header) == Verdict(206, *part)


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=9999999999999999999-"])
def test_a_range_that_begins_after_the_end_cannot_be_satisfied(header):
    assert verdict(range=header).status == 416


IGNORED = {
    "several ranges": "bytes=0-1,3-4",
    "very many ranges": "bytes=" + "0-," * 10_000 + "0-",
    "backwards": "bytes=9-0",
    "no bytes at all": "bytes=-",
    "the last none": "bytes=-0",
    "other units": "lines=0-9",
    "no units": "0-9",
    "no range": "bytes",
    "empty": "",
    "nothing after the units": "bytes=",
    "words": "bytes=a-b",
    "negative": "bytes=--1",
    "signed": "bytes=+1-2",
    "underscores": "bytes=0-1_0",
    "more digits than int() reads": "bytes=0-" + "9" * 5000,
}


@pytest.mark.parametrize("header", IGNORED.values(), ids=IGNORED)
def test_any_other_range_is_ignored(header):
    assert verdict(range=header) == Verdict(None)


def test_digits_of_other_scripts_are_none():
    headers = {"range": "bytes=\u0660-\u0669"}

    found = evaluate(headers, etag=None, last_modified=None, length=100)

    assert found == Verdict(None)


def test_a_range_of_nothing_is_ignored():
    assert verdict(length=0, range="bytes=0-") == Verdict(None)


def test_a_range_is_ignored_where_none_is_offered():
    assert verdict(length=None, range="bytes=0-1") == Verdict(None)


IF_RANGE = {
    "its tag": ('"v1"', '"v1"', 206),
    "another tag": ('"v1"', '"v2"', None),
    "a weak tag": ('W/"v1"', 'W/"v1"', None),
    "its tag as a strong one": ('W/"v1"', '"v1"', None),
    "its tag as a weak one": ('"v1"', 'W/"v1"', None),
    "no tag here": (None, '"v1"', None),
    "its date": (None, AT_NOON, 206),
    "a later date": (None, AFTER, None),
    "an earlier date": (None, BEFORE, None),
    "neither tag nor date": ('"v1"', "yesterday", None),
}


@pytest.mark.parametrize(("etag", "header", "status"), IF_RANGE.values(), ids=IF_RANGE)
def test_a_part_is_given_only_of_what_the_client_has(etag, header, status):
    assert verdict(etag=etag, range="bytes=0-1", if_range=header).status == status


def test_a_date_proves_nothing_where_the_last_change_is_unknown():
    assert verdict(last_modified=None, range="bytes=0-1", if_range=AT_NOON).status is None


def test_if_range_alone_asks_for_nothing():
    assert verdict(if_range='"v2"') == Verdict(None)


@given(first=st.integers(0, 10**40), last=st.integers(0, 10**40), length=st.integers(0, 10**6))
def test_a_part_lies_within_the_whole(first, last, length):
    found = verdict(range=f"bytes={first}-{last}", length=length)

    if found.status == 206:
        assert first == found.start < found.stop <= min(last + 1, length)
    else:
        assert found.status in (None, 416)
        assert length == 0 or first > last or first >= length or max(first, last) >= 10**32


@given(header=st.text(max_size=40), length=st.integers(0, 100))
def test_no_header_makes_it_fail(header, length):
    headers = dict.fromkeys(
        ["if-match", "if-none-match", "if-range", "if-modified-since", "range"], header
    )

    found = evaluate(headers, etag='"v1"', last_modified=NOON, length=length)

    assert found.status in (None, 206, 304, 412, 416)
