"""A WSGI app inside an ASGI app: Flask, Django or anything else that PEP 3333 describes."""

from __future__ import annotations

import io
import logging
import weakref
from asyncio import AbstractEventLoop
from asyncio import get_running_loop as _loop
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound

from ..binding import hop
from ..bodies import Body
from ..concurrency import Owner
from ..config import DEFAULTS
from ..connections import Limits
from ..errors import SetupValueError
from ..exceptions import HTTPException, NotFound
from ..pool import WorkerPool
from ..proxies import current
from ..routes import route_path
from ..sending import Departure
from ..streams import Inbox
from ..typing import Message, Receive, Scope, Send
from .bodies import AHEAD, Answer, Arriving, Upload, receive_ahead
from .calling import Call, Head, WSGIApp
from .environ import ErrorLog, environ_of

__all__ = ["WSGIMount", "WSGIRoute"]


class WSGIMount:
    """An ASGI app that runs a WSGI app in worker threads: ``WSGIMount(flask_app)``.

    Within an :class:`erlen.Erlen` the threads are those of its ``def`` views, and its context
    is there: ``current_app``, ``session`` and ``request.headers`` of Erlen can be used. In any
    other ASGI app it has as many threads of its own as ``SYNC_WORKERS`` says by default.

    Uploads and responses stream: 64 KiB of either are in memory at most. Up to 64 KiB of
    a body are received before the app is called. One that stops for ``BODY_TIMEOUT`` seconds or
    trickles (``BODY_MIN_RATE``) makes ``wsgi.input`` raise a ``TimeoutError``; a client that
    leaves, a ``ConnectionError``. The other limits are the WSGI app's own.
    """

    def __init__(self, app: WSGIApp) -> None:
        if not callable(app):
            raise SetupValueError(f"A WSGI app is a callable, not {app!r}.")
        self.app = app
        self._pools: weakref.WeakKeyDictionary[AbstractEventLoop, WorkerPool]
        self._pools = weakref.WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope of ASGI; websockets are refused."""
        if scope["type"] != "http":
            await _refuse(scope, receive, send)
            return
        context: Any = current.get()
        if context is not None and context.has_request and context.loop is _loop():
            head, inbox = await self._answer(scope, receive, context)
        else:
            context = _Alone(scope, self)
            try:
                head, inbox = await self._answer(scope, receive, context)
            except HTTPException as error:  # 503: no thread is free
                await error.get_response()(scope, receive, send)
                return
        start = {"type": "http.response.start", "status": head.status, "headers": head.headers}
        if isinstance(head.body, bytes):
            await send(start)
            await send({"type": "http.response.body", "body": head.body})
            return
        try:
            await _stream(head.body, start, inbox, send)
        finally:
            if isinstance(head.body.error, Exception):  # there was nobody any more to be told
                text = "A WSGI app failed after its client had left"
                context.app.logger.error(text, exc_info=head.body.error)

    async def _answer(self, scope: Scope, receive: Receive, context: Any) -> tuple[Head, Inbox]:
        body = Body(receive, 0, _of_any_length(context.app.limits))
        arriving = await receive_ahead(body) if _has_body(scope) else Arriving(body)
        # A thread that is lent has to send what comes itself, so nothing may be on its way.
        ahead = 0 if "erlen.owner" in context.scope else AHEAD
        # WHY: variables that the app sets end with its call. An app that streams would leave
        # its context to the next request of this connection.
        variables = copy_context()

        def run(hand: Callable[[Head], bool]) -> Head | None:
            return variables.run(self._run, scope, context, arriving, ahead, hand)

        head = await hop(context, run, early=True)
        return cast(Head, head), body.inbox

    def _run(
        self,
        scope: Scope,
        context: Any,
        arriving: Arriving,
        ahead: int,
        hand: Callable[[Head], bool],
    ) -> Head | None:
        """Call the app, in a thread."""
        owner: Owner = context.owner
        environ = environ_of(scope)
        body: Any
        if arriving.complete and arriving.failure is None:
            body = io.BytesIO(b"".join(arriving.ahead))
        else:
            body = io.BufferedReader(Upload(arriving, owner), AHEAD)
        environ["wsgi.input"] = body
        environ["wsgi.errors"] = errors = ErrorLog(context.app)
        try:
            call = Call(scope["method"], lambda: Answer(owner, ahead), hand)
            return call.run(self.app, environ)
        finally:
            errors.flush()

    # -- what an Erlen app has, where there is none ----------------------------------------

    @property
    def worker_pool(self) -> WorkerPool:
        """The threads of this loop, where there is no app of ours around."""
        loop = _loop()
        pool = self._pools.get(loop)
        if pool is None:
            size, queue = DEFAULTS["SYNC_WORKERS"], DEFAULTS["SYNC_QUEUE"]
            pool = self._pools[loop] = WorkerPool(size=size, queue=queue)
        return pool

    @property
    def limits(self) -> Limits:
        """What clients may send, where there is no app of ours around."""
        return _LIMITS

    @property
    def logger(self) -> logging.Logger:
        """Where ``wsgi.errors`` leads, where there is no app of ours around."""
        return _LOGGER

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app!r}>"


_LIMITS = Limits()
_LOGGER = logging.getLogger("erlen.wsgi")


@lru_cache(maxsize=16)
def _of_any_length(limits: Limits) -> Limits:
    """Return *limits* without the one that is a matter of the app that is mounted."""
    return replace(limits, max_content_length=None)


class _Alone:
    """What stands in for the context where a mount is not inside an Erlen app."""

    __slots__ = ("admitted", "app", "loop", "owner", "owner_thread", "scope", "threads")

    def __init__(self, scope: Scope, mount: WSGIMount) -> None:
        self.app = mount
        self.scope = scope
        self.loop = _loop()
        self.owner: Owner | None = None
        self.owner_thread: int | None = None
        self.admitted = False
        self.threads = 0


class WSGIRoute(BaseRoute):
    """A WSGI app below a path, as a route of Starlette.

    With *is_fallback* it stands behind every other route, and takes all that they leave.
    """

    def __init__(
        self, path: str, app: WSGIApp, name: str | None = None, *, is_fallback: bool = False
    ) -> None:
        if path and not path.startswith("/"):
            raise SetupValueError(
                f"The prefix of a WSGI app begins with a slash, not {path!r}: '/{path}'."
            )
        self.path = path.rstrip("/")
        self.app = WSGIMount(app)
        self.name = name
        self.is_fallback = is_fallback

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether *scope* asks for the path or something below it, by whole segments."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path, prefix = route_path(scope), self.path
        if path != prefix and not path.startswith(f"{prefix}/"):
            return Match.NONE, {}
        root = scope.get("root_path", "").rstrip("/")
        return Match.FULL, {
            "endpoint": self.app,
            "path_params": {},
            "app_root_path": scope.get("app_root_path", root),
            "root_path": root + prefix,
        }

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the URL of a *path* in the app, if *name* is that of this mount.

        :raises NoMatchFound: otherwise.
        """
        if name != self.name or path_params.keys() != {"path"}:
            raise NoMatchFound(name, path_params)
        return URLPath(f"{self.path}/{str(path_params['path']).lstrip('/')}")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app serve *scope*."""
        await self.app(scope, receive, send)

    def __repr__(self) -> str:
        return f"<WSGIRoute {self.path or '/'} -> {self.app.app!r}>"


def _has_body(scope: Scope) -> bool:
    return any(
        name.lower() in (b"content-length", b"transfer-encoding") and value != b"0"
        for name, value in scope.get("headers", ())
    )


async def _stream(answer: Answer, start: Message, inbox: Inbox, send: Send) -> None:
    """Send what the thread puts into *answer*, until it is done or the client leaves.

    An app around may refuse *start*: the thread is let go then as well.
    """
    try:
        await send(start)
        with Departure(inbox.until_disconnect):
            while piece := await answer.take():
                try:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                except OSError:
                    return  # ASGI 2.4: the client has left
                answer.sent(len(piece))
            await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.aclose()


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what no WSGI app can: a lifespan has nothing to do, a websocket is not found."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
    elif scope["type"] == "websocket":
        if "websocket.http.response" in scope.get("extensions", {}):
            await NotFound().get_response()(scope, receive, send)
        else:
            close: Message = {"type": "websocket.close", "code": 1000, "reason": ""}
            await send(close)
    else:
        raise RuntimeError(f"A WSGI app cannot serve {scope['type']!r}.")
