"""What went wrong, as data: exceptions with their frames, causes and members. Draws nothing."""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import cast

__all__ = ["Failure", "Frame", "Line", "failure_of", "is_yours", "without_entrance"]

_BEFORE, _AFTER = 5, 4
_FIRST_FRAMES, _LAST_FRAMES = 40, 80
_MOST_MEMBERS = 15
_MOST_LINKS = 20

_OWN_FOLDER = str(Path(__file__).parents[1]) + os.sep
_LIBRARIES = ("site-packages", "dist-packages")
# PERF: sysconfig knows it too, and takes 5 ms of each start to be asked.
_STANDARD = str(Path(os.__file__).parent) + os.sep


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source."""

    number: int
    text: str
    marked: tuple[int, int] | None = None
    """Where in the text of the line that runs the error is; ``None`` for the other lines."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A call on the way to the error."""

    file: str
    line: int
    function: str
    source: tuple[Line, ...]
    repeated: int = 1
    """How often in a row the same line was called."""
    left_out: int = 0
    """How many frames in front of this one are not shown."""

    @property
    def is_yours(self) -> bool:
        """Whether the code belongs to the app, and not to a library."""
        return is_yours(self.file)

    @property
    def library(self) -> str:
        """The name of the library that the code belongs to."""
        return _library(self.file)

    @property
    def place(self) -> str:
        """The file as a person would name it."""
        return _short(self.file)


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception and what led to it."""

    kind: str
    message: str
    notes: tuple[str, ...]
    frames: tuple[Frame, ...]
    members: tuple[Failure, ...] = ()
    """The exceptions of a group."""
    hidden_members: int = 0
    relation: str = ""
    """What :attr:`earlier` has to do with this one."""
    earlier: Failure | None = None


def failure_of(error: BaseException) -> Failure:
    """Read *error* with everything that it hangs together with."""
    return _read(error, set(), 0)


def _read(error: BaseException, seen: set[int], depth: int) -> Failure:
    seen.add(id(error))
    earlier = None
    relation, before = _before(error)
    if before is not None and id(before) not in seen and depth < _MOST_LINKS:
        earlier = _read(before, seen, depth + 1)
    members: list[Failure] = []
    inside = _inside(error)
    if depth < _MOST_LINKS:
        members = [_read(one, seen, depth + 1) for one in inside[:_MOST_MEMBERS]]
    return Failure(
        kind=_name_of(type(error)),
        message=_message_of(error),
        notes=tuple(str(note) for note in getattr(error, "__notes__", ())),
        frames=(*_frames(error.__traceback__), *_syntax(error)),
        members=tuple(members),
        hidden_members=len(inside) - len(members),
        relation=relation if earlier is not None else "",
        earlier=earlier,
    )


def _before(error: BaseException) -> tuple[str, BaseException | None]:
    if error.__cause__ is not None:
        return "This was caused by", error.__cause__
    if error.__suppress_context__:
        return "", None
    return "This happened while another error was handled", error.__context__


def _inside(error: BaseException) -> tuple[BaseException, ...]:
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions


def _name_of(kind: type[BaseException]) -> str:
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__name__}"


def _message_of(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.msg:
        return error.msg
    try:
        return str(error)
    except Exception:
        return "(the text of this exception cannot be read: its __str__ raises)"


# -- frames ------------------------------------------------------------------------------------


def _frames(start: TracebackType | None) -> list[Frame]:
    frames: list[Frame] = []
    for summary, name in zip(traceback.extract_tb(start), _names(start), strict=True):
        line = summary.lineno or 0
        last = frames[-1] if frames else None
        if last and (last.file, last.line, last.function) == (summary.filename, line, name):
            frames[-1] = Frame(last.file, line, name, last.source, last.repeated + 1)
            continue
        columns = (summary.colno, summary.end_colno)
        if summary.end_lineno != summary.lineno:
            columns = (summary.colno, None)
        frames.append(Frame(summary.filename, line, name, _source(summary.filename, line, columns)))
    surplus = len(frames) - _FIRST_FRAMES - _LAST_FRAMES
    if surplus > 0:
        frames[_FIRST_FRAMES:-_LAST_FRAMES] = []
        first = frames[_FIRST_FRAMES]
        frames[_FIRST_FRAMES] = Frame(
            first.file, first.line, first.function, first.source, first.repeated, surplus
        )
    return frames


def _names(step: TracebackType | None) -> Iterator[str]:
    while step is not None:
        code = step.tb_frame.f_code
        # Templates are code too, and only their short names say which.
        yield code.co_qualname if code.co_qualname.endswith(code.co_name) else code.co_name
        step = step.tb_next


def _syntax(error: BaseException) -> list[Frame]:
    """Return the place that a SyntaxError complains about, which no frame is in."""
    if not isinstance(error, SyntaxError) or not error.filename or not error.lineno:
        return []
    # Columns of syntax errors count characters from one; 0 and None are no column.
    text = linecache.getline(error.filename, error.lineno)
    start = max((error.offset or 1) - 1, 0)
    end = max((error.end_offset or 0) - 1, start + 1)
    spans_lines = error.end_lineno not in (None, error.lineno)
    columns = (len(text[:start].encode()), None if spans_lines else len(text[:end].encode()))
    source = _source(error.filename, error.lineno, columns)
    return [Frame(error.filename, error.lineno, "", source)]


def _source(file: str, number: int, columns: tuple[int | None, int | None]) -> tuple[Line, ...]:
    linecache.checkcache(file)
    first = max(1, number - _BEFORE)
    texts = [text.rstrip("\n") for text in linecache.getlines(file)[first - 1 : number + _AFTER]]
    while texts and not texts[-1].strip() and first + len(texts) - 1 > number:
        texts.pop()
    while texts and not texts[0].strip() and first < number:
        texts.pop(0)
        first += 1
    indent = min((len(text) - len(text.lstrip()) for text in texts if text.strip()), default=0)
    lines: list[Line] = []
    for index, text in enumerate(texts, first):
        marked = _mark(text, columns, indent) if index == number else None
        lines.append(Line(index, text[indent:], marked))
    return tuple(lines)


def _mark(text: str, columns: tuple[int | None, int | None], indent: int) -> tuple[int, int]:
    """Turn offsets in UTF-8 into a part of *text* without its indent; all of it if unknown."""
    start, end = columns
    whole = (len(text) - len(text.lstrip()), len(text.rstrip()))
    if start is None:
        begin, stop = whole
    else:
        data = text.encode()
        begin = len(data[:start].decode("utf-8", "replace"))
        stop = whole[1] if end is None else len(data[:end].decode("utf-8", "replace"))
    return max(begin - indent, 0), max(stop - indent, 0)


# -- whose code --------------------------------------------------------------------------------


def is_yours(file: str) -> bool:
    """Say whether *file* belongs to the app: not to Python, a library or this framework."""
    return not _library(file)


def _library(file: str) -> str:
    if file.startswith("<frozen"):
        return "Python"
    if file.startswith(_OWN_FOLDER):
        return "erlen"
    parts = file.replace("\\", "/").split("/")
    for folder in _LIBRARIES:
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].removesuffix(".py")
    return "Python" if file.startswith(_STANDARD) else ""


def _short(file: str) -> str:
    if file.startswith("<"):
        return file
    path = Path(file)
    for root in (Path.cwd(), Path(_OWN_FOLDER).parent):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    parts = path.parts
    for folder in _LIBRARIES:
        if folder in parts:
            return str(Path(*parts[parts.index(folder) + 1 :]))
    return file


def without_entrance(step: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first call into the app's own code, if there is one."""
    here = step
    while here is not None:
        if is_yours(here.tb_frame.f_code.co_filename):
            return here
        here = here.tb_next
    return step
