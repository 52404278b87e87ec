"""Where the code of an app lies on disk. Imports nothing of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from .errors import SetupError

__all__ = ["instance_path_of", "root_path_of"]


def root_path_of(import_name: str) -> str:
    """Return the folder that the module or package *import_name* lies in.

    The current folder stands in for what has no file, such as the interactive prompt.

    :raises SetupError: if it is a namespace package, which has no single folder.
    """
    module = sys.modules.get(import_name)
    file = getattr(module, "__file__", None)
    if file is not None:
        return str(Path(file).resolve().parent)
    try:
        spec = importlib.util.find_spec(import_name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return str(Path.cwd())
    if spec.origin is None or spec.origin == "namespace":
        raise SetupError(
            f"No root path can be found for {import_name!r}: it is a namespace package, which has"
            " no single folder. Pass root_path= to say where its files are."
        )
    if spec.origin in ("built-in", "frozen"):
        return str(Path.cwd())
    return str(Path(spec.origin).resolve().parent)


def instance_path_of(import_name: str, root_path: str) -> str:
    """Return the folder for files that belong to one deployment.

    It is ``instance`` beside the module or package; for an installed one it is
    ``var/<name>-instance`` below the prefix of the Python installation.
    """
    top = import_name.partition(".")[0]
    folder = Path(root_path)
    for _ in import_name.split(".")[1:]:
        folder = folder.parent
    module = sys.modules.get(top)
    is_package = hasattr(module, "__path__") or (folder / "__init__.py").exists()
    container = folder.parent if is_package else folder
    prefix = Path(sys.prefix).resolve()
    if container.name in ("site-packages", "dist-packages") or (
        prefix in container.parents and sys.prefix != sys.base_prefix
    ):
        return str(prefix / "var" / f"{top}-instance")
    return str(container / "instance")
