"""The client of an app: cookies, redirects, and the context that it keeps for the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

import httpx

from ..app import App
from ..concurrency import Owner
from ..context import Context
from ..errors import ContextError
from ..headers import Headers
from ..proxies import current
from .cookies import Cookie, CookieJar
from .drafts import (
    HeaderItems,
    OtherOptions,
    RequestOptions,
    build_request,
    path_of,
    receiver_of,
)
from .lifespans import drain
from .loops import HiredThread, LoopThread, loop_thread_of
from .redirects import REDIRECTS, Redirects
from .responses import StreamedResponse, TestResponse
from .sessions import SessionTransaction
from .sockets import Connecting
from .transport import ASGITransport

if TYPE_CHECKING:
    from .sync import SyncTestClient

__all__ = ["Streaming", "TestClient"]


def _verb(method: str) -> Callable[..., Coroutine[Any, Any, TestResponse]]:
    """Return ``client.get`` and so on: :meth:`TestClient.open` is the truth, also a subclass's."""

    def send(self: TestClient, path: str = "/", *base_url: str, **options: Any) -> Any:
        return self.open(path, *base_url, method=method, **options)

    send.__name__, send.__doc__ = method.lower(), f"Send {method}; see :meth:`open`."
    return send


class TestClient:
    """A browser without a window: it sends requests to *app*, in memory.

    ``async with app.test_client() as client:`` starts the app up and keeps the context of the
    last request, so that ``session``, ``g`` and ``request`` are there after it. In ``with`` the
    same client is synchronous. Without either, ``await client.get("/")`` is a request and
    nothing more.

    *base_url*, *headers* and *scope_base* go into every request. *lifespan* set to false leaves
    start-up and shutdown out.
    """

    __test__ = False

    def __init__(
        self,
        app: App,
        use_cookies: bool = True,
        *,
        base_url: str | None = None,
        headers: HeaderItems | None = None,
        scope_base: dict[str, Any] | None = None,
        lifespan: bool = True,
        allow_subdomain_redirects: bool = False,
    ) -> None:
        self.app = app
        self.base_url = base_url
        self.headers = Headers(headers)
        """What is sent with every request that does not say otherwise."""
        self.scope_base = scope_base or {}
        """What is set in the scope of every request."""
        self.allow_subdomain_redirects = allow_subdomain_redirects
        self.transport = ASGITransport(app, lifespan=lifespan)
        self.cookies = CookieJar() if use_cookies else None
        self.thread: LoopThread | None = None
        """Where the app runs, while this client is synchronous."""
        self._entered = False
        self._kept: list[Context[Any]] = []
        self._outer: Context[Any] | None = None

    @property
    def application(self) -> App:
        """The app, by Flask's name."""
        return self.app

    # -- requests --------------------------------------------------------------------------

    def open(
        self,
        path: str = "/",
        base_url: str | None = None,
        *,
        method: str = "GET",
        follow_redirects: bool = False,
        **options: Unpack[OtherOptions],
    ) -> Coroutine[Any, Any, TestResponse]:
        """Send a request and return its response: ``await client.open("/", method="GET")``.

        *options* are those of :func:`~erlen.testing.drafts.build_request`. With
        *follow_redirects* the response is the one at their end, and has the others in its
        ``history``. What the app raises is raised here.

        :raises ClientRedirectError: if redirects do not end.
        """
        given: dict[str, Any] = {**options}
        if base_url is not None:
            given["base_url"] = base_url
        response = self._dispatch(self._open, path, method, follow_redirects, given)
        return cast("Coroutine[Any, Any, TestResponse]", response)

    get = _verb("GET")
    post = _verb("POST")
    put = _verb("PUT")
    patch = _verb("PATCH")
    delete = _verb("DELETE")
    head = _verb("HEAD")
    options = _verb("OPTIONS")
    trace = _verb("TRACE")

    def stream(self, method: str, path: str = "/", **options: Unpack[RequestOptions]) -> Streaming:
        """Send a request whose response is read while it arrives.

        ``async with client.stream("GET", "/events") as response:`` and then
        ``async for line in response.aiter_lines()``. The app is told when the block is left.
        """
        return Streaming(self, method, path, options)

    def websocket(
        self,
        path: str = "/",
        *,
        subprotocols: list[str] | None = None,
        **options: Unpack[RequestOptions],
    ) -> Connecting:
        """Open a websocket: ``async with client.websocket("/echo") as ws: await ws.send("a")``.

        :raises WebSocketRejected: in ``async with``, if the app refuses it.
        """
        return Connecting(self, path, subprotocols or [], options)

    def _dispatch(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """Start *function* in the way that this client works now."""
        if self.thread is not None:
            return self.thread.lend(function, *args)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ContextError(
                "This client is asynchronous, and no event loop runs here. In a def test write"
                " 'with app.test_client() as client:', or use app.sync_test_client()."
            ) from None
        return function(None, *args)

    async def _open(
        self,
        owner: Owner | None,
        path: str,
        method: str,
        follow_redirects: bool,
        options: RequestOptions,
    ) -> TestResponse:
        request = self.draft(path, method, options)
        response, cookies = await self._send(owner, request)
        redirects: Redirects | None = None
        history: list[TestResponse] = []
        while follow_redirects and response.status_code in REDIRECTS and response.location:
            redirects = redirects or Redirects(subdomains=self.allow_subdomain_redirects)
            history.append(response)
            request = redirects.next(request, response.status_code, response.location, cookies)
            response, cookies = await self._send(owner, request)
        if history:
            response.history = tuple(history)
        return response

    def draft(self, path: str, method: str, options: RequestOptions) -> httpx.Request:
        """Return the request for *options*, with what this client adds to each."""
        given: dict[str, Any] = {**options}
        if self.base_url is not None and not given.get("subdomain"):
            given.setdefault("base_url", self.base_url)
        if self.headers:
            headers = self.headers.copy()
            headers.update(Headers(given.get("headers")))
            given["headers"] = headers
        if self.scope_base:
            given["scope_base"] = {**self.scope_base, **(given.get("scope_base") or {})}
        return build_request(self.app, path, method=method, **given)

    async def _send(
        self, owner: Owner | None, request: httpx.Request
    ) -> tuple[TestResponse, str | None]:
        contexts: list[Context[Any]] = []
        try:
            http, cookies = await self.send(owner, request, contexts)
            stream = cast(httpx.AsyncByteStream, http.stream)
            body = b"".join([piece async for piece in stream])
        finally:
            await self.keep(contexts, owner)
        scope, receive = http.extensions["erlen.scope"], receiver_of(request)
        response = TestResponse(
            self.app,
            scope,
            receive,
            status=http.status_code,
            headers=http.headers.raw,
            body=body,
        )
        return response, cookies

    async def send(
        self, owner: Owner | None, request: httpx.Request, contexts: list[Context[Any]]
    ) -> tuple[httpx.Response, str | None]:
        """Send *request* with the cookies for it; returns those, too.

        *owner* lends its thread to ``def`` code. Contexts to keep are put into *contexts*.
        """
        await self.let_go(owner)
        extra: dict[str, Any] = request.extensions["erlen.scope"]
        if self._entered:
            extra["erlen.keep"] = contexts.append
            owner = owner or HiredThread(self.app)
        if owner is not None:
            extra["erlen.owner"] = owner
        if self.cookies is None:
            return await self.transport.handle_async_request(request), None
        host, path = request.url.host, path_of(request)
        cookies = self.cookies.header_for(host, path)
        request.extensions["erlen.cookies"] = cookies
        http = await self.transport.handle_async_request(request)
        if "set-cookie" in http.headers:
            self.cookies.take(host, path, http.headers.get_list("set-cookie"))
        return http, cookies

    # -- the context that is kept ----------------------------------------------------------

    async def keep(self, contexts: list[Context[Any]], owner: Owner | None = None) -> None:
        """Make the outermost of *contexts* the current one, until the next request."""
        if not contexts:
            return
        # Again and again: while this waits, a request beside it may be over and kept.
        while self._kept:
            await self.let_go(owner)
        self._kept, self._outer = contexts, current.get()
        current.set(contexts[-1])

    async def let_go(self, owner: Owner | None = None) -> None:
        """Tear down what is kept, in the thread that it ran in.

        If that was lent by a caller, it is the one of *owner*, who lends it now.
        """
        contexts, self._kept = self._kept, []
        if not contexts:
            return
        before = current.get()
        ran_in = contexts[-1].scope.get("erlen.owner")
        hired = ran_in if isinstance(ran_in, HiredThread) else None
        for context in contexts:
            context.scope["erlen.owner"] = hired or owner
            current.set(context)
            try:
                await context.app.teardown(context, None)
            finally:
                context.closed = True
        if hired is not None:
            hired.dismiss()
        if before in contexts:
            before, self._outer = self._outer, None
        current.set(None if before is None or before.closed else before)

    # -- cookies and sessions --------------------------------------------------------------

    @property
    def jar(self) -> CookieJar:
        """The cookies.

        :raises TypeError: if this client keeps none.
        """
        if self.cookies is None:
            raise TypeError("Cookies are disabled. Create a client with 'use_cookies=True'.")
        return self.cookies

    def get_cookie(self, key: str, domain: str | None = None, path: str = "/") -> Cookie | None:
        """Return a cookie that was set with this *domain* (the app's own) and *path*."""
        return self.jar.get(key, domain or self._host, path)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        *,
        domain: str | None = None,
        origin_only: bool = True,
        path: str = "/",
        **options: Any,
    ) -> None:
        """Keep a cookie as if the app had set it; *options* are those of ``set_cookie``.

        *domain* is the app's own, and *origin_only* keeps the cookie from its subdomains.
        """
        host = domain or self._host
        self.jar.set(key, value, host, origin_only=origin_only, path=path, **options)

    def delete_cookie(self, key: str, *, domain: str | None = None, path: str = "/") -> None:
        """Forget a cookie; one that is not there is fine."""
        self.jar.delete(key, domain or self._host, path)

    @property
    def _host(self) -> str:
        return self.draft("/", "GET", {}).url.host

    def session_transaction(
        self, path: str = "/", *, method: str = "GET", **options: Unpack[RequestOptions]
    ) -> SessionTransaction:
        """Read and change the session of the next request.

        ``async with client.session_transaction() as session: session["user"] = 1``. It is
        saved when the block ends without an exception.

        :raises TypeError: if this client keeps no cookies.
        """
        return SessionTransaction(self, self.draft(path, method, options))

    # -- the life of the app ---------------------------------------------------------------

    def drain(self) -> Coroutine[Any, Any, None]:
        """Wait until no background task of the app runs: ``await client.drain()``."""
        return cast("Coroutine[Any, Any, None]", self._dispatch(self._drain))

    async def _drain(self, owner: Owner | None) -> None:
        await drain(self.app)

    async def __aenter__(self) -> Self:
        self._check_entered()
        await self._enter(None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._exit(None)

    def __enter__(self) -> SyncTestClient:
        from .sync import SyncTestClient

        self._check_entered()
        before, self.thread = self.thread, self.thread or loop_thread_of(self.app)
        try:
            self.thread.lend(self._enter)
        except BaseException:
            self.thread = before
            raise
        return SyncTestClient.of(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread, self.thread = cast(LoopThread, self.thread), None
        thread.lend(self._exit)

    def _check_entered(self) -> None:
        if self._entered:
            raise RuntimeError("Cannot nest client invocations: this client is in use already.")

    async def _enter(self, owner: Owner | None) -> None:
        await self.transport.__aenter__()
        self._entered = True

    async def _exit(self, owner: Owner | None) -> None:
        self._entered = False
        try:
            await self.let_go(owner)
        finally:
            if not self.transport.lifespan:
                await drain(self.app)
                await self.app.close_worker_pool()
            await self.transport.__aexit__()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app!r}>"


class Streaming:
    """A request whose response is read in a block: ``async with`` or, in ``def``, ``with``."""

    def __init__(self, client: TestClient, method: str, path: str, options: RequestOptions) -> None:
        self._client = client
        self._request = client.draft(path, method, options)
        self._contexts: list[Context[Any]] = []
        self._response: StreamedResponse | None = None

    async def __aenter__(self) -> StreamedResponse:
        # No thread is lent: it is needed for reading, while the app goes on.
        try:
            http, _ = await self._client.send(None, self._request, self._contexts)
        except BaseException:
            await self._client.keep(self._contexts)
            raise
        self._response = StreamedResponse(self._client.app, http, receiver_of(self._request))
        return self._response

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await cast(StreamedResponse, self._response).aclose()
        except Exception:
            # What went wrong in the block is what the test is to show.
            if error is None:
                raise
        finally:
            await self._client.keep(self._contexts)

    def __enter__(self) -> StreamedResponse:
        thread = self._client.thread
        if thread is None:
            raise ContextError("This client is asynchronous: async with client.stream(...)")
        thread.lend(self._client.let_go)
        response = thread.run(self.__aenter__)
        response.thread = thread
        return response

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread = cast(StreamedResponse, self._response).thread
        cast(LoopThread, thread).run(self.__aexit__, kind, error, traceback)
