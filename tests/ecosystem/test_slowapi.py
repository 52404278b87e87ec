"""slowapi: default limits by its ASGI middleware, with its headers and its exemptions."""

from __future__ import annotations

import pytest

pytest.importorskip("slowapi")

from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIASGIMiddleware
from slowapi.util import get_remote_address
from starlette.responses import PlainTextResponse

from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


def limited_app(*limits):
    app = furnished_app("limited")
    app.state.limiter = Limiter(
        key_func=get_remote_address, default_limits=list(limits), headers_enabled=True
    )
    app.add_middleware(SlowAPIASGIMiddleware)
    return app


async def test_everything_works_below_the_limit():
    app = limited_app("100/minute")

    async with client_of(app) as client:
        await assert_all_works(client)
        response = await client.get("/users/7")

    assert response.headers["x-ratelimit-limit"] == "100"
    assert response.headers["x-after"] == "/users/7 True"


@pytest.mark.parametrize("path", ["/users/7", "/shop/items/tea", "/lost"])
async def test_a_rule_over_the_default_limit_answers_429(path):
    app = limited_app("2/minute")

    async with client_of(app) as client:
        statuses = [(await client.get(path)).status_code for _ in range(3)]
        other = await client.get("/visits")

    assert statuses[0] == statuses[1] != statuses[2] == 429
    assert other.status_code == 200


async def test_exempt_views_have_no_limit():
    app = limited_app("1/minute")

    @app.get("/free")
    @app.state.limiter.exempt
    async def free():
        return "free"

    async with client_of(app) as client:
        assert {(await client.get("/free")).status_code for _ in range(3)} == {200}


async def test_its_decorator_limits_endpoints_of_starlette():
    app = limited_app("100/minute")
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)

    @app.state.limiter.limit("1/minute")
    async def rare(request):
        return PlainTextResponse("rare")

    app.add_route("/rare", rare)

    async with client_of(app) as client:
        first, second = await client.get("/rare"), await client.get("/rare")

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json() == {"error": "Rate limit exceeded: 1 per 1 minute"}
    assert second.headers["x-after"] == "/rare True"


async def test_a_handler_of_the_user_answers():
    app = limited_app("1/minute")

    async def slower(request, error):
        return PlainTextResponse(f"slower, {request.url.path}", 429)

    app.add_exception_handler(RateLimitExceeded, slower)

    async with client_of(app) as client:
        await client.get("/users/7")
        assert (await client.get("/users/7")).text == "slower, /users/7"
