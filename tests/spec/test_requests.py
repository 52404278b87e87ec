"""What a request says of itself, attribute by attribute, the same in both colours."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from inspect import isawaitable
from operator import attrgetter

import pytest
from starlette.requests import Request as StarletteRequest

from erlen import Blueprint, Erlen, Request, current_request, request, sync
from erlen.datastructures import MultiDict
from erlen.elsewhere import REQUEST
from erlen.exceptions import FileNotSent, RequestRedirect
from erlen.headers import Authorization, ETags, HeaderSet

COLOURS = ["async def", "def"]
MOMENT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
WRITTEN = "Sat, 21 Nov 2026 08:30:00 GMT"


async def look(colour, read, app=None, **sent):
    """Return what *read* finds in the request that a view of *colour* serves."""
    app = app or Erlen("requests")
    seen = []

    if colour == "async def":

        async def view(rest=""):
            value = read(request)
            seen.append(await value if isawaitable(value) else value)
            return ""

    else:

        def view(rest=""):
            seen.append(read(request))
            return ""

    methods = ["GET", "POST", "PUT", "DELETE"]
    app.add_url_rule("/", "view", view, methods=methods)
    app.add_url_rule("/<path:rest>", "view", view, methods=methods)
    await app.test_client().open(**{"path": "/", **sent})
    return seen[0]


def header(name, value, **sent):
    return {"headers": {name: value}, **sent}


LINE = [
    ("method", {}, "GET"),
    ("method", {"method": "DELETE"}, "DELETE"),
    ("http_version", {}, "1.1"),
    ("http_version", {"http_version": "2"}, "2"),
    ("scheme", {}, "http"),
    ("scheme", {"scheme": "https"}, "https"),
    ("is_secure", {}, False),
    ("is_secure", {"scheme": "https"}, True),
    ("server", {}, ("localhost", 80)),
    ("server", {"scope_base": {"server": ["/run/app.sock", None]}}, ("/run/app.sock", None)),
    ("server", {"scope_base": {"server": None}}, None),
    ("root_path", {}, ""),
    ("root_path", {"root_path": "/shop/"}, "/shop"),
    ("script_root", {"root_path": "/shop"}, "/shop"),
    ("path", {}, "/"),
    ("path", {"path": "/caf%C3%A9/a%20b"}, "/café/a b"),
    ("path", {"path": "/tea", "root_path": "/shop"}, "/tea"),
    ("path", {"path": "/", "root_path": "/shop"}, "/"),
    ("query_string", {}, b""),
    ("query_string", {"path": "/?a=%C3%A4&b"}, b"a=%C3%A4&b"),
    ("full_path", {"path": "/tea"}, "/tea"),
    ("full_path", {"path": "/tea?a=%C3%A4"}, "/tea?a=%C3%A4"),
    ("host", {}, "localhost"),
    ("host", {"base_url": "http://localhost:5000"}, "localhost:5000"),
    ("host", {"base_url": "http://localhost:80"}, "localhost"),
    ("host", {"base_url": "https://localhost:443"}, "localhost"),
    ("host", {"base_url": "https://localhost:80"}, "localhost:80"),
    ("host_url", {"base_url": "https://localhost:8/shop"}, "https://localhost:8/"),
    ("root_url", {"base_url": "http://localhost/a b"}, "http://localhost/a%20b/"),
    ("url_root", {"root_path": "/shop"}, "http://localhost/shop/"),
    ("base_url", {"path": "/é?a=1", "root_path": "/shop"}, "http://localhost/shop/%C3%A9"),
    ("url", {"path": "/tea"}, "http://localhost/tea"),
    ("url", {"path": "/a%20b?c=d%20e&f=[g]"}, "http://localhost/a%20b?c=d%20e&f=[g]"),
    ("remote_addr", {}, "127.0.0.1"),
    ("remote_addr", {"scope_base": {"client": None}}, None),
    ("access_route", {}, ["127.0.0.1"]),
    ("access_route", {"scope_base": {"client": None}}, []),
    ("access_route", header("X-Forwarded-For", "1.2.3.4, 5.6.7.8"), ["1.2.3.4", "5.6.7.8"]),
]

HEADERS = [
    ("content_type", {}, None),
    (
        "content_type",
        header("Content-Type", "Text/HTML; charset=utf-8"),
        "Text/HTML; charset=utf-8",
    ),
    ("mimetype", {}, ""),
    ("mimetype", header("Content-Type", "Text/HTML; charset=utf-8"), "text/html"),
    ("mimetype_params", {}, {}),
    ("mimetype_params", header("Content-Type", 'text/html; charset="utf-8"'), {"charset": "utf-8"}),
    ("content_length", {}, None),
    ("content_length", {"method": "POST", "data": b"12345"}, 5),
    ("content_length", header("Content-Length", "-1"), None),
    ("content_length", header("Content-Length", "1" * 19), None),
    ("content_encoding", {}, None),
    ("content_encoding", header("Content-Encoding", "gzip"), "gzip"),
    ("has_body", {}, False),
    ("has_body", {"method": "POST", "data": b""}, False),
    ("has_body", {"method": "POST", "data": b"x"}, True),
    ("has_body", header("Transfer-Encoding", "chunked"), True),
    ("is_json", {}, False),
    ("is_json", header("Content-Type", "Application/JSON; charset=utf-8"), True),
    ("is_json", header("Content-Type", "application/problem+json"), True),
    ("is_json", header("Content-Type", "text/x+json"), False),
    ("date", {}, None),
    ("date", header("Date", WRITTEN), MOMENT),
    ("date", header("Date", "tomorrow"), None),
    ("if_modified_since", header("If-Modified-Since", WRITTEN), MOMENT),
    ("if_unmodified_since", header("If-Unmodified-Since", WRITTEN), MOMENT),
    ("if_match", {}, ETags()),
    ("if_match", header("If-Match", '"a", W/"b"'), ETags(["a"], ["b"])),
    ("if_none_match.star_tag", header("If-None-Match", "*"), True),
    ("if_range.etag", header("If-Range", '"a"'), "a"),
    ("if_range.date", header("If-Range", WRITTEN), MOMENT),
    ("last_event_id", header("Last-Event-ID", "7"), "7"),
    ("range", {}, None),
    ("range", header("Range", "furlongs"), None),
    ("range.ranges", header("Range", "bytes=0-9,-5"), [(0, 10), (-5, None)]),
    ("cache_control.no_cache", {}, False),
    ("cache_control.max_age", header("Cache-Control", "max-age=60"), 60),
    ("pragma", {}, HeaderSet()),
    ("pragma", header("Pragma", "no-cache"), HeaderSet(["no-cache"])),
    ("max_forwards", {}, None),
    ("max_forwards", header("Max-Forwards", "3"), 3),
    ("max_forwards", header("Max-Forwards", "-1"), None),
    ("access_control_request_headers", {}, None),
    (
        "access_control_request_headers",
        header("Access-Control-Request-Headers", "X-A, X-B"),
        HeaderSet(["X-A", "X-B"]),
    ),
    ("access_control_request_method", header("Access-Control-Request-Method", "PUT"), "PUT"),
    ("accept_mimetypes.accept_json", header("Accept", "application/json"), True),
    ("accept_mimetypes.accept_html", header("Accept", "application/json"), False),
    ("accept_languages.best", header("Accept-Language", "en;q=0.5, de"), "de"),
    ("accept_charsets.best", header("Accept-Charset", "latin-1"), "latin-1"),
    ("accept_encodings.best", header("Accept-Encoding", "gzip;q=0.5, br"), "br"),
    ("authorization", {}, None),
    ("authorization", header("Authorization", "basic !"), None),
    ("authorization.type", {"auth": ("ada", "secret")}, "basic"),
    ("authorization.username", {"auth": ("ada", "secret")}, "ada"),
    ("authorization.password", {"auth": ("ada", "secret")}, "secret"),
    ("authorization.token", {"auth": Authorization("bearer", token="abc")}, "abc"),
    ("user_agent.string", header("User-Agent", "curl/8"), "curl/8"),
    ("referrer", {}, None),
    ("referrer", header("Referer", "http://localhost/"), "http://localhost/"),
    ("origin", {}, None),
    ("origin", header("Origin", "http://localhost"), "http://localhost"),
]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("attribute", "sent", "value"), LINE + HEADERS)
async def test_an_attribute_says_what_was_sent(colour, attribute, sent, value):
    assert await look(colour, attrgetter(attribute), **sent) == value


async def test_without_a_host_header_the_server_says_its_own_name():
    hosts = {
        await look("def", attrgetter("host"), scope_base={"headers": [], "server": server})
        for server in [("example.test", 80), ("::1", 5000), ("/run/app", None), None]
    }

    assert hosts == {"example.test", "[::1]:5000", "/run/app", ""}


# -- parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
async def test_the_query_is_a_dict_of_first_values(colour):
    def read(request):
        args = request.args
        return [
            args["a"],
            args.getlist("a"),
            args.get("n", 0, type=int),
            args.get("a", 0, type=int),
            args.get("none"),
            args.to_dict(flat=False),
        ]

    seen = await look(colour, read, path="/?a=x&a=y&n=3")

    assert seen == ["x", ["x", "y"], 3, 0, None, {"a": ["x", "y"], "n": ["3"]}]


@pytest.mark.parametrize("colour", COLOURS)
async def test_cookies_of_several_headers_are_one_dict(colour):
    headers = [("Cookie", "a=1; b=2"), ("Cookie", 'c="3"')]

    def read(request):
        return dict(request.cookies), request.cookies is request.cookies

    seen = await look(colour, read, headers=headers)

    assert seen == ({"a": "1", "b": "2", "c": "3"}, True)


@pytest.mark.parametrize("name", [b"cookie", b"Cookie", b"COOKIE", b"cOOkie"])
def test_cookies_are_found_in_any_case(name):
    async def receive():
        raise NotImplementedError

    headers = [(b"cookie", b"a=1"), (name, b"b=2"), (b"cookies", b"c=3")]

    assert Request({"type": "http", "headers": headers}, receive).cookies == {
        "a": ["1"],
        "b": ["2"],
    }


@pytest.mark.parametrize("colour", COLOURS)
async def test_headers_are_found_in_any_case(colour):
    def read(request):
        headers = request.headers
        return headers["x-tea"], headers.getlist("X-TEA"), "X-tea" in headers, headers.get("X-No")

    seen = await look(colour, read, headers=[("X-Tea", "green"), ("x-tea", "black")])

    assert seen == ("green", ["green", "black"], True, None)


@pytest.mark.parametrize("colour", COLOURS)
async def test_values_are_the_query_and_unless_this_is_a_get_the_form(colour):
    sent = {"path": "/?a=1&b=2", "data": {"b": "3", "c": "4"}}

    of_get = await look(colour, attrgetter("values"), method="GET", **sent)
    of_post = await look(colour, attrgetter("values"), method="POST", **sent)

    assert of_get.to_dict(flat=False) == {"a": ["1"], "b": ["2"]}
    assert of_post.to_dict(flat=False) == {"a": ["1"], "b": ["2", "3"], "c": ["4"]}


# -- the body ------------------------------------------------------------------------------

JSON = {"method": "POST", "json": {"tea": "green"}}
FORM = {"method": "POST", "data": {"tea": "green"}}
TEXT = {"method": "POST", "data": "naïve", "content_type": "text/plain"}


def upload(content=b"leaves"):
    return {"method": "POST", "data": {"tea": "green", "file": (io.BytesIO(content), "tea.txt")}}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("read", "sent", "value"),
    [
        (attrgetter("data"), TEXT, "naïve".encode()),
        (attrgetter("data"), {}, b""),
        (lambda request: request.get_data(), FORM, b"tea=green"),
        (lambda request: request.get_data(as_text=True), TEXT, "naïve"),
        (lambda request: request.get_data(parse_form_data=True), TEXT, "naïve".encode()),
        (attrgetter("json"), JSON, {"tea": "green"}),
        (lambda request: request.get_json(), JSON, {"tea": "green"}),
        (lambda request: request.get_json(force=True), {"method": "POST", "data": b"[1]"}, [1]),
        (lambda request: request.get_json(silent=True), TEXT, None),
        (lambda request: request.get_json(force=True, silent=True), TEXT, None),
        (attrgetter("form"), FORM, {"tea": ["green"]}),
        (attrgetter("form"), upload(), {"tea": ["green"]}),
        (attrgetter("form"), TEXT, {}),
        (attrgetter("files"), FORM, {}),
        (attrgetter("files"), TEXT, {}),
        (attrgetter("want_form_data_parsed"), FORM, True),
        (attrgetter("want_form_data_parsed"), TEXT, False),
    ],
)
async def test_the_body_can_be_had_in_many_ways(colour, read, sent, value):
    assert await look(colour, read, **sent) == value


async def test_the_data_of_a_form_is_empty_when_the_form_is_parsed():
    for read, data in [
        (attrgetter("data"), b""),
        (lambda request: request.get_data(parse_form_data=True), b""),
        (lambda request: request.get_data(as_text=True, parse_form_data=True), ""),
    ]:
        assert await look("async def", read, **FORM) == data


@pytest.mark.parametrize("colour", COLOURS)
async def test_an_uploaded_file_says_what_it_is(colour):
    async def read_waiting(request):
        file = (await request.files)["file"]
        return file.filename, file.name, file.mimetype, await file.read()

    def read(request):
        file = request.files["file"]
        return file.filename, file.name, file.mimetype, file.read()

    seen = await look(colour, read if colour == "def" else read_waiting, **upload())

    assert seen == ("tea.txt", "file", "text/plain", b"leaves")


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_body_that_was_read_can_still_be_parsed_as_a_form(colour):
    async def read_waiting(request):
        return await request.get_data(), dict(await request.form)

    def read(request):
        return request.get_data(), dict(request.form)

    seen = await look(colour, read if colour == "def" else read_waiting, **FORM)

    assert seen == (b"tea=green", {"tea": "green"})


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_body_that_is_not_cached_is_given_once(colour):
    async def read_waiting(request):
        return await request.get_data(cache=False), await request.get_data()

    def read(request):
        return request.get_data(cache=False), request.get_data()

    seen = await look(colour, read if colour == "def" else read_waiting, **TEXT)

    assert seen == ("naïve".encode(), b"")


@pytest.mark.parametrize("colour", COLOURS)
async def test_json_is_parsed_once_unless_it_is_not_cached(colour):
    async def read_waiting(request):
        first, second = await request.get_json(), await request.get_json()
        return first is second, await request.get_json(cache=False) is first

    def read(request):
        first, second = request.get_json(), request.get_json()
        return first is second, request.get_json(cache=False) is first

    seen = await look(colour, read if colour == "def" else read_waiting, **JSON)

    assert seen == (True, False)


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_subclass_says_what_stands_for_json_that_cannot_be_read(colour):
    class Lenient(Request):
        def on_json_loading_failed(self, error):
            return {"broken": type(error).__name__}

    class App(Erlen):
        request_class = Lenient

    sent = {"method": "POST", "data": b"{", "content_type": "application/json"}

    assert await look(colour, attrgetter("json"), App("requests"), **sent) == {
        "broken": "InvalidJSON"
    }


@pytest.mark.parametrize("colour", COLOURS)
async def test_a_subclass_says_what_stands_for_a_body_that_is_no_json_at_all(colour):
    class Lenient(Request):
        def on_json_loading_failed(self, error):
            return {"error": error}

    class App(Erlen):
        request_class = Lenient

    seen = await look(colour, attrgetter("json"), App("requests"), method="POST", data=b"text")

    assert seen == {"error": None}


async def test_the_body_is_iterated_awaited_or_read():
    async def iterated(request):
        return [chunk async for chunk in request.stream]

    for read in (iterated, attrgetter("body"), lambda request: request.body.read()):
        seen = await look("async def", read, **TEXT)
        assert b"".join(seen if isinstance(seen, list) else [seen]) == "naïve".encode()


@pytest.mark.parametrize(("body", "pieces"), [("leaves", [b"leaves"]), ("", [])])
async def test_a_body_that_was_read_is_iterated_as_a_whole(body, pieces):
    async def read(request):
        await request.get_data()
        return [chunk async for chunk in request.stream]

    assert await look("async def", read, **{**TEXT, "data": body}) == pieces


async def test_what_is_no_form_is_none_after_it_was_read_either():
    async def read(request):
        return await request.get_data(), await request.form

    assert await look("async def", read, **TEXT) == ("naïve".encode(), {})


async def test_a_form_that_an_async_hook_parsed_leaves_no_data_for_a_def_view():
    app = Erlen("requests")
    seen = []

    @app.before_request
    async def parse():
        await request.form

    @app.post("/form", stream_body=True)
    def form():
        own = sync.request
        seen.extend([own.form["tea"], own.data, own.get_data(as_text=True)])
        return ""

    await app.test_client().post("/form", data=FORM["data"])

    assert seen == ["green", b"", ""]


async def test_a_def_view_reads_a_large_piece_of_an_arriving_body_bit_by_bit():
    app = Erlen("requests")
    seen = []

    @app.post("/large", stream_body=True)
    def large():
        stream = sync.request.stream
        seen.extend([len(stream.read(10)), len(stream.read()), stream.read()])
        return ""

    await app.test_client().post("/large", data=b"leaf" * 50_000)

    assert seen == [10, 199_990, b""]


async def test_in_def_code_the_stream_is_a_file():
    def read(request):
        stream = request.stream
        return stream.read(1), stream.read(), request.stream is stream

    assert await look("def", read, **{**TEXT, "data": "leaves"}) == (b"l", b"eaves", True)


async def test_a_form_in_a_file_on_disk_is_parsed_from_there():
    content = b"leaf" * 300_000

    def read(request):
        files = request.files
        return len(files["file"].read()), len(request.get_data()) > len(content)

    app = Erlen("requests")
    app.config["MAX_FORM_MEMORY_SIZE"] = None
    assert await look("def", read, app, **upload(content)) == (len(content), True)


async def test_the_files_of_a_request_are_closed_with_it():
    app = Erlen("requests")
    kept = []

    @app.post("/keep")
    async def keep():
        kept.extend((await request.files).values())
        return ""

    await app.test_client().post("/keep", data=upload()["data"])

    assert [upload.closed for upload in kept] == [True]


# -- limits --------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
async def test_limits_come_from_the_configuration_and_can_be_changed(colour):
    app = Erlen("requests")
    app.config.update(
        MAX_CONTENT_LENGTH=100, MAX_FORM_MEMORY_SIZE=10, MAX_FORM_PARTS=2, BODY_TIMEOUT=5
    )

    def read(request):
        before = (
            request.max_content_length,
            request.max_form_memory_size,
            request.max_form_parts,
            request.body_timeout,
            request.stream_body,
        )
        request.max_form_memory_size = None
        return before, request.form

    async def read_waiting(request):
        before, form = read(request)
        return before, await form

    form = {"tea": "x" * 50}
    seen = await look(
        colour, read if colour == "def" else read_waiting, app, method="POST", data=form
    )

    assert seen == ((100, 10, 2, 5, False), MultiDict(form))


async def test_a_route_may_replace_and_lift_limits():
    app = Erlen("requests")
    seen = []

    @app.get("/large", max_content_length=None, body_timeout=1.5, stream_body=True)
    def large():
        own = current_request()
        seen.append((own.max_content_length, own.body_timeout, own.stream_body))
        return ""

    await app.test_client().get("/large")

    assert seen == [(None, 1.5, True)]


async def test_a_form_that_does_not_arrive_is_a_408():
    app = Erlen("requests")
    answered = []

    @app.post("/", body_timeout=0.01)
    async def form():
        return dict(await request.form)

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        answered.append(message)

    with app.test_request_context(method="POST", data={"a": "b"}) as context:
        scope = context.scope
    await app(scope, receive, send)

    assert answered[0]["status"] == 408
    assert b"BODY_TIMEOUT" in answered[1]["body"]


# -- the match -----------------------------------------------------------------------------


async def test_a_request_knows_what_matched():
    app, shop = Erlen("requests"), Blueprint("shop", "requests", url_prefix="/shop")
    cart = Blueprint("cart", "requests", url_prefix="/cart")
    seen = []

    @cart.get("/<int:number>")
    @app.get("/<int:number>")
    async def show(number):
        return ""

    @app.before_request
    async def look():
        rule = request.url_rule
        seen.append(
            (
                rule and rule.rule,
                request.endpoint,
                request.blueprint,
                request.blueprints,
                request.view_args,
                getattr(request.routing_exception, "code", None),
            )
        )

    shop.register_blueprint(cart)
    app.register_blueprint(shop)
    client = app.test_client()
    for path in ("/shop/cart/7", "/7", "/none"):
        await client.get(path)
    await client.post("/7")

    assert seen == [
        (
            "/shop/cart/<int:number>",
            "shop.cart.show",
            "shop.cart",
            ["shop.cart", "shop"],
            {"number": 7},
            None,
        ),
        ("/<int:number>", "show", None, [], {"number": 7}, None),
        (None, None, None, [], None, 404),
        (None, None, None, [], None, 405),
    ]


async def test_a_request_shows_the_state_of_the_lifespan():
    @asynccontextmanager
    async def lifespan(app):
        yield {"pool": "open"}

    app = Erlen("requests", lifespan=lifespan)

    @app.get("/")
    async def pool():
        return request.state["pool"]

    async with app.test_client() as client:
        assert (await client.get("/")).text == "open"


# -- other faces ---------------------------------------------------------------------------


async def test_starlette_sees_the_same_request_and_body():
    async def read(request):
        await request.get_data()
        shown = request.starlette
        return type(shown).__mro__[1], shown.url.path, await shown.json(), await request.json

    seen = await look("async def", read, path="/tea", **JSON)

    assert seen == (StarletteRequest, "/tea", {"tea": "green"}, {"tea": "green"})


async def test_starlette_may_read_a_body_that_comes_in_pieces():
    async def pieces():
        yield b"green "
        yield b"tea"

    async def read(request):
        return [piece async for piece in request.starlette.stream()]

    seen = await look("async def", read, method="POST", data=pieces())

    assert seen == [b"green ", b"tea", b""]


async def test_what_starlette_has_read_is_gone():
    async def read(request):
        return await request.starlette.body(), await request.get_data()

    assert await look("async def", read, **TEXT) == ("naïve".encode(), b"")


async def test_a_request_is_printed_with_method_and_url():
    seen = await look("def", lambda request: repr(current_request()), method="PUT", path="/a?b=c")

    assert seen == "<Request 'http://localhost/a?b=c' [PUT]>"


async def test_extensions_may_keep_things_on_a_request():
    def read(request):
        current_request().tenant = "tea house"
        return request.tenant

    assert await look("def", read) == "tea house"


TOLD_ABOVE = {
    "args",
    "cookies",
    "headers",
    "values",
    "data",
    "get_data",
    "json",
    "get_json",
    "form",
    "files",
    "want_form_data_parsed",
    "stream",
    "body",
    "on_json_loading_failed",
    "max_content_length",
    "max_form_memory_size",
    "max_form_parts",
    "body_timeout",
    "body_min_rate",
    "stream_body",
    "url_rule",
    "endpoint",
    "blueprint",
    "blueprints",
    "view_args",
    "routing_exception",
    "state",
    "starlette",
    "enter",
}
TOLD_ELSEWHERE = {"parts"}  # test_parts
FOR_THE_FRAMEWORK = {
    "body_is_over",
    "scope",
    "limits",
    "default_scheme",
    "chunks",
    "prefetch",
    "replay",
    "until_disconnect",
    "close",
}


def test_every_attribute_of_a_request_has_its_line_here():
    in_tables = {name.partition(".")[0] for name, *_ in LINE + HEADERS}

    told = in_tables | TOLD_ABOVE | TOLD_ELSEWHERE | FOR_THE_FRAMEWORK

    public = {name for name in dir(Request) if not name.startswith("_")}
    assert told == public - set(REQUEST)


def view_of_a_file():
    return sync.request.files["photo"].filename


async def async_view_of_a_file():
    return (await request.files)["photo"].filename


@pytest.mark.parametrize("view", [view_of_a_file, async_view_of_a_file])
async def test_in_debug_mode_a_form_without_enctype_says_why_a_file_is_missing(view):
    app = Erlen("enctype")
    app.testing = app.debug = True
    app.add_url_rule("/", "view", view, methods=["POST"])
    client = app.test_client()

    with pytest.raises(FileNotSent, match=r"'photo'.*enctype.*submitted: 'me\.png'"):
        await client.post("/", data={"photo": "me.png"})
    with pytest.raises(FileNotSent, match=r"sent as application/json.*enctype"):
        await client.post("/", json={})


async def test_a_missing_file_is_a_plain_400_outside_of_debug_mode():
    app = Erlen("enctype")
    app.add_url_rule("/", "view", view_of_a_file, methods=["POST"])

    response = await app.test_client().post("/", data={"photo": "me.png"})

    assert response.status_code == 400
    assert "photo" not in response.text


async def test_in_debug_mode_optional_files_are_none_as_ever():
    app = Erlen("optional")
    app.testing = app.debug = True

    @app.post("/")
    async def view():
        files = await request.files
        return [files.get("photo"), files.getlist("photo"), "photo" in files, len(files)]

    response = await app.test_client().post("/", data={"photo": "me.png"})

    assert response.json == [None, [], False, 0]


@pytest.mark.parametrize("code", [301, 302])
async def test_in_debug_mode_a_redirect_of_the_router_that_loses_a_form_is_an_error(
    code, monkeypatch
):
    app = Erlen("lost")
    app.testing = app.debug = True
    app.add_url_rule("/user/", "user", lambda: "here", methods=["GET", "POST"])
    client = app.test_client()
    monkeypatch.setattr(RequestRedirect, "code", code)

    with pytest.raises(AssertionError, match=r"canonical URL 'http://localhost/user/\?a=1'"):
        await client.post("/user?a=1", data={"name": "ada"})
    assert (await client.get("/user")).status_code == code
    app.debug = False
    assert (await client.post("/user")).status_code == code
