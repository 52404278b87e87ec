"""orjson and msgspec: one line gives an app their JSON, with the values and errors of ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from erlen import Erlen, jsonify, request
from erlen.json import InvalidJSON
from erlen.json.fast import MsgspecProvider, OrjsonProvider
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of

pytest.importorskip("orjson")
pytest.importorskip("msgspec")

PROVIDERS = pytest.mark.parametrize("provider", [OrjsonProvider, MsgspecProvider])


@dataclass
class Point:
    x: int
    price: Decimal


class Markup:
    def __html__(self):
        return "<b>"


@PROVIDERS
async def test_everything_works(provider):
    app = furnished_app("fast")
    app.json = provider(app)

    async with client_of(app) as client:
        await assert_all_works(client)


@PROVIDERS
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True, "ü"]}, '{"a":[1,2.5,null,true,"ü"]}'),
        ({1: 2}, '{"1":2}'),
        (Decimal("1.50"), '"1.50"'),
        (date(2026, 5, 1), '"2026-05-01"'),
        (UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
        (Point(1, Decimal("0.1")), '{"x":1,"price":"0.1"}'),
        (Markup(), '"<b>"'),
        (float("nan"), "null"),
    ],
)
def test_values_are_written_as_by_the_default_provider(provider, value, text):
    assert provider().dumps(value) == text


@pytest.mark.parametrize(("provider", "zone"), [(OrjsonProvider, "+00:00"), (MsgspecProvider, "Z")])
def test_moments_are_iso_8601(provider, zone):
    assert provider().dumps(datetime(2026, 5, 1, 12, tzinfo=UTC)) == f'"2026-05-01T12:00:00{zone}"'


@PROVIDERS
@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"nan", b'"\\ud800"'])
async def test_a_client_that_sends_no_json_is_told(provider, text):
    app = Erlen("fast")
    app.json = provider(app)

    @app.post("/")
    async def read():
        return jsonify(await request.get_json())

    with pytest.raises(InvalidJSON):
        provider().loads(text)
    response = await app.test_client().post("/", data=text, content_type="application/json")

    assert response.status_code == 400


@PROVIDERS
async def test_responses_are_bytes_that_end_a_line(provider):
    app = Erlen("fast")
    app.json = provider(app)

    @app.get("/<kind>")
    async def write(kind):
        return {"a": 1} if kind == "dict" else jsonify(a=1)

    for path in ("/dict", "/jsonify"):
        response = await app.test_client().get(path)
        assert (response.data, response.content_type) == (b'{"a":1}\n', "application/json")


@PROVIDERS
def test_what_nobody_can_write_is_a_type_error(provider):
    class Taught(provider):
        def default(self, o):
            return "taught" if isinstance(o, type) else super().default(o)

    assert Taught().dumps(int) == '"taught"'
    with pytest.raises(TypeError, match="Object of type object is not JSON serializable"):
        Taught().dumps(object())


@PROVIDERS
def test_options_of_the_standard_library_are_refused(provider):
    with pytest.raises(TypeError, match="takes no options, and got indent"):
        provider().dumps({}, indent=2)
    with pytest.raises(TypeError, match="takes no options, and got parse_float"):
        provider().loads("1", parse_float=str)
