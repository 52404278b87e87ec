"""Starlette's own middleware around an Erlen app, and middleware that people write."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from erlen import request
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of

HERE = {"Origin": "https://front.example"}


def with_cors(way):
    options = {"allow_origins": ["https://front.example"], "allow_methods": ["GET", "POST"]}
    if way == "middleware=":
        return furnished_app("cors", middleware=[Middleware(CORSMiddleware, **options)])
    app = furnished_app("cors")
    app.add_middleware(CORSMiddleware, **options)
    return app


@pytest.mark.parametrize("way", ["middleware=", "add_middleware"])
async def test_cors_answers_preflights_and_marks_every_response(way):
    app = with_cors(way)

    async with client_of(app, headers=HERE) as client:
        wanted = {"Access-Control-Request-Method": "POST"}
        preflight = await client.options("/upper", headers=wanted)
        answers = [await client.get(path) for path in ("/users/7", "/lost", "/nothing", "/visits")]
        await assert_all_works(client)

    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for response in answers:
        assert response.headers["access-control-allow-origin"] == "https://front.example"
    assert {part.strip() for part in answers[-1].headers["vary"].split(",")} == {"Cookie", "Origin"}


async def test_cors_marks_the_answer_to_an_error_that_nobody_handles():
    app = with_cors("middleware=")
    app.config["PROPAGATE_EXCEPTIONS"] = False

    async with client_of(app, headers=HERE) as client:
        response = await client.get("/broken")

    assert response.status_code == 500
    assert response.headers["access-control-allow-origin"] == "https://front.example"


async def test_gzip_compresses_what_is_long_and_streams():
    app = furnished_app("gzip", middleware=[Middleware(GZipMiddleware, minimum_size=500)])

    @app.get("/long")
    def long():
        return "long " * 1000

    @app.get("/stream")
    async def stream():
        for _ in range(1000):
            yield "piece "

    async with client_of(app) as client:
        long, stream, short = [await client.get(path) for path in ("/long", "/stream", "/users/7")]
        await assert_all_works(client)

    assert long.text == "long " * 1000
    assert stream.text == "piece " * 1000
    assert long.headers["content-encoding"] == stream.headers["content-encoding"] == "gzip"
    assert int(long.headers["content-length"]) < 500
    assert "content-encoding" not in short.headers


async def test_trusted_host_refuses_other_hosts_and_redirects_to_www():
    hosts = {"allowed_hosts": ["testserver", "www.shop.example"], "www_redirect": True}
    app = furnished_app("hosts", middleware=[Middleware(TrustedHostMiddleware, **hosts)])

    async with client_of(app) as client:
        other = await client.get("/users/7", headers={"Host": "evil.example"})
        bare = await client.get("/users/7", headers={"Host": "shop.example"})
        await assert_all_works(client)

    assert other.status_code == 400
    assert bare.headers["location"] == "http://www.shop.example/users/7"


async def test_a_view_sees_the_user_that_authentication_found():
    class Names(AuthenticationBackend):
        async def authenticate(self, connection):
            name = connection.headers.get("x-user")
            return (AuthCredentials(["known"]), SimpleUser(name)) if name else None

    app = furnished_app("users", middleware=[Middleware(AuthenticationMiddleware, backend=Names())])

    @app.get("/async")
    async def on_the_loop():
        return request.starlette.user.display_name

    @app.get("/sync")
    def in_a_thread():
        return request.starlette.user.display_name

    async with client_of(app, headers={"X-User": "mary"}) as client:
        names = [(await client.get(path)).text for path in ("/async", "/sync")]
        await assert_all_works(client)

    assert names == ["mary", "mary"]


async def test_base_http_middleware_of_a_user_wraps_both_colours_and_streams():
    seen = []

    async def watch(request, call_next):
        response = await call_next(request)
        route = request.scope.get("route")
        seen.append((route and route.path, response.status_code))
        response.headers["X-Watched"] = "yes"
        return response

    app = furnished_app("base", middleware=[Middleware(BaseHTTPMiddleware, dispatch=watch)])

    @app.get("/stream")
    async def stream():
        yield "a"
        yield request.path

    async with client_of(app) as client:
        stream = await client.get("/stream")
        await assert_all_works(client)

    assert stream.text == "a/stream"
    assert stream.headers["x-watched"] == "yes"
    assert seen[:3] == [("/stream", 200), ("/users/{id:int}", 200), ("/upper", 200)]
    assert (None, 404) in seen
    assert ("/users/{id:int}", 405) in seen


async def test_middleware_may_read_the_body_and_hand_it_on():
    class Echo:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] != "http":
                return await self.app(scope, receive, send)
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message["body"], message["more_body"]
            again = iter([{"type": "http.request", "body": body.replace(b"quiet", b"loud!")}])

            async def receive_again():
                return next(again, {"type": "http.disconnect"})

            return await self.app(scope, receive_again, send)

    app = furnished_app("echo", middleware=[Middleware(Echo)])

    async with client_of(app) as client:
        response = await client.post("/upper", data={"text": "quiet"})
        await assert_all_works(client)

    assert response.text == "LOUD!"


async def test_what_middleware_leaves_in_the_state_reaches_views_and_mounted_apps():
    class Leave:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "http":
                scope["state"]["left"] = "by middleware"
            await self.app(scope, receive, send)

    async def inside(inner):
        return PlainTextResponse(inner.state.left)

    app = furnished_app("state", middleware=[Middleware(Leave)])
    app.mount("/inner", Starlette(routes=[Route("/", inside)]))

    @app.get("/left")
    async def left():
        return request.starlette.state.left

    async with client_of(app) as client:
        assert (await client.get("/left")).text == "by middleware"
        assert (await client.get("/inner/")).text == "by middleware"
