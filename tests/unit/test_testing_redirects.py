from __future__ import annotations

import pytest

from erlen import redirect, request, session, url_for
from erlen.testing import ClientRedirectError
from tests.echoing import make_app


def redirecting_app(**config):
    app = make_app(**config)

    @app.route("/to/<int:code>", methods=["GET", "POST"])
    async def to(code):
        return redirect("/echo?a=1", code)

    @app.get("/chain")
    async def chain():
        return redirect(url_for("to", code=302, _external=True))

    @app.get("/loop")
    async def loop():
        return redirect("/loop")

    @app.get("/endless/<int:n>")
    async def endless(n):
        return redirect(f"/endless/{n + 1}")

    @app.get("/away")
    async def away():
        return redirect(request.args["to"])

    return app


async def test_redirects_are_followed_only_where_that_is_asked_for():
    response = await redirecting_app().test_client().get("/to/302")

    assert (response.status_code, response.location) == (302, "/echo?a=1")


async def test_the_redirects_on_the_way_are_the_history():
    response = await redirecting_app().test_client().get("/chain", follow_redirects=True)

    assert response.json["path"] == response.request.path == "/echo"
    assert [(r.status_code, r.request.path) for r in response.history] == [
        (302, "/chain"),
        (302, "/to/302"),
    ]


AFTER = {301: "GET", 302: "GET", 303: "GET", 307: "POST", 308: "POST"}


@pytest.mark.parametrize(("code", "method"), AFTER.items())
async def test_only_307_and_308_repeat_the_body(code, method):
    client = redirecting_app().test_client()

    response = await client.post(f"/to/{code}", json=[1], follow_redirects=True)

    found = response.json
    assert (found["method"], found["query"]) == (method, "a=1")
    assert found["body"] == ("[1]" if method == "POST" else "")
    assert ("content-type" in found["headers"]) == (method == "POST")
    assert ("content-length" in found["headers"]) == (method == "POST")


async def test_head_stays_head():
    response = await redirecting_app().test_client().head("/to/302", follow_redirects=True)

    assert response.request.method == "HEAD"
    assert response.status_code == 200


async def test_a_body_in_pieces_cannot_be_repeated():
    async def generate():
        yield b"[1]"

    app = redirecting_app()

    @app.post("/read")
    async def read():
        await request.get_data()
        return redirect("/echo", 307)

    with pytest.raises(Exception, match="already been streamed"):
        await app.test_client().post("/read", data=generate(), follow_redirects=True)


async def test_a_redirect_takes_headers_and_new_cookies_along():
    app = redirecting_app()

    @app.get("/login")
    async def login():
        response = redirect("/echo")
        response.set_cookie("user", "ann")
        return response

    response = await app.test_client().get(
        "/login", headers={"X-A": "1", "Cookie": "own=2"}, follow_redirects=True
    )

    assert response.json["headers"]["x-a"] == "1"
    assert response.json["headers"]["cookie"] == "own=2; user=ann"


async def test_a_host_header_stays_as_long_as_the_server_does():
    client = redirecting_app().test_client()

    response = await client.get("/to/302", headers={"Host": "x.example"}, follow_redirects=True)

    assert response.json["url"] == "http://x.example/echo?a=1"


async def test_a_redirect_may_change_scheme_and_port():
    client = redirecting_app().test_client()

    response = await client.get(
        "/away?to=https://localhost:8443/echo", headers={"Host": "x"}, follow_redirects=True
    )

    assert response.json["url"] == "https://localhost:8443/echo"


async def test_a_redirect_stays_below_the_root_or_leaves_it():
    client = redirecting_app(APPLICATION_ROOT="/app").test_client()

    inside = await client.get("/away?to=/app/echo", follow_redirects=True)
    outside = await client.get("/away?to=/echo", follow_redirects=True)

    assert (inside.json["root"], outside.json["root"]) == ("/app", "")


async def test_a_loop_of_redirects_is_found():
    client = redirecting_app().test_client()

    with pytest.raises(ClientRedirectError, match="A 302 redirect to /loop was already made"):
        await client.get("/loop", follow_redirects=True)
    with pytest.raises(ClientRedirectError, match="after 20 redirects"):
        await client.get("/endless/1", follow_redirects=True)


async def test_a_redirect_back_with_another_cookie_is_no_loop():
    app = make_app()

    @app.get("/")
    async def home():
        return "in" if "user" in session else redirect("/login")

    @app.get("/login")
    async def login():
        session["user"] = 1
        return redirect("/")

    app.view_functions["index"] = home

    assert (await app.test_client().get("/", follow_redirects=True)).text == "in"


async def test_a_redirect_to_somebody_else_is_not_followed():
    client = redirecting_app().test_client()

    with pytest.raises(RuntimeError, match="Following external redirects is not supported"):
        await client.get("/away?to=http://evil.example/", follow_redirects=True)


async def test_a_redirect_to_a_subdomain_is_followed_where_that_is_allowed():
    app = redirecting_app(SERVER_NAME="x.example")
    to = "/away?to=http://sub.x.example/echo"

    with pytest.raises(RuntimeError, match="Following subdomain redirects is not enabled"):
        await app.test_client().get(to, follow_redirects=True)
    client = app.test_client(allow_subdomain_redirects=True)
    assert (await client.get(to, follow_redirects=True)).json["url"] == "http://sub.x.example/echo"


def test_a_synchronous_client_can_be_allowed_to_later_on():
    client = redirecting_app(SERVER_NAME="x.example").sync_test_client()

    client.allow_subdomain_redirects = True

    response = client.get("/away?to=http://sub.x.example/echo", follow_redirects=True)
    assert response.json["url"] == "http://sub.x.example/echo"
    assert client.allow_subdomain_redirects is True
