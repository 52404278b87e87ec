"""Server-sent events and JSON lines: what is written, to the byte."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from erlen import EventStream, JSONLines, ServerSentEvent
from erlen.events import _Paced
from erlen.sending import Chunks


def texts(*items):
    return b"".join(EventStream(iter(items)).response).decode()


@pytest.mark.parametrize(
    ("item", "text"),
    [
        pytest.param("hello", "data: hello\n\n", id="text"),
        pytest.param("", "data: \n\n", id="empty text"),
        pytest.param("a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n", id="lines"),
        pytest.param("a\n", "data: a\ndata: \n\n", id="a line break at the end"),
        pytest.param("a\x0b\x85\u2028b", "data: a\x0b\x85\u2028b\n\n", id="other line breaks"),
        pytest.param("id: 7\n\nevent: x", "data: id: 7\ndata: \ndata: event: x\n\n", id="fields"),
        pytest.param({"a": [1, "ä"]}, 'data: {"a": [1, "ä"]}\n\n', id="JSON"),
        pytest.param(7, "data: 7\n\n", id="number"),
        pytest.param(None, "data: null\n\n", id="nothing"),
        pytest.param(ServerSentEvent("x"), "data: x\n\n", id="event of text"),
        pytest.param(ServerSentEvent([1]), "data: [1]\n\n", id="event of JSON"),
        pytest.param(
            ServerSentEvent("a\nb", event="tick", id="ä7", retry=3000),
            "event: tick\nid: ä7\nretry: 3000\ndata: a\ndata: b\n\n",
            id="all fields",
        ),
        pytest.param(ServerSentEvent(id="", retry=0), "id: \nretry: 0\n\n", id="no data"),
        pytest.param(ServerSentEvent(), "", id="nothing at all"),
    ],
)
def test_an_event_is_written_as_browsers_read_it(item, text):
    assert texts(item).replace("\\u00e4", "ä") == text


@pytest.mark.parametrize("break_", ["\n", "\r", "\0"])
@pytest.mark.parametrize("name", ["event", "id"])
def test_nothing_can_be_put_between_the_fields(name, break_):
    with pytest.raises(ValueError, match=f"The {name} of a server-sent event is one line"):
        ServerSentEvent("x", **{name: f"a{break_}data: b"})


def test_nobody_comes_back_in_negative_time():
    with pytest.raises(ValueError, match="milliseconds, 0 or more: -1"):
        ServerSentEvent(retry=-1)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"id": 5}, r"The id of a server-sent event is text, not int: 5\..*id=str"),
        ({"event": b"x"}, "The event of a server-sent event is text, not bytes: b'x'"),
        ({"retry": "5"}, "whole number of milliseconds, not str: '5'"),
        ({"retry": 1.5}, r"whole number of milliseconds, not float: 1\.5"),
        ({"retry": True}, "whole number of milliseconds, not bool: True"),
    ],
)
def test_a_field_of_another_type_is_named(field, said):
    with pytest.raises(TypeError, match=said):
        ServerSentEvent("x", **field)


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_heartbeat_takes_time(seconds):
    with pytest.raises(ValueError, match="greater than 0"):
        EventStream(iter(()), heartbeat=seconds)


async def endless():
    yield 1


@pytest.mark.parametrize("items", ["text", b"bytes", {"a": 1}, 3, endless, None])
def test_a_stream_is_made_of_items(items):
    with pytest.raises(TypeError, match="made of what a generator of either colour yields"):
        EventStream(items)
    with pytest.raises(TypeError, match="JSONLines is made of"):
        JSONLines(items)


def test_a_generator_that_was_not_called_is_named_as_what_it_is():
    with pytest.raises(TypeError, match="Call the generator function"):
        EventStream(endless)


def test_lines_are_values_of_json():
    response = JSONLines([{"a": 1}, "b\nc", None])

    assert response.mimetype == "application/jsonl"
    assert b"".join(response.response) == b'{"a": 1}\n"b\\nc"\nnull\n'


def test_the_headers_are_those_that_proxies_need():
    response = EventStream(endless())

    assert response.mimetype == "text/event-stream"
    assert response.headers["cache-control"] == "no-store, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers


def test_the_headers_of_the_view_win():
    response = EventStream(endless(), headers={"Cache-Control": "no-cache"}, status=202)

    assert response.headers.getlist("cache-control") == ["no-cache"]
    assert response.status_code == 202


class Sent:
    """What a response sends, and when."""

    def __init__(self, response):
        self.messages = []
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.task = asyncio.create_task(response({"type": "http", "method": "GET"}, *self.ends))

    @property
    def ends(self):
        async def receive():
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            self.messages.append(message.get("body", message.get("status")))
            self.arrived.set()

        return receive, send

    async def has(self, count):
        async with asyncio.timeout(10):
            while len(self.messages) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.messages[:count]


async def test_the_head_does_not_wait_for_an_event():
    sent = Sent(EventStream(endless_silence()))

    assert await sent.has(1) == [200]
    sent.gone.set()
    await sent.task


async def endless_silence():
    await asyncio.Event().wait()
    yield ""


async def test_a_heartbeat_goes_out_in_silence_and_the_generator_does_not_notice():
    go = asyncio.Event()

    async def events():
        yield "a"
        await go.wait()
        yield "b"

    sent = Sent(EventStream(events(), heartbeat=0.01))
    assert await sent.has(4) == [200, b"data: a\n\n", b":\n\n", b":\n\n"]
    go.set()
    await sent.task

    assert [body for body in sent.messages[2:] if body != b":\n\n"] == [b"data: b\n\n", b""]


async def test_without_a_heartbeat_silence_is_silence():
    sent = Sent(EventStream(endless_silence(), heartbeat=None))

    await asyncio.sleep(0.05)
    sent.gone.set()
    await sent.task

    assert sent.messages == [200]


async def test_an_event_is_not_fetched_before_the_one_in_front_of_it_is_sent():
    made = []

    async def events():
        for number in range(9):
            made.append(number)
            yield number

    sending = asyncio.Event()
    response = EventStream(events())

    async def send(message):
        if message.get("body"):
            sending.set()
            await asyncio.Event().wait()

    async def receive():
        await asyncio.Event().wait()

    task = asyncio.create_task(response({"type": "http", "method": "GET"}, receive, send))
    await sending.wait()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert made == [0]


async def test_a_generator_runs_in_one_task_and_its_variables():
    number = ContextVar("number", default=0)
    tasks = set()

    async def events():
        try:
            async with asyncio.timeout(60):
                while True:
                    tasks.add(asyncio.current_task())
                    number.set(number.get() + 1)
                    yield number.get()
        finally:
            tasks.add(asyncio.current_task())

    sent = Sent(EventStream(events(), heartbeat=60))
    assert (await sent.has(4))[1:] == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
    sent.gone.set()
    await sent.task

    assert len(tasks) == 1


@pytest.mark.parametrize("heartbeat", [0.01, 60, None])
async def test_a_client_that_leaves_closes_the_generator_once(heartbeat):
    closed = []

    async def events():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    sent = Sent(EventStream(events(), heartbeat=heartbeat))
    await sent.has(2)
    sent.gone.set()
    await sent.task

    assert closed == ["closed"]


async def test_a_generator_that_takes_no_notice_of_a_cancel_is_closed_all_the_same():
    closed = []

    async def events():
        try:
            while True:
                yield "a"
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass
        finally:
            closed.append("closed")

    sent = Sent(EventStream(events()))
    await sent.has(2)
    sent.gone.set()
    await sent.task

    assert closed == ["closed"]


async def test_a_stream_that_is_cancelled_waits_for_the_end_of_its_generator():
    closed, may_end = [], asyncio.Event()

    async def events():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                closed.append("hurried")
            closed.append("closed")

    sent = Sent(EventStream(events()))
    await sent.has(2)
    for _ in range(2):
        sent.task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await sent.task

    assert closed == ["hurried", "closed"]


async def test_an_error_of_the_generator_is_an_error_of_the_stream():
    async def events():
        yield "a"
        raise LookupError("lost")

    sent = Sent(EventStream(events()))
    with pytest.raises(LookupError, match="lost"):
        await sent.task

    assert sent.messages == [200, b"data: a\n\n"]


async def test_an_error_at_the_end_of_the_generator_is_one_too():
    async def events():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            raise LookupError("too late")

    sent = Sent(EventStream(events()))
    await sent.has(2)
    sent.gone.set()
    with pytest.raises(LookupError, match="too late"):
        await sent.task


async def test_a_stream_that_is_not_sent_is_closed():
    closed = []

    class Items:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return 1

        async def aclose(self):
            closed.append("closed")

    await EventStream(Items()).aclose()
    response = EventStream(Items())
    response.chunks()
    await response.aclose()

    assert closed == ["closed", "closed"]


async def test_an_error_that_comes_when_its_client_has_left_is_not_lost():
    async def events():
        yield b"a"
        raise LookupError("lost")

    paced = _Paced(Chunks(events()), 60)
    await anext(paced)
    next_one = asyncio.create_task(anext(paced))
    await asyncio.sleep(0)
    paced._answer.add_done_callback(lambda _: next_one.cancel())
    await asyncio.wait({next_one})

    assert next_one.cancelled()
    with pytest.raises(LookupError, match="lost"):
        await paced.aclose()
