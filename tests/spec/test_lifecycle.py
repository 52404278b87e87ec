"""The life of a request: Flask's order, in both colours."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from contextlib import contextmanager
from functools import partial

import pytest

import erlen
from erlen import (
    Blueprint,
    Erlen,
    abort,
    after_this_request,
    current_app,
    enter,
    g,
    has_app_context,
    make_response,
    request,
    session,
)
from erlen.context import receive_nothing
from erlen.errors import ContextError
from erlen.exceptions import InternalServerError, NotFound
from erlen.signals import request_tearing_down


def plain_get():
    """Return the least that the scope of a request says."""
    return {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}


def coloured(colour, function):
    """Return *function* as an ``async def`` or a ``def`` function."""
    if colour == "def":
        return function

    async def asynchronous(*args, **kwargs):
        return function(*args, **kwargs)

    asynchronous.__name__ = function.__name__
    return asynchronous


def app_that_writes_down(log, *, hooks, view):
    """An app with a nested blueprint, whose every step appends to *log*."""
    app = Erlen("lifecycle")
    shop, cart = Blueprint("shop", "lifecycle"), Blueprint("cart", "lifecycle", url_prefix="/cart")

    for name, owner in (("app", app), ("shop", shop), ("cart", cart)):
        for number in (1, 2):

            def before(name=name, number=number):
                log.append(f"before {name} {number}")

            def after(response, name=name, number=number):
                log.append(f"after {name} {number}")
                return response

            def teardown(error, name=name, number=number):
                log.append(f"teardown {name} {number} {type(error).__name__}")

            owner.before_request(coloured(hooks, before))
            owner.after_request(coloured(hooks, after))
            owner.teardown_request(coloured(hooks, teardown))

    def show():
        log.append("view")
        if request.args.get("fail"):
            raise LookupError("view failed")
        return "shown"

    cart.get("/show")(coloured(view, show))
    shop.register_blueprint(cart)
    app.register_blueprint(shop)

    @app.teardown_appcontext
    def teardown_app(error):
        log.append("teardown context")

    return app


BEFORE = [f"before {name} {n}" for name in ("app", "shop", "cart") for n in (1, 2)]
AFTER = [f"after {name} {n}" for name in ("cart", "shop", "app") for n in (2, 1)]


def teardown(error="NoneType"):
    names = [f"teardown {name} {n} {error}" for name in ("cart", "shop", "app") for n in (2, 1)]
    return [*names, "teardown context"]


COLOURS = pytest.mark.parametrize("hooks", ["async def", "def"])
VIEWS = pytest.mark.parametrize("view", ["async def", "def"])


@COLOURS
@VIEWS
async def test_steps_run_in_flasks_order(hooks, view):
    log = []
    app = app_that_writes_down(log, hooks=hooks, view=view)

    response = await app.test_client().get("/cart/show")

    assert response.text == "shown"
    assert log == [*BEFORE, "view", *AFTER, *teardown()]


@COLOURS
@VIEWS
async def test_an_unhandled_error_runs_the_after_hooks_and_reaches_every_teardown(hooks, view):
    log = []
    app = app_that_writes_down(log, hooks=hooks, view=view)

    response = await app.test_client().get("/cart/show?fail=1")

    assert response.status_code == 500
    assert log == [*BEFORE, "view", *AFTER, *teardown("LookupError")]


@COLOURS
@VIEWS
async def test_a_handled_error_is_no_error_for_teardown(hooks, view):
    log = []
    app = app_that_writes_down(log, hooks=hooks, view=view)

    def handle(error):
        return f"handled {error}", 418

    app.register_error_handler(LookupError, coloured(hooks, handle))

    response = await app.test_client().get("/cart/show?fail=1")

    assert (response.status_code, response.text) == (418, "handled view failed")
    assert log[-1 - len(teardown()) :][1:] == teardown()


async def test_a_404_runs_the_hooks_of_the_app_and_not_of_blueprints():
    log = []
    app = app_that_writes_down(log, hooks="async def", view="async def")

    response = await app.test_client().get("/nowhere")

    assert response.status_code == 404
    assert log == [
        "before app 1",
        "before app 2",
        "after app 2",
        "after app 1",
        "teardown app 2 NoneType",
        "teardown app 1 NoneType",
        "teardown context",
    ]


@COLOURS
@VIEWS
async def test_the_first_value_of_a_before_hook_is_the_answer(hooks, view):
    app = Erlen("stops")
    log = []
    app.before_request(coloured(hooks, lambda: log.append("first")))
    app.before_request(coloured(hooks, lambda: ("stopped", 403)))
    app.before_request(coloured(hooks, lambda: log.append("never")))
    app.add_url_rule("/", "view", coloured(view, lambda: "view"))

    response = await app.test_client().get("/")

    assert (response.status_code, response.text) == (403, "stopped")
    assert log == ["first"]


@VIEWS
async def test_after_this_request_runs_before_the_after_hooks_in_order(view):
    app = Erlen("after")
    log = []

    def show():
        for number in (1, 2):

            @after_this_request
            def note(response, number=number):
                log.append(number)
                return response

        return "x"

    @app.after_request
    async def last(response):
        log.append("hook")
        return response

    app.add_url_rule("/", "show", coloured(view, show))

    await app.test_client().get("/")

    assert log == [1, 2, "hook"]


async def test_after_this_request_needs_a_request():
    async with Erlen("x").app_context():
        with pytest.raises(ContextError, match="request"):
            after_this_request(lambda response: response)


@VIEWS
async def test_an_after_hook_that_returns_nothing_is_named(view, caplog):
    app = Erlen("forgetful")
    app.add_url_rule("/", "show", coloured(view, lambda: "x"))

    @app.after_request
    def forgets(response):
        pass

    response = await app.test_client().get("/")

    assert response.status_code == 500
    assert "forgets" in caplog.text
    assert "test_lifecycle.py" in caplog.text
    assert "It has to return the response" in caplog.text


@VIEWS
async def test_a_teardown_that_fails_is_logged_and_costs_nothing(view, caplog):
    app = Erlen("fragile")
    done = []
    app.add_url_rule("/", "show", coloured(view, lambda: "fine"))

    @app.teardown_request
    def first(error):
        done.append("first")

    @app.teardown_request
    def fails(error):
        raise RuntimeError("broken teardown")

    response = await app.test_client().get("/")

    assert response.text == "fine"
    assert done == ["first"]
    assert "broken teardown" in caplog.text


@VIEWS
async def test_the_session_is_saved_after_the_after_hooks(view):
    app = Erlen("session")
    app.secret_key = "k" * 32

    @app.after_request
    def late(response):
        session["late"] = True
        return response

    app.add_url_rule("/", "show", coloured(view, lambda: "x"))
    app.add_url_rule("/read", "read", coloured(view, lambda: str(session.get("late"))))

    client = app.test_client()
    await client.get("/")

    assert (await client.get("/read")).text == "True"


@VIEWS
async def test_url_value_preprocessors_run_first_and_may_take_values(view):
    app = Erlen("values")

    @app.url_value_preprocessor
    def take(endpoint, values):
        g.lang = values.pop("lang", None) if values is not None else "none"

    @app.before_request
    async def check():
        assert g.lang == "en"

    app.add_url_rule("/<lang>/", "show", coloured(view, lambda: g.lang))

    assert (await app.test_client().get("/en/")).text == "en"


async def test_g_is_new_for_every_request():
    app = Erlen("g")

    @app.get("/")
    async def count():
        g.count = g.get("count", 0) + 1
        return str(g.count)

    client = app.test_client()

    assert [(await client.get("/")).text for _ in range(2)] == ["1", "1"]


@VIEWS
async def test_an_error_of_an_error_handler_is_a_500(view, caplog):
    app = Erlen("twice")

    def fail():
        abort(404)

    def handler(error):
        raise RuntimeError("handler failed")

    app.add_url_rule("/", "fail", coloured(view, fail))
    app.register_error_handler(404, coloured(view, handler))

    response = await app.test_client().get("/")

    assert response.status_code == 500
    assert "handler failed" in caplog.text


@VIEWS
async def test_a_500_handler_sees_the_original_exception(view):
    app = Erlen("original")

    def fail():
        raise ZeroDivisionError("by zero")

    def handler(error):
        assert isinstance(error, InternalServerError)
        return f"sorry: {error.original_exception}", 500

    app.add_url_rule("/", "fail", coloured(view, fail))
    app.register_error_handler(500, coloured(view, handler))

    response = await app.test_client().get("/")

    assert (response.status_code, response.text) == (500, "sorry: by zero")


@VIEWS
async def test_a_500_handler_that_fails_still_answers(view, caplog):
    app = Erlen("hopeless")

    def fail():
        raise ZeroDivisionError("by zero")

    app.add_url_rule("/", "fail", coloured(view, fail))
    app.register_error_handler(500, coloured(view, lambda error: 1 / 0))

    response = await app.test_client().get("/")

    assert response.status_code == 500
    assert "The answer to an error failed itself" in caplog.text


@VIEWS
@pytest.mark.parametrize("trigger", ["before", "after"])
async def test_the_answer_of_a_500_handler_is_sent_though_an_after_hook_fails(
    view, trigger, caplog
):
    app = Erlen("after")

    def fail():
        if trigger == "before":
            raise ZeroDivisionError("by zero")

    app.before_request(coloured(view, fail))
    app.after_request(coloured(view, lambda response: 1 / 0))
    app.add_url_rule("/", "index", coloured(view, lambda: "fine"))
    app.register_error_handler(500, coloured(view, lambda error: ("sorry", 500)))

    response = await app.test_client().get("/")

    assert (response.status_code, response.text) == (500, "sorry")
    assert "What comes after the answer to an error failed" in caplog.text


async def test_a_stream_that_an_after_hook_cost_is_not_sent():
    app = Erlen("stream")
    app.after_request(lambda response: 1 / 0)

    @app.errorhandler(500)
    async def handler(error):
        async def stream():
            yield "sorry"

        return stream(), 500

    response = await app.test_client().get("/")

    assert response.status_code == 500
    assert "Internal Server Error" in response.text


async def test_while_testing_an_error_reaches_the_test():
    app = Erlen("testing")
    app.testing = True

    @app.get("/")
    async def fail():
        raise LookupError("out")

    with pytest.raises(LookupError, match="out"):
        await app.test_client().get("/")


async def test_code_handlers_come_before_class_handlers_and_inner_ones_before_outer():
    app = Erlen("order")
    inner = Blueprint("inner", "order", url_prefix="/in")

    @app.errorhandler(404)
    async def app_code(error):
        return "app code", 404

    @app.errorhandler(NotFound)
    async def same_as_code(error):
        return "app class", 404

    @inner.errorhandler(Exception)
    async def inner_any(error):
        return "inner any", 404

    @inner.get("/")
    async def fail():
        abort(404)

    app.register_blueprint(inner)

    assert (await app.test_client().get("/in/")).text == "app class"


async def test_a_handler_for_a_base_class_takes_its_subclasses():
    app = Erlen("mro")

    @app.errorhandler(LookupError)
    async def look_up(error):
        return type(error).__name__

    @app.get("/")
    async def fail():
        return {}["missing"]

    assert (await app.test_client().get("/")).text == "KeyError"


async def test_the_exception_handler_of_a_blueprint_does_not_take_the_apps_errors():
    app, shop = Erlen("apart"), Blueprint("shop", "apart")

    @shop.errorhandler(LookupError)
    async def shop_only(error):
        return "shop"

    @app.get("/")
    async def fail():
        raise LookupError

    app.register_blueprint(shop)

    assert (await app.test_client().get("/")).status_code == 500


async def test_a_foreign_exception_handler_is_called_as_starlette_does():
    from starlette.responses import PlainTextResponse

    async def handler(request, error):
        return PlainTextResponse(f"{request.url.path}: {error}", 409)

    app = Erlen("foreign", exception_handlers={LookupError: handler})

    @app.get("/x")
    async def fail():
        raise LookupError("taken")

    response = await app.test_client().get("/x")

    assert (response.status_code, response.text) == (409, "/x: taken")


# -- contexts ------------------------------------------------------------------------------


def test_outside_of_a_context_the_names_say_what_they_need():
    for use in (lambda: request.path, lambda: session.get("x")):
        with pytest.raises(ContextError, match="Working outside of request context"):
            use()
    for use in (lambda: current_app.name, lambda: g.x):
        with pytest.raises(ContextError, match="Working outside of application context"):
            use()


def test_names_without_a_context_are_false_and_can_be_printed():
    assert not request
    assert repr(request) == "<request unbound>"


def test_an_app_context_has_an_app_and_no_request():
    app = Erlen("context")

    with app.app_context():
        assert current_app.name == "context"
        g.x = 1
        with pytest.raises(ContextError, match="request context"):
            request.path  # noqa: B018

    assert not current_app


async def test_contexts_nest_and_come_back():
    one, two = Erlen("one"), Erlen("two")

    async with one.app_context():
        async with two.app_context():
            assert current_app.name == "two"
        assert current_app.name == "one"


def test_a_context_that_is_entered_twice_is_torn_down_once():
    app = Erlen("twice")
    torn = []
    app.teardown_appcontext(lambda error: torn.append(error))
    context = app.app_context()

    with context:
        with context:
            pass
        assert torn == []

    assert torn == [None]


def test_teardown_sees_the_error_of_a_with_block():
    app = Erlen("error")
    torn = []
    app.teardown_appcontext(lambda error: torn.append(str(error)))

    with pytest.raises(LookupError), app.app_context():
        raise LookupError("inside")

    assert torn == ["inside"]


async def test_a_request_that_is_over_cannot_be_used():
    app = Erlen("late")
    kept = []

    @app.get("/")
    async def keep():
        from erlen.proxies import current

        kept.append(current.get())
        return "x"

    await app.test_client().get("/")

    with pytest.raises(ContextError, match="is over"):
        kept[0].request  # noqa: B018


async def test_hashing_a_proxy_is_refused_with_the_way_out():
    async with Erlen("x").app_context():
        with pytest.raises(TypeError, match=r"current_app\(\)|current_app"):
            {current_app}  # noqa: B018


@pytest.mark.parametrize("answer", ["plain", "response", "error"])
async def test_a_view_that_connects_a_receiver_is_called_once(answer):
    app = Erlen("connects")
    log = []

    def note(sender, **data):
        log.append("tearing down")

    @app.get("/")
    async def view():
        log.append("view")
        request_tearing_down.connect(note, app)
        if answer == "error":
            abort(418)
        return "plain" if answer == "plain" else make_response("response")

    try:
        response = await app.test_client().get("/")
        assert response.status_code == (418 if answer == "error" else 200)
        assert log[0] == "view"
        assert log.count("view") == 1

        await app.test_client().get("/")
        assert log[-2:] == ["view", "tearing down"]
    finally:
        request_tearing_down.disconnect(note)


async def test_a_request_may_end_in_other_variables_than_it_began_in():
    app = Erlen("thrown away")
    log = []

    @app.get("/")
    async def view():
        try:
            await asyncio.sleep(60)
        finally:
            log.append(current_app.name)
        return "never"

    async def send(message):
        log.append(message["type"])

    serving = app(plain_get(), receive_nothing, send)
    variables = contextvars.copy_context()
    variables.run(serving.send, None)
    variables.run(lambda: log.append(current_app.name))
    with app.app_context():
        serving.close()

    assert log == ["thrown away"] * 2
    assert not has_app_context()


@pytest.mark.parametrize("end", ["answered", "thrown away"])
async def test_variables_do_not_keep_a_request_that_is_over(end):
    app = Erlen("over")
    seen = []

    class Kept: ...

    @app.get("/")
    async def view():
        g.kept = Kept()
        seen.append((contextvars.copy_context(), weakref.ref(g.kept)))
        if end == "thrown away":
            await asyncio.Future()
        return "over"

    async def send(message):
        pass

    serving = app(plain_get(), receive_nothing, send)
    if end == "answered":
        await serving
        variables, kept = seen[0]
        following = variables.run(app, plain_get(), receive_nothing, send)
        with pytest.raises(StopIteration):
            variables.run(following.send, None)
    else:
        contextvars.copy_context().run(serving.send, None)
        variables, kept = seen[0]
        variables.run(serving.close)

    gc.collect()
    assert kept() is None
    assert not variables.run(has_app_context)


@pytest.mark.parametrize("served", ["async def", "hooked", "def", "missing"])
async def test_what_was_entered_is_left_when_the_client_lets_its_context_go(served):
    app = Erlen("kept")
    log = []

    def keeping(error=None):
        keep(log, "manager")
        return "kept"

    async def async_keeping(error=None):
        return keeping()

    async def after(response):
        return response

    if served == "missing":
        app.register_error_handler(404, async_keeping)
    else:
        app.add_url_rule("/", "view", keeping if served == "def" else async_keeping)
    if served == "hooked":
        app.after_request(after)

    async with app.test_client() as client:
        assert (await client.get("/")).text == "kept"
        assert log == []

    assert log == ["manager left"]


def keep(log, name):
    """Make a context manager that notes when it is left."""

    @contextmanager
    def noting():
        yield
        log.append(f"{name} left")

    return enter(noting())


@pytest.mark.parametrize("view", ["async def", "def"])
async def test_what_happens_while_an_answer_is_laid_out_is_not_lost(view):
    app = Erlen("laid out")
    app.secret_key = "tea"
    log = []

    def default(value):
        session["seen"] = True
        keep(log, "manager")
        after_this_request(lambda response: log.append("after this") or response)
        log.append("laid out")
        return str(value)

    app.json.default = default

    @app.get("/")
    @partial(coloured, view)
    def answer():
        return {"value": object()}

    response = await app.test_client().get("/")

    assert log == ["laid out", "after this", "manager left"]
    assert "session=" in response.headers["set-cookie"]


async def test_what_is_entered_while_an_answer_is_sent_is_left():
    app = Erlen("sent")
    log = []

    class Entering:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def entering_send(message):
                keep(log, message["type"])
                await send(message)

            await self.app(scope, receive, entering_send)

    app.add_middleware(Entering)

    @app.get("/")
    async def view():
        return "sent"

    assert (await app.test_client().get("/")).text == "sent"
    assert log == ["http.response.body left", "http.response.start left"]


@pytest.mark.parametrize("kind", [LookupError, OSError])
async def test_teardown_is_told_of_an_answer_that_cannot_be_sent(kind):
    app = Erlen("not sent")
    errors = []

    def note(sender, exc):
        errors.append(exc)

    @app.get("/")
    async def view():
        request_tearing_down.connect(note, app)
        return "never"

    async def send(message):
        raise kind(message["type"])

    try:
        with pytest.raises(kind, match="start") as raised:
            await app(plain_get(), receive_nothing, send)
    finally:
        request_tearing_down.disconnect(note)

    assert errors == [raised.value]


async def test_hooks_after_an_error_that_was_handled_see_no_error():
    app, other = Erlen("app"), Erlen("other")
    errors = []
    other.teardown_appcontext(errors.append)

    @app.get("/")
    async def view():
        @after_this_request
        async def ask_the_other(response):
            errors.append(sys.exception())
            with other.app_context():
                return response

        abort(404)

    assert (await app.test_client().get("/")).status_code == 404
    assert errors == [None, None]


async def test_an_error_handler_may_raise_the_error_again(caplog):
    app = Erlen("again")

    @app.errorhandler(LookupError)
    async def handle(error):
        app.logger.exception("it was")
        raise

    @app.get("/")
    async def view():
        raise LookupError("again")

    assert (await app.test_client().get("/")).status_code == 500
    assert all("LookupError: again" in record.exc_text for record in caplog.records)
    assert len(caplog.records) == 2


async def test_an_answer_is_sent_once_though_the_request_cannot_be_closed(caplog):
    class Request(erlen.Request):
        def close(self):
            raise OSError("not closed")

    app = Erlen("closed")
    app.request_class = Request
    sent = []

    @app.get("/")
    async def view():
        return request.path

    async def send(message):
        sent.append(message["type"])

    with pytest.raises(OSError, match="not closed"):
        await app(plain_get(), receive_nothing, send)

    assert sent == ["http.response.start", "http.response.body"]
