"""Messages for the next page that shows them, kept in the session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..context import Context
from ..signals import message_flashed
from .calls import tell

__all__ = ["flash", "get_flashed_messages"]

_KEY = "_flashes"


def flash(context: Context[Any], message: Any, category: str = "message") -> None:
    """Keep *message* in the session until a page shows it; ``Markup`` stays markup."""
    session = context.session
    # A new list: a session notices what is set, not what is changed inside.
    session[_KEY] = [*session.get(_KEY, ()), (category, message)]
    if message_flashed.receivers:
        tell(message_flashed, context.app, "Make it def.", message=message, category=category)


def get_flashed_messages(
    context: Context[Any], with_categories: bool = False, category_filter: Iterable[str] = ()
) -> list[Any]:
    """Return the messages that were flashed, and forget them; repeatable in one request.

    *with_categories* returns pairs of category and message; *category_filter* names the
    categories that are wanted, none means all.
    """
    flashes = context.flashes
    if flashes is None:
        session = context.session
        flashes = list(session.pop(_KEY)) if _KEY in session else []
        context.flashes = flashes
    wanted = set(category_filter)
    chosen = [
        (category, message) for category, message in flashes if not wanted or category in wanted
    ]
    return chosen if with_categories else [message for _, message in chosen]
