"""request.enter: what is entered once is left at teardown, and sees what became of the view."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import aiosqlite
import pytest

from erlen import (
    Erlen,
    abort,
    copy_current_request_context,
    current_request,
    enter,
    request,
    sync,
    websocket,
)
from erlen.errors import ContextError


class Noted:
    """A manager of either kind that notes what it was left with, and in which thread."""

    def __init__(self):
        self.log = []
        self.threads = []

    def __enter__(self):
        self.threads.append(threading.get_ident())
        return self

    def __exit__(self, kind, error, traceback):
        self.threads.append(threading.get_ident())
        self.log.append(kind)


class Awaited(Noted):
    __enter__ = __exit__ = None

    async def __aenter__(self):
        return Noted.__enter__(self)

    async def __aexit__(self, *error):
        return Noted.__exit__(self, *error)


del Awaited.__enter__, Awaited.__exit__


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "notes.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("create table notes (text)")
    return path


def notes_in(database):
    with contextlib.closing(sqlite3.connect(database)) as db:
        return [text for (text,) in db.execute("select text from notes")]


@contextlib.asynccontextmanager
async def transaction(database):
    async with aiosqlite.connect(database) as db:
        try:
            yield db
        except BaseException:
            await db.rollback()
            raise
        await db.commit()


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_database_session_per_request_is_one_line(database, colour):
    app = Erlen("database")

    @app.post("/async/<text>")
    async def add(text):
        db = await request.enter(transaction(database))
        await db.execute("insert into notes values (?)", [text])
        if text == "wrong":
            abort(422)
        if text == "broken":
            raise LookupError
        return "added", 201

    @app.post("/def/<text>")
    def add_in_def(text):
        db = sync.request.enter(contextlib.closing(sqlite3.connect(database)))
        sync.request.enter(db)
        db.execute("insert into notes values (?)", [text])
        if text == "wrong":
            abort(422)
        if text == "broken":
            raise LookupError
        return "added", 201

    client = app.test_client()
    codes = [(await client.post(f"/{colour}/{text}")).status_code for text in TEXTS]

    assert codes == [201, 422, 500, 201]
    assert notes_in(database) == ["tea", "milk"]


TEXTS = ["tea", "wrong", "broken", "milk"]


class Handled(Exception):
    pass


async def test_it_sees_an_error_that_a_handler_answers():
    app, manager = Erlen("handled"), Noted()
    app.errorhandler(Handled)(lambda error: "sorry")

    @app.get("/")
    async def view():
        request.enter(manager)
        raise Handled

    assert (await app.test_client().get("/")).text == "sorry"
    assert manager.log == [Handled]


@pytest.mark.parametrize("manager", [Noted(), Awaited()], ids=["plain", "async"])
async def test_what_is_entered_in_def_code_is_one_call(manager):
    app = Erlen("def")

    @app.get("/")
    def view():
        assert sync.request.enter(manager) is manager
        return "x"

    assert (await app.test_client().get("/")).text == "x"
    assert manager.log == [None]


@pytest.mark.parametrize("after", ["async", "def"])
async def test_a_plain_manager_is_left_in_the_thread_in_which_it_was_entered(after):
    app = Erlen("threads")
    on_loop, in_thread = Noted(), Noted()

    @app.before_request
    async def before():
        request.enter(on_loop)

    async def hook(response):
        return response

    app.after_request(hook if after == "async" else lambda response: response)

    @app.get("/def")
    def view():
        sync.request.enter(in_thread)
        return "x"

    @app.get("/async")
    async def async_view():
        return "x"

    client = app.test_client()
    for path in ("/def", "/async"):
        assert (await client.get(path)).text == "x"

    assert set(on_loop.threads) == {threading.get_ident()}
    assert len(on_loop.threads) == 4
    assert len(set(in_thread.threads)) == 1
    assert threading.get_ident() not in in_thread.threads


async def test_a_manager_of_both_kinds_is_the_one_that_fits_the_colour():
    class Both(Awaited):
        __enter__ = Noted.__enter__
        __exit__ = Noted.__exit__

    app = Erlen("both")
    awaited, plain = Both(), Both()

    @app.get("/async")
    async def view():
        assert await request.enter(awaited) is awaited
        return "x"

    @app.get("/def")
    def view_in_def():
        assert sync.request.enter(plain) is plain
        return "x"

    client = app.test_client()
    await client.get("/async")
    await client.get("/def")

    assert awaited.threads == [threading.get_ident()] * 2
    assert threading.get_ident() not in plain.threads
    assert (awaited.log, plain.log) == ([None], [None])


async def test_a_missing_await_is_named():
    app = Erlen("await")
    app.testing = True

    @app.get("/")
    async def view():
        return request.enter(Awaited()).log

    with pytest.raises(TypeError, match=r"request.enter\(...\) must be awaited here"):
        await app.test_client().get("/")


async def test_a_stream_is_over_before_what_it_uses_is_left():
    app, manager = Erlen("stream"), Noted()

    @app.get("/")
    async def view():
        request.enter(manager)

        async def pieces():
            yield "one "
            yield f"{manager.log}"

        return pieces()

    assert (await app.test_client().get("/")).text == "one []"
    assert manager.log == [None]


async def test_a_websocket_has_it_too():
    app, manager = Erlen("websocket"), Awaited()

    @app.websocket("/")
    async def talk():
        await websocket.enter(manager)
        await websocket.send("entered")

    async with app.test_client().websocket("/") as ws:
        assert await ws.receive() == "entered"
    assert manager.log == [None]


async def test_a_copied_context_leaves_what_was_entered_in_it_and_nothing_else():
    app = Erlen("copy")
    outer, inner = Noted(), Noted()
    seen = []

    @app.get("/")
    async def view():
        request.enter(outer)

        @copy_current_request_context
        async def later():
            request.enter(inner)
            seen.append(list(inner.log))

        await later()
        seen.append((list(outer.log), list(inner.log)))
        return "x"

    await app.test_client().get("/")

    assert seen == [[], ([], [None])]
    assert outer.log == [None]


async def test_nothing_can_be_entered_for_a_request_that_is_over():
    app, kept = Erlen("over"), []

    @app.get("/")
    async def view():
        kept.append(current_request())
        return "x"

    @app.teardown_request
    async def too_late(error):
        with pytest.raises(ContextError, match="is over"):
            request.enter(Noted())
        kept.append("refused")

    await app.test_client().get("/")

    assert kept[1:] == ["refused"]
    with pytest.raises(ContextError, match="no request here"):
        kept[0].enter(Noted())


async def test_an_app_context_has_it_by_the_function():
    app, manager = Erlen("app"), Noted()

    with contextlib.suppress(LookupError):
        async with app.app_context():
            enter(manager)
            raise LookupError

    assert manager.log == [LookupError]


async def test_an_error_of_the_way_out_is_logged_and_costs_nobody_a_response(caplog):
    app = Erlen("leaving")

    class Failing(Noted):
        def __exit__(self, *error):
            raise LookupError("at the end")

    other = Noted()

    @app.get("/")
    async def view():
        request.enter(other)
        request.enter(Failing())
        return "x"

    assert (await app.test_client().get("/")).text == "x"
    assert other.log == [None]
    assert "LookupError: at the end" in caplog.text
