"""Authlib: its Starlette client logs in, with our session, at a provider that is an Erlen app."""

from __future__ import annotations

import warnings
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

pytest.importorskip("authlib")

with warnings.catch_warnings(record=True):
    # It prefers the successor of httpx, and shows its warning whatever the filters say.
    from authlib.integrations.starlette_client import OAuth, OAuthError

from erlen import Erlen, redirect, request, session, sync, url_for
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


def provider():
    """Who knows the users: it sends them back with a code, which it takes for a token."""
    app = Erlen("provider")

    @app.get("/authorize")
    async def authorize():
        query = f"code=of-mary&state={request.args['state']}"
        return redirect(f"{request.args['redirect_uri']}?{query}")

    @app.post("/token")
    def token():
        form = sync.request.form
        if form["code"] != "of-mary":
            return {"error": "invalid_grant"}, 400
        return {"access_token": "token-of-mary", "token_type": "Bearer"}

    @app.get("/user")
    async def user():
        return {"name": request.authorization.token.removeprefix("token-of-")}

    return app


def app_with_login():
    app = furnished_app("login")
    oauth = OAuth()
    oauth.register(
        "house",
        client_id="shop",
        client_secret="secret",
        authorize_url="https://provider.example/authorize",
        access_token_url="https://provider.example/token",
        api_base_url="https://provider.example/",
        client_kwargs={"transport": httpx.ASGITransport(provider())},
    )

    @app.get("/login")
    async def login():
        return await oauth.house.authorize_redirect(
            request.starlette, url_for("callback", _external=True)
        )

    @app.get("/callback")
    async def callback():
        token = await oauth.house.authorize_access_token(request.starlette)
        session["user"] = (await oauth.house.get("user", token=token)).json()["name"]
        return redirect(url_for("me"))

    @app.get("/me")
    def me():
        return session["user"]

    @app.errorhandler(OAuthError)
    async def refused(error):
        return f"refused: {error.error}", 403

    return app


async def test_a_user_logs_in_and_is_remembered():
    async with client_of(app_with_login()) as client:
        started = await client.get("/login")
        location = started.headers["location"]
        transport = httpx.ASGITransport(provider())
        async with httpx.AsyncClient(transport=transport) as elsewhere:
            back = (await elsewhere.get(location)).headers["location"]
        finished = await client.get(back)
        me = await client.get(finished.headers["location"])
        await assert_all_works(client)

    asked = parse_qs(urlsplit(location).query)
    assert asked["redirect_uri"] == ["http://testserver/callback"]
    assert started.headers["x-after"] == "/login True"
    assert back.startswith("http://testserver/callback?code=of-mary&state=")
    assert me.text == "mary"


async def test_a_state_that_nobody_was_sent_away_with_is_refused():
    async with client_of(app_with_login()) as client:
        response = await client.get("/callback?code=of-mary&state=forged")

    assert (response.status_code, response.text) == (403, "refused: mismatching_state")
