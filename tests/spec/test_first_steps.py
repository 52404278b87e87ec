"""What people get wrong in their first app is said where they wrote it."""

from __future__ import annotations

import pytest

from erlen import Erlen
from erlen.errors import SetupTypeError, SetupValueError


@pytest.mark.parametrize("name", ["route", "get", "post", "put", "patch", "delete", "websocket"])
def test_a_view_decorated_without_parentheses_is_refused_at_once(name):
    app = Erlen("first")

    async def view():
        return "never served"

    with pytest.raises(SetupTypeError, match=r"view' \(test_first_steps\.py:\d+\).*without a rule"):
        getattr(app, name)(view)


def test_an_error_handler_decorated_without_parentheses_is_refused_at_once():
    app = Erlen("first")

    with pytest.raises(SetupValueError, match="not a subclass of Exception"):

        @app.errorhandler
        def handler(error):
            return "never called"
