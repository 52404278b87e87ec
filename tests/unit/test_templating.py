from __future__ import annotations

import asyncio
import gc
import logging
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, FileSystemLoader, TemplateNotFound, TemplatesNotFound
from markupsafe import Markup

from erlen.config import DEFAULTS, Config
from erlen.context import AppGlobals, Context, context_of
from erlen.errors import ContextError, SetupValueError
from erlen.json import DefaultJSONProvider, JSONProvider
from erlen.proxies import current
from erlen.registry import Inline, Registry, Rule
from erlen.requests import Request
from erlen.sessions import SecureCookieSession
from erlen.signals import before_render_template, message_flashed, template_rendered
from erlen.templating import (
    flash,
    get_flashed_messages,
    render,
    render_async,
    render_string,
    render_string_async,
    rendering,
    stream,
    stream_string,
    update_template_context,
)
from erlen.templating.environment import Environment, make_environment, select_autoescape
from erlen.templating.loading import DispatchingLoader


class Owner:
    """A blueprint as far as templates look at it."""

    def __init__(self, import_name: str, templates: Mapping[str, str] | None) -> None:
        self.import_name = import_name
        self.jinja_loader = DictLoader(templates) if templates is not None else None


class Shop(Owner):
    """An app as far as templates and contexts look at it."""

    name = "shop"
    app_ctx_globals_class = AppGlobals
    environment_class: type[Environment] = Environment

    def __init__(
        self,
        templates: Mapping[str, str] | None = None,
        *,
        blueprints: Mapping[str, Owner] | None = None,
        debug: bool = False,
        options: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> None:
        super().__init__("shop", templates)
        self.blueprints = blueprints or {}
        self.registry = Registry()
        self.config = Config(".", {**DEFAULTS, **config})
        self.json: JSONProvider = DefaultJSONProvider()
        self.debug = debug
        self.jinja_options = options or {}
        self.logger = logging.getLogger("shop")
        self._jinja_env: Environment | None = None

    @property
    def jinja_env(self) -> Environment:
        if self._jinja_env is None:
            self._jinja_env = make_environment(cast(Any, self), kind=self.environment_class)
        return self._jinja_env

    def url_for(self, endpoint: str, **values: Any) -> str:
        return f"/{endpoint}/{'/'.join(values.values())}"

    def update_template_context(self, context: dict[str, Any]) -> None:
        update_template_context(current.get(), context)

    def make_request(self, context: Any) -> Request:
        return Request(context.scope, context.receive)

    def processor(self, function: Any, scope: str = "") -> None:
        self.registry.hooks["context_processor"][scope].append(function)


def entered(app: Any, endpoint: str | None = None) -> Context[Any]:
    """Make *app*'s context, of the view *endpoint*, the current one."""
    route = SimpleNamespace(url_rule=Rule(rule="/", endpoint=endpoint)) if endpoint else None
    context: Context[Any] = context_of(app)
    context.route = route
    current.set(context)
    return context


def form_post(app: Any, body: bytes) -> Context[Any]:
    """Make the context of a form that was sent, and not read yet, the current one."""

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    headers = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", str(len(body)).encode()),
    ]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    context: Context[Any] = context_of(app, scope, receive)
    current.set(context)
    return context


def with_session(context: Context[Any]) -> SecureCookieSession:
    """Give *context* an empty session."""
    context.opened = SecureCookieSession()
    return context.opened


@pytest.fixture(autouse=True)
def no_context_is_left() -> Iterator[None]:
    token = current.set(None)
    yield
    current.reset(token)


def in_a_thread(call: Callable[[], Any]) -> Any:
    """Make *call* in a new thread that has no event loop, and return what it returns."""
    return asyncio.run(_in_thread(call))


async def _in_thread(call: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(call)


@contextmanager
def receiving(signal: Any, receiver: Callable[..., Any]) -> Iterator[None]:
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)


async def double(value: str) -> str:
    await asyncio.sleep(0)
    return value * 2


# -- rendering -----------------------------------------------------------------------------


def test_a_template_is_rendered_with_values():
    context = entered(Shop({"page.html": "Hello {{ name }}"}))

    assert render(context, "page.html", {"name": "Ada"}) == "Hello Ada"


def test_what_is_rendered_is_a_str_and_nothing_else():
    context = entered(Shop({"page.html": "{{ name }}"}))

    assert type(render(context, "page.html", {"name": Markup("<b>")})) is str


def test_of_a_list_the_first_template_that_exists_is_rendered():
    context = entered(Shop({"b.html": "b", "c.html": "c"}))

    assert render(context, ["a.html", "b.html", "c.html"], {}) == "b"


def test_a_template_object_is_rendered_as_it_is():
    app = Shop({"page.html": "Hello {{ name }}"})
    context = entered(app)

    assert render(context, app.jinja_env.get_template("page.html"), {"name": "Ada"}) == "Hello Ada"


def test_a_template_from_a_string_is_rendered_and_escaped():
    context = entered(Shop())

    assert render_string(context, "<b>{{ x }}</b>", {"x": "<i>"}) == "<b>&lt;i&gt;</b>"


def test_a_string_is_compiled_once():
    app = Shop()
    context = entered(app)
    first = app.jinja_env.of_string("{{ x }}")

    assert render_string(context, "{{ x }}", {"x": "1"}) == "1"

    assert app.jinja_env.of_string("{{ x }}") is first


def test_only_so_many_strings_are_kept_compiled():
    environment = Shop().jinja_env
    first = environment.of_string("first")

    for number in range(100):
        environment.of_string(f"other {number}")

    assert environment.of_string("first") is not first


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        (None, True),
        ("a.html", True),
        ("A.HTML", True),
        ("a.htm", True),
        ("a.xml", True),
        ("a.xhtml", True),
        ("a.svg", True),
        ("a.txt", False),
        ("mail/a.html.txt", False),
        ("html", False),
    ],
)
def test_templates_are_escaped_by_the_end_of_their_name(name: str | None, escaped: bool):
    assert select_autoescape(name) is escaped


def test_a_text_template_is_not_escaped():
    context = entered(Shop({"mail.txt": "{{ x }}"}))

    assert render(context, "mail.txt", {"x": "<i>"}) == "<i>"


PAGE_APP = Shop({"page.html": "{{ x }}"})


@given(st.text())
def test_no_text_gets_through_a_page_as_markup(text: str):
    context = entered(PAGE_APP)

    shown = render(context, "page.html", {"x": text})

    assert not set(shown) & set("<>\"'")
    assert Markup(shown).unescape() == text


def test_an_error_in_a_template_shows_its_line():
    context = entered(Shop({"page.html": "one\ntwo {{ 1 // zero }}\n"}))

    with pytest.raises(ZeroDivisionError) as caught:
        render(context, "page.html", {"zero": 0})

    frames = traceback.extract_tb(caught.tb)
    assert [(frame.lineno, frame.name) for frame in frames][-1] == (2, "top-level template code")


async def test_an_error_in_an_awaited_template_shows_its_line():
    context = entered(Shop({"page.html": "one\ntwo {{ 1 // zero }}\n"}))

    with pytest.raises(ZeroDivisionError) as caught:
        await render_async(context, "page.html", {"zero": 0})

    frames = traceback.extract_tb(caught.tb)
    assert [(frame.lineno, frame.name) for frame in frames][-1] == (2, "top-level template code")


# -- the environment -----------------------------------------------------------------------


def test_templates_know_the_names_that_flask_gives_them():
    app = Shop({"page.html": "{{ url_for('show', id='7') }} {{ config.TESTING }} {{ g.user }}"})
    context = entered(app)
    context.g.user = "Ada"

    assert render(context, "page.html", {}) == "/show/7 False Ada"


def test_templates_know_the_request_and_the_session():
    app = Shop({"page.html": "{{ request.method }} {{ session.user }}"})
    context = form_post(app, b"")
    with_session(context)["user"] = "Ada"

    assert render(context, "page.html", {}) == "POST Ada"


def test_a_page_without_a_request_can_ask_whether_there_is_one():
    source = "{{ 'yes' if request else 'no' }} {{ 'yes' if session else 'no' }}"
    context = entered(Shop({"page.html": source}))

    assert render(context, "page.html", {}) == "no no"


def test_a_template_that_is_rendered_by_hand_outside_of_an_app_says_so():
    environment = Shop().jinja_env

    with pytest.raises(ContextError, match="Working outside of request context"):
        environment.from_string("{{ request.method }}").render()


def test_an_environment_does_not_keep_its_app_alive():
    app = Shop({"page.html": "{{ [1] | tojson }} {{ url_for('x') }}"})
    environment = app.jinja_env
    template = environment.get_template("page.html")
    gone = weakref.ref(app)

    gc.disable()
    try:
        del app
        assert gone() is None
    finally:
        gc.enable()

    with pytest.raises(ContextError, match="The app of this template is gone"):
        template.render()
    del environment


class Rude:
    """Something whose attributes and items fail in every way that Jinja forgives."""

    known = "an attribute"

    @property
    def broken(self) -> str:
        raise AttributeError("inside")

    def __getitem__(self, name: str) -> str:
        if name == "item":
            return "an item"
        raise {"type": TypeError, "lookup": IndexError}.get(name, AttributeError)(name)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"name": "an item"}, "name"),
        ({"name": None}, "name"),
        ({"items": "hidden by the method"}, "items"),
        ({}, "missing"),
        (SimpleNamespace(name="an attribute"), "name"),
        (SimpleNamespace(), "missing"),
        (None, "missing"),
        ([1, 2], "missing"),
        *((Rude(), name) for name in ("known", "item", "broken", "type", "lookup", "missing")),
    ],
)
def test_a_name_after_a_dot_means_what_it_means_to_jinja(value: Any, name: str):
    ours, theirs = Shop().jinja_env, jinja2.Environment()

    found, wanted = ours.getattr(value, name), theirs.getattr(value, name)

    assert type(found) is type(wanted)
    assert isinstance(found, jinja2.Undefined) or found == wanted


def test_an_error_of_another_kind_leaves_an_attribute_as_it_does_in_jinja():
    class Failing:
        @property
        def name(self) -> str:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        render_string(entered(Shop()), "{{ x.name }}", {"x": Failing()})


def test_names_and_options_can_be_added_by_the_app():
    app = Shop(options={"trim_blocks": True, "autoescape": True})

    environment = make_environment(
        cast(Any, app), globals={"year": 2031, "g": "mine"}, autoescape=False
    )

    assert environment.trim_blocks
    assert environment.autoescape is False
    assert environment.from_string("{{ year }} {{ g }}").render() == "2031 mine"


def test_an_app_may_have_an_environment_of_its_own_class():
    class Strict(Environment):
        pass

    class StrictShop(Shop):
        environment_class = Strict

    environment = StrictShop().jinja_env

    assert type(environment) is Strict
    assert type(environment.waiting) is Strict


def test_enable_async_is_refused_with_what_to_do_instead():
    app = Shop(options={"enable_async": True})

    with pytest.raises(SetupValueError, match="render_template_async"):
        _ = app.jinja_env


@pytest.mark.parametrize(
    ("debug", "configured", "reloads"),
    [(False, None, False), (True, None, True), (True, False, False), (False, True, True)],
)
def test_changed_templates_are_loaded_again_in_debug_or_as_configured(
    debug: bool, configured: bool | None, reloads: bool
):
    app = Shop(debug=debug, TEMPLATES_AUTO_RELOAD=configured)

    assert app.jinja_env.auto_reload is reloads


def test_the_bytecode_cache_is_off():
    assert Shop().jinja_env.bytecode_cache is None


def test_tojson_writes_as_the_app_does_and_escapes_for_scripts():
    app = Shop()
    context = entered(app)
    app.json.dates = "http"  # type: ignore[attr-defined]

    text = render_string(context, "{{ value | tojson }}", {"value": {"b": "</script>&'", "a": 1}})

    assert text == r'{"b": "\u003c/script\u003e\u0026\u0027", "a": 1}'


def test_tojson_follows_a_json_provider_that_is_set_later():
    class Loud(DefaultJSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return super().dumps(str(obj).upper(), **kwargs)

    app = Shop()
    context = entered(app)
    template = app.jinja_env.from_string("{{ text | tojson }}")
    app.json = Loud()

    assert render(context, template, {"text": "abc"}) == '"ABC"'


def test_includes_imports_and_blocks_see_what_their_page_sees():
    templates = {
        "layout.html": "{% block body %}{% endblock %} {{ year }}",
        "page.html": "{% extends 'layout.html' %}{% block body %}{% include 'part.html' %}"
        "{% from 'macros.html' import show with context %}{{ show() }}{% endblock %}",
        "part.html": "{{ name }} {{ year }} ",
        "macros.html": "{% macro show() %}{{ name }} {{ year }}{% endmacro %}",
    }
    app = Shop(templates)
    app.registry.template["globals"]["year"] = 2031
    context = entered(app)

    assert render(context, "page.html", {"name": "Ada"}) == "Ada 2031 Ada 2031 2031"
    assert asyncio.run(render_async(context, "page.html", {"name": "Ada"})) == (
        "Ada 2031 Ada 2031 2031"
    )


def test_globals_of_one_template_stay_its_own():
    app = Shop({"a.html": "{{ year }}", "b.html": "{{ year }}"})
    app.registry.template["globals"]["year"] = 2031
    context = entered(app)

    own = app.jinja_env.get_template("a.html", globals={"year": 1})

    assert render(context, own, {}) == "1"
    assert render(context, "b.html", {}) == "2031"
    assert render(context, own, {"year": 2}) == "2"


def test_an_overlay_compiles_its_own_strings():
    app = Shop()
    context = entered(app)
    assert render_string(context, "{{ 1 }} [[ 1 ]]", {}) == "1 [[ 1 ]]"

    overlay = app.jinja_env.overlay(variable_start_string="[[", variable_end_string="]]")

    assert overlay.of_string("{{ 1 }} [[ 1 ]]").render() == "{{ 1 }} 1"
    assert overlay.waiting is not app.jinja_env.waiting


# -- what is registered for templates ------------------------------------------------------


def test_filters_tests_and_globals_that_were_registered_before_are_there():
    app = Shop()
    app.registry.template["filters"]["shout"] = str.upper
    app.registry.template["tests"]["loud"] = str.isupper
    app.registry.template["globals"]["year"] = 2031

    text = render_string(entered(app), "{{ 'a' | shout }} {{ 'A' is loud }} {{ year }}", {})

    assert text == "A True 2031"


def test_filters_tests_and_globals_that_are_registered_later_count():
    app = Shop({"page.html": "{{ year }}"})
    context = entered(app)
    assert render(context, "page.html", {}) == ""
    with pytest.raises(jinja2.TemplateAssertionError, match="No filter named 'shout'"):
        render_string(context, "{{ 'a' | shout }}", {})

    app.registry.template["filters"]["shout"] = str.upper
    app.registry.template["tests"].update(loud=str.isupper)
    app.registry.template["globals"].update({"year": 2031})

    assert render(context, "page.html", {}) == "2031"
    assert render_string(context, "{{ 'a' | shout }} {{ 'A' is loud }}", {}) == "A True"
    assert app.registry.template["globals"] == {"year": 2031}


def test_what_a_blueprint_registers_for_templates_counts_for_the_app():
    app, blueprint = Shop(), Registry()
    blueprint.template["filters"]["shout"] = str.upper
    context = entered(app)
    _ = app.jinja_env

    app.registry.include(blueprint, name="cart", place=app.registry.rules.append)

    assert render_string(context, "{{ 'a' | shout }}", {}) == "A"


def test_what_is_set_on_the_environment_stays_what_it_is():
    app = Shop()
    app.jinja_env.filters["shout"] = str.upper
    app.jinja_env.globals.setdefault("year", 2031)
    app.jinja_env.globals.setdefault("year", 1)

    assert app.jinja_env.filters["shout"] is str.upper
    assert app.jinja_env.globals["year"] == 2031
    assert app.jinja_env.waiting.filters is app.jinja_env.filters


# -- functions that are async def ----------------------------------------------------------


@jinja2.pass_context
async def shown_name(variables: Any, ending: str = "") -> str:
    return await double(variables["name"] + ending)


@jinja2.pass_environment
async def kind_of(environment: Any) -> str:
    return await double("a" if environment.is_async else "p")


class Doubling:
    async def __call__(self, value: str) -> str:
        return await double(value)


async def is_shouted(value: str) -> bool:
    return (await double(value)).isupper()


def with_async_functions(app: Shop) -> Shop:
    app.registry.template["filters"].update(double=double, shown=shown_name)
    app.registry.template["tests"]["shouted"] = is_shouted
    app.registry.template["globals"].update(
        double=double,
        kind=kind_of,
        doubling=Doubling(),
        double_x=partial(double, "x"),
        shown_name=shown_name,
    )
    return app


CALLS = [
    ("{{ double('a') }}", "aa"),
    ("{{ 'a' | double }}", "aa"),
    ("{{ ['a', 'b'] | map('double') | join }}", "aabb"),
    ("{{ 'a' is shouted }}", "False"),
    ("{{ doubling('a') }}", "aa"),
    ("{{ double_x() }}", "xx"),
    ("{{ shown_name('!') }}", "Ada!Ada!"),
]


@pytest.mark.parametrize(("source", "shown"), CALLS)
async def test_an_awaited_render_awaits_what_its_template_calls(source: str, shown: str):
    context = entered(with_async_functions(Shop()))

    assert await render_string_async(context, source, {"name": "Ada"}) == shown


@pytest.mark.parametrize(("source", "shown"), CALLS)
def test_a_plain_render_in_a_thread_waits_for_what_its_template_calls(source: str, shown: str):
    context = entered(with_async_functions(Shop()))

    assert render_string(context, source, {"name": "Ada"}) == shown


def test_a_function_that_takes_the_environment_gets_the_one_it_is_called_in():
    context = entered(with_async_functions(Shop()))

    assert render_string(context, "{{ kind() }}", {}) == "pp"
    assert asyncio.run(render_string_async(context, "{{ kind() }}", {})) == "aa"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("{{ double('a') }}", "template global 'double'"),
        ("{{ 'a' | double }}", "template filter 'double'"),
        ("{{ 'a' is shouted }}", "template test 'is_shouted'"),
    ],
)
async def test_a_plain_render_on_the_loop_says_what_has_to_be_awaited(source: str, what: str):
    context = entered(with_async_functions(Shop()))

    with pytest.raises(TypeError) as caught:
        render_string(context, source, {})

    assert str(caught.value).startswith(f"The {what} (test_templating.py:")
    assert "await render_template_async(...)" in str(caught.value)


async def test_an_awaited_render_awaits_methods_and_async_iterators_of_values():
    class User:
        async def name(self) -> str:
            return await double("A")

    async def rows() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    context = entered(
        Shop({"page.html": "{{ user.name() }}{% for x in rows %} {{ x }}{% endfor %}"})
    )

    assert await render_async(context, "page.html", {"user": User(), "rows": rows()}) == "AA 0 1 2"


async def test_the_twin_follows_the_loader_and_the_reloading_of_its_environment():
    app = Shop({"page.html": "old"})
    context = entered(app)
    assert await render_async(context, "page.html", {}) == "old"

    app.jinja_env.auto_reload = True
    app.jinja_env.loader = DictLoader({"page.html": "new"})

    assert await render_async(context, "page.html", {}) == "new"
    assert app.jinja_env.waiting.auto_reload
    assert app.jinja_env.waiting.waiting is app.jinja_env.waiting


async def test_an_awaited_render_takes_a_template_object_of_either_environment():
    app = Shop({"page.html": "Hello {{ name }}"})
    context = entered(app)

    for environment in (app.jinja_env, app.jinja_env.waiting):
        template = environment.get_template("page.html")
        assert await render_async(context, template, {"name": "Ada"}) == "Hello Ada"


def test_a_plain_render_refuses_a_template_object_that_has_to_be_awaited():
    app = Shop({"page.html": ""})
    context = entered(app)

    with pytest.raises(TypeError, match=r"'page.html' was compiled to be awaited. Pass its name"):
        render(context, app.jinja_env.waiting.get_template("page.html"), {})


# -- context processors --------------------------------------------------------------------


def test_context_processors_add_values_and_the_innermost_blueprint_wins():
    app = Shop({"page.html": "{{ a }}{{ b }}{{ c }}{{ d }}"})
    app.processor(lambda: {"a": "app ", "b": "app ", "c": "app ", "d": "app "})
    app.processor(lambda: {"b": "outer ", "c": "outer ", "d": "outer "}, "outer")
    app.processor(lambda: {"c": "inner ", "d": "inner "}, "outer.inner")
    app.processor(lambda: {"a": "other "}, "other")
    context = entered(app, "outer.inner.show")

    assert render(context, "page.html", {"d": "given"}) == "app outer inner given"


def test_context_processors_win_over_globals():
    app = Shop({"page.html": "{{ g }}"})
    app.processor(lambda: {"g": "mine"})

    assert render(entered(app), "page.html", {}) == "mine"


async def test_def_context_processors_are_called_on_the_loop():
    app = Shop({"page.html": "{{ thread }}"})
    app.processor(Inline(lambda: {"thread": threading.get_ident()}))
    context = entered(app)

    assert render(context, "page.html", {}) == str(threading.get_ident())
    assert await render_async(context, "page.html", {}) == str(threading.get_ident())


async def user_of_page() -> dict[str, str]:
    return {"user": await double("A")}


def test_an_async_context_processor_is_waited_for_in_a_thread():
    app = Shop({"page.html": "{{ user }}"})
    app.processor(user_of_page)

    assert render(entered(app), "page.html", {}) == "AA"


@pytest.mark.parametrize("processor", [user_of_page, Inline(user_of_page)])
async def test_an_async_context_processor_of_a_plain_render_on_the_loop_is_named(processor: Any):
    app = Shop({"page.html": "{{ user }}"})
    app.processor(processor)
    context = entered(app)

    with pytest.raises(TypeError) as caught:
        render(context, "page.html", {})

    message = str(caught.value)
    assert message.startswith("The context processor 'user_of_page' (test_templating.py:")
    assert message.endswith("Use 'await render_template_async(...)', or make it def.")


async def test_a_context_processor_that_returns_something_to_await_counts_as_async():
    class Later:
        def __await__(self) -> Iterator[Any]:
            return user_of_page().__await__()

    app = Shop({"page.html": "{{ user }}"})
    app.processor(lambda: Later())
    context = entered(app)

    assert await render_async(context, "page.html", {}) == "AA"
    with pytest.raises(TypeError, match="is async def"):
        render(context, "page.html", {})


async def test_an_async_context_processor_is_awaited_by_an_awaited_render():
    app = Shop({"page.html": "{{ user }} {{ other }}"})
    app.processor(user_of_page)
    app.processor(lambda: {"other": "B"})
    context = entered(app)

    assert await render_async(context, "page.html", {}) == "AA B"
    assert await render_async(context, "page.html", {"user": "given"}) == "given B"


async def test_each_of_several_awaited_renders_asks_the_processors_for_itself():
    app = Shop({"page.html": "{{ number }}"})
    numbers = iter(range(10))

    async def count() -> dict[str, int]:
        number = next(numbers)
        await asyncio.sleep(0.001 * (3 - number))
        return {"number": number}

    app.processor(count)
    context = entered(app)

    pages = await asyncio.gather(*(render_async(context, "page.html", {}) for _ in range(3)))

    assert pages == ["0", "1", "2"]


@pytest.mark.parametrize("answer", [None, "text", ["a"]])
def test_a_context_processor_that_returns_no_dict_is_named(answer: Any):
    def nothing() -> Any:
        return answer

    app = Shop({"page.html": ""})
    app.processor(nothing)

    with pytest.raises(TypeError, match=r"nothing' \(test_templating.py:\d+\) returned .* a dict"):
        render(entered(app), "page.html", {})


async def test_an_overridden_update_template_context_counts_for_both_renders():
    class Louder(Shop):
        def update_template_context(self, context: dict[str, Any]) -> None:
            super().update_template_context(context)
            context["user"] = context["user"].lower()

    app = Louder({"page.html": "{{ user }}"})
    app.processor(user_of_page)
    context = entered(app)

    assert await render_async(context, "page.html", {}) == "aa"
    assert await asyncio.to_thread(render, context, "page.html", {}) == "aa"


# -- signals -------------------------------------------------------------------------------


def recorder(log: list[Any], name: str) -> Callable[..., None]:
    def receive(sender: Any, **data: Any) -> None:
        log.append((name, sender.name, data["template"].name, dict(data["context"])))

    return receive


async def test_signals_are_sent_before_and_after_rendering():
    app = Shop({"page.html": "{{ a }}"})
    context = entered(app)
    log: list[Any] = []

    with (
        receiving(before_render_template, recorder(log, "before")),
        receiving(template_rendered, recorder(log, "after")),
    ):
        render(context, "page.html", {"a": 1})
        await render_async(context, "page.html", {"a": 2})

    assert log == [
        ("before", "shop", "page.html", {"a": 1}),
        ("after", "shop", "page.html", {"a": 1}),
        ("before", "shop", "page.html", {"a": 2}),
        ("after", "shop", "page.html", {"a": 2}),
    ]


async def test_a_receiver_may_change_the_values_of_a_template():
    context = entered(Shop({"page.html": "{{ a }}"}))

    def change(sender: Any, *, context: dict[str, Any], **_: Any) -> None:
        context["a"] = "changed"

    with receiving(before_render_template, change):
        assert render(context, "page.html", {"a": 1}) == "changed"
        assert await render_async(context, "page.html", {"a": 1}) == "changed"


@pytest.mark.parametrize("signal", [before_render_template, template_rendered])
async def test_an_async_receiver_needs_a_thread_or_an_awaited_render(signal: Any):
    context = entered(Shop({"page.html": "page"}))
    received: list[str] = []

    async def receive(sender: Any, **_: Any) -> None:
        await asyncio.sleep(0)
        received.append(sender.name)

    with receiving(signal, receive):
        await render_async(context, "page.html", {})
        await asyncio.to_thread(render, context, "page.html", {})
        with pytest.raises(TypeError, match=r"receiver of '.*template.*' '.*receive' \(test_temp"):
            render(context, "page.html", {})

    assert received == ["shop", "shop"]


# -- what a template sees of the request ---------------------------------------------------

FORM = "{{ request.form['name'] }}, {{ request.form.name }}, {{ form_name() }}"


def form_name() -> str:
    request: Any = current.get().request
    return cast(str, request.form["name"])


async def test_a_template_on_the_loop_sees_the_form_that_was_read():
    app = Shop({"page.html": FORM})
    app.registry.template["globals"]["form_name"] = form_name
    context = form_post(app, b"name=Ada")
    await context.request.form

    assert render(context, "page.html", {}) == "Ada, Ada, Ada"
    assert await render_async(context, "page.html", {}) == "Ada, Ada, Ada"
    assert not context.inline


async def test_a_def_context_processor_sees_the_form_that_was_read():
    app = Shop({"page.html": "{{ name }}"})
    app.processor(lambda: {"name": form_name()})
    context = form_post(app, b"name=Ada")
    await context.request.form

    assert render(context, "page.html", {}) == "Ada"
    assert await render_async(context, "page.html", {}) == "Ada"


async def test_a_plain_template_on_the_loop_says_that_the_form_was_not_read():
    context = form_post(Shop({"page.html": "{{ request.form.name }}"}), b"name=Ada")

    with pytest.raises(ContextError, match="was not read yet"):
        render(context, "page.html", {})

    assert not context.inline
    assert (await context.request.form)["name"] == "Ada"


@pytest.mark.parametrize(
    "source",
    [
        "{{ request.form.name }}",
        "{{ request['form']['name'] }}",
        "{{ request.get_data(as_text=true)[5:] }}",
        "{% for name in request.form.getlist('name') %}{{ name }}{% endfor %}",
    ],
)
async def test_an_awaited_template_awaits_the_form_itself(source: str):
    context = form_post(Shop({"page.html": source}), b"name=Ada")

    assert await render_async(context, "page.html", {}) == "Ada"


async def test_a_def_function_of_an_awaited_template_says_that_the_form_was_not_read():
    app = Shop({"page.html": "{{ form_name() }}"})
    app.registry.template["globals"]["form_name"] = form_name
    context = form_post(app, b"name=Ada")

    with pytest.raises(ContextError, match="was not read yet"):
        await render_async(context, "page.html", {})

    assert not context.inline


async def test_an_async_function_of_a_template_awaits_the_form():
    async def name() -> str:
        return (await current.get().request.form)["name"]

    app = Shop({"page.html": "{{ name() }}"})
    app.registry.template["globals"]["name"] = name
    context = form_post(app, b"name=Ada")

    assert await render_async(context, "page.html", {}) == "Ada"


async def test_a_task_that_runs_while_a_template_waits_sees_awaitables():
    go_on, seen = asyncio.Event(), []

    async def wait() -> str:
        await go_on.wait()
        return ""

    async def other() -> None:
        seen.append((await current.get().request.form)["name"])
        go_on.set()

    app = Shop({"page.html": "{{ wait() }}{{ request.form.name }}"})
    app.registry.template["globals"]["wait"] = wait
    context = form_post(app, b"name=Ada")

    page, _ = await asyncio.gather(render_async(context, "page.html", {}), other())

    assert page == "Ada"
    assert seen == ["Ada"]


async def test_a_template_inside_a_template_leaves_the_outer_one_as_it_is():
    app = Shop({"outer.html": "{{ inner() }} {{ request.form.name }}", "inner.html": "inner"})
    context = form_post(app, b"name=Ada")
    app.registry.template["globals"]["inner"] = lambda: render(context, "inner.html", {})
    await context.request.form

    assert render(context, "outer.html", {}) == "inner Ada"


async def test_a_render_in_a_thread_changes_nothing_for_the_loop():
    context = form_post(Shop({"page.html": "{{ seen() }}"}), b"name=Ada")
    context.app.registry.template["globals"]["seen"] = lambda: context.inline

    assert await asyncio.to_thread(render, context, "page.html", {}) == "False"


async def test_an_awaited_template_can_be_rendered_where_there_is_no_context():
    app = Shop()

    text = await app.jinja_env.waiting.from_string("{{ f() }}").render_async(f=lambda: 1)

    assert text == "1"


# -- streams -------------------------------------------------------------------------------


def test_a_stream_in_a_thread_is_iterated():
    context = entered(Shop({"page.html": "{% for x in 'abc' %}{{ x }}{% endfor %}"}))

    pieces = stream(context, "page.html", {})

    assert isinstance(pieces, Iterator)
    assert "".join(pieces) == "abc"
    assert "".join(cast("Iterator[str]", stream_string(context, "{{ 1 }}!", {}))) == "1!"


async def test_a_stream_on_the_loop_is_iterated_with_async_for():
    app = with_async_functions(
        Shop({"page.html": "{% for x in 'abc' %}{{ double(x) }}{% endfor %}"})
    )
    app.processor(user_of_page)
    context = entered(app)

    pieces = stream(context, "page.html", {})

    assert isinstance(pieces, AsyncIterator)
    assert "".join([piece async for piece in pieces]) == "aabbcc"
    text = stream_string(context, "{{ user }}!", {})
    assert "".join([piece async for piece in cast("AsyncIterator[str]", text)]) == "AA!"


async def test_a_plain_template_object_is_streamed_on_the_loop_too():
    app = Shop({"page.html": "{{ request.form.name }}!"})
    context = form_post(app, b"name=Ada")
    await context.request.form

    pieces: Any = stream(context, app.jinja_env.get_template("page.html"), {})

    assert "".join([piece async for piece in pieces]) == "Ada!"


def test_processors_and_missing_templates_of_a_stream_show_at_the_call():
    app = Shop({"page.html": "{{ a }}"})
    called: list[str] = []
    app.processor(lambda: called.append("processor") or {"a": 1})
    context = entered(app)

    with pytest.raises(TemplateNotFound):
        stream(context, "missing.html", {})
    stream(context, "page.html", {})

    assert called == ["processor"]


async def test_a_missing_template_of_a_stream_on_the_loop_shows_at_the_call():
    with pytest.raises(TemplateNotFound):
        stream(entered(Shop()), "missing.html", {})


async def test_a_stream_says_that_it_was_rendered_when_it_is_over():
    context = entered(Shop({"page.html": "{{ a }}"}))
    log: list[Any] = []

    def walk() -> None:
        for piece in cast("Iterator[str]", stream(context, "page.html", {"a": 1})):
            log.append(piece)

    with (
        receiving(before_render_template, recorder(log, "before")),
        receiving(template_rendered, recorder(log, "after")),
    ):
        await asyncio.to_thread(walk)
        async for piece in cast("AsyncIterator[str]", stream(context, "page.html", {"a": 1})):
            log.append(piece)

    one = [("before", "shop", "page.html", {"a": 1}), "1", ("after", "shop", "page.html", {"a": 1})]
    assert log == one + one


LONG = "{% for x in range(10000) %}<td>{{ x }}</td>{% endfor %}"


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every template be rendered in no time; a busy machine makes pauses of its own."""
    monkeypatch.setattr(rendering, "monotonic", lambda: 0.0)


def test_small_pieces_of_a_stream_are_joined(no_pauses: None):
    context = entered(Shop())

    pieces = list(cast("Iterator[str]", stream_string(context, LONG, {})))

    assert "".join(pieces) == "".join(f"<td>{x}</td>" for x in range(10000))
    assert len(pieces) < 60
    assert max(map(len, pieces)) < 4096 + 10
    assert pieces[0] == "<td>"


async def test_small_pieces_of_a_stream_on_the_loop_are_joined(no_pauses: None):
    pieces: Any = stream_string(entered(Shop()), LONG, {})

    joined = [piece async for piece in pieces]

    assert "".join(joined) == "".join(f"<td>{x}</td>" for x in range(10000))
    assert len(joined) < 60


def test_each_line_of_a_slow_stream_is_there_before_the_next_one_is_waited_for():
    taken: list[str] = []
    known: list[str] = []

    def lines() -> Iterator[str]:
        yield "x" * 5000
        for number in range(3):
            threading.Event().wait(0.06)
            known.append("".join(taken))
            yield f"line {number}"

    source = "{% for line in lines() %}<li>{{ line }}</li>{% endfor %}"
    app = Shop()
    app.registry.template["globals"]["lines"] = lines

    for piece in cast("Iterator[str]", stream_string(entered(app), source, {})):
        taken.append(piece)

    assert [text[-len("line 0</li>") :] for text in known[1:]] == ["line 0</li>", "line 1</li>"]


def test_a_slow_reader_gets_long_pieces_all_the_same(monkeypatch: pytest.MonkeyPatch):
    pieces: list[str] = []
    monkeypatch.setattr(rendering, "monotonic", lambda: len(pieces) * 0.06)
    source = "{% for x in range(2000) %}<td>{{ x }}</td>{% endfor %}"

    for piece in cast("Iterator[str]", stream_string(entered(Shop()), source, {})):
        pieces.append(piece)

    assert len(pieces) < 20


async def test_a_stream_that_is_left_early_closes_what_it_iterates():
    left: list[str] = []

    async def rows() -> AsyncIterator[str]:
        try:
            while True:
                yield "row"
        finally:
            left.append("rows")

    rows_of_page = rows()
    pieces: Any = stream_string(
        entered(Shop()), "{% for x in rows %}{{ x }}{% endfor %}", {"rows": rows_of_page}
    )
    assert await anext(pieces) == "row"

    await pieces.aclose()
    await rows_of_page.aclose()

    assert left == ["rows"]


async def test_an_error_in_a_stream_shows_its_line():
    context = entered(Shop({"page.html": "one\ntwo {{ 1 // zero }}\n"}))

    with pytest.raises(ZeroDivisionError) as caught:
        async for _ in cast("AsyncIterator[str]", stream(context, "page.html", {"zero": 0})):
            pass

    lines = [(frame.lineno, frame.name) for frame in traceback.extract_tb(caught.tb)]
    assert (2, "top-level template code") in lines


# -- where templates come from -------------------------------------------------------------


def test_templates_of_the_app_come_before_those_of_blueprints_in_their_order():
    app = Shop(
        {"a.html": "app"},
        blueprints={
            "first": Owner("shop.first", {"a.html": "first", "b.html": "first"}),
            "none": Owner("shop.none", None),
            "second": Owner("shop.second", {"b.html": "second", "c.html": "second"}),
        },
    )
    context = entered(app)

    assert [render(context, f"{name}.html", {}) for name in "abc"] == ["app", "first", "second"]
    assert app.jinja_env.list_templates() == ["a.html", "b.html", "c.html"]


def test_the_source_of_a_template_is_there_for_tools():
    app = Shop({"a.html": "text"})
    environment = app.jinja_env

    source, _, current_still = cast(Any, environment.loader).get_source(environment, "a.html")

    assert source == "text"
    assert current_still()


def test_a_missing_template_says_where_it_was_looked_for(tmp_path: Path):
    app = Shop(blueprints={"cart": Owner("shop.cart", {})})
    app.jinja_loader = cast(Any, FileSystemLoader([tmp_path / "a", tmp_path / "b"]))

    with pytest.raises(TemplateNotFound) as caught:
        render(entered(app), "missing.html", {})

    assert caught.value.name == "missing.html"
    assert str(caught.value) == (
        "The template 'missing.html' was not found."
        f" Searched: application 'shop' ({tmp_path / 'a'}, {tmp_path / 'b'});"
        " blueprint 'cart' (shop.cart) (DictLoader)."
    )


def test_a_missing_parent_says_where_it_was_looked_for():
    context = entered(Shop({"page.html": "{% extends 'missing.html' %}"}))

    with pytest.raises(TemplateNotFound, match=r"'missing.html' was not found. Searched: appl"):
        render(context, "page.html", {})


def test_an_app_without_templates_says_that_it_has_none():
    with pytest.raises(TemplateNotFound, match="neither the app nor a blueprint has templates"):
        render(entered(Shop()), "missing.html", {})


def test_a_list_of_missing_templates_says_where_they_were_looked_for():
    with pytest.raises(TemplatesNotFound) as caught:
        render(entered(Shop({})), ["a.html", "b.html"], {})

    assert str(caught.value) == (
        "none of the templates given were found: a.html, b.html."
        " Searched: application 'shop' (DictLoader)."
    )
    assert caught.value.templates == ["a.html", "b.html"]


def test_an_empty_list_of_templates_stays_what_jinja_says_of_it():
    with pytest.raises(TemplatesNotFound, match="an empty list") as caught:
        render(entered(Shop({})), [], {})

    assert "Searched" not in str(caught.value)


def test_a_list_of_missing_templates_of_another_loader_stays_what_jinja_says_of_it():
    app = Shop(options={"loader": DictLoader({})})

    with pytest.raises(TemplatesNotFound) as caught:
        render(entered(app), ["a.html"], {})

    assert str(caught.value) == "none of the templates given were found: a.html"


def test_compiled_templates_are_found(tmp_path: Path):
    source = Shop({"page.html": "Hello {{ name }}"})
    source.jinja_env.compile_templates(tmp_path, zip=None)
    app = Shop()
    app.jinja_loader = cast(Any, jinja2.ModuleLoader(tmp_path))

    assert render(entered(app), "page.html", {"name": "Ada"}) == "Hello Ada"


def test_searches_are_not_explained_unless_configured(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)

    render(entered(Shop({"page.html": ""})), "page.html", {})

    assert not caplog.records


def test_a_search_is_explained_on_request(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    (tmp_path / "page.html").write_text("file")
    app = Shop({}, blueprints={"cart": Owner("shop.cart", {})}, EXPLAIN_TEMPLATE_LOADING=True)
    cast(Any, app.blueprints["cart"]).jinja_loader = FileSystemLoader(tmp_path)
    caplog.set_level(logging.INFO)

    render(entered(app, "cart.show"), "page.html", {})

    assert [str(record.msg) for record in caplog.records] == [
        "Locating template 'page.html':\n"
        "    1: trying loader of application 'shop'\n"
        "       DictLoader: DictLoader\n"
        "       -> no match\n"
        "    2: trying loader of blueprint 'cart' (shop.cart)\n"
        f"       FileSystemLoader: {tmp_path}\n"
        f"       -> found ({str(tmp_path / 'page.html')!r})"
    ]


def test_a_search_that_finds_nothing_explains_the_folders_of_blueprints(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
):
    app = Shop({}, EXPLAIN_TEMPLATE_LOADING=True)
    app.blueprints = {"cart": Owner("shop.cart", {})}
    cast(Any, app.blueprints["cart"]).jinja_loader = jinja2.ModuleLoader(tmp_path)
    caplog.set_level(logging.INFO)

    with pytest.raises(TemplateNotFound):
        render(entered(app, "cart.show"), "missing.html", {})

    text = str(caplog.records[0].msg)
    assert "-> not known: its templates are compiled" in text
    assert "Error: the template could not be found" in text
    assert "looked up from an endpoint that belongs to the blueprint 'cart'" in text
    assert "'cart/page.html'" in text


def test_a_search_that_finds_several_explains_which_one_wins(caplog: pytest.LogCaptureFixture):
    app = Shop(
        {"page.html": "app"},
        blueprints={"cart": Owner("shop.cart", {"page.html": "cart"})},
        EXPLAIN_TEMPLATE_LOADING=True,
    )
    caplog.set_level(logging.INFO)

    assert render(entered(app), "page.html", {}) == "app"

    text = str(caplog.records[0].msg)
    assert text.count("-> found ('<string>')") == 2
    assert text.endswith("Warning: several loaders have a template of this name; the first wins.")


def test_a_search_outside_of_contexts_is_explained_too(caplog: pytest.LogCaptureFixture):
    log = logging.getLogger("shop")
    caplog.set_level(logging.INFO)
    loader = DispatchingLoader(lambda: [("somebody", DictLoader({}))], log=lambda: log)

    with pytest.raises(TemplateNotFound, match=r"Searched: somebody \(DictLoader\)"):
        jinja2.Environment(loader=loader).get_template("missing.html")

    assert str(caplog.records[0].msg).endswith("Error: the template could not be found.")


def test_a_loader_explains_nothing_unless_it_is_told_where_to():
    loader = DispatchingLoader(lambda: [("somebody", DictLoader({"a.html": "a"}))])

    assert jinja2.Environment(loader=loader).get_template("a.html").render() == "a"


# -- flashed messages ----------------------------------------------------------------------


def test_a_flashed_message_is_shown_once_and_as_often_as_this_request_asks():
    context = entered(Shop())
    session = with_session(context)
    flash(context, "saved")
    session.modified = False

    assert get_flashed_messages(context) == ["saved"]
    assert get_flashed_messages(context) == ["saved"]
    assert session.modified
    assert "_flashes" not in session


def test_a_second_message_is_noticed_by_the_session():
    context = entered(Shop())
    session = with_session(context)
    flash(context, "first")
    session.modified = False

    flash(context, "second", "error")

    assert session.modified
    assert session["_flashes"] == [("message", "first"), ("error", "second")]


def test_messages_are_shown_with_categories_and_filtered_by_them():
    context = entered(Shop())
    with_session(context)["_flashes"] = [("a", "one"), ("b", "two"), ("a", "three")]

    assert get_flashed_messages(context, with_categories=True) == [
        ("a", "one"),
        ("b", "two"),
        ("a", "three"),
    ]
    assert get_flashed_messages(context, category_filter=["a"]) == ["one", "three"]
    assert get_flashed_messages(context, True, ["b", "c"]) == [("b", "two")]


def test_a_request_without_messages_leaves_the_session_alone():
    context = entered(Shop())
    session = with_session(context)

    assert get_flashed_messages(context) == []
    assert not session.modified


def test_messages_are_shown_by_a_template_and_markup_stays_markup():
    source = (
        "{% for category, message in get_flashed_messages(with_categories=true) %}"
        "{{ category }}: {{ message }};{% endfor %}"
        "{{ get_flashed_messages(category_filter=['b']) | length }}"
    )
    context = entered(Shop({"page.html": source}))
    with_session(context)
    flash(context, Markup("<b>"), "a")
    flash(context, "<i>", "b")

    assert render(context, "page.html", {}) == "a: <b>;b: &lt;i&gt;;1"


async def test_a_flash_is_announced():
    context = entered(Shop())
    with_session(context)
    heard: list[Any] = []

    def receive(sender: Any, *, message: Any, category: str) -> None:
        heard.append((sender.name, message, category))

    with receiving(message_flashed, receive):
        flash(context, "saved", "info")

    assert heard == [("shop", "saved", "info")]


async def test_an_async_receiver_of_flashes_needs_a_thread():
    context = entered(Shop())
    with_session(context)
    heard: list[Any] = []

    async def receive(sender: Any, *, message: Any, category: str) -> None:
        heard.append(message)

    with receiving(message_flashed, receive):
        await asyncio.to_thread(flash, context, "saved")
        with pytest.raises(TypeError, match=r"is async def, .* Make it def\."):
            flash(context, "lost")

    assert heard == ["saved"]
