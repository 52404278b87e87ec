"""The page that shows an error while an app is written. Knows tracebacks; knows no app.

It is for debug mode only: whoever sees the page sees the code.
"""

from __future__ import annotations

from ..headers import MIMEAccept, parse_accept_header
from ..responses import Response
from ..typing import Scope
from .failures import failure_of
from .page import render_page, request_line
from .text import traceback_text

__all__ = ["traceback_page", "traceback_text"]

# The page has no scripts and loads nothing, and nothing that slipped into it may either.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
}


def traceback_page(error: BaseException, scope: Scope) -> Response:
    """Return a 500 that shows where *error* came from.

    Browsers get a page; who does not prefer HTML, curl for one, gets plain text.
    """
    if _prefers_html(scope):
        text, mimetype = render_page(failure_of(error), traceback_text(error), scope), "text/html"
    else:
        text, mimetype = f"{request_line(scope)}\n\n{traceback_text(error)}", "text/plain"
    # File names may hold bytes that are no text, and messages anything at all.
    body = text.encode("utf-8", "backslashreplace")
    return Response(body, 500, _HEADERS, mimetype=mimetype)


def _prefers_html(scope: Scope) -> bool:
    headers = scope.get("headers", ())
    values = [value.decode("latin-1") for name, value in headers if name.lower() == b"accept"]
    accept = parse_accept_header(", ".join(values), MIMEAccept)
    return accept.best_match(("text/plain", "text/html"), "text/plain") == "text/html"
