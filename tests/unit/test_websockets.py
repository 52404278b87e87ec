"""Broadcasts: a message for many, and those who are slow hold up nobody."""

from __future__ import annotations

import asyncio

import pytest

from erlen import WebSocket, broadcast


class Peer(WebSocket):
    """A websocket whose other side takes messages while it is awake."""

    __slots__ = ("awake", "taken")

    def __init__(self):
        super().__init__({"type": "websocket", "headers": []}, self.never, self.take)
        self.accepted = True
        self.awake = asyncio.Event()
        self.awake.set()
        self.taken = []

    async def never(self):
        await asyncio.Event().wait()

    async def take(self, message):
        await self.awake.wait()
        self.taken.append(message.get("text", message.get("bytes")))


def asleep():
    peer = Peer()
    peer.awake.clear()
    return peer


@pytest.mark.parametrize("message", ["text", b"bytes"])
async def test_everybody_gets_the_message(message):
    peers = [Peer() for _ in range(50)]

    missed = await broadcast(peers, message)

    assert missed == set()
    assert [peer.taken for peer in peers] == [[message]] * 50


async def test_nobody_may_be_there():
    assert await broadcast((), "x") == set()


async def test_a_peer_that_is_named_twice_gets_it_once():
    peer = Peer()

    await broadcast([peer, peer], "x")

    assert peer.taken == ["x"]


async def test_a_slow_peer_loses_the_message_and_the_others_have_it_at_once():
    slow, fast = asleep(), Peer()

    sending = asyncio.create_task(broadcast({slow, fast}, "a", timeout=0.2))
    while not fast.taken:
        await asyncio.sleep(0)
    assert not sending.done()

    assert await sending == {slow}
    slow.awake.set()
    assert await broadcast({slow, fast}, "b") == set()
    assert (slow.taken, fast.taken) == (["b"], ["a", "b"])
    assert not slow.closed


async def test_a_peer_that_lags_is_not_waited_for_a_second_time():
    slow = asleep()
    await broadcast({slow}, "a", timeout=0.01)

    assert slow.lags
    async with asyncio.timeout(5):
        assert await broadcast({slow}, "b", timeout=None) == {slow}


async def test_a_peer_that_took_a_message_is_waited_for_again():
    slow = asleep()
    await broadcast({slow}, "a", timeout=0.01)
    slow.awake.set()
    await broadcast({slow}, "b", timeout=0.01)
    slow.awake.clear()

    sending = asyncio.create_task(broadcast({slow}, "c", timeout=None))
    await asyncio.wait({sending}, timeout=0.1)
    assert not sending.done()
    slow.awake.set()

    assert await sending == set()
    assert slow.taken == ["b", "c"]


async def test_a_peer_that_has_left_missed_the_message():
    gone, here = Peer(), Peer()

    async def fail(message):
        raise OSError("gone")

    gone._send = fail

    assert await broadcast({gone, here}, "x") == {gone}
    assert await broadcast({gone, here}, "y") == {gone}
    assert here.taken == ["x", "y"]
    assert gone.closed


async def test_messages_of_one_sender_come_in_order():
    slow = asleep()

    sendings = [asyncio.create_task(broadcast({slow}, str(number))) for number in range(9)]
    await asyncio.sleep(0)
    slow.awake.set()
    await asyncio.gather(*sendings)

    assert slow.taken == [str(number) for number in range(9)]


async def test_a_broadcast_that_is_cancelled_leaves_no_task():
    before = asyncio.all_tasks()
    sending = asyncio.create_task(broadcast({asleep()}, "x", timeout=None))
    await asyncio.sleep(0.01)

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert asyncio.all_tasks() == before


async def test_only_text_and_bytes_are_broadcast():
    with pytest.raises(TypeError, match=r"json\.dumps for a broadcast"):
        await broadcast((), {"a": 1})


async def test_unless_told_otherwise_a_slow_peer_is_waited_for_one_second():
    began = asyncio.get_running_loop().time()

    assert len(await broadcast({asleep()}, "x")) == 1

    assert asyncio.get_running_loop().time() - began > 0.9


class Shouting(WebSocket):
    """A websocket that changes what it receives."""

    async def receive(self):
        return (await super().receive()).upper()


async def test_a_loop_goes_through_the_receive_of_a_subclass():
    coming = [{"type": "websocket.receive", "text": "hello"}, {"type": "websocket.disconnect"}]
    scope = {"type": "websocket", "headers": []}
    peers = [kind(scope, messages(coming), messages(())) for kind in (WebSocket, Shouting)]
    for peer in peers:
        peer.accepted = True

    assert [[text async for text in peer] for peer in peers] == [["hello"], ["HELLO"]]


def messages(coming):
    left = iter(coming)

    async def receive():
        return next(left)

    return receive
