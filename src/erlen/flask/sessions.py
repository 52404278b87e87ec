"""One session for two apps. Knows sessions of both kinds, and no view of either app.

The request opens it once and saves it once, whichever app writes to it; two cookies of one
name in a response would cost what one of them holds.
"""

from __future__ import annotations

import copy
import pickle
from collections import ChainMap
from collections.abc import Mapping
from typing import Any, Protocol, cast

from ..context import Context
from ..errors import SetupValueError
from ..framework import Erlen
from ..proxies import current
from ..responses import Response
from ..sessions import (
    NullSession,
    SecureCookieSession,
    SecureCookieSessionInterface,
    SessionApp,
    SessionInterface,
    SessionMixin,
    SessionRequest,
)

__all__ = ["CONTEXT", "share_config", "share_sessions"]

CONTEXT = "erlen.context"
"""Where the environ of a request that Erlen serves has its context."""

_KEYS = (
    *("SESSION_COOKIE_NAME", "SESSION_COOKIE_DOMAIN", "SESSION_COOKIE_PATH"),
    *("SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_SAMESITE"),
    *("SESSION_COOKIE_PARTITIONED", "SESSION_REFRESH_EACH_REQUEST"),
    "PERMANENT_SESSION_LIFETIME",
)


class _Hosted(Protocol):
    flask_app: Any

    def serves(self, context: Context[Any]) -> bool: ...


def share_config(app: Erlen, flask_app: Any) -> None:
    """Give both apps the same secret keys, and *app* the cookie of the Flask app.

    :raises SetupValueError: if they have different secret keys.
    """
    ours, theirs = app.config["SECRET_KEY"], flask_app.secret_key
    if ours and theirs and ours != theirs:
        raise SetupValueError(
            f"{app!r} and {flask_app!r} have different secret keys, and could not read each"
            " other's session. Set SECRET_KEY in one of them; a key of yesterday belongs into"
            " SECRET_KEY_FALLBACKS."
        )
    flask_app.config["SECRET_KEY"] = app.config["SECRET_KEY"] = theirs or ours
    fallbacks = flask_app.config.get("SECRET_KEY_FALLBACKS") or app.config["SECRET_KEY_FALLBACKS"]
    flask_app.config["SECRET_KEY_FALLBACKS"] = app.config["SECRET_KEY_FALLBACKS"] = fallbacks
    for key in _KEYS:
        app.config[key] = flask_app.config[key]


def share_sessions(app: Erlen, hosted: _Hosted) -> None:
    """Let both apps open and save one session.

    A session interface that somebody gave to *app* does it for both; else one that somebody
    gave to the Flask app. Where both have the cookie they came with, it is that of *app*, read
    and written as the configuration of the Flask app says.
    """
    flask_app = hosted.flask_app
    theirs = flask_app.session_interface
    if type(app.session_interface) is not SecureCookieSessionInterface:
        shared: Any = _Shared(theirs)
    elif _is_plain(theirs):
        app.session_interface = _CookieOfBoth(flask_app)
        shared = _Shared(theirs)
    else:
        app.session_interface = _TheirSessions(hosted, theirs)
        shared = _SharedByThem(theirs)
    # WHY: a copy. Flask keeps its interface on the class, for all apps.
    interface = flask_app.session_interface = copy.copy(theirs)
    interface.open_session = shared.open_session
    interface.save_session = shared.save_session


def _is_plain(interface: object) -> bool:
    """Say whether *interface* is the signed cookie of Flask, with nothing changed."""
    kind = type(interface)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name == "flask.sessions.SecureCookieSessionInterface" and not vars(interface)


class _CookieOfBoth(SecureCookieSessionInterface):
    """The cookie of *app*, as the Flask app's configuration wants it at that moment."""

    never_waits = True

    def __init__(self, flask_app: Any) -> None:
        self._flask_app = flask_app

    def open_session(self, app: SessionApp, request: SessionRequest) -> SecureCookieSession | None:
        return super().open_session(_Settings(self._flask_app), request)

    def save_session(self, app: SessionApp, session: SessionMixin, response: Response) -> None:
        # Saving looks at the session too; who keeps it in a test asks whether the view did.
        accessed = session.accessed
        super().save_session(_Settings(self._flask_app), session, response)
        session.accessed = accessed


class _Settings:
    """A Flask app as :class:`SessionApp`. Its attributes count, which subclasses may set."""

    __slots__ = ("config",)

    def __init__(self, flask_app: Any) -> None:
        own = {
            "SECRET_KEY": flask_app.secret_key,
            "PERMANENT_SESSION_LIFETIME": flask_app.permanent_session_lifetime,
        }
        self.config: Mapping[str, Any] = ChainMap(own, flask_app.config)


class _Shared:
    """How the Flask app opens and saves the session that *app* opens and saves."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def open_session(self, app: Any, request: Any) -> Any:
        """Return the session of the request around; that of the Flask app without one."""
        context: Context[Any] | None = request.environ.get(CONTEXT)
        if context is None:
            return self._theirs.open_session(app, request)
        session = context.untouched_session
        return None if isinstance(session, NullSession) else session

    def save_session(self, app: Any, session: Any, response: Any) -> None:
        """Leave it to the request around, when its own hooks have seen the response."""
        context: Context[Any] | None = current.get()
        if context is None or context.opened is not session:
            self._theirs.save_session(app, session, response)


class _SharedByThem:
    """How the Flask app opens and saves a session of its own kind for *app* as well."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def open_session(self, app: Any, request: Any) -> Any:
        """Return the session of the request around, which opens it here at the latest."""
        context: Context[Any] | None = request.environ.get(CONTEXT)
        if context is None:
            return self._theirs.open_session(app, request)
        if context.opened is None or isinstance(context.opened, NullSession):
            opened = self._theirs.open_session(app, request)
            # An empty session is false too.
            context.opened = opened if opened is not None else self._theirs.make_null_session(app)
            context.untidy = True
        return context.opened

    def save_session(self, app: Any, session: Any, response: Any) -> None:
        """Save it now, where the context of the Flask app is, and note what was saved."""
        self._theirs.save_session(app, session, response)
        context: Any = current.get()
        if context is not None and context.opened is session:
            context.flask_saved = _picture(session)


class _TheirSessions(SessionInterface):
    """The session interface of a Flask app, for the views of *app*; it may block."""

    def __init__(self, hosted: _Hosted, theirs: Any) -> None:
        self._hosted = hosted
        self._theirs = theirs

    def open_session(self, app: SessionApp, request: SessionRequest) -> Any:
        """Open it as the Flask app would; for its own requests it does so itself."""
        context: Context[Any] = current.get()
        if self._hosted.serves(context):
            return None
        environ = cast(Any, self._hosted).environ(context, "")
        flask_app = self._hosted.flask_app
        opened = self._theirs.open_session(flask_app, flask_app.request_class(environ))
        return opened if opened is not None else self._theirs.make_null_session(flask_app)

    def save_session(self, app: SessionApp, session: SessionMixin, response: Response) -> None:
        """Save it, unless the Flask app did and it did not change since."""
        saved = getattr(current.get(), "flask_saved", None)
        if saved is not None and saved == _picture(session):
            return
        flask_app = self._hosted.flask_app
        theirs = flask_app.response_class()
        self._theirs.save_session(flask_app, session, theirs)
        for name, value in theirs.headers:
            if name.lower() == "set-cookie":
                response.headers.add(name, value)
            elif name.lower() == "vary":
                response.vary.update(part.strip() for part in value.split(","))

    def is_null_session(self, obj: object) -> bool:
        """Return whether *obj* stands for a session that there is not, in either app."""
        return super().is_null_session(obj) or bool(self._theirs.is_null_session(obj))


def _picture(session: Any) -> bytes | None:
    """Return bytes that differ when *session* does; ``None`` if it cannot be told."""
    try:
        return pickle.dumps(dict(session))
    except Exception:
        return None
