from __future__ import annotations

import asyncio

import pytest

from erlen import Erlen, WebSocketDisconnect, current_websocket, session, websocket
from erlen.testing import WebSocketRejected, sockets
from tests.waiting import until


def app_with(view, **config):
    app = Erlen("app")
    app.config.update({"TESTING": True, "SECRET_KEY": "a key for tests", **config})
    app.add_url_rule("/ws", view_func=view, endpoint="ws", websocket=True)
    return app


async def echo():
    async for message in websocket:
        await websocket.send(message)


async def test_messages_go_both_ways():
    async with app_with(echo).test_client().websocket("/ws") as ws:
        await ws.send("text")
        await ws.send(b"bytes")

        assert await ws.receive() == "text"
        assert await ws.receive() == b"bytes"


def test_messages_go_both_ways_in_def_code():
    with app_with(echo).test_client() as client, client.websocket("/ws") as ws:
        ws.send("text")
        ws.send(b"bytes")

        assert ws.receive() == "text"
        assert ws.receive() == b"bytes"


JSON = {
    "a value": (((1,), {}), "1"),
    "several values": (((1, 2), {}), "[1, 2]"),
    "keywords": (((), {"a": 1}), '{"a": 1}'),
}


@pytest.mark.parametrize(("call", "sent"), JSON.values(), ids=JSON)
async def test_json_is_written_and_read_by_the_app(call, sent):
    args, kwargs = call

    async with app_with(echo).test_client().websocket("/ws") as ws:
        await ws.send_json(*args, **kwargs)
        assert await ws.receive() == sent
        await ws.send('{"b": [1]}')
        assert await ws.receive_json() == {"b": [1]}
        with pytest.raises(TypeError, match="not both"):
            await ws.send_json(1, a=2)


def test_json_is_written_and_read_in_def_code():
    with app_with(echo).sync_test_client().websocket("/ws") as ws:
        ws.send_json(a=1)

        assert ws.receive_json() == {"a": 1}


async def test_the_handshake_is_that_of_a_browser():
    seen = {}

    async def view():
        seen.update(websocket.headers.items(lower=True))
        seen["offered"] = websocket.requested_subprotocols
        await websocket.accept({"X-A": "1"}, subprotocol="b")

    client = app_with(view).test_client(headers={"x-token": "1"})
    async with client.websocket("/ws?q=1", subprotocols=["a", "b"]) as ws:
        assert (ws.subprotocol, ws.headers["x-a"]) == ("b", "1")

    assert seen["offered"] == ["a", "b"]
    assert seen["sec-websocket-protocol"] == "a, b"
    assert (seen["upgrade"], seen["connection"]) == ("websocket", "Upgrade")
    assert (seen["host"], seen["x-token"]) == ("localhost", "1")


def test_the_handshake_can_be_looked_at_in_def_code():
    async def view():
        await websocket.accept({"X-A": "1"}, subprotocol="b")
        await websocket.close(4000, "enough")

    with app_with(view).sync_test_client().websocket("/ws", subprotocols=["b"]) as ws:
        assert (ws.subprotocol, ws.headers["x-a"]) == ("b", "1")
        assert list(ws) == []
        assert (ws.close_code, ws.close_reason) == (4000, "enough")


async def test_a_whole_url_says_where_the_websocket_is():
    async def view():
        await websocket.send(websocket.url)

    async with app_with(view).test_client().websocket("wss://x.example/ws?a=1") as ws:
        assert await ws.receive() == "wss://x.example/ws?a=1"


async def test_the_messages_of_the_app_can_be_iterated_until_it_closes():
    async def view():
        for word in ("one", "two"):
            await websocket.send(word)
        await websocket.close(4001, "done")

    async with app_with(view).test_client().websocket("/ws") as ws:
        assert [message async for message in ws] == ["one", "two"]
        assert (ws.close_code, ws.close_reason) == (4001, "done")
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
        with pytest.raises(WebSocketDisconnect):
            await ws.send("too late")

    assert (caught.value.code, caught.value.reason) == (4001, "done")


def test_the_messages_of_the_app_can_be_iterated_in_def_code():
    async def view():
        await websocket.send("one")

    with app_with(view).sync_test_client().websocket("/ws") as ws:
        assert list(ws) == ["one"]
        assert ws.close_code == 1000


async def test_an_app_that_just_returns_has_closed():
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})

    async with client_of(app).websocket() as ws:
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()
        assert ws.close_code is None
        with pytest.raises(WebSocketDisconnect):
            await ws.send("too late")

    assert caught.value.code == 1000


def client_of(asgi_app):
    """Return a client of a bare ASGI app, in the place of the one that it belongs to."""
    app = Erlen("app")
    app.testing = True
    app.add_middleware(lambda inner: asgi_app)
    return app.test_client()


async def test_an_app_may_go_on_after_it_closed():
    seen = []

    async def view():
        await websocket.accept()
        await websocket.close(4000)
        await asyncio.sleep(0.02)
        seen.append("over")

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        assert seen == []

    assert seen == ["over"]


CLOSINGS = {
    "at the end of the block": (None, 1000),
    "with a code": (lambda ws: ws.close(4005, "bye"), 4005),
    "without a word": (lambda ws: ws.disconnect(), 1006),
}


@pytest.mark.parametrize(("close", "code"), CLOSINGS.values(), ids=CLOSINGS)
async def test_the_app_sees_how_the_test_leaves(close, code):
    seen = []

    async def view():
        await websocket.accept()
        try:
            await websocket.receive()
        except WebSocketDisconnect as error:
            seen.append((error.code, error.reason))

    async with app_with(view).test_client().websocket("/ws") as ws:
        if close is not None:
            await close(ws)
            assert [code for code, _ in seen] == [code]
            with pytest.raises(RuntimeError, match="closed by the test itself"):
                await ws.send("too late")
            with pytest.raises(WebSocketDisconnect):
                await ws.receive()

    assert seen == [(code, "bye" if code == 4005 else "")]


@pytest.mark.parametrize("close", ["close", "disconnect"])
def test_the_app_sees_how_the_test_leaves_in_def_code(close):
    seen = []

    async def view():
        await websocket.accept()
        async for _ in websocket:
            pass
        seen.append(websocket.close_code)

    with app_with(view).sync_test_client().websocket("/ws") as ws:
        getattr(ws, close)()
        assert seen == [1000 if close == "close" else 1006]


async def test_what_was_sent_before_leaving_arrives():
    got = []

    async def view():
        async for message in websocket:
            got.append(message)

    async with app_with(view).test_client().websocket("/ws") as ws:
        await ws.send("1")
        await ws.send("2")

    assert got == ["1", "2"]


async def test_a_websocket_that_is_closed_before_it_is_accepted_is_a_403():
    async def view():
        await websocket.close()

    with pytest.raises(WebSocketRejected, match="403 Forbidden") as caught:
        async with app_with(view).test_client().websocket("/ws"):
            pass

    assert caught.value.response.status_code == 403


async def test_a_refusal_is_a_response():
    async def view():
        return {"why": "no ticket"}, 401, {"Set-Cookie": "seen=1"}

    client = app_with(view).test_client()

    with pytest.raises(WebSocketRejected, match="401 Unauthorized") as caught:
        async with client.websocket("/ws?q=1"):
            pass

    response = caught.value.response
    assert (response.status_code, response.json) == (401, {"why": "no ticket"})
    assert (response.request.path, response.request.args["q"]) == ("/ws", "1")
    assert client.get_cookie("seen").value == "1"


def test_a_refusal_is_a_response_in_def_code():
    client = app_with(echo).sync_test_client()

    with pytest.raises(WebSocketRejected) as caught, client.websocket("/missing"):
        pass

    assert caught.value.response.status_code == 404


@pytest.mark.parametrize("use_cookies", [True, False])
async def test_the_cookies_of_the_client_are_sent(use_cookies):
    async def view():
        await websocket.send(session.get("user", "nobody"))

    app = app_with(view)

    @app.get("/login")
    async def login():
        session["user"] = "ann"
        return ""

    client = app.test_client(use_cookies=use_cookies)
    await client.get("/login")

    async with client.websocket("/ws") as ws:
        assert await ws.receive() == ("ann" if use_cookies else "nobody")


ERRORS = {
    "before it is accepted": False,
    "afterwards": True,
}


@pytest.mark.parametrize("accepts", ERRORS.values(), ids=ERRORS)
async def test_an_error_of_the_app_is_raised_in_the_test(accepts):
    async def view():
        if accepts:
            await websocket.accept()
        raise KeyError("the reason")

    with pytest.raises(KeyError, match="the reason"):
        async with app_with(view).test_client().websocket("/ws") as ws:
            await ws.receive()


async def test_an_error_of_the_app_is_raised_at_the_end_of_the_block():
    async def view():
        async for _ in websocket:
            pass
        raise KeyError("the reason")

    with pytest.raises(KeyError, match="the reason"):
        async with app_with(view).test_client().websocket("/ws") as ws:
            await ws.send("x")


async def test_what_fails_in_the_block_is_what_the_test_shows():
    async def view():
        async for _ in websocket:
            pass
        raise KeyError("of the app")

    with pytest.raises(ValueError, match="mine"):
        async with app_with(view).test_client().websocket("/ws"):
            raise ValueError("mine")


async def test_where_errors_do_not_propagate_the_websocket_is_closed_with_1011(caplog):
    async def view():
        await websocket.accept()
        raise KeyError("the reason")

    async with app_with(view, TESTING=False).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect) as caught:
            await ws.receive()

    assert caught.value.code == 1011


async def test_an_app_does_not_run_far_ahead_of_its_reader():
    sent = 0

    async def view():
        nonlocal sent
        while True:
            await websocket.send("x" * 1000)
            sent += 1000

    async with app_with(view).test_client().websocket("/ws") as ws:
        await asyncio.sleep(0.02)
        assert sent < 100_000
        for _ in range(50):
            await ws.receive()
        await until(lambda: sent > 50_000)
        await asyncio.sleep(0.02)
        assert sent < 150_000


async def test_an_app_that_does_not_notice_a_leaving_client_is_cancelled(monkeypatch):
    monkeypatch.setattr(sockets, "GRACE", 0.02)
    ended = []

    async def view():
        await websocket.accept()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async with app_with(view).test_client().websocket("/ws"):
        pass

    assert ended == [True]


async def test_a_test_that_gives_up_on_the_handshake_takes_the_app_with_it(monkeypatch):
    monkeypatch.setattr(sockets, "GRACE", 0.02)
    ended = []

    async def view():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    handshake = app_with(view).test_client().websocket("/ws").__aenter__()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handshake, 0.05)

    assert ended == [True]


async def test_reader_and_writer_may_be_two_tasks():
    async def view():
        ws = current_websocket()

        async def tick():
            for n in range(3):
                await ws.send(str(n))

        await asyncio.gather(tick(), ws.receive())

    async with app_with(view).test_client().websocket("/ws") as ws:
        assert [await ws.receive() for _ in range(3)] == ["0", "1", "2"]
        await ws.send("enough")


ACCEPT = {"type": "websocket.accept"}
SEND = {"type": "websocket.send", "text": "x"}
CLOSE = {"type": "websocket.close"}
DENY = {"type": "websocket.http.response.start", "status": 400, "headers": []}
DENIAL = {"type": "websocket.http.response.body", "body": b"no", "more_body": True}

PROTOCOL_ERRORS = {
    "a message first": ([SEND], "'websocket.send', which cannot be when its websocket begins"),
    "accepting twice": ([ACCEPT, ACCEPT], "'websocket.accept', .* websocket is open"),
    "a message after the end": ([ACCEPT, CLOSE, SEND], "'websocket.send', .* is closed"),
    "closing twice": ([ACCEPT, CLOSE, CLOSE], "'websocket.close', .* is closed"),
    "refusing what is open": ([ACCEPT, DENY], "'websocket.http.response.start', .* is open"),
    "refusing twice": ([DENY, DENY], "'websocket.http.response.start', .* begins"),
    "accepting what is refused": ([DENY, DENIAL, ACCEPT], "'websocket.accept', .* begins"),
    "a denial without its head": ([DENIAL], "'websocket.http.response.body'"),
    "a status that there is not": ([{**DENY, "status": 600}], "sent the status 600"),
    "neither yes nor no": ([], "without accepting or refusing"),
}


@pytest.mark.parametrize(("messages", "error"), PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS)
async def test_an_app_that_breaks_the_protocol_is_told(messages, error):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    with pytest.raises(RuntimeError, match=error):
        async with client_of(app).websocket():
            pass


async def test_what_an_app_sends_to_nobody_is_an_os_error():
    heard = []

    async def app(scope, receive, send):
        await send(ACCEPT)
        heard.extend([(await receive())["type"] for _ in range(3)])
        await send({"type": "websocket.send", "bytes": b"x"})

    with pytest.raises(OSError, match="has left"):
        async with client_of(app).websocket():
            pass

    assert heard == ["websocket.connect", "websocket.disconnect", "websocket.disconnect"]
