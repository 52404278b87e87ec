"""Behind a proxy: what it says of the client counts as far as the configuration trusts it."""

from __future__ import annotations

import pytest

from erlen import Erlen, request, url_for, websocket
from erlen.errors import SetupError
from erlen.testing import WebSocketRejected

HEADERS = {
    "X-Forwarded-For": "6.6.6.6, 1.2.3.4",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "example.test",
    "X-Forwarded-Port": "8443",
    "X-Forwarded-Prefix": "/shop",
}


def app_behind(trusted):
    app = Erlen("proxied")
    app.config["TRUSTED_PROXIES"] = trusted

    @app.get("/where/")
    async def where():
        return {
            "client": request.remote_addr,
            "url": request.url,
            "is_secure": request.is_secure,
            "external": url_for("where", _external=True),
        }

    @app.websocket("/ws")
    async def ws():
        await websocket.send(f"{websocket.remote_addr} {websocket.url}")

    return app


@pytest.mark.parametrize(
    ("trusted", "client", "url"),
    [
        (None, "127.0.0.1", "http://localhost/where/"),
        (1, "1.2.3.4", "https://localhost/where/"),
        (2, "6.6.6.6", "http://localhost/where/"),
        ({"host": 1}, "127.0.0.1", "http://example.test/where/"),
        (
            {"for": 1, "proto": 1, "host": 1, "port": 1, "prefix": 1},
            "1.2.3.4",
            "https://example.test:8443/shop/where/",
        ),
    ],
    ids=["none", "one", "two, and one header of one", "the host alone", "all"],
)
async def test_a_request_is_what_trusted_proxies_say(trusted, client, url):
    response = await app_behind(trusted).test_client().get("/where/", headers=HEADERS)

    assert response.json == {
        "client": client,
        "url": url,
        "is_secure": url.startswith("https"),
        "external": url,
    }


async def test_a_websocket_is_what_trusted_proxies_say():
    client = app_behind({"for": 1, "proto": 1, "host": 1}).test_client()

    async with client.websocket("/ws", headers=HEADERS) as ws:
        assert await ws.receive() == "1.2.3.4 wss://example.test/ws"


async def test_the_origin_of_a_websocket_is_compared_with_the_host_of_the_proxy():
    client = app_behind({"proto": 1, "host": 1}).test_client()
    headers = {**HEADERS, "Origin": "https://example.test"}

    async with client.websocket("/ws", headers=headers) as ws:
        await ws.receive()
    with pytest.raises(WebSocketRejected):
        async with client.websocket("/ws", headers={**headers, "Origin": "http://localhost"}):
            pass


async def test_the_host_of_a_proxy_must_be_trusted_like_any_other():
    app = app_behind({"host": 1})
    app.config["TRUSTED_HOSTS"] = ["localhost"]

    assert (await app.test_client().get("/where/", headers=HEADERS)).status_code == 400
    assert (await app.test_client().get("/where/")).status_code == 200


async def test_trust_that_is_changed_later_counts_from_the_next_request():
    app = app_behind(None)
    client = app.test_client()
    before = await client.get("/where/", headers=HEADERS)

    app.config["TRUSTED_PROXIES"] = 1

    after = await client.get("/where/", headers=HEADERS)
    assert (before.json["client"], after.json["client"]) == ("127.0.0.1", "1.2.3.4")


async def test_trust_that_makes_no_sense_is_an_error_before_anything_is_served():
    app = app_behind({"from": 1})

    with pytest.raises(SetupError, match="TRUSTED_PROXIES has 'from'"):
        app.freeze()
