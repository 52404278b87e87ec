"""The ASGI specification, point by point: what servers may do, and what the app must not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from erlen import (
    Erlen,
    Response,
    abort,
    g,
    redirect,
    request,
    send_file,
    session,
    sync,
    url_for,
    websocket,
)
from tests.exchanges import Conversation, Cycle, Exchange
from tests.waiting import until

COLOURS = ["async", "def"]


def app_with(view: Any, rule: str = "/", **options: Any) -> Erlen:
    app = Erlen("asgi")
    app.route(rule, methods=["GET", "POST"], **options)(view)
    return app


async def hello() -> str:
    return "hello"


def def_hello() -> str:
    return "hello"


# -- the app as a callable -----------------------------------------------------------------


def test_the_app_is_an_instance_whose_call_is_async():
    app = Erlen("callable")

    assert inspect.iscoroutinefunction(type(app).__call__)
    assert not inspect.isclass(app)


async def test_an_unknown_type_of_scope_is_refused_at_once():
    app = app_with(hello)
    exchange = Exchange(app, type="telepathy")

    await exchange.run()

    assert "telepathy" in str(exchange.error)
    assert exchange.sent == []


@pytest.mark.parametrize("view", [hello, def_hello])
def test_one_app_serves_on_one_loop_after_the_other(view):
    app = app_with(view)

    async def serve() -> bytes:
        async with app.serving():
            return (await Exchange(app).run()).body

    assert [asyncio.run(serve()), asyncio.run(serve())] == [b"hello", b"hello"]


async def test_an_app_may_start_and_stop_again_and_again():
    app = app_with(hello)

    cycles = [await Cycle(app).run() for _ in range(2)]

    for cycle in cycles:
        cycle.check()
        assert cycle.outcomes == ["startup.complete", "shutdown.complete"]


@pytest.mark.parametrize("kind", ["http", "lifespan"])
def test_without_asyncio_the_error_says_what_is_missing(kind, caplog):
    app = app_with(hello)
    exchange = (Exchange if kind == "http" else Cycle)(app)
    sent: list[Any] = []

    async def receive() -> Any:
        return exchange.script[0]

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        app(exchange.scope, receive, send).send(None)
    except (StopIteration, RuntimeError) as error:
        told = f"{error} {caplog.text}"

    assert "Erlen runs on asyncio" in told
    assert [message.get("status") for message in sent] in ([], [500, None])


# -- the scope -----------------------------------------------------------------------------

MINIMAL = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET"}


async def everything() -> dict[str, Any]:
    session.get("x")
    return {
        "url": request.url,
        "root": request.root_path,
        "server": request.server,
        "client": request.remote_addr,
        "query": request.args.to_dict(),
        "host": request.host,
        "state": dict(request.state),
        "self": url_for("everything"),
    }


async def test_what_the_specification_calls_optional_may_be_missing():
    app = app_with(everything)
    app.secret_key = "k" * 32
    exchange = Exchange(app)
    exchange.scope = {**MINIMAL, "path": "/", "headers": []}

    await exchange.run()

    exchange.check()
    assert exchange.body == (
        b'{"url":"http:///","root":"","server":null,"client":null,"query":{},"host":"",'
        b'"state":{},"self":"/"}\n'
    )


@pytest.mark.parametrize("key", ["server", "client", "extensions", "root_path", "state"])
async def test_what_is_optional_may_be_none_or_empty(key):
    app = app_with(everything)
    app.secret_key = "k" * 32
    empty = {"root_path": "", "state": {}}.get(key)

    exchange = await Exchange(app, **{key: empty}).run()

    exchange.check()
    assert exchange.status == 200


async def test_a_message_of_a_body_may_be_empty():
    async def view() -> str:
        return str(len(await request.get_data()))

    exchange = Exchange(app_with(view), method="POST")
    exchange.script = [{"type": "http.request", "more_body": True}, {"type": "http.request"}]

    await exchange.run()

    exchange.check()
    assert exchange.body == b"0"


async def test_a_websocket_scope_may_be_as_small():
    app = Erlen("asgi")

    @app.websocket("/")
    async def view() -> None:
        await websocket.send(repr((websocket.requested_subprotocols, websocket.scheme)))

    talk = Conversation(app)
    talk.scope = {"type": "websocket", "asgi": {"version": "3.0"}, "path": "/", "headers": []}

    await talk.run()

    talk.check()
    assert talk.sent[1]["text"] == "([], 'ws')"


def _once(items: list[Any]) -> Iterator[Any]:
    yield from items


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(list, id="list"),
        pytest.param(tuple, id="tuple"),
        pytest.param(_once, id="generator"),
        pytest.param(lambda items: [list(item) for item in items], id="lists"),
        pytest.param(lambda items: [(name.title(), value) for name, value in items], id="Title"),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
async def test_headers_may_be_any_iterable_in_any_case(make, colour):
    def seen() -> Any:
        return [
            request.host,
            request.headers.getlist("x-two"),
            request.cookies.to_dict(),
            request.content_length,
        ]

    async def view() -> Any:
        return seen()

    app = app_with(view if colour == "async" else seen)
    headers = [
        (b"host", b"example.com"),
        (b"x-two", b"1"),
        (b"x-two", b"2"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"content-length", b"0"),
    ]

    exchange = Exchange(app)
    exchange.scope["headers"] = make(headers)
    await exchange.run()
    await app.close_worker_pool()

    exchange.check()
    assert exchange.body == b'["example.com",["1","2"],{"a":"1","b":"2"},0]\n'


@pytest.mark.parametrize("name", [b"host", b"Host", b"HOST"])
async def test_a_host_that_is_not_trusted_is_refused_in_any_case(name):
    app = app_with(hello)
    app.config["TRUSTED_HOSTS"] = ["example.com"]
    exchange = Exchange(app)
    exchange.scope["headers"] = [(name, b"evil.com")]

    await exchange.run()

    assert exchange.status == 400


async def test_a_foreign_origin_is_refused_in_any_case():
    app = Erlen("asgi")
    app.websocket("/")(echo)
    talk = Conversation(app)
    talk.scope["headers"] = [(b"Host", b"localhost"), (b"Origin", b"http://evil.com")]

    await talk.run()

    assert talk.types() == ["close"]


async def echo() -> None:
    async for message in websocket:
        await websocket.send(message)


PATHS = {
    "/": 200,
    "": 200,
    "*": 404,
    "//": 308,
    "//evil.com/..": 404,
    "/./..": 404,
    "/a\0b": 404,
    "/\ufffd": 404,
    "/x\n": 404,
    "http://localhost/": 404,
    "/a/b": 404,
    "/é": 404,
}


@pytest.mark.parametrize(("path", "status"), PATHS.items(), ids=[ascii(path) for path in PATHS])
async def test_no_path_is_too_strange(path, status):
    app = app_with(hello)

    @app.get("/number/<int:n>")
    async def number(n: int) -> str:
        return str(n)

    exchange = await Exchange(app, path).run()

    exchange.check()
    assert exchange.status in (status, 400, 308)
    if exchange.status == 308:
        assert exchange.headers[b"location"] == b"/"


async def test_options_of_the_server_itself_is_answered():
    exchange = await Exchange(app_with(hello), "*", method="OPTIONS").run()

    exchange.check()
    assert exchange.status in (200, 404)


@pytest.mark.parametrize("query", [b"a=\xff", "a=é".encode(), b"\xe9=\0", b"%ff=%", b"&&=&"])
async def test_a_query_may_have_any_bytes(query):
    async def view() -> Any:
        return [request.full_path, request.url, request.args.to_dict()]

    exchange = await Exchange(app_with(view), query_string=query).run()

    exchange.check()
    assert exchange.status == 200


@pytest.mark.parametrize("path", ["/prefix/page", "/page"], ids=["spec", "older servers"])
async def test_a_root_path_is_matched_with_and_without_and_built_once(path):
    app = Erlen("rooted")
    app.add_url_rule("/page/", "page", hello)
    app.add_url_rule("/where", "where", everything)

    redirected = await Exchange(app, path, root_path="/prefix").run()
    found = await Exchange(app, f"{path}/", root_path="/prefix").run()

    assert (redirected.status, found.status) == (308, 200)
    assert redirected.headers[b"location"].endswith(b"/prefix/page/")
    assert redirected.headers[b"location"].count(b"prefix") == 1


async def test_a_mounted_app_sees_a_longer_root_path_and_ours_is_as_before():
    seen: list[Any] = []

    async def inner(request: Any) -> PlainTextResponse:
        seen.append((request.scope["root_path"], request.scope["path"], request.scope["app"]))
        return PlainTextResponse("inner")

    mounted = Starlette(routes=[Route("/x", inner)])
    app = Erlen("outer")
    app.mount("/inner", mounted)

    @app.after_request
    async def after(response: Any) -> Any:
        seen.append((request.root_path, request.path))
        return response

    exchange = await Exchange(app, "/inner/x").run()

    exchange.check()
    assert seen == [("/inner", "/inner/x", mounted), ("", "/inner/x")]


@pytest.mark.parametrize("outer", ["starlette", "itself"])
async def test_an_app_may_be_mounted_anywhere_even_in_itself(outer):
    app = app_with(everything)
    app.secret_key = "k" * 32
    app.mount("/again", app)
    server = Starlette(routes=[Mount("/again", app)]) if outer == "starlette" else app

    exchange = await Exchange(server, "/again/again/" if outer == "itself" else "/again/").run()

    exchange.check()
    assert exchange.status == 200
    assert b'"root":"/again' in exchange.body


async def test_our_own_keys_have_our_name_and_nothing_is_deleted():
    app = app_with(hello)
    exchange = Exchange(app, state={}, extensions={})
    before = set(exchange.scope)

    await exchange.run()

    own = set(exchange.scope) - before
    shared = {"app", "router", "route", "endpoint", "path_params"}
    assert before <= set(exchange.scope)
    assert {key for key in own if not key.startswith("erlen.")} == shared


async def test_the_state_of_one_request_is_not_that_of_another():
    app = Erlen("state")
    shared: list[int] = []

    @app.get("/")
    async def view() -> Any:
        state = request.scope["state"]
        state["shared"].append(1)
        state["own"] = state.get("own", 0) + 1
        return [len(state["shared"]), state["own"]]

    first = await Exchange(app, state={"shared": shared}).run()
    second = await Exchange(app, state={"shared": shared}).run()

    assert (first.body, second.body) == (b"[1,1]\n", b"[2,1]\n")


# -- what comes in -------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_body_that_nobody_wants_is_not_asked_for(colour):
    app = Erlen("unread")

    async def refuse() -> None:
        abort(401)

    def def_refuse() -> None:
        abort(401)

    app.before_request(refuse if colour == "async" else def_refuse)
    app.post("/")(hello)
    headers = [(b"expect", b"100-continue"), (b"content-length", b"5")]

    exchange = await Exchange(app, method="POST", headers=headers, body=[b"x"] * 5).run()
    await app.close_worker_pool()

    assert (exchange.status, exchange.received) == (401, 0)


async def test_reading_on_after_a_departure_does_not_wait_for_ever():
    seen: list[str] = []

    async def view() -> str:
        for _ in range(3):
            try:
                await request.get_data()
            except Exception as error:
                seen.append(type(error).__name__)
        return "nobody hears this"

    length = [(b"content-length", b"9")]
    exchange = await Exchange(
        app_with(view), method="POST", headers=length, body=[b"a", b"b"], leaves_after=1
    ).run()

    exchange.check()
    assert seen == ["ClientDisconnected"] * 3


# -- what goes out -------------------------------------------------------------------------


def _pieces() -> Iterator[Any]:
    yield "text"
    yield b""
    yield bytearray(b"array")
    yield memoryview(b"view")


async def _async_pieces() -> Any:
    for piece in _pieces():
        yield piece


RESULTS: dict[str, Any] = {
    "text": lambda: "é",
    "bytes": lambda: b"x",
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: Response(memoryview(b"x")),
    "json": lambda: {"a": 1},
    "pieces": _pieces,
    "async pieces": _async_pieces,
    "empty": lambda: ("", 204),
    "empty with length": lambda: Response("x", 204, {"content-length": "1"}),
    "not modified": lambda: Response("x", 304, {"etag": '"x"'}),
    "redirect": lambda: redirect("/é?x=1"),
    "file": lambda: send_file(__file__),
    "starlette": lambda: PlainTextResponse("x"),
    "odd headers": lambda: Response("x", headers={"X-Title": "caf\xe9"}),
    "cookies": lambda: _with_cookies(),
}


def _with_cookies() -> Response:
    response = Response("x")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", RESULTS)
async def test_a_response_is_one_start_bytes_and_one_end(name, colour, method):
    make = RESULTS[name]

    async def view() -> Any:
        return make()

    app = app_with(view if colour == "async" else make)

    exchange = await Exchange(app, method=method).run()
    await app.close_worker_pool()

    exchange.check()
    assert exchange.error is None
    assert exchange.complete
    assert [message.get("more_body", False) for message in exchange.sent[1:]].count(False) == 1
    lengths = [value for key, value in exchange.sent[0]["headers"] if key == b"content-length"]
    bodiless = method == "HEAD" or exchange.status in (204, 304)
    assert (exchange.body == b"") == bodiless
    assert len(lengths) <= (0 if exchange.status in (204, 304) else 1)
    if lengths and not bodiless:
        assert int(lengths[0]) == len(exchange.body)


@pytest.mark.parametrize("name", RESULTS)
async def test_head_has_the_headers_of_get(name):
    async def view() -> Any:
        return RESULTS[name]()

    app = app_with(view)

    get, head = await Exchange(app).run(), await Exchange(app, method="HEAD").run()

    assert head.status == get.status
    assert sorted(head.sent[0]["headers"]) == sorted(get.sent[0]["headers"])


async def test_cookies_are_never_joined():
    app = app_with(hello)
    app.after_request(lambda response: _with_cookies())

    exchange = await Exchange(app).run()
    await app.close_worker_pool()

    cookies = [value for name, value in exchange.sent[0]["headers"] if name == b"set-cookie"]
    assert cookies == [b"a=1; Path=/", b"b=2; Path=/"]


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=1", "a\0b", "a\nb"])
async def test_a_header_that_would_split_the_response_is_refused_where_it_is_set(text):
    async def view() -> Any:
        return "x", {"x-name": text}

    exchange = await Exchange(app_with(view)).run()

    exchange.check()
    assert exchange.status == 500


async def test_the_length_is_right_after_a_hook_changed_the_body():
    app = app_with(hello)

    @app.after_request
    async def longer(response: Response) -> Response:
        response.data = response.data + b", world"
        return response

    exchange = await Exchange(app).run()

    assert exchange.body == b"hello, world"
    assert exchange.headers[b"content-length"] == b"12"
    assert not exchange.headers.keys() & {b"date", b"server"}


async def test_extensions_are_used_only_if_the_server_has_them():
    async def view() -> Any:
        return send_file(__file__)

    exchange = await Exchange(app_with(view), extensions={}).run()

    exchange.check()
    assert {message["type"] for message in exchange.sent} == {
        "http.response.start",
        "http.response.body",
    }


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_stream_is_made_no_faster_than_it_is_sent(colour):
    made: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(100):
            made.append(number)
            yield b"x"

    async def async_pieces() -> Any:
        for piece in pieces():
            yield piece

    app = app_with((lambda: pieces()) if colour == "def" else async_pieces)
    exchange = Exchange(app)
    slow = asyncio.Event()
    send = exchange.send

    async def slow_send(message: Any) -> None:
        await send(message)
        if len(exchange.sent) == 3:
            await slow.wait()

    exchange.send = slow_send  # type: ignore[method-assign]
    exchange.begin()
    await exchange.has_sent(3)
    await asyncio.sleep(0.02)
    ahead = len(made) - 2
    slow.set()
    await exchange.over()
    await app.close_worker_pool()

    assert ahead <= (1 if colour == "async" else 10)
    assert exchange.body == b"x" * 100


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_body_is_received_no_faster_than_it_is_read(colour):
    app = Erlen("upload")
    held = asyncio.Event()

    async def view() -> str:
        chunks = request.stream.__aiter__()
        await anext(chunks)
        await held.wait()
        return str(1 + sum([len(chunk) async for chunk in chunks]))

    def def_view() -> str:
        first = len(sync.request.stream.read(1))
        app.ensure_sync(held.wait)()
        return str(first + len(sync.request.stream.read()))

    app.post("/", stream_body=True)(view if colour == "async" else def_view)
    length = [(b"content-length", b"100")]
    exchange = Exchange(app, method="POST", headers=length, body=[b"x"] * 100)
    exchange.begin()
    await until(lambda: exchange.received)
    await asyncio.sleep(0.02)
    received = exchange.received
    held.set()
    await exchange.over()
    await app.close_worker_pool()

    assert (received, exchange.body) == (1, b"100")


# -- variables -----------------------------------------------------------------------------

outside: ContextVar[str] = ContextVar("outside", default="unset")
inside: ContextVar[str] = ContextVar("inside", default="unset")


@pytest.mark.parametrize("colour", COLOURS)
async def test_variables_come_in_from_around_the_app_and_tasks_keep_theirs(colour):
    app = Erlen("variables")
    later: list[Any] = []

    async def spawned() -> None:
        await asyncio.sleep(0.01)
        later.append((outside.get(), inside.get()))

    async def view() -> str:
        inside.set("inside")
        later.append(asyncio.create_task(spawned()))
        return outside.get()

    def def_view() -> str:
        inside.set("inside")
        return outside.get()

    app.get("/")(view if colour == "async" else def_view)

    async def around(scope: Any, receive: Any, send: Any) -> None:
        outside.set("outside")
        await app(scope, receive, send)

    exchange = await Exchange(around).run()
    await app.close_worker_pool()

    exchange.check()
    assert exchange.body == b"outside"
    if colour == "async":
        await later.pop(0)
        assert later == [("outside", "inside")]


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_request_that_begins_in_the_variables_of_another_sees_only_its_own(colour):
    def seen(name: str) -> str:
        before = g.get("name", "nothing")
        g.name = name
        return str(before)

    async def view(name: str) -> str:
        return seen(name)

    app = app_with(view if colour == "async" else seen, "/<name>")

    async def pipelined(scope: Any, receive: Any, send: Any) -> None:
        ignored = Exchange(app, "/first")
        await app(ignored.scope, ignored.receive, ignored.send)
        await app(scope, receive, send)

    exchange = await Exchange(pipelined, "/second").run()
    await app.close_worker_pool()

    exchange.check()
    assert exchange.body == b"nothing"


# -- websockets ----------------------------------------------------------------------------


async def test_connect_is_taken_first_and_accept_is_sent_once():
    app = Erlen("sockets")

    @app.websocket("/")
    async def view() -> None:
        await websocket.accept()
        await websocket.accept()
        await websocket.send(await websocket.receive())

    talk = await Conversation(app, texts=["x"]).run()

    talk.check()
    assert talk.types() == ["accept", "send", "close"]


@pytest.mark.parametrize("extensions", [None, {}, {"websocket.http.response": {}}])
async def test_a_refusal_is_a_response_where_the_server_knows_it(extensions):
    app = Erlen("sockets")

    @app.websocket("/")
    async def view() -> None:
        abort(401)

    talk = await Conversation(app, extensions=extensions).run()

    talk.check()
    assert talk.types() == (["start", "body"] if extensions else ["close"])


async def test_a_foreign_response_refuses_too():
    app = Erlen("sockets")

    @app.websocket("/")
    async def view() -> Any:
        return PlainTextResponse("no", 418)

    @app.websocket("/stream")
    async def stream() -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("no", 418)(scope, receive, send)

        return answer

    extensions: dict[str, Any] = {"websocket.http.response": {}}
    for path in ("/", "/stream"):
        talk = await Conversation(app, path, extensions=extensions).run()

        talk.check()
        assert talk.sent[0]["status"] == 418
        assert b"".join(message.get("body", b"") for message in talk.sent) == b"no"


@pytest.mark.parametrize("message", [{"text": "x"}, {"text": "x", "bytes": None}, {"text": ""}])
async def test_one_of_text_and_bytes_may_be_missing_or_none(message):
    app = Erlen("sockets")
    app.websocket("/")(echo)
    talk = Conversation(app, texts=["x"], leaves_after=2)
    talk.script[1] = {"type": "websocket.receive", **message}

    await talk.run()

    talk.check()
    assert talk.sent[1] == {"type": "websocket.send", "text": message["text"]}


async def test_nothing_is_sent_to_a_peer_that_has_gone_and_one_may_send_while_another_receives():
    app = Erlen("sockets")
    log: list[str] = []

    @app.websocket("/")
    async def view() -> None:
        await websocket.accept()

        async def send() -> None:
            while True:
                await websocket.send("tick")
                await asyncio.sleep(0.001)

        async def receive() -> None:
            log.extend([message async for message in websocket])

        await asyncio.gather(send(), receive())

    talk = await Conversation(app, texts=["a", "b"], leaves_after=3).run()

    talk.check()
    assert log == ["a", "b"]
    assert "close" not in talk.types()


@pytest.mark.parametrize("version", ["2", "3"])
async def test_other_versions_of_http_are_served_alike(version):
    app = app_with(everything)
    app.secret_key = "k" * 32
    app.websocket("/ws")(echo)

    exchange = await Exchange(app, http_version=version).run()
    talk = await Conversation(app, "/ws", http_version=version, leaves_after=1).run()

    exchange.check()
    talk.check()
    assert exchange.status == 200


async def test_a_websocket_waits_until_its_peer_takes_what_is_sent():
    app = Erlen("sockets")
    sent: list[int] = []

    @app.websocket("/")
    async def view() -> None:
        for number in range(10):
            await websocket.send("x")
            sent.append(number)

    talk = Conversation(app)
    slow = asyncio.Event()
    send = talk.send

    async def slow_send(message: Any) -> None:
        if message["type"] == "websocket.send":
            await slow.wait()
        await send(message)

    talk.send = slow_send  # type: ignore[method-assign]
    talk.begin()
    await asyncio.sleep(0.01)
    before = len(sent)
    slow.set()
    await talk.over()

    assert (before, len(sent)) == (0, 10)


async def test_what_is_put_around_starlettes_own_call_sees_each_request_from_then_on(monkeypatch):
    app = Erlen("instrumented")
    app.get("/")(lambda: "tea")
    client, call, seen = app.test_client(), Starlette.__call__, []

    async def counted(self, scope, receive, send):
        seen.append(scope["path"])
        await call(self, scope, receive, send)

    assert (await client.get("/")).text == "tea"
    monkeypatch.setattr(Starlette, "__call__", counted)
    assert (await client.get("/")).text == "tea"

    assert seen == ["/"]


async def test_what_builds_another_middleware_stack_sees_each_request():
    app = Erlen("instrumented")
    build, seen = app.build_middleware_stack, []

    def build_counted():
        stack = build()

        async def counted(scope, receive, send):
            seen.append(scope["path"])
            await stack(scope, receive, send)

        return counted

    app.build_middleware_stack = build_counted
    app.get("/")(lambda: "tea")
    response = await app.test_client().get("/")

    assert (response.text, seen) == ("tea", ["/"])
