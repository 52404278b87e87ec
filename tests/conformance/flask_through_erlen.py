"""Lets the test client of Flask reach its app through both gateways of Erlen.

A pytest plugin: ``-p flask_through_erlen``. A request of the client goes to the ``wsgi_app`` of
an Erlen app (WSGI outside), which hosts the Flask app (WSGI inside). The app, its extensions and
their tests are the real ones, and know nothing of it. With ``STRAIGHT`` in the environment the
requests go to the Flask app itself. ``OUTCOMES`` names the file for the tests and what they did.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import werkzeug.test

import erlen
import erlen.flask

straight: Callable[..., Any] = werkzeug.test.run_wsgi_app
ways: weakref.WeakKeyDictionary[flask.Flask, erlen.Erlen] = weakref.WeakKeyDictionary()
outcomes: dict[str, bool] = {}
calls = 0


def way_to(flask_app: flask.Flask) -> Any:
    """Return the WSGI app of the Erlen app around *flask_app*."""
    app = ways.get(flask_app)
    if app is None:
        app = ways[flask_app] = erlen.Erlen("around", static_folder=None)
        # The Flask app says which of its errors are raised; those are the test's.
        app.config["PROPAGATE_EXCEPTIONS"] = True
        erlen.flask.host(app, flask_app)
    return app.wsgi_app


def around(app: Any, environ: Any, buffered: bool = False) -> Any:
    """Call *app* as a WSGI server does; through Erlen if it is of Flask."""
    global calls
    if isinstance(app, flask.Flask):
        calls += 1
        app = way_to(app)
    return straight(app, environ, buffered)


def pytest_runtest_logreport(report: Any) -> None:
    """Take down whether a test passed; one that fails in its teardown did not."""
    if report.when == "call" and not report.skipped:
        outcomes[report.nodeid] = report.passed
    elif report.failed:
        outcomes[report.nodeid] = False


def pytest_sessionfinish() -> None:
    """Write what was taken down."""
    if path := os.environ.get("OUTCOMES"):
        Path(path).write_text(json.dumps({"calls": calls, "tests": outcomes}), "utf-8")


if "STRAIGHT" not in os.environ:
    werkzeug.test.run_wsgi_app = around
