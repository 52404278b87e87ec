from __future__ import annotations

import asyncio
import gc
import io
import threading
import weakref
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response as StarletteResponse

from erlen.exceptions import RequestedRangeNotSatisfiable
from erlen.headers import Headers, RequestHeaders
from erlen.responses import Response, content_length, redirect

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
AT_NOON = "Wed, 01 May 2024 12:00:00 GMT"


@dataclass
class Asking:
    """A request as far as its conditions go."""

    sent: dict[str, str] = field(default_factory=dict)
    method: str = "GET"

    @property
    def headers(self) -> RequestHeaders:
        return RequestHeaders((name.encode(), value.encode()) for name, value in self.sent.items())


async def forever() -> Any:
    await asyncio.Event().wait()


async def sent_by(
    response: Response, method: str = "GET", *, type: str = "http", receive: Any = forever
) -> list[Any]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)
        await asyncio.sleep(0)

    await response({"type": type, "method": method}, receive, send)
    return messages


def bodies(messages: list[Any]) -> list[bytes]:
    return [message["body"] for message in messages[1:]]


def sync_pieces(log: list[str], *pieces: str | bytes):
    log.append(threading.current_thread().name)
    try:
        yield from pieces
    finally:
        log.append("closed")


async def async_pieces(log: list[str], *pieces: str | bytes):
    log.append(threading.current_thread().name)
    try:
        for piece in pieces:
            await asyncio.sleep(0)
            yield piece
    finally:
        log.append("closed")


STREAMS = pytest.mark.parametrize("stream", [sync_pieces, async_pieces])


# -- what it is made of --------------------------------------------------------------------

BODIES = {
    "nothing": (None, b""),
    "text": ("ü", b"\xc3\xbc"),
    "bytes": (b"x", b"x"),
    "a bytearray": (bytearray(b"x"), b"x"),
    "a memoryview": (memoryview(b"xyz")[1:], b"yz"),
    "a list": (["ü", b"x", bytearray(b"y")], b"\xc3\xbcxy"),
    "a tuple": (("a", "b"), b"ab"),
    "an empty list": ([], b""),
}


@pytest.mark.parametrize(("given", "body"), BODIES.values(), ids=BODIES)
async def test_a_body_that_is_there_is_sent_in_one_message(given, body):
    response = Response(given)

    messages = await sent_by(response)

    assert response.body == response.data == response.get_data() == body
    assert response.is_sequence
    assert not response.is_streamed
    assert response.response == [body]
    assert messages == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-length", b"%d" % len(body)),
            ],
        },
        {"type": "http.response.body", "body": body},
    ]


@pytest.mark.parametrize("thing", [5, 1.5, object])
def test_a_body_of_another_type_is_refused(thing):
    with pytest.raises(TypeError, match="made of str, bytes, or an iterable of them, not of"):
        Response(thing)


def test_a_piece_of_another_type_is_refused():
    with pytest.raises(TypeError, match=r"made of str and bytes, not of int: 5"):
        Response(["a", 5])  # type: ignore[list-item]


def test_it_is_a_response_of_starlette():
    assert isinstance(Response(), StarletteResponse)


TYPES = {
    "text/plain": "text/plain; charset=utf-8",
    "text/html; charset=latin-1": "text/html; charset=latin-1",
    "application/json": "application/json",
    "application/javascript": "application/javascript; charset=utf-8",
    "application/sql": "application/sql; charset=utf-8",
    "image/svg+xml": "image/svg+xml; charset=utf-8",
    "image/png": "image/png",
}


@pytest.mark.parametrize(("mimetype", "value"), TYPES.items())
def test_a_mimetype_of_text_gets_a_charset(mimetype, value):
    made, changed = Response(mimetype=mimetype), Response()
    changed.mimetype = mimetype

    assert made.content_type == changed.content_type == value
    assert made.mimetype == changed.mimetype == mimetype.partition(";")[0]


def test_a_content_type_is_taken_as_it_is():
    response = Response(content_type="text/plain")

    assert response.content_type == "text/plain"
    assert response.mimetype_params == {}


def test_the_parameters_of_the_type_are_read():
    assert Response().mimetype_params == {"charset": "utf-8"}


def test_a_response_may_have_no_type():
    response = Response()
    response.content_type = None

    assert response.mimetype is None
    assert response.mimetype_params == {}
    assert not response.is_json


def test_a_content_type_among_the_headers_counts():
    response = Response("x", headers={"Content-Type": "a/b", "X-One": "1"})

    assert response.raw_headers == [
        (b"content-type", b"a/b"),
        (b"x-one", b"1"),
        (b"content-length", b"1"),
    ]


@pytest.mark.parametrize("named", [{"mimetype": "c/d"}, {"content_type": "c/d"}])
def test_a_type_that_is_named_wins_over_the_headers(named):
    response = Response("x", headers={"Content-Type": "a/b"}, **named)

    assert response.headers.getlist("content-type") == ["c/d"]


@pytest.mark.parametrize(
    "headers",
    [{"X-One": "1"}, [("X-One", "1")], Headers([("X-One", "1")])],
    ids=["mapping", "pairs", "Headers"],
)
def test_headers_come_in_several_forms(headers):
    response = Response("x", headers=headers)

    assert response.headers["x-one"] == "1"
    assert response.content_type == "text/html; charset=utf-8"


def test_a_length_that_is_given_stays():
    assert Response(headers={"Content-Length": "5"}).content_length == 5


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\nb", "a\x00b"])
def test_no_header_can_be_ended_early(value):
    response = Response()

    with pytest.raises(ValueError, match="control characters"):
        Response(headers={"X-One": value})
    with pytest.raises(ValueError, match="control characters"):
        Response(content_type=value)
    with pytest.raises(ValueError, match="control characters"):
        Response(mimetype=value)
    with pytest.raises(ValueError, match="control characters"):
        response.headers["X-One"] = value
    response.location = value
    assert response.location.isprintable()


def test_the_defaults_of_a_subclass_count():
    class Teapot(Response):
        default_mimetype = "text/plain"
        default_status = 418

    response = Teapot("short and stout")

    assert response.status_code == 418
    assert response.content_type == "text/plain; charset=utf-8"


def test_direct_passthrough_is_remembered():
    assert Response(direct_passthrough=True).direct_passthrough
    assert not Response().direct_passthrough


def test_the_raw_length_is_the_same_for_small_and_large():
    assert content_length(12) == (b"content-length", b"12")
    assert content_length(1_000_000) == (b"content-length", b"1000000")


# -- the status ----------------------------------------------------------------------------

STATUSES = {
    "a code": (404, 404, "404 Not Found"),
    "an HTTPStatus": (HTTPStatus.CREATED, 201, "201 Created"),
    "a line": ("418 Teapot", 418, "418 Teapot"),
    "a line without a reason": (" 404 ", 404, "404 Not Found"),
    "a code nobody knows": (299, 299, "299 UNKNOWN"),
    "the last one": (599, 599, "599 UNKNOWN"),
}


@pytest.mark.parametrize(("status", "code", "line"), STATUSES.values(), ids=STATUSES)
def test_a_status_is_a_code_or_a_line(status, code, line):
    made, changed = Response(status=status), Response(status="500 Lost")
    changed.status = status

    assert made.status_code == changed.status_code == code
    assert made.status == changed.status == line


@pytest.mark.parametrize("status", ["", "OK", "OK 200", "-1", "²00"])
def test_a_status_begins_with_its_code(status):
    with pytest.raises(ValueError, match="begins with its code"):
        Response(status=status)


@pytest.mark.parametrize("status", [600, 1000, 99, 0, -1, "600 Odd", "0099", "20"])
def test_a_status_has_three_digits_of_which_the_first_is_none_above_five(status):
    response = Response()

    with pytest.raises(ValueError, match="from 100 to 599, not "):
        response.status = status
    with pytest.raises(ValueError, match="from 100 to 599, not "):
        Response(status=status)
    assert response.status == "200 OK"


# -- sending -------------------------------------------------------------------------------


async def test_a_head_has_the_headers_and_no_body():
    messages = await sent_by(Response("four"), "HEAD")

    assert (b"content-length", b"4") in messages[0]["headers"]
    assert messages[1:] == [{"type": "http.response.body", "body": b""}]


@pytest.mark.parametrize("status", [101, 199, 204])
async def test_some_statuses_have_no_body_and_no_length(status):
    messages = await sent_by(Response("text", status))

    assert messages[0]["status"] == status
    assert [name for name, _ in messages[0]["headers"]] == [b"content-type"]
    assert bodies(messages) == [b""]


async def test_not_modified_says_nothing_of_the_missing_body():
    headers = {"ETag": '"v1"', "Content-Encoding": "gzip", "Vary": "Cookie"}

    messages = await sent_by(Response("text", 304, headers))

    assert messages[0]["headers"] == [(b"etag", b'"v1"'), (b"vary", b"Cookie")]
    assert bodies(messages) == [b""]


@STREAMS
async def test_a_stream_is_sent_piece_by_piece(stream):
    log: list[str] = []
    response = Response(stream(log, "ü", b"", b"x"))

    messages = await sent_by(response)

    assert messages == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/html; charset=utf-8")],
        },
        {"type": "http.response.body", "body": b"\xc3\xbc", "more_body": True},
        {"type": "http.response.body", "body": b"x", "more_body": True},
        {"type": "http.response.body", "body": b""},
    ]
    assert log[-1] == "closed"


@STREAMS
async def test_a_stream_may_yield_nothing(stream):
    messages = await sent_by(Response(stream([])))

    assert bodies(messages) == [b""]


async def test_a_plain_iterator_runs_in_a_thread_and_an_async_one_on_the_loop():
    plain, waiting = [], []

    await sent_by(Response(sync_pieces(plain, "x")))
    await sent_by(Response(async_pieces(waiting, "x")))

    here = threading.current_thread().name
    assert plain[0] != here
    assert waiting[0] == here


async def test_a_plain_iterator_is_closed_with_what_it_came_from():
    class Lines:
        closed = False

        def __iter__(self):
            return iter(["a", "b"])

        def close(self):
            self.closed = True

    lines = Lines()

    messages = await sent_by(Response(lines))

    assert bodies(messages) == [b"a", b"b", b""]
    assert lines.closed


async def test_an_iterable_that_cannot_be_closed_is_not():
    assert bodies(await sent_by(Response({"a": 1, "b": 2}.keys()))) == [b"a", b"b", b""]


async def test_an_async_iterator_that_cannot_be_closed_is_not():
    class Once:
        done = False

        def __aiter__(self):
            return self

        async def __anext__(self):
            if self.done:
                raise StopAsyncIteration
            self.done = True
            return "x"

    assert bodies(await sent_by(Response(Once()))) == [b"x", b""]


@STREAMS
async def test_a_stream_of_another_type_fails_before_the_head(stream):
    messages: list[Any] = []

    with pytest.raises(TypeError, match=r"made of str and bytes, not of NoneType: None"):
        await Response(stream([], None))({"type": "http", "method": "GET"}, forever, messages)

    assert messages == []


@STREAMS
async def test_a_head_does_not_start_a_stream(stream):
    log: list[str] = []

    messages = await sent_by(Response(stream(log, "x")), "HEAD")

    assert bodies(messages) == [b""]
    assert log == []


async def test_a_stream_that_has_no_place_is_closed():
    file = io.BytesIO(b"x")

    messages = await sent_by(Response(file, 204))

    assert bodies(messages) == [b""]
    assert file.closed


@STREAMS
async def test_an_error_before_the_first_piece_comes_before_the_head(stream):
    def fail():
        raise LookupError("first")
        yield

    async def fail_later():
        await asyncio.sleep(0)
        raise LookupError("first")
        yield

    messages: list[Any] = []
    response = Response(fail() if stream is sync_pieces else fail_later())

    with pytest.raises(LookupError, match="first"):
        await response({"type": "http", "method": "GET"}, forever, messages)

    assert messages == []


async def test_an_error_in_the_middle_leaves_the_body_unfinished():
    async def fail():
        yield "x"
        raise LookupError("second")

    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    with pytest.raises(LookupError, match="second"):
        await Response(fail())({"type": "http", "method": "GET"}, forever, send)

    assert messages[-1] == {"type": "http.response.body", "body": b"x", "more_body": True}


async def test_the_head_may_go_first():
    began = asyncio.Event()
    messages: list[Any] = []

    async def wait_for_the_head():
        await began.wait()
        yield "x"

    async def send(message: Any) -> None:
        messages.append(message)
        began.set()

    response = Response(wait_for_the_head())
    response.head_first = True

    await response({"type": "http", "method": "GET"}, forever, send)

    assert bodies(messages) == [b"x", b""]


@STREAMS
async def test_priming_loses_and_repeats_nothing(stream):
    response = Response(stream([], "a", "b"))

    await response.prime()
    await response.prime()

    assert response.is_streamed
    assert bodies(await sent_by(response)) == [b"a", b"b", b""]


async def test_priming_what_is_there_or_empty_changes_nothing():
    buffered, empty = Response("x"), Response(async_pieces([]))

    await buffered.prime()
    await empty.prime()

    assert bodies(await sent_by(buffered)) == [b"x"]
    assert bodies(await sent_by(empty)) == [b""]


class OnePiece:
    """A stream that knows when it has nothing more."""

    def __init__(self, piece: bytes) -> None:
        self.piece = piece
        self.exhausted = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.exhausted:
            raise StopAsyncIteration
        self.exhausted = True
        return self.piece


@pytest.mark.parametrize("piece", [b"all of it", b""])
async def test_a_stream_of_one_piece_is_sent_in_one_message(piece):
    response = Response(OnePiece(piece))

    messages = await sent_by(response)

    assert bodies(messages) == [piece]
    assert "more_body" not in messages[1]
    assert response.content_length == len(piece)
    assert response.body == piece
    assert not response.is_streamed


async def test_a_client_that_leaves_ends_the_stream():
    log: list[str] = []
    left = asyncio.Event()
    messages: list[Any] = []
    events = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

    async def endless():
        try:
            while True:
                yield "tick"
                await asyncio.sleep(0)
        finally:
            log.append("closed")

    async def receive() -> Any:
        await left.wait()
        return next(events)

    async def send(message: Any) -> None:
        messages.append(message)
        if len(messages) == 3:
            left.set()

    async def after() -> None:
        log.append("after")

    response = Response(endless())
    response.background = after
    await response({"type": "http", "method": "GET"}, receive, send)

    assert log == ["closed", "after"]
    assert messages[-1]["more_body"] is True
    assert asyncio.current_task().cancelling() == 0


async def test_a_cancelled_stream_is_closed_and_stays_cancelled():
    log: list[str] = []
    started = asyncio.Event()

    async def endless():
        try:
            yield "tick"
            started.set()
            await asyncio.Event().wait()
        finally:
            log.append("closed")

    task = asyncio.create_task(sent_by(Response(endless())))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["closed"]


async def test_a_client_that_leaves_does_not_hide_a_cancellation():
    waiting, stopping = asyncio.Event(), asyncio.Event()

    async def endless():
        yield "tick"
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await asyncio.Event().wait()

    async def leave() -> Any:
        await waiting.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(sent_by(Response(endless()), receive=leave))
    await stopping.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_stream_leaves_no_task_behind():
    before = asyncio.all_tasks()

    await sent_by(Response(async_pieces([], "x")))
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


async def test_a_websocket_is_denied_with_a_response():
    messages = await sent_by(Response("no", 403), type="websocket")

    assert messages == [
        {
            "type": "websocket.http.response.start",
            "status": 403,
            "headers": [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-length", b"2"),
            ],
        },
        {"type": "websocket.http.response.body", "body": b"no"},
    ]


@STREAMS
async def test_a_websocket_is_denied_with_a_stream(stream):
    messages = await sent_by(Response(stream([], "a", "b"), 403), type="websocket")

    kind = "websocket.http.response.body"
    assert messages[1:] == [
        {"type": kind, "body": b"a", "more_body": True},
        {"type": kind, "body": b"b", "more_body": True},
        {"type": kind, "body": b""},
    ]


# -- afterwards ----------------------------------------------------------------------------


async def test_what_was_registered_runs_when_the_response_is_over():
    log: list[str] = []
    response = Response("x")

    @response.call_on_close
    def plain():
        log.append("plain")

    @response.call_on_close
    async def waiting():
        await asyncio.sleep(0)
        log.append("waiting")

    await sent_by(response)
    await response.aclose()

    assert log == ["plain", "waiting"]


async def test_it_runs_too_when_sending_fails():
    log: list[str] = []
    response = Response("x")
    response.call_on_close(lambda: log.append("closed"))

    async def send(message: Any) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await response({"type": "http", "method": "GET"}, forever, send)

    assert log == ["closed"]


async def test_one_that_fails_keeps_no_other_from_running():
    log: list[str] = []
    response = Response(async_pieces(log, "x"))

    @response.call_on_close
    def fail():
        raise LookupError("first")

    @response.call_on_close
    async def fail_too():
        raise KeyError("second")

    response.call_on_close(lambda: log.append("last"))

    with pytest.raises(LookupError, match="first"):
        await sent_by(response)
    assert log[1:] == ["closed", "last"]


async def test_a_response_that_is_not_sent_can_be_closed():
    file = io.BytesIO(b"x")
    response = Response(file)

    await response.aclose()
    await response.aclose()

    assert file.closed


async def test_a_stream_that_was_begun_can_be_closed():
    for stream in (sync_pieces, async_pieces):
        log: list[str] = []
        response = Response(stream(log, "a", "b"))
        await response.prime()

        await response.aclose()

        assert log[-1] == "closed"


async def test_work_in_the_background_follows_the_response():
    log: list[Any] = []
    response = Response("x")

    async def work():
        log.append("work")

    response.background = work

    async def send(message: Any) -> None:
        log.append(message["type"])

    await response({"type": "http", "method": "GET"}, forever, send)

    assert log == ["http.response.start", "http.response.body", "work"]


# -- the body, read and changed ------------------------------------------------------------


def test_setting_the_data_sets_the_length():
    response = Response("before")

    response.data = "ü"

    assert response.data == b"\xc3\xbc"
    assert response.headers.getlist("content-length") == ["2"]


def test_text_is_utf_8_and_never_fails():
    assert Response("ü").text == "ü"
    assert Response("ü").get_data(as_text=True) == "ü"
    assert Response(b"\xff").text == "\ufffd"


async def test_the_body_can_become_a_stream_and_back():
    response = Response("before")

    response.response = async_pieces([], "x")
    assert response.is_streamed
    assert response.content_length is None
    assert response.response is response.stream

    response.response = ["a", "b"]
    assert response.data == b"ab"
    assert response.content_length == 2


def test_a_stream_that_is_awaited_has_no_data():
    async def pieces():
        yield "x"

    response = Response(pieces())

    with pytest.raises(RuntimeError, match=r"Look at\s+response\.is_streamed"):
        response.get_data()


@pytest.mark.parametrize("mimetype", ["application/json", "application/problem+json"])
def test_json_is_read(mimetype):
    response = Response('{"a": 1}', mimetype=mimetype)

    assert response.is_json
    assert response.json == response.get_json() == {"a": 1}


def test_json_of_another_type_is_read_on_demand():
    response = Response("[1]")

    assert not response.is_json
    assert response.json is None
    assert response.get_json(force=True) == [1]


def test_bad_json_is_an_error_unless_silenced():
    response = Response("{", mimetype="application/json")

    with pytest.raises(ValueError):  # noqa: PT011 (the provider words it)
        response.get_json()
    assert response.get_json(silent=True) is None


# -- headers as values ---------------------------------------------------------------------


def test_the_headers_are_live():
    response = Response("x")

    response.headers["X-One"] = "1"
    response.raw_headers.append((b"x-two", b"2"))

    assert (b"x-one", b"1") in response.raw_headers
    assert response.headers["x-two"] == "2"


VALUES = {
    "content_type": ("a/b", "content-type", "a/b"),
    "content_length": (12, "content-length", "12"),
    "location": ("/next", "location", "/next"),
    "content_encoding": ("gzip", "content-encoding", "gzip"),
    "content_location": ("/here", "content-location", "/here"),
    "accept_ranges": ("bytes", "accept-ranges", "bytes"),
    "date": (NOON, "date", AT_NOON),
    "expires": (NOON, "expires", AT_NOON),
    "last_modified": (NOON, "last-modified", AT_NOON),
    "age": (timedelta(minutes=1), "age", "60"),
    "retry_after": ("60", "retry-after", "60"),
    "www_authenticate": ("Basic", "www-authenticate", "Basic"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_header_is_an_attribute(name):
    value, header, written = VALUES[name]
    response = Response()

    setattr(response, name, value)
    assert response.headers.getlist(header) == [written]
    assert getattr(response, name) == value

    setattr(response, name, None)
    assert header not in response.headers
    assert getattr(response, name) is None


NO_TIMES = {
    "a text": ("junk", TypeError, "'last-modified' is set to a datetime .*, not to 'junk'"),
    "too late": (1e30, ValueError, "'last-modified' cannot be 1e"),
    "no number": (float("nan"), ValueError, "'last-modified' cannot be nan"),
}


@pytest.mark.parametrize(("value", "kind", "message"), NO_TIMES.values(), ids=NO_TIMES)
def test_what_is_no_time_is_named_with_its_header(value, kind, message):
    response = Response()

    with pytest.raises(kind, match=message):
        response.last_modified = value


OTHER_FORMS = {
    "seconds as a date": ("expires", NOON.timestamp(), AT_NOON),
    "seconds as the last change": ("last_modified", int(NOON.timestamp()), AT_NOON),
    "seconds since the epoch": ("date", 0, "Thu, 01 Jan 1970 00:00:00 GMT"),
    "seconds of age": ("age", 5, "5"),
    "a date to come back": ("retry_after", NOON, AT_NOON),
    "seconds to come back": ("retry_after", 30, "30"),
    "another address in Unicode": ("content_location", "/ü", "/%C3%BC"),
    "an address in Unicode": ("location", "/ü?q=日 x", "/%C3%BC?q=%E6%97%A5%20x"),
}


@pytest.mark.parametrize(("name", "value", "written"), OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_a_header_is_written_from_other_forms(name, value, written):
    response = Response()

    setattr(response, name, value)

    assert response.headers[name.replace("_", "-")] == written


@pytest.mark.parametrize(
    ("name", "written"),
    [("content_length", "many"), ("age", "old"), ("age", "-1"), ("date", "x"), ("expires", "0")],
)
def test_a_header_that_cannot_be_read_is_none(name, written):
    response = Response(headers={name.replace("_", "-"): written})

    assert getattr(response, name) is None


@pytest.mark.parametrize("name", ["vary", "allow", "content_language"])
def test_a_header_that_is_a_set_is_live(name):
    header = name.replace("_", "-")
    response = Response()

    getattr(response, name).add("Cookie")
    getattr(response, name).update(["Accept", "cookie"])
    assert response.headers[header] == "Cookie, Accept"

    getattr(response, name).clear()
    assert header not in response.headers

    setattr(response, name, ["a", "b"])
    assert response.headers[header] == "a, b"
    setattr(response, name, "c")
    assert list(getattr(response, name)) == ["c"]
    setattr(response, name, None)
    assert header not in response.headers


def test_a_set_that_was_sent_in_pieces_becomes_one():
    response = Response(headers=[("Vary", "Cookie"), ("Vary", "Accept")])

    response.vary.add("Origin")

    assert response.headers.getlist("vary") == ["Cookie, Accept, Origin"]


def test_cache_control_is_live():
    response = Response(headers={"Cache-Control": "no-cache"})

    response.cache_control.max_age = 60
    response.cache_control.no_cache = None
    response.cache_control.public = True
    assert response.headers["cache-control"] == "max-age=60, public"

    response.cache_control.clear()
    assert "cache-control" not in response.headers


def test_the_content_range_is_live():
    response = Response()

    response.content_range.set(0, 10, 100)
    assert response.headers["content-range"] == "bytes 0-9/100"

    response.content_range.length = None
    assert response.headers["content-range"] == "bytes 0-9/*"

    response.content_range.unset()
    assert "content-range" not in response.headers


# -- cookies -------------------------------------------------------------------------------


def test_a_cookie_is_set_with_all_it_has():
    response = Response()

    response.set_cookie("a", "1")
    response.set_cookie(
        "b",
        "2",
        max_age=timedelta(minutes=1),
        expires=NOON,
        path="/x",
        domain=".example.com",
        secure=True,
        httponly=True,
        samesite="lax",
        partitioned=True,
    )

    assert response.headers.getlist("set-cookie") == [
        "a=1; Path=/",
        "b=2; Domain=example.com; Expires=Wed, 01 May 2024 12:00:00 GMT; Max-Age=60; Secure;"
        " HttpOnly; Path=/x; SameSite=Lax; Partitioned",
    ]


def test_a_cookie_is_deleted_where_it_was():
    response = Response()

    response.delete_cookie("a", path="/x", domain="example.com")

    assert response.headers.getlist("set-cookie") == [
        "a=; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/x"
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"path": "/; Secure"},
        {"domain": "x.com; Secure"},
        {"samesite": "Lax; Secure"},
        {"expires": "now; Secure"},
        {"path": "/\r\nX: y"},
    ],
    ids=repr,
)
def test_no_part_of_a_cookie_adds_another(part):
    response = Response()

    with pytest.raises(ValueError):  # noqa: PT011 (each part has its own words)
        response.set_cookie("a", "1", **part)

    assert "set-cookie" not in response.headers


def test_a_cookie_that_browsers_would_drop_warns_where_it_is_set():
    response = Response()

    with pytest.warns(UserWarning, match=r"'a' cookie .* 4102 bytes, of which 4092 are") as caught:
        response.set_cookie("a", "x" * 4092)

    assert caught[0].filename == __file__
    assert "set-cookie" in response.headers


@pytest.mark.parametrize("limit", [0, 5000])
def test_the_size_of_cookies_is_up_to_the_class(limit):
    class Mine(Response):
        max_cookie_size = limit

    response = Mine()

    response.set_cookie("a", "x" * 4092)

    assert "set-cookie" in response.headers


# -- conditional ---------------------------------------------------------------------------


def test_an_entity_tag_is_set_and_read():
    response = Response()
    assert response.get_etag() == (None, None)

    response.set_etag("v1")
    assert response.headers["etag"] == '"v1"'
    assert response.get_etag() == ("v1", False)

    response.set_etag("v1", weak=True)
    assert response.headers["etag"] == 'W/"v1"'
    assert response.get_etag() == ("v1", True)


def test_an_entity_tag_is_made_of_the_body():
    one, same, other = Response("a"), Response("a"), Response("b")
    for response in (one, same, other):
        response.add_etag()

    assert one.get_etag() == same.get_etag() != other.get_etag()


def test_an_entity_tag_is_kept_unless_told_otherwise():
    response = Response("a")
    response.set_etag("v1")

    response.freeze()
    assert response.get_etag() == ("v1", False)

    response.add_etag(overwrite=True, weak=True)
    tag, weak = response.get_etag()
    assert tag != "v1"
    assert weak


def digits() -> Response:
    response = Response("0123456789", mimetype="text/plain")
    response.set_etag("v1")
    return response


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_the_client_has_is_not_sent_again(method):
    response = digits()

    result = response.make_conditional(Asking({"if-none-match": '"v1"'}, method))

    assert result is response
    assert response.status_code == 304
    messages = await sent_by(response, method)
    assert messages[0]["headers"] == [(b"etag", b'"v1"')]
    assert bodies(messages) == [b""]


def test_a_failed_precondition_sends_nothing():
    response = digits().make_conditional(Asking({"if-match": '"v2"'}))

    assert (response.status_code, response.data) == (412, b"")
    assert response.content_length == 0


def test_conditions_that_do_not_apply_change_nothing():
    response = digits().make_conditional(Asking({"if-none-match": '"v2"'}))

    assert (response.status_code, response.data) == (200, b"0123456789")
    assert response.accept_ranges is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_get_and_head_are_conditional(method):
    asked = Asking({"if-none-match": "*", "range": "bytes=0-1"}, method)

    response = digits().make_conditional(asked, accept_ranges=True)

    assert response.status_code == 200
    assert response.accept_ranges is None


@pytest.mark.parametrize("status", [302, 404, 500])
def test_only_what_succeeds_is_conditional(status):
    response = digits()
    response.status = status

    response.make_conditional(Asking({"if-none-match": "*"}), accept_ranges=True)

    assert response.status_code == status


def test_a_part_of_the_body_is_cut_out():
    response = digits().make_conditional(Asking({"range": "bytes=2-4"}), accept_ranges=True)

    assert (response.status_code, response.data) == (206, b"234")
    assert response.headers["content-range"] == "bytes 2-4/10"
    assert response.headers.getlist("content-length") == ["3"]
    assert response.accept_ranges == "bytes"


def test_a_part_behind_the_end_is_refused_with_the_length():
    with pytest.raises(RequestedRangeNotSatisfiable) as caught:
        digits().make_conditional(Asking({"range": "bytes=10-"}), accept_ranges=True)

    assert caught.value.get_response().headers["content-range"] == "bytes */10"


NO_PARTS = {
    "where none are offered": (200, "GET", False),
    "where none are accepted": (200, "GET", "none"),
    "of a head": (200, "HEAD", True),
    "of another success": (201, "GET", True),
}


@pytest.mark.parametrize(("status", "method", "accept"), NO_PARTS.values(), ids=NO_PARTS)
def test_there_are_no_parts(status, method, accept):
    response = digits()
    response.status = status

    response.make_conditional(Asking({"range": "bytes=2-4"}, method), accept_ranges=accept)

    assert (response.status_code, response.data) == (status, b"0123456789")


class Cut(OnePiece):
    """A stream that can send a part of itself."""

    closed = False

    def cut(self, start: int, stop: int) -> None:
        self.piece = self.piece[start:stop]

    def close(self) -> None:
        self.closed = True


async def test_a_stream_cuts_itself():
    response = Response(Cut(b"0123456789"))

    response.make_conditional(
        Asking({"range": "bytes=-3"}), accept_ranges="bytes", complete_length=10
    )

    assert response.status_code == 206
    assert response.headers["content-range"] == "bytes 7-9/10"
    assert response.content_length == 3
    assert bodies(await sent_by(response)) == [b"789"]


async def test_a_stream_that_cannot_be_cut_is_sent_whole():
    response = Response(async_pieces([], b"0123456789"))

    response.make_conditional(Asking({"range": "bytes=-3"}), accept_ranges=True, complete_length=10)

    assert response.status_code == 200
    assert bodies(await sent_by(response)) == [b"0123456789", b""]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"if-none-match": "*"}, 304), ({"if-match": '"v2"'}, 412)],
)
async def test_a_stream_that_is_not_sent_is_closed(headers, status):
    stream = Cut(b"0123456789")
    response = Response(stream)

    response.make_conditional(Asking(headers), accept_ranges=True, complete_length=10)
    messages = await sent_by(response)

    assert messages[0]["status"] == status
    assert bodies(messages) == [b""]
    assert stream.closed


def test_a_stream_is_closed_when_the_part_that_is_wanted_does_not_exist():
    stream = Cut(b"0123456789")

    with pytest.raises(RequestedRangeNotSatisfiable):
        Response(stream).make_conditional(
            Asking({"range": "bytes=99-"}), accept_ranges=True, complete_length=10
        )

    assert stream.closed


async def test_an_async_stream_that_is_not_sent_is_closed():
    stream = async_pieces([], "x")
    response = Response(stream)

    response.make_conditional(Asking({"if-none-match": "*"}))
    await sent_by(response)

    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_a_stream_that_cannot_be_closed_is_dropped():
    response = Response(OnePiece(b"x")).make_conditional(Asking({"if-none-match": "*"}))

    assert response.data == b""


# -- redirects -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 305, 307, 308])
def test_a_redirect_says_where_to_go(code):
    response = redirect("/next?a=1&b=2", code)

    assert response.status_code == code
    assert response.location == "/next?a=1&b=2"
    assert response.mimetype == "text/html"
    assert '<a href="/next?a=1&amp;b=2">/next?a=1&amp;b=2</a>' in response.text


def test_a_redirect_is_found_by_default():
    assert redirect("/").status_code == 302


@pytest.mark.parametrize("code", [200, 300, 304, 306, 404])
def test_other_codes_are_no_redirects(code):
    with pytest.raises(ValueError, match=f"{code} is no redirect"):
        redirect("/", code)


ADDRESSES = {
    "/ü": "/%C3%BC",
    "/a b": "/a%20b",
    "/a%20b": "/a%20b",
    "/\\evil.example": "/%5Cevil.example",
    '/"><script>': "/%22%3E%3Cscript%3E",
    "http://[::1]:5000/~x#y": "http://[::1]:5000/~x#y",
    "/\r\nSet-Cookie: a=1": "/%0D%0ASet-Cookie:%20a=1",
    "/\x00\x1f\x7f\t": "/%00%1F%7F%09",
    "java\nscript:x": "java%0Ascript:x",
    "http://bücher.example/ü": "http://xn--bcher-kva.example/%C3%BC",
    "//BÜCHER.example:80?ü": "//xn--bcher-kva.example:80?%C3%BC",
    "https://ä:ö@bücher.example": "https://%C3%A4:%C3%B6@xn--bcher-kva.example",
    "http://ö@ascii.example/": "http://%C3%B6@ascii.example/",
    "/to/http://bücher.example/": "/to/http://b%C3%BCcher.example/",
    "mailto:ü@bücher.example": "mailto:%C3%BC@b%C3%BCcher.example",
    "http://ü..example/": "http://%C3%BC..example/",
    "http://evil.example\uff0f.good.example/": "http://evil.example%EF%BC%8F.good.example/",
    "": "",
}


@pytest.mark.parametrize(("location", "header"), ADDRESSES.items())
def test_an_address_is_encoded_for_the_header_and_the_page(location, header):
    response = redirect(location)

    assert response.headers["location"] == header
    assert "<script>" not in response.text


def test_half_a_character_is_no_part_of_an_address():
    with pytest.raises(UnicodeEncodeError):
        redirect("/\ud800")


@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", " \nJavaScript:x", "data:,x", "vbscript:x"]
)
def test_a_script_is_no_address(location):
    with pytest.raises(ValueError, match="not to a script"):
        redirect(location)


def test_a_redirect_may_be_of_another_class():
    class Mine(Response):
        pass

    assert type(redirect("/", Response=Mine)) is Mine


@given(st.text(st.characters(codec="utf-8")))
def test_no_address_ends_its_header(location):
    try:
        response = redirect(location)
    except ValueError:
        return
    assert response.headers["location"].isascii()
    assert response.headers["location"].isprintable()


# -- what a person sees --------------------------------------------------------------------


def test_its_repr_names_size_and_status():
    assert repr(Response("four", 404)) == "<Response 4 bytes [404 Not Found]>"
    assert repr(Response(iter(["x"]))) == "<Response streamed [200 OK]>"


def test_a_response_is_freed_without_the_collector():
    gc.disable()
    try:
        response = Response("x")
        response.headers["X-One"] = "1"
        response.vary.add("Cookie")
        response.call_on_close(print)
        alive = weakref.ref(response)

        del response

        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["content_type", "vary", "date"])
def test_a_field_can_be_looked_at_on_the_class(name):
    assert getattr(Response, name).name == name.replace("_", "-")


ACROSS_ORIGINS = [
    ("access_control_allow_origin", "*", "*"),
    ("access_control_allow_credentials", True, "true"),
    ("access_control_allow_methods", ["GET", "PUT"], "GET, PUT"),
    ("access_control_allow_headers", ["X-A"], "X-A"),
    ("access_control_expose_headers", "X-A", "X-A"),
    ("access_control_max_age", 60, "60"),
    ("cross_origin_opener_policy", "same-origin", "same-origin"),
    ("cross_origin_embedder_policy", "require-corp", "require-corp"),
    ("content_security_policy", "default-src 'self'", "default-src 'self'"),
]


@pytest.mark.parametrize(("name", "value", "text"), ACROSS_ORIGINS, ids=lambda value: str(value))
def test_what_pages_of_other_origins_may_do_is_said_by_attributes(name, value, text):
    response = Response()

    setattr(response, name, value)

    assert response.headers[name.replace("_", "-")] == text
    setattr(response, name, None)
    assert name.replace("_", "-") not in response.headers


def test_a_flag_that_is_off_is_no_header():
    response = Response()
    response.access_control_allow_credentials = True

    response.access_control_allow_credentials = False

    assert "access-control-allow-credentials" not in response.headers
    assert response.access_control_allow_credentials is False


@pytest.mark.parametrize("suffix", ["", "_report_only"])
def test_a_policy_is_written_directive_by_directive(suffix):
    response = Response()
    policy = getattr(response, f"content_security_policy{suffix}")

    policy.default_src = "'self'"
    policy.img_src = "*"

    name = f"content-security-policy{suffix}".replace("_", "-")
    assert response.headers[name] == "default-src 'self'; img-src *"
