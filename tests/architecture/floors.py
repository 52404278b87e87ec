"""The house as data, and what holds it: who imports whom, and what nobody may write.

Knows source text only; imports nothing of what it judges.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FLOORS: tuple[tuple[str, ...], ...] = (
    ("typing", "errors", "patterns", "sharing"),
    (
        *("proxies", "http", "datastructures", "registry", "packages", "hosts"),
        *("security", "signing", "timeouts", "stopping", "elsewhere", "formlimits", "announced"),
        *("waker", "division"),
    ),
    ("pool",),
    ("concurrency", "config", "signals", "headers", "json", "converters", "logs", "splitter"),
    (
        *("conditional", "rules", "forwarding", "fields", "streams", "sending", "decorators"),
        "parts",
    ),
    ("responses", "matching"),
    ("exceptions", "uploads", "events"),
    ("forms", "connections", "bodies"),
    ("requests", "websockets", "files", "results", "sessions", "routes"),
    ("context", "registrar", "routing", "signatures"),
    ("binding", "blueprints", "templating", "urls", "static", "inflight"),
    ("errorhandlers", "foreign"),
    ("flow", "lifespan"),
    ("deadlines",),
    ("threads",),
    ("pipeline",),
    ("entry",),
    ("app",),
    ("globals",),
    ("sync", "helpers", "views"),
    ("testing", "debugger", "wsgi", "middleware"),
    ("server",),
    ("cli",),
    ("framework",),
    ("flask",),
    ("__init__", "__main__"),
)
"""From the ground up. A name is a module, or a folder whose modules may import each other."""

CORE = FLOORS[: FLOORS.index(("sync", "helpers", "views")) + 1]
"""The floors whose coverage is measured; above them are attachments and the entrance."""

FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}

REFUSED_PACKAGES = {
    "flask": "the core does not need Flask",
    "werkzeug": "the core does not need Werkzeug",
    "starlette.testclient": "the test client is our own",
    "starlette.middleware.base": "it hides disconnects",
    "starlette.middleware.sessions": "sessions are our own",
}
REFUSED_NAMES = {
    "BaseHTTPMiddleware": "it hides disconnects",
    "SessionMiddleware": "sessions are our own",
    "cookie_parser": "cookies are parsed in linear time by erlen.headers",
}

MODULE_AIM = 450
FUNCTION_AIM = 60


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: the dotted name below ``erlen``, its path and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def tenant(self) -> str:
        """The name that stands in the table: ``json`` for ``json.tag``."""
        return self.name.partition(".")[0]


def modules_of(root: Path) -> list[Module]:
    """Parse every module below *root*, the folder of the package."""
    modules = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        modules.append(Module(".".join(parts), path, _tree_of(path.read_text("utf-8"))))
    return modules


@cache
def _tree_of(source: str) -> ast.Module:
    # Three tests and a summary ask for the same trees.
    return ast.parse(source)


def broken_floors(root: Path) -> list[str]:
    """Return a sentence for every import of the package at *root* that breaks a floor."""
    modules = modules_of(root)
    names = {module.name for module in modules} | FLOOR_OF.keys()
    sentences = []
    for tenant in dict.fromkeys(module.tenant for module in modules):
        if tenant not in FLOOR_OF:
            sentences.append(
                f"{root.name}.{tenant} has no floor: give it one in tests/architecture/floors.py."
            )
    for module in modules:
        for line, target in imports_of(module, names, package=root.name):
            sentence = _verdict(module, line, target, package=root.name)
            if sentence is not None:
                sentences.append(sentence)
    return sentences


def _verdict(module: Module, line: int, target: str, *, package: str) -> str | None:
    here, there = module.tenant, target.partition(".")[0]
    if here == there or here not in FLOOR_OF or there not in FLOOR_OF:
        return None
    place = f"{package}.{module.name} (line {line}) imports {package}.{target}"
    if FLOOR_OF[here] == FLOOR_OF[there]:
        return f"{place}, but both live on floor {FLOOR_OF[here]}."
    if FLOOR_OF[here] < FLOOR_OF[there]:
        return (
            f"{place}, but {here} lives on floor {FLOOR_OF[here]}"
            f" and {there} above it, on floor {FLOOR_OF[there]}."
        )
    return None


def imports_of(module: Module, names: set[str], *, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and target of every import of the *package* itself, wherever it stands.

    Imports under ``TYPE_CHECKING``, in functions and by ``import_module("...")`` count. A
    target is a name below the package; names that are no module belong to ``__init__``.
    """
    for node in ast.walk(module.tree):
        for full in _imported(node, module, package):
            head, _, rest = full.partition(".")
            if head == package:
                yield getattr(node, "lineno", 0), _module_in(rest, names)


def _imported(node: ast.AST, module: Module, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = _absolute(node, module, package)
        return [f"{source}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
        name = called.id if isinstance(called, ast.Name) else called
        first = node.args[0]
        if name in ("import_module", "__import__") and isinstance(first, ast.Constant):
            return [str(first.value)]
    return []


def _absolute(node: ast.ImportFrom, module: Module, package: str) -> str:
    if not node.level:
        return node.module or ""
    folder = [package, *module.name.split(".")]
    if module.path.name != "__init__.py" or module.name == "__init__":
        folder.pop()
    above = folder[: len(folder) - (node.level - 1)]
    return ".".join([*above, node.module] if node.module else above)


def _module_in(dotted: str, names: set[str]) -> str:
    """Return the longest module that *dotted* begins with: ``json.tag.dumps`` -> ``json.tag``.

    ``a.b`` was imported from ``a``, even if that is not written yet; a lone unknown name is
    one of the package's own.
    """
    known = dotted
    while known and known not in names:
        known = known.rpartition(".")[0]
    head, dot, _ = dotted.partition(".")
    return known or (head if dot else "__init__")


def refused(root: Path) -> list[str]:
    """Return a sentence for every import, name or statement that no module may contain."""
    sentences = []
    for module in modules_of(root):
        for node in ast.walk(module.tree):
            reason = _refusal(node, module, root.name)
            if reason is not None:
                line = getattr(node, "lineno", 0)
                sentences.append(f"{root.name}.{module.name} (line {line}) {reason}.")
    return sentences


_JUDGED = (ast.Assert, ast.Import, ast.ImportFrom, ast.Call, ast.Name, ast.Attribute)


def _refusal(node: ast.AST, module: Module, package: str) -> str | None:
    if not isinstance(node, _JUDGED):
        return None
    if isinstance(node, ast.Assert):
        return "asserts: raise an error that python -O keeps"
    for full in _imported(node, module, package):
        for name, reason in REFUSED_PACKAGES.items():
            if f"{full}.".startswith(f"{name}."):
                return f"imports {name}: {reason}"
    used = {
        *([node.id] if isinstance(node, ast.Name) else []),
        *([node.attr] if isinstance(node, ast.Attribute) else []),
        *([alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []),
    }
    for name in sorted(used & REFUSED_NAMES.keys()):
        return f"uses {name}: {REFUSED_NAMES[name]}"
    return None


def core_files(root: Path) -> list[str]:
    """Return the paths of the modules whose coverage is measured."""
    core = {name for floor in CORE for name in floor}
    return [str(module.path) for module in modules_of(root) if module.tenant in core]


def over_size(root: Path) -> list[str]:
    """Return a line for every module and function that is longer than we aim for."""
    lines = []
    for module in modules_of(root):
        code = _code_lines(module)
        if len(code) > MODULE_AIM:
            lines.append(f"{root.name}.{module.name}: {len(code)} lines of code")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                own = code.intersection(range(node.lineno, (node.end_lineno or 0) + 1))
                if len(own) > FUNCTION_AIM:
                    place = f"{root.name}.{module.name}, {node.name} (line {node.lineno})"
                    lines.append(f"{place}: {len(own)} lines of code")
    return lines


def _code_lines(module: Module) -> set[int]:
    """Return the numbers of the lines that hold code: no blanks, comments or docstrings."""
    lines = enumerate(module.path.read_text("utf-8").splitlines(), 1)
    code = {number for number, line in lines if line.strip() and not line.strip().startswith("#")}
    for node in ast.walk(module.tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                code.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return code
