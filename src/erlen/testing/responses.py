"""What came back: Flask's names for it, and nothing to await. Streams are read as they arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Self, TypeVar, cast

import httpx

from ..app import App
from ..errors import ContextError
from ..requests import Request
from ..responses import RawHeaders, Response
from ..typing import Message, Receive, Scope
from .loops import LoopThread

__all__ = ["StreamedResponse", "TestResponse", "status_of"]

T = TypeVar("T")

_END: Any = object()


class TestResponse(Response):
    """A response as the client of an app sees it, with all attributes of a response."""

    __test__ = False

    history: tuple[TestResponse, ...] = ()
    """The redirects that led here, the first one first."""

    def __init__(
        self,
        app: App,
        scope: Scope,
        receive: Receive,
        *,
        status: int,
        headers: RawHeaders,
        body: bytes = b"",
    ) -> None:
        # What was received is taken as it is: a response of ours would add to it.
        self.status_code = status
        self.raw_headers = headers
        self.body = body
        self._app = app
        self._scope = scope
        self._receive = receive
        self._request: Request | None = None

    @property
    def request(self) -> Request:
        """The request that this answers: after redirects the last one."""
        if self._request is None:
            kind, limits = self._app.request_class, self._app.limits
            self._request = kind(self._scope, self._receive, limits=limits)
        return self._request

    def get_json(self, force: bool = False, silent: bool = False) -> Any:
        """Return the body parsed by ``app.json``; ``None`` if it is of another type.

        *force* ignores the type, *silent* returns ``None`` for what is no JSON.
        """
        if not (force or self.is_json):
            return None
        try:
            return self._app.json.loads(self.get_data())
        except ValueError:
            if silent:
                return None
            raise

    def close(self) -> None:
        """Do nothing: what was received holds nothing open. Flask's name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def status_of(head: Message) -> int:
    """Return the status of *head*, the first message of a response.

    :raises RuntimeError: if it is none that a server would send (RFC 9110, 15).
    """
    status: int = head["status"]
    if not 100 <= status <= 599:
        raise RuntimeError(
            f"The app sent the status {status}, which no server sends: it is a number from 100 to"
            " 599."
        )
    return status


class StreamedResponse(TestResponse):
    """A response that is read while it arrives, from ``client.stream()``.

    In ``async def`` tests with the names that begin with ``a``, as in httpx. What decodes
    (bytes, text, lines) undoes a Content-Encoding; ``data`` is what was sent.
    """

    def __init__(self, app: App, http: httpx.Response, receive: Receive) -> None:
        super().__init__(
            app,
            http.extensions["erlen.scope"],
            receive,
            status=http.status_code,
            headers=http.headers.raw,
        )
        self.stream = cast(httpx.AsyncByteStream, http.stream)
        self.thread: LoopThread | None = None
        """Where the app runs, if this test is a ``def``."""
        self._http = http

    async def aread(self) -> bytes:
        """Read the rest; then ``data``, ``text`` and ``json`` are there."""
        if self.stream is not None:
            self.body = b"".join([piece async for piece in self._http.aiter_raw()])
            self.stream = None
        return self.body

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces as the app sent them."""
        return self._http.aiter_raw()

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Iterate over the body in pieces of *chunk_size* bytes, or as they come."""
        return self._http.aiter_bytes(chunk_size)

    def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """Iterate over the body as text."""
        return self._http.aiter_text(chunk_size)

    def aiter_lines(self) -> AsyncIterator[str]:
        """Iterate over the lines, without their ends, each as soon as it is complete."""
        return self._http.aiter_lines()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.aiter_bytes()

    async def aclose(self) -> None:
        """Leave: the app is told that the client is gone, and is waited for."""
        await self._http.aclose()

    # -- the same in def code --------------------------------------------------------------

    def read(self) -> bytes:
        """Read the rest; then ``data``, ``text`` and ``json`` are there."""
        return self._thread_of_app().run(self.aread)

    def iter_raw(self) -> Iterator[bytes]:
        """Iterate over the pieces as the app sent them."""
        return self._pull(self.aiter_raw())

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Iterate over the body in pieces of *chunk_size* bytes, or as they come."""
        return self._pull(self.aiter_bytes(chunk_size))

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """Iterate over the body as text."""
        return self._pull(self.aiter_text(chunk_size))

    def iter_lines(self) -> Iterator[str]:
        """Iterate over the lines, without their ends, each as soon as it is complete."""
        return self._pull(self.aiter_lines())

    def __iter__(self) -> Iterator[bytes]:
        return self.iter_bytes()

    def _pull(self, pieces: AsyncIterator[T]) -> Iterator[T]:
        thread = self._thread_of_app()
        while (piece := thread.run(anext, pieces, _END)) is not _END:
            yield piece

    def _thread_of_app(self) -> LoopThread:
        if self.thread is None:
            raise ContextError(
                "This response belongs to an async test: await aread(), or iterate with"
                " 'async for line in response.aiter_lines()'."
            )
        return self.thread
