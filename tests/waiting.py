"""Waits for what must come, however busy the machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def until(claim: Callable[[], Any], seconds: float = 10) -> None:
    """Give way until *claim* is true; fails with a ``TimeoutError`` if it never is."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.001)
