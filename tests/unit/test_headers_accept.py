from __future__ import annotations

import encodings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.headers import Accept, CharsetAccept, LanguageAccept, MIMEAccept, parse_accept_header
from tests.steps import steps_of

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
KINDS = [Accept, MIMEAccept, LanguageAccept, CharsetAccept]


def mime(header):
    return parse_accept_header(header, MIMEAccept)


def language(header):
    return parse_accept_header(header, LanguageAccept)


# Parsing


@pytest.mark.parametrize(
    ("header", "items"),
    [
        (None, []),
        ("", []),
        (",", []),
        ("gzip", [("gzip", 1)]),
        ("gzip, br;q=0.5", [("gzip", 1), ("br", 0.5)]),
        ("br;q=0.5, gzip", [("gzip", 1), ("br", 0.5)]),
        ("a;q=0.3, b;q=0.3", [("a", 0.3), ("b", 0.3)]),
        ("*, gzip;q=0.1", [("gzip", 0.1), ("*", 1)]),
        ("a;q=0", [("a", 0)]),
        ("a;q=1.000, b;q=0., c;q=.5", [("a", 1), ("c", 0.5), ("b", 0)]),
        ("a; Q=0.5", [("a", 0.5)]),
        ("a;q=", [("a", 1)]),
    ],
)
def test_a_header_is_read_as(header, items):
    assert list(parse_accept_header(header)) == items


@pytest.mark.parametrize(
    "quality", ["2", "-1", "1.1", "nan", "inf", "1e-1", "x", "\u0660", "0x1", "."]
)
def test_an_item_with_a_quality_that_is_none_is_dropped(quality):
    assert list(parse_accept_header(f"a;q={quality}, b")) == [("b", 1)]


def test_an_item_without_a_value_is_dropped():
    assert list(parse_accept_header(";q=1, b")) == [("b", 1)]


def test_items_after_the_first_hundred_are_dropped():
    header = ",".join(f"a{n}" for n in range(200))

    assert len(parse_accept_header(header)) == 100
    assert "a99" in parse_accept_header(header)
    assert "a100" not in parse_accept_header(header)


def test_a_parameter_stays_with_its_type_and_quoted_commas_do_not_split():
    accept = mime('text/html; level=1; q=0.5, text/plain; x="a,b"')

    assert list(accept) == [('text/plain; x="a,b"', 1), ("text/html; level=1", 0.5)]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_header_nothing_is_asked_for(kind):
    accept = parse_accept_header(None, kind)

    assert type(accept) is kind
    assert not accept
    assert accept.best is None
    assert accept.best_match(["a", "b"]) is None
    assert accept.quality("a") == 0


# Reading


def test_an_item_is_read_by_place_or_by_value():
    accept = parse_accept_header("gzip, br;q=0.5")

    assert accept[0] == ("gzip", 1)
    assert accept[-1] == ("br", 0.5)
    assert accept["BR"] == 0.5
    assert accept["zstd"] == 0
    assert len(accept) == 2


def test_what_is_accepted_is_in_it():
    accept = parse_accept_header("gzip, br;q=0")

    assert "GZIP" in accept
    assert "br" not in accept
    assert "zstd" not in accept
    assert 5 not in accept


def test_find_gives_the_place_of_what_matches():
    accept = mime("text/html, text/*;q=0.5")

    assert accept.find("TEXT/html") == 0
    assert accept.find("text/plain") == 1
    assert accept.find("image/png") == -1


def test_values_come_without_quality():
    assert list(parse_accept_header("gzip, br;q=0.5").values()) == ["gzip", "br"]


@pytest.mark.parametrize(
    ("header", "best"),
    [("br;q=0.5, gzip", "gzip"), ("gzip;q=0", None), ("a/b;level=1;q=0.1, c/d", "c/d")],
)
def test_the_best_is_what_the_client_prefers(header, best):
    assert mime(header).best == best


def test_it_is_written_as_a_header():
    header = "gzip,br;q=0.5,*;q=0"

    assert parse_accept_header(header).to_header() == header
    assert str(parse_accept_header(header)) == header


def test_equal_preferences_are_equal():
    assert parse_accept_header("a, b;q=0.5") == parse_accept_header("b;q=0.5,a")
    assert hash(parse_accept_header("a")) == hash(parse_accept_header("a"))
    assert parse_accept_header("a") != parse_accept_header("b")
    assert parse_accept_header("a") != "a"


def test_the_repr_shows_the_items():
    assert repr(mime("a/b;q=0.5")) == "MIMEAccept([('a/b', 0.5)])"


# Choosing


@pytest.mark.parametrize(
    ("header", "offers", "best"),
    [
        ("gzip, br;q=0.5", ["br", "gzip"], "gzip"),
        ("gzip, br", ["br", "gzip"], "br"),
        ("*", ["br", "gzip"], "br"),
        ("gzip;q=0, *", ["gzip", "br"], "br"),
        ("gzip;q=0, *", ["gzip"], None),
        ("*;q=0", ["gzip"], None),
        ("*, gzip", ["br", "gzip"], "gzip"),
        ("gzip", [], None),
    ],
)
def test_the_best_offer(header, offers, best):
    assert parse_accept_header(header).best_match(offers) == best


def test_the_default_is_for_when_nothing_matches():
    accept = parse_accept_header("gzip")

    assert accept.best_match(["br"], "none") == "none"
    assert accept.best_match(["gzip"], "none") == "gzip"


@pytest.mark.parametrize(
    ("header", "offers", "best"),
    [
        (FIREFOX, ["application/json", "text/html"], "text/html"),
        (FIREFOX, ["application/json", "application/xml"], "application/xml"),
        (FIREFOX, ["application/json"], "application/json"),
        ("*/*", ["application/json", "text/html"], "application/json"),
        ("text/*, application/json;q=0.9", ["application/json", "text/plain"], "text/plain"),
        ("text/*;q=0.5, text/html;q=0.1", ["text/html", "text/plain"], "text/plain"),
        ("text/*, text/html", ["text/plain", "text/html"], "text/html"),
        ("text/html;level=1", ["text/html"], None),
        ("text/html;level=1", ["text/html;level=2", "text/html; LEVEL=1"], "text/html; LEVEL=1"),
        ("text/html", ["text/html; charset=utf-8"], "text/html; charset=utf-8"),
        ("application/json; charset=utf-8", ["application/json"], "application/json"),
        ("application/json", ["application/problem+json"], None),
        ("text", ["text/html"], None),
    ],
)
def test_the_best_media_type(header, offers, best):
    assert mime(header).best_match(offers) == best


@pytest.mark.parametrize(
    ("header", "html", "xhtml", "json"),
    [
        (FIREFOX, True, True, True),
        ("*/*", True, True, True),
        ("application/json", False, False, True),
        ("text/html", True, False, False),
        ("application/xml", True, True, False),
        ("text/*", True, False, False),
        ("*/*, application/json;q=0", True, True, False),
        ("", False, False, False),
    ],
)
def test_common_types_have_an_attribute(header, html, xhtml, json):
    accept = mime(header)

    assert (accept.accept_html, accept.accept_xhtml, accept.accept_json) == (html, xhtml, json)


@pytest.mark.parametrize(
    ("header", "offers", "best"),
    [
        ("de-AT, en;q=0.5", ["de", "en"], "en"),
        ("de-AT, en;q=0.5", ["de-AT", "en"], "de-AT"),
        ("de_at", ["de-AT"], "de-AT"),
        ("de-AT", ["de_AT"], "de_AT"),
        ("de-AT", ["fr", "de"], "de"),
        ("de-AT", ["de-CH"], None),
        ("en", ["fr-FR", "en_GB", "en-US"], "en_GB"),
        ("zh-Hant-TW", ["zh"], "zh"),
        ("fr;q=0", ["fr"], None),
        ("*", ["de", "en"], "de"),
        ("fr", ["de"], None),
    ],
)
def test_the_best_language(header, offers, best):
    assert language(header).best_match(offers) == best


def test_the_default_language_is_for_when_nothing_matches():
    assert language("fr").best_match(iter(["de"]), "en") == "en"
    assert language("en").best_match(iter(["de", "en-GB"]), "xx") == "en-GB"


def test_languages_are_compared_in_any_spelling():
    assert language("en-GB;q=0.5")["EN_gb"] == 0.5


def test_charsets_are_compared_by_what_they_mean():
    accept = parse_accept_header("utf-8, iso-8859-1;q=0.5", CharsetAccept)

    assert accept["UTF8"] == 1
    assert accept["latin1"] == accept["latin-1"] == 0.5
    assert accept.best_match(["latin1", "utf_8"]) == "utf_8"


def test_charsets_that_nobody_knows_are_not_remembered():
    before = len(encodings._cache)

    for n in range(50):
        parse_accept_header(f"x-unknown-{n}", CharsetAccept).quality(f"x-other-{n}")

    assert len(encodings._cache) == before


# Laws


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(header=st.text() | st.text('a/*;q=0.1,"- \\'))
def test_no_text_makes_it_fail(kind, header):
    accept = parse_accept_header(header, kind)

    assert accept.best_match(["a/a", "a"], "none") is not None
    assert 0 <= accept.quality("a") <= 1
    assert isinstance(accept.to_header(), str)


qualities = st.integers(0, 10).map(lambda n: n / 10)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), qualities))
def test_what_is_written_is_read_again(items):
    accept = Accept(items.items())

    assert parse_accept_header(accept.to_header()) == accept


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), qualities), st.permutations("abcd"))
def test_no_offer_is_better_than_the_best(items, offers):
    accept = Accept(items.items())

    best = accept.best_match(offers)

    highest = max(accept.quality(offer) for offer in offers)
    assert (accept.quality(best) if best else 0) == highest


@pytest.mark.parametrize("piece", ["a,", "a;q=0.1,", '"', ";", ",", '"\\', "a/b;c=d,"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lot_of_hostile_preferences_comes_to_an_end(kind, piece):
    accept = parse_accept_header(piece * (300_000 // len(piece)), kind)

    accept.best_match(["a", "b"])


def test_more_preferences_than_the_limit_cost_offers_no_more_steps():
    few = mime("a/b," * 100)
    many = mime("a/b," * 10_000)

    assert steps_of(few.best_match, ["c/d"]) == steps_of(many.best_match, ["c/d"])
