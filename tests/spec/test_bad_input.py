"""Hostile and clumsy clients get a clear answer, never a 500, and nothing leaks."""

from __future__ import annotations

import time

import pytest

from erlen import Erlen, request, sync
from erlen.exceptions import HTTPException


def echo_app(**config):
    app = Erlen("echo")
    app.config.update(config)

    @app.post("/json")
    async def json():
        return {"value": await request.get_json()}

    @app.post("/sync-json")
    def sync_json():
        return {"value": sync.request.get_json()}

    @app.post("/form")
    async def form():
        return dict(await request.form)

    @app.post("/sync-form")
    def sync_form():
        return dict(sync.request.form)

    @app.post("/data")
    async def data():
        return await request.get_data()

    @app.get("/query")
    async def query():
        return request.args["name"]

    @app.get("/cookies")
    async def cookies():
        return dict(request.cookies)

    @app.get("/int/<int:number>")
    async def integer(number):
        return str(number)

    @app.get("/host")
    async def host():
        return request.host

    return app


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("path", ["/json", "/sync-json"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"a":', id="cut off"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b"9" * 6000, id="huge number"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'"\\ud800"', id="lone surrogate"),
    ],
)
async def test_broken_json_is_a_400(path, body):
    response = await echo_app().test_client().post(path, data=body, headers=JSON)

    assert response.status_code == 400


@pytest.mark.parametrize("path", ["/json", "/sync-json"])
async def test_json_of_another_type_is_a_415(path):
    response = (
        await echo_app()
        .test_client()
        .post(path, data=b"{}", headers={"Content-Type": "text/plain;application/json"})
    )

    assert response.status_code == 415


@pytest.mark.parametrize("path", ["/data", "/json", "/sync-json", "/form", "/sync-form"])
async def test_a_body_over_the_limit_is_a_413(path):
    app = echo_app(MAX_CONTENT_LENGTH=10)
    headers = FORM if "form" in path else JSON

    response = await app.test_client().post(path, data=b"1" * 11, headers=headers)

    assert response.status_code == 413


@pytest.mark.parametrize("path", ["/form", "/sync-form"])
@pytest.mark.parametrize(
    ("config", "body", "status"),
    [
        pytest.param({"MAX_FORM_PARTS": 3}, b"a=1&b=2&c=3&d=4", 413, id="too many fields"),
        pytest.param({"MAX_FORM_MEMORY_SIZE": 10}, b"a=" + b"x" * 20, 413, id="too much text"),
    ],
)
async def test_a_form_over_a_limit_is_a_413_that_names_the_limit(path, config, body, status):
    response = await echo_app(**config).test_client().post(path, data=body, headers=FORM)

    assert response.status_code == status
    assert next(iter(config)) in response.text


@pytest.mark.parametrize("path", ["/form", "/sync-form"])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("multipart/form-data; boundary=b", b"--b\r\nbroken", id="cut off"),
        pytest.param("multipart/form-data", b"--b--", id="no boundary"),
        pytest.param("multipart/form-data; boundary=" + "x" * 300, b"x", id="long boundary"),
    ],
)
async def test_a_broken_multipart_form_is_a_400(path, content_type, body):
    response = (
        await echo_app().test_client().post(path, data=body, headers={"Content-Type": content_type})
    )

    assert response.status_code == 400


async def test_a_missing_query_value_is_a_400():
    assert (await echo_app().test_client().get("/query")).status_code == 400


async def test_in_debug_mode_a_missing_key_is_named():
    app = echo_app(DEBUG=True, TRAP_BAD_REQUEST_ERRORS=False)

    response = await app.test_client().get("/query")

    assert response.status_code == 400
    assert "KeyError: &#x27;name&#x27;" in response.text


async def test_a_query_with_too_many_items_is_a_400():
    app = echo_app(MAX_QUERY_ITEMS=3)

    assert (await app.test_client().get("/query?a&b&c&d")).status_code == 400


async def test_too_many_cookies_are_a_431():
    app = echo_app(MAX_COOKIES=2)

    response = await app.test_client().get("/cookies", headers={"Cookie": "a=1; b=2; c=3"})

    assert response.status_code == 431


@pytest.mark.parametrize("number", ["9" * 5000, "1%0A", "-1", "1.5", "%C2%B2", "%D9%A1"])
async def test_what_is_no_int_is_a_404(number):
    assert (await echo_app().test_client().get(f"/int/{number}")).status_code == 404


@pytest.mark.parametrize(
    "host",
    ["a@b", "[::1", "exa mple.com", "example.com:99999999", "x/y?", "a\x00b", ""],
    ids=repr,
)
async def test_a_malformed_host_is_a_400(host):
    response = await raw_get(echo_app(), [(b"host", host.encode())])

    assert response == 400


async def test_two_hosts_are_a_400():
    assert await raw_get(echo_app(), [(b"host", b"a.com"), (b"host", b"b.com")]) == 400
    assert await raw_get(echo_app(), [(b"host", b"a.com"), (b"HOST", b"a.com")]) == 400


async def test_two_hosts_are_a_400_for_an_app_that_knows_the_first_already():
    app = echo_app()
    assert await raw_get(app, [(b"host", b"a.com")]) == 200

    assert await raw_get(app, [(b"host", b"a.com"), (b"host", b"a.com")]) == 400


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:80", "under_score.com"])
async def test_a_good_host_is_served(host):
    assert await raw_get(echo_app(), [(b"host", host.encode())]) == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("example.com", 200),
        ("EXAMPLE.com:8080", 200),
        ("a.example.org", 200),
        ("example.org", 200),
        ("badexample.org", 400),
        ("evil.com", 400),
    ],
)
async def test_only_trusted_hosts_are_served(host, status):
    app = echo_app(TRUSTED_HOSTS=["example.com", ".example.org"])

    assert await raw_get(app, [(b"host", host.encode())]) == status


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (("127.0.0.1", 80), 200),
        (("::1", 8000), 200),
        (("10.0.0.1", 80), 400),
        (("fe80::1:1", 80), 400),
        (("/run/app.sock", None), 400),
        (None, 400),
    ],
)
async def test_without_a_host_it_is_the_server_that_has_to_be_trusted(server, status):
    app = echo_app(TRUSTED_HOSTS=["example.com", "127.0.0.1", "[::1]", "[fe80::1]"])

    assert await raw_get(app, [], server=server) == status


@pytest.mark.parametrize("server", [("10.0.0.1", 80), ("/run/app.sock", None), None])
async def test_where_every_host_is_served_a_request_may_have_none(server):
    assert await raw_get(echo_app(), [], server=server) == 200


async def test_a_host_that_is_looked_at_for_the_first_time_is_served_like_any_other():
    app = echo_app(TRUSTED_HOSTS=["example.com"])

    for _ in range(2):
        assert await raw_get(app, [(b"host", b"example.com")], server=None) == 200


async def raw_get(app, headers, path="/host", server=("127.0.0.1", 80)):
    """Send exactly these headers, as no well-behaved client would, and return the status."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": server,
    }
    await app(scope, receive, send)
    return sent[0]["status"]


@pytest.mark.parametrize("path", ["", "*", "no-slash", "//", "/./..", "/%00", "/\x00", "/a\nb"])
async def test_odd_paths_are_answered(path):
    assert await raw_get(echo_app(), [(b"host", b"x")], path) in (308, 404)


async def test_a_slash_redirect_never_leaves_the_origin():
    app = Erlen("slashes")

    @app.get("/<path:anything>/")
    async def view(anything):
        return anything

    for path in ("//evil.com", "/\\evil.com", "///evil.com/.."):
        sent = []

        async def send(message, sent=sent):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        await app(
            {
                "type": "http",
                "method": "GET",
                "path": path,
                "query_string": b"",
                "headers": [(b"host", b"good.com")],
                "root_path": "",
                "scheme": "http",
            },
            receive,
            send,
        )
        location = dict(sent[0]["headers"]).get(b"location", b"/")
        assert location.startswith(b"/")
        assert not location.startswith((b"//", b"/\\"))


async def test_a_path_cannot_forge_a_line_of_the_log(caplog):
    app = Erlen("forged")

    @app.before_request
    async def fail():
        raise LookupError

    await app.test_client().get("/x%0aERROR%20in%20app:%20forged")

    assert "\\nERROR in app: forged" in caplog.text
    assert "\nERROR in app: forged" not in caplog.text


async def test_an_error_page_reflects_nothing():
    response = await echo_app().test_client().get("/<script>alert(1)</script>")

    assert response.status_code == 404
    assert "script" not in response.text


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error(caplog):
    app = echo_app()
    sent = []
    messages = [
        {"type": "http.request", "body": b'{"a"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/json",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"content-type", b"application/json")],
        "root_path": "",
        "scheme": "http",
    }
    await app(scope, receive, send)

    assert sent[0]["status"] == 400
    assert caplog.text == ""


async def test_a_body_that_does_not_arrive_is_a_408():
    app = echo_app(BODY_TIMEOUT=0.02)
    sent = []

    async def receive():
        import asyncio

        await asyncio.sleep(30)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/data",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"content-length", b"5")],
        "root_path": "",
        "scheme": "http",
    }
    await app(scope, receive, send)

    assert sent[0]["status"] == 408


async def test_a_route_may_have_limits_of_its_own():
    app = Erlen("own limits")

    @app.post("/small", max_content_length=5)
    async def small():
        return await request.get_data()

    @app.post("/any", max_content_length=None)
    async def any_size():
        return str(len(await request.get_data()))

    app.config["MAX_CONTENT_LENGTH"] = 10
    client = app.test_client()

    assert (await client.post("/small", data=b"x" * 6)).status_code == 413
    assert (await client.post("/any", data=b"x" * 100)).text == "100"


async def test_the_limit_counts_what_arrives_and_not_what_was_announced():
    app = echo_app(MAX_CONTENT_LENGTH=10)
    sent = []
    chunks = [b"x" * 6] * 3

    async def receive():
        return {"type": "http.request", "body": chunks.pop(), "more_body": bool(chunks)}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/data",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"transfer-encoding", b"chunked")],
        "root_path": "",
        "scheme": "http",
    }
    await app(scope, receive, send)

    assert sent[0]["status"] == 413


async def test_a_form_with_too_many_parts_is_refused_each_time_it_is_asked_for():
    app = Erlen("form")
    app.config["MAX_FORM_PARTS"] = 2
    codes = []

    @app.post("/")
    async def view():
        for _ in range(2):
            try:
                await request.form
            except HTTPException as error:
                codes.append(error.code)
        return ""

    async with app.test_client() as client:
        await client.post("/", form={"a": "1", "b": "2", "c": "3"})

    assert codes == [413, 413]


@pytest.mark.parametrize(
    ("method", "end", "status"),
    [("GET", "/%0A", 404), ("GET", "", 200), ("POST", "/blob/%0A", 405)],
)
async def test_a_long_path_is_divided_among_variables_without_trying_every_way(method, end, status):
    app = Erlen("files")

    @app.get("/r/<path:repo>/blob/<path:branch>/blob/<path:file>")
    async def show(repo, branch, file):
        return {"repo": repo, "branch": branch, "file": file}

    async with app.test_client() as client:
        started = time.process_time()
        response = await client.open(f"/r/a{'/blob/a' * 1000}{end}", method=method)

    assert response.status_code == status
    assert time.process_time() - started < 5
