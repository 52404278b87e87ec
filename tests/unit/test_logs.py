from __future__ import annotations

import logging

import pytest

from erlen.logs import default_handler, logger_named, printable


@pytest.fixture
def name(request):
    yield request.node.name
    logging.getLogger(request.node.name).handlers.clear()


def test_a_logger_that_nobody_listens_to_gets_a_handler(name):
    logger = logging.getLogger(name)
    logger.propagate = False

    assert logger_named(name, debug=False).handlers == [default_handler]
    assert logger.level == logging.NOTSET


def test_a_logger_that_somebody_listens_to_is_left_alone(name):
    handler = logging.NullHandler()
    logging.getLogger(name).addHandler(handler)

    assert logger_named(name, debug=False).handlers == [handler]


def test_in_debug_mode_everything_is_logged_unless_a_level_is_set(name):
    assert logger_named(name, debug=True).level == logging.DEBUG

    logging.getLogger(name).setLevel(logging.ERROR)
    assert logger_named(name, debug=True).level == logging.ERROR


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/plain/ü", "/plain/ü"),
        ("/x\nforged", "/x\\nforged"),
        ("\r\x1b[31m\x00", "\\r\\x1b[31m\\x00"),
        ("\u2028", "\\u2028"),
    ],
    ids=["plain", "newline", "control", "line separator"],
)
def test_what_would_break_a_line_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown
