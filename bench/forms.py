"""What a form costs: the two parsers alone, and all of ``erlen.forms`` around the one we use.

Run ``python -m bench.forms``; with ``python-multipart`` installed it is measured too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import multipart

from erlen.forms import FormError, FormLimits, form_parser, read_form_sync

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"
MEGABYTES = 5 * 1024 * 1024
ROUNDS = 7

Parse = Callable[[list[bytes]], object]


def alone(chunks: list[bytes]) -> None:
    """Let ``multipart`` split the chunks and drop what it finds."""
    parser = multipart.PushMultipartParser(BOUNDARY, strict=True)
    for chunk in chunks:
        for _ in parser.parse(chunk):
            pass


def other() -> Parse | None:
    """Return the same for ``python-multipart``, if it is there."""
    try:
        from python_multipart.multipart import MultipartParser
    except ImportError:
        return None

    def ignore(*_: object) -> None:
        pass

    events = ["part_begin", "part_data", "part_end", "header_begin", "header_field"]
    events += ["header_value", "header_end", "headers_finished", "end"]
    callbacks: Any = {f"on_{event}": ignore for event in events}

    def parse(chunks: list[bytes]) -> None:
        parser = MultipartParser(BOUNDARY, callbacks)
        for chunk in chunks:
            parser.write(chunk)

    return parse


def form(limits: FormLimits) -> Parse:
    """Return the whole way of a form: limits, names, texts and files."""

    def parse(chunks: list[bytes]) -> None:
        parser = form_parser(CONTENT_TYPE, limits)
        try:
            for _, file in read_form_sync(chunks, parser).files.items(multi=True):
                file.close()
        except FormError:
            pass

    return parse


def part(disposition: bytes, content: bytes) -> bytes:
    """Write one part, with its boundary in front."""
    return b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (
        BOUNDARY,
        disposition,
        content,
    )


def body(*parts: bytes, size: int = 65536, epilogue: bytes = b"") -> list[bytes]:
    """Put the parts together and cut them into chunks of *size* bytes."""
    whole = b"".join(parts) + b"--" + BOUNDARY + b"--\r\n" + epilogue
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def file(content: bytes) -> bytes:
    """Write a part that is a file."""
    return part(b'name="f"; filename="x.bin"', content)


def fields(count: int) -> list[bytes]:
    """Write *count* short fields."""
    return [part(b'name="field%d"' % number, b"value") for number in range(count)]


def best(parsers: list[Parse | None], chunks: list[bytes], seconds: float) -> list[float]:
    """Return the shortest time of each in milliseconds; they take turns, so noise is shared."""
    times = [float("nan")] * len(parsers)
    start = time.perf_counter()
    rounds = 0
    while rounds < ROUNDS or time.perf_counter() - start < seconds:
        rounds += 1
        for place, parse in enumerate(parsers):
            if parse is not None:
                before = time.perf_counter()
                parse(chunks)
                took = (time.perf_counter() - before) * 1000
                times[place] = took if rounds == 1 else min(took, times[place])
    return times


def main() -> None:
    """Print both tables."""
    noise = os.urandom(MEGABYTES)
    in_memory = FormLimits(max_file_memory=MEGABYTES)
    parsers = {"multipart": alone, "python-multipart": other()}
    parsers |= {"erlen.forms": form(in_memory), "on disk": form(FormLimits())}
    usual = {
        "file of 5 MiB, chunks of 64 KiB": body(file(noise)),
        "file of 5 MiB, chunks of 1500 bytes": body(file(noise), size=1500),
        "5 fields": body(*fields(5)),
        "1000 fields": body(*fields(1000)),
    }
    print(f"Python {sys.version.split()[0]}, milliseconds, best of at least {ROUNDS}\n")
    print(f"{'':38}" + "".join(f"{name:>18}" for name in parsers))
    for name, chunks in usual.items():
        times = best(list(parsers.values()), chunks, seconds=3)
        print(f"{name:38}" + "".join(f"{milliseconds:18.3f}" for milliseconds in times))

    near = b"\r\n--" + BOUNDARY[:-1]
    hostile = {
        "CRLF only": body(file(b"\r\n" * (MEGABYTES // 2))),
        "CR only": body(file(b"\r" * MEGABYTES)),
        "boundaries but for one byte": body(file(near * (MEGABYTES // len(near)))),
        "boundaries and one byte": body(file((near + b"WX") * (MEGABYTES // (len(near) + 2)))),
        "blanks after a boundary": [b"--" + BOUNDARY, *[b" " * 65536] * 80],
        "preamble of CRLF": body(b"\r\n" * (MEGABYTES // 2), *fields(1)),
        "preamble of boundaries but for one byte": body(near * (MEGABYTES // len(near))),
        "epilogue of CRLF": body(*fields(1), epilogue=b"\r\n" * (MEGABYTES // 2)),
        "folded headers": body(b"--" + BOUNDARY + b"\r\nA: b" + b"\r\n c" * (MEGABYTES // 4)),
        "one field without end": body(part(b'name="a"', noise)),
        "64 KiB, byte by byte": body(file(noise[:65536]), size=1),
    }
    print("\nHostile forms of 5 MiB, erlen.forms\n")
    for name, chunks in hostile.items():
        print(f"{name:38}{best([form(in_memory)], chunks, seconds=0.5)[0]:18.3f}")


if __name__ == "__main__":
    main()
