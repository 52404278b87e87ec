"""What the loop and the thread of a WSGI app hand each other loses nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest

from erlen.concurrency import Owner
from erlen.wsgi.bodies import Answer


class Interrupted(deque[bytes]):
    """Pieces of which the loop asks whether there are any; the thread acts right after."""

    act: Callable[[], None] | None = None

    def __len__(self) -> int:
        there = super().__len__()
        act, self.act = self.act, None
        if act is not None:
            act()
        return there


@pytest.mark.parametrize("error", [None, LookupError("planted")])
async def test_a_piece_that_comes_with_the_end_is_not_lost(error):
    answer = Answer(Owner(asyncio.get_running_loop()), 100)
    pieces = answer._pieces = Interrupted()

    def end() -> None:
        answer.put(b"last")
        answer.finish(error)

    pieces.act = end

    assert await answer.take() == b"last"
    if error is None:
        assert await answer.take() == b""
    else:
        with pytest.raises(LookupError, match="planted"):
            await answer.take()
