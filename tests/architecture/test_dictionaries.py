"""What a request makes is kept without a dictionary for each, whatever was served before it."""

from __future__ import annotations

import gc
import platform
from typing import Any

import pytest

import erlen
from erlen.context import Context
from erlen.proxies import current

pytestmark = pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="this is how CPython does it"
)


def has_dictionary(thing: object, name: str) -> bool:
    """Whether *thing* keeps its attribute *name* in a dictionary of its own."""
    return any(type(each) is dict and name in each for each in gc.get_referents(thing))


@pytest.fixture
def seen() -> list[Any]:
    """The contexts and responses that :func:`app_of` comes by, and all that they knew."""
    return []


def app_of(seen: list[Any]) -> erlen.Erlen:
    app = erlen.Erlen(__name__)
    app.secret_key = "tea"
    shop = erlen.Blueprint("shop", __name__, url_prefix="/shop")
    torn = erlen.Blueprint("torn", __name__, url_prefix="/torn")

    @app.get("/plain")
    async def plain():
        seen.append(current.get())
        return "hello"

    @app.get("/session")
    async def session():
        seen.append(current.get())
        erlen.session["visits"] = 1
        return "hello"

    @app.get("/globals")
    async def globals():
        seen.append(current.get())
        erlen.g.tea = "green"
        return erlen.g.tea

    @app.get("/stream")
    async def stream():
        seen.append(current.get())

        async def chunks():
            yield b"hello"

        return chunks()

    @app.get("/def")
    def threaded():
        seen.append(current.get())
        return "hello"

    @app.get("/error")
    async def error():
        seen.append(current.get())
        raise LookupError

    @app.errorhandler(LookupError)
    async def handle(error: LookupError):
        return "handled", 418

    @shop.after_request
    async def after(response: erlen.Response):
        response.headers["x-tea"] = "green"
        seen.append(response)
        return response

    @shop.get("/hooks")
    async def hooks():
        seen.append(current.get())
        return "hello"

    @torn.teardown_request
    async def teardown(error: BaseException | None):
        pass

    @torn.get("/teardown")
    async def teardown_view():
        seen.append(current.get())
        return "hello"

    app.register_blueprint(shop)
    app.register_blueprint(torn)
    return app


PATHS = ["/plain", "/session", "/globals", "/stream", "/def", "/error"]
PATHS += ["/shop/hooks", "/torn/teardown"]


@pytest.mark.parametrize("path", PATHS)
async def test_neither_context_nor_response_has_a_dictionary(path, seen):
    for kind in [Context, erlen.Response] * 50:
        object.__new__(kind)  # as of requests that set next to nothing

    async with app_of(seen).test_client() as client:
        await client.get("/plain")
        await client.get(path)

    assert len(seen) == (3 if path == "/shop/hooks" else 2)
    assert [each for each in seen if has_dictionary(each, "scope")] == []
    assert [each for each in seen if has_dictionary(each, "raw_headers")] == []


@pytest.mark.parametrize("sent", [{"json": {"q": 1}}, {"form": {"q": "1"}}])
async def test_a_body_that_is_read_needs_no_dictionary_of_its_request(sent):
    app = erlen.Erlen(__name__)

    @app.post("/")
    async def read():
        request = erlen.current_request()
        await (request.get_json() if request.is_json else request.form)
        return list(vars(request))

    async with app.test_client() as client:
        answer = await client.post("/", **sent)

    assert answer.json == []
