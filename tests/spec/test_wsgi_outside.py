"""An Erlen app as a WSGI app: what servers may ask of it, and where its code runs."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextvars import ContextVar
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from starlette.background import BackgroundTask

from erlen import (
    Erlen,
    Response,
    copy_current_request_context,
    g,
    request,
    stream_with_context,
    sync,
)
from erlen.wsgi import WSGIMount


def environ_of(path="/", method="GET", body=b"", **changes):
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "wsgi.input": io.BytesIO(body),
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    setup_testing_defaults(environ)
    environ.update(changes)
    return {key: value for key, value in environ.items() if value is not None}


class Server:
    """A WSGI server: it takes what the app answers, and may leave in the middle."""

    def __init__(self, app):
        self.app = app
        self.status = None
        self.headers = {}
        self.written = []

    def start_response(self, status, headers, exc_info=None):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        return self.written.append

    def ask(self, *args, **kwargs):
        """Ask for a path, and return the body."""
        return b"".join(self.pieces(*args, **kwargs))

    def pieces(self, *args, **kwargs):
        with self.asking(*args, **kwargs) as result:
            return [*self.written, *result]

    @contextlib.contextmanager
    def asking(self, *args, **kwargs):
        self.written = []
        result = self.app(environ_of(*args, **kwargs), self.start_response)
        try:
            yield result
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()


@pytest.fixture
def app():
    app = Erlen("outside", static_folder=None)
    app.secret_key = "k" * 32
    yield app
    vars(app).pop("wsgi_app", None)
    app.wsgi_app.close()


@pytest.fixture
def server(app):
    return Server(app.wsgi_app)


# -- the letter of PEP 3333 ----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/def", "/stream", "/generator", "/missing", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_validator_of_the_standard_library_finds_nothing(app, path, method):
    @app.get("/")
    async def index():
        return "async"

    @app.get("/def")
    def plain():
        return "def"

    @app.get("/stream")
    async def stream():
        async def pieces():
            yield "a"
            yield "b"

        return pieces()

    @app.get("/generator")
    def generator():
        return (text for text in "ab")

    @app.get("/nothing")
    async def nothing():
        return "", 204

    server = Server(validator(app.wsgi_app))
    expected = {"/": b"async", "/def": b"def", "/stream": b"ab", "/generator": b"ab"}

    if path == "/nothing":
        expected["/nothing"] = b""
    body = server.ask(path, method)

    if path == "/missing":
        assert server.status == "404 Not Found"
    else:
        assert body == (expected[path] if method == "GET" else b"")


def test_a_status_that_nobody_named_has_a_reason_all_the_same(app, server):
    @app.get("/")
    async def index():
        return "", 299

    server.ask()

    assert server.status == "299 Unknown"


def test_headers_of_the_connection_stay_with_the_server(app, server):
    @app.get("/")
    async def index():
        return "x", 200, {"Connection": "close", "X-Mine": "yes"}

    server.ask()

    assert "connection" not in server.headers
    assert server.headers["x-mine"] == "yes"


def test_an_error_that_the_app_raises_reaches_the_server(app, server):
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/")
    async def index():
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        server.ask()


def test_an_error_is_an_error_page_otherwise(app, server):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.get("/")
    def index():
        raise LookupError("broken")

    server.ask()

    assert server.status == "500 Internal Server Error"


def unconfigure_logging(monkeypatch):
    """Have logging as it is where nobody has configured it: pytest has, for its tests."""
    for name in ("outside", "outer"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)


def test_what_is_logged_in_a_request_goes_to_the_errors_of_its_server(
    app, server, capsys, monkeypatch
):
    unconfigure_logging(monkeypatch)
    log = io.StringIO()

    @app.get("/<colour>")
    async def index(colour):
        app.logger.error("said by %s", colour)
        raise LookupError(colour)

    @app.before_request
    def hook():
        app.logger.error("a hook")

    server.ask("/ada", **{"wsgi.errors": log})

    text = log.getvalue()
    assert "ERROR in test_wsgi_outside: a hook\n" in text
    assert "ERROR in test_wsgi_outside: said by ada\n" in text
    assert "Exception on /ada [GET]\n" in text
    assert "LookupError: ada\n" in text
    assert capsys.readouterr().err == ""


def test_an_error_of_middleware_goes_to_the_errors_of_the_server(app, server, monkeypatch):
    unconfigure_logging(monkeypatch)
    log = io.StringIO()

    def failing(inner):
        async def fail(scope, receive, send):
            if scope["type"] == "http":
                raise LookupError("broken")
            await inner(scope, receive, send)

        return fail

    app.add_middleware(failing)

    server.ask("/", **{"wsgi.errors": log})

    assert server.status == "500 Internal Server Error"
    assert "Exception on / [GET]\n" in log.getvalue()


def test_what_is_logged_after_a_request_goes_to_stderr(app, server, monkeypatch):
    unconfigure_logging(monkeypatch)
    log, stderr, kept = io.StringIO(), io.StringIO(), []

    @app.get("/")
    async def index():
        kept.append(copy_current_request_context(lambda: app.logger.error("late")))
        return ""

    server.ask("/", **{"wsgi.errors": log})
    monkeypatch.setattr(sys, "stderr", stderr)
    kept[0]()

    assert log.getvalue() == ""
    assert stderr.getvalue().endswith("late\n")


def test_a_gateway_inside_logs_through_the_app_around_it(app, monkeypatch):
    unconfigure_logging(monkeypatch)
    outer, log = Erlen("outer"), io.StringIO()
    outer.mount("/in", WSGIMount(app.wsgi_app))

    @app.get("/")
    async def index():
        app.logger.error("from inside")
        return ""

    outer.sync_test_client().get("/in/", errors_stream=log)

    assert log.getvalue().count("from inside") == 1


def test_an_error_in_the_middle_of_a_stream_reaches_the_server(app, server):
    @app.get("/")
    async def index():
        async def pieces():
            yield "begun"
            raise LookupError("midway")

        return pieces()

    with server.asking() as result:
        assert next(result) == b"begun"
        with pytest.raises(LookupError, match="midway"):
            next(result)


def test_an_app_that_does_not_answer_is_an_error(app, server):
    async def silent(scope, receive, send):
        pass

    app.mount("/silent", silent)

    with pytest.raises(RuntimeError, match="before it had sent a response"):
        server.ask("/silent/")


def test_an_app_that_stops_in_the_middle_is_an_error(app, server):
    async def halting(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    app.mount("/halting", halting)

    with pytest.raises(RuntimeError, match="before its response was complete"):
        server.ask("/halting/")


def test_a_system_exit_ends_the_request_and_not_the_loop(app, server):
    @app.get("/")
    async def index():
        raise SystemExit(3)

    @app.get("/after")
    async def after():
        return "still here"

    with pytest.raises(SystemExit):
        server.ask()

    assert server.ask("/after") == b"still here"


def test_a_websocket_is_told_that_this_is_no_place_for_it(app, server):
    server.ask("/", HTTP_UPGRADE="WebSocket", HTTP_CONNECTION="Upgrade")

    assert server.status == "426 Upgrade Required"


# -- the scope -----------------------------------------------------------------------------


def scope_for(app, server, path="/seen", **changes):
    scopes = []

    async def see(scope, receive, send):
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    app.router.routes.clear()
    app.mount("/", see)
    server.ask(path, **changes)
    return scopes[-1]


def test_the_path_is_decoded_and_the_prefix_is_its_beginning(app, server):
    scope = scope_for(app, server, "/caf\xc3\xa9", SCRIPT_NAME="/pre")

    assert (scope["root_path"], scope["path"]) == ("/pre", "/pre/caf\xe9")
    assert scope["raw_path"] == b"/pre/caf%C3%A9"


@pytest.mark.parametrize(
    ("uri", "raw"),
    [("/a%2Fb?c=d", b"/a%2Fb"), ("http://host/a%2Fb", b"/a%2Fb"), ("http://[", b"/a/b")],
)
def test_the_path_as_it_was_sent_is_there_if_the_server_tells(app, server, uri, raw):
    assert scope_for(app, server, "/a/b", REQUEST_URI=uri)["raw_path"] == raw


def test_a_path_that_is_no_text_is_no_error(app, server):
    assert scope_for(app, server, "/\xff")["path"] == "/\ufffd"


def test_headers_are_those_of_the_request(app, server):
    scope = scope_for(app, server, HTTP_X_A="caf\xe9", HTTP_COOKIE="a=1", CONTENT_TYPE="text/plain")

    assert (b"x-a", b"caf\xe9") in scope["headers"]
    assert (b"cookie", b"a=1") in scope["headers"]
    assert (b"content-type", b"text/plain") in scope["headers"]


@pytest.mark.parametrize(
    ("changes", "client", "server_address"),
    [
        ({"REMOTE_ADDR": "::1", "REMOTE_PORT": "9"}, ("::1", 9), ("127.0.0.1", 80)),
        ({"REMOTE_ADDR": "::1"}, ("::1", 0), ("127.0.0.1", 80)),
        ({"SERVER_NAME": "/run/sock", "SERVER_PORT": ""}, None, ("/run/sock", None)),
        ({"REMOTE_ADDR": "", "SERVER_NAME": None}, None, None),
    ],
)
def test_addresses_may_be_missing(app, server, changes, client, server_address):
    scope = scope_for(app, server, **changes)

    assert scope["client"] == client
    assert scope["server"] == server_address


def test_the_environ_is_within_reach(app, server):
    @app.get("/")
    async def index():
        return request.scope["wsgi.environ"]["REMOTE_USER"]

    assert server.ask(REMOTE_USER="ada") == b"ada"


# -- the body of a request -----------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 300_000])
@pytest.mark.parametrize("path", ["/async", "/def", "/stream"])
def test_a_body_arrives_whole(app, server, path, size):
    @app.post("/async")
    async def view():
        return str(len(await request.get_data()))

    @app.post("/def")
    def plain():
        return str(len(sync.request.get_data()))

    @app.post("/stream", stream_body=True)
    def stream():
        return str(sum(len(line) for line in iter(lambda: sync.request.stream.read(999), b"")))

    assert server.ask(path, "POST", b"x" * size) == str(size).encode()


def test_a_chunked_body_arrives_where_the_server_can_end_it(app, server):
    @app.post("/")
    async def view():
        return await request.get_data()

    changes = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": None}
    body = b"x" * 100_000

    assert server.ask("/", "POST", body, **changes, **{"wsgi.input_terminated": True}) == body
    assert server.ask("/", "POST", body, **changes) == b""


def test_a_length_that_was_not_sent_is_no_body(app, server):
    @app.post("/")
    async def view():
        return await request.get_data()

    assert server.ask("/", "POST", b"body", CONTENT_LENGTH="") == b""
    assert server.ask("/", "POST", b"body", CONTENT_LENGTH=None) == b""


@pytest.mark.parametrize(
    "length",
    ["-1", "+3", "0x3", "3,3", "many", "1e3", "\xb2", "\u0663", "9" * 19, "9" * 5000],
    ids=lambda length: ascii(length)[:12],
)
def test_a_length_that_is_none_is_a_400(app, server, length):
    @app.route("/", methods=["GET", "POST"])
    async def view():
        return await request.get_data()

    body = server.ask("/", "POST", b"body", CONTENT_LENGTH=length)

    assert server.status == "400 Bad Request"
    assert body == b"The Content-Length of a request has to be a number of bytes."
    assert server.ask("/", "HEAD", CONTENT_LENGTH=length) == b""


@pytest.mark.parametrize("length", ["4", "004", "4 ", "\t4"])
def test_a_length_may_be_written_with_zeros_and_spaces(app, server, length):
    @app.post("/")
    async def view():
        return await request.get_data()

    assert server.ask("/", "POST", b"body, and the next request", CONTENT_LENGTH=length) == b"body"


@pytest.mark.parametrize("announced", [100, 1_000_000])
def test_a_client_that_leaves_in_the_middle_of_its_upload_is_a_400(app, server, announced):
    @app.post("/")
    async def view():
        return await request.get_data()

    server.ask("/", "POST", b"some", CONTENT_LENGTH=str(announced))

    assert server.status == "400 Bad Request"


def test_an_error_of_the_server_while_it_reads_is_a_client_that_left(app, server):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError

    @app.post("/")
    async def view():
        return await request.get_data()

    server.ask("/", "POST", b"some", **{"wsgi.input": Broken()})

    assert server.status == "400 Bad Request"


def test_a_body_that_is_large_is_refused_while_it_comes(app, server):
    app.config["MAX_CONTENT_LENGTH"] = 100_000
    read = []

    class Endless(io.BytesIO):
        def read(self, size=-1):
            read.append(size)
            return b"x" * size

    @app.post("/")
    async def view():
        return await request.get_data()

    changes = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    server.ask("/", "POST", **changes, **{"wsgi.input": Endless()})

    assert server.status.startswith("413 ")
    assert len(read) < 5


def test_a_stream_may_answer_what_it_reads(app, server):
    @app.post("/")
    async def echo():
        async def pieces():
            async for chunk in request.stream:
                yield chunk

        return pieces()

    body = b"x" * 1_000_000

    assert server.ask("/", "POST", body) == body


# -- where code runs -----------------------------------------------------------------------


def test_def_code_runs_in_the_thread_of_the_server_and_async_code_on_one_loop(app, server):
    @app.before_request
    def open_connection():
        g.connection = sqlite3.connect(":memory:")

    @app.teardown_request
    def close_connection(error):
        g.connection.close()
        closed.append(threading.get_ident())

    @app.get("/def")
    def plain():
        return str(g.connection.execute("select 1").fetchone()[0])

    @app.get("/generator")
    def generator():
        def pieces():
            for number in range(3):
                yield str(g.connection.execute("select ?", [number]).fetchone()[0])

        return stream_with_context(pieces())

    @app.get("/async")
    async def view():
        loops.append(asyncio.get_running_loop())
        return "async"

    loops, closed = [], []

    assert [server.ask(path) for path in ("/def", "/generator", "/async", "/async")] == [
        b"1",
        b"012",
        b"async",
        b"async",
    ]
    assert closed == [threading.get_ident()] * 4
    assert loops[0] is loops[1]


def test_a_generator_is_sent_while_it_goes_on(app, server):
    @app.get("/")
    def index():
        def pieces():
            for number in range(3):
                yield str(number)
                seen.append([*server.written])

        return pieces()

    for _ in range(100):  # what the loop was quicker to send than the thread to wait for, too
        seen = []

        assert server.ask() == b"012"
        assert seen == [[b"0"], [b"0", b"1"], [b"0", b"1", b"2"]]


def test_a_wsgi_app_inside_is_sent_while_it_goes_on(app, server):
    def wsgi_app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        for number in b"012":
            yield bytes([number])
            seen.append(b"".join(server.written))

    app.mount_wsgi("/inner", wsgi_app)

    for _ in range(100):
        seen = []

        assert server.ask("/inner/") == b"012"
        assert seen == [b"0", b"01", b"012"]


def test_an_async_hook_and_a_def_view_work_together(app, server):
    variable = ContextVar("variable", default="unset")

    @app.before_request
    async def hook():
        await asyncio.sleep(0)
        variable.set("set on the loop")

    @app.get("/")
    def index():
        return f"{variable.get()} {app.ensure_sync(double)(21)}"

    async def double(number):
        await asyncio.sleep(0)
        return number * 2

    assert server.ask() == b"set on the loop 42"
    assert variable.get() == "unset"


def test_variables_of_the_server_are_seen(app, server):
    variable = ContextVar("variable", default="unset")

    @app.get("/")
    async def index():
        return variable.get()

    token = variable.set("by middleware")
    body = server.ask()
    variable.reset(token)

    assert body == b"by middleware"


async def test_a_thread_with_a_loop_of_its_own_is_not_lent(app, server):
    @app.get("/")
    def index():
        return threading.current_thread().name

    assert server.ask() == b"erlen-worker"


def test_many_threads_are_served_at_once(app, server):
    barrier = threading.Barrier(20)

    @app.get("/")
    def index():
        barrier.wait(20)
        return str(threading.get_ident())

    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(Server(app.wsgi_app).ask()))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(answers)) == 20


def test_both_gateways_keep_one_thread(app, server):
    def wsgi_app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        for line in environ["wsgi.input"]:
            yield line.rstrip() + f" {threading.get_ident()}\n".encode()

    app.mount_wsgi("/inner", wsgi_app)

    line = b"a" * 100
    body = server.ask("/inner/", "POST", (line + b"\n") * 1_500)

    assert body == (line + f" {threading.get_ident()}\n".encode()) * 1_500


def test_a_gateway_may_stand_inside_another_app(app):
    outer = Erlen("outer")
    outer.mount("/in", WSGIMount(app.wsgi_app))

    @app.get("/page")
    async def page():
        return request.root_path + request.path

    with outer.test_client() as client:
        assert client.get("/in/page").text == "/in/page"


# -- the body of a response ----------------------------------------------------------------


def test_a_stream_waits_for_a_slow_server(app, server):
    produced = []

    @app.get("/")
    async def index():
        async def pieces():
            for number in range(100):
                produced.append(number)
                yield b"x" * 32 * 1024

        return pieces()

    with server.asking() as result:
        first = next(result)
        waiting = len(produced)
        rest = b"".join(result)

    assert waiting <= 6
    assert len(first + rest) == 100 * 32 * 1024


def test_a_server_that_leaves_cancels_the_stream(app, server):
    ended = threading.Event()

    @app.get("/")
    async def index():
        async def pieces():
            try:
                while True:
                    yield "x"
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return pieces()

    with server.asking() as result:
        next(result)
        assert not ended.is_set()

    assert ended.is_set()


def test_def_teardowns_of_a_stream_that_was_left_run_in_the_same_thread(app, server):
    threads = []

    @app.get("/")
    async def index():
        async def pieces():
            while True:
                yield "x"
                await asyncio.sleep(0)

        return pieces()

    @app.teardown_request
    def teardown(error):
        threads.append(threading.get_ident())

    with server.asking() as result:
        next(result)

    assert threads == [threading.get_ident()]


def test_a_generator_whose_server_cannot_write_is_closed(app):
    closed = []

    @app.get("/")
    def index():
        def pieces():
            try:
                while True:
                    yield "x"
            finally:
                closed.append(threading.get_ident())

        return pieces()

    def start_response(status, headers):
        def write(data):
            raise BrokenPipeError("gone")

        return write

    with pytest.raises(BrokenPipeError):
        app.wsgi_app(environ_of(), start_response)

    assert closed == [threading.get_ident()]


def test_a_response_does_not_wait_for_background_work(app, server):
    gate, done = threading.Event(), threading.Event()

    async def work():
        while not gate.is_set():
            await asyncio.sleep(0.001)
        done.set()

    @app.get("/task")
    async def task():
        app.add_background_task(work)
        return "answered"

    @app.get("/starlette")
    async def starlette():
        response = Response("answered")
        response.background = BackgroundTask(work)
        return response

    for path in ("/task", "/starlette"):
        assert server.ask(path) == b"answered"
        assert not done.is_set()
        gate.set()
        assert done.wait(10)
        gate.clear()
        done.clear()


def test_def_code_that_comes_when_the_server_has_its_thread_back_runs_in_the_pool(app, server):
    gate, torn = threading.Event(), threading.Event()
    threads = []

    async def work():
        while not gate.is_set():
            await asyncio.sleep(0.001)

    @app.get("/")
    async def index():
        response = Response("answered")
        response.background = BackgroundTask(work)
        return response

    @app.teardown_request
    def teardown(error):
        threads.append(threading.current_thread().name)
        torn.set()

    assert server.ask() == b"answered"
    gate.set()

    assert torn.wait(10)
    assert threads == ["erlen-worker"]


def test_a_thread_that_ran_def_code_does_not_wait_for_ever(app, server, monkeypatch):
    monkeypatch.setattr("erlen.wsgi.gateway.LINGER", 0.01)
    gate, done = threading.Event(), threading.Event()

    async def work():
        while not gate.is_set():
            await asyncio.sleep(0.001)
        done.set()

    @app.get("/")
    def index():
        response = Response("answered")
        response.background = BackgroundTask(work)
        return response

    assert server.ask() == b"answered"
    assert not done.is_set()
    gate.set()

    assert done.wait(10)


def test_an_error_of_the_server_ends_the_request(app):
    ended = threading.Event()

    @app.get("/")
    async def index():
        async def pieces():
            try:
                while True:
                    yield "x"
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return pieces()

    def start_response(status, headers):
        raise AssertionError("not like this")

    with pytest.raises(AssertionError, match="not like this"):
        app.wsgi_app(environ_of(), start_response)

    assert ended.wait(10)


# -- the life of the app -------------------------------------------------------------------


def test_the_app_starts_once_before_its_first_request(app, server):
    life = []

    @app.while_serving
    async def serving():
        life.append("start")
        yield
        life.append("stop")

    @app.get("/")
    async def index():
        return "ok"

    assert life == []
    server.ask()
    server.ask()
    assert life == ["start"]
    app.wsgi_app.close()
    assert life == ["start", "stop"]


def test_a_start_that_fails_is_told_to_the_server_and_tried_again(app, server):
    attempts = []

    @app.before_serving
    async def start():
        attempts.append(len(attempts))
        if len(attempts) == 1:
            raise ConnectionError("no database yet")

    @app.get("/")
    async def index():
        return "ok"

    assert repr(app.wsgi_app) == "<wsgi_app of <Erlen 'outside'>>"
    with pytest.raises(ConnectionError, match="no database yet"):
        server.ask()
    assert server.ask() == b"ok"
    assert attempts == [0, 1]


def test_the_state_of_the_lifespan_is_there():
    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"pool": "open"}

    app = Erlen("state", lifespan=lifespan)

    @app.get("/")
    async def index():
        return request.state["pool"]

    assert Server(app.wsgi_app).ask() == b"open"
    app.wsgi_app.close()


def test_middleware_of_wsgi_may_be_put_around(app):
    inner = app.wsgi_app

    def middleware(environ, start_response):
        environ["HTTP_X_ADDED"] = "yes"
        return inner(environ, start_response)

    app.wsgi_app = middleware

    @app.get("/")
    async def index():
        return request.headers["x-added"]

    assert Server(app.wsgi_app).ask() == b"yes"


SCRIPT = """
import io, os, sys
from wsgiref.util import setup_testing_defaults
from erlen import Erlen

app = Erlen("forked")

@app.while_serving
async def serving():
    print("start", os.getpid() == first, flush=True)
    yield
    print("stop", os.getpid() == first, flush=True)

@app.get("/")
def index():
    return "ok"

def ask():
    environ = {}
    setup_testing_defaults(environ)
    environ["wsgi.input"] = io.BytesIO()
    assert app.wsgi_app(environ, lambda *args: None) == [b"ok"]

first = os.getpid()
if sys.argv[1] == "before":
    ask()
child = os.fork()
if child:
    os.waitpid(child, 0)
    ask()
else:
    ask()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("first", ["before", "after"])
def test_a_process_that_was_forked_has_a_loop_and_a_life_of_its_own(first):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(SCRIPT), first],
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert result.returncode == 0, result.stderr
    lines = result.stdout.split("\n")[:-1]
    assert sorted(lines) == ["start False", "start True", "stop False", "stop True"]
    assert lines[-1] == "stop True"
