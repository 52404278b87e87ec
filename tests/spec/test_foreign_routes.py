"""Apps and routes that are not ours: inside an Erlen app, and around one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Mount, Route, WebSocketRoute

from erlen import (
    Erlen,
    Response,
    WebSocketDisconnect,
    current_app,
    g,
    make_response,
    request,
    session,
    url_for,
    websocket,
)
from erlen.sessions import SecureCookieSession, SessionInterface
from erlen.signals import request_finished
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


# -- what after hooks see of a foreign response --------------------------------------------


class Answering:
    """A foreign app of each kind that says "theirs", and notes what it did to the end."""

    def __init__(self, pieces=(b"theirs",), headers=(("x-theirs", "yes"),)):
        self.pieces = pieces
        self.headers = dict(headers)
        self.done = []

    async def starlette(self, request):
        background = BackgroundTask(self.done.append, "background")
        return StarletteResponse(b"".join(self.pieces), 200, self.headers, background=background)

    async def streamed(self, request):
        async def pieces():
            try:
                for piece in self.pieces:
                    yield piece
                    await asyncio.sleep(0)
            finally:
                self.done.append("closed")

        return StreamingResponse(pieces(), headers=self.headers)

    def wsgi(self, environ, start_response):
        start_response("200 OK", [*self.headers.items()])
        try:
            yield from self.pieces
        finally:
            self.done.append("closed")

    async def bare(self, scope, receive, send):
        headers = [(name.title().encode(), value.encode()) for name, value in self.headers.items()]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self.done.append("closed")

    def within(self, kind):
        """An app with this one at /inner/."""
        app = Erlen("around", static_folder=None)
        app.secret_key = "k" * 32
        app.config.update(SYNC_WORKERS=1, SYNC_QUEUE=5)
        app.get("/def", endpoint="def")(lambda: "fine")
        if kind == "wsgi":
            app.mount_wsgi("/inner", self.wsgi)
        elif kind == "bare":
            app.mount("/inner", self.bare)
        elif kind == "returned":
            app.get("/inner/")(lambda: self.bare)
        elif kind == "erlen":
            inner = Erlen("inner", static_folder=None)
            inner.get("/")(lambda: self.bare)
            app.mount("/inner", inner)
        elif kind == "middleware":
            inner = Starlette(routes=[Route("/", self.starlette)])
            inner.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
            app.mount("/inner", inner)
        else:
            view = self.starlette if kind == "starlette" else self.streamed
            app.mount("/inner", Starlette(routes=[Route("/", view)]))
        return app


async def _pass_on(request, call_next):
    return await call_next(request)


KINDS = ["starlette", "streamed", "middleware", "wsgi", "bare", "returned", "erlen"]


@pytest.mark.parametrize("kind", KINDS)
async def test_hooks_see_a_foreign_response_as_a_stream(kind):
    app = Answering().within(kind)
    seen = []

    @app.after_request
    async def look(response):
        seen.append((response.status, response.headers["X-Theirs"]))
        seen.append((response.is_streamed, response.is_sequence, response.direct_passthrough))
        for ask in (response.get_data, response.add_etag, lambda: response.data):
            with pytest.raises(RuntimeError, match="is a stream and not in memory"):
                ask()
        response.headers["X-Ours"] = "yes"
        response.set_cookie("ours", "1")
        response.status_code = 202
        return response

    response = await app.test_client().get("/inner/")

    assert seen == [("200 OK", "yes"), (True, False, True)]
    assert (response.status_code, response.text) == (202, "theirs")
    assert (response.headers["x-theirs"], response.headers["x-ours"]) == ("yes", "yes")
    assert response.headers["set-cookie"].startswith("ours=1")


def returned(response):
    return make_response("other", 202)


def tupled(response):
    return "other", 202


def with_data(response):
    response.status_code = 202
    response.data = "other"
    return response


def with_set_data(response):
    response.status_code = 202
    response.set_data("other")
    return response


def with_response(response):
    response.status_code = 202
    response.response = ["oth", "er"]
    return response


def with_a_generator(response):
    response.status_code = 202
    response.response = (piece for piece in ("oth", "er"))
    return response


def streaming(response):
    async def pieces():
        yield "oth"
        await asyncio.sleep(0)
        yield "er"

    return Response(pieces(), 202)


WAYS = [
    *(returned, tupled, with_data, with_set_data, with_response, with_a_generator, streaming),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_what_a_hook_puts_in_the_place_of_a_foreign_response_is_sent(kind, way):
    answering = Answering()
    app = answering.within(kind)
    seen = []

    @app.after_request  # the last that was registered is the first to run
    async def second(response):
        seen.append(response.status_code)
        response.headers["X-Second"] = "yes"
        session["seen"] = True
        return response

    app.after_request(way)

    def finished(sender, response):
        seen.append(response.headers["X-Second"])

    with request_finished.connected_to(finished, app):
        async with asyncio.timeout(10):
            response = await app.test_client().get("/inner/")
            assert (await app.test_client().get("/def")).status_code == 202

    assert (response.status_code, response.text) == (202, "other")
    assert response.headers["x-second"] == "yes"
    assert response.headers["set-cookie"].startswith("session=")
    assert seen == [202, "yes"] * 2
    if kind in ("wsgi", "bare", "returned", "erlen"):
        assert answering.done == ["closed"]


@pytest.mark.parametrize("way", [returned, streaming], ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", ["starlette", "wsgi", "bare"])
def test_the_sync_client_gets_what_a_hook_puts_in_the_place_of_a_foreign_response(kind, way):
    app = Answering([b"theirs"] * 3).within(kind)
    app.after_request(way)

    with app.test_client() as client:
        response = client.get("/inner/")

    assert (response.status_code, response.text) == (202, "other")


async def test_a_foreign_app_goes_on_after_a_whole_answer_that_is_not_sent():
    answering = Answering()
    app = answering.within("starlette")
    app.after_request(returned)

    assert (await app.test_client().get("/inner/")).text == "other"
    assert answering.done == ["background"]


@pytest.mark.parametrize("kind", ["wsgi", "bare", "returned", "erlen"])
@pytest.mark.parametrize("way", [returned, streaming], ids=lambda way: way.__name__)
async def test_an_endless_foreign_response_that_is_not_sent_ends(kind, way):
    answering = Answering(itertools.repeat(b"theirs"))
    app = answering.within(kind)
    app.after_request(way)

    async with asyncio.timeout(10):
        for _ in range(3):
            assert (await app.test_client().get("/inner/")).text == "other"

    assert answering.done == ["closed"] * 3


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_an_endless_stream_of_starlettes_that_is_not_sent_ends(spec_version):
    app = Answering(itertools.repeat(b"theirs")).within("streamed")
    app.after_request(returned)
    scope = scope_of("/inner/")
    scope["asgi"]["spec_version"] = spec_version

    start, *rest = await exchange(app, scope)

    assert start["status"] == 202
    assert rest == [{"type": "http.response.body", "body": b"other"}]


async def test_a_cancel_while_a_foreign_app_answers_in_vain_is_still_one():
    begun = asyncio.Event()

    async def stubborn(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await asyncio.Event().wait()

    app = app_around(stubborn)
    app.after_request(returned)
    serving = asyncio.create_task(exchange(app, scope_of("/inner/")))
    async with asyncio.timeout(10):
        await begun.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving


async def exchange(app, scope):
    """The messages of *app*, in their order."""
    sent, received, complete = [], [], asyncio.Event()

    async def receive():
        if received:
            await complete.wait()
            return {"type": "http.disconnect"}
        received.append(True)
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            complete.set()

    async with asyncio.timeout(10):
        await app(scope, receive, send)
    return sent


def scope_of(path, method="GET", **headers):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            *((name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()),
        ],
        "client": None,
        "server": None,
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_foreign_response_is_not_sent_to_who_has_it_by_its_own_etag(kind, method):
    app = Answering(headers=[("etag", '"theirs"'), ("content-type", "text/plain")]).within(kind)

    @app.after_request
    async def conditional(response):
        return response.make_conditional(request)

    fresh = await exchange(app, scope_of("/inner/", if_none_match='"other"'))
    known = await exchange(app, scope_of("/inner/", method, if_none_match='"theirs"'))

    assert fresh[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in fresh[1:]) == b"theirs"
    assert known[0]["status"] == 304
    names = {name for name, _ in known[0]["headers"]}
    assert b"etag" in names
    assert not names & {b"content-length", b"content-type"}
    assert known[1:] == [{"type": "http.response.body", "body": b""}]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hook_may_take_the_body_away_from_a_foreign_response_by_its_status(kind):
    app = Answering(headers=[("content-length", "6")]).within(kind)

    @app.after_request
    async def empty(response):
        response.status_code = 204
        return response

    start, *rest = await exchange(app, scope_of("/inner/"))

    assert (start["status"], start["headers"]) == (204, [])
    assert rest == [{"type": "http.response.body", "body": b""}]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_body_of_a_foreign_response_may_follow_another_head(kind):
    app = Answering().within(kind)
    app.after_request(lambda response: Response(response.response, 203, {"x-new": "yes"}))

    response = await app.test_client().get("/inner/")

    assert (response.status_code, response.text) == (203, "theirs")
    assert response.headers["x-new"] == "yes"
    assert "x-theirs" not in response.headers


async def test_a_hook_that_wraps_the_body_of_a_foreign_response_is_told_that_it_cannot():
    app = Answering().within("bare")
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.after_request
    async def wrap(response):
        async def upper():
            async for piece in theirs:
                yield piece.upper()

        if response.status_code == 200:
            theirs, response.response = response.response, upper()
        return response

    with pytest.raises(RuntimeError, match="mounted app or an ASGI callable cannot be read"):
        await app.test_client().get("/inner/")

    app.config["PROPAGATE_EXCEPTIONS"] = False

    assert (await app.test_client().get("/inner/")).status_code == 500


async def test_a_hook_cannot_put_one_foreign_response_in_the_place_of_another():
    app = Answering().within("bare")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    errors = []
    app.errorhandler(TypeError)(lambda error: (errors.append(str(error)) or "told", 500))

    @app.after_request
    async def file_instead(response):
        return StreamingResponse(["x"]) if response.status_code == 200 else response

    response = await app.test_client().get("/inner/")

    assert (response.status_code, response.text) == (500, "told")
    assert "file_instead' (test_foreign_routes.py:" in errors[0]
    assert "Return a text, a dict, or a response of Erlen's" in errors[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_foreign_response_that_is_over_calls_what_a_hook_left_there(kind):
    app = Answering().within(kind)
    called = []

    @app.after_request
    async def leave(response):
        response.call_on_close(lambda: called.append(request.path))
        return response

    assert (await app.test_client().get("/inner/")).text == "theirs"
    assert called == ["/inner/"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_foreign_response_that_is_over_is_followed_by_the_task_a_hook_gave_it(kind):
    app = Answering().within(kind)
    steps = []

    @app.after_request
    async def leave(response):
        response.call_on_close(lambda: steps.append("closed"))
        response.background = BackgroundTask(steps.append, "task")
        return response

    assert (await app.test_client().get("/inner/")).text == "theirs"
    assert steps == ["closed", "task"]


async def test_an_error_of_a_foreign_app_that_answers_in_vain_costs_nobody_a_response(caplog):
    async def failing(scope, receive, send):
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        finally:
            raise LookupError("while it tidied up")

    app = app_around(failing)
    app.after_request(streaming)

    assert (await app.test_client().get("/inner/")).text == "other"
    assert "An app failed whose response is not sent" in caplog.text
