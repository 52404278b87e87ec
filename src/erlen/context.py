"""One context, of a request, a websocket or the app alone, and the one variable it is in."""

from __future__ import annotations

import sys
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from inspect import isawaitable
from threading import Lock, get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from .concurrency import Owner, Pending, ensure_sync, running_loop, wait_for
from .connections import Connection
from .errors import ContextError
from .exceptions import ClientDisconnected, HTTPException
from .proxies import current
from .requests import Request
from .sessions import SessionInterface, SessionMixin
from .sharing import shares
from .signals import announce, appcontext_popped, appcontext_pushed
from .typing import Message, Receive, Scope, Send
from .websockets import WebSocket

__all__ = [
    "MISSING_APP",
    "MISSING_REQUEST",
    "AppGlobals",
    "Context",
    "ContextApp",
    "context_of",
    "receive_nothing",
]

MISSING_APP = (
    "Working outside of application context. This needs an app: it runs while a request is"
    " served, in 'with app.app_context():', or in 'async with app.serving():'."
)
MISSING_REQUEST = (
    "Working outside of request context. This needs a request: it runs while one is served, or"
    " in 'with app.test_request_context():'."
)
TASK_WITHOUT_REQUEST = (
    "There is no request in a background task, which outlives it. Pass what you need as an"
    " argument, or wrap the function: copy_current_request_context(f)."
)
OVER = (
    "The request that this belongs to is over. What outlives a request must take what it needs"
    " with it, or run in copy_current_request_context(f)."
)


class ContextApp(Protocol):
    """What a context needs of the app above it."""

    name: str
    session_interface: SessionInterface
    app_ctx_globals_class: type[Any]
    in_flight: Any

    def in_flight_here(self) -> Any: ...
    def make_request(self, context: Any) -> Request: ...
    def make_websocket(self, context: Any) -> WebSocket: ...
    def match(self, context: Any) -> None: ...
    def teardown_here(self, context: Any, error: BaseException | None) -> None: ...
    async def teardown(self, context: Any, error: BaseException | None) -> None: ...


AppT = TypeVar("AppT", bound=ContextApp)

_MISSING: Any = object()
_TAKING = Lock()
"""Held while a session is taken, which a copy may do in another thread at the same time."""
_NO_SCOPE: Scope = {"type": "app"}


async def receive_nothing() -> Message:
    """Receive an empty body, where there is no client."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send_nowhere(message: Message) -> None:
    """Drop what is sent where nobody asked."""


class AppGlobals:
    """The namespace behind ``g``: attributes that live as long as the context."""

    if TYPE_CHECKING:  # what people keep in g is theirs to know

        def __setattr__(self, name: str, value: Any) -> None: ...

        def __delattr__(self, name: str) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"g has no attribute {name!r}. It is set anew for every request.")

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or *default*."""
        return self.__dict__.get(name, default)

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Remove an attribute and return it.

        :raises KeyError: if it is not there and no *default* is given.
        """
        if default is _MISSING:
            return self.__dict__.pop(name)
        return self.__dict__.pop(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return an attribute, set to *default* if it was not there."""
        return self.__dict__.setdefault(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        context = current.get()
        return f"<erlen.g of {context.app.name!r}>" if context is not None else super().__repr__()


@shares(
    *("app", "scope", "kind", "receive", "send", "route", "pipeline", "params", "error"),
    *("connection", "closed", "inline", "untidy", "loop_thread", "task", "stage"),
    *("opened", "globals", "sending", "unchanged", "_begun", "torn_down", "unhandled", "raised"),
    *("threads", "admitted", "owner", "owner_thread", "conversation"),
)
class Context(Generic[AppT]):
    """What is true while one request, one websocket or one block of app code runs.

    Extensions may set attributes on it.
    """

    # PERF: defaults on the class, so that a plain request sets only what it has and what is
    # read of every request: Python 3.11 finds a default on the class three times slower. A
    # class with an __init__ in Python takes 0.1 us longer to call (timeit).
    owner: Owner | None = None
    owner_thread: int | None = None
    admitted: bool = False
    is_task: bool = False
    is_copy: bool = False
    original: Context[Any] | None = None
    """What this is a copy of, if it is one: the two have one session."""
    torn_down: bool = False
    task: Task[Any] | None = None
    """What serves this, if it is served."""
    pipeline: Any = None
    """The handlers of its rule, if it is served."""
    stage: str | None = None
    """``"view"``, ``"first piece"`` or ``"body"``: what may be cancelled. ``None``: the rest."""
    threads: int = 0
    """How many calls run in threads for this."""
    is_slow: bool = False
    watcher: Task[None] | None = None
    """What waits for the client to leave, of a request that takes long."""
    departure: Task[None] | None = None
    """What waits for the client to leave a stream that waits itself."""
    client_left: bool = False
    is_drained: bool = False
    """Whether this was ended because the server stops."""
    forsaken: bool = False
    """Whether a thread serves this on its own, because nobody waits for it any more."""
    cancels: int = 0
    """How many of the cancels of its task are ours."""
    sending: Any = None
    """The response that is sent piece by piece."""
    unchanged: type[bytes] | None  # PERF: no default, it is read for every piece
    """The class of the pieces that are sent as they are; none of a client that has left."""
    unhandled: BaseException | None = None
    raised: BaseException | None = None
    opened: Any = None
    """The session, once something has looked at it."""
    flashes: list[tuple[str, Any]] | None = None
    after: list[Callable[..., Any]] | None = None
    exits: list[Any] | None = None
    globals: Any = None
    _outer: list[Any] | None = None
    _begun: set[Any]

    app: AppT
    scope: Scope
    kind: str
    """``"http"``, ``"websocket"``, or ``"app"`` where neither is served."""
    receive: Receive
    send: Send
    route: Any = None
    params: Any = None
    """A dict, where a rule of ours matched."""
    error: HTTPException | None = None
    connection: Any = None
    """The request or the websocket, once something has asked for it."""
    conversation: WebSocket | None = None
    """The websocket, from its first hook to its last.

    PERF: where the proxy finds it without a call of Python, for each message.
    """
    closed: bool = False
    inline: bool = False
    untidy: bool = False
    """Whether something happened that has to be seen to when the view has returned."""
    made_on: AbstractEventLoop | None = None
    """The loop where it was made, if any, of one that nothing serves."""
    loop_thread: int | None
    """The thread of :attr:`loop`, if code that runs there is on the loop."""

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The loop that serves this, or the one where it was made, if any."""
        return self.made_on if self.task is None else self.task.get_loop()

    @property
    def on_its_loop(self) -> bool:
        """Whether this is asked on the loop that serves the context."""
        return get_ident() == self.loop_thread

    # -- what the proxies show -------------------------------------------------------------

    @property
    def rule(self) -> Any:
        """The :class:`~erlen.registry.Rule` that matched, if one of ours did."""
        return getattr(self.route, "url_rule", None)

    @property
    def endpoint(self) -> str | None:
        """The endpoint that matched."""
        rule = self.rule
        return rule.endpoint if rule is not None else None

    @property
    def request(self) -> Request:
        """The request.

        :raises ContextError: where there is none, or when it is over.
        """
        if self.closed or self.kind != "http":
            raise self._lacks("request")
        request: Request | None = self.connection
        if request is None:
            self.connection = request = self.app.make_request(self)
        return request

    @property
    def websocket(self) -> WebSocket:
        """The websocket.

        :raises ContextError: where there is none, or when it is over.
        """
        if self.closed or self.kind != "websocket":
            raise self._lacks("websocket")
        if self.connection is None:
            self.connection = self.app.make_websocket(self)
        websocket: WebSocket = self.connection
        return websocket

    @property
    def any_connection(self) -> Connection:
        """The request or the websocket, whichever is served."""
        return self.websocket if self.kind == "websocket" else self.request

    def _lacks(self, wanted: str) -> ContextError:
        if self.closed:
            return ContextError(OVER)
        if self.kind == "websocket":
            return ContextError("A websocket is served here, not a request: use websocket.")
        if self.kind == "http":
            return ContextError("A request is served here, not a websocket: use request.")
        if self.is_task:
            return ContextError(TASK_WITHOUT_REQUEST)
        return ContextError(MISSING_REQUEST.replace("request context", f"{wanted} context", 1))

    @property
    def has_request(self) -> bool:
        """Whether a request, and not a websocket or nothing, is served."""
        return self.kind == "http" and not self.closed

    @property
    def g(self) -> Any:
        """The namespace of this context."""
        if self.globals is None:
            self.globals = self.app.app_ctx_globals_class()
        return self.globals

    # -- the session -----------------------------------------------------------------------

    @property
    def session(self) -> SessionMixin:
        """The session, opened when it is first touched, and marked as looked at."""
        session: SessionMixin | None = self.opened
        if session is None or self.closed:
            session = self.untouched_session
        # The C parts of Python read a dict past its methods, so the mark is set here.
        mark = getattr(session, "mark_accessed", None)
        if mark is not None:
            mark()
        return session

    @property
    def untouched_session(self) -> SessionMixin:
        """The session, for those who may look at it or not."""
        if self.closed:
            raise ContextError(OVER)
        if self.opened is None and self.original is not None:
            self.opened = self.original.opened
        if self.opened is None:
            self._take_session(self._open_session_here())
        return cast(SessionMixin, self.opened)

    def _open_session_here(self) -> Any:
        session = self._start_opening()
        if self.app.session_interface.never_waits or not isawaitable(session):
            return session
        if self.on_its_loop:
            cast(Any, session).close()
            raise ContextError(
                f"The session of {self.endpoint!r} has to be opened by an async def"
                " open_session, and its route is marked session=False."
            )
        return wait_for(_awaited, session)

    def _start_opening(self) -> Any:
        connection: Any = self.any_connection
        app: Any = self.app
        return app.session_interface.open_session(app, connection)

    def _take_session(self, session: Any) -> None:
        if session is None:
            session = self.app.session_interface.make_null_session(cast(Any, self.app))
        with _TAKING:
            saved = self
            if self.original is not None and not self.original.closed:
                saved = self.original
            if saved.opened is None:  # else the other one was faster
                saved.opened = session
            self.opened = saved.opened
            saved.untidy = self.untidy = True

    async def open_session(self) -> None:
        """Open the session now, for interfaces that have to wait for it."""
        if self.opened is None:
            session = self._start_opening()
            self._take_session(await session if isawaitable(session) else session)

    @property
    def wants_session(self) -> bool:
        """Whether the session is opened ahead; routes marked ``session=False`` say no."""
        rule = self.rule
        return rule is None or rule.options.get("session", True)

    # -- entering by hand ------------------------------------------------------------------

    def push(self) -> None:
        """Make this the current context; ``with`` does it too."""
        if self._begin():
            with self._left_if_this_fails():
                if appcontext_pushed.receivers:
                    appcontext_pushed.send(self.app, _async_wrapper=ensure_sync)
                self._match()

    def _begin(self) -> bool:
        """Make this the current context; true if it was not one of those around."""
        if self._outer is None:
            self._outer = []
        self._outer.append(current.get())
        current.set(self)
        if len(self._outer) > 1:
            return False
        self.closed = self.torn_down = False
        here = running_loop()
        self.loop_thread = get_ident() if here is not None and here is self.loop else None
        return True

    @contextmanager
    def _left_if_this_fails(self) -> Generator[None]:
        try:
            yield
        except BaseException:
            self._restore()
            self.closed = True
            raise

    def _match(self) -> None:
        if self.kind != "app" and self.route is None and self.error is None:
            self.app.match(self)

    def _check_current(self) -> None:
        if current.get() is not self or not self._outer:
            raise ContextError("Popped a context that is not the current one.")

    def _restore(self) -> bool:
        """Put the previous context back; true if this was the last one to leave."""
        self._check_current()
        outer = cast("list[Any]", self._outer).pop()
        current.set(None if outer is not None and outer.closed else outer)
        return not self._outer

    def pop(self, error: BaseException | None = None) -> None:
        """Tear the context down and leave it; ``with`` does it too."""
        self._check_current()
        if error is None:
            error = sys.exc_info()[1]
        try:
            if self._outer is not None and len(self._outer) == 1:
                self.app.teardown_here(self, error)
        finally:
            if self._restore():
                self.closed = True
                if appcontext_popped.receivers:
                    appcontext_popped.send(self.app, _async_wrapper=ensure_sync)

    def __enter__(self) -> Context[AppT]:
        self.push()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.pop(error)

    async def __aenter__(self) -> Context[AppT]:
        if self._begin():
            with self._left_if_this_fails():
                if appcontext_pushed.receivers:
                    await announce(appcontext_pushed, self.app)
                self._match()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._check_current()
        try:
            if self._outer is not None and len(self._outer) == 1:
                await self.app.teardown(self, error)
        finally:
            if self._restore():
                self.closed = True
                if appcontext_popped.receivers:
                    await announce(appcontext_popped, self.app)

    def end_watch(self) -> None:
        """Do not wait any more for the client to leave."""
        if self.watcher is not None:
            self.watcher.cancel()
            self.watcher = None

    # -- a body that is sent piece by piece ------------------------------------------------

    def begin_body(self, response: Any) -> None:
        """Note that *response* is begun; from now on it ends when the client leaves."""
        self.stage, self.sending, self.unchanged = "body", response, bytes
        flights = self.app.in_flight
        # PERF: as self.loop, without a call.
        if self.task is None or self.task.get_loop() is not flights.loop:
            flights = self.app.in_flight_here()
        self._begun = flights.streams
        self._begun.add(self)
        if not flights.is_woken:
            flights.wake()

    def end_body(self, error: BaseException | None) -> bool:
        """Note that it is over; say whether *error* is only that the client has left."""
        if self.sending is None:
            return False
        self.stage = None
        watcher = self.departure
        if self in self._begun:  # the loop was not there, so nobody has watched
            self._begun.remove(self)
        elif watcher is not None:
            self.departure = None
            watcher.cancel()
            if self.client_left and not self.is_drained:
                was_ended = self.was_ended
                self.take_cancels_back()
                if was_ended and isinstance(error, CancelledError):
                    return True
        return isinstance(error, ClientDisconnected)

    @property
    def was_ended(self) -> bool:
        """Whether its task was cancelled by us, and by nobody else."""
        return self.task is not None and 0 < self.cancels >= self.task.cancelling()

    def take_cancels_back(self) -> None:
        """Let its task be one that was not cancelled by us."""
        while self.task is not None and self.cancels:
            self.cancels -= 1
            self.task.uncancel()

    # -- copies and resources --------------------------------------------------------------

    def copy(self) -> Context[AppT]:
        """Return an open context of the same request with a fresh ``g``.

        What was read of the body is there. The session is the same, whichever of the two opens
        it, and saved with the response of the request; nothing is torn down a second time.
        """
        twin = context_of(self.app, self.scope, self.receive, self.send)
        twin.route = self.route
        twin.params = self.params
        twin.error = self.error
        twin.connection = self.connection
        twin.opened = self.opened
        twin.is_copy = True
        twin.original = self.original or self
        return twin

    def add_after(self, function: Callable[..., Any]) -> None:
        """Run *function* with the response of this request, before the after hooks."""
        self.untidy = True
        if self.after is None:
            self.after = []
        self.after.append(function)

    def enter(self, manager: AbstractContextManager[Any] | AbstractAsyncContextManager[Any]) -> Any:
        """Enter *manager* now and leave it at teardown, with the view's exception.

        An async manager is awaited in ``async def`` code and entered at once in ``def`` code,
        where one that is both is entered as a plain one. It is left where it was entered: on
        the loop, or in the thread of the request.

        :raises ContextError: when the request is over.
        """
        if self.closed or self.torn_down:
            raise ContextError(OVER)
        self.untidy = True
        if self.exits is None:
            self.exits = []
        plain = isinstance(manager, AbstractContextManager)
        if isinstance(manager, AbstractAsyncContextManager) and (self.on_its_loop or not plain):
            return self._enter_async(manager)
        entered = cast("AbstractContextManager[Any]", manager)
        value = entered.__enter__()
        leave = entered.__exit__
        self.exits.append(_on_loop(leave) if self.on_its_loop else leave)
        return value

    def _enter_async(self, manager: AbstractAsyncContextManager[Any]) -> Any:
        async def start() -> Any:
            value = await manager.__aenter__()
            cast("list[Any]", self.exits).append(_on_loop(manager.__aexit__))
            return value

        return Pending("request.enter(...)", start) if self.on_its_loop else wait_for(start)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{state} context of {self.app.name!r}: {self.connection or self.kind}>"


def context_of(
    app: AppT,
    scope: Scope = _NO_SCOPE,
    receive: Receive = receive_nothing,
    send: Send = _send_nowhere,
) -> Context[AppT]:
    """Return a new context, which nobody has entered; the entry makes its own."""
    context: Context[AppT] = Context()
    context.app = app
    context.scope = scope
    context.kind = scope["type"]
    context.receive = receive
    context.send = send
    context.made_on = running_loop()
    context.loop_thread = None if context.made_on is None else get_ident()
    return context


def _on_loop(leave: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def leave_on_loop(*error: Any) -> Any:
        value = leave(*error)
        return await value if isawaitable(value) else value

    return leave_on_loop


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value
