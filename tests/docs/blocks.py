"""The code blocks of a Markdown page, as files that run. Knows fences; of Erlen, the signals.

A page is a folder of modules. Its Python blocks follow one another in one module until a
block makes a second app, which starts the next one. Comments, invisible to readers, say more:

``<!-- file: shop/views.py -->``
    The next block, of any language, is this file; others import it or render it. More blocks
    of one file continue it.
``<!-- skip: reason -->``
    The next block does not run; the reason is one of :data:`SKIP_REASONS`.
``<!-- check`` ... ``-->``
    Python of its own lines, run in the module of the block before it when all blocks of the
    page have run, in order. May ``await`` at the top level.

Code keeps the line it has on its page, so what fails names the line to mend.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import sys
import textwrap
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from erlen.signals import signals

ROOT = Path(__file__).parents[2]

SKIP_REASONS = {
    "shell",
    "fragment of another framework",
    "needs a service of its own",
    "shows a mistake",
}

PYTHON = {"python", "py", "python3"}

_OPEN = re.compile(r"\s*(?P<fence>`{3,}|~{3,})\s*(\{code-block\}\s*)?(?P<language>[\w+#.-]+)\s*")
_OPTION = re.compile(r"\s*:[\w-]+:.*")
_WORD = re.compile(r"<!-- (?P<word>file|skip): (?P<value>.+?) -->\s*")
_COMMENT = re.compile(r"<!--\s*(?P<word>\w+)?")
_NEW_APP = re.compile(r"^\w+(: \w+)? = Erlen\(", re.MULTILINE)


class PageError(Exception):
    """A page says something that the harness does not understand."""


@dataclass
class File:
    """What one file of a page holds: its lines, by their number on the page."""

    name: str
    lines: dict[int, str] = field(default_factory=dict)

    @property
    def module(self) -> str | None:
        """The name to import it by; ``None`` if it is no Python."""
        path = PurePosixPath(self.name)
        if path.suffix != ".py":
            return None
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")

    @property
    def text(self) -> str:
        if self.module is None:
            return "".join(f"{line}\n" for line in self.lines.values())
        return "".join(
            f"{self.lines.get(n, '')}\n" for n in range(1, max(self.lines, default=0) + 1)
        )


@dataclass(frozen=True)
class Check:
    """Hidden code that says what a module of the page must do."""

    module: str
    line: int
    source: str


@dataclass
class Page:
    """The files and checks of one page."""

    path: Path
    files: dict[str, File] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    named: bool = False
    """Whether the page names files: two pages may then use the same names."""

    @property
    def modules(self) -> list[str]:
        return [file.module for file in self.files.values() if file.module]

    @property
    def stem(self) -> str:
        """A name that no other page has: ``tutorial_first_steps``."""
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path.name
        return re.sub(r"\W+", "_", str(PurePosixPath(path).with_suffix(""))).strip("_").lower()

    def write(self, folder: Path) -> None:
        for file in self.files.values():
            path = folder / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, "utf-8")


def pages() -> list[Path]:
    """Return every page that people read: the README and what the docs are built from."""
    found = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    return [ROOT / "README.md", *found]


def read_page(path: Path) -> Page:
    """Read the page at *path*.

    :raises PageError: for an unknown comment or reason, a block or comment that does not end,
        and for a comment that has no block to speak of.
    """
    page, words, last = Page(path), {}, None
    lines = enumerate(path.read_text("utf-8").splitlines(), start=1)
    for number, line in lines:
        if opening := _OPEN.fullmatch(line):
            body = _until(lines, rf"\s*{opening['fence']}+\s*", path, number)
            last = _add_block(page, opening["language"], body, words)
            words = {}
        elif word := _WORD.fullmatch(line):
            words[word["word"]] = word["value"]
            if "skip" in words and words["skip"] not in SKIP_REASONS:
                reasons = ", ".join(sorted(SKIP_REASONS))
                raise PageError(f"{path}:{number}: skip for one of these reasons: {reasons}.")
        elif line.rstrip() == "<!-- check":
            body = _until(lines, r"\s*-->\s*", path, number)
            if last is None:
                raise PageError(f"{path}:{number}: no block of Python stands before this check.")
            page.checks.append(Check(last, number, "\n".join(body.values())))
        elif (comment := _COMMENT.match(line)) and comment["word"] in ("check", "file", "skip"):
            raise PageError(f"{path}:{number}: can't read {line!r}; see tests/docs/blocks.py.")
    if words:
        raise PageError(f"{path}: no block follows the comment {words}.")
    return page


def _until(lines: Iterator[tuple[int, str]], end: str, path: Path, start: int) -> dict[int, str]:
    body = {}
    for number, line in lines:
        if re.fullmatch(end, line):
            text = textwrap.dedent("\n".join(body.values()))
            return dict(zip(body, text.split("\n"), strict=True)) if body else {}
        body[number] = line
    raise PageError(f"{path}:{start}: what begins here does not end.")


def _add_block(
    page: Page, language: str, body: dict[int, str], words: dict[str, str]
) -> str | None:
    """Put a block into its file and return its module, if it has one."""
    if "skip" in words or (language not in PYTHON and "file" not in words):
        return None
    for number, line in body.items():
        if not _OPTION.fullmatch(line):
            break
        body[number] = ""
    if "file" in words:
        name = words["file"]
        page.named = True
    else:
        name = _part(page, "\n".join(body.values()))
    file = page.files.setdefault(name, File(name))
    file.lines.update(body)
    return file.module


def _part(page: Page, source: str) -> str:
    """Return the name of the module that a block without a name belongs to."""
    parts = [name for name in page.files if re.fullmatch(rf"{page.stem}_\d+\.py", name)]
    makes_app = _NEW_APP.search(source) is not None
    if parts and not (makes_app and _NEW_APP.search(page.files[parts[-1]].text)):
        return parts[-1]
    return f"{page.stem}_{len(parts) + 1}.py"


def run(page: Page, folder: Path) -> None:
    """Import all modules of a page that was written to *folder*, then run its checks."""
    with _importable(folder), _nobody_listens_afterwards():
        for module in page.modules:
            importlib.import_module(module)
        for check in page.checks:
            source = "\n" * check.line + check.source
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(source, str(page.path), "exec", flags=flags, dont_inherit=True)
            result = eval(code, vars(sys.modules[check.module]))
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(result)


@contextmanager
def _nobody_listens_afterwards() -> Iterator[None]:
    """Disconnect from the signals who was connected in the meantime."""
    before = {name: set(signal.receivers) for name, signal in signals.items()}
    try:
        yield
    finally:
        for name, signal in signals.items():
            for key in set(signal.receivers) - before.get(name, set()):
                receiver = signal.receivers[key]
                if isinstance(receiver, weakref.ref):
                    receiver = receiver()
                signal.disconnect(receiver)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules of *folder* be imported, and forget them afterwards."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and Path(file).is_relative_to(folder):
                del sys.modules[name]
