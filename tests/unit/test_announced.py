"""What headers say of the body that follows them."""

from __future__ import annotations

import pytest

from erlen.announced import _LENGTHS, announced

TYPE, LENGTH = (b"content-type", b"text/PLAIN; a=b"), (b"content-length", b"3")


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([], ("", None, False)),
        ([TYPE, LENGTH], ("text/plain", 3, True)),
        (
            [TYPE, LENGTH, (b"content-type", b"a/b"), (b"content-length", b"4")],
            ("text/plain", 3, True),
        ),
        ([(b"Content-Type", b"a/b"), (b"Content-Length", b"4")], ("a/b", 4, True)),
        ([TYPE, (b"transfer-encoding", b"chunked")], ("text/plain", None, True)),
        ([TYPE, (b"content-length", b"0")], ("text/plain", 0, False)),
        (
            [TYPE, (b"content-length", b"0"), (b"Transfer-Encoding", b"chunked")],
            ("text/plain", 0, True),
        ),
        ([TYPE, (b"content-length", b"9" * 19)], ("text/plain", None, True)),
        ([TYPE, (b"content-length", b"+3")], ("text/plain", None, True)),
        ([TYPE, (b"content-length", b"")], ("text/plain", None, True)),
        ([TYPE, (b"content-length", b"1234")], ("text/plain", 1234, True)),
        ([(b"content-type", b"x/" + b"y" * 200)], ("x/" + "y" * 200, None, False)),
    ],
)
def test_the_headers_say_what_body_comes(headers, told):
    assert announced(headers)[1:] == told


def test_the_type_is_given_as_it_was_sent():
    assert announced([TYPE])[0] == "text/PLAIN; a=b"
    assert announced([])[0] is None


def test_what_clients_send_as_a_length_fills_no_memory():
    for number in range(5000):
        announced([TYPE, (b"content-length", b"%d" % number)])
        announced([TYPE, (b"content-length", b"+%d" % number)])

    assert len(_LENGTHS) <= 1 + 10 + 100 + 1000
