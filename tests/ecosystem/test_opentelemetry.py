"""OpenTelemetry: spans are named by the rule, and are current in views of both colours."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("opentelemetry.instrumentation.starlette")

from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as StarlettesMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def server_spans(exporter):
    """The spans of requests, by name; those of single messages are left out."""
    finished = exporter.get_finished_spans()
    return {span.name: span for span in finished if span.kind is trace.SpanKind.SERVER}


async def test_instrument_app_names_spans_by_the_rule(exporter, provider):
    app = furnished_app("spans")
    StarletteInstrumentor.instrument_app(app, tracer_provider=provider)

    async with client_of(app) as client:
        await assert_all_works(client)

    spans = server_spans(exporter)
    assert {
        "GET /users/{id:int}",
        "POST /upper",
        "GET /shop/items/{item}",
        "GET /lost",
        "GET",
        "DELETE /users/{id:int}",
    } <= spans.keys()
    assert spans["GET /users/{id:int}"].attributes["http.route"] == "/users/{id:int}"
    assert spans["GET /lost"].attributes["http.status_code"] == 410
    assert spans["GET"].attributes["http.status_code"] == 404


async def test_the_span_is_current_in_views_of_both_colours(exporter, provider):
    app = furnished_app("current")
    StarletteInstrumentor.instrument_app(app, tracer_provider=provider)

    @app.get("/async")
    async def on_the_loop():
        return f"{trace.get_current_span().get_span_context().span_id}"

    @app.get("/sync")
    def in_a_thread():
        with provider.get_tracer("views").start_as_current_span("work"):
            pass
        return f"{trace.get_current_span().get_span_context().span_id}"

    async with client_of(app) as client:
        texts = {path: (await client.get(path)).text for path in ("/async", "/sync")}

    spans = server_spans(exporter)
    for path, text in texts.items():
        assert text == str(spans[f"GET {path}"].context.span_id)
    (work,) = [span for span in exporter.get_finished_spans() if span.name == "work"]
    assert work.parent.span_id == spans["GET /sync"].context.span_id


async def test_an_error_that_nobody_handles_is_a_failed_span(exporter, provider):
    app = furnished_app("failing")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    StarletteInstrumentor.instrument_app(app, tracer_provider=provider)

    async with client_of(app) as client:
        await client.get("/broken")

    assert server_spans(exporter)["GET /broken"].status.status_code is trace.StatusCode.ERROR


async def test_metrics_are_labelled_by_the_path_of_the_rule(provider):
    reader = InMemoryMetricReader()
    app = furnished_app("metrics")
    app.add_middleware(
        OpenTelemetryMiddleware,
        tracer_provider=provider,
        meter_provider=MeterProvider(metric_readers=[reader]),
    )

    async with client_of(app) as client:
        await assert_all_works(client)

    (resource,) = reader.get_metrics_data().resource_metrics
    metrics = {one.name: one for scope in resource.scope_metrics for one in scope.metrics}
    points = metrics["http.server.duration"].data.data_points
    assert "/users/{id}" in {point.attributes.get("http.target") for point in points}


async def test_the_asgi_middleware_serves_an_app_from_outside(exporter, provider):
    app = OpenTelemetryMiddleware(furnished_app("outside"), tracer_provider=provider)

    async with client_of(app) as client:
        await assert_all_works(client)

    assert server_spans(exporter)


async def test_starlettes_own_middleware_knows_the_rule_and_what_is_mounted(exporter, provider):
    async def show(request):
        return PlainTextResponse("inner")

    app = furnished_app("own")
    app.add_middleware(StarlettesMiddleware, tracer_provider=provider)
    app.mount("/inner", Starlette(routes=[Route("/page/{number}", show)]))

    async with client_of(app) as client:
        await assert_all_works(client)
        assert (await client.get("/inner/page/1")).text == "inner"

    routes = {span.attributes.get("http.route") for span in exporter.get_finished_spans()}
    assert {"/users/{id}", "/shop/items/{item}", "/inner/page/{number}"} <= routes


async def test_an_app_can_be_uninstrumented(exporter, provider):
    app = furnished_app("plain")
    StarletteInstrumentor.instrument_app(app, tracer_provider=provider)
    StarletteInstrumentor.uninstrument_app(app)

    async with client_of(app) as client:
        await assert_all_works(client)

    assert not exporter.get_finished_spans()


ZERO_CODE = """
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
StarletteInstrumentor().instrument(tracer_provider=provider)

import asyncio
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of

async def main():
    async with client_of(furnished_app("zero")) as client:
        await assert_all_works(client)

asyncio.run(main())
print(*sorted({span.name for span in exporter.get_finished_spans()}), sep=", ")
"""


def test_apps_are_instrumented_when_starlette_was_before_the_import():
    done = subprocess.run(
        [sys.executable, "-c", ZERO_CODE], capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0, done.stderr
    assert "GET /users/{id:int}," in done.stdout
