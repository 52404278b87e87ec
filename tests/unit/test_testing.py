from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from erlen import SetupError, request, session, sync
from erlen.testing import TestingUnavailable
from tests.echoing import make_app


def test_a_request_context_is_made_from_the_arguments_of_a_request():
    app = make_app()

    with app.test_request_context("/echo?a=1", method="POST", data={"b": "2"}):
        assert (request.path, request.args["a"], request.method) == ("/echo", "1", "POST")
        assert sync.request.form["b"] == "2"
        assert request.endpoint == "echo"
        assert session == {}


async def test_a_request_context_can_be_entered_in_async_code():
    async with make_app().test_request_context("/echo", method="POST", json={"a": 1}):
        assert await request.get_json() == {"a": 1}


async def test_a_body_beyond_its_end_is_a_disconnect():
    scope_receive = make_app().test_request_context("/", data=b"ab").receive

    assert await scope_receive() == {"type": "http.request", "body": b"ab", "more_body": False}
    assert await scope_receive() == {"type": "http.disconnect"}


def test_an_app_is_freed_with_its_clients():

    app = make_app()
    with app.test_client() as client:
        client.get("/")
    app.sync_test_client().get("/")
    reference = weakref.ref(app)

    del app, client
    gc.collect()

    assert reference() is None


def test_no_thread_stays_behind():
    app, seen = make_app(), []
    before = set(threading.enumerate())
    app.before_request(lambda: seen.append(threading.current_thread()))

    with app.test_client() as client:
        client.get("/count")
        with client.stream("GET", "/count"):
            pass
    app.sync_test_client().get("/")

    assert len(set(seen)) == 2
    for thread in set(threading.enumerate()) - before:
        thread.join(30)  # it was told to end, and the machine may be busy
    assert set(threading.enumerate()) <= before


WITHOUT_HTTPX = """
import sys
sys.modules["httpx"] = None
from erlen import Erlen
from erlen.testing import running_loop
app = Erlen("bare")
with app.sync_serving():
    print("served")
try:
    app.test_client()
except ImportError as error:
    print(isinstance(error, __import__("erlen").SetupError), error)
"""


def test_without_httpx_the_client_says_how_to_get_it():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HTTPX], capture_output=True, text=True, check=True
    )

    served, error = done.stdout.splitlines()
    assert served == "served"
    assert error.startswith("True erlen.testing.TestClient needs httpx")
    assert error.endswith("pip install 'erlen[test]'")


def test_each_name_that_needs_httpx_says_so(monkeypatch):
    import erlen.testing

    monkeypatch.delitem(sys.modules, "erlen.testing.transport", raising=False)
    monkeypatch.setitem(sys.modules, "httpx", None)

    with pytest.raises(TestingUnavailable, match="ASGITransport needs httpx") as caught:
        erlen.testing.ASGITransport  # noqa: B018

    assert isinstance(caught.value, SetupError)
    assert isinstance(caught.value, ImportError)


def test_another_missing_module_is_not_mistaken_for_httpx(monkeypatch):
    import erlen.testing

    monkeypatch.delitem(sys.modules, "erlen.testing.commands", raising=False)
    monkeypatch.setitem(sys.modules, "click.testing", None)

    with pytest.raises(ModuleNotFoundError, match=r"click\.testing"):
        erlen.testing.CliRunner  # noqa: B018


def test_a_name_that_is_not_there_is_an_attribute_error():
    import erlen.testing

    with pytest.raises(AttributeError, match="no attribute 'Cleint'"):
        erlen.testing.Cleint  # noqa: B018
