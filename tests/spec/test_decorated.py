"""Decorators of either colour around views of either colour, called as Flask's are."""

from __future__ import annotations

import functools
import threading

import pytest

from erlen import (
    Erlen,
    abort,
    after_this_request,
    current_app,
    g,
    make_response,
    request,
    run_sync,
    sync,
)
from erlen.views import MethodView


def login_required(view):
    """As it stands in every Flask app: it knows nothing of colours."""

    @functools.wraps(view)
    def checked(*args, **kwargs):
        if "user" not in request.args:
            return "log in", 401
        g.user = request.args["user"]
        return view(*args, **kwargs)

    return checked


def hiding(view):
    def hidden(**kwargs):
        return view(**kwargs)

    hidden.__name__ = view.__name__
    return hidden


def through_ensure_sync(view):
    @functools.wraps(view)
    def checked(*args, **kwargs):
        return current_app.ensure_sync(view)(*args, **kwargs)

    return checked


def asynchronous(view):
    @functools.wraps(view)
    async def checked(*args, **kwargs):
        value = view(*args, **kwargs)
        return await value if hasattr(value, "__await__") else value

    return checked


async def async_view(name):
    return {"name": name, "user": g.get("user"), "form": (await request.form).get("x")}


def def_view(name):
    return {"name": name, "user": g.get("user"), "form": sync.request.form.get("x")}


@pytest.mark.parametrize("view", [async_view, def_view])
@pytest.mark.parametrize(
    "decorators",
    [
        [login_required],
        [through_ensure_sync, login_required],
        [login_required, through_ensure_sync],
        [hiding, login_required],
        [login_required, hiding],
    ],
    ids=lambda decorators: " ".join(one.__name__ for one in decorators),
)
async def test_a_bare_call_of_a_view_by_a_def_decorator_is_understood(view, decorators):
    app = Erlen("decorated")
    for decorator in decorators:
        view = decorator(view)
    app.add_url_rule("/<name>", "view", view, methods=["POST"])
    client = app.test_client()

    served = await client.post("/tea?user=ada", data={"x": "1"})
    refused = await client.post("/tea")

    assert served.json == {"name": "tea", "user": "ada", "form": "1"}
    assert (refused.status_code, refused.text) == (401, "log in")


@pytest.mark.parametrize("order", ["outside", "inside"])
async def test_an_async_decorator_and_a_def_one_go_together(order):
    app = Erlen("decorated")
    decorators = [login_required, asynchronous]
    view = async_view
    for decorator in decorators if order == "outside" else reversed(decorators):
        view = decorator(view)
    app.add_url_rule("/<name>", "view", view, methods=["POST"])

    response = await app.test_client().post("/tea?user=ada", data={"x": "1"})

    assert response.json == {"name": "tea", "user": "ada", "form": "1"}


async def test_an_async_decorator_runs_a_def_view_in_a_thread_by_run_sync():
    def timed(view):
        @functools.wraps(view)
        async def wrapper(**kwargs):
            g.user = str(threading.get_ident())
            return await run_sync(view)(**kwargs)

        return wrapper

    app = Erlen("decorated")
    seen = []

    @app.post("/<name>")
    @timed
    def view(name):
        seen.append(threading.get_ident())
        return def_view(name)

    response = await app.test_client().post("/tea", data={"x": "1"})

    here = threading.get_ident()
    assert response.json == {"name": "tea", "user": str(here), "form": "1"}
    assert seen != [here]


async def test_a_def_view_that_an_async_decorator_calls_bare_is_on_the_loop():
    app = Erlen("decorated")

    @app.get("/<name>")
    @asynchronous
    def view(name):
        return f"{name} {threading.get_ident()}"

    response = await app.test_client().get("/tea")

    assert response.text == f"tea {threading.get_ident()}"


async def test_an_error_of_the_view_comes_through_its_decorator():
    app = Erlen("decorated")

    @app.get("/")
    @login_required
    async def view():
        abort(409)

    assert (await app.test_client().get("/?user=ada")).status_code == 409


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_class_of_either_colour_is_decorated_by_a_def_decorator(colour):
    class Asynchronous(MethodView):
        decorators = [login_required]  # noqa: RUF012

        async def post(self, name):
            return await async_view(name)

    class Plain(MethodView):
        decorators = [login_required]  # noqa: RUF012

        def post(self, name):
            return def_view(name)

    app = Erlen("decorated")
    kind = Asynchronous if colour == "async" else Plain
    app.add_url_rule("/<name>", view_func=kind.as_view("view"))
    client = app.test_client()

    served = await client.post("/tea?user=ada", data={"x": "1"})

    assert served.json == {"name": "tea", "user": "ada", "form": "1"}
    assert (await client.post("/tea")).status_code == 401


async def test_a_decorator_that_changes_the_response_asks_for_it_with_after_this_request():
    def uncached(view):
        @functools.wraps(view)
        def wrapper(*args, **kwargs):
            @after_this_request
            def change(response):
                response.headers["X-Changed"] = "yes"
                return response

            return view(*args, **kwargs)

        return wrapper

    app = Erlen("decorated")
    app.add_url_rule("/<name>", "view", uncached(async_view))

    response = await app.test_client().get("/tea")

    assert (response.json["name"], response.headers["X-Changed"]) == ("tea", "yes")


def stamping(view):
    """As it stands in many Flask apps: it makes the response of a view, and changes it."""

    @functools.wraps(view)
    def stamped(*args, **kwargs):
        response = make_response(view(*args, **kwargs))
        response.headers["X-Stamp"] = "yes"
        return response

    return stamped


def unwrapped(view):
    def hidden(**kwargs):
        return stamping(view)(**kwargs)

    hidden.__name__ = view.__name__
    return hidden


@pytest.mark.parametrize(
    ("decorator", "view"),
    [(stamping, def_view), (unwrapped, def_view), (unwrapped, async_view)],
)
async def test_a_response_that_a_def_decorator_makes_in_a_thread_can_be_changed(decorator, view):
    app = Erlen("decorated")
    app.post("/<name>")(decorator(view))

    response = await app.test_client().post("/tea", data={"x": "1"})

    assert response.json["form"] == "1"
    assert response.headers["x-stamp"] == "yes"


async def test_a_response_of_an_async_view_that_a_def_decorator_only_makes_is_served():
    app = Erlen("decorated")

    def making(view):
        @functools.wraps(view)
        def made(**kwargs):
            return make_response(view(**kwargs))

        return made

    app.post("/<name>")(making(async_view))

    response = await app.test_client().post("/tea", data={"x": "1"})

    assert response.json == {"name": "tea", "user": None, "form": "1"}


def change_header(response):
    response.headers["X-Stamp"] = "yes"


def change_status(response):
    response.status_code = 201


@pytest.mark.parametrize("change", [change_header, change_status])
async def test_a_response_that_nobody_awaited_says_how_to_change_it(change):
    app = Erlen("decorated")
    app.testing = True

    def changing(view):
        @functools.wraps(view)
        def changed():
            response = make_response(view())
            change(response)
            return response

        return changed

    @app.get("/")
    @changing
    async def view():
        return "never seen"

    with pytest.raises(TypeError) as caught:
        await app.test_client().get("/")

    text = str(caught.value)
    assert text.startswith("make_response(...) (test_decorated.py:")
    assert "@after_this_request" in text
    assert "response = make_response(await view(...))" in text
