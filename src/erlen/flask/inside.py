"""Views of ours in the context of a hosted Flask app, and what they may return there."""

from __future__ import annotations

import inspect
import io
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar

from ..concurrency import is_async, wait_for
from ..context import Context
from ..errors import SetupTypeError, place_of
from ..exceptions import HTTPException, default_exceptions
from ..proxies import current
from ..registrar import Registrar
from ..responses import Response
from .hosting import FlaskApp, hosted_of

__all__ = ["inside"]

T = TypeVar("T", bound="Callable[..., Any] | Registrar")


def inside(flask_app: FlaskApp) -> Callable[[T], T]:
    """Run a view of ours, or all those of a blueprint, in the context of a hosted Flask app.

    ``flask.request``, ``current_user`` and ``login_required`` of Flask-Login, the forms of
    Flask-WTF and the session of Flask-SQLAlchemy work there. Write it directly below the route,
    above the decorators of extensions, or around a blueprint before its views are added::

        @app.get("/notes")
        @erlen.flask.inside(flask_app)
        @login_required
        async def notes(): ...

    The view has a worker thread for as long as it runs, as in Flask; an ``async def`` view runs
    on the serving loop while the thread waits. The teardown functions of the Flask app run at
    its end, its other hooks do not.

    :raises SetupError: at the first request, if the Flask app is not hosted.
    """

    def decorate(target: Any) -> Any:
        if isinstance(target, Registrar):
            _wrap_views(target, flask_app)
            return target
        if not callable(target):
            raise SetupTypeError(f"inside() takes a view or a blueprint, not {target!r}.")
        return Inside(target, flask_app)

    return decorate


class Inside:
    """A view that runs in the context of a Flask app. It counts as ``def``: it has a thread."""

    def __init__(self, view: Callable[..., Any], flask_app: FlaskApp) -> None:
        self.view = view
        self.flask_app = flask_app
        self.is_async = is_async(view)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(self, name, getattr(view, name, None))
        # Not __wrapped__, which would say that this is async def because the view is.
        self.__code__ = getattr(inspect.unwrap(view), "__code__", None)
        self.__signature__ = inspect.signature(view)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the view; in a thread."""
        context: Context[Any] = current.get()
        body = _Body(context, ahead=self.is_async)
        hosted = hosted_of(self.flask_app)
        with hosted.request_context(context, io.BufferedReader(body)) as theirs:
            # Extensions keep limits and exceptions by the endpoint: by ours, in a view of ours.
            theirs.request.url_rule, theirs.request.view_args = context.rule, kwargs
            theirs.request.routing_exception = None
            try:
                value = self.view(*args, **kwargs)
                if isawaitable(value):
                    value = wait_for(_awaited, value)
            except Exception as error:
                value = _answer_of(error)
                if value is None:
                    raise
            return _as_ours(value, theirs.request.environ)

    def __eq__(self, other: object) -> bool:
        # url_for(view) is given what was decorated, if a whole blueprint was wrapped.
        return self is other or self.view == other

    def __hash__(self) -> int:
        return hash(self.view)

    def __repr__(self) -> str:
        return f"<{place_of(self.view)} inside of {self.flask_app!r}>"


class _Body(io.RawIOBase):
    """The body of a request of ours, for the Flask app: read when it is asked for.

    With *ahead* it is read now, because an ``async def`` view will ask for it on the loop,
    which cannot wait for it; unless the route is one with ``stream_body=True``.
    """

    def __init__(self, context: Context[Any], *, ahead: bool) -> None:
        self._request: Any = context.request
        self._rest: io.BytesIO | None = None
        self._failure: Exception | None = None
        if ahead and not context.rule.options.get("stream_body"):
            try:
                self._rest = self._read()
            except Exception as error:  # whoever asks for the body is told
                self._failure = error

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill *buffer* from the body."""
        if self._failure is not None:
            raise self._failure
        if self._rest is None:
            self._rest = self._read()
        return self._rest.readinto(buffer)

    def _read(self) -> io.BytesIO:
        return io.BytesIO(self._request.get_data())


def _wrap_views(blueprint: Any, flask_app: FlaskApp) -> None:
    """Run all views that are added to *blueprint* from now on inside of *flask_app*."""
    add = blueprint.add_url_rule

    def add_url_rule(
        rule: str, endpoint: str | None = None, view_func: Any = None, **options: Any
    ) -> None:
        if view_func is not None and not options.get("websocket"):
            view_func = Inside(view_func, flask_app)
        add(rule, endpoint, view_func, **options)

    blueprint.add_url_rule = add_url_rule


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def _answer_of(error: Exception) -> Any:
    """Return the response in an HTTP exception of Flask, if it brings one.

    :raises HTTPException: the exception of ours that says the same, if it does not.
    """
    if isinstance(error, HTTPException) or not hasattr(error, "get_response"):
        return None
    theirs: Any = error
    kind: Any = default_exceptions.get(theirs.code)
    if theirs.response is not None or kind is None:
        return theirs.get_response()
    ours = kind(theirs.description)
    ours.extra_headers += [
        (name, value) for name, value in theirs.get_headers() if name.lower() != "content-type"
    ]
    raise ours from error


def _as_ours(value: Any, environ: dict[str, Any]) -> Any:
    """Return a response of Flask, alone or with a status, as ours; all else as it is."""
    if value.__class__ is tuple and value:
        parts: Any = value
        return (_as_ours(parts[0], environ), *parts[1:])
    if not hasattr(value, "get_wsgi_response"):
        return value
    pieces, status, headers = value.get_wsgi_response(environ)
    response = Response(b"".join(pieces) if value.is_sequence else pieces, status)
    response.headers.clear()
    for name, text in headers:
        response.headers.add(name, text)
    return response
