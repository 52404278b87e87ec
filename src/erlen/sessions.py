"""What is remembered of a browser, and the signed cookie that it is kept in.

Knows an app and a request only by the few values that it asks them for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from .config import as_timedelta
from .errors import ContextError, SetupTypeError, SetupValueError
from .json.tag import TaggedJSONSerializer
from .responses import Response

if TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer

__all__ = [
    "NullSession",
    "SecureCookieSession",
    "SecureCookieSessionInterface",
    "SessionApp",
    "SessionInterface",
    "SessionMixin",
    "SessionRequest",
    "session_json_serializer",
]


_NO_SECRET_KEY = (
    "The session is unavailable because no secret key was set. Set app.config['SECRET_KEY'] to"
    " something secret that stays the same, made once by:"
    ' python -c "import secrets; print(secrets.token_hex())"'
)


class SessionApp(Protocol):
    """What an interface asks of the app."""

    # WHY: no secret_key and permanent_session_lifetime, although apps have them. They read the
    # config through a descriptor, which pyright does not accept for an attribute of a protocol.

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration, with all keys that have a default."""
        ...


class SessionRequest(Protocol):
    """What an interface asks of a request or a websocket."""

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name."""
        ...

    @property
    def is_secure(self) -> bool:
        """Whether it came over https."""
        ...


class SessionMixin(MutableMapping[str, Any]):
    """What a session has beyond a dict: ``class Session(dict, SessionMixin)`` is one."""

    new: bool = False
    """Whether nothing was remembered before this request."""

    accessed: bool = True
    """Whether the response depends on the session, so that it gets ``Vary: Cookie``."""

    modified: bool = True
    """Whether the session has to be saved."""

    regenerated: bool = False
    """Whether :meth:`regenerate` was called: ``save_session`` asks."""

    over_https: bool = False
    """Whether the request came over https: ``open_session`` knows, ``save_session`` asks."""

    def regenerate(self) -> None:
        """Give the browser this session anew. Call it when somebody logs in.

        The values stay. An interface that keeps them under an id makes another id and forgets
        the old one, so that nobody who knew that one is logged in too. A cookie that holds the
        values itself has no id: it is signed and dated anew.
        """
        self.regenerated = True
        self.modified = True

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser's, for ``PERMANENT_SESSION_LIFETIME``."""
        return bool(self.get("_permanent", False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self["_permanent"] = bool(value)


# WHY: without __slots__, because extensions keep attributes of their own in sessions.
class SecureCookieSession(dict[str, Any], SessionMixin):
    """A dict that notices when it is looked at and when it is changed.

    A change inside of a value is noticed too: ``session["cart"].append(item)``. What cannot be
    pickled is not looked into: set ``session.modified = True`` after a change of such a value.
    """

    accessed = False
    _modified = False
    _shown: dict[str, bytes] | None = None
    """What values that can change looked like when they were first handed out."""

    def __init__(self, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(initial or {})

    if TYPE_CHECKING:
        modified: bool
    else:

        @property
        def modified(self) -> bool:
            """Whether the session has to be saved."""
            return self._modified or (self._shown is not None and self._changed_inside())

        @modified.setter
        def modified(self, value: bool) -> None:
            self._modified = value
            self._shown = None

    def _changed_inside(self) -> bool:
        look = super().get  # not an access
        return any(_picture(look(key)) != was for key, was in (self._shown or {}).items())

    def _show(self, key: str, value: Any) -> None:
        """Remember what *value* looks like before somebody can change it."""
        # PERF: most values are text and numbers, and cost one look-up; a list of five dicts
        # takes 3 us here and again when the session is saved (timeit).
        if type(value) in _UNCHANGING or self._modified or not super().__contains__(key):
            return
        if self._shown is None:
            self._shown = {}
        if key not in self._shown:
            picture = _picture(value)
            if picture is not None:
                self._shown[key] = picture

    def _show_all(self) -> None:
        for key, value in super().items():
            self._show(key, value)

    def mark_accessed(self) -> None:
        """Note that the response depends on the session, as every method that reads does."""
        self.accessed = True

    def mark_modified(self) -> None:
        """Note that the session has to be saved. Called by every method that writes."""
        self.accessed = self.modified = True

    def regenerate(self) -> None:
        """Give the browser this session anew; see :meth:`SessionMixin.regenerate`."""
        self.accessed = True
        super().regenerate()

    def __getitem__(self, key: str) -> Any:
        self.accessed = True
        value = super().__getitem__(key)
        self._show(key, value)
        return value

    def __contains__(self, key: object) -> bool:
        self.accessed = True
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self.accessed = True
        return super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        self.accessed = True
        return super().__reversed__()

    def __len__(self) -> int:
        self.accessed = True
        return super().__len__()

    def __eq__(self, other: object) -> bool:
        self.accessed = True
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        self.accessed = True
        return super().__ne__(other)

    def __or__(self, other: Any) -> Any:
        self.accessed = True
        self._show_all()
        return super().__or__(other)

    def __ror__(self, other: Any) -> Any:
        self.accessed = True
        self._show_all()
        return super().__ror__(other)

    def __repr__(self) -> str:
        self.accessed = True
        return f"<{type(self).__name__} {super().__repr__()}>"

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, or *default*."""
        self.accessed = True
        value = super().get(key, default)
        self._show(key, value)
        return value

    def keys(self) -> Any:
        """Return the keys, live."""
        self.accessed = True
        return super().keys()

    def values(self) -> Any:
        """Return the values, live."""
        self.accessed = True
        self._show_all()
        return super().values()

    def items(self) -> Any:
        """Return keys and values, live."""
        self.accessed = True
        self._show_all()
        return super().items()

    def copy(self) -> dict[str, Any]:
        """Return a plain dict with the same items."""
        self.accessed = True
        self._show_all()
        return super().copy()

    def __setitem__(self, key: str, value: Any) -> None:
        self.mark_modified()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.mark_modified()

    def __ior__(self, other: Any) -> Any:
        self.mark_modified()
        return super().__ior__(other)

    def clear(self) -> None:
        """Forget everything; the cookie is deleted."""
        self.mark_modified()
        super().clear()

    def pop(self, key: str, *default: Any) -> Any:
        """Remove *key* and return its value, or *default* if there is none."""
        if key in self:
            self.mark_modified()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value."""
        self.mark_modified()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of *key*, which is *default* from now on if it was missing."""
        if key not in self:
            self.mark_modified()
        value = super().setdefault(key, default)
        self._show(key, value)
        return value

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set the items of a mapping, of pairs and of keywords."""
        self.mark_modified()
        super().update(*args, **kwargs)


class NullSession(SecureCookieSession):
    """The session of an app without a secret key: it is empty, and writing is an error."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ContextError(_NO_SECRET_KEY)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = regenerate = _refuse


_UNCHANGING = frozenset({str, int, float, bool, type(None), bytes, datetime})


def _picture(value: Any) -> bytes | None:
    """Return bytes that differ when *value* does; ``None`` if it cannot be told."""
    import pickle  # 2 ms of the start of an app that may never need it

    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return None


class SessionInterface:
    """How the sessions of an app are opened and saved. Set ``app.session_interface`` to one.

    :meth:`open_session` and :meth:`save_session` are needed, and may be ``async def``.
    """

    null_session_class: type[NullSession] = NullSession
    """What is used where :meth:`open_session` returns None."""

    pickle_based: bool = False
    """Whether values are pickled, for extensions that want to know."""

    never_waits: bool = False
    """Whether the two methods are ``def`` and never block, as without a database.

    Then the session is opened when it is first touched, and on the event loop. A subclass
    that brings one of the methods has to say this for itself.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "never_waits" not in own and ("open_session" in own or "save_session" in own):
            cls.never_waits = False

    def open_session(
        self, app: SessionApp, request: SessionRequest
    ) -> SessionMixin | Awaitable[SessionMixin | None] | None:
        """Return the session of a request; None if there can be none."""
        raise NotImplementedError(f"{type(self).__name__} has to say how to open a session.")

    def save_session(
        self, app: SessionApp, session: SessionMixin, response: Response
    ) -> Awaitable[None] | None:
        """Save what :meth:`open_session` returned, at the end of the request."""
        raise NotImplementedError(f"{type(self).__name__} has to say how to save a session.")

    def make_null_session(self, app: SessionApp) -> NullSession:
        """Return what stands for the session where there can be none."""
        return self.null_session_class()

    def is_null_session(self, obj: object) -> bool:
        """Return whether *obj* is such a stand-in, which is not saved."""
        # PERF: isinstance asks the abstract base class, in Python. A proxy has its target's class.
        return self.null_session_class in obj.__class__.__mro__

    def get_cookie_name(self, app: SessionApp) -> str:
        """Return ``SESSION_COOKIE_NAME``."""
        name: str = app.config["SESSION_COOKIE_NAME"]
        return name

    def get_cookie_domain(self, app: SessionApp) -> str | None:
        """Return ``SESSION_COOKIE_DOMAIN``; None is the host of the request only."""
        domain: str | None = app.config["SESSION_COOKIE_DOMAIN"]
        return domain

    def get_cookie_path(self, app: SessionApp) -> str:
        """Return ``SESSION_COOKIE_PATH``, or else ``APPLICATION_ROOT``."""
        path: str = app.config["SESSION_COOKIE_PATH"] or app.config["APPLICATION_ROOT"]
        return path

    def get_cookie_httponly(self, app: SessionApp) -> bool:
        """Return ``SESSION_COOKIE_HTTPONLY``."""
        httponly: bool = app.config["SESSION_COOKIE_HTTPONLY"]
        return httponly

    def get_cookie_secure(self, app: SessionApp) -> bool | None:
        """Return ``SESSION_COOKIE_SECURE``; None: as ``session.over_https`` says."""
        secure: bool | None = app.config["SESSION_COOKIE_SECURE"]
        return secure

    def get_cookie_samesite(self, app: SessionApp) -> str | None:
        """Return ``SESSION_COOKIE_SAMESITE``; None leaves it to the browser."""
        samesite: str | None = app.config["SESSION_COOKIE_SAMESITE"]
        return samesite

    def get_cookie_partitioned(self, app: SessionApp) -> bool:
        """Return ``SESSION_COOKIE_PARTITIONED``."""
        partitioned: bool = app.config["SESSION_COOKIE_PARTITIONED"]
        return partitioned

    def get_expiration_time(self, app: SessionApp, session: SessionMixin) -> datetime | None:
        """Return when a permanent session ends; None: with the browser's session."""
        if not session.permanent:
            return None
        return datetime.now(UTC) + as_timedelta(app.config["PERMANENT_SESSION_LIFETIME"])

    def should_set_cookie(self, app: SessionApp, session: SessionMixin) -> bool:
        """Return whether the cookie is sent: after a change, or to renew a permanent one."""
        if session.modified:
            return True
        return session.permanent and bool(app.config["SESSION_REFRESH_EACH_REQUEST"])


session_json_serializer = TaggedJSONSerializer()
"""What the values of all sessions are written with; ``register`` tags for your types here."""


def _sha1(data: bytes = b"") -> Any:
    # WHY: there are builds of Python without SHA-1; only signing with it may fail there.
    return hashlib.sha1(data)


class SecureCookieSessionInterface(SessionInterface):
    """Keeps the session in a cookie that the browser can read but not change.

    The cookie is Flask's, byte for byte, so that apps of both kinds can share it. The
    attributes below take part in it: whoever changes one changes it in all of them.
    """

    never_waits = True

    salt: str = "cookie-session"
    """What tells this signature from others made with the same key."""

    # PERF: hmac is in C for the function of hashlib itself, a third less for each signature.
    digest_method: ClassVar[Any] = staticmethod(getattr(hashlib, "sha1", _sha1))
    """The hash function of the signature."""

    key_derivation: str = "hmac"
    """How *salt* and the secret key become the key of the signature (itsdangerous)."""

    serializer: Any = session_json_serializer
    """What writes and reads the values: an object with ``dumps`` and ``loads``."""

    session_class: type[SecureCookieSession] = SecureCookieSession

    def get_signing_serializer(self, app: SessionApp) -> URLSafeTimedSerializer | None:
        """Return what signs and verifies; None if the app has no secret key.

        The secret key signs. ``SECRET_KEY_FALLBACKS`` verify what was signed before.
        """
        if not app.config["SECRET_KEY"]:
            return None
        return _signing_serializer(
            _keys_of(app), self.salt, self.serializer, self.key_derivation, self.digest_method
        )

    def open_session(self, app: SessionApp, request: SessionRequest) -> SecureCookieSession | None:
        """Return what the cookie holds; a new session if there is none that is valid."""
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None
        cookie = request.cookies.get(self.get_cookie_name(app))
        values = self._verified(app, serializer, cookie) if cookie else None
        session = self.session_class(values)
        session.new = values is None
        session.over_https = request.is_secure
        return session

    def _verified(
        self, app: SessionApp, serializer: URLSafeTimedSerializer, cookie: str
    ) -> dict[str, Any] | None:
        lifetime = as_timedelta(app.config["PERMANENT_SESSION_LIFETIME"])
        try:
            values: Any = serializer.loads(cookie, max_age=int(lifetime.total_seconds()))
        except Exception:
            # WHY: all of them. Whatever a client sends in a cookie, it gets a new session;
            # a signature may be ours and its date still be none, or its values unreadable.
            return None
        return values if isinstance(values, dict) else None  # pyright: ignore[reportUnknownVariableType]: whatever was signed

    def save_session(self, app: SessionApp, session: SessionMixin, response: Response) -> None:
        """Set the cookie, renew it, delete it or leave it, and say if the response depends."""
        # The questions below are accesses too, but not the view's.
        accessed = session.accessed
        write = self.should_set_cookie(app, session) if session else session.modified
        if accessed or write:
            _vary_by_cookie(response)
        if write:
            self._write(app, session, response)

    def _write(self, app: SessionApp, session: SessionMixin, response: Response) -> None:
        name = self.get_cookie_name(app)
        secure = self.get_cookie_secure(app)
        attributes: dict[str, Any] = {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": session.over_https if secure is None else secure,
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }
        if not session:
            response.delete_cookie(name, **attributes)
            return
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            raise ContextError(_NO_SECRET_KEY)
        # PERF: dict() asks the methods of a subclass for each key, which here add nothing.
        plain = type(session) is SecureCookieSession
        values: dict[str, Any] = dict.copy(session) if plain else dict(session)  # type: ignore[arg-type]
        response.max_cookie_size = app.config["MAX_COOKIE_SIZE"] or 0
        response.set_cookie(
            name,
            serializer.dumps(values),
            expires=self.get_expiration_time(app, session),
            **attributes,
        )


def _vary_by_cookie(response: Response) -> None:
    # PERF: most responses vary by nothing yet, and reading their vary takes 8 us (timeit).
    for name, _ in response.raw_headers:
        if name == b"vary":
            response.vary.add("Cookie")
            return
    response.raw_headers.append((b"vary", b"Cookie"))


def _keys_of(app: SessionApp) -> tuple[str | bytes, ...]:
    """Return the secret keys, oldest first: the last one signs."""
    newest = app.config["SECRET_KEY"]
    fallbacks: Any = app.config["SECRET_KEY_FALLBACKS"] or ()
    if fallbacks == () and newest and isinstance(newest, (str, bytes)):
        return (newest,)  # PERF: as most apps have it
    if isinstance(fallbacks, (str, bytes)):
        raise SetupTypeError(
            f"SECRET_KEY_FALLBACKS is a {type(fallbacks).__name__}, so each of its characters"
            " would be a key. Make it a list of keys, oldest first."
        )
    keys: tuple[Any, ...] = (*fallbacks, newest)
    for key in keys:
        if not isinstance(key, (str, bytes)):
            raise SetupTypeError(
                f"A secret key is of type {type(key).__name__}. SECRET_KEY and the items of"
                " SECRET_KEY_FALLBACKS have to be str or bytes; in a file or a variable that"
                " is read as JSON, put quotes around digits."
            )
        if not key:
            raise SetupValueError(
                "SECRET_KEY_FALLBACKS has an empty key, with which everybody can sign. Remove it."
            )
    return keys


@lru_cache(maxsize=32)
def _signing_serializer(
    keys: tuple[str | bytes, ...], salt: str, serializer: Any, derivation: str, digest: Any
) -> URLSafeTimedSerializer:
    from .signing import ReadySerializer

    return ReadySerializer(keys, salt, serializer, key_derivation=derivation, digest_method=digest)
