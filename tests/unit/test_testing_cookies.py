from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from erlen.testing import Cookie
from erlen.testing.cookies import CookieJar

SENT = {
    "everywhere on its host": ("a=1; Path=/", "x.example", "/any", True),
    "below its path": ("a=1; Path=/shop", "x.example", "/shop/1", True),
    "at its path": ("a=1; Path=/shop", "x.example", "/shop", True),
    "below a path with a slash": ("a=1; Path=/shop/", "x.example", "/shop/1", True),
    "not beside its path": ("a=1; Path=/shop", "x.example", "/shopping", False),
    "not to another host": ("a=1", "y.example", "/", False),
    "not to a subdomain": ("a=1", "sub.x.example", "/", False),
    "to a subdomain of its domain": ("a=1; Domain=.X.example", "sub.x.example", "/", True),
    "to its domain": ("a=1; Domain=x.example", "x.example", "/", True),
    "not to a host that ends alike": ("a=1; Domain=x.example", "notx.example", "/", False),
    "in the folder of its page": ("a=1", "x.example", "/", True),
    "below a strange path as if it had none": ("a=1; Path=x", "x.example", "/", True),
    "over http though it is marked secure": ("a=1; Secure", "x.example", "/", True),
    "while it lives": ("a=1; Max-Age=60", "x.example", "/", True),
    "before its date": ("a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT", "x.example", "/", True),
    "with an age that is no number": ("a=1; Max-Age=soon", "x.example", "/", True),
    "with an age that wins over its date": (
        "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "x.example",
        "/",
        True,
    ),
    "not with an age of nothing": ("a=1; Max-Age=0", "x.example", "/", False),
    "not with a negative age": ("a=1; Max-Age=-1", "x.example", "/", False),
    "not after its date": ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "x.example", "/", False),
    "not without a name": ("=1", "x.example", "/", False),
    "not without a value": ("a", "x.example", "/", False),
}


@pytest.mark.parametrize(("header", "host", "path", "is_sent"), SENT.values(), ids=SENT)
def test_a_cookie_is_sent(header, host, path, is_sent):
    jar = CookieJar()

    jar.take("x.example", "/", [header])

    assert jar.header_for(host, path) == ("a=1" if is_sent else "")


def test_a_cookie_has_flasks_attributes():
    header = (
        'a="1 2"; Domain=.x.example; Path=/p; Expires=Fri, 01 Jan 2100 00:00:00 GMT;'
        " Max-Age=60; Secure; HttpOnly; SameSite=Lax; Partitioned"
    )

    cookie = Cookie.parse(header, "sub.x.example", "/")

    assert (cookie.key, cookie.value, cookie.decoded_value) == ("a", '"1 2"', "1 2")
    assert (cookie.domain, cookie.origin_only, cookie.path) == ("x.example", False, "/p")
    assert (cookie.expires, cookie.max_age) == (datetime(2100, 1, 1, tzinfo=UTC), 60)
    assert (cookie.secure, cookie.http_only, cookie.same_site) == (True, True, "Lax")
    assert cookie.partitioned


def test_a_cookie_without_a_path_belongs_to_the_folder_of_its_page():
    assert Cookie.parse("a=1", "x", "/shop/cart").path == "/shop"
    assert Cookie.parse("a=1", "x", "/cart").path == "/"


def test_the_longest_path_is_sent_first():
    jar = CookieJar()

    jar.take("x", "/", ["a=root; Path=/", "a=shop; Path=/shop", "a=cart; Path=/shop/cart"])

    assert jar.header_for("x", "/shop/cart") == "a=cart; a=shop; a=root"


def test_a_cookie_is_forgotten_when_its_time_is_over(monkeypatch):
    jar = CookieJar()
    jar.take("x", "/", ["a=1; Max-Age=60"])

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)

    assert jar.header_for("x", "/") == ""
    assert jar.get("a", "x", "/") is None


def test_a_cookie_is_deleted_only_where_it_was_set():
    jar = CookieJar()
    jar.take("x", "/", ["a=1; Path=/", "a=2; Path=/shop"])

    jar.take("x", "/", ["a=; Path=/; Max-Age=0", "b=; Max-Age=0"])

    assert jar.header_for("x", "/shop") == "a=2"


def test_a_cookie_for_subdomains_is_set_by_hand():
    jar = CookieJar()

    jar.set("a", "1", "x.example", origin_only=False)
    jar.set("b", "2", "x.example", origin_only=True)

    assert jar.header_for("sub.x.example", "/") == "a=1"
