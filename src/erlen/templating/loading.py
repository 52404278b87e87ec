"""Where templates come from: the app's folder, then those of its blueprints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import jinja2
from jinja2 import BaseLoader, Template, TemplateNotFound

from ..proxies import current
from ..registry import blueprint_of

__all__ = ["DispatchingLoader", "TemplateOwner"]

T = TypeVar("T")


class TemplateOwner(Protocol):
    """What has templates: an app or a blueprint."""

    import_name: str

    @property
    def jinja_loader(self) -> BaseLoader | None:
        """The loader of its own templates; ``None`` if it has none."""
        ...


class DispatchingLoader(BaseLoader):
    """Looks for a template where *owners* have theirs; the first that has it wins.

    *owners* returns the loaders, each with a name for people. *log* returns the logger that
    each search is explained to, ``None`` for no explanation.
    """

    def __init__(
        self,
        owners: Callable[[], Iterable[tuple[str, BaseLoader]]],
        *,
        log: Callable[[], logging.Logger | None] = lambda: None,
    ) -> None:
        self._owners = owners
        self._log = log

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Return the source of a template, its file and the test whether that is current."""
        return self._first(template, lambda loader: loader.get_source(environment, template))

    def load(self, environment: jinja2.Environment, name: str, globals: Any = None) -> Template:
        """Return a compiled template."""
        log = self._log()
        if log is not None:
            self._explain(log, environment, name)
        return self._first(name, lambda loader: loader.load(environment, name, globals))

    def list_templates(self) -> list[str]:
        """Return the names of all templates, sorted."""
        return sorted({name for _, loader in self._owners() for name in loader.list_templates()})

    @property
    def searched(self) -> str:
        """A sentence that says where templates are looked for."""
        places = "; ".join(f"{owner} ({_where(loader)})" for owner, loader in self._owners())
        return f"Searched: {places or 'nothing, as neither the app nor a blueprint has templates'}."

    def _first(self, name: str, ask: Callable[[BaseLoader], T]) -> T:
        for _, loader in self._owners():
            try:
                return ask(loader)
            except TemplateNotFound:
                continue
        raise TemplateNotFound(name, f"The template {name!r} was not found. {self.searched}")

    def _explain(self, log: logging.Logger, environment: jinja2.Environment, name: str) -> None:
        lines = [f"Locating template {name!r}:"]
        found = 0
        for number, (owner, loader) in enumerate(self._owners(), 1):
            outcome = _outcome(loader, environment, name)
            found += outcome.startswith("found")
            lines += [
                f"    {number}: trying loader of {owner}",
                f"       {type(loader).__name__}: {_where(loader)}",
                f"       -> {outcome}",
            ]
        if found == 0:
            lines.append("Error: the template could not be found.")
        elif found > 1:
            lines.append("Warning: several loaders have a template of this name; the first wins.")
        if found != 1:
            lines += _advice()
        log.info("\n".join(lines))


def _outcome(loader: BaseLoader, environment: jinja2.Environment, name: str) -> str:
    if not loader.has_source_access:
        return "not known: its templates are compiled"
    try:
        file = loader.get_source(environment, name)[1]
    except TemplateNotFound:
        return "no match"
    return f"found ({file or '<string>'!r})"


def _where(loader: BaseLoader) -> str:
    paths = getattr(loader, "searchpath", None)
    return ", ".join(map(str, paths)) if paths else type(loader).__name__


def _advice() -> list[str]:
    context = current.get()
    blueprint = blueprint_of(context.endpoint) if context is not None else ""
    if not blueprint:
        return []
    return [
        "  The template was looked up from an endpoint that belongs to the blueprint"
        f" {blueprint!r}.",
        "  All templates of an app share their names. Those of a blueprint are best kept in a"
        f" folder of its name, inside of its template_folder: '{blueprint}/page.html'.",
    ]
