"""Which files an app is made of, and which of them changed. Knows nothing of servers."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from ..debugger.failures import is_yours

__all__ = ["Watcher", "files_of", "shown"]

_SKIPPED = {"__pycache__", "node_modules", "site-packages", "dist-packages"}


class Watcher:
    """Looks at the files of an app again and again.

    These are the modules that are loaded and no library, the Python files around them and in
    *folders*, and *extra_files*. What matches one of *exclude_patterns* (shell patterns of the
    whole path) does not count.
    """

    def __init__(
        self,
        folders: Iterable[str] = (),
        *,
        extra_files: Iterable[str] = (),
        exclude_patterns: Sequence[str] = (),
    ) -> None:
        self._folders = {os.path.realpath(folder) for folder in folders}
        self._extra = {os.path.abspath(file) for file in extra_files}
        self._excluded = exclude_patterns
        self._yours: dict[str, bool] = {}
        self._times: dict[str, int] = {}
        self._primed = False
        self.pause = 0.25
        """Seconds until the next look is due, so that looking costs little in any project."""

    def add(self, files: Iterable[str]) -> None:
        """Watch *files* too."""
        self._extra.update(os.path.abspath(file) for file in files)

    def look(self, *, for_new: bool = False) -> str | None:
        """Return a file that changed since the last look; with *for_new* one that is new too."""
        began = time.perf_counter()
        changed = None
        for file in self._files():
            try:
                modified = os.stat(file).st_mtime_ns
            except OSError:
                continue
            known = self._times.get(file)
            self._times[file] = modified
            is_new = known is None and for_new and self._primed
            if is_new or (known is not None and known != modified):
                changed = changed or file
        self._primed = True
        self.pause = max(0.25, 10 * (time.perf_counter() - began))
        return changed

    def _files(self) -> set[str]:
        loaded = {file for file in _loaded_files() if self._is_yours(file)}
        folders = self._folders | {os.path.dirname(file) for file in loaded | self._extra}
        files = {file for folder in folders for file in _python_files(folder)}
        wanted = files | loaded | self._extra
        if not self._excluded:
            return wanted
        return {
            file for file in wanted if not any(fnmatch(file, pattern) for pattern in self._excluded)
        }

    def _is_yours(self, file: str) -> bool:
        known = self._yours.get(file)
        if known is None:
            known = self._yours[file] = is_yours(file)
        return known


def _loaded_files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        # Not by attribute: a lazy module would be loaded by the question.
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and file.endswith(".py"):
            yield os.path.abspath(file)


def _python_files(folder: str) -> Iterator[str]:
    """Yield the Python files of *folder*, and of what looks like a package below it."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError:
            continue
        files = [entry.path for entry in entries if entry.name.endswith(".py")]
        yield from files
        if not files or any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            name = entry.name
            if name not in _SKIPPED and not name.startswith(".") and entry.is_dir():
                waiting.append(entry.path)


def files_of(error: BaseException) -> set[str]:
    """Return the files that the traceback of *error* goes through, its causes included."""
    files: set[str] = set()
    step: BaseException | None = error
    while step is not None:
        files.update(frame.filename for frame in traceback.extract_tb(step.__traceback__))
        if isinstance(step, SyntaxError) and step.filename:
            files.add(step.filename)
        step = step.__cause__ or step.__context__
    return {file for file in files if is_yours(file) and Path(file).is_file()}


def shown(file: str) -> str:
    """Return *file* as seen from the current directory, if it is in there."""
    shorter = os.path.relpath(file)
    return file if shorter.startswith("..") else shorter
