"""The client of an app in ``def`` code: the same client, driven on a loop in the background."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, Unpack, cast

from ..app import App
from .client import Streaming, TestClient
from .cookies import Cookie
from .drafts import OtherOptions, RequestOptions
from .loops import loop_thread_of
from .responses import TestResponse
from .sessions import SessionTransaction
from .sockets import Connecting

__all__ = ["SyncTestClient"]


def _verb(method: str) -> Callable[..., TestResponse]:
    def send(self: SyncTestClient, path: str = "/", *base_url: str, **options: Any) -> TestResponse:
        return self.open(path, *base_url, method=method, **options)

    send.__name__, send.__doc__ = method.lower(), f"Send {method}; see :meth:`open`."
    return send


class SyncTestClient:
    """A test client for ``def`` tests: ``client.get("/").status_code``.

    The app runs on a loop in the background, one for all synchronous clients of an app, and
    its ``def`` code in the thread that calls the client, as under Flask. In ``with`` the app
    is started up, and the context of the last request is kept. What a subclass of
    :class:`TestClient` adds is there, too.
    """

    __test__ = False

    def __init__(self, app: App, use_cookies: bool = True, **options: Any) -> None:
        kind: type[TestClient] = getattr(app, "test_client_class", None) or TestClient
        self._client = kind(app, use_cookies, **options)
        self._client.thread = loop_thread_of(app)

    @classmethod
    def of(cls, client: TestClient) -> Self:
        """Return *client*, which is synchronous now, with the types of that."""
        twin = cls.__new__(cls)
        twin._client = client
        return twin

    @property
    def application(self) -> App:
        """The app, by Flask's name."""
        return self._client.app

    def open(
        self,
        path: str = "/",
        base_url: str | None = None,
        *,
        method: str = "GET",
        follow_redirects: bool = False,
        **options: Unpack[OtherOptions],
    ) -> TestResponse:
        """Send a request and return its response; see :meth:`TestClient.open`."""
        given: dict[str, Any] = {**options}
        if base_url is not None:
            given["base_url"] = base_url
        response = self._client.open(
            path, method=method, follow_redirects=follow_redirects, **given
        )
        return cast(TestResponse, response)

    get = _verb("GET")
    post = _verb("POST")
    put = _verb("PUT")
    patch = _verb("PATCH")
    delete = _verb("DELETE")
    head = _verb("HEAD")
    options = _verb("OPTIONS")
    trace = _verb("TRACE")

    def stream(self, method: str, path: str = "/", **options: Unpack[RequestOptions]) -> Streaming:
        """Send a request whose response is read while it arrives, in ``with``.

        Its ``def`` code runs in a thread of the app: this one is needed for reading.
        """
        return self._client.stream(method, path, **options)

    def websocket(
        self,
        path: str = "/",
        *,
        subprotocols: list[str] | None = None,
        **options: Unpack[RequestOptions],
    ) -> Connecting:
        """Open a websocket: ``with client.websocket("/echo") as ws: ws.send("a")``."""
        return self._client.websocket(path, subprotocols=subprotocols, **options)

    def session_transaction(
        self, path: str = "/", *, method: str = "GET", **options: Unpack[RequestOptions]
    ) -> SessionTransaction:
        """Read and change the session of the next request, in ``with``."""
        return self._client.session_transaction(path, method=method, **options)

    def get_cookie(self, key: str, domain: str | None = None, path: str = "/") -> Cookie | None:
        """Return a cookie; see :meth:`TestClient.get_cookie`."""
        return self._client.get_cookie(key, domain, path)

    def set_cookie(self, key: str, value: str = "", **options: Any) -> None:
        """Keep a cookie as if the app had set it; see :meth:`TestClient.set_cookie`."""
        self._client.set_cookie(key, value, **options)

    def delete_cookie(self, key: str, *, domain: str | None = None, path: str = "/") -> None:
        """Forget a cookie; one that is not there is fine."""
        self._client.delete_cookie(key, domain=domain, path=path)

    def drain(self) -> None:
        """Wait until no background task of the app runs."""
        # It is synchronous while it has a thread: what it would return to be awaited is done.
        cast(Any, self._client.drain())

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread = self._client.thread
        try:
            self._client.__exit__(kind, error, traceback)
        finally:
            self._client.thread = thread

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_client"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        # What is set is for the client that sends the requests.
        if name == "_client":
            object.__setattr__(self, name, value)
        else:
            setattr(self._client, name, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client.app!r}>"
