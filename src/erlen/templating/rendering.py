"""From a template and values to text: at once, awaited, or piece by piece."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from inspect import isawaitable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..bodies import on_loop_thread
from ..context import Context
from ..signals import announce, before_render_template, template_rendered
from .calls import plainly, tell, wait, where

if TYPE_CHECKING:
    from jinja2 import Template

    from .environment import TemplateApp

__all__ = [
    "render",
    "render_async",
    "render_string",
    "render_string_async",
    "stream",
    "stream_string",
    "update_template_context",
]

Names: TypeAlias = "str | Template | list[str | Template]"
"""What is rendered: a name, a list of which the first that exists is taken, or a template."""

_ENOUGH = 4096
"""Characters of a stream that are sent together."""
_PAUSE = 0.05
"""Seconds of waiting after which a stream sends what it has."""

_answers_here: ContextVar[list[Mapping[str, Any]] | None] = ContextVar(
    "erlen.templating.answers", default=None
)
"""What the context processors of an awaited render answered."""


def render(context: Context[Any], template_name_or_list: Names, values: dict[str, Any]) -> str:
    """Return a rendered template.

    *values* are handed over: context processors add theirs to the same dict.

    :raises TemplateNotFound: if there is none of that name; it says where it was looked for.
    :raises TypeError: if something ``async def`` takes part and this is the event loop.
    """
    return plainly(context, _render, context, _found(context, template_name_or_list), values)


def render_string(context: Context[Any], source: str, values: dict[str, Any]) -> str:
    """Return the rendered template that *source* is, escaped as HTML; see :func:`render`."""
    app: TemplateApp = context.app
    return plainly(context, _render, context, app.jinja_env.of_string(source), values)


async def render_async(
    context: Context[Any], template_name_or_list: Names, values: dict[str, Any]
) -> str:
    """Return a rendered template; what it calls, and the processors, may be ``async def``."""
    return await _render_async(context, _found_waiting(context, template_name_or_list), values)


async def render_string_async(context: Context[Any], source: str, values: dict[str, Any]) -> str:
    """Return the rendered template that *source* is; see :func:`render_async`."""
    app: TemplateApp = context.app
    return await _render_async(context, app.jinja_env.waiting.of_string(source), values)


def stream(
    context: Context[Any], template_name_or_list: Names, values: dict[str, Any]
) -> AsyncIterator[str] | Iterator[str]:
    """Return a template as pieces of text, rendered while they are taken.

    On the event loop they are taken with ``async for``, and what the template calls may be
    ``async def``; in a thread with ``for``. Pieces that come quickly are joined.
    """
    if on_loop_thread():
        return _stream_async(context, _found_waiting(context, template_name_or_list), values)
    return _stream(context, _found(context, template_name_or_list), values)


def stream_string(
    context: Context[Any], source: str, values: dict[str, Any]
) -> AsyncIterator[str] | Iterator[str]:
    """Return the template that *source* is as pieces of text; see :func:`stream`."""
    app: TemplateApp = context.app
    if on_loop_thread():
        return _stream_async(context, app.jinja_env.waiting.of_string(source), values)
    return _stream(context, app.jinja_env.of_string(source), values)


def update_template_context(context: Context[Any], values: dict[str, Any]) -> None:
    """Add what the context processors return to *values*; what is there already stays.

    They run from the app inwards, so that the innermost blueprint has the last word.

    :raises TypeError: if one is ``async def`` and this is the event loop.
    """
    app: TemplateApp = context.app
    if not app.registry.hooks["context_processor"]:
        return
    answers = _answers_here.get()
    if answers is None:
        answers = [_answer(processor) for processor in _processors(context)]
    given = values.copy()
    for answer in answers:
        values.update(answer)
    values.update(given)


# -- at once -------------------------------------------------------------------------------


def _found(context: Context[Any], template_name_or_list: Names) -> Template:
    app: TemplateApp = context.app
    template = app.jinja_env.get_or_select_template(template_name_or_list)
    if template.environment.is_async:
        raise TypeError(
            f"The template {template.name!r} was compiled to be awaited. Pass its name instead,"
            " or use 'await render_template_async(...)'."
        )
    return template


def _render(context: Context[Any], template: Template, values: dict[str, Any]) -> str:
    _begin(context, template, values)
    text = template.render(values)
    _end(context, template, values)
    return text


def _begin(context: Context[Any], template: Template, values: dict[str, Any]) -> None:
    app: TemplateApp = context.app
    app.update_template_context(values)
    if before_render_template.receivers:
        tell(before_render_template, app, template=template, context=values)


def _end(context: Context[Any], template: Template, values: dict[str, Any]) -> None:
    if template_rendered.receivers:
        tell(template_rendered, context.app, template=template, context=values)


def _processors(context: Context[Any]) -> list[Callable[[], Any]]:
    app: TemplateApp = context.app
    return app.registry.hooks_of("context_processor", context.endpoint)


def _answer(processor: Callable[[], Any]) -> Mapping[str, Any]:
    answer = processor()
    if isawaitable(answer):
        answer = wait("context processor", processor, lambda: answer)
    return _checked(answer, processor)


def _checked(answer: Any, processor: Callable[[], Any]) -> Mapping[str, Any]:
    if isinstance(answer, Mapping):
        return cast("Mapping[str, Any]", answer)
    raise TypeError(
        f"The context processor {where(processor)} returned {answer!r}. It has to return a dict"
        " of what it adds to templates."
    )


# -- awaited -------------------------------------------------------------------------------


def _found_waiting(context: Context[Any], template_name_or_list: Names) -> Template:
    app: TemplateApp = context.app
    return app.jinja_env.waiting.get_or_select_template(template_name_or_list)


async def _render_async(context: Context[Any], template: Template, values: dict[str, Any]) -> str:
    await _begin_async(context, template, values)
    if template.environment.is_async:
        text = await template.render_async(values)
    else:
        text = plainly(context, template.render, values)
    await _end_async(context, template, values)
    return text


async def _begin_async(context: Context[Any], template: Template, values: dict[str, Any]) -> None:
    app: TemplateApp = context.app
    answers: list[Mapping[str, Any]] = []
    for processor in _processors(context):
        answer = plainly(context, processor)
        answers.append(_checked(await answer if isawaitable(answer) else answer, processor))
    # The method of the app may be overridden and cannot await, so it finds the answers ready.
    token = _answers_here.set(answers)
    try:
        plainly(context, app.update_template_context, values)
    finally:
        _answers_here.reset(token)
    if before_render_template.receivers:
        await announce(before_render_template, app, template=template, context=values)


async def _end_async(context: Context[Any], template: Template, values: dict[str, Any]) -> None:
    if template_rendered.receivers:
        await announce(template_rendered, context.app, template=template, context=values)


# -- piece by piece ------------------------------------------------------------------------


def _stream(context: Context[Any], template: Template, values: dict[str, Any]) -> Iterator[str]:
    _begin(context, template, values)

    def pieces() -> Iterator[str]:
        joiner = _Joiner()
        for piece in template.generate(values):
            if joiner.add(piece):
                yield joiner.take()
                joiner.go_on()
        if rest := joiner.take():
            yield rest
        _end(context, template, values)

    return pieces()


async def _stream_async(
    context: Context[Any], template: Template, values: dict[str, Any]
) -> AsyncGenerator[str, None]:
    await _begin_async(context, template, values)
    joiner = _Joiner()
    async with aclosing(_pieces(context, template, values)) as pieces:
        async for piece in pieces:
            if joiner.add(piece):
                yield joiner.take()
                joiner.go_on()
    if rest := joiner.take():
        yield rest
    await _end_async(context, template, values)


def _pieces(
    context: Context[Any], template: Template, values: dict[str, Any]
) -> AsyncGenerator[str, None]:
    if template.environment.is_async:
        return cast("AsyncGenerator[str, None]", template.generate_async(values))
    return _stepwise(context, template.generate(values))


async def _stepwise(context: Context[Any], pieces: Iterator[str]) -> AsyncGenerator[str, None]:
    following = functools.partial(next, pieces, None)
    while (piece := plainly(context, following)) is not None:
        yield piece


class _Joiner:
    """Joins small pieces of text: few in the beginning and after a pause, then more and more.

    So the head of a page, and each line of one that grows slowly, is sent when it is there,
    and a long table in messages of 4 KiB.
    """

    __slots__ = ("_enough", "_pieces", "_since", "_size")

    def __init__(self) -> None:
        self._enough = 1
        self._pieces: list[str] = []
        self._size = 0
        self._since = monotonic()

    def add(self, piece: str) -> bool:
        """Take *piece*; true if there is enough to send."""
        self._pieces.append(piece)
        self._size += len(piece)
        if monotonic() - self._since > _PAUSE:
            self._enough = 1
        return self._size >= self._enough

    def take(self) -> str:
        """Return what there is."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._enough = min(self._enough * 2, _ENOUGH)
        return text

    def go_on(self) -> None:
        """Begin to wait for what follows; the time that sending took does not count."""
        self._since = monotonic()
