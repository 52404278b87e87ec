"""Websockets: accepted, refused, closed, and never open to a foreign page."""

from __future__ import annotations

import asyncio

import pytest

from erlen import (
    Blueprint,
    Erlen,
    WebSocketDisconnect,
    abort,
    broadcast,
    current_websocket,
    g,
    has_request_context,
    has_websocket_context,
    make_response,
    request,
    session,
    websocket,
)
from erlen.errors import ContextError, SetupError
from erlen.signals import (
    got_websocket_exception,
    websocket_finished,
    websocket_received,
    websocket_sent,
    websocket_started,
)
from erlen.testing import WebSocketRejected


def app_with(view, **options):
    app = Erlen("sockets")
    app.secret_key = "k" * 32
    app.websocket("/ws", **options)(view)
    return app


async def echo():
    async for message in websocket:
        await websocket.send(message)


async def test_messages_of_both_kinds_are_echoed_and_the_end_is_an_end():
    async with app_with(echo).test_client().websocket("/ws") as ws:
        await ws.send("text")
        assert await ws.receive() == "text"
        await ws.send(b"bytes")
        assert await ws.receive() == b"bytes"


async def test_json_is_written_by_the_provider_of_the_app():
    async def view():
        data = await websocket.receive_json()
        await websocket.send_json(data["a"], 2)
        await websocket.send_json(b=3)
        await websocket.send_json("one")

    async with app_with(view).test_client().websocket("/ws") as ws:
        await ws.send_json({"a": 1})
        assert await ws.receive() == "[1, 2]"
        assert await ws.receive_json() == {"b": 3}
        assert await ws.receive_json() == "one"


async def test_receive_says_why_the_peer_left():
    seen = []

    async def view():
        try:
            await websocket.receive()
        except WebSocketDisconnect as error:
            seen.append((error.code, error.reason, websocket.close_code, websocket.closed))
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive()
        with pytest.raises(WebSocketDisconnect):
            await websocket.send("x")

    async with app_with(view).test_client().websocket("/ws") as ws:
        await ws.close(4001, "bye")

    assert seen == [(4001, "bye", 4001, True)]


async def test_a_subprotocol_is_one_that_was_offered():
    async def view():
        with pytest.raises(ValueError, match="did not offer the subprotocol 'c'"):
            await websocket.accept(subprotocol="c")
        await websocket.accept(subprotocol=websocket.requested_subprotocols[1], headers={"X": "y"})
        await websocket.accept()
        await websocket.send(websocket.subprotocol)

    client = app_with(view).test_client()
    async with client.websocket("/ws", subprotocols=["a", "b"]) as ws:
        assert await ws.receive() == "b"


async def test_a_view_may_close_with_a_code_and_a_reason():
    async def view():
        await websocket.accept()
        await websocket.close(4000, "enough")
        await websocket.close()

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        assert (ws.close_code, ws.close_reason) == (4000, "enough")


async def test_a_view_that_returns_closes_normally():
    async def view():
        await websocket.accept()

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        assert ws.close_code == 1000


@pytest.mark.parametrize(
    ("refuse", "status"),
    [
        pytest.param(lambda: abort(401), 401, id="abort"),
        pytest.param(lambda: ("go away", 409), 409, id="result"),
    ],
)
async def test_a_websocket_may_be_refused_with_a_response(refuse, status):
    async def view():
        return refuse()

    with pytest.raises(WebSocketRejected) as caught:
        async with app_with(view).test_client().websocket("/ws"):
            pass

    assert caught.value.response.status_code == status


@pytest.mark.parametrize("status", [600, "404", None])
async def test_a_status_that_no_server_sends_refuses_with_a_500(status, caplog):
    async def view():
        response = make_response("go away")
        response.status_code = status
        return response

    with pytest.raises(WebSocketRejected) as caught:
        async with app_with(view).test_client().websocket("/ws"):
            pass

    assert caught.value.response.status_code == 500
    assert f"A status is a number from 100 to 599, not {status!r}." in caplog.text


async def test_a_view_that_never_accepts_refuses():
    async def view():
        pass

    with pytest.raises(WebSocketRejected) as caught:
        async with app_with(view).test_client().websocket("/ws"):
            pass

    assert caught.value.response.status_code == 403


async def test_a_url_without_a_websocket_is_a_404():
    app = app_with(echo)
    app.get("/page")(echo)

    for path in ("/nowhere", "/page"):
        with pytest.raises(WebSocketRejected) as caught:
            async with app.test_client().websocket(path):
                pass
        assert caught.value.response.status_code == 404


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(LookupError("lost"), 1011, id="error"),
        pytest.param(None, 1008, id="abort 403"),
    ],
)
async def test_an_error_after_accept_closes_with_its_code(error, code, caplog):
    async def view():
        await websocket.accept()
        if error is None:
            abort(403)
        raise error

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        assert ws.close_code == code

    assert caplog.text.count("LookupError: lost") == (1 if error else 0)


async def test_an_error_handler_answers_for_a_websocket():
    async def view():
        raise LookupError

    app = app_with(view)

    @app.errorhandler(LookupError)
    async def handler(error):
        return "handled", 418

    with pytest.raises(WebSocketRejected) as caught:
        async with app.test_client().websocket("/ws"):
            pass

    assert (caught.value.response.status_code, caught.value.response.text) == (418, "handled")


async def test_hooks_run_around_a_websocket_from_the_app_inwards():
    app, room = Erlen("hooks"), Blueprint("room", "hooks", url_prefix="/room")
    log = []

    for owner, name in ((app, "app"), (room, "room")):

        def before(name=name):
            log.append(f"before {name}")

        async def after(response, name=name):
            log.append(f"after {name} {response}")

        async def teardown(error, name=name):
            log.append(f"teardown {name} {error}")

        owner.before_websocket(before)
        owner.after_websocket(after)
        owner.teardown_websocket(teardown)

    @app.before_request
    async def never():
        log.append("before request")

    @app.url_value_preprocessor
    def values(endpoint, values):
        g.number = values.pop("number")

    @room.websocket("/<int:number>")
    async def view():
        await websocket.accept()
        log.append(f"view {g.number} {websocket.endpoint}")

    app.register_blueprint(room)
    async with app.test_client().websocket("/room/3") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()

    assert log == [
        "before app",
        "before room",
        "view 3 room.view",
        "after room None",
        "after app None",
        "teardown room None",
        "teardown app None",
    ]


async def test_a_before_hook_may_refuse():
    app = app_with(echo)

    @app.before_websocket
    async def refuse():
        return "members only", 401

    with pytest.raises(WebSocketRejected) as caught:
        async with app.test_client().websocket("/ws"):
            pass

    assert caught.value.response.text == "members only"


async def test_an_after_hook_may_answer_instead():
    async def view():
        abort(404)

    app = app_with(view)

    @app.after_websocket
    async def other(response):
        session["seen"] = True
        return "other", 410

    with pytest.raises(WebSocketRejected) as caught:
        async with app.test_client().websocket("/ws"):
            pass

    assert caught.value.response.status_code == 410
    assert "session=" in caught.value.response.headers["Set-Cookie"]


async def test_the_session_can_be_read():
    async def view():
        await websocket.send(session["user"])

    app = app_with(view)

    @app.get("/login")
    async def login():
        session["user"] = "ada"
        return "in"

    client = app.test_client()
    await client.get("/login")

    async with client.websocket("/ws") as ws:
        assert await ws.receive() == "ada"


@pytest.mark.parametrize(
    ("origin", "config", "allowed"),
    [
        ("http://localhost", {}, True),
        ("http://evil.com", {}, False),
        ("http://localhost:8080", {}, False),
        ("null", {}, False),
        ("http://localhost:x", {}, False),
        ("https://app.example", {"WEBSOCKET_ORIGINS": ["https://app.example"]}, True),
        ("http://evil.com", {"WEBSOCKET_ORIGINS": ["*"]}, True),
        ("http://127.0.0.1:3000", {"DEBUG": True}, True),
        ("http://evil.com", {"DEBUG": True}, False),
    ],
)
async def test_only_pages_of_the_same_origin_may_connect(origin, config, allowed, caplog):
    app = app_with(echo)
    app.config.update(config)
    connecting = app.test_client().websocket("/ws", headers={"Origin": origin})

    if allowed:
        async with connecting as ws:
            await ws.send("x")
            assert await ws.receive() == "x"
    else:
        with pytest.raises(WebSocketRejected) as caught:
            async with connecting:
                pass
        assert caught.value.response.status_code == 403
        (line,) = caplog.messages
        assert f"its Origin {origin} is not the host http://localhost." in line
        assert "add it to WEBSOCKET_ORIGINS" in line


async def test_any_task_may_use_the_websocket_itself():
    async def view():
        peers = {current_websocket()}

        async def greet(peer):
            await peer.send("from a task")

        await websocket.accept()
        await asyncio.gather(*(greet(peer) for peer in peers))

    async with app_with(view).test_client().websocket("/ws") as ws:
        assert await ws.receive() == "from a task"


async def test_two_tasks_that_send_first_accept_once():
    async def view():
        await asyncio.gather(websocket.send("a"), websocket.send("b"))

    async with app_with(view).test_client().websocket("/ws") as ws:
        assert {await ws.receive(), await ws.receive()} == {"a", "b"}


async def test_only_text_and_bytes_are_sent(caplog):
    async def view():
        await websocket.send({"a": 1})

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()

    assert "A websocket sends str or bytes, not dict" in caplog.text
    assert "send_json" in caplog.text


async def test_a_websocket_is_no_request():
    seen = []

    async def view():
        seen.append((has_websocket_context(), has_request_context()))
        with pytest.raises(ContextError, match="use websocket"):
            request.path  # noqa: B018
        await websocket.accept()

    async with app_with(view).test_client().websocket("/ws"):
        pass

    assert seen == [(True, False)]


async def test_a_request_is_no_websocket():
    app = Erlen("request")

    @app.get("/")
    async def view():
        with pytest.raises(ContextError, match="use request"):
            websocket.path  # noqa: B018
        return "x"

    assert (await app.test_client().get("/")).text == "x"
    with pytest.raises(ContextError, match="Working outside of request context"):
        websocket.path  # noqa: B018


async def test_signals_tell_of_websockets_and_their_messages():
    app = app_with(echo)
    seen = []

    def note(name):
        def receiver(sender, **data):
            seen.append((name, sender.name, *data.values()))

        return receiver

    kept = []
    for name, signal in (
        ("started", websocket_started),
        ("received", websocket_received),
        ("sent", websocket_sent),
        ("finished", websocket_finished),
    ):
        kept.append(note(name))
        signal.connect(kept[-1])
    try:
        async with app.test_client().websocket("/ws") as ws:
            await ws.send("x")
            await ws.receive()
    finally:
        for receiver, signal in zip(
            kept,
            (websocket_started, websocket_received, websocket_sent, websocket_finished),
            strict=True,
        ):
            signal.disconnect(receiver)

    assert seen[:3] == [
        ("started", "sockets"),
        ("received", "sockets", "x"),
        ("sent", "sockets", "x"),
    ]


async def test_an_unhandled_error_is_signalled(caplog):
    async def view():
        raise LookupError("lost")

    seen = []

    def note(sender, exception):
        seen.append(str(exception))

    with got_websocket_exception.connected_to(note), pytest.raises(WebSocketRejected) as caught:
        async with app_with(view).test_client().websocket("/ws"):
            pass

    assert seen == ["lost"]
    assert caught.value.response.status_code == 500
    assert caplog.text.count("LookupError: lost") == 1


async def test_the_starlette_face_of_a_websocket():
    async def view():
        assert websocket.starlette.url.path == "/ws"
        assert websocket.scheme == "ws"
        await websocket.send(websocket.url)

    async with app_with(view).test_client().websocket("/ws") as ws:
        assert await ws.receive() == "ws://localhost/ws"


async def test_a_foreign_websocket_route_is_served():
    async def starlette_view(websocket):
        await websocket.accept()
        await websocket.send_text(websocket.session.get("user", "nobody"))
        await websocket.close()

    app = Erlen("foreign")
    app.secret_key = "k" * 32
    app.add_websocket_route("/ws", starlette_view)

    async with app.test_client().websocket("/ws") as ws:
        assert await ws.receive() == "nobody"


async def test_a_websocket_shows_what_a_request_shows_of_its_line():
    seen = []

    async def view():
        seen.append((repr(current_websocket()), websocket.args["a"], websocket.values["a"]))
        seen.append((websocket.scheme, websocket.is_secure, websocket.url, websocket.path))
        await websocket.accept()

    async with app_with(view).test_client().websocket("/ws?a=1") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()

    assert seen == [
        ("<WebSocket 'ws://localhost/ws?a=1' [WEBSOCKET]>", "1", "1"),
        ("ws", False, "ws://localhost/ws?a=1", "/ws"),
    ]


async def test_a_client_that_leaves_before_it_is_accepted_is_a_disconnect():
    seen, sent = [], []

    async def view():
        with pytest.raises(WebSocketDisconnect) as raised:
            await websocket.accept()
        seen.append((raised.value.code, websocket.closed, websocket.close_code))

    async def receive():
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": "/ws", "headers": []}
    await app_with(view)(scope, receive, send)

    assert (seen, sent) == ([(1001, True, 1001)], [])


async def test_json_is_sent_of_values_or_of_keywords():
    async def view():
        with pytest.raises(TypeError, match="values or keywords, not both"):
            await websocket.send_json(1, a=2)
        await websocket.send_json(3)

    async with app_with(view).test_client().websocket("/ws") as ws:
        assert await ws.receive_json() == 3


async def test_whoever_closes_first_says_why():
    seen = []

    async def view():
        await websocket.accept()
        assert websocket.close_code is None
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(read())
            await websocket.close(4000, "enough")
        seen.append((reader.result(), websocket.close_code, websocket.close_reason))

    async def read():
        return [message async for message in websocket]

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()

    assert seen == [([], 4000, "enough")]


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        pytest.param(1005, "", "cannot be closed with 1005", id="no status"),
        pytest.param(1006, "", "cannot be closed with 1006", id="abnormal"),
        pytest.param(2999, "", "cannot be closed with 2999", id="unassigned"),
        pytest.param(5000, "", "cannot be closed with 5000", id="too large"),
        pytest.param(1000, "ä" * 62, "at most 123 bytes", id="long reason"),
    ],
)
async def test_a_code_that_may_not_be_sent_is_refused_where_it_is_given(code, reason, message):
    seen = []

    async def view():
        await websocket.accept()
        with pytest.raises(ValueError, match=message):
            await websocket.close(code, reason)
        seen.append(websocket.closed)

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()

    assert seen == [False]


async def test_a_reader_and_a_writer_share_a_websocket():
    async def view():
        inbox = asyncio.Queue()

        async def write():
            while True:
                await websocket.send(f"got {await inbox.get()}")

        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(write())
            async for message in websocket:
                inbox.put_nowait(message)
            writer.cancel()

    async with app_with(view).test_client().websocket("/ws") as ws:
        for text in ("a", "b", "c"):
            await ws.send(text)
        assert [await ws.receive() for _ in range(3)] == ["got a", "got b", "got c"]


async def test_two_receivers_are_both_told_of_the_end():
    seen = []

    async def view():
        async def read():
            async for message in websocket:
                seen.append(message)

        await asyncio.gather(read(), read())
        seen.append("over")

    async with app_with(view).test_client().websocket("/ws") as ws:
        await ws.send("a")
        await ws.send("b")

    assert seen == ["a", "b", "over"]


@pytest.mark.parametrize("gone", ["reads", "writes"])
async def test_a_peer_that_leaves_a_group_of_tasks_is_no_error(gone, caplog):
    async def view():
        await websocket.accept()

        async def read():
            while True:
                await websocket.receive()

        async def write():
            while True:
                await websocket.send("x")
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read() if gone == "reads" else write())
            tasks.create_task(read() if gone == "reads" else write())

    async with app_with(view).test_client().websocket("/ws"):
        pass

    assert caplog.text == ""


async def test_another_error_in_a_group_is_one(caplog):
    async def view():
        await websocket.accept()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())

    async def fail():
        raise LookupError("lost")

    async with app_with(view).test_client().websocket("/ws") as ws:
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        assert ws.close_code == 1011

    assert caplog.text.count("LookupError: lost") == 1


@pytest.mark.parametrize("message", ["{", "[1,", b"\xff", "NaN", "[" * 100_000])
async def test_json_that_is_none_is_the_mistake_of_the_peer(message, caplog):
    async def view():
        await websocket.receive_json()

    async with app_with(view).test_client().websocket("/ws") as ws:
        await ws.send(message)
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        assert ws.close_code == 1008

    assert caplog.text == ""


async def test_a_view_may_forgive_json_that_is_none():
    async def view():
        with pytest.raises(ValueError, match="no valid JSON"):
            await websocket.receive_json()
        await websocket.send("once more")

    async with app_with(view).test_client().websocket("/ws") as ws:
        await ws.send("{")
        assert await ws.receive() == "once more"


async def test_a_peer_that_says_nothing_in_time_is_closed_with_3008():
    seen = []

    async def view():
        messages = [message async for message in websocket]
        seen.append((messages, websocket.close_code))

    async with app_with(view, timeout=0.05).test_client().websocket("/ws") as ws:
        await ws.send("here")
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        assert (ws.close_code, ws.close_reason) == (3008, "Nothing came for 0.05 seconds.")

    assert seen == [(["here"], 3008)]


async def test_a_view_may_be_patient_for_once():
    async def view():
        websocket.timeout = None
        await websocket.receive()
        await websocket.send("at last")

    async with app_with(view, timeout=0.01).test_client().websocket("/ws") as ws:
        await asyncio.sleep(0.05)
        await ws.send("late")
        assert await ws.receive() == "at last"


@pytest.mark.parametrize("timeout", [0, -1, "1"])
def test_a_timeout_is_a_positive_number(timeout):
    with pytest.raises(SetupError, match="The timeout of '/ws' is a number of seconds"):
        app_with(echo, timeout=timeout)


async def test_what_the_peer_said_last_is_read_when_nothing_can_be_sent_any_more():
    seen = []

    async def view():
        await websocket.accept()
        with pytest.raises(WebSocketDisconnect) as raised:
            await websocket.send("x")
        seen.append((raised.value.code, raised.value.reason))
        seen.extend([message async for message in websocket])

    messages = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "last words"},
        {"type": "websocket.disconnect", "code": 4001, "reason": "bye"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        if message["type"] == "websocket.send":
            raise OSError("gone")

    scope = {"type": "websocket", "path": "/ws", "headers": []}
    await app_with(view)(scope, receive, send)

    assert seen == [(4001, "bye"), "last words"]


@pytest.mark.parametrize("told", [True, False])
async def test_a_server_that_closed_by_itself_may_refuse_a_message(told, caplog):
    async def view():
        await websocket.accept()
        await websocket.send("x")

    inbox = asyncio.Queue()
    inbox.put_nowait({"type": "websocket.connect"})
    sent = []

    async def send(message):
        if message["type"] == "websocket.send":
            if told:
                inbox.put_nowait({"type": "websocket.disconnect", "code": 1007})
            raise RuntimeError("unexpected message")
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/ws", "headers": []}
    await app_with(view)(scope, inbox.get, send)

    assert sent == (["websocket.accept"] if told else ["websocket.accept", "websocket.close"])
    assert ("unexpected message" in caplog.text) is not told


@pytest.mark.parametrize(
    ("proxies", "allowed"),
    [
        pytest.param(0, False, id="proxies are not trusted"),
        pytest.param(1, True, id="one proxy is trusted"),
    ],
)
async def test_behind_a_proxy_that_speaks_tls_the_origin_is_https(proxies, allowed, caplog):
    app = app_with(echo)
    app.config["TRUSTED_PROXIES"] = proxies
    headers = {
        "Origin": "https://shop.example",
        "Host": "shop.example",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
    }
    connecting = app.test_client().websocket("/ws", headers=headers)

    if allowed:
        async with connecting as ws:
            await ws.send("x")
            assert await ws.receive() == "x"
    else:
        with pytest.raises(WebSocketRejected):
            async with connecting:
                pass
        assert "set TRUSTED_PROXIES" in caplog.text


async def test_no_origin_is_no_page():
    async with app_with(echo).test_client().websocket("/ws") as ws:
        await ws.send("x")
        assert await ws.receive() == "x"


async def test_a_def_view_can_send_to_a_room():
    app, room = Erlen("room"), set()

    @app.websocket("/ws")
    async def enter_room():
        await websocket.accept()
        room.add(current_websocket())
        async for _ in websocket:
            pass
        room.clear()

    @app.post("/news")
    def tell():
        missed = app.ensure_sync(broadcast)(room, request.get_data(as_text=True))
        return {"missed": len(missed)}

    client = app.test_client()
    async with client.websocket("/ws") as ws:
        response = await client.post("/news", data="It rains.")
        assert response.json == {"missed": 0}
        assert await ws.receive() == "It rains."


async def test_a_background_task_may_use_a_websocket_until_it_is_closed():
    app, seen = Erlen("task"), []

    async def say(peer):
        await peer.send("from outside")
        async for message in peer:
            seen.append(message)
        with pytest.raises(WebSocketDisconnect):
            await peer.send("too late")
        seen.append(peer.close_code)

    @app.websocket("/ws")
    async def view():
        await websocket.accept()
        await asyncio.create_task(say(current_websocket()))

    async with app.test_client().websocket("/ws") as ws:
        assert await ws.receive() == "from outside"
        await ws.send("x")
        await ws.close(4000)

    assert seen == ["x", 4000]


async def test_the_code_of_the_side_that_closed_first_stays():
    seen, inbox = [], asyncio.Queue()

    async def view():
        await websocket.accept()
        reading = asyncio.create_task(websocket.receive())
        await asyncio.sleep(0)
        await websocket.close(4000)
        inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
        with pytest.raises(WebSocketDisconnect) as raised:
            await reading
        seen.append((raised.value.code, websocket.close_code))

    async def send(message):
        pass

    inbox.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/ws", "headers": []}
    await app_with(view)(scope, inbox.get, send)

    assert seen == [(4000, 4000)]
