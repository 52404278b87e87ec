from __future__ import annotations

import pytest

from erlen.hosts import host_is_trusted, host_is_valid, host_of, same_origin, split_port


@pytest.mark.parametrize(
    ("host", "valid"),
    [
        ("example.com", True),
        ("example.com:8080", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("[::1]:443", True),
        ("a_b.example", True),
        ("localhost.", True),
        ("", False),
        ("example.com:", False),
        ("example.com:65536", False),
        ("example.com:٣", False),
        ("a b", False),
        ("a@b", False),
        ("a/b", False),
        ("a?b", False),
        ("-a.example", False),
        ("[::1", False),
        ("[g::1]", False),
        ("exämple.com", False),
        ("a\n", False),
        ("a" * 300, False),
    ],
)
def test_only_what_is_a_host_is_valid(host, valid):
    assert host_is_valid(host) is valid


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("Example.com:80", ("example.com", 80)),
        ("example.com", ("example.com", None)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:80", ("[::1]", 80)),
        ("example.com:x", ("example.com:x", None)),
    ],
)
def test_the_port_is_split_off(host, parts):
    assert split_port(host) == parts


@pytest.mark.parametrize(
    ("host", "trusted", "expected"),
    [
        ("example.com", ["example.com"], True),
        ("example.com:80", ["example.com"], True),
        ("EXAMPLE.com", ["example.com"], True),
        ("a.example.com", ["example.com"], False),
        ("a.example.com", [".example.com"], True),
        ("example.com", [".example.com"], True),
        ("badexample.com", [".example.com"], False),
        ("exampleXcom", ["example.com"], False),
        ("example.com", [], False),
    ],
)
def test_a_host_is_trusted_by_its_name_or_by_a_suffix(host, trusted, expected):
    assert host_is_trusted(host, trusted) is expected


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "same"),
    [
        ("http://a.com", "ws", "a.com", True),
        ("https://a.com", "wss", "a.com", True),
        ("https://a.com:443", "wss", "a.com", True),
        ("http://a.com:80", "ws", "a.com", True),
        ("http://A.com", "ws", "a.COM", True),
        ("http://a.com:8080", "ws", "a.com:8080", True),
        ("http://[::1]:5000", "ws", "[::1]:5000", True),
        ("http://a.com", "wss", "a.com", False),
        ("http://a.com:8080", "ws", "a.com", False),
        ("http://b.com", "ws", "a.com", False),
        ("http://a.com.b.com", "ws", "a.com", False),
        ("null", "ws", "a.com", False),
        ("", "ws", "a.com", False),
        ("file://", "ws", "a.com", False),
        ("ftp://a.com", "ws", "a.com", False),
        ("http://a.com:port", "ws", "a.com", False),
        ("http://[::1", "ws", "[::1]", False),
    ],
)
def test_host_and_port_make_the_origin(origin, scheme, host, same):
    assert same_origin(origin, scheme=scheme, host=host) is same


def test_origins_can_be_allowed():
    def allowed(origin, *origins):
        return same_origin(origin, scheme="ws", host="a.com", allowed=origins)

    assert allowed("https://b.com", "https://b.com")
    assert allowed("https://b.com", "*")
    assert not allowed("https://b.com", "https://c.com")


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:1"])
def test_in_debug_mode_pages_of_this_machine_may(origin):
    assert same_origin(origin, scheme="ws", host="a.com", debug=True)
    assert not same_origin(origin, scheme="ws", host="a.com")


@pytest.mark.parametrize(
    ("server", "host"),
    [
        (("example.test", 80), "example.test:80"),
        (("::1", 8000), "[::1]:8000"),
        (("/run/app:1.sock", None), "/run/app:1.sock"),
        (None, ""),
    ],
)
def test_a_server_is_named_as_a_host_header_would(server, host):
    assert host_of(server) == host
