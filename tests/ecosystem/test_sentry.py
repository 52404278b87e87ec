"""Sentry: its Starlette integration names transactions by rule, and sees each error once."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("sentry_sdk")

import sentry_sdk
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


class Collected(Transport):
    """Keeps what would be sent, as events by their type."""

    def __init__(self):
        super().__init__()
        self.errors = []
        self.transactions = []

    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type == "event":
                self.errors.append(item.payload.json)
            elif item.type == "transaction":
                self.transactions.append(item.payload.json)


@pytest.fixture
def collected(request):
    transport = Collected()
    sentry_sdk.init(
        dsn="https://key@sentry.example/1",
        transport=transport,
        traces_sample_rate=1.0,
        integrations=getattr(request, "param", []),
    )
    yield transport
    # Its patches stay, and without a client do nothing.
    sentry_sdk.get_global_scope().set_client(None)


def kinds_of(events):
    return [one["type"] for event in events for one in event["exception"]["values"]]


@pytest.mark.parametrize("classes", [[], [CORSMiddleware, GZipMiddleware]], ids=["bare", "wrapped"])
async def test_transactions_are_named_by_the_rule(collected, classes):
    app = furnished_app("transactions", middleware=[Middleware(cls) for cls in classes])

    async with client_of(app) as client:
        await assert_all_works(client)

    named = {
        (one["transaction"], one["contexts"]["trace"]["status"]) for one in collected.transactions
    }
    assert {
        ("/users/{id:int}", "ok"),
        ("/upper", "ok"),
        ("/shop/items/{item}", "ok"),
    } <= named
    assert not collected.errors


@pytest.mark.parametrize(
    "collected", [[StarletteIntegration(transaction_style="endpoint")]], indirect=True
)
async def test_transactions_may_be_named_by_the_view(collected):
    app = furnished_app("named")

    async with client_of(app) as client:
        await client.get("/users/7")
        await client.get("/shop/items/tea")

    names = [one["transaction"].rpartition(".")[2] for one in collected.transactions]
    assert names == ["user", "item"]


@pytest.mark.parametrize("propagates", [False, True], ids=["answered", "propagated"])
@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_an_error_that_nobody_handles_is_captured_once(collected, colour, propagates):
    app = furnished_app("failing")
    app.config["PROPAGATE_EXCEPTIONS"] = propagates

    def fail(number):
        sentry_sdk.set_tag("colour", colour)
        raise ZeroDivisionError(number)

    async def fail_on_the_loop(number):
        fail(number)

    app.get("/fail/<number>")(fail if colour == "def" else fail_on_the_loop)

    async with client_of(app, raises=False) as client:
        response = await client.get("/fail/7")

    assert response.status_code == 500
    assert kinds_of(collected.errors) == ["ZeroDivisionError"]
    (event,) = collected.errors
    assert event["transaction"] == "/fail/{number}"
    assert event["tags"]["colour"] == colour
    assert event["request"]["url"] == "http://testserver/fail/7"
    assert event["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"] == "fail"


async def test_errors_that_have_a_handler_are_not_captured(collected):
    app = furnished_app("handled")

    async with client_of(app) as client:
        await client.get("/lost")
        await client.get("/nothing")

    assert not collected.errors


async def test_errors_of_requests_at_once_do_not_mix(collected):
    app = furnished_app("many")
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.get("/fail/<int:number>")
    async def fail(number):
        sentry_sdk.set_tag("number", number)
        await asyncio.sleep(0.01)
        raise ZeroDivisionError(number)

    async with client_of(app) as client:
        await asyncio.gather(*(client.get(f"/fail/{number}") for number in range(5)))

    errors = {(str(one["tags"]["number"]), one["request"]["url"]) for one in collected.errors}
    assert errors == {(str(n), f"http://testserver/fail/{n}") for n in range(5)}


async def test_errors_of_starlette_routes_and_mounted_apps_are_captured_once(collected):
    async def fail(request):
        raise ZeroDivisionError

    async def fine(request):
        return PlainTextResponse("fine")

    app = furnished_app("foreign")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_route("/fail", fail)
    app.add_route("/fine/{n}", fine)
    app.mount("/inner", Starlette(routes=[Route("/fail", fail)]))

    async with client_of(app, raises=False) as client:
        assert (await client.get("/fine/1")).text == "fine"
        assert (await client.get("/fail")).status_code == 500
        assert kinds_of(collected.errors) == ["ZeroDivisionError"]
        assert (await client.get("/inner/fail")).status_code == 500
        assert kinds_of(collected.errors) == ["ZeroDivisionError"] * 2

    assert "/fine/{n}" in {one["transaction"] for one in collected.transactions}
