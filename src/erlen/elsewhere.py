"""Names of Flask and Quart that are not here, and what to write instead. Knows texts only.

An app, a blueprint, a request and a response ask this when a name is missing, so that the error
teaches; and when a subclass defines one, because nothing here would ever call it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, cast

from .errors import SetupTypeError, place_of

__all__ = [
    "APP",
    "APP_CALLS",
    "BLUEPRINT",
    "QUART",
    "REQUEST",
    "RESPONSE",
    "lacks",
    "refuse_other_calls",
    "refuse_overrides",
]


T = TypeVar("T")


def _all(names: str, advice: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), advice)


_STEPS = "steps are compiled into one handler per rule; "

_TABLES = {
    **_all(
        "before_request_funcs after_request_funcs teardown_request_funcs url_value_preprocessors"
        " url_default_functions template_context_processors",
        "register with the decorator, which is a plain function too: app.before_request(function)",
    ),
    "error_handler_spec": "register with app.register_error_handler(code_or_class, function)",
}

APP: Mapping[str, str] = {
    **_TABLES,
    **_all(
        "full_dispatch_request dispatch_request preprocess_request process_response"
        " finalize_request",
        _STEPS + "use hooks, and app.test_client() to run them",
    ),
    **_all(
        "handle_exception handle_user_exception handle_http_exception trap_http_exception"
        " should_ignore_error raise_routing_exception",
        _STEPS + "use @app.errorhandler, for Exception if it shall be for all",
    ),
    **_all(
        "do_teardown_request do_teardown_appcontext",
        "leaving the context runs the teardown functions: with app.test_request_context(): ...",
    ),
    "make_default_options_response": "write a view with methods=['OPTIONS']",
    "create_url_adapter": "request.url_rule and request.view_args say what matched",
    "url_rule_class": "rules are plain data; converters go into app.url_map.converters",
    "url_map_class": "rules are plain data; converters go into app.url_map.converters",
    "async_to_sync": "app.ensure_sync(function) does it, on the loop that serves",
    "make_shell_context": "add names with @app.shell_context_processor",
}
"""What an app in Flask has beside what it has here, and what to write instead."""

APP_CALLS: Mapping[str, str] = {"log_exception": "error, context"}
"""What an app has by a name of Flask's, and is called with other arguments."""

QUART: Mapping[str, str] = {
    "asgi_app": "the app itself is the ASGI app; app.add_middleware(...) puts something around it",
    "ensure_async": "functions of both colours are taken everywhere, as they are",
    "sync_to_async": "use await run_sync(function)(...)",
    "test_app": "app.test_client() starts and stops the app; so does async with app.serving()",
    **_all(
        "background_tasks shutdown_event",
        "shutdown waits for what app.add_background_task() began; @app.after_serving runs then",
    ),
}
"""What an app in Quart has beside that."""

BLUEPRINT: Mapping[str, str] = {
    **{name: text.replace("app.", "blueprint.") for name, text in _TABLES.items()},
    "register": "use record(), whose function is called at each registration",
    "make_setup_state": "use record(), whose function is called at each registration",
    "view_functions": "app.view_functions has them once the blueprint is registered",
}

_BY_ASGI = "belongs to WSGI; request.scope is the ASGI scope"

REQUEST: Mapping[str, str] = {
    **_all("environ is_multithread is_multiprocess is_run_once shallow", _BY_ASGI),
    **_all("application", "belongs to WSGI; a view may return any ASGI app"),
    "from_values": "use app.test_request_context(path, ...).request",
    "input_stream": "use request.stream",
    "remote_user": "no ASGI server sets it; read the header in which your proxy sends the name",
    "content_md5": "the header is obsolete; request.headers.get('content-md5') reads it",
    "json_module": "how JSON is read is for app.json to say",
    "trusted_hosts": "set app.config['TRUSTED_HOSTS']",
    **_all(
        "parameter_storage_class dict_storage_class list_storage_class user_agent_class"
        " form_data_parser_class make_form_data_parser",
        "the classes of a request are fixed; wrap what they give in a property of a subclass",
    ),
}

RESPONSE: Mapping[str, str] = {
    **_all(
        "force_type from_app",
        "a view may return any Starlette response or ASGI app; after hooks get it as a Response",
    ),
    **_all(
        "get_wsgi_headers get_wsgi_response get_app_iter",
        "belongs to WSGI; a response is an ASGI app: await response(scope, receive, send)",
    ),
    "iter_encoded": "use response.data, or the iterable in response.response",
    "make_sequence": "response.get_data() reads a stream into memory",
    "calculate_content_length": "use response.content_length",
    "content_md5": "the header is obsolete; response.headers['Content-MD5'] sets it",
    "json_module": "how JSON is written is for app.json to say",
    "autocorrect_location_header": "a Location stays as it is; url_for(..., _external=True)"
    " makes a whole URL",
    **_all(
        "automatically_set_content_length implicit_sequence_conversion",
        "the length of a body that is known is always sent, and a stream stays a stream",
    ),
}


class _Missing:
    """A name that a class does not have, and what to write instead."""

    def __init__(self, name: str, advice: str) -> None:
        self.name = name
        self.advice = advice

    def __get__(self, thing: object, owner: type[Any] | None = None) -> NoReturn:
        kind = cast("type[Any]", owner or type(thing)).__name__
        text = f"{kind!r} object has no attribute {self.name!r}: {self.advice}."
        raise AttributeError(text, name=self.name, obj=thing)


def lacks(table: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Let a class say what to write instead of the names of *table*, which it lacks.

    PERF: a ``__getattr__`` would say it in one place, and cost the class Python's cache of
    attributes: each that is read, of a request or an app, would take 85 ns instead of 18.
    """

    def lacking(cls: type[T]) -> type[T]:
        for name, advice in table.items():
            setattr(cls, name, _Missing(name, advice))
        return cls

    return lacking


def refuse_overrides(cls: type[Any], table: Mapping[str, str]) -> None:
    """Refuse a subclass that defines something which nobody would ever call.

    :raises SetupTypeError: for a name of *table* in the body of *cls*.
    """
    for name in table.keys() & vars(cls).keys():
        value = vars(cls)[name]
        where = place_of(value) if callable(value) else f"{cls.__qualname__}.{name}"
        raise SetupTypeError(
            f"{where} would never be used: there is no {name!r} here ({table[name]})."
        )


def refuse_other_calls(cls: type[Any], table: Mapping[str, str]) -> None:
    """Refuse a subclass whose method cannot be called as it will be.

    :raises SetupTypeError: for a method in the body of *cls* that *table* has other arguments of.
    """
    for name in table.keys() & vars(cls).keys():
        method, given = vars(cls)[name], table[name]
        if not inspect.isfunction(method):
            continue
        try:
            inspect.signature(method).bind("self", *given.split(", "))
        except TypeError:
            raise SetupTypeError(
                f"{place_of(method)} takes {inspect.signature(method)}, and is called with other"
                f" arguments here: def {name}(self, {given})."
            ) from None
