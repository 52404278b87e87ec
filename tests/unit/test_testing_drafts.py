from __future__ import annotations

from io import BytesIO

import pytest

from erlen import redirect, request, sync, url_for
from erlen.datastructures import MultiDict
from erlen.errors import SetupAssertionError
from erlen.headers import Authorization
from tests.echoing import make_app


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_each_method_has_its_verb(method):
    client = make_app().test_client()

    response = await getattr(client, method)("/echo")

    assert response.json["method"] == method.upper()


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_each_method_has_its_verb_in_def_code(method):
    client = make_app().sync_test_client()

    assert getattr(client, method)("/echo").json["method"] == method.upper()


async def test_head_options_and_trace_are_there_too():
    client = make_app().test_client()

    head, options, trace = (
        await client.head("/"),
        await client.options("/"),
        await client.trace("/"),
    )

    assert (head.data, head.content_length) == (b"", 5)
    assert list(options.allow) == ["GET", "HEAD", "OPTIONS"]
    assert trace.status_code == 405


async def test_open_takes_any_method():
    app = make_app()
    app.add_url_rule("/find", view_func=lambda: "found", methods=["PROPFIND"])

    assert (await app.test_client().open("/find", method="propfind")).text == "found"


PATHS = {
    "a path": ("/echo", "/echo", ""),
    "a path without a slash": ("echo", "/echo", ""),
    "a query in the path": ("/echo?a=1&b=%20", "/echo", "a=1&b=%20"),
    "an empty query": ("/echo?", "/echo", ""),
    "a fragment": ("/echo?a=1#part", "/echo", "a=1"),
    "a space": ("/echo?a=1 2", "/echo", "a=1%202"),
    "a whole URL": ("http://localhost/echo?a=1", "/echo", "a=1"),
}


@pytest.mark.parametrize(("path", "seen", "query"), PATHS.values(), ids=PATHS)
async def test_a_path_is_sent_as_a_browser_would(path, seen, query):
    found = (await make_app().test_client().get(path)).json

    assert (found["path"], found["query"]) == (seen, query)


RAW_PATHS = {
    "letters beyond ASCII": ("/тест", "/тест", "/%D1%82%D0%B5%D1%81%D1%82"),
    "an escape": ("/a%2Fb", "/a/b", "/a%2Fb"),
    "a percent sign": ("/100%", "/100%", "/100%"),
    "dots": ("/static/../secret", "/static/../secret", "/static/../secret"),
    "two slashes": ("//evil.example", "//evil.example", "//evil.example"),
    "a line break": ("/a\nb", "/a\nb", "/a%0Ab"),
}


@pytest.mark.parametrize(("path", "decoded", "raw"), RAW_PATHS.values(), ids=RAW_PATHS)
def test_nothing_tidies_a_path_up(path, decoded, raw):
    context = make_app().test_request_context(path)

    assert context.scope["path"] == decoded
    assert context.scope["raw_path"] == raw.encode()


QUERIES = {
    "a dict": ({"a": 1, "b": ["x", "y z"], "c": None}, "a=1&b=x&b=y+z"),
    "a MultiDict": (MultiDict([("a", "1"), ("a", "2")]), "a=1&a=2"),
    "text": ("a=1&b=ü", "a=1&b=%C3%BC"),
    "bytes": (b"a=%FF&b=\xff", "a=%FF&b=%FF"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("query", "sent"), QUERIES.values(), ids=QUERIES)
async def test_query_string_takes_the_place_of_the_query(query, sent):
    response = await make_app().test_client().get("/echo?old=1", query_string=query)

    assert response.json["query"] == sent


BODIES = {
    "text": ({"data": "é"}, None, "é"),
    "bytes": ({"data": b"abc"}, None, "abc"),
    "a bytearray": ({"data": bytearray(b"abc")}, None, "abc"),
    "a file": ({"data": BytesIO(b"abc")}, None, "abc"),
    "a text with its type": ({"data": "a", "content_type": "text/plain"}, "text/plain", "a"),
    "a mimetype": ({"data": "a", "mimetype": "text/csv"}, "text/csv", "a"),
    "JSON": ({"json": {"a": [1]}}, "application/json", '{"a": [1]}'),
    "JSON of another type": (
        {"json": 1, "content_type": "application/x+json"},
        "application/x+json",
        "1",
    ),
    "a form": (
        {"data": {"a": "1 2", "b": [1, "ä"], "c": None}},
        "application/x-www-form-urlencoded",
        "a=1+2&b=1&b=%C3%A4",
    ),
    "a form by Quart's name": (
        {"form": {"a": b"1"}},
        "application/x-www-form-urlencoded",
        "a=1",
    ),
    "nothing": ({}, None, ""),
}


@pytest.mark.parametrize(("options", "kind", "body"), BODIES.values(), ids=BODIES)
async def test_a_body_is_what_data_json_or_form_say(options, kind, body):
    found = (await make_app().test_client().post("/echo", **options)).json

    assert found["body"] == body
    assert found["headers"].get("content-type") == kind
    assert found["headers"]["content-length"] == str(len(body.encode()))


async def test_json_is_written_and_read_by_the_app():
    app = make_app()

    class Provider(app.json_provider_class):
        def dumps(self, obj, **kwargs):
            return '"written"'

        def loads(self, s, **kwargs):
            return ["read", s.decode()]

    app.json = Provider()
    app.add_url_rule("/body", view_func=lambda: sync.request.get_data(), methods=["POST"])

    response = await app.test_client().post("/body", json=1)

    assert response.data == b'"written"'
    assert response.get_json(force=True) == ["read", '"written"']


@pytest.mark.parametrize("pieces", ["async", "def"])
async def test_a_body_can_be_sent_in_pieces(pieces):
    app = make_app()

    @app.post("/pieces")
    async def count_pieces():
        assert "content-length" not in request.headers
        return str([chunk async for chunk in request.stream])

    async def generate():
        for piece in (b"a", b"b"):
            yield piece

    data = generate() if pieces == "async" else iter([b"a", b"b"])
    response = await app.test_client().post("/pieces", data=data)

    assert response.text == "[b'a', b'b']"


async def test_an_error_in_a_body_sent_in_pieces_reaches_the_test():
    async def generate():
        yield b"a"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await make_app().test_client().post("/echo", data=generate())


WRONG_BODIES = {
    "json and data": {"json": 1, "data": "a"},
    "json and form": {"json": 1, "form": {}},
    "a body and form": {"data": "a", "form": {"a": "1"}},
    "a number": {"data": 1},
    "a file with a number for a name": {"files": {"f": (BytesIO(), 1)}},
    "a file with four parts": {"files": {"f": (BytesIO(), "a", "b", "c")}},
    "an unknown argument": {"jsno": 1},
}


@pytest.mark.parametrize("options", WRONG_BODIES.values(), ids=WRONG_BODIES)
async def test_a_body_that_cannot_be_is_a_type_error(options):
    with pytest.raises(TypeError):
        await make_app().test_client().post("/echo", **options)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("environ_base", "scope_base="),
        ("environ_overrides", "scope_base="),
        ("input_stream", "data= takes a file"),
        ("buffered", "client.stream()"),
        ("jsno", "There are auth, base_url, "),
    ],
)
async def test_an_argument_that_is_none_is_answered_with_one_that_is(name, advice):
    with pytest.raises(TypeError, match=f"takes no {name}=") as caught:
        await make_app().test_client().get("/echo", **{name: {}})

    assert advice in str(caught.value)


async def test_files_are_uploaded_beside_fields(tmp_path):
    app = make_app()
    on_disk = tmp_path / "notes.txt"
    on_disk.write_bytes(b"from the disk")

    @app.post("/upload")
    async def upload():
        files = [
            [name, file.filename, file.mimetype, (await file.read()).decode()]
            for name, file in (await request.files).items(multi=True)
        ]
        return {"files": files, "form": (await request.form).to_dict(flat=False)}

    with on_disk.open("rb") as opened:
        response = await app.test_client().post(
            "/upload",
            data={
                "a": ["1", 2],
                "named": (BytesIO(b"x"), "pic.png"),
                "typed": (BytesIO(b"y"), "y.bin", "text/x-y"),
                "opened": opened,
                "nameless": BytesIO(b"a field"),
                "empty": (BytesIO(), ""),
                'qu"ote\r\n': (BytesIO(), 'na"me.x'),
            },
            form={"b": "3"},
            files={
                "bytes": b"z",
                "path": on_disk,
                "many": [(BytesIO(b"1"), "1"), (BytesIO(b"2"), "2")],
            },
        )

    assert response.json["form"] == {"a": ["1", "2"], "nameless": ["a field"], "b": ["3"]}
    assert response.json["files"] == [
        ["named", "pic.png", "image/png", "x"],
        ["typed", "y.bin", "text/x-y", "y"],
        ["opened", "notes.txt", "text/plain", "from the disk"],
        ["empty", "", "application/octet-stream", ""],
        ['qu"ote%0D%0A', 'na"me.x', "application/octet-stream", ""],
        ["bytes", "bytes", "application/octet-stream", "z"],
        ["path", "notes.txt", "text/plain", "from the disk"],
        ["many", "1", "application/octet-stream", "1"],
        ["many", "2", "application/octet-stream", "2"],
    ]


async def test_a_form_is_multipart_where_its_type_says_so():
    response = (
        await make_app()
        .test_client()
        .post("/echo", data={"a": "1"}, content_type="multipart/form-data; boundary=here")
    )

    assert response.json["body"] == (
        '--here\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--here--\r\n'
    )


async def test_an_uploaded_file_can_be_sent_on():
    app = make_app()

    @app.post("/proxy")
    async def proxy():
        files = await request.files
        onward = await app.test_client().post("/final", files={"again": files["file"]})
        return onward.json

    @app.post("/final")
    async def final():
        file = (await request.files)["again"]
        return [file.filename, file.mimetype, (await file.read()).decode()]

    data = {"file": (BytesIO(b"body"), "a.txt", "text/markdown")}

    assert (await app.test_client().post("/proxy", data=data)).json == [
        "a.txt",
        "text/markdown",
        "body",
    ]


async def test_headers_come_from_the_call_the_client_and_the_defaults():
    client = make_app().test_client()
    client.headers["x-token"] = "of the client"
    client.headers["x-other"] = "of the client"

    found = (await client.get("/echo", headers={"X-Token": "of the call"})).json["headers"]

    assert found == {
        "host": "localhost",
        "x-token": "of the call",
        "x-other": "of the client",
        "user-agent": "erlen-test-client",
    }


AUTHS = {
    "a pair": ("ann", "secret"),
    "an Authorization": Authorization("basic", {"username": "ann", "password": "secret"}),
}


@pytest.mark.parametrize("auth", AUTHS.values(), ids=AUTHS)
async def test_auth_becomes_a_header(auth):
    app = make_app()

    @app.get("/who")
    async def who():
        return f"{request.authorization.username} {request.authorization.password}"

    assert (await app.test_client().get("/who", auth=auth)).text == "ann secret"


PLACES = {
    "by default": ({}, {}, "http://localhost/echo", ""),
    "a base URL": ({}, {"base_url": "https://a.example:8443"}, "https://a.example:8443/echo", ""),
    "a base URL with a root": ({}, {"base_url": "http://a/app/"}, "http://a/app/echo", "/app"),
    "a scheme": ({}, {"url_scheme": "https"}, "https://localhost/echo", ""),
    "Quart's scheme": ({}, {"scheme": "https"}, "https://localhost/echo", ""),
    "a subdomain": ({}, {"subdomain": "api"}, "http://api.localhost/echo", ""),
    "a base URL with an encoded root": (
        {},
        {"base_url": "http://a/my%20%C3%A4pp/"},
        "http://a/my%20%C3%A4pp/echo",
        "/my äpp",
    ),
    "a root": ({}, {"root_path": "/app"}, "http://localhost/app/echo", "/app"),
    "a root with a space": ({}, {"root_path": "/a b"}, "http://localhost/a%20b/echo", "/a b"),
    "SERVER_NAME": ({"SERVER_NAME": "x.example:81"}, {}, "http://x.example:81/echo", ""),
    "APPLICATION_ROOT": ({"APPLICATION_ROOT": "/app"}, {}, "http://localhost/app/echo", "/app"),
    "an encoded APPLICATION_ROOT": (
        {"APPLICATION_ROOT": "/my%20app"},
        {},
        "http://localhost/my%20app/echo",
        "/my app",
    ),
    "PREFERRED_URL_SCHEME": (
        {"PREFERRED_URL_SCHEME": "https"},
        {},
        "https://localhost/echo",
        "",
    ),
}


@pytest.mark.parametrize(("config", "options", "url", "root"), PLACES.values(), ids=PLACES)
async def test_where_the_app_is_can_be_said(config, options, url, root):
    found = (await make_app(**config).test_client().get("/echo", **options)).json

    assert (found["url"], found["root"], found["path"]) == (url, root, "/echo")


async def test_a_client_can_have_a_base_url_of_its_own():
    client = make_app().test_client(base_url="https://a.example/app")

    assert (await client.get("/echo")).json["url"] == "https://a.example/app/echo"
    assert (await client.get("/echo", base_url="http://b")).json["url"] == "http://b/echo"


URLS = {
    "below the root": ("https://a.example/app/echo", "https://a.example/app/echo", "/app"),
    "beside the root": ("https://a.example/echo", "https://a.example/echo", ""),
}


@pytest.mark.parametrize(("asked", "url", "root"), URLS.values(), ids=URLS)
async def test_a_whole_url_says_everything_itself(asked, url, root):
    found = (await make_app(APPLICATION_ROOT="/app").test_client().get(asked)).json

    assert (found["url"], found["root"]) == (url, root)


@pytest.mark.parametrize("asked", ["http://a/my%20app/echo", "http://a/my app/echo"])
async def test_a_whole_url_below_an_encoded_root_is_below_it(asked):
    found = (await make_app().test_client().get(asked, base_url="http://a/my%20app")).json

    assert (found["root"], found["path"]) == ("/my app", "/echo")


async def test_a_redirect_below_an_encoded_root_is_followed():
    app = make_app()
    app.add_url_rule("/from", "from", lambda: redirect(url_for("echo")))

    response = await app.test_client().get(
        "/from", base_url="http://a/my%20app", follow_redirects=True
    )

    assert (response.json["root"], response.json["path"]) == ("/my app", "/echo")


async def test_a_base_url_with_a_part_of_it_is_an_error():
    client = make_app().test_client()

    with pytest.raises(SetupAssertionError, match="'subdomain' or 'url_scheme' with 'base_url'"):
        await client.get("/", base_url="http://a", subdomain="b")
    with pytest.raises(ValueError, match="base_url is a URL"):
        await client.get("/", base_url="localhost")


async def test_the_scope_can_be_anything():
    app = make_app()

    @app.get("/client")
    async def client_seen():
        return f"{request.remote_addr} {request.http_version} {request.scope['x']}"

    client = app.test_client(scope_base={"client": ("1.2.3.4", 5), "x": "client"})
    response = await client.get("/client", http_version="2", scope_base={"x": "call"})

    assert response.text == "1.2.3.4 2 call"
