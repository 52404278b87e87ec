"""Behind a proxy: what it says of the client counts as far as the configuration trusts it."""

from __future__ import annotations

import pytest

from erlen import Erlen, request, session, url_for, websocket
from erlen.errors import SetupError, SetupTypeError
from erlen.middleware import ProxyFix
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


# -- with the hosts that are served --------------------------------------------------------


def shop_behind_a_proxy(**options):
    app = Erlen("shop", **options)
    app.config.update(
        SECRET_KEY="k" * 32,
        SERVER_NAME="shop.example.org",
        TRUSTED_HOSTS=[".shop.example.org"],
        TRUSTED_PROXIES={"for": 1, "proto": 1, "host": 1},
        PREFERRED_URL_SCHEME="https",
    )

    @app.get("/")
    async def index():
        session["seen"] = True
        return {"external": url_for("index", _external=True), "secure": request.is_secure}

    @app.get("/", subdomain="<tenant>", endpoint="tenant")
    async def of_tenant(tenant):
        return {"tenant": tenant, "external": url_for("tenant", tenant=tenant, _external=True)}

    return app


FROM_PROXY = {
    "Host": "127.0.0.1:8000",
    "X-Forwarded-Host": "shop.example.org",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.7",
}


async def test_the_host_of_the_proxy_itself_need_not_be_trusted():
    response = await shop_behind_a_proxy().test_client().get("/", headers=FROM_PROXY)

    assert response.json == {"external": "https://shop.example.org/", "secure": True}
    assert "; Secure" in response.headers["set-cookie"]


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Forwarded-Host": "elsewhere.net"},
        {"X-Forwarded-Host": "127.0.0.1:8000"},
        {"X-Forwarded-Host": "shop.example.org, elsewhere.net"},
        {"X-Forwarded-Host": "bad host"},
    ],
    ids=lambda changes: changes["X-Forwarded-Host"],
)
async def test_only_the_hosts_that_are_served_come_through_the_proxy(changes):
    client = shop_behind_a_proxy().test_client()

    response = await client.get("/", headers={**FROM_PROXY, **changes})

    assert response.status_code == 400
    assert "set-cookie" not in response.headers


async def test_whoever_goes_around_the_proxy_is_refused():
    client = shop_behind_a_proxy().test_client()

    assert (await client.get("/", headers={"Host": "127.0.0.1:8000"})).status_code == 400


async def test_outside_of_a_request_urls_are_those_that_the_proxy_serves():
    app = shop_behind_a_proxy()

    with app.app_context():
        assert url_for("index") == "https://shop.example.org/"


async def test_a_subdomain_is_found_in_the_host_that_the_proxy_was_asked_for():
    client = shop_behind_a_proxy(subdomain_matching=True).test_client()
    headers = {**FROM_PROXY, "X-Forwarded-Host": "tea.shop.example.org"}

    response = await client.get("/", headers=headers)

    assert response.json == {"tenant": "tea", "external": "https://tea.shop.example.org/"}


# -- by the name of ProxyFix ---------------------------------------------------------------

ALL = {"x_for": 1, "x_proto": 1, "x_host": 1, "x_port": 1, "x_prefix": 1}


def wrapped(app, **hops):
    return ProxyFix(app, **hops)


def added(app, **hops):
    app.add_middleware(ProxyFix, **hops)
    return app


@pytest.mark.parametrize("put", [wrapped, added])
@pytest.mark.parametrize(
    ("hops", "client", "url"),
    [
        ({}, "1.2.3.4", "https://localhost/where/"),
        ({"x_for": 0, "x_proto": 0}, "127.0.0.1", "http://localhost/where/"),
        (ALL, "1.2.3.4", "https://example.test:8443/shop/where/"),
    ],
    ids=["defaults", "none", "all"],
)
async def test_proxy_fix_is_trusted_proxies_by_another_name(put, hops, client, url):
    app = app_behind(None)
    fixed = put(app, **hops)

    async def entrance(scope, receive, send):
        await fixed(scope, receive, send)

    app_in_front = Erlen("in front")
    app_in_front.mount("", entrance)
    response = await app_in_front.test_client().get("/where/", headers=HEADERS)

    assert (response.json["client"], response.json["url"]) == (client, url)


async def test_what_was_believed_once_is_not_believed_again():
    app = app_behind({"for": 1, "proto": 1, "host": 1, "port": 1, "prefix": 1})
    app.add_middleware(ProxyFix, **ALL)

    response = await app.test_client().get("/where/", headers=HEADERS)

    assert response.json["url"] == "https://example.test:8443/shop/where/"


async def test_proxy_fix_sees_to_websockets_too():
    app = added(app_behind(None), x_host=1)

    async with app.test_client().websocket("/ws", headers=HEADERS) as ws:
        assert await ws.receive() == "1.2.3.4 wss://example.test/ws"


def test_proxy_fix_around_a_wsgi_app_says_what_to_write_instead():
    app = Erlen("wsgi")

    with pytest.raises(SetupTypeError, match=r"app.config\['TRUSTED_PROXIES'\] = {'for': 2,"):
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=2)
