"""The session of a client, read and written between two requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, cast

import httpx

from ..app import App
from ..binding import hop
from ..concurrency import Owner, is_async
from ..context import Context
from ..errors import ContextError
from ..sessions import SessionMixin
from .cookies import CookieJar
from .drafts import path_of, receiver_of, scope_of
from .loops import LoopThread

__all__ = ["SessionTransaction"]

if TYPE_CHECKING:

    class Session(dict[str, Any], SessionMixin):
        """A session as tests see it: a dict with ``permanent``, ``new`` and ``modified``."""


class Client(Protocol):
    """What a transaction needs of the client that it belongs to."""

    app: App
    thread: LoopThread | None

    @property
    def jar(self) -> CookieJar:
        """Its cookies."""
        ...


class SessionTransaction:
    """A block in which the session of a client is open: ``async with`` or, in ``def``, ``with``."""

    def __init__(self, client: Client, request: httpx.Request) -> None:
        self._client = client
        self._jar = client.jar
        self._request = request
        self._context: Context[Any] | None = None
        self._session: Any = None

    async def __aenter__(self) -> Session:
        return await self._open(None)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            await self._save(None)

    def __enter__(self) -> Session:
        return self._thread_of_app().lend(self._open)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._thread_of_app().lend(self._save)

    def _thread_of_app(self) -> LoopThread:
        if self._client.thread is None:
            raise ContextError(
                "This client is asynchronous: async with client.session_transaction()"
            )
        return self._client.thread

    async def _open(self, owner: Owner | None) -> Session:
        app, request = self._client.app, self._request
        cookies = self._jar.header_for(request.url.host, path_of(request))
        request.extensions["erlen.cookies"] = cookies
        scope = scope_of(request)
        scope["erlen.receive"] = receiver_of(request)
        context = self._context = app.request_context(scope)
        interface = app.session_interface
        async with self._lent(owner):
            self._session = await self._call(interface.open_session, context.request)
        if self._session is None:
            raise RuntimeError("Session backend did not open a session.")
        return cast("Session", self._session)

    async def _save(self, owner: Owner | None) -> None:
        app, interface = self._client.app, self._client.app.session_interface
        if interface.is_null_session(self._session):
            return
        response = app.response_class()
        async with self._lent(owner):
            await self._call(interface.save_session, self._session, response)
        headers = response.headers.getlist("set-cookie")
        self._jar.take(self._request.url.host, path_of(self._request), headers)

    def _lent(self, owner: Owner | None) -> Context[Any]:
        """Return the context to enter, whose ``def`` code runs in the thread of *owner*."""
        context = cast("Context[Any]", self._context)
        context.scope.pop("erlen.owner", None)
        if owner is not None:
            context.scope["erlen.owner"] = owner
        return context

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the session interface where its colour belongs."""
        app = self._client.app
        call = partial(function, app, *args)
        if app.session_interface.never_waits or is_async(function):
            value = call()
        else:
            value = await hop(cast("Context[Any]", self._context), call)
        return await value if isawaitable(value) else value
