"""The body of a request: read once, whole or in pieces, within its limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from erlen.bodies import Body, begin
from erlen.connections import Limits
from erlen.exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout

LIMITS = Limits()
MEGABYTE = 1024 * 1024


def body_of(*pieces: bytes, announced: int = 0, left: bool = False, **limits: Any) -> Body:
    """A body that arrives in *pieces*; nothing more comes after them if the client has *left*."""
    return Body(coming(*pieces, left=left), announced, replace(LIMITS, **limits))


def coming(*pieces: bytes, left: bool = False) -> Any:
    """What a server hands out: *pieces*, and that the client has *left*."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    if left:
        messages.append({"type": "http.disconnect"})
    elif messages:
        messages[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


async def replayed(body: Body) -> bytes:
    received = b""
    while True:
        message = await body.replay()
        received += message["body"]
        if not message["more_body"]:
            return received


@pytest.mark.parametrize(
    "pieces", [(b"tea",), (b"te", b"a"), (b"", b"te", b"", b"a"), (b"tea", b"")]
)
async def test_a_body_is_the_same_in_however_many_pieces_it_comes(pieces):
    body = body_of(*pieces)

    await body.read()

    assert (body.is_here, body.data(), body.received) == (True, b"tea", 3)


async def test_a_body_that_was_read_is_there_for_everybody_who_comes_later():
    body = body_of(b"te", b"a")

    await body.read()
    await body.read()

    assert [chunk async for chunk in body.chunks()] == [b"tea"]
    assert list(body.blocks()) == [b"tea"]
    assert await replayed(body) == b"tea"
    assert body.data(as_text=True) == "tea"


async def test_two_tasks_that_read_it_at_once_both_find_all_of_it():
    body = body_of(b"te", b"a")

    await asyncio.gather(body.read(), body.read())

    assert body.data() == b"tea"


async def test_the_pieces_are_handed_out_as_they_come_and_empty_ones_are_not():
    body = body_of(b"te", b"", b"a")

    assert [chunk async for chunk in body.chunks()] == [b"te", b"a"]


async def test_what_is_forgotten_is_empty_afterwards():
    body = body_of(b"tea")
    await body.read()

    assert body.data(keep=False) == b"tea"
    assert body.data() == b""


async def test_a_large_body_goes_to_a_file_which_is_closed_with_it():
    content = bytes(range(256)) * 8192
    body = body_of(*(content[at : at + 65536] for at in range(0, len(content), 65536)))

    await body.read(spool=True)
    assert body.data() == content
    assert b"".join(body.blocks()) == content
    assert max(map(len, body.blocks())) < MEGABYTE
    assert await replayed(body) == content

    body.close()
    with pytest.raises(ValueError, match="closed file"):
        body.data()


async def test_a_large_body_goes_to_a_file_if_it_comes_in_one_piece_too():
    body = body_of(b"x" * 2 * MEGABYTE)

    await body.read()

    assert [len(block) for block in body.blocks()] == [65536] * 32
    body.close()


async def test_a_body_that_is_not_here_yet_is_received_once():
    asked = 0
    arrived = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        await arrived.wait()
        return {"type": "http.request", "body": b"tea"}

    body = Body(receive, 0, LIMITS)
    reading = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    assert (asked, body.is_here) == (1, False)

    arrived.set()
    await reading

    assert (asked, body.data()) == (1, b"tea")


async def test_reading_that_is_cancelled_before_anything_came_starts_anew():
    cancelled = 0

    async def receive() -> dict[str, Any]:
        nonlocal cancelled
        if not cancelled:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                raise
        return {"type": "http.request", "body": b"tea"}

    body = Body(receive, 0, LIMITS)
    reading = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    await body.read()

    assert (cancelled, body.data()) == (1, b"tea")


async def test_a_large_body_stays_in_memory_where_no_file_is_wanted():
    body = body_of(b"x" * MEGABYTE, b"y" * MEGABYTE)

    await body.read(spool=False)

    assert len(body.data()) == 2 * MEGABYTE
    assert len(list(body.blocks())) == 1


async def test_what_is_announced_as_too_long_is_not_waited_for():
    body = body_of(announced=5, max_content_length=4)

    with pytest.raises(RequestEntityTooLarge, match="5 bytes or more, 4 are allowed"):
        await body.read()


@pytest.mark.parametrize("pieces", [(b"tea", b"pot"), (b"teapot",)])
@pytest.mark.parametrize("announced", [0, 3])
async def test_what_turns_out_to_be_too_long_is_refused_whatever_was_announced(announced, pieces):
    body = body_of(*pieces, announced=announced, max_content_length=4)

    with pytest.raises(RequestEntityTooLarge, match="6 bytes or more, 4 are allowed"):
        await body.read()


async def test_nothing_is_lost_when_the_limit_is_lifted_after_all():
    body = body_of(b"tea", b"pot", max_content_length=4)
    with pytest.raises(RequestEntityTooLarge):
        await body.read()

    body.limits = replace(LIMITS, max_content_length=None)
    await body.read()

    assert body.data() == b"teapot"


async def test_a_client_that_leaves_in_the_middle_is_no_end_of_the_body():
    body = body_of(b"te", left=True)

    with pytest.raises(ClientDisconnected):
        await body.read()
    assert not body.is_here


async def test_a_client_that_has_left_is_no_end_of_a_body_that_came_not_at_all():
    body = body_of(left=True)

    for _ in range(2):
        with pytest.raises(ClientDisconnected):
            await body.read()
    assert await body.inbox.until_disconnect() == {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("pieces", "taken"),
    [((b"tea",), b"tea"), ((b"",), b""), ((b"te", b"a"), None), ((b"x" * 2 * MEGABYTE,), None)],
    ids=["small", "empty", "in two pieces", "large"],
)
async def test_a_body_that_begins_is_taken_as_a_whole_or_not_at_all(pieces, taken):
    body = begin(coming(*pieces), 0, LIMITS)

    if taken is not None:
        assert body == taken
    else:
        assert isinstance(body, Body)
        assert not body.complete
        assert b"".join([chunk async for chunk in body.chunks()]) == b"".join(pieces)


@pytest.mark.parametrize("most", [2, 3, 4, None])
async def test_a_body_that_begins_is_only_taken_within_its_limit(most):
    body = begin(coming(b"tea"), 0, replace(LIMITS, max_content_length=most))

    assert (body == b"tea") == (most != 2)


async def test_a_body_that_is_whole_is_there_for_everybody():
    body = Body(coming(left=True), 3, LIMITS, b"tea")

    assert (body.is_here, body.complete, body.received) == (True, True, 3)
    assert [chunk async for chunk in body.chunks()] == [b"tea"]
    assert await replayed(body) == b"tea"
    assert await body.inbox.until_disconnect() == {"type": "http.disconnect"}


async def test_a_body_that_has_to_be_waited_for_is_asked_for_once():
    came: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    asked = []

    async def receive():
        asked.append(1)
        return await came

    body = begin(receive, 0, LIMITS)
    assert isinstance(body, Body)
    came.set_result({"type": "http.request", "body": b"tea"})
    await body.read()

    assert (body.data(), asked) == (b"tea", [1])


async def test_a_body_that_is_no_bytes_is_read_all_the_same():
    body = begin(coming(bytearray(b"tea")), 0, LIMITS)  # type: ignore[arg-type]

    assert isinstance(body, Body)
    await body.read()

    assert body.data() == b"tea"


async def test_a_body_that_is_announced_too_long_is_refused_before_it_is_asked_for():
    async def receive():  # a server answers the first call with 100 Continue
        raise AssertionError("It was asked for.")

    body = begin(receive, 9, replace(LIMITS, max_content_length=8))

    assert isinstance(body, Body)
    for read in (body.read, body.next_chunk):
        with pytest.raises(RequestEntityTooLarge):
            await read()


async def test_what_began_is_not_lost_to_whoever_waits_that_the_client_leaves():
    body = begin(coming(b"te", b"a", left=True), 0, LIMITS)
    assert isinstance(body, Body)

    await body.inbox.until_disconnect()

    assert [await body.next_chunk(), await body.next_chunk()] == [b"te", b"a"]


async def test_receive_may_return_anything_that_can_be_awaited():
    future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    future.set_result({"type": "http.request", "body": b"tea"})

    assert begin(lambda: future, 0, LIMITS) == b"tea"


async def test_a_body_that_stops_is_not_waited_for_longer_than_is_allowed():
    body = body_of(body_timeout=0.01)

    with pytest.raises(RequestTimeout, match=r"within 0\.01 seconds \(BODY_TIMEOUT\)"):
        await body.read()
