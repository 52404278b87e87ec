"""HTTP errors as objects: what each says, and which form of it a client would rather have."""

from __future__ import annotations

import json
from html import escape

import pytest
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse

from erlen import exceptions
from erlen.exceptions import (
    Aborter,
    BadRequestKeyError,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestedRangeNotSatisfiable,
    RequestRedirect,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    abort,
    adopted,
    default_exceptions,
    prefers_json,
    problem_response,
)
from erlen.responses import Response


@pytest.mark.parametrize(("code", "kind"), default_exceptions.items())
def test_the_page_of_every_code_names_and_explains_it(code, kind):
    response = kind().get_response()

    assert issubclass(kind, StarletteHTTPException)
    assert response.status_code == code
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<h1>{escape(kind().name)}</h1>" in response.get_data(as_text=True)
    assert kind().description.endswith((".", "!"))


def test_an_error_says_its_code_and_name():
    assert repr(NotFound()) == "<NotFound '404: Not Found'>"
    assert str(NotFound("no such tea")) == "404 Not Found: no such tea"
    assert repr(HTTPException()) == "<HTTPException '???: Unknown Error'>"
    assert str(HTTPException("odd")) == "??? Unknown Error: odd"


def test_a_code_that_nobody_knows_has_no_name():
    class Odd(HTTPException):
        code = 599

    assert Odd().name == "Unknown Error"


def test_a_description_is_escaped_and_keeps_its_lines():
    page = NotFound("<b>no</b>\nsuch tea").get_body()

    assert "<p>&lt;b&gt;no&lt;/b&gt;<br>such tea</p>" in page


def test_a_response_given_to_an_error_is_its_answer():
    own = Response("gone")
    foreign = JSONResponse({"tea": "gone"}, status_code=410, headers={"X-Tea": "green"})

    assert NotFound(response=own).get_response() is own
    answer = NotFound(response=foreign).get_response()
    assert (answer.status_code, answer.json, answer.headers["X-Tea"]) == (
        410,
        {"tea": "gone"},
        "green",
    )


def test_a_foreign_response_is_adopted_with_its_headers():
    foreign = JSONResponse([1])

    response = adopted(foreign)
    response.headers["X-Tea"] = "green"

    assert foreign.headers["x-tea"] == "green"
    assert adopted(response) is response


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (MethodNotAllowed(["POST", "GET"]), "Allow", "GET, POST"),
        (RequestedRangeNotSatisfiable(100), "Content-Range", "bytes */100"),
        (RequestedRangeNotSatisfiable(), "Content-Range", None),
        (TooManyRequests(retry_after=5), "Retry-After", "5"),
        (ServiceUnavailable(retry_after=5), "Retry-After", "5"),
        (RequestRedirect("/tea/"), "Location", "/tea/"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_headers_that_belong_to_an_error_are_sent_with_it(error, name, value):
    assert error.get_response().headers.get(name) == value


def test_a_401_says_how_to_authenticate():
    several = Unauthorized(www_authenticate=["basic", "bearer"])

    assert several.get_response().headers.getlist("WWW-Authenticate") == ["basic", "bearer"]


def test_a_missing_key_is_named_only_where_it_may_be_shown():
    error = BadRequestKeyError("<tea>")

    assert isinstance(error, KeyError)
    assert "tea" not in error.get_description()
    error.show_exception = True
    assert error.get_description().endswith("<p><code>KeyError: &#x27;&lt;tea&gt;&#x27;</code></p>")


def test_a_problem_document_has_the_members_it_was_given():
    response = problem_response(NotFound("no such tea", balance=30))

    assert response.headers["Content-Type"] == "application/problem+json"
    assert json.loads(response.get_data()) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such tea",
        "balance": 30,
    }


def test_a_problem_without_a_description_has_no_detail():
    class Silent(HTTPException):
        code = 418
        description = None

    document = json.loads(problem_response(Silent()).get_data())

    assert document == {"type": "about:blank", "title": "I'm a Teapot", "status": 418}


@pytest.mark.parametrize(
    ("accept", "content_type", "answer"),
    [
        (None, None, False),
        ("*/*", None, False),
        ("*/*", "application/json", True),
        (None, "application/merge-patch+json; charset=utf-8", True),
        ("*/*", "text/plain", False),
        ("application/json", None, True),
        ("Application/Problem+JSON", None, True),
        ("text/html, application/json", None, False),
        ("text/html;q=0.5, application/json", None, True),
        ("text/*;q=0.5, application/json;q=0.4", None, False),
        ("application/xhtml+xml", "application/json", False),
        ("application/json;q=0, */*", None, False),
        ("application/json;q=tea", None, False),
        ("application/json;v=1;Q=0.9, text/html;q=0.8", None, True),
        ("application/json;q=5, text/html;q=1", None, False),
        ("x," * 50 + "application/json", None, False),
    ],
)
def test_a_client_prefers_json_when_it_says_so_or_sent_it(accept, content_type, answer):
    assert prefers_json(accept, content_type) is answer


def test_abort_raises_what_its_mapping_says():
    class OutOfTea(HTTPException):
        code = 440

    with pytest.raises(OutOfTea, match="none left"):
        Aborter(extra={440: OutOfTea})(440, "none left")
    with pytest.raises(NotFound, match="no such tea"):
        abort(404, "no such tea")
    with pytest.raises(LookupError, match=r"status 440.*400, 401"):
        abort(440)


def test_abort_sends_any_response():
    response = JSONResponse({})

    with pytest.raises(HTTPException) as raised:
        abort(response)

    assert raised.value.response is response


def test_every_class_with_a_code_is_found_by_it():
    kinds = {kind for kind in vars(exceptions).values() if isinstance(kind, type)}
    coded = {kind.code for kind in kinds if issubclass(kind, HTTPException) and kind.code}

    assert coded - {308} == default_exceptions.keys()
