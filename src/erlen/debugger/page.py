"""The page of a failure: HTML that loads nothing, runs nothing and escapes everything."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path

from ..logs import printable
from ..typing import Scope
from .failures import Failure, Frame, Line

__all__ = ["render_page", "request_line"]

# What logs somebody in stays out of screenshots.
_SECRET = {"authorization", "cookie", "proxy-authorization"}


def render_page(failure: Failure, text: str, scope: Scope) -> str:
    """Return the page for *failure*; *text* is the traceback to copy."""
    kind = failure.kind.rpartition(".")[2]
    summary = failure.message.strip().partition("\n")[0]
    title = f"{kind}: {summary}" if summary else kind
    request = f"<p class=request>{escape(request_line(scope))}</p>\n"
    return "".join(
        (
            "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n",
            '<meta name=viewport content="width=device-width, initial-scale=1">\n',
            '<meta name=color-scheme content="light dark">\n',
            f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n",
            f"<header>{request}{_headline(failure, 'h1')}</header>\n",
            f"<main>\n{_account(failure)}</main>\n",
            _details("Traceback as text", f"<pre class=text>{escape(text)}</pre>"),
            _details("Request", _request(scope)),
            "<footer>Debug mode is on: everyone who can reach this server can see this page."
            f" Python {escape(platform.python_version())}.</footer>\n</body>\n</html>\n",
        )
    )


def request_line(scope: Scope) -> str:
    """Return method and URL as they are shown to a person."""
    return f"{scope.get('method', 'WEBSOCKET')} {_url_of(scope)}"


def _url_of(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    url = printable(scope.get("path", ""))
    return f"{url}?{printable(query.decode('latin-1'))}" if query else url


@cache
def _style() -> str:
    return Path(__file__).with_name("style.css").read_text("utf-8")


def _details(title: str, body: str) -> str:
    return f"<details class=more><summary>{escape(title)}</summary>\n{body}\n</details>\n"


def _request(scope: Scope) -> str:
    rows = [("URL", _url_of(scope)), ("Method", scope.get("method", "WEBSOCKET"))]
    client = scope.get("client")
    if client:
        rows.append(("Client", str(client[0])))
    for name, value in scope.get("headers", ()):
        text = name.decode("latin-1").title()
        shown = value.decode("latin-1")
        rows.append((text, "(not shown)" if text.lower() in _SECRET else printable(shown)))
    cells = (f"<tr><th>{escape(name)}<td>{escape(value)}\n" for name, value in rows)
    return f"<table>\n{''.join(cells)}</table>"


# -- exceptions --------------------------------------------------------------------------------


def _headline(failure: Failure, tag: str) -> str:
    module, _, kind = failure.kind.rpartition(".")
    prefix = f"<span class=module>{escape(module)}.</span><wbr>" if module else ""
    message = f"<p class=message>{escape(failure.message)}</p>\n" if failure.message else ""
    notes = "".join(f"<p class=note>{escape(note)}</p>\n" for note in failure.notes)
    return f"<{tag}>{prefix}{escape(kind)}</{tag}>\n{message}{notes}"


def _account(failure: Failure) -> str:
    """Return the frames of *failure*, its members, and then what was before it."""
    return _frames(failure.frames) + _members(failure) + _earlier(failure)


def _members(failure: Failure) -> str:
    parts = [f"<section class=member>{_section(one)}</section>\n" for one in failure.members]
    if failure.hidden_members:
        parts.append(f"<p class=gap>{failure.hidden_members} more are not shown.</p>\n")
    return "".join(parts)


def _earlier(failure: Failure) -> str:
    if failure.earlier is None:
        return ""
    relation = f"<p class=relation>{escape(failure.relation)}</p>\n"
    return f"{relation}<section class=earlier>{_section(failure.earlier)}</section>\n"


def _section(failure: Failure) -> str:
    return f"{_headline(failure, 'h2')}{_account(failure)}"


# -- frames ------------------------------------------------------------------------------------


def _frames(frames: tuple[Frame, ...]) -> str:
    if not frames:
        return ""
    nothing_of_yours = not any(frame.is_yours for frame in frames)
    parts: list[str] = []
    for yours, group in groupby(frames, key=lambda frame: frame.is_yours):
        run = list(group)
        if yours:
            parts.extend(_frame(frame, is_open=True) for frame in run)
        elif nothing_of_yours:
            parts.extend((_folded(run[:-1]), _frame(run[-1], is_open=True)))
        else:
            parts.append(_folded(run))
    return "".join(parts)


def _folded(frames: list[Frame]) -> str:
    if not frames:
        return ""
    count = sum(frame.repeated + frame.left_out for frame in frames)
    names = ", ".join(dict.fromkeys(frame.library for frame in frames))
    calls = "1 call" if count == 1 else f"{count} calls"
    inside = "".join(_frame(frame, is_open=False) for frame in frames)
    head = f"<summary>{calls} in {escape(names)}</summary>\n"
    return f"<details class=library>{head}{inside}</details>\n"


def _frame(frame: Frame, *, is_open: bool) -> str:
    gap = f"<p class=gap>{frame.left_out} calls left out</p>\n" if frame.left_out else ""
    where = (
        f'<span class=file title="{escape(frame.file)}">{escape(frame.place)}</span>'
        f"<span class=number>:{frame.line}</span>"
    )
    function = f" <span class=function>{escape(frame.function)}</span>" if frame.function else ""
    repeated = f" <span class=times>{frame.repeated} times</span>" if frame.repeated > 1 else ""
    head = f"{where}{function}{repeated}"
    if not frame.source:
        return f"{gap}<div class=frame><p class=head>{head}</p></div>\n"
    opened = " open" if is_open else ""
    return (
        f"{gap}<details class=frame{opened}><summary>{head}</summary>\n"
        f"<pre class=source>{''.join(_lines(frame.source))}</pre></details>\n"
    )


def _lines(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        number = f"<i>{line.number}</i>"
        if line.marked is None:
            yield f"<span>{number}{escape(line.text)}</span>\n"
            continue
        start, end = line.marked
        before, guilty, after = line.text[:start], line.text[start:end], line.text[end:]
        mark = f"<mark>{escape(guilty)}</mark>" if guilty else ""
        yield f"<span class=here>{number}{escape(before)}{mark}{escape(after)}</span>\n"
