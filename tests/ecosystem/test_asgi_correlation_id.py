"""asgi-correlation-id: one id in the request, in views of both colours, and in the response."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("asgi_correlation_id")

from asgi_correlation_id import CorrelationIdFilter, CorrelationIdMiddleware, correlation_id

from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of

ID = "0b7d5a4ed2c843a9a9b4c5a7f1f2d3e4"


async def test_views_hooks_and_log_lines_know_the_id(caplog):
    app = furnished_app("correlated")
    app.add_middleware(CorrelationIdMiddleware)
    caplog.handler.addFilter(CorrelationIdFilter())
    caplog.set_level(logging.INFO, app.name)
    seen = []

    @app.after_request
    def after(response):
        seen.append(correlation_id.get())
        return response

    @app.get("/async")
    async def on_the_loop():
        app.logger.info("on the loop")
        return correlation_id.get()

    @app.get("/sync")
    def in_a_thread():
        app.logger.info("in a thread")
        return correlation_id.get()

    @app.get("/stream")
    async def stream():
        yield correlation_id.get()

    async with client_of(app) as client:
        sent = {"X-Request-ID": ID}
        answers = [
            await client.get(path, headers=sent)
            for path in ("/async", "/sync", "/stream", "/users/7")
        ]
        await assert_all_works(client)

    assert [response.text for response in answers[:3]] == [ID] * 3
    assert {response.headers["x-request-id"] for response in answers} == {ID}
    assert seen[:4] == [ID] * 4
    assert [record.correlation_id for record in caplog.records] == [ID] * 2
