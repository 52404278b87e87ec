"""What views may return, and what they are told when they may not."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
from collections import UserString
from typing import NamedTuple

import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse

from erlen import Erlen, Response, abort, jsonify, make_response, redirect, request, session
from erlen.exceptions import Forbidden, HTTPException, NotFound
from erlen.json.provider import DefaultJSONProvider


@dataclasses.dataclass
class Point:
    x: int
    y: int


async def get(result, *, app=None, path="/"):
    """Return the response to a view that returns *result*; a function is called for it."""
    app = app or Erlen("results")

    @app.get("/")
    async def view():
        return result() if callable(result) and not isinstance(result, type) else result

    return await app.test_client().get(path)


HTML = "text/html; charset=utf-8"


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("kind", ["text", "json"])
@pytest.mark.parametrize("hooks", ["no hooks", "a before hook", "an after hook"])
async def test_the_length_of_a_body_is_announced(hooks, kind, size):
    app = Erlen("lengths")

    if hooks == "a before hook":

        @app.before_request
        async def before():
            return None

    if hooks == "an after hook":

        @app.after_request
        async def after(response):
            return response

    response = await get("x" * size if kind == "text" else ["x" * max(size - 5, 0)], app=app)

    assert response.headers["content-length"] == str(len(response.data))
    assert kind == "json" or len(response.data) == size


@pytest.mark.parametrize(
    ("result", "status", "text", "content_type"),
    [
        pytest.param("hällo", 200, "hällo", HTML, id="str"),
        pytest.param(b"bytes", 200, "bytes", HTML, id="bytes"),
        pytest.param(bytearray(b"array"), 200, "array", HTML, id="bytearray"),
        pytest.param({"a": 1}, 200, '{"a":1}\n', "application/json", id="dict"),
        pytest.param([1, 2], 200, "[1,2]\n", "application/json", id="list"),
        pytest.param(Point(1, 2), 200, '{"x":1,"y":2}\n', "application/json", id="dataclass"),
        pytest.param(("x", 201), 201, "x", HTML, id="body and status"),
        pytest.param(("x", "202 Fine"), 202, "x", HTML, id="body and status line"),
        pytest.param(({"a": 1}, 400), 400, '{"a":1}\n', "application/json", id="dict and status"),
        pytest.param(("x", 201, {"X-A": "b"}), 201, "x", HTML, id="with headers"),
        pytest.param(
            ("x", {"Content-Type": "text/css"}), 200, "x", "text/css", id="body and headers"
        ),
        pytest.param(lambda: Response("r", 203), 203, "r", HTML, id="Response"),
        pytest.param(lambda: (Response("r", 203), 204), 204, "", HTML, id="Response and status"),
        pytest.param(lambda: iter(["a", "b"]), 200, "ab", HTML, id="iterator"),
        pytest.param(Forbidden("no"), 403, None, HTML, id="an HTTP exception"),
        pytest.param(
            lambda: PlainTextResponse("p", 205),
            205,
            "p",
            "text/plain; charset=utf-8",
            id="Starlette",
        ),
        pytest.param(
            lambda: JSONResponse({"s": 1}), 200, '{"s":1}', "application/json", id="Starlette JSON"
        ),
        pytest.param(
            lambda: StreamingResponse(iter(["s", "t"]), media_type="text/plain"),
            200,
            "st",
            "text/plain; charset=utf-8",
            id="Starlette stream",
        ),
    ],
)
async def test_a_view_may_return(result, status, text, content_type):
    response = await get(result)

    assert response.status_code == status
    assert response.headers["Content-Type"] == content_type
    if text is not None:
        assert response.text == text


async def test_a_view_may_return_any_asgi_callable():
    async def asgi(scope, receive, send):
        headers = [(b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 207, "headers": headers})
        await send({"type": "http.response.body", "body": b"asgi"})

    response = await get(lambda: asgi)

    assert (response.status_code, response.text, response.headers["X-Own"]) == (207, "asgi", "1")


async def test_after_hooks_see_the_head_of_an_asgi_callable_and_may_change_it():
    app = Erlen("foreign")
    app.secret_key = "k" * 32
    seen = []

    @app.after_request
    async def look(response):
        seen.append((response.status_code, response.headers["Content-Type"]))
        response.headers["X-Seen"] = "yes"
        session["seen"] = True
        return response

    response = await get(
        lambda: StreamingResponse(iter(["s"]), 206, media_type="text/plain"), app=app
    )

    assert seen == [(206, "text/plain; charset=utf-8")]
    assert response.headers["X-Seen"] == "yes"
    assert "session=" in response.headers["Set-Cookie"]


async def test_an_asgi_callable_that_fails_before_it_starts_is_an_ordinary_error():
    app = Erlen("foreign")

    @app.errorhandler(LookupError)
    async def handler(error):
        return "handled", 404

    async def asgi(scope, receive, send):
        raise LookupError

    response = await get(lambda: asgi, app=app)

    assert (response.status_code, response.text) == (404, "handled")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        pytest.param(None, "returned None or ended without a return statement", id="None"),
        pytest.param(True, "it was a bool: True", id="bool"),
        pytest.param(3.5, "it was a float: 3.5", id="float"),
        pytest.param(UserString("x"), "it was a UserString", id="a class of the user's"),
        pytest.param(("x", 1, {}, "more"), "must have the form", id="tuple of four"),
        pytest.param(("x", 3.5), "A status is a number", id="odd status"),
    ],
)
async def test_what_a_view_may_not_return_is_named_with_the_view(result, message, caplog):
    response = await get(result)

    assert response.status_code == 500
    assert "view' (test_results.py:" in caplog.text
    assert message in caplog.text


def helper():
    return "x"


@pytest.mark.parametrize("result", [helper, Point(1, 2).__init__, lambda scope, receive: None])
async def test_a_function_that_is_no_asgi_app_is_named_with_the_view(result, caplog):
    response = await get(lambda: result)

    assert response.status_code == 500
    assert "view' (test_results.py:" in caplog.text
    assert "It returned the function " in caplog.text
    assert f"call it: {result.__name__}()." in caplog.text


@pytest.mark.parametrize("kind", ["async def", "def", "method", "partial"])
async def test_functions_of_many_kinds_are_asgi_apps(kind):
    class Answering:
        async def method(self, scope, receive, send):
            await Response("asgi")(scope, receive, send)

    async def asgi(scope, receive, send, *, text="asgi"):
        await Response(text)(scope, receive, send)

    apps = {
        "async def": asgi,
        "def": lambda *channels: asgi(*channels),
        "method": Answering().method,
        "partial": functools.partial(asgi, text="asgi"),
    }

    assert (await get(lambda: apps[kind])).text == "asgi"


async def test_a_response_class_of_the_app_is_used():
    class Plain(Response):
        default_mimetype = "text/plain"

    class App(Erlen):
        response_class = Plain

    response = await get("x", app=App("plain"))

    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_make_response_of_a_subclass_is_honoured():
    class App(Erlen):
        def make_response(self, value):
            return super().make_response(f"<{value}>")

    response = await get("x", app=App("own"))

    assert response.text == "<x>"


async def test_make_response_and_jsonify_are_plain_calls():
    app = Erlen("helpers")

    @app.get("/made")
    async def made():
        response = make_response("x", 201)
        response.headers["X-A"] = "b"
        return response

    @app.get("/empty")
    def empty():
        return make_response()

    @app.get("/several")
    async def several():
        return jsonify(1, 2)

    @app.get("/keywords")
    def keywords():
        return jsonify(a=1)

    client = app.test_client()
    response = await client.get("/made")
    assert (response.status_code, response.text, response.headers["X-A"]) == (201, "x", "b")
    assert (await client.get("/empty")).text == ""
    assert json.loads((await client.get("/several")).text) == [1, 2]
    assert json.loads((await client.get("/keywords")).text) == {"a": 1}


async def test_a_redirect_is_302_unless_it_says_otherwise():
    response = await get(lambda: redirect("/näxt?a=b"))

    assert (response.status_code, response.headers["Location"]) == (302, "/n%C3%A4xt?a=b")
    assert (await get(lambda: redirect("/x", 303))).status_code == 303


async def test_a_redirect_leads_to_no_script(caplog):
    response = await get(lambda: redirect("javascript:alert(1)"))

    assert response.status_code == 500
    assert "ValueError" in caplog.text


async def test_a_line_break_in_an_address_ends_no_header():
    response = await get(lambda: redirect("/x\r\nSet-Cookie: a=b"))

    assert response.status_code == 302
    assert response.headers["Location"] == "/x%0D%0ASet-Cookie:%20a=b"
    assert "Set-Cookie" not in response.headers


async def test_abort_raises_the_exception_of_the_code_with_its_text():
    response = await get(lambda: abort(404, "no such note"))

    assert response.status_code == 404
    assert "no such note" in response.text


async def test_abort_sends_a_response_as_it_is():
    response = await get(lambda: abort(Response("mine", 499)))

    assert (response.status_code, response.text) == (499, "mine")


async def test_abort_refuses_an_unknown_code(caplog):
    assert (await get(lambda: abort(999))).status_code == 500
    assert "There is no exception for the status 999" in caplog.text


class Odd(HTTPException):
    code = 900


def raise_odd():
    raise Odd()


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda: ("x", 600), id="a tuple"),
        pytest.param(lambda: ("x", "1000 Odd", {}), id="a line"),
        pytest.param(lambda: Response("x", 99), id="a response"),
        pytest.param(lambda: HTMLResponse("x", 0), id="a response of Starlette"),
        pytest.param(raise_odd, id="an exception"),
    ],
)
async def test_a_status_that_no_server_sends_is_an_error_at_the_line_that_sets_it(view, caplog):
    response = await get(view)

    assert response.status_code == 500
    assert "A status is a number from 100 to 599, not" in caplog.text


def with_status_set(app, status):
    @app.after_request
    async def set_status(response):
        response.status_code = status
        return response


def with_def_views(app, status):
    @app.after_request
    def set_status(response):
        response.status_code = status
        return response


def without_hooks(app, status):
    pass


@pytest.mark.parametrize("status", [600, 99, "404", None])
@pytest.mark.parametrize("kind", ["text", "stream"])
@pytest.mark.parametrize("prepare", [without_hooks, with_status_set, with_def_views])
async def test_a_status_that_no_server_sends_is_an_error_wherever_it_was_set(
    prepare, kind, status, caplog
):
    app = Erlen("statuses")
    prepare(app, status)

    def result():
        body = "x" if kind == "text" else iter(["x"])
        if prepare is not without_hooks:
            return body
        response = make_response(body)
        response.status_code = status
        return response

    response = await get(result, app=app)

    assert response.status_code == 500
    assert f"A status is a number from 100 to 599, not {status!r}." in caplog.text


async def test_a_client_that_prefers_json_gets_a_problem_document():
    app = Erlen("problems")

    @app.get("/")
    async def view():
        abort(409, "taken", name="ada")

    client = app.test_client()
    problem = await client.get("/", headers={"Accept": "application/json"})
    page = await client.get("/", headers={"Accept": "text/html"})

    assert problem.headers["Content-Type"] == "application/problem+json"
    assert json.loads(problem.text) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "taken",
        "name": "ada",
    }
    assert page.headers["Content-Type"] == HTML


async def test_a_cache_is_told_what_the_form_of_an_error_depends_on():
    app = Erlen("cached")

    client = app.test_client()
    problem = await client.get("/", headers={"Accept": "application/json"})
    page = await client.get("/", headers={"Accept": "text/html"})

    assert problem.headers["Vary"] == page.headers["Vary"] == "Accept, Content-Type"


async def test_what_an_error_varies_by_besides_its_form_stays():
    class Lost(NotFound):
        def get_headers(self):
            return [*super().get_headers(), ("Vary", "Cookie")]

    def view():
        raise Lost()

    assert (await get(view)).headers["Vary"] == "Cookie, Accept, Content-Type"


async def test_an_error_that_brings_its_response_varies_by_nothing_else():
    assert "Vary" not in (await get(lambda: abort(Response("mine", 404)))).headers


async def test_errors_may_always_be_problems_or_pages():
    for errors, expected in (("problem", "application/problem+json"), ("html", HTML)):
        app = Erlen("fixed", errors=errors)
        response = await app.test_client().get("/", headers={"Accept": "application/json"})
        assert response.headers["Content-Type"] == expected
        assert "Vary" not in response.headers


async def test_head_has_the_headers_of_get_and_no_body():
    app = Erlen("head")

    @app.get("/")
    async def view():
        return "hello"

    response = await app.test_client().head("/")

    assert (response.text, response.headers["Content-Length"]) == ("", "5")


async def test_a_view_may_be_an_async_generator_with_the_request_at_hand():
    app = Erlen("generator")

    @app.get("/")
    async def view():
        for _ in range(2):
            yield request.path

    assert (await app.test_client().get("/")).text == "//"


async def test_a_foreign_response_keeps_its_background_task():
    from starlette.background import BackgroundTask

    done = []

    def view():
        return StarletteResponse("x", background=BackgroundTask(done.append, 1))

    assert (await get(view)).text == "x"
    assert done == [1]


async def test_a_named_tuple_is_a_tuple():
    class Answer(NamedTuple):
        body: str
        status: int

    app = Erlen("tuples")
    app.add_url_rule("/", "index", lambda: Answer("short and stout", 418))

    response = await app.test_client().get("/")

    assert (response.text, response.status_code) == ("short and stout", 418)


async def test_a_response_class_of_its_own_is_made_of_json_too():
    class Counted(Response):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.headers["X-Counted"] = "yes"

    class App(Erlen):
        response_class = Counted

    app = App("own")
    app.add_url_rule("/", "index", lambda: {"tea": "green"})

    response = await app.test_client().get("/")

    assert (response.json, response.headers["X-Counted"]) == ({"tea": "green"}, "yes")
    assert response.headers["Content-Type"] == "application/json"


async def test_a_future_that_nobody_awaited_is_named(caplog):
    app = Erlen("future")

    @app.get("/")
    async def index():
        return asyncio.get_running_loop().create_future()

    assert (await app.test_client().get("/")).status_code == 500
    assert "returned Future, which nobody awaited" in caplog.text


async def test_json_is_indented_as_soon_as_debugging_is_on():
    app = Erlen("debug")
    app.add_url_rule("/", "index", lambda: {"tea": ["green"]})
    client = app.test_client()
    before = await client.get("/")

    app.debug = True

    assert before.data == b'{"tea":["green"]}\n'
    assert (await client.get("/")).data == b'{\n  "tea": [\n    "green"\n  ]\n}\n'


async def test_a_converter_of_ones_own_is_asked_for_text_and_dicts_too():
    app = Erlen("converters")
    app.results.converters[str] = lambda text: Response(text.upper())
    app.results.converters[dict] = lambda value: Response(",".join(value))

    @app.get("/text")
    async def text():
        return "tea"

    @app.get("/dict")
    async def keys():
        return {"green": 1, "black": 2}

    client = app.test_client()

    assert (await client.get("/text")).data == b"TEA"
    assert (await client.get("/dict")).data == b"green,black"


class Sealed(DefaultJSONProvider):
    def response(self, *args, **kwargs):
        response = super().response(*args, **kwargs)
        response.headers["x-seal"] = "1"
        return response


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize(
    "result",
    [lambda: {"a": 1}, lambda: [1], lambda: ({"a": 1}, 201), lambda: jsonify(1, 2)],
    ids=["dict", "list", "tuple", "jsonify"],
)
async def test_every_response_with_json_comes_from_a_provider_that_answers(result, coloured):
    app = Erlen("sealed")
    app.json = Sealed(app)

    async def view():
        return result()

    app.add_url_rule("/", "view", view if coloured else result)

    assert (await app.test_client().get("/")).headers["x-seal"] == "1"


@pytest.mark.parametrize("served", [False, True], ids=["before", "after the first request"])
async def test_a_provider_may_be_given_another_response(served):
    app = Erlen("sealed in place")
    whole = app.json.response

    def sealed(*args, **kwargs):
        response = whole(*args, **kwargs)
        response.headers["x-seal"] = "1"
        return response

    @app.get("/")
    async def view():
        return {"a": 1}

    if served:
        assert "x-seal" not in (await app.test_client().get("/")).headers
    app.json.response = sealed

    response = await app.test_client().get("/")
    assert (response.json, response.headers["x-seal"]) == ({"a": 1}, "1")


async def test_a_provider_that_answers_may_come_after_the_first_request():
    app = Erlen("sealed late")

    @app.get("/")
    async def view():
        return {"a": 1}

    assert "x-seal" not in (await app.test_client().get("/")).headers
    app.json = Sealed(app)
    assert "x-seal" in (await app.test_client().get("/")).headers
