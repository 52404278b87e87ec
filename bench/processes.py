"""What a process and those that it started have used of the machine. Linux only."""

from __future__ import annotations

import os
import re
from pathlib import Path


def kilobytes(number: int) -> int:
    """Return the memory of a process, or of the largest below it that does the work."""
    found = (re.search(r"VmRSS:\s+(\d+)", _read(each, "status")) for each in family(number))
    return max(int(size[1]) if size else 0 for size in found)


def processor_seconds(number: int) -> float:
    """Return how long a process and those below it had a processor, in all their threads.

    What a machine that others use too has withheld is not part of it.
    """
    ticks = 0
    for each in family(number):
        # The name of the program is in parentheses, and may have any characters.
        fields = _read(each, "stat").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # in the program, and in the kernel for it
    return ticks / os.sysconf("SC_CLK_TCK")


def family(number: int) -> list[int]:
    """Return the numbers of a process and of those below it."""
    numbers = [number]
    for each in numbers:
        numbers += map(int, _read(each, f"task/{each}/children").split())
    return numbers


def _read(number: int, file: str) -> str:
    return Path(f"/proc/{number}/{file}").read_text()
