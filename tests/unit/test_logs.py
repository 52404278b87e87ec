from __future__ import annotations

import io
import logging
import logging.config

import pytest

from erlen import Erlen
from erlen.logs import default_handler, logger_named, printable, wsgi_errors_stream


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


def test_a_handler_of_ones_own_may_write_where_the_default_one_does(name, capsys):
    stream = logging.config.DictConfigurator({}).convert("ext://erlen.logs.wsgi_errors_stream")
    handler = logging.StreamHandler(stream)
    app, log = Erlen(__name__), io.StringIO()
    logging.getLogger(name).propagate = False
    logging.getLogger(name).addHandler(handler)

    with app.test_request_context("/", errors_stream=log):
        logging.getLogger(name).error("in a request")
    logging.getLogger(name).error("outside")

    assert (log.getvalue(), capsys.readouterr().err) == ("in a request\n", "outside\n")
    assert handler.stream is wsgi_errors_stream


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
