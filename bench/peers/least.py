"""The least of what Erlen promises, by hand and for one route.

What it keeps, it keeps in one function, which knows its only rule. It has no hooks, signals,
sessions or error pages, and no second kind of answer.
"""

from __future__ import annotations

import re
from asyncio import Task, current_task
from contextvars import ContextVar
from typing import Any

from bench.contents import GREETING
from bench.peers.raw import HTML, LENGTHS
from bench.workloads import WORKLOADS

LACKS = {name: "it has one route" for name in WORKLOADS if name != "plaintext"}

HOST = re.compile(rb"[a-z0-9.-]+(?::[0-9]{1,5})?")


class Context:
    """What is true while one request is served."""

    __slots__ = (
        *("app", "closed", "connection", "error", "params", "receive", "route", "scope", "send"),
        *("task", "untidy"),
    )

    app: Any
    scope: dict[str, Any]
    receive: Any
    send: Any
    params: dict[str, Any]
    route: Any
    error: Exception | None
    connection: Any
    closed: bool
    untidy: bool
    task: Task[Any] | None


current: ContextVar[Context | None] = ContextVar("current", default=None)
served: set[Context] = set()
"""What a server that stops would wait for."""
good_hosts: set[bytes] = set()


async def index() -> str:
    """Answer as a view does."""
    return GREETING


RULES = {"/": {"GET": index, "HEAD": index}}


def plain() -> Any:
    """Make the app."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        view = RULES[scope["path"]][scope["method"]]
        host = None
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None or value not in good_hosts:
                    look_at(value)
                host = value
        params: dict[str, Any] = {}
        scope["app"], scope["router"], scope["route"] = app, RULES, view
        scope["endpoint"], scope["path_params"] = "index", params
        context = Context()
        context.app, context.scope, context.receive, context.send = app, scope, receive, send
        context.params, context.route, context.error = params, view, None
        context.connection, context.closed, context.untidy = None, False, False
        context.task = current_task()
        served.add(context)
        token = current.set(context)
        try:
            value = await (view(**params) if params else view())
            body = value.encode()
            if scope["method"] == "HEAD":
                body = b""
            headers = [HTML, LENGTHS[len(value)]]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            if context.untidy or context.connection is not None:
                context.connection.close()
            context.closed = True
            served.discard(context)
            current.reset(token)

    return app


def look_at(host: bytes) -> None:
    """Refuse what is no host; remember one that is."""
    if HOST.fullmatch(host) is None:
        raise ValueError(f"{host!r} is no host")
    good_hosts.add(host)
