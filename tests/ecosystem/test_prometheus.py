"""Prometheus: metrics are labelled by the template of the rule, whichever exporter is used."""

from __future__ import annotations

import pytest

pytest.importorskip("prometheus_fastapi_instrumentator")
pytest.importorskip("starlette_exporter")

from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette_exporter import PrometheusMiddleware, handle_metrics

from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


async def show(request):
    return PlainTextResponse("inner")


async def test_the_instrumentator_labels_requests_by_the_rule():
    app = furnished_app("instrumented")
    app.mount("/inner", Starlette(routes=[Route("/page/{number}", show)]))
    Instrumentator(registry=CollectorRegistry()).instrument(app).expose(app)

    async with client_of(app) as client:
        await assert_all_works(client)
        assert (await client.get("/inner/page/1")).text == "inner"
        exposed = await client.get("/metrics")

    assert exposed.headers["content-type"].startswith("text/plain")
    count = "http_requests_total{{handler={0!r},method={1!r},status={2!r}}}"
    for labels in (
        ("/users/{id:int}", "GET", "2xx"),
        ("/users/{id:int}", "DELETE", "4xx"),
        ("/shop/items/{item}", "GET", "2xx"),
        ("/lost", "GET", "4xx"),
        ("/inner/page/{number}", "GET", "2xx"),
        ("none", "GET", "4xx"),
    ):
        assert count.format(*labels).replace("'", '"') in exposed.text


async def test_the_instrumentator_counts_an_error_that_nobody_handles_as_a_failure():
    app = furnished_app("failing")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    Instrumentator(registry=CollectorRegistry()).instrument(app).expose(app)

    async with client_of(app) as client:
        await client.get("/broken")
        text = (await client.get("/metrics")).text

    assert 'http_requests_total{handler="/broken",method="GET",status="5xx"} 1.0' in text


async def test_starlette_exporter_groups_paths_by_the_rule():
    app = furnished_app("exported")
    app.add_middleware(PrometheusMiddleware, app_name="exported", group_paths=True)
    app.add_route("/metrics", handle_metrics)

    async with client_of(app) as client:
        await assert_all_works(client)
        text = (await client.get("/metrics")).text

    count = 'starlette_requests_total{{app_name="exported",method="{}",path="{}",status_code="{}"}}'
    assert count.format("GET", "/users/{id:int}", 200) in text
    assert count.format("GET", "/shop/items/{item}", 200) in text
    assert count.format("GET", "/lost", 410) in text
    assert 'path="/users/7"' not in text
