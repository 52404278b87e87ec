"""Apps and routes that are not ours: inside an Erlen app, and around one."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from erlen import (
    Erlen,
    WebSocketDisconnect,
    current_app,
    g,
    request,
    session,
    url_for,
    websocket,
)
from erlen.sessions import SecureCookieSession, SessionInterface
from erlen.testing import WebSocketRejected


def client_of(app):
    """A client of any ASGI app, which sends its errors back as a server would."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://x")


def app_around(inner, name="around"):
    app = Erlen(name)
    app.secret_key = "k" * 32
    app.mount("/inner", inner)
    return app


async def plain(request):
    return PlainTextResponse(f"{request.scope['root_path']} {request.url.path}")


# -- mounted here --------------------------------------------------------------------------


async def test_hooks_see_the_request_as_it_came_and_not_as_the_mounted_app_sees_it():
    app = app_around(Starlette(routes=[Route("/page", plain)]))
    seen = []

    @app.after_request
    async def after(response):
        seen.append((request.path, request.root_path, request.starlette.app))
        return response

    @app.teardown_request
    async def teardown(error):
        seen.append((request.path, request.root_path, request.starlette.app))

    response = await app.test_client().get("/inner/page")

    assert response.text == "/inner /inner/page"
    assert seen == [("/inner/page", "", app)] * 2


async def test_an_error_of_a_mounted_app_is_passed_on_as_it_is():
    async def broken(request):
        raise LookupError("inside")

    app = app_around(Starlette(routes=[Route("/", broken)]))

    with pytest.raises(LookupError, match="inside"):
        await app.test_client().get("/inner/")


async def test_state_of_one_request_to_a_mounted_app_is_not_in_the_next():
    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"name": "inner"}

    async def show(request):
        before = getattr(request.state, "user", None)
        request.state.user = "somebody"
        return PlainTextResponse(f"{request.state.name} {before}")

    app = app_around(Starlette(routes=[Route("/", show)], lifespan=lifespan))

    async with app.test_client() as client:
        texts = [(await client.get("/inner/")).text for _ in range(2)]

    assert texts == ["inner None", "inner None"]


async def test_a_failing_hook_around_a_mounted_app_is_a_server_error():
    app = app_around(PlainTextResponse("inner"))
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.after_request
    async def fail(response):
        if response.status_code == 200:
            raise LookupError
        return response

    async with client_of(app) as client:
        assert (await client.get("/inner/")).status_code == 500


async def test_an_erlen_app_mounted_in_another_gets_the_hooks_of_both():
    inner = Erlen("inner")
    app = app_around(inner)
    order = []
    for name, one in (("inner", inner), ("outer", app)):

        @one.after_request
        async def after(response, name=name):
            order.append(f"after {name} {current_app.name} {request.path}")
            response.headers.add("x-after", name)
            return response

        @one.teardown_request
        async def teardown(error, name=name):
            order.append(f"teardown {name} {current_app.name} {request.path}")

    @inner.get("/page")
    async def page():
        return url_for("page")

    @inner.get("/sync")
    def in_a_thread():
        return url_for("page")

    for path in ("/inner/page", "/inner/sync"):
        order.clear()
        response = await app.test_client().get(path)

        assert response.text == "/inner/page"
        assert response.headers.getlist("x-after") == ["inner", "outer"]
        below = path.removeprefix("/inner")
        assert sorted(order) == [
            f"after inner inner {below}",
            f"after outer around {path}",
            f"teardown inner inner {below}",
            f"teardown outer around {path}",
        ]


async def test_a_kept_context_is_that_of_the_outer_app():
    inner = Erlen("inner")
    app = app_around(inner)
    torn_down = []
    inner.teardown_request(lambda error: torn_down.append("inner"))
    app.teardown_request(lambda error: torn_down.append("outer"))
    inner.get("/")(lambda: "inner")

    async with app.test_client() as client:
        await client.get("/inner/")

        assert current_app.name == "around"
        assert torn_down == ["inner"]

    assert torn_down == ["inner", "outer"]


# -- mounted there -------------------------------------------------------------------------


async def test_urls_begin_where_the_app_is_mounted():
    app = Erlen("shop")
    app.mount("/admin", Starlette(routes=[Route("/", plain, name="home")]), name="admin")

    @app.get("/page")
    async def page():
        links = url_for("page"), url_for("page", _external=True)
        return [*links, request.starlette.url_for("admin:home").path]

    outer = Starlette(routes=[Mount("/shop", app=app)])

    async with client_of(outer) as client:
        assert (await client.get("/shop/page")).json() == [
            "/shop/page",
            "http://x/shop/page",
            "/shop/admin/",
        ]


async def test_what_is_mounted_in_a_mounted_app_finds_its_own_urls():
    app = Erlen("shop")

    async def links(request):
        return PlainTextResponse(f"{request.url_for('admin:links')} {url_for('page')}")

    app.get("/page", endpoint="page")(lambda: "page")
    app.mount("/admin", Starlette(routes=[Route("/links", links)]), name="admin")
    outer = Starlette(routes=[Mount("/shop", app=app)])

    async with client_of(outer) as client:
        text = (await client.get("/shop/admin/links")).text

    assert text == "http://x/shop/admin/links /shop/page"


async def test_the_session_of_the_outer_app_stays_its_own():
    async def visit(request):
        request.session["ours"] = "inner"
        return PlainTextResponse("visited")

    app = Erlen("shop")
    app.secret_key = "k" * 32
    app.config["SESSION_COOKIE_NAME"] = "shop"
    app.add_route("/visit", visit)

    @app.get("/look")
    async def look():
        return dict(session)

    async def outer_visit(request):
        request.session["theirs"] = "outer"
        return PlainTextResponse("")

    async def outer_look(request):
        return PlainTextResponse(str(request.session))

    outer = Starlette(
        routes=[
            Route("/visit", outer_visit),
            Route("/look", outer_look),
            Mount("/shop", app=app),
        ],
        middleware=[Middleware(SessionMiddleware, secret_key="theirs")],
    )

    async with client_of(outer) as client:
        await client.get("/visit")
        await client.get("/shop/visit")

        assert (await client.get("/look")).text == "{'theirs': 'outer'}"
        assert (await client.get("/shop/look")).json() == {"ours": "inner"}


# -- errors --------------------------------------------------------------------------------


class TooFast(HTTPException):
    def __init__(self):
        super().__init__(429, "too fast")


@pytest.mark.parametrize("way", ["exception_handlers=", "errorhandler"])
async def test_a_handler_of_a_foreign_http_error_gets_the_error_itself(way):
    def refuse(*arguments):
        assert type(arguments[-1]) is TooFast
        return PlainTextResponse("slower", 429)

    app = Erlen("errors", exception_handlers={TooFast: refuse} if way != "errorhandler" else {})
    if way == "errorhandler":
        app.errorhandler(TooFast)(refuse)
    app.errorhandler(429)(lambda error: ("429", 429))
    app.errorhandler(Exception)(lambda error: ("other", 500))

    @app.get("/")
    async def run():
        raise TooFast

    assert (await app.test_client().get("/")).text == "slower"


async def test_a_foreign_http_error_without_a_handler_of_its_own_is_one_of_ours():
    app = Erlen("errors")

    @app.get("/")
    async def run():
        raise TooFast

    client = app.test_client()
    assert "too fast" in (await client.get("/")).text

    other = Erlen("others")
    other.errorhandler(429)(lambda error: (f"{type(error).__name__} {error.description}", 429))
    other.get("/")(run)
    assert (await other.test_client().get("/")).text == "TooManyRequests too fast"


# -- what Starlette's objects show -----------------------------------------------------------


async def test_starlettes_request_has_our_session_in_both_colours():
    app = Erlen("session")
    app.secret_key = "k" * 32

    @app.get("/async")
    async def on_the_loop():
        request.starlette.session["n"] = request.starlette.session.get("n", 0) + 1
        return str(session["n"])

    @app.get("/sync")
    def in_a_thread():
        request.starlette.session["n"] = request.starlette.session.get("n", 0) + 1
        return str(session["n"])

    client = app.test_client()

    assert [(await client.get(path)).text for path in ("/async", "/sync")] == ["1", "2"]
    assert (await client.get("/sync")).headers["vary"] == "Cookie"


async def test_starlettes_websocket_has_our_session():
    app = Erlen("session")
    app.secret_key = "k" * 32

    @app.get("/")
    async def begin():
        session["user"] = "mary"
        return ""

    @app.websocket("/ws")
    async def greet():
        await websocket.send(websocket.starlette.session["user"])

    client = app.test_client()
    await client.get("/")

    async with client.websocket("/ws") as ws:
        assert await ws.receive() == "mary"


async def test_the_scope_names_the_route_as_starlette_does():
    async def show(request):
        return PlainTextResponse("shown")

    scopes = []

    class Watch:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)
            if scope["type"] == "http":
                path = getattr(scope.get("route"), "path", None)
                scopes.append((path, scope.get("endpoint"), scope.get("path_params")))

    app = Erlen("scopes", middleware=[Middleware(Watch)])
    app.add_route("/shown/{n:int}", show)

    @app.get("/user/<int:n>")
    async def user(n):
        return "user"

    client = app.test_client()
    for method, path in (("GET", "/user/1"), ("PUT", "/user/2"), ("GET", "/shown/3")):
        await client.open(path, method=method)
    await client.put("/shown/4")
    await client.get("/nothing")

    assert scopes == [
        ("/user/{n:int}", user, {"n": 1}),
        ("/user/{n:int}", user, {"n": 2}),
        ("/shown/{n:int}", show, {"n": 3}),
        ("/shown/{n:int}", show, {"n": 4}),
        (None, None, None),
    ]


# -- websockets ------------------------------------------------------------------------------


def app_with_socket(endpoint):
    app = Erlen("sockets")
    app.secret_key = "k" * 32
    app.log = []
    app.routes.append(WebSocketRoute("/ws", endpoint))
    app.mount("/inner", Starlette(routes=[WebSocketRoute("/ws", endpoint)]))

    @app.before_websocket
    async def before():
        app.log.append("before")
        g.hook = "ran"

    @app.teardown_websocket
    async def teardown(error):
        app.log.append(f"teardown {websocket.path} {type(error).__name__}")

    @app.teardown_appcontext
    async def teardown_context(error):
        app.log.append("teardown context")

    return app


async def echo(socket):
    await socket.accept()
    await socket.send_text(f"{g.get('hook')} {len(socket.session)}")
    while True:
        await socket.send_text(await socket.receive_text())


@pytest.mark.parametrize(
    ("path", "greeting", "first"),
    [("/ws", "ran 0", ["before"]), ("/inner/ws", "None 0", [])],
    ids=["route", "mount"],
)
async def test_a_foreign_websocket_is_torn_down_when_its_client_leaves(path, greeting, first):
    app = app_with_socket(echo)

    async with app.test_client().websocket(path) as ws:
        assert await ws.receive() == greeting
        await ws.send("hello")
        assert await ws.receive() == "hello"

    assert app.log == [*first, f"teardown {path} NoneType", "teardown context"]


async def test_a_hook_may_refuse_a_foreign_websocket():
    app = app_with_socket(echo)
    app.before_websocket(lambda: ("closed", 403))

    with pytest.raises(WebSocketRejected) as refusal:
        await app.test_client().websocket("/ws").__aenter__()

    assert refusal.value.response.text == "closed"


async def test_errors_of_a_foreign_websocket_reach_our_handlers():
    async def refuse(socket):
        raise LookupError

    app = app_with_socket(refuse)
    app.errorhandler(LookupError)(lambda error: ("lost", 410))

    with pytest.raises(WebSocketRejected) as refusal:
        await app.test_client().websocket("/ws").__aenter__()

    assert (refusal.value.response.status_code, refusal.value.response.text) == (410, "lost")


async def test_a_foreign_websocket_closes_with_the_code_of_its_exception():
    async def close(socket):
        await socket.accept()
        raise WebSocketException(4001, "go away")

    async with app_with_socket(close).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect, match="go away") as disconnect:
            await ws.receive()

    assert disconnect.value.code == 4001


async def test_a_session_that_has_to_be_fetched_is_there_for_foreign_routes():
    class Fetched(SessionInterface):
        async def open_session(self, app, request):
            return SecureCookieSession({"from": "afar"})

        async def save_session(self, app, session, response):
            response.headers["x-saved"] = session["from"]

    async def tell(socket):
        await socket.accept()
        await socket.send_text(socket.session["from"])

    async def show(request):
        return PlainTextResponse(request.session["from"])

    app = app_with_socket(tell)
    app.session_interface = Fetched()
    app.add_route("/show", show)
    client = app.test_client()

    async with client.websocket("/ws") as ws:
        assert await ws.receive() == "afar"
    response = await client.get("/show")
    assert (response.text, response.headers["x-saved"]) == ("afar", "afar")
