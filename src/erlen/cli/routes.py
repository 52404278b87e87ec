"""``erlen routes``: what an app answers, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click
from starlette.routing import BaseRoute, Host, Mount

from ..app import App
from ..routes import RuleFace
from ..static import StaticRoute
from .commands import ScriptInfo, pass_script_info

__all__ = ["Row", "routes_command", "rows_of"]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    endpoint: str
    methods: str
    rule: str
    domain: str = ""


@click.command("routes", short_help="Show the routes of the app.")
@click.option(
    "-s",
    "--sort",
    type=click.Choice(["endpoint", "methods", "domain", "rule", "match"]),
    default="endpoint",
    show_default=True,
    help="What to sort by; 'match' keeps the order of registration.",
)
@click.option("--all-methods", is_flag=True, help="Show HEAD and OPTIONS too.")
@pass_script_info
def routes_command(info: ScriptInfo, /, sort: str, all_methods: bool) -> None:
    """Show all routes of the app with their endpoints and methods."""
    app = info.load_app()
    rows = rows_of(app, all_methods=all_methods)
    if not rows:
        click.echo("No routes were registered.")
        return
    has_domains = any(row.domain for row in rows)
    if sort == "domain" and not has_domains:
        sort = "endpoint"
    if sort != "match":
        rows.sort(key=lambda row: (getattr(row, sort), row.endpoint, row.rule))
    titles = ["Endpoint", "Methods", "Rule"]
    cells = [[row.endpoint, row.methods, row.rule] for row in rows]
    if has_domains:
        titles.insert(2, "Host" if app.url_map.host_matching else "Subdomain")
        for row, cell in zip(rows, cells, strict=True):
            cell.insert(2, row.domain)
    click.echo("\n".join(_table(titles, cells)))


def rows_of(app: App, *, all_methods: bool = False) -> list[Row]:
    """Return a row for each route of *app*, in the order of registration."""
    hidden = frozenset[str]() if all_methods else frozenset({"HEAD", "OPTIONS"})
    return [_row(route, hidden, app) for route in app.routes]


def _row(route: BaseRoute, hidden: frozenset[str], app: App) -> Row:
    if isinstance(route, RuleFace):
        rule = route.url_rule
        methods = rule.methods
        shown = "WEBSOCKET" if rule.websocket else _listed(methods, hidden)
        domain = rule.host if app.url_map.host_matching else rule.subdomain
        return Row(rule.endpoint, shown, rule.rule, domain or "")
    if isinstance(route, Mount):
        return Row(_name_of(route, route.app), "MOUNT", f"{route.path}/*")
    if isinstance(route, Host):
        return Row(_name_of(route, route.app), "HOST", f"{route.host}/*")
    if isinstance(route, StaticRoute):
        return Row(f"files of {route.directory.name}/", "GET", f"{route.path}/*")
    name = getattr(route, "name", None) or type(route).__name__
    methods = getattr(route, "methods", None)
    shown = "WEBSOCKET" if type(route).__name__ == "WebSocketRoute" else _listed(methods, hidden)
    return Row(str(name), shown, str(getattr(route, "path", route)))


def _listed(methods: Sequence[str] | frozenset[str] | None, hidden: frozenset[str]) -> str:
    return "ANY" if methods is None else ", ".join(sorted({*methods} - hidden))


def _name_of(route: Mount | Host, app: object) -> str:
    kind = type(app).__name__
    return f"{route.name} ({kind})" if route.name else kind


def _table(titles: list[str], lines: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(titles, *lines, strict=True)]
    rules = ["-" * width for width in widths]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (titles, rules, *lines)
    ]
