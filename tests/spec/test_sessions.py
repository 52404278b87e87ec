"""Sessions as an app sees them: opened when touched, saved when changed, replaceable."""

from __future__ import annotations

import asyncio
import threading

import pytest

from erlen import (
    Erlen,
    Markup,
    copy_current_request_context,
    flash,
    get_flashed_messages,
    request,
    session,
)
from erlen.errors import ContextError
from erlen.proxies import current
from erlen.sessions import (
    SecureCookieSession,
    SecureCookieSessionInterface,
    SessionInterface,
)
from erlen.signals import appcontext_pushed


def app_with_session(**config):
    app = Erlen("session")
    app.secret_key = "k" * 32
    app.config.update(config)

    @app.get("/set/<value>")
    async def set_value(value):
        session["value"] = value
        return "set"

    @app.get("/get")
    async def get_value():
        return session.get("value", "nothing")

    @app.get("/def")
    def get_in_def():
        return session.get("value", "nothing")

    @app.get("/clear")
    async def clear():
        session.clear()
        return "cleared"

    @app.get("/untouched")
    async def untouched():
        return "x"

    return app


async def test_a_value_comes_back_with_the_next_request_in_both_colours():
    client = app_with_session().test_client()
    await client.get("/set/ada")

    assert (await client.get("/get")).text == "ada"
    assert (await client.get("/def")).text == "ada"


async def test_a_session_that_is_emptied_is_forgotten():
    client = app_with_session().test_client()
    await client.get("/set/ada")

    response = await client.get("/clear")

    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert (await client.get("/get")).text == "nothing"


async def test_looking_at_the_session_makes_the_response_vary():
    client = app_with_session().test_client()

    assert (await client.get("/get")).headers["Vary"] == "Cookie"
    assert "Vary" not in (await client.get("/untouched")).headers


async def test_a_cookie_is_secure_when_it_comes_by_https():
    client = app_with_session().test_client()

    plain = await client.get("/set/a")
    secure = await client.get("https://localhost/set/a")

    assert "Secure" not in plain.headers["Set-Cookie"]
    assert "Secure" in secure.headers["Set-Cookie"]
    assert "HttpOnly" in plain.headers["Set-Cookie"]
    assert "SameSite=Lax" in plain.headers["Set-Cookie"]


async def test_a_forged_cookie_is_an_empty_session():
    client = app_with_session().test_client()

    response = await client.get("/get", headers={"Cookie": "session=forged.x.y"})

    assert (response.status_code, response.text) == (200, "nothing")


async def test_an_old_key_still_opens_what_it_signed():
    old = app_with_session().test_client()
    cookie = (await old.get("/set/ada")).headers["Set-Cookie"].partition(";")[0]
    new = app_with_session(SECRET_KEY="n" * 32, SECRET_KEY_FALLBACKS=["k" * 32]).test_client()

    assert (await new.get("/get", headers={"Cookie": cookie})).text == "ada"


async def test_messages_are_flashed_to_the_next_page_once():
    app = app_with_session()

    @app.get("/flash")
    async def flash_async():
        flash("plain")
        flash(Markup("<b>bold</b>"), "error")
        return "flashed"

    @app.get("/show")
    def show():
        assert get_flashed_messages() == get_flashed_messages()
        return str(get_flashed_messages(with_categories=True))

    @app.get("/errors")
    def errors():
        return str(get_flashed_messages(category_filter=["error"]))

    client = app.test_client()
    await client.get("/flash")
    assert (await client.get("/show")).text == (
        "[('message', 'plain'), ('error', Markup('<b>bold</b>'))]"
    )
    assert (await client.get("/show")).text == "[]"
    await client.get("/flash")
    assert (await client.get("/errors")).text == "[Markup('<b>bold</b>')]"


# -- with a copy of the request ------------------------------------------------------------


def run_in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(10)


@pytest.mark.parametrize("first", ["nobody", "the view"])
def test_what_a_thread_writes_with_a_copy_of_the_request_is_saved(first):
    app = app_with_session()

    @app.get("/")
    def view():
        @copy_current_request_context
        def work():
            session["value"] = "written"
            flash("done")

        if first == "the view":
            assert "value" not in session
        run_in_thread(work)
        return session["value"] if first == "the view" else "x"

    @app.get("/messages")
    def messages():
        return get_flashed_messages()

    client = app.sync_test_client()
    response = client.get("/")

    assert response.headers["Vary"] == "Cookie"
    assert client.get("/get").text == "written"
    assert client.get("/messages").json == ["done"]


def test_copies_of_a_request_share_a_session_that_the_view_never_touched():
    app = app_with_session()

    @app.get("/")
    def view():
        @copy_current_request_context
        def work():
            session["count"] = session.get("count", 0) + 1
            run_in_thread(deeper)

        @copy_current_request_context
        def deeper():
            session["depth"] = session.get("depth", 0) + 1

        run_in_thread(work)
        run_in_thread(work)
        return [session["count"], session["depth"]]

    assert app.sync_test_client().get("/").json == [2, 2]


async def test_a_task_with_a_copy_of_the_request_writes_into_its_session():
    app = app_with_session()

    @app.get("/")
    async def view():
        @copy_current_request_context
        async def work():
            session["value"] = "written"

        await asyncio.create_task(work())
        return "x"

    client = app.test_client()
    await client.get("/")

    assert (await client.get("/get")).text == "written"


def test_a_copy_that_nobody_asks_for_its_session_opens_none():
    app = app_with_session()

    @app.get("/")
    def view():
        run_in_thread(copy_current_request_context(lambda: request.path))
        return str(current.get().opened)

    response = app.sync_test_client().get("/")

    assert (response.text, "Vary" in response.headers) == ("None", False)


def test_a_copy_that_outlives_its_request_can_still_read_the_session():
    app = app_with_session()
    kept = []

    @app.get("/")
    def view():
        kept.append(copy_current_request_context(lambda: session["value"]))
        return "x"

    client = app.sync_test_client()
    client.get("/set/ada")
    client.get("/")

    assert kept[0]() == "ada"


def test_two_that_open_the_session_at_once_get_the_same_one():
    app = app_with_session()
    both = threading.Barrier(2, timeout=10)
    seen = []

    class Meeting(SecureCookieSessionInterface):
        never_waits = True

        def open_session(self, app, request):
            both.wait()
            return super().open_session(app, request)

    @app.get("/both")
    def view():
        @copy_current_request_context
        def look():
            seen.append(current.get().untouched_session)

        thread = threading.Thread(target=look)
        thread.start()
        mine = current.get().untouched_session
        thread.join(10)
        return str(seen == [mine] and seen[0] is mine)

    app.session_interface = Meeting()

    assert app.sync_test_client().get("/both").text == "True"


# -- interfaces of one's own ---------------------------------------------------------------


class Store(SessionInterface):
    """Sessions in a dict, found by a cookie."""

    def __init__(self):
        self.sessions = {}
        self.threads = set()

    def find(self, request):
        self.threads.add(threading.get_ident())
        return SecureCookieSession(self.sessions.get(request.cookies.get("sid"), {}))

    def keep(self, session, response):
        self.threads.add(threading.get_ident())
        if session.modified:
            self.sessions["1"] = dict(session)
            response.set_cookie("sid", "1")


class AsyncStore(Store):
    async def open_session(self, app, request):
        await asyncio.sleep(0)
        return self.find(request)

    async def save_session(self, app, session, response):
        await asyncio.sleep(0)
        self.keep(session, response)


class BlockingStore(Store):
    def open_session(self, app, request):
        return self.find(request)

    def save_session(self, app, session, response):
        self.keep(session, response)


@pytest.mark.parametrize("store", [AsyncStore, BlockingStore])
async def test_an_interface_of_either_colour_serves_views_of_both(store):
    app = app_with_session()
    app.session_interface = interface = store()
    client = app.test_client()

    await client.get("/set/ada")

    assert (await client.get("/get")).text == "ada"
    assert (await client.get("/def")).text == "ada"
    on_loop = threading.get_ident() in interface.threads
    assert on_loop is (store is AsyncStore)


async def test_an_async_session_is_open_before_the_hooks():
    app = app_with_session()
    app.session_interface = AsyncStore()
    seen = []

    @app.before_request
    async def look():
        seen.append(session.get("value"))

    await app.test_client().get("/set/ada")

    assert seen == [None]


def test_a_thread_with_a_copy_of_the_request_opens_an_async_session():
    app = app_with_session()
    app.session_interface = AsyncStore()

    @app.get("/")
    def view():
        @copy_current_request_context
        def work():
            session["value"] = "written"

        run_in_thread(work)
        return "x"

    client = app.sync_test_client()
    client.get("/")

    assert client.get("/get").text == "written"


async def test_a_route_may_do_without_an_async_session(caplog):
    app = app_with_session()
    app.session_interface = AsyncStore()

    @app.get("/without", session=False)
    async def without():
        return "x"

    @app.get("/touches", session=False)
    async def touches():
        return session.get("value", "nothing")

    client = app.test_client()

    assert (await client.get("/without")).text == "x"
    assert app.session_interface.threads == set()
    assert (await client.get("/touches")).status_code == 500
    assert "marked session=False" in caplog.text


async def test_an_interface_that_opens_nothing_leaves_a_session_that_cannot_be_written():
    class Nothing(SessionInterface):
        def open_session(self, app, request):
            return None

    app = app_with_session()
    app.session_interface = Nothing()
    client = app.test_client()

    assert (await client.get("/get")).text == "nothing"
    assert (await client.get("/set/a")).status_code == 500


async def test_a_session_is_no_part_of_a_context_that_is_over():
    app = app_with_session()

    with app.test_request_context("/"):
        session["value"] = request.path
    with pytest.raises(ContextError):
        _ = session["value"]


async def test_any_dict_may_be_a_session():
    class Dict(dict):
        modified = permanent = new = False

    class Plain(Store):
        def open_session(self, app, request):
            return Dict(user="ada")

        def save_session(self, app, session, response):
            response.headers["X-User"] = session["user"]

    app = Erlen("plain")
    app.session_interface = Plain()

    @app.get("/")
    async def index():
        return session["user"]

    response = await app.test_client().get("/")

    assert (response.text, response.headers["X-User"]) == ("ada", "ada")


async def test_a_session_is_opened_once_however_early_it_is_wanted():
    class Counting(AsyncStore):
        opened = 0

        async def open_session(self, app, request):
            self.opened += 1
            return await super().open_session(app, request)

    app = app_with_session()
    app.session_interface = Counting()

    async def early(sender):
        await current.get().open_session()

    with appcontext_pushed.connected_to(early, app):
        assert (await app.test_client().get("/get")).text == "nothing"
    assert app.session_interface.opened == 1


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_change_inside_of_a_value_comes_back_with_the_next_request(colour):
    app = app_with_session()

    async def add():
        session.setdefault("cart", []).append("tea")
        return session["cart"]

    def add_in_def():
        session.setdefault("cart", []).append("tea")
        return session["cart"]

    app.add_url_rule("/add", "add", add if colour == "async" else add_in_def)

    @app.get("/cart")
    async def cart():
        return session.get("cart", [])

    client = app.test_client()
    for _ in range(3):
        last = await client.get("/add")

    assert last.json == ["tea"] * 3
    shown = await client.get("/cart")
    assert shown.json == ["tea"] * 3
    assert "set-cookie" not in shown.headers


async def test_a_session_with_an_id_gets_another_one_when_somebody_logs_in():
    store = {}

    class Kept(SecureCookieSession):
        id = ""

    class Interface(SessionInterface):
        async def open_session(self, app, request):
            id = request.cookies.get("session", "")
            kept = Kept(store.get(id))
            kept.id = id if id in store else f"id{len(store)}"
            return kept

        async def save_session(self, app, kept, response):
            if kept.regenerated:
                store.pop(kept.id, None)
                kept.id = f"{kept.id}again"
            if kept.modified:
                store[kept.id] = dict(kept)
                response.set_cookie("session", kept.id)

    app = Erlen("regenerate")
    app.session_interface = Interface()

    @app.get("/visit")
    async def visit():
        session["seen"] = True
        return session.get("user", "nobody")

    @app.get("/login")
    async def login():
        session["user"] = "ada"
        session.regenerate()
        return "in"

    mine, theirs = app.test_client(), app.test_client()
    await mine.get("/visit")
    theirs.set_cookie("session", "id0")
    await mine.get("/login")

    assert store == {"id0again": {"seen": True, "user": "ada"}}
    assert (await mine.get("/visit")).text == "ada"
    assert (await theirs.get("/visit")).text == "nobody"


async def test_a_session_that_cannot_be_saved_is_a_500_and_no_error_of_the_view():
    class Full(SecureCookieSessionInterface):
        never_waits = True

        def save_session(self, app, session, response):
            raise OSError("the disk is full")

    app = app_with_session()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.session_interface = Full()
    handled: list[Exception] = []

    @app.errorhandler(OSError)
    async def handle(error):
        handled.append(error)
        return "handled"

    response = await app.test_client().get("/get")

    assert (response.status_code, handled) == (500, [])
