"""A WSGI app inside: PEP 3333 is kept, bodies stream both ways, and moving over goes by rule."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sqlite3
import threading
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

import erlen
from erlen import Erlen, SetupError, current_app, g, session
from erlen.pool import WorkerPool
from erlen.sessions import SecureCookieSessionInterface
from erlen.wsgi import WSGIMount
from tests.waiting import until

PLAIN = [("Content-Type", "text/plain")]


def around(wsgi_app, prefix="/old"):
    app = Erlen("around")
    app.secret_key = "k" * 32
    app.mount_wsgi(prefix, wsgi_app)
    return app


def saying(answer):
    """A WSGI app that answers with what *answer* returns for its environ."""

    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        return [str(answer(environ)).encode()]

    return wsgi_app


def scope_of(path="/old/", method="GET", headers=(), **changes):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 5000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *headers],
        "state": {},
        **changes,
    }


class Wire:
    """What a server hands to the app: messages in a row, and where its answers go."""

    def __init__(self, *messages):
        self.messages = list(messages) or [{"type": "http.request", "body": b""}]
        self.received = 0
        self.sent = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.left = asyncio.Event()

    async def receive(self):
        if self.received < len(self.messages):
            self.received += 1
            return self.messages[self.received - 1]
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)
        if message["type"] == "http.response.body":
            await self.gate.wait()

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


def piece(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


# -- the letter of PEP 3333 ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_the_validator_of_the_standard_library_finds_nothing(method):
    def wsgi_app(environ, start_response):
        environ["wsgi.input"].read(10)
        environ["wsgi.errors"].flush()
        start_response("200 OK", list(PLAIN))
        return [b"fine"] if environ["REQUEST_METHOD"] != "HEAD" else [b""]

    client = around(validator(wsgi_app)).test_client()

    response = await client.open("/old/x?a=%C3%A9", method=method)

    assert response.status_code == 200
    assert response.text == ("" if method == "HEAD" else "fine")


class Pieces:
    """An iterable that knows where it was closed."""

    variable = contextvars.ContextVar("variable", default="outside")

    def __init__(self, *pieces):
        self.pieces = iter(pieces)
        self.closed = []

    def __call__(self, environ, start_response):
        self.variable.set("inside")
        self.begun = threading.get_ident()
        start_response("200 OK", list(PLAIN))
        return self

    def __iter__(self):
        return self

    def __next__(self):
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self):
        self.closed.append((threading.get_ident(), self.variable.get()))


@pytest.mark.parametrize("pieces", [[b"a", b"b"], [], [LookupError()], [b"a", LookupError()]])
async def test_close_is_called_once_in_the_thread_and_context_of_the_call(pieces):
    result = Pieces(*pieces)
    app = around(result)
    wire = Wire()

    try:
        await app(scope_of(), wire.receive, wire.send)
    except LookupError:
        pass

    assert result.closed == [(result.begun, "inside")]
    assert result.begun != threading.get_ident()
    assert Pieces.variable.get() == "outside"


async def test_an_error_before_the_body_is_an_error_page():
    app = around(Pieces(b"", LookupError("broken")))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.errorhandler(LookupError)(lambda error: (f"caught {error}", 500))

    response = await app.test_client().get("/old/")

    assert (response.status_code, response.text) == (500, "caught broken")


async def test_an_app_may_replace_its_response_by_an_error_until_something_was_sent():
    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        try:
            raise LookupError("found out late")
        except LookupError as error:
            start_response("500 Oops", list(PLAIN), (LookupError, error, error.__traceback__))
        return [b"sorry"]

    response = await around(wsgi_app).test_client().get("/old/")

    assert (response.status_code, response.text) == (500, "sorry")


async def test_a_whole_body_that_was_not_sent_yet_is_replaced_with_its_head():
    def wsgi_app(environ, start_response):
        start_response("200 OK", [*PLAIN, ("Content-Length", "4")])
        yield b"fine"
        start_response("500 Oops", list(PLAIN), (LookupError, LookupError("late"), None))
        yield b"sorry"

    response = await around(wsgi_app).test_client().get("/old/")

    assert (response.status_code, response.text) == (500, "sorry")


async def test_an_error_after_the_first_piece_is_raised_again_by_start_response():
    def wsgi_app(environ, start_response):
        write = start_response("200 OK", list(PLAIN))
        write(b"begun")
        error = LookupError("too late")
        start_response("500 Oops", list(PLAIN), (LookupError, error, None))
        return []

    app, wire = around(wsgi_app), Wire()

    with pytest.raises(LookupError, match="too late"):
        await app(scope_of(), wire.receive, wire.send)

    assert wire.sent[0]["status"] == 200
    assert wire.body == b"begun"


def starts_twice(environ, start_response):
    start_response("200 OK", list(PLAIN))
    start_response("200 OK", list(PLAIN))
    return []


def never_starts(environ, start_response):
    return [b"body"]


def never_starts_nor_answers(environ, start_response):
    return []


def yields_text(environ, start_response):
    start_response("200 OK", list(PLAIN))
    return ["text"]


def breaks_a_header(environ, start_response):
    start_response("200 OK", [("X", "a\r\nSet-Cookie: b=c")])
    return []


def has_no_status(environ, start_response):
    start_response("fine", [])
    return []


def promises_less(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"three"]


def promises_more(environ, start_response):
    start_response("200 OK", [("Content-Length", "9")])
    return [b"three"]


@pytest.mark.parametrize(
    ("wsgi_app", "error", "text"),
    [
        (starts_twice, AssertionError, "second time"),
        (never_starts, AssertionError, "before it called start_response"),
        (never_starts_nor_answers, AssertionError, "before it called start_response"),
        (yields_text, TypeError, "yields bytes, not str: 'text'"),
        (breaks_a_header, ValueError, "would end the header"),
        (has_no_status, ValueError, "not 'fine'"),
        (promises_less, ValueError, "5 bytes or more after a Content-Length of 2"),
        (promises_more, ValueError, "5 bytes after a Content-Length of 9"),
    ],
)
async def test_what_breaks_the_rules_is_an_error_that_says_which(wsgi_app, error, text):
    app, wire = around(wsgi_app), Wire()
    app.config["PROPAGATE_EXCEPTIONS"] = True

    with pytest.raises(error, match=text):
        await app(scope_of(), wire.receive, wire.send)

    assert wire.sent == []


async def test_a_status_needs_no_reason():
    def wsgi_app(environ, start_response):
        start_response("204", [("Content-Length", "0")])
        return [b"nobody may see this"]

    app, wire = around(wsgi_app), Wire()

    await app(scope_of(), wire.receive, wire.send)

    assert wire.sent[0]["status"] == 204
    assert wire.sent[0]["headers"] == []
    assert wire.body == b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_headers_about_the_body_stay_where_there_is_none_to_send(method):
    def wsgi_app(environ, start_response):
        status = "304 Not Modified" if method == "GET" else "200 OK"
        start_response(status, [("ETag", '"1"'), ("Content-Length", "1000")])
        return [b"x" * 1000]

    app, wire = around(wsgi_app), Wire()

    await app(scope_of(method=method), wire.receive, wire.send)

    assert wire.sent[0]["headers"] == [(b"etag", b'"1"'), (b"content-length", b"1000")]
    assert wire.body == b""


async def test_repeated_headers_stay_and_those_of_the_connection_go():
    def wsgi_app(environ, start_response):
        headers = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Connection", "close")]
        start_response("200 OK", [*headers, ("Transfer-Encoding", "chunked")])
        return [b"x"]

    app, wire = around(wsgi_app), Wire()

    await app(scope_of(), wire.receive, wire.send)

    head = wire.sent[0]["headers"]
    assert head == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-length", b"1")]


async def test_the_file_wrapper_sends_a_file_and_closes_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)
    files = []

    def wsgi_app(environ, start_response):
        start_response("200 OK", [("Content-Length", "200000")])
        files.append(path.open("rb"))
        return environ["wsgi.file_wrapper"](files[0])

    response = await around(wsgi_app).test_client().get("/old/")

    assert response.data == path.read_bytes()
    assert files[0].closed


async def test_what_an_app_writes_to_its_errors_is_logged(caplog):
    def wsgi_app(environ, start_response):
        print("Traceback:\n  line", file=environ["wsgi.errors"])
        environ["wsgi.errors"].write("unfinished")
        start_response("200 OK", list(PLAIN))
        return [b"x"]

    await around(wsgi_app).test_client().get("/old/")

    records = [(record.name, record.levelno, record.message) for record in caplog.records]
    level = logging.ERROR
    assert records == [("around", level, "Traceback:\n  line"), ("around", level, "unfinished")]


# -- the environ ---------------------------------------------------------------------------


async def environ_for(**options):
    seen = []
    app = around(saying(seen.append), options.pop("prefix", "/old"))
    app.config.update(options.pop("config", {}))
    wire = Wire()
    await app(scope_of(**options), wire.receive, wire.send)
    return seen[0]


@pytest.mark.parametrize(
    ("root", "path", "script_name", "path_info"),
    [
        ("", "/old", "/old", ""),
        ("", "/old/", "/old", "/"),
        ("", "/old/a b", "/old", "/a b"),
        ("", "/old/caf\xe9", "/old", "/caf\xc3\xa9"),
        ("/root", "/root/old/x", "/root/old", "/x"),
        ("/root/", "/root/old/x", "/root/old", "/x"),
        ("/caf\xe9", "/caf\xe9/old/x", "/caf\xc3\xa9/old", "/x"),
    ],
)
async def test_a_path_is_split_where_the_app_is_mounted(root, path, script_name, path_info):
    environ = await environ_for(root_path=root, path=path, raw_path=None)

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path_info)


async def test_a_path_that_only_begins_like_the_prefix_is_not_the_apps():
    response = await around(saying(str)).test_client().get("/older")

    assert response.status_code == 404


async def test_bytes_of_a_path_that_are_no_text_arrive_as_they_were_sent():
    environ = await environ_for(path="/old/\ufffdx", raw_path=b"/old/%FFx")

    assert environ["PATH_INFO"] == "/\xffx"


async def test_cookies_are_joined_as_cookies_and_other_headers_as_lists():
    headers = [(b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2"), (b"x-a", b"2")]

    environ = await environ_for(headers=headers)

    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_A"] == "1,2"


async def test_headers_that_could_be_taken_for_others_do_not_arrive():
    headers = [(b"x_user", b"evil"), (b"x-user", b"good"), (b"proxy", b"http://evil")]

    environ = await environ_for(headers=headers)

    assert environ["HTTP_X_USER"] == "good"
    assert "HTTP_PROXY" not in environ


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([(b"content-length", b"5")], "5"),
        ([(b"content-length", b"nan")], None),
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], None),
    ],
)
async def test_only_a_length_that_is_one_is_believed(headers, length):
    environ = await environ_for(headers=headers)

    assert environ.get("CONTENT_LENGTH") == length
    assert environ["wsgi.input_terminated"] is True


async def test_what_trusted_proxies_say_is_what_the_app_sees():
    headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]

    environ = await environ_for(headers=headers, config={"TRUSTED_PROXIES": 1})

    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize(("version", "name"), [("1.0", "HTTP/1.0"), ("2", "HTTP/2")])
async def test_the_protocol_is_named(version, name):
    environ = await environ_for(http_version=version)

    assert environ["SERVER_PROTOCOL"] == name


async def test_the_query_arrives_as_it_was_sent():
    environ = await environ_for(query_string=b"a=%C3%A9&b=+", raw_path=b"/old/%61")

    assert environ["QUERY_STRING"] == "a=%C3%A9&b=+"
    assert environ["REQUEST_URI"] == "/old/%61?a=%C3%A9&b=+"


async def test_a_server_without_a_port_has_the_usual_one():
    environ = await environ_for(server=("/run/app.sock", None), client=None, scheme="https")

    assert environ["SERVER_PORT"] == "443"
    assert environ["REMOTE_ADDR"] == ""


# -- the body of a request -----------------------------------------------------------------


async def test_a_body_is_read_line_by_line():
    def answer(environ):
        lines = environ["wsgi.input"]
        return [lines.readline(2), lines.readline(), *lines]

    response = await around(saying(answer)).test_client().post("/old/", data=b"abcd\nef\ng")

    assert response.text == "[b'ab', b'cd\\n', b'ef\\n', b'g']"


async def test_an_upload_is_asked_for_as_it_is_read():
    block = b"x" * 64 * 1024
    wire = Wire(*[piece(block)] * 50, piece(b"", more=False))
    seen = []

    def answer(environ):
        while data := environ["wsgi.input"].read(len(block)):
            seen.append((len(data), wire.received))

    headers = [(b"content-length", str(50 * len(block)).encode())]
    await around(saying(answer))(scope_of(method="POST", headers=headers), wire.receive, wire.send)

    assert sum(size for size, _ in seen) == 50 * len(block)
    assert all(received <= count + 2 for count, (_, received) in enumerate(seen, 1))


@pytest.mark.parametrize("before", [0, 10, 200_000])
async def test_a_client_that_leaves_in_the_middle_of_its_upload_is_no_end_of_the_body(before):
    wire = Wire(piece(b"x" * before))
    wire.left.set()
    seen = []

    def answer(environ):
        try:
            environ["wsgi.input"].read()
        except ConnectionError as error:
            seen.append(str(error))

    headers = [(b"transfer-encoding", b"chunked")]
    await around(saying(answer))(scope_of(method="POST", headers=headers), wire.receive, wire.send)

    assert seen == ["The client left before its request was complete."]


async def test_a_body_that_stops_coming_is_not_waited_for_for_ever():
    wire = Wire(piece(b"some"))
    seen = []

    def answer(environ):
        try:
            environ["wsgi.input"].read()
        except TimeoutError as error:
            seen.append(str(error))

    app = around(saying(answer))
    app.config["BODY_TIMEOUT"] = 0.01
    headers = [(b"content-length", b"100")]
    await app(scope_of(method="POST", headers=headers), wire.receive, wire.send)

    assert seen == ["The body did not arrive within 0.01 seconds (BODY_TIMEOUT)."]


async def test_a_body_that_trickles_is_not_waited_for_either():
    class Slow(Wire):
        async def receive(self):
            await asyncio.sleep(0.03)
            return piece(b"x")

    seen = []

    def answer(environ):
        try:
            environ["wsgi.input"].read()
        except TimeoutError as error:
            seen.append(str(error))

    app, wire = around(saying(answer)), Slow()
    app.config.update(BODY_TIMEOUT=0.1, BODY_MIN_RATE=100)
    headers = [(b"content-length", b"100")]
    await app(scope_of(method="POST", headers=headers), wire.receive, wire.send)

    assert seen == ["The body came too slowly, with less than 100 bytes a second (BODY_MIN_RATE)."]


async def test_a_body_may_be_read_in_another_thread():
    wire = Wire(piece(b"x" * 100_000), piece(b"y" * 100_000, more=False))
    seen = []

    def answer(environ):
        reader = threading.Thread(target=lambda: seen.append(environ["wsgi.input"].read()))
        reader.start()
        reader.join()

    headers = [(b"content-length", b"200000")]
    await around(saying(answer))(scope_of(method="POST", headers=headers), wire.receive, wire.send)

    assert seen == [b"x" * 100_000 + b"y" * 100_000]


# -- the body of a response ----------------------------------------------------------------


async def test_a_piece_is_sent_before_the_next_one_is_there():
    gate = threading.Event()

    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        yield b"first"
        assert gate.wait(10)
        yield b"second"

    app, wire = around(wsgi_app), Wire()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body == b"first")
    gate.set()
    await serving

    assert wire.body == b"firstsecond"
    assert wire.sent[-1].get("more_body", False) is False


async def test_a_slow_client_holds_the_app_back():
    produced = []

    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        for number in range(100):
            produced.append(number)
            yield b"x" * 32 * 1024

    app, wire = around(wsgi_app), Wire()
    wire.gate.clear()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body and len(produced) >= 3)
    waiting = len(produced)
    wire.gate.set()
    await serving

    assert waiting <= 8
    assert len(wire.body) == 100 * 32 * 1024


async def test_many_small_pieces_are_sent_in_few():
    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        yield b"first"
        assert gate.wait(10)
        for _ in range(1000):
            yield b"x"

    gate = threading.Event()
    app, wire = around(wsgi_app), Wire()
    wire.gate.clear()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body == b"first")
    gate.set()
    await asyncio.to_thread(lambda: None)
    wire.gate.set()
    await serving

    assert wire.body == b"first" + b"x" * 1000
    assert len(wire.sent) < 500


async def test_an_app_whose_client_has_left_is_closed():
    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        try:
            while True:
                yield b"x" * 1024
        finally:
            closed.append(threading.get_ident())

    closed = []
    app, wire = around(wsgi_app), Wire()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body)
    wire.left.set()
    await serving

    assert len(closed) == 1


async def test_write_says_when_the_client_has_left():
    def wsgi_app(environ, start_response):
        write = start_response("200 OK", list(PLAIN))
        try:
            while True:
                write(b"x" * 1024)
        except ConnectionError as error:
            seen.append(str(error))
        return []

    seen = []
    app, wire = around(wsgi_app), Wire()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body)
    wire.left.set()
    await serving

    assert seen == ["The client left before its response was complete."]


async def test_nothing_is_left_running_when_a_stream_is_cancelled():
    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        try:
            while True:
                yield b"x" * 1024
        finally:
            closed.append(True)

    closed = []
    app, wire = around(wsgi_app), Wire()
    wire.gate.clear()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving

    assert closed == [True]


async def test_a_second_cancel_does_not_tear_down_under_the_thread_either():
    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        yield b"begun"
        held.set()
        assert gate.wait(10)
        closed.append(True)

    closed, held, gate = [], threading.Event(), threading.Event()
    app, wire = around(wsgi_app), Wire()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body and held.is_set())
    for _ in range(2):
        serving.cancel()
        await asyncio.sleep(0)
    assert not serving.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await serving

    assert closed == [True]


class Endless:
    """A WSGI app that streams for ever, and tells when it was closed."""

    def __init__(self):
        self.closed = []

    def __call__(self, environ, start_response):
        start_response("200 OK", list(PLAIN))
        try:
            while True:
                yield b"x" * 32 * 1024
        finally:
            self.closed.append(environ["PATH_INFO"])


class FailingSessions(SecureCookieSessionInterface):
    """Sessions that cannot be saved."""

    def save_session(self, app, session, response):
        raise LookupError("the store is down")


@pytest.fixture(params=["hook", "def hook", "session"])
def refusing(request):
    """An app around an endless one, whose responses fail before they begin."""
    endless = Endless()
    app = around(endless)
    app.config.update(PROPAGATE_EXCEPTIONS=False, SYNC_WORKERS=2, SYNC_QUEUE=5)
    app.errorhandler(500)(lambda error: ("failed", 500))
    app.get("/def")(lambda: "fine")
    app.endless = endless
    if request.param == "session":
        app.session_interface = FailingSessions()

        def touching(environ, start_response):
            session["seen"] = True
            return endless(environ, start_response)

        app.mount_wsgi("/new", touching)
        app.path = "/new/"
        return app
    app.path = "/old/"

    async def fail(response):
        if response.status_code == 200 and erlen.request.path == app.path:
            raise LookupError
        return response

    def fail_in_a_thread(response):
        if response.status_code == 200 and erlen.request.path == app.path:
            raise LookupError
        return response

    app.after_request(fail if request.param == "hook" else fail_in_a_thread)
    return app


async def test_a_stream_whose_head_is_refused_gives_its_thread_back(refusing):
    client = refusing.test_client()

    async with asyncio.timeout(10):
        refused = [await client.get(refusing.path) for _ in range(3)]
        answer = await client.get("/def")

    assert {response.status_code for response in refused} == {500}
    assert (answer.status_code, answer.text) == (200, "fine")
    assert refusing.endless.closed == ["/"] * 3


@pytest.mark.parametrize("through", ["client", "gateway"])
def test_a_stream_whose_head_is_refused_gives_a_lent_thread_back(refusing, through):
    answers = []

    def ask():
        if through == "client":
            with refusing.test_client() as client:
                answers.extend([client.get(refusing.path).status_code, client.get("/def").text])
        else:
            statuses = []
            for path in (refusing.path, "/def"):
                environ = {"PATH_INFO": path}
                setup_testing_defaults(environ)
                result = refusing.wsgi_app(environ, lambda status, headers: statuses.append(status))
                text = b"".join(result).decode()
            answers.extend([int(statuses[0][:3]), text])
            refusing.wsgi_app.close()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(20)

    assert answers == [500, "fine"]
    assert refusing.endless.closed == ["/"]


@pytest.mark.parametrize("alone", [False, True], ids=["in an app", "alone"])
async def test_a_stream_whose_head_cannot_be_sent_is_closed(alone):
    endless = Endless()
    app = WSGIMount(endless) if alone else around(endless)
    wire = Wire()

    async def send(message):
        raise BrokenPipeError("gone")

    async with asyncio.timeout(10):
        try:
            await app(scope_of(), wire.receive, send)
        except OSError:
            pass

    assert len(endless.closed) == 1


@pytest.mark.parametrize("alone", [False, True], ids=["in an app", "alone"])
async def test_a_stream_that_is_cancelled_while_its_head_is_sent_is_closed(alone):
    endless = Endless()
    app = WSGIMount(endless) if alone else around(endless)
    wire, begun = Wire(), asyncio.Event()

    async def send(message):
        begun.set()
        await asyncio.Event().wait()

    serving = asyncio.create_task(app(scope_of(), wire.receive, send))
    async with asyncio.timeout(10):
        await begun.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    assert len(endless.closed) == 1


async def test_an_error_in_the_middle_of_a_stream_ends_it():
    app, wire = around(Pieces(b"begun", LookupError("midway"))), Wire()

    with pytest.raises(LookupError, match="midway"):
        await app(scope_of(), wire.receive, wire.send)

    assert wire.body == b"begun"
    assert wire.sent[-1]["more_body"] is True


async def test_an_error_after_the_client_has_left_is_logged(caplog):
    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        try:
            while True:
                yield b"x" * 1024
        finally:
            raise LookupError("in close")

    app, wire = around(wsgi_app), Wire()

    serving = asyncio.create_task(app(scope_of(), wire.receive, wire.send))
    await until(lambda: wire.body)
    wire.left.set()
    await serving

    assert "failed after its client had left" in caplog.text


# -- the app around it ---------------------------------------------------------------------


async def test_the_context_of_the_app_around_is_there():
    app = around(saying(lambda environ: (current_app.name, session.setdefault("n", 1))))
    client = app.test_client()

    response = await client.get("/old/")

    assert response.text == "('around', 1)"
    assert "session=" in response.headers["set-cookie"]


async def test_after_hooks_see_the_response_and_before_hooks_are_the_apps_own():
    app = around(saying(lambda environ: "old"))
    ran = []
    app.before_request(lambda: ran.append("before"))
    app.teardown_request(lambda error: ran.append("teardown"))

    @app.after_request
    async def after(response):
        response.headers["X-After"] = "yes"
        return response

    response = await app.test_client().get("/old/")

    assert response.headers["x-after"] == "yes"
    assert ran == ["teardown"]


async def test_requests_share_the_threads_of_the_app():
    def wsgi_app(environ, start_response):
        threads.append(threading.current_thread().name)
        start_response("200 OK", list(PLAIN))
        return [b""]

    threads = []

    await around(wsgi_app).test_client().get("/old/")

    assert threads == ["erlen-worker"]


async def test_a_full_pool_refuses_with_a_503():
    def wsgi_app(environ, start_response):
        begun.set()
        assert gate.wait(10)
        start_response("200 OK", list(PLAIN))
        return [b"done"]

    begun, gate = threading.Event(), threading.Event()
    app = around(wsgi_app)
    app.config.update(SYNC_WORKERS=1, SYNC_QUEUE=0)
    client = app.test_client()

    first = asyncio.create_task(client.get("/old/"))
    await until(begun.is_set)
    refused = await client.get("/old/")
    gate.set()

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await first).text == "done"


def test_the_sync_client_lends_its_thread():
    connection = sqlite3.connect(":memory:")

    def wsgi_app(environ, start_response):
        start_response("200 OK", list(PLAIN))
        for number in range(3):
            yield str(connection.execute("select ?", [number]).fetchone()[0]).encode()

    app = around(wsgi_app)

    @app.teardown_request
    def teardown(error):
        threads.append(threading.get_ident())

    threads = []
    with app.test_client() as client:
        response = client.get("/old/")
    connection.close()

    assert response.text == "012"
    assert threads == [threading.get_ident()]


async def test_a_websocket_below_the_prefix_is_not_found():
    client = around(saying(str)).test_client()

    with pytest.raises(Exception, match="404"):
        async with client.websocket("/old/ws"):
            pass


async def test_a_named_mount_has_urls():
    app = Erlen("named")
    app.mount_wsgi("/old", saying(str), name="old")

    assert app.url_path_for("old", path="/a/b") == "/old/a/b"


def test_a_prefix_begins_with_a_slash():
    with pytest.raises(SetupError, match="'/old'"):
        Erlen("wrong").mount_wsgi("old", saying(str))


# -- alone ---------------------------------------------------------------------------------


async def test_a_mount_serves_without_any_app_around():
    mount = WSGIMount(saying(lambda environ: environ["wsgi.input"].read()))
    wire = Wire(piece(b"x" * 70_000), piece(b"y", more=False))

    headers = [(b"content-length", b"70001")]
    await mount(scope_of("/", "POST", headers), wire.receive, wire.send)

    assert wire.body == repr(b"x" * 70_000 + b"y").encode()


async def test_a_full_pool_of_a_mount_alone_refuses_with_a_503():
    def wsgi_app(environ, start_response):
        begun.set()
        assert gate.wait(10)
        start_response("200 OK", list(PLAIN))
        return [b"done"]

    class Narrow(WSGIMount):
        pool = None

        @property
        def worker_pool(self):
            self.pool = self.pool or WorkerPool(size=1, queue=0)
            return self.pool

    begun, gate = threading.Event(), threading.Event()
    mount, first, second = Narrow(wsgi_app), Wire(), Wire()

    serving = asyncio.create_task(mount(scope_of("/"), first.receive, first.send))
    await until(begun.is_set)
    await mount(scope_of("/"), second.receive, second.send)
    gate.set()
    await serving

    assert second.sent[0]["status"] == 503
    assert first.body == b"done"


async def test_a_mount_alone_completes_a_lifespan_and_refuses_websockets():
    mount = WSGIMount(saying(str))
    life = Wire({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    denied, closed = Wire({"type": "websocket.connect"}), Wire({"type": "websocket.connect"})

    await mount({"type": "lifespan"}, life.receive, life.send)
    extensions = {"websocket.http.response": {}}
    await mount({"type": "websocket", "extensions": extensions}, denied.receive, denied.send)
    await mount({"type": "websocket"}, closed.receive, closed.send)

    assert [m["type"] for m in life.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert denied.sent[0]["status"] == 404
    assert closed.sent[0]["type"] == "websocket.close"


async def test_a_mount_inside_a_mounted_app_of_ours_has_that_context():
    outer, inner = Erlen("outer"), around(saying(lambda environ: environ["SCRIPT_NAME"]))
    outer.mount("/a", inner)

    response = await outer.test_client().get("/a/old/x")

    assert response.text == "/a/old"


# -- moving over, rule by rule -------------------------------------------------------------


def moving():
    app = Erlen("moving", static_folder=None)
    app.fallback_wsgi(
        saying(lambda environ: f"old {environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
    )

    @app.get("/notes/")
    async def notes():
        return "new notes"

    @app.before_request
    def note_that_it_ran():
        g.ran = True

    return app


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/notes/", "new notes"),
        ("GET", "/", "old GET /"),
        ("GET", "/elsewhere", "old GET /elsewhere"),
        ("POST", "/notes/", "old POST /notes/"),
        ("OPTIONS", "/elsewhere", "old OPTIONS /elsewhere"),
        ("GET", "/elsewhere//x", "old GET /elsewhere//x"),
    ],
)
async def test_what_no_rule_serves_by_path_and_method_goes_to_the_old_app(method, path, text):
    response = await moving().test_client().open(path, method=method)

    assert (response.status_code, response.text) == (200, text)


async def test_a_rule_answers_head_and_options_and_its_missing_slash():
    client = moving().test_client()

    head = await client.head("/notes/")
    options = await client.options("/notes/")
    slash = await client.get("/notes")

    assert (head.status_code, head.headers["content-length"]) == (200, "9")
    assert options.headers["allow"] == "GET, HEAD, OPTIONS"
    assert (slash.status_code, slash.headers["location"]) == (308, "/notes/")


async def test_a_rule_may_leave_options_to_the_old_app():
    app = moving()
    app.add_url_rule("/open", "open", lambda: "new", provide_automatic_options=False)

    response = await app.test_client().options("/open")

    assert response.text == "old OPTIONS /open"


async def test_the_fallback_comes_last_wherever_it_was_added():
    app = moving()
    app.mount_wsgi("/more", saying(lambda environ: "mounted later"))

    assert (await app.test_client().get("/more/")).text == "mounted later"


def test_an_app_has_one_fallback():
    with pytest.raises(SetupError, match="There is a fallback already"):
        moving().fallback_wsgi(saying(str))


async def test_nothing_is_mounted_while_the_app_serves():
    app = moving()
    await app.test_client().get("/notes/")

    with pytest.raises(SetupError, match="mount_wsgi"):
        app.mount_wsgi("/late", saying(str))
