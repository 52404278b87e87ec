from __future__ import annotations

import asyncio
import threading

import pytest

from erlen import request
from erlen.sessions import SecureCookieSession, SessionInterface
from tests.echoing import make_app


async def test_cookies_are_kept_and_sent_back():
    client = make_app().test_client()

    assert [(await client.get("/count")).text for _ in range(3)] == ["1", "2", "3"]
    assert client.get_cookie("session").http_only


async def test_a_client_may_keep_no_cookies():
    client = make_app().test_client(use_cookies=False)

    assert [(await client.get("/count")).text for _ in range(2)] == ["1", "1"]
    for use in (
        lambda: client.get_cookie("a"),
        lambda: client.set_cookie("a"),
        lambda: client.delete_cookie("a"),
        client.session_transaction,
    ):
        with pytest.raises(TypeError, match="Create a client with 'use_cookies=True'"):
            use()


async def test_cookies_can_be_set_read_and_deleted_by_hand():
    client = make_app().test_client()

    client.set_cookie("a", "1 2", path="/echo", max_age=60)
    seen = (await client.get("/echo")).json["headers"]
    elsewhere = (await client.get("/echo", base_url="http://other")).json["headers"]

    assert (seen["cookie"], "cookie" in elsewhere) == ('a="1 2"', False)
    assert client.get_cookie("a") is None
    assert client.get_cookie("a", path="/echo").decoded_value == "1 2"
    client.delete_cookie("a", path="/echo")
    client.delete_cookie("a", path="/echo")
    assert client.get_cookie("a", path="/echo") is None


def test_cookies_can_be_set_read_and_deleted_in_def_code():
    client = make_app(SERVER_NAME="x.example").sync_test_client()

    client.set_cookie("a", "1")

    assert client.get("/echo").json["headers"]["cookie"] == "a=1"
    assert client.get_cookie("a").domain == "x.example"
    client.delete_cookie("a")
    assert client.get_cookie("a") is None


async def test_a_session_can_be_prepared_and_looked_at():
    client = make_app().test_client()

    async with client.session_transaction() as stored:
        assert stored.new
        stored["n"] = 41
    assert (await client.get("/count")).text == "42"
    async with client.session_transaction() as stored:
        assert stored["n"] == 42


def test_a_session_can_be_prepared_and_looked_at_in_def_code():
    with make_app().test_client() as client:
        with client.session_transaction() as stored:
            stored["n"] = 41
        assert client.get("/count").text == "42"
        with client.session_transaction() as stored:
            assert stored["n"] == 42
        assert request.path == "/count"


async def test_a_session_is_not_saved_when_its_block_fails():
    client = make_app().test_client()

    async def fail_in_a_block():
        async with client.session_transaction() as stored:
            stored["n"] = 41
            raise KeyError

    with pytest.raises(KeyError):
        await fail_in_a_block()

    assert client.get_cookie("session") is None


def test_a_session_is_not_saved_when_its_block_fails_in_def_code():
    client = make_app().sync_test_client()

    def fail_in_a_block():
        with client.session_transaction() as stored:
            stored["n"] = 41
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_a_block()

    assert client.get_cookie("session") is None


async def test_without_a_secret_key_there_is_no_session_to_open():
    client = make_app(SECRET_KEY=None).test_client()

    with pytest.raises(RuntimeError, match="Session backend did not open a session"):
        async with client.session_transaction():
            pass


class Stored(SessionInterface):
    """Keeps sessions in a dict; the cookie names one."""

    def __init__(self):
        self.kept = {}
        self.threads = []

    def open_session(self, app, request):
        self.threads.append(threading.get_ident())
        return SecureCookieSession(self.kept.get(request.cookies.get("id"), {}))

    def save_session(self, app, session, response):
        self.kept["1"] = dict(session)
        response.set_cookie("id", "1")


class AsyncStored(Stored):
    async def open_session(self, app, request):
        await asyncio.sleep(0)
        return super().open_session(app, request)

    async def save_session(self, app, session, response):
        await asyncio.sleep(0)
        super().save_session(app, session, response)


@pytest.mark.parametrize("interface", [Stored, AsyncStored])
async def test_a_session_interface_may_be_of_either_colour(interface):
    app = make_app()
    app.session_interface = interface()
    client = app.test_client()

    async with client.session_transaction() as stored:
        stored["n"] = 1

    assert (await client.get("/count")).text == "2"
    on_loop = app.session_interface.threads[0] == threading.get_ident()
    assert on_loop is (interface is AsyncStored)


@pytest.mark.parametrize("interface", [Stored, AsyncStored])
def test_a_session_interface_may_be_of_either_colour_in_def_code(interface):
    app = make_app()
    app.session_interface = interface()
    client = app.sync_test_client()

    with client.session_transaction() as stored:
        stored["n"] = 1

    assert client.get("/count").text == "2"
    here = app.session_interface.threads[0] == threading.get_ident()
    assert here is (interface is Stored)


async def test_a_null_session_is_not_saved():
    class Nothing(SessionInterface):
        never_waits = True

        def open_session(self, app, request):
            return self.make_null_session(app)

    app = make_app()
    app.session_interface = Nothing()

    async with app.test_client().session_transaction() as stored:
        assert not stored
