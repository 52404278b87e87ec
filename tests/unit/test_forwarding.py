from __future__ import annotations

import pytest

from erlen.errors import SetupError
from erlen.forwarding import Hops, forward


def forwarded(headers, hops, **scope):
    scope = {
        "type": "http",
        "scheme": "http",
        "client": ("10.0.0.1", 1234),
        "path": "/x",
        "root_path": "",
        "headers": [(b"host", b"inner:8000"), *headers],
        **scope,
    }
    forward(scope, Hops.of(hops))
    return scope


def for_(*values):
    return [(b"x-forwarded-for", value) for value in values]


@pytest.mark.parametrize(
    ("headers", "hops", "client"),
    [
        pytest.param(for_(b"1.1.1.1"), 1, "1.1.1.1", id="one proxy"),
        pytest.param(for_(b"6.6.6.6, 1.1.1.1"), 1, "1.1.1.1", id="the client lies in front"),
        pytest.param(for_(b"1.1.1.1, 2.2.2.2"), 2, "1.1.1.1", id="two proxies"),
        pytest.param(for_(b"1.1.1.1", b"2.2.2.2"), 2, "1.1.1.1", id="two headers"),
        pytest.param(for_(b"2.2.2.2"), 2, "10.0.0.1", id="fewer than trusted"),
        pytest.param([], 1, "10.0.0.1", id="none"),
        pytest.param(for_(b"1.1.1.1"), {"proto": 1}, "10.0.0.1", id="not trusted"),
        pytest.param(for_(b'"[::1]"'), 1, "::1", id="IPv6 in brackets"),
        pytest.param(for_(b"2001:db8::1"), 1, "2001:db8::1", id="IPv6"),
        pytest.param(for_(b"[2001:db8::1]:4711"), 1, "2001:db8::1", id="IPv6 with a port"),
        pytest.param(for_(b"1.1.1.1:4711"), 1, "1.1.1.1", id="IPv4 with a port"),
        pytest.param(for_(b":80"), 1, "10.0.0.1", id="a port alone"),
    ],
)
def test_the_client_is_what_the_outermost_trusted_proxy_saw(headers, hops, client):
    assert forwarded(headers, hops)["client"][0] == client


@pytest.mark.parametrize(
    ("value", "kind", "scheme"),
    [
        (b"https", "http", "https"),
        (b"https", "websocket", "wss"),
        (b"http", "websocket", "ws"),
        (b"gopher", "http", "http"),
    ],
)
def test_the_scheme_is_http_or_https(value, kind, scheme):
    headers = [(b"x-forwarded-proto", value)]

    assert forwarded(headers, 1, type=kind)["scheme"] == scheme


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        pytest.param([(b"x-forwarded-host", b"a.com")], b"a.com", id="host"),
        pytest.param([(b"x-forwarded-host", b"a b")], b"inner:8000", id="no host"),
        pytest.param([(b"x-forwarded-port", b"443")], b"inner:443", id="port"),
        pytest.param([(b"x-forwarded-port", b"x")], b"inner:8000", id="no port"),
        pytest.param(
            [(b"x-forwarded-host", b"[::1]"), (b"x-forwarded-port", b"80")], b"[::1]:80", id="IPv6"
        ),
        pytest.param(
            [(b"x-forwarded-host", b"a.com"), (b"x-forwarded-port", b"80")], b"a.com:80", id="both"
        ),
        pytest.param([(b"x-forwarded-port", b"99999")], b"inner:8000", id="port too large"),
    ],
)
def test_host_and_port_replace_the_host_header(headers, host):
    scope = forwarded(headers, {"host": 1, "port": 1})

    assert [value for name, value in scope["headers"] if name == b"host"] == [host]


@pytest.mark.parametrize(
    ("value", "root", "path"),
    [
        (b"/app", "/app/in", "/app/in/x"),
        (b"/app/", "/app/in", "/app/in/x"),
        (b"//evil", "/in", "/in/x"),
        (b"evil", "/in", "/in/x"),
    ],
)
def test_the_prefix_goes_in_front_of_the_root_path(value, root, path):
    headers = [(b"x-forwarded-prefix", value)]
    scope = forwarded(headers, {"prefix": 1}, root_path="/in", path="/in/x")

    assert (scope["root_path"], scope["path"]) == (root, path)


@pytest.mark.parametrize("value", [None, 0, {}])
def test_without_trusted_proxies_there_are_no_hops(value):
    assert Hops.of(value) is None


@pytest.mark.parametrize(
    "value", ["1", [1], {"four": 1}, {"for": -1}, {"for": "1"}], ids=["text", "list", *"abc"]
)
def test_a_wrong_setting_is_refused_with_what_it_may_be(value):
    with pytest.raises(SetupError, match="TRUSTED_PROXIES"):
        Hops.of(value)
