"""What a type checker must know of the two faces of a request, and of decorators."""

from __future__ import annotations

from typing import assert_type

from erlen import Blueprint, Erlen, request, sync
from erlen.datastructures import ImmutableMultiDict
from erlen.parts import Part
from erlen.requests import Request, SyncRequest

app = Erlen(__name__)
shop = Blueprint("shop", __name__)


@app.post("/async/<int:number>")
async def in_async_code(number: int) -> str:
    assert_type(await request.form, ImmutableMultiDict[str, str])
    assert_type(await request.data, bytes)
    assert_type(request.method, str)
    form = request.form
    form["name"]  # type: ignore[index] # pyright: ignore[reportIndexIssue, reportUnknownVariableType] # a body is awaited
    return str(number)


@shop.post("/def/<int:number>")
def in_def_code(number: int) -> str:
    assert_type(sync.request.form["name"], str)
    assert_type(sync.request.data, bytes)
    return str(number)


@app.post("/parts")
async def parts_in_async_code() -> str:
    async for part in request.parts():
        assert_type(part, Part)
        assert_type(await part.read(), bytes)
        async for chunk in part:
            assert_type(chunk, bytes)
    return ""


@app.post("/def-parts", stream_body=True)
def parts_in_def_code() -> str:
    for part in sync.request.parts():
        assert_type(part, sync.SyncPart)
        assert_type(part.read(1), bytes)
        assert_type(list(part), list[bytes])
    return ""


@app.before_request
async def hook() -> None: ...


def the_names_are_typed_as_what_they_stand_for() -> None:
    assert_type(request, Request)
    assert_type(sync.request, SyncRequest)


async def a_decorator_returns_what_it_was_given() -> None:
    assert_type(await in_async_code(1), str)
    assert_type(in_def_code(1), str)
    assert_type(await hook(), None)
    in_def_code("1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # an int
