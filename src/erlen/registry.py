"""What was registered, as plain data. Knows nothing of how it is matched or run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .typing import View

__all__ = ["Rule"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rule:
    """One line of ``@app.route``: a URL pattern and the endpoint it leads to.

    Two rules are never equal: each is one registration.
    """

    rule: str
    """The pattern in Flask's syntax, with every prefix: ``"/shop/<int:id>"``."""
    endpoint: str
    """The name that ``url_for`` takes, dotted under blueprints: ``"shop.show"``."""
    view: View | None = None
    """The view of the endpoint; ``None`` for ``build_only`` and endpoints named later."""
    methods: frozenset[str] | None = None
    """Upper-case methods with HEAD and OPTIONS as served; ``None`` answers all of them."""
    defaults: Mapping[str, Any] = _NOTHING
    """Values of variables that the pattern itself does not name."""
    strict_slashes: bool | None = None
    """Whether ``/x`` leads to a redirect when the rule is ``/x/``; ``None``: as the map says."""
    merge_slashes: bool | None = None
    """Whether ``//`` counts as ``/``, by a redirect; ``None``: as the map says."""
    subdomain: str | None = None
    """Pattern of the labels before ``SERVER_NAME``; ``""`` is the bare name."""
    host: str | None = None
    """Pattern of the whole host, when hosts are matched."""
    alias: bool = False
    """Whether this is a second URL that redirects to the endpoint's canonical one."""
    redirect_to: str | Callable[..., str] | None = None
    """Where matches are sent instead of to a view."""
    build_only: bool = False
    """Whether the rule only builds URLs and never matches."""
    websocket: bool = False
    """Whether it serves websockets instead of HTTP."""
    automatic_options: bool = False
    """Whether OPTIONS is answered by the framework."""
    options: Mapping[str, Any] = field(default=_NOTHING)
    """Route keywords that are not about the URL: ``inline``, ``session``, ``max_content_length``..."""
