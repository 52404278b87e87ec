"""Environment variables, and the files they come from. Knows no app."""

from __future__ import annotations

import os
from pathlib import Path

import click

__all__ = [
    "PREFIX",
    "debug_flag",
    "dotenv_wanted",
    "load_dotenv",
    "loaded_files",
    "loaded_names",
    "variable",
]

PREFIX = "ERLEN"
"""What the names of our variables begin with; the file ``.erlenenv`` is named by it, too."""

loaded_names: set[str] = set()
"""The variables that were set from files."""
loaded_files: list[str] = []
"""The files that variables came from."""


def variable(name: str) -> str:
    """Return the name of our environment variable for *name*: ``ERLEN_DEBUG``."""
    return f"{PREFIX}_{name}"


def debug_flag() -> bool:
    """Say whether ``ERLEN_DEBUG`` switches debug mode on."""
    value = os.environ.get(variable("DEBUG"), "")
    return bool(value) and value.lower() not in {"0", "false", "no"}


def dotenv_wanted(default: bool = True) -> bool:
    """Say whether files are loaded: unless ``ERLEN_SKIP_DOTENV`` is set."""
    value = os.environ.get(variable("SKIP_DOTENV"))
    return default if not value else value.lower() in {"0", "false", "no"}


def load_dotenv(path: str | os.PathLike[str] | None = None, load_defaults: bool = True) -> bool:
    """Set environment variables from files, as far as they are not set already.

    Of *path*, and with *load_defaults* of ``.env`` and ``.erlenenv``, which are looked for in the
    current directory and above. *path* wins over ``.env``, which wins over ``.erlenenv``.
    Returns whether anything was loaded. Without python-dotenv there is a hint on stderr.
    """
    try:
        import dotenv
    except ImportError:
        _say_what_is_missing(path, load_defaults)
        return False
    names = [dotenv.find_dotenv(name, usecwd=True) for name in _files()] if load_defaults else []
    if path is not None:
        names.append(os.fspath(path))
    values: dict[str, str | None] = {}
    files = [os.path.abspath(name) for name in names if name and os.path.isfile(name)]
    for file in files:
        values.update(dotenv.dotenv_values(file, encoding="utf-8"))
    for name, value in values.items():
        if value is not None and name not in os.environ:
            os.environ[name] = value
            loaded_names.add(name)
    loaded_files.extend(file for file in files if file not in loaded_files)
    return bool(files)


def _files() -> tuple[str, ...]:
    return f".{PREFIX.lower()}env", ".env"


def _say_what_is_missing(path: str | os.PathLike[str] | None, defaults: bool) -> None:
    present = [name for name in _files() if defaults and Path(name).is_file()]
    if path is not None:
        present.append(os.fspath(path))
    if present:
        click.secho(
            f" * Tip: there is {' and '.join(present)} here. Its variables are set if you install"
            " python-dotenv: pip install python-dotenv",
            fg="yellow",
            err=True,
        )
