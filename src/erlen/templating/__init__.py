"""Templates and flashed messages, as functions of a context. Knows no view and no response.

There are two environments. Rendering plainly is the fast one, for both colours; what has to be
awaited in a template needs code that is compiled for it, and so a twin of the environment,
which is made when it is first asked for. Both share loaders, filters, tests and globals.

Jinja is loaded with :mod:`erlen.templating.environment`, which is when the first template is
asked for; nothing that is imported here needs it.
"""

from __future__ import annotations

from .flashes import flash, get_flashed_messages
from .rendering import (
    render,
    render_async,
    render_string,
    render_string_async,
    stream,
    stream_string,
    update_template_context,
)

__all__ = [
    "flash",
    "get_flashed_messages",
    "render",
    "render_async",
    "render_string",
    "render_string_async",
    "stream",
    "stream_string",
    "update_template_context",
]
