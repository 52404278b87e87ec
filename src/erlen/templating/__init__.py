"""Templates and flashed messages, as functions of a context. Knows no view and no response.

There are two environments. Rendering plainly is the fast one, for both colours; what has to be
awaited in a template needs code that is compiled for it, and so a twin of the environment,
which is made when it is first asked for. Both share loaders, filters, tests and globals.
"""

from __future__ import annotations

from .environment import (
    Environment,
    TemplateApp,
    loader_of,
    make_environment,
    reloads_templates,
    select_autoescape,
)
from .flashes import flash, get_flashed_messages
from .loading import DispatchingLoader, TemplateOwner
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
    "DispatchingLoader",
    "Environment",
    "TemplateApp",
    "TemplateOwner",
    "flash",
    "get_flashed_messages",
    "loader_of",
    "make_environment",
    "reloads_templates",
    "render",
    "render_async",
    "render_string",
    "render_string_async",
    "select_autoescape",
    "stream",
    "stream_string",
    "update_template_context",
]
