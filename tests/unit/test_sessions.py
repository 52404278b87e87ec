from __future__ import annotations

import copy
import hashlib
import json
import pickle
import zlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from markupsafe import Markup

from erlen import sessions
from erlen.config import DEFAULTS, Config
from erlen.errors import ContextError, SetupTypeError, SetupValueError
from erlen.json.tag import JSONTag, TaggedJSONSerializer
from erlen.proxies import Proxy
from erlen.responses import Response
from erlen.sessions import (
    NullSession,
    SecureCookieSession,
    SecureCookieSessionInterface,
    SessionInterface,
    SessionMixin,
    session_json_serializer,
)

NOW = 1_790_000_000
SECRET = "s3cret ☕"
FLASK_CONFIG = {"SESSION_COOKIE_SAMESITE": None, "SESSION_COOKIE_SECURE": False}


class App:
    def __init__(self, **config: Any) -> None:
        self.config = Config("/", {**DEFAULTS, "SECRET_KEY": SECRET, **config})


@dataclass
class Visit:
    """A request, as far as a session interface looks at it."""

    cookies: dict[str, str] = field(default_factory=dict)
    is_secure: bool = False


@pytest.fixture
def clock(monkeypatch):
    """Stop the clocks at NOW; returns a function that sets them."""
    now = NOW

    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(now, tz)

    def set_to(seconds):
        nonlocal now
        now = seconds

    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now)
    monkeypatch.setattr(sessions, "datetime", Frozen)
    return set_to


def opened(app: App, cookie: str | None = None, *, is_secure: bool = False) -> SecureCookieSession:
    name = app.config["SESSION_COOKIE_NAME"]
    visit = Visit({} if cookie is None else {name: cookie}, is_secure)
    session = SecureCookieSessionInterface().open_session(app, visit)
    assert session is not None
    return session


def saved(app: App, session: SessionMixin) -> Response:
    response = Response()
    SecureCookieSessionInterface().save_session(app, session, response)
    return response


def cookies_of(response: Response) -> list[str]:
    return response.headers.getlist("Set-Cookie")


def cookie_for(app: App, values: Any) -> str:
    """Sign *values*, which need not be a dict, as a session is signed."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return serializer.dumps(values)


# The cookie, byte for byte. The literals were made by Flask 3.1.3 at NOW with SECRET.

COOKIES = {
    "scalars": (
        {"user": "eve", "b": True, "n": None, "i": -7, "f": 1.5},
        "eyJiIjp0cnVlLCJmIjoxLjUsImkiOi03LCJuIjpudWxsLCJ1c2VyIjoiZXZlIn0"
        ".arE7gA.BR30jU19V9Gjbc2r48LC3cUWoig",
    ),
    "sorted keys": (
        {"z": 1, "a": {"y": 1, "b": 2}},
        "eyJhIjp7ImIiOjIsInkiOjF9LCJ6IjoxfQ.arE7gA.FAsNiHWqql5qiqdVJLffhbODmek",
    ),
    "other characters": (
        {"name": "Zoë ☕ 😀", "k\u00e9y": "\u2028"},
        "eyJrXHUwMGU5eSI6Ilx1MjAyOCIsIm5hbWUiOiJab1x1MDBlYiBcdTI2MTUgXHVkODNkXHVkZTAwIn0"
        ".arE7gA.N6EBqTamcBC866LdKK98qaeYbsY",
    ),
    "flashes": (
        {"_flashes": [("message", "Hi"), ("error", Markup("<b>no</b>"))]},
        ".eJyrVopPy0kszkgtVrKKrlZSKAFSSrmpxcWJ6alKOkoemUqxtTow8dSiovwiJRA3V8lKySbJLi_fRj_JTqk2"
        "FggBbGkXEw.arE7gA.yOmi3BC3g4i9TYlQJYF2mz2bIR0",
    ),
    "a login": (
        {"_user_id": "12", "_fresh": True, "_id": "ab" * 64, "csrf_token": "c" * 40},
        ".eJyrVopPK0otzlCyKikqTdVRis9MUbJSSkwaWKgEdEhpcWoRxDWGRkB-cnFRWnxJfnZqHlAkmUigVAsA8wpRtw."
        "arE7gA.YdBQUm4kyyX1cKMgi4zXpEjE_fg",
    ),
    "bytes": (
        {"b": b"\x00\xff?>", "e": b""},
        "eyJiIjp7IiBiIjoiQVA4L1BnPT0ifSwiZSI6eyIgYiI6IiJ9fQ.arE7gA.PvubZluhZXi0-9IHtAO6lc8egwc",
    ),
    "datetimes": (
        {
            "aware": datetime(2026, 5, 1, 10, 30, 15, tzinfo=UTC),
            "naive": datetime(2026, 5, 1, 12, 30, 15, tzinfo=UTC),
        },
        ".eJyrVkosTyxKVbKqVlJIUbJScivK1FEwMFTwTaxUMDIwMlMwNLAyNrAyNFVw9w1RqtVRykvMLMOn3AhZeS0A"
        "qzwYTA.arE7gA.wAysFMOsIeFsCyFLrILrYFEZpKE",
    ),
    "all of it like a tag": (
        {" t": [1, 2]},
        "eyIgZGkiOnsiIHRfXyI6WzEsMl19fQ.arE7gA.cfdwa0njtuJGNUPnk6EZYJLDEAw",
    ),
    "nested": (
        {"a": [{"b": ({"c": b"x"},)}]},
        ".eJyrVkpUsoquVkpSsqpWUigBs5PBbKCIUqqjra1SbW0sCAEA-wYMXw"
        ".arE7gA.5VFZK6IgZLE2Fhtn01J_xzuPFbA",
    ),
    "permanent": (
        {"_permanent": True, "n": 1},
        "eyJfcGVybWFuZW50Ijp0cnVlLCJuIjoxfQ.arE7gA.XF8A6xL399hTvp2HK0Ub4Qg-ZM4",
    ),
    "infinity": (
        {"f": float("inf")},
        "eyJmIjpJbmZpbml0eX0.arE7gA.W3kR3tMk7lrojXlwGnGcnbP7fBU",
    ),
    "much of the same": (
        {"text": "spam " * 60},
        ".eJyrVipJrShRslIqLkjMVRgliCKUagGN_3B8.arE7gA.Qj_gq7IWKd5Fy7k_1TBzGz9kIes",
    ),
}
# Some builds of Python compress with another library, to other bytes of the same meaning.
USUAL_ZLIB = urlsafe_b64encode(zlib.compress(b'{"text":"' + b"spam " * 60 + b'"}')) == (
    b"eJyrVipJrShRslIqLkjMVRgliCKUagGN_3B8"
)


@pytest.mark.parametrize(("values", "cookie"), COOKIES.values(), ids=COOKIES.keys())
def test_the_cookie_is_flasks(clock, values, cookie):
    if cookie.startswith(".") and not USUAL_ZLIB:
        pytest.skip("compressed by another library here")
    session = SecureCookieSession()
    session.update(values)

    (header,) = cookies_of(saved(App(**FLASK_CONFIG), session))

    assert header.split(";")[0] == f"session={cookie}"


@pytest.mark.parametrize(("values", "cookie"), COOKIES.values(), ids=COOKIES.keys())
def test_a_cookie_of_flask_is_read(clock, values, cookie):
    session = opened(App(), cookie)

    assert session == values
    assert session.new is False


ALL_SET = {
    "SESSION_COOKIE_NAME": "sid",
    "SESSION_COOKIE_DOMAIN": ".example.org",
    "SESSION_COOKIE_PATH": "/app",
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_PARTITIONED": True,
}
N = "eyJuIjoxfQ.arE7gA.9Q2oyP0eSlrw_MBlKpV9B2xLd2E"
PERMANENT = "eyJfcGVybWFuZW50Ijp0cnVlfQ.arE7gA.N01yZEx38D2iAWFNwWYau-GXt38"
OVER = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
ALL = "Secure; HttpOnly; Path=/app; SameSite=Lax; Partitioned"
HEADERS = {
    "set": (FLASK_CONFIG, {"n": 1}, f"session={N}; HttpOnly; Path=/"),
    "permanent": (
        FLASK_CONFIG,
        {"_permanent": True},
        f"session={PERMANENT}; Expires=Thu, 22 Oct 2026 14:13:20 GMT; HttpOnly; Path=/",
    ),
    "deleted": (FLASK_CONFIG, {}, f"session=; {OVER}; HttpOnly; Path=/"),
    "set with everything": (ALL_SET, {"n": 1}, f"sid={N}; Domain=example.org; {ALL}"),
    "permanent with everything": (
        ALL_SET,
        {"_permanent": True},
        f"sid={PERMANENT}; Domain=example.org; Expires=Thu, 22 Oct 2026 14:13:20 GMT; {ALL}",
    ),
    "deleted with everything": (ALL_SET, {}, f"sid=; Domain=example.org; {OVER}; {ALL}"),
}


@pytest.mark.parametrize(("config", "values", "header"), HEADERS.values(), ids=HEADERS.keys())
def test_the_header_is_flasks(clock, config, values, header):
    session = SecureCookieSession()
    session.clear()
    session.update(values)

    response = saved(App(**config), session)

    assert cookies_of(response) == [header]
    assert response.headers.getlist("Vary") == ["Cookie"]


# Keys


def test_the_newest_key_signs(clock):
    app = App(SECRET_KEY_FALLBACKS=["oldest", b"older"])
    session = SecureCookieSession()
    session["n"] = 1

    assert cookies_of(saved(app, session))[0].startswith(f"session={N};")


def test_older_keys_verify(clock):
    signed_with_oldest = "eyJuIjoxfQ.arE7gA.IGjuRhlxMSXB7NFp7SkY2OgnDcU"

    assert opened(App(SECRET_KEY_FALLBACKS=["oldest", b"older"]), signed_with_oldest) == {"n": 1}
    assert opened(App(SECRET_KEY_FALLBACKS=["older"]), signed_with_oldest) == {}


def test_str_and_bytes_are_the_same_key():
    text = cookie_for(App(SECRET_KEY=SECRET), {"n": 1})

    assert opened(App(SECRET_KEY=SECRET.encode()), text) == {"n": 1}


def test_changed_keys_count_at_once():
    app = App()
    cookie = cookie_for(app, {"n": 1})

    app.config["SECRET_KEY"] = "new"
    with_new_key = opened(app, cookie)
    app.config["SECRET_KEY_FALLBACKS"] = [SECRET]

    assert with_new_key == {}
    assert opened(app, cookie) == {"n": 1}


def test_the_serializer_is_built_once_for_equal_keys():
    keys = {"SECRET_KEY": "once", "SECRET_KEY_FALLBACKS": ["before"]}
    first, second = SecureCookieSessionInterface(), SecureCookieSessionInterface()

    assert first.get_signing_serializer(App(**keys)) is second.get_signing_serializer(App(**keys))


@pytest.mark.parametrize("fallbacks", ["older", b"older"])
def test_a_single_fallback_is_not_taken_for_a_list_of_characters(fallbacks):
    with pytest.raises(SetupTypeError, match=r"SECRET_KEY_FALLBACKS is a .*Make it a list"):
        opened(App(SECRET_KEY_FALLBACKS=fallbacks))


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"SECRET_KEY": 12345}, "int"),
        ({"SECRET_KEY": ["a"]}, "list"),
        ({"SECRET_KEY_FALLBACKS": ["a", None]}, "NoneType"),
        ({"SECRET_KEY_FALLBACKS": [1.5]}, "float"),
    ],
)
def test_keys_of_other_types_are_refused_without_showing_them(config, kind):
    with pytest.raises(SetupTypeError, match=f"of type {kind}.* str or bytes") as caught:
        opened(App(**config))

    assert "12345" not in str(caught.value)


@pytest.mark.parametrize("key", ["", b""])
def test_an_empty_fallback_would_let_everybody_sign(key):
    with pytest.raises(SetupValueError, match="empty key"):
        opened(App(SECRET_KEY_FALLBACKS=[key]))


# Cookies that are not ours


@pytest.mark.parametrize("lifetime", [timedelta(minutes=1), 60, 60.5])
@pytest.mark.parametrize("values", [{"n": 1}, {"n": 1, "_permanent": True}])
@pytest.mark.parametrize(("age", "alive"), [(0, True), (60, True), (61, False), (-1, False)])
def test_a_cookie_is_accepted_for_its_lifetime(clock, lifetime, values, age, alive):
    app = App(PERMANENT_SESSION_LIFETIME=lifetime)
    cookie = cookie_for(app, values)

    clock(NOW + age)

    assert opened(app, cookie) == (values if alive else {})


BROKEN = {
    "empty": "",
    "a word": "nonsense",
    "dots": "...",
    "one part": N.split(".")[0],
    "no signature": N.rpartition(".")[0],
    "other signature": N[:-2] + "xx",
    "other values": "x" + N,
    "other time": N.replace("arE7gA", "arE7gB"),
    "other key": "eyJuIjoxfQ.arE7gA.IGjuRhlxMSXB7NFp7SkY2OgnDcU",
    "not ascii": "é☕" + N,
    "surrogate": "\ud800" + N,
    "huge": "a." * 50_000,
    "NUL": "\x00" + N,
}


@pytest.mark.parametrize("cookie", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_cookie_begins_a_new_session(clock, cookie):
    session = opened(App(), cookie)

    assert (session.accessed, session.modified, session.new) == (False, False, True)
    assert session == {}


@pytest.mark.parametrize("values", [[1, 2], "x", 5, None, [], (1, 2)])
def test_a_signed_value_that_is_not_a_dict_begins_a_new_session(values):
    app = App()

    session = opened(app, cookie_for(app, values))

    assert session == {}
    assert session.new is True


def signed(payload: bytes, timestamp: bytes | None = None) -> str:
    """Sign any bytes with the right key, as a broken program could."""
    signer = TimestampSigner(
        SECRET, salt="cookie-session", key_derivation="hmac", digest_method=hashlib.sha1
    )
    if timestamp is None:
        return signer.sign(payload).decode("latin-1")
    value = payload + b"." + timestamp
    return (value + b"." + signer.get_signature(value)).decode("latin-1")


def encoded(payload: bytes) -> bytes:
    return urlsafe_b64encode(payload).rstrip(b"=")


SIGNED_GARBAGE = {
    "no base64": signed(b"!"),
    "no json": signed(encoded(b"{")),
    "no utf-8": signed(encoded(b'{"a": "\xff"}')),
    "no zlib": signed(b"." + encoded(b"{}")),
    "broken zlib": signed(b"." + encoded(zlib.compress(b'{"n": 1}')[:-3])),
    "deep": signed(b"." + encoded(zlib.compress(b"[" * 100_000))),
    "huge int": signed(encoded(b'{"n": ' + b"9" * 6000 + b"}")),
    "tag of another type": signed(encoded(b'{"u": {" u": 5}}')),
    "broken uuid": signed(encoded(b'{"u": {" u": "x"}}')),
    "broken bytes": signed(encoded(b'{"u": {" b": "x"}}')),
    "time without an end": signed(encoded(b"{}"), encoded(b"\xff" * 20)),
    "time of no digits": signed(encoded(b"{}"), b"!!!"),
}


@pytest.mark.parametrize("cookie", SIGNED_GARBAGE.values(), ids=SIGNED_GARBAGE.keys())
def test_signed_garbage_begins_a_new_session(cookie):
    session = opened(App(PERMANENT_SESSION_LIFETIME=timedelta(days=3650)), cookie)

    assert session == {}
    assert session.new is True


ANY_TEXT = st.text(st.characters(codec=None))


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT | st.text("abcXYZ019-_.") | st.binary().map(signed))
def test_no_cookie_raises(cookie):
    session = opened(App(), cookie)

    assert isinstance(session, SecureCookieSession)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(N)), st.integers(0, len(N)), ANY_TEXT)
def test_no_change_to_a_cookie_changes_the_values(start, end, text):
    app = App(PERMANENT_SESSION_LIFETIME=timedelta(days=36500))

    session = opened(app, N[:start] + text + N[end:])

    # Base 64 has several spellings: junk in the signature may leave it the same one.
    assert session in ({}, {"n": 1})


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT | st.binary(max_size=20) | st.uuids(),
        lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXT, inner),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_what_was_saved_is_opened_again(values):
    app = App(MAX_COOKIE_SIZE=0)
    session = SecureCookieSession()
    session.update(values)

    cookie = cookies_of(saved(app, session))[0].split(";")[0].removeprefix("session=")

    assert opened(app, cookie) == values


# What is sent, and when


def test_a_session_that_nobody_looked_at_leaves_no_trace():
    app = App()

    response = saved(app, opened(app, cookie_for(app, {"n": 1})))

    assert cookies_of(response) == []
    assert "Vary" not in response.headers


def test_a_session_that_was_read_is_only_varied_upon():
    app = App()
    session = opened(app, cookie_for(app, {"n": 1}))
    session.get("n")

    response = saved(app, session)

    assert cookies_of(response) == []
    assert response.headers["Vary"] == "Cookie"


def test_vary_names_the_cookie_once_beside_others():
    session = SecureCookieSession()
    session["n"] = 1
    response = Response(headers={"Vary": "Accept, cookie"})

    SecureCookieSessionInterface().save_session(App(), session, response)

    assert response.headers["Vary"] == "Accept, cookie"


def test_an_empty_session_is_not_saved():
    session = SecureCookieSession()

    assert cookies_of(saved(App(), session)) == []


CHANGES_INSIDE = {
    "item": lambda session: session["cart"].append(3),
    "get": lambda session: session.get("cart").append(3),
    "setdefault": lambda session: session.setdefault("cart", []).append(3),
    "values": lambda session: next(iter(session.values())).append(3),
    "items": lambda session: next(iter(session.items()))[1].append(3),
    "copy": lambda session: session.copy()["cart"].append(3),
    "|": lambda session: (session | {})["cart"].append(3),
    "| from the right": lambda session: ({} | session)["cart"].append(3),
    "deep inside": lambda session: session["cart"][1].update(amount=3),
    "in a tuple": lambda session: session["pair"][0].append(3),
    "order": lambda session: session["cart"].reverse(),
    "at the second look": lambda session: (session["cart"], session["cart"].append(3)),
}


@pytest.mark.parametrize("change", CHANGES_INSIDE.values(), ids=CHANGES_INSIDE)
def test_a_change_inside_of_a_value_is_noticed_and_saved(change):
    app = App()
    session = opened(app, cookie_for(app, {"cart": [1, {"amount": 2}], "pair": ([], 1)}))

    change(session)

    assert session.modified is True
    (cookie,) = cookies_of(saved(app, session))
    again = opened(app, cookie.partition("=")[2].partition(";")[0])
    assert dict(again) == dict(session)


def test_a_value_that_was_only_looked_at_is_no_change():
    app = App()
    session = opened(app, cookie_for(app, {"cart": [1, {"amount": 2}], "name": "ada"}))

    assert sorted(session["cart"][1]) == ["amount"]
    assert session["name"] == "ada"

    assert session.modified is False
    assert cookies_of(saved(app, session)) == []


def test_a_change_that_was_taken_back_is_none():
    session = SecureCookieSession({"cart": [1]})

    session["cart"].append(2)
    session["cart"].pop()

    assert session.modified is False


def test_changes_up_to_now_can_be_declared_none():
    session = SecureCookieSession({"cart": [1]})

    session["cart"].append(2)
    session.modified = False
    before = session.modified
    session["cart"].append(3)

    assert (before, session.modified) == (False, True)


def test_a_value_that_cannot_be_looked_into_is_saved_when_modified_is_set():
    session = SecureCookieSession({"function": [lambda: None]})

    session["function"].clear()
    unnoticed = session.modified
    session.modified = True

    assert (unnoticed, session.modified) == (False, True)


def test_a_regenerated_session_keeps_its_values_and_is_sent_anew(clock):
    app = App()
    clock(1_700_000_000)
    planted = cookie_for(app, {"n": 1})
    clock(1_700_000_100)
    session = opened(app, planted)

    session.regenerate()

    assert (session.regenerated, session.modified, session.accessed) == (True, True, True)
    (cookie,) = cookies_of(saved(app, session))
    fresh = cookie.partition("=")[2].partition(";")[0]
    assert fresh != planted
    assert dict(opened(app, fresh)) == {"n": 1}


def test_a_session_that_cannot_be_kept_cannot_be_regenerated():
    with pytest.raises(ContextError, match="secret key"):
        NullSession().regenerate()


@pytest.mark.parametrize(("refresh", "cookies"), [(True, 1), (False, 0)])
def test_a_permanent_session_is_renewed_as_configured(refresh, cookies):
    app = App(SESSION_REFRESH_EACH_REQUEST=refresh)
    session = opened(app, cookie_for(app, {"_permanent": True}))

    response = saved(app, session)

    assert len(cookies_of(response)) == cookies
    assert response.headers.getlist("Vary") == ["Cookie"] * cookies


@pytest.mark.parametrize(
    ("setting", "over_https", "secure"),
    [
        (None, True, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
    ],
)
@pytest.mark.parametrize("values", [{"n": 1}, {}], ids=["set", "deleted"])
def test_secure_follows_the_request_unless_configured(setting, over_https, secure, values):
    app = App(SESSION_COOKIE_SECURE=setting)
    session = opened(app, is_secure=over_https)
    session.clear()
    session.update(values)

    (header,) = cookies_of(saved(app, session))

    assert ("Secure" in header.split("; ")) is secure
    assert "SameSite=Lax" in header


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "/"),
        ({"APPLICATION_ROOT": "/app"}, "/app"),
        ({"APPLICATION_ROOT": "/app", "SESSION_COOKIE_PATH": "/other"}, "/other"),
    ],
)
def test_the_path_is_the_apps_unless_configured(config, path):
    session = SecureCookieSession()
    session["n"] = 1

    (header,) = cookies_of(saved(App(**config), session))

    assert f"Path={path}" in header.split("; ")


def test_scripts_may_see_the_cookie_on_request():
    session = SecureCookieSession()
    session["n"] = 1

    (header,) = cookies_of(saved(App(SESSION_COOKIE_HTTPONLY=False), session))

    assert "HttpOnly" not in header


def test_an_unknown_samesite_is_an_error_when_saving():
    session = SecureCookieSession()
    session["n"] = 1

    with pytest.raises(ValueError, match=r"(?i)samesite.*'invalid'|'invalid'.*samesite"):
        saved(App(SESSION_COOKIE_SAMESITE="invalid"), session)


def incompressible(size: int) -> str:
    digests = (hashlib.sha256(str(number).encode()).hexdigest() for number in range(size // 64))
    return "".join(digests)


def test_a_cookie_that_browsers_drop_warns():
    session = SecureCookieSession()
    session["n"] = incompressible(8000)

    with pytest.warns(UserWarning, match=r"'session' cookie .*\d{4,5} bytes.* 4093 bytes"):
        response = saved(App(), session)

    assert len(cookies_of(response)) == 1


@pytest.mark.parametrize("limit", [0, None, 20_000])
def test_the_size_that_warns_is_configured(limit):
    session = SecureCookieSession()
    session["n"] = incompressible(8000)

    assert len(cookies_of(saved(App(MAX_COOKIE_SIZE=limit), session))) == 1


def test_a_smaller_limit_warns_earlier():
    session = SecureCookieSession()
    session["n"] = "x"

    with pytest.warns(UserWarning, match="larger than 20 bytes"):
        saved(App(MAX_COOKIE_SIZE=20), session)


# Access and change

READS = {
    "item": lambda session: session["a"],
    "get": lambda session: session.get("a"),
    "get of a missing key": lambda session: session.get("b"),
    "in": lambda session: "a" in session,
    "len": len,
    "bool": bool,
    "iter": iter,
    "list": list,
    "dict": dict,
    "reversed": reversed,
    "==": lambda session: session == {},
    "== from the right": lambda session: {} == session,  # noqa: SIM300
    "!=": lambda session: session != {},
    "keys": lambda session: session.keys(),
    "values": lambda session: session.values(),
    "items": lambda session: session.items(),
    "copy": lambda session: session.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "json": json.dumps,
    "unpacking": lambda session: {**session},
    "as keywords": lambda session: dict(**session),
    "|": lambda session: session | {},
    "| from the right": lambda session: {} | session,
    "|= from the right": lambda session: {}.update(session),
    "repr": repr,
    "str": str,
    "format": lambda session: f"{session}",
    "permanent": lambda session: session.permanent,
    "pop of a missing key": lambda session: session.pop("b", None),
    "setdefault of a key": lambda session: session.setdefault("a", 2),
    "match": lambda session: _matched(session),
}


def _matched(session: Any) -> Any:
    match session:
        case {"a": value}:
            return value


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_every_way_to_read_is_an_access_and_no_change(read):
    session = SecureCookieSession({"a": 1})

    read(session)

    assert session.accessed is True
    assert session.modified is False


WRITES = {
    "item": (lambda session: session.__setitem__("b", 2), {"a": 1, "b": 2}),
    "del": (lambda session: session.__delitem__("a"), {}),
    "pop": (lambda session: session.pop("a"), {}),
    "pop with default": (lambda session: session.pop("a", None), {}),
    "popitem": (lambda session: session.popitem(), {}),
    "clear": (lambda session: session.clear(), {}),
    "setdefault": (lambda session: session.setdefault("b", 2), {"a": 1, "b": 2}),
    "setdefault alone": (lambda session: session.setdefault("b"), {"a": 1, "b": None}),
    "update": (lambda session: session.update({"b": 2}), {"a": 1, "b": 2}),
    "update with pairs": (lambda session: session.update([("b", 2)]), {"a": 1, "b": 2}),
    "update with keywords": (lambda session: session.update(b=2), {"a": 1, "b": 2}),
    "|=": (lambda session: session.__ior__({"b": 2}), {"a": 1, "b": 2}),
    "permanent": (
        lambda session: setattr(session, "permanent", 1),
        {"a": 1, "_permanent": True},
    ),
}


@pytest.mark.parametrize(("write", "values"), WRITES.values(), ids=WRITES.keys())
def test_every_way_to_write_is_an_access_and_a_change(write, values):
    session = SecureCookieSession({"a": 1})

    write(session)

    assert session.accessed is True
    assert session.modified is True
    assert dict(session) == values


@pytest.mark.parametrize("write", [lambda session: session.pop("b"), lambda s: s.__delitem__("b")])
def test_removing_what_is_not_there_is_no_change(write):
    session = SecureCookieSession({"a": 1})

    with pytest.raises(KeyError):
        write(session)

    assert session.modified is False


def test_reading_gives_what_a_dict_gives():
    session = SecureCookieSession({"a": 1, "b": 2})

    assert (session["a"], session.get("b"), session.get("c"), session.get("c", 3)) == (
        1,
        2,
        None,
        3,
    )
    assert (list(session), list(reversed(session)), len(session)) == (["a", "b"], ["b", "a"], 2)
    assert [*session.items()] == [*zip(session.keys(), session.values(), strict=True)]
    assert (session | {"b": 3}, {"b": 3} | session) == ({"a": 1, "b": 3}, {"b": 2, "a": 1})
    assert (session.pop("a"), session.pop("a", 5), session.setdefault("b", 7)) == (1, 5, 2)
    assert (session.setdefault("d", 8), session.popitem()) == (8, ("d", 8))
    assert repr(session) == "<SecureCookieSession {'b': 2}>"
    assert type(session.copy()) is dict


def test_opening_is_no_access():
    app = App()

    session = opened(app, cookie_for(app, {"n": 1}))

    assert (session.accessed, session.modified, session.new) == (False, False, False)


def test_the_marks_can_be_set_by_hand():
    session = SecureCookieSession()

    session.mark_accessed()
    after_access = (session.accessed, session.modified)
    session.mark_modified()

    assert after_access == (True, False)
    assert (session.accessed, session.modified) == (True, True)


def test_permanent_is_kept_in_the_session():
    session = SecureCookieSession()
    before = session.permanent

    session.permanent = True

    assert (before, session.permanent, session["_permanent"]) == (False, True, True)


# Without a secret key


@pytest.mark.parametrize("key", [None, "", b""])
def test_without_a_secret_key_there_is_no_session(key):
    interface = SecureCookieSessionInterface()
    app = App(SECRET_KEY=key)

    session = interface.make_null_session(app)

    assert interface.open_session(app, Visit()) is None
    assert interface.is_null_session(session)
    assert interface.is_null_session(Proxy("session", lambda: session))
    assert not interface.is_null_session(SecureCookieSession())


@pytest.mark.parametrize("read", [len, bool, list, repr, lambda s: s.get("a"), lambda s: "a" in s])
def test_a_null_session_can_be_read(read):
    read(NullSession())


@pytest.mark.parametrize("write", [write for write, _ in WRITES.values()], ids=WRITES.keys())
def test_writing_a_null_session_says_what_is_missing(write):
    with pytest.raises(ContextError, match=r"session is unavailable.*SECRET_KEY.*secrets"):
        write(NullSession())


def test_a_session_is_not_saved_without_the_key_it_was_opened_with():
    app = App()
    session = opened(app)
    session["n"] = 1

    app.config["SECRET_KEY"] = None

    with pytest.raises(ContextError, match="session is unavailable"):
        saved(app, session)


# Interfaces of users


def test_the_lifetime_of_a_session_is_when_it_expires(clock):
    app = App(PERMANENT_SESSION_LIFETIME=60)
    interface = SecureCookieSessionInterface()
    session = SecureCookieSession({"_permanent": True})

    assert interface.get_expiration_time(app, session) == datetime.fromtimestamp(NOW + 60, UTC)
    assert interface.get_expiration_time(app, SecureCookieSession()) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda interface: interface.open_session(App(), Visit()),
        lambda interface: interface.save_session(App(), SecureCookieSession(), Response()),
    ],
)
def test_an_interface_has_to_open_and_save(call):
    class Half(SessionInterface):
        pass

    with pytest.raises(NotImplementedError, match="Half has to say how"):
        call(Half())


async def test_an_interface_may_wait():
    class Stored(dict[str, Any], SessionMixin):
        pass

    class Store(SessionInterface):
        async def open_session(self, app, request):
            return Stored(n=1)

        async def save_session(self, app, session, response):
            response.set_cookie(self.get_cookie_name(app), "id")

    response = Response()
    session = await Store().open_session(App(), Visit())
    await Store().save_session(App(), session, response)

    assert (session.new, session.accessed, session.modified, session.permanent) == (
        False,
        True,
        True,
        False,
    )
    assert cookies_of(response)[0].startswith("session=id")


def test_only_an_interface_that_says_so_is_trusted_never_to_wait():
    class Named(SecureCookieSessionInterface):
        def get_cookie_name(self, app):
            return "mine"

    class Opening(SecureCookieSessionInterface):
        def open_session(self, app, request):
            return super().open_session(app, request)

    class Saving(SecureCookieSessionInterface):
        def save_session(self, app, session, response):
            super().save_session(app, session, response)

    class Quick(Opening):
        never_waits = True

        def open_session(self, app, request):
            return super().open_session(app, request)

    classes = (SessionInterface, SecureCookieSessionInterface, Named, Opening, Saving, Quick)
    assert [cls.never_waits for cls in classes] == [False, True, True, False, False, True]


def test_the_parts_of_the_cookie_can_be_overridden():
    class Mine(SecureCookieSessionInterface):
        salt = "mine"
        digest_method = staticmethod(hashlib.sha256)
        key_derivation = "django-concat"
        serializer = json

        def get_cookie_name(self, app):
            return "mine"

    app, response = App(), Response()
    session = SecureCookieSession()
    session["t"] = (1,)

    Mine().save_session(app, session, response)
    cookie = cookies_of(response)[0].split(";")[0].removeprefix("mine=")
    again = Mine().open_session(app, Visit({"mine": cookie}))

    assert again == {"t": [1]}
    assert opened(app, cookie) == {}


def test_the_class_of_sessions_can_be_overridden():
    class Mine(SecureCookieSession):
        pass

    class Interface(SecureCookieSessionInterface):
        session_class = Mine

    assert type(Interface().open_session(App(), Visit())) is Mine


def test_an_extension_may_keep_an_attribute_in_a_session():
    session = SecureCookieSession()

    session.sid = "x"  # type: ignore[attr-defined]

    assert session.sid == "x"  # type: ignore[attr-defined]


def test_types_of_users_are_registered_with_the_serializer():
    class TagDate(JSONTag):
        key = " day"

        def check(self, value):
            return type(value) is date

        def to_json(self, value):
            return value.isoformat()

        def to_python(self, value):
            return date.fromisoformat(value)

    class Interface(SecureCookieSessionInterface):
        serializer = TaggedJSONSerializer()

    Interface.serializer.register(TagDate)
    app, response = App(), Response()
    session = SecureCookieSession()
    session["day"] = date(2026, 5, 1)

    Interface().save_session(app, session, response)
    cookie = cookies_of(response)[0].split(";")[0].removeprefix("session=")

    assert Interface().open_session(app, Visit({"session": cookie})) == {"day": date(2026, 5, 1)}
    assert SecureCookieSessionInterface.serializer is session_json_serializer


def test_a_build_without_sha1_fails_only_when_it_signs():
    assert sessions._sha1(b"x").digest() == hashlib.sha1(b"x").digest()
