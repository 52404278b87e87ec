"""What asks a server: sockets that write prepared bytes. A process of its own, on its own core."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench.processes import processor_seconds

TEXT = b"hello, websocket"
MASK = b"mask"
FRAME = b"\x81" + bytes([0x80 | len(TEXT)]) + MASK
FRAME += bytes(byte ^ MASK[at % 4] for at, byte in enumerate(TEXT))
ECHO = b"\x81" + bytes([len(TEXT)]) + TEXT
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WARM_UP = 0.3
TURN = 0.1
"""Seconds for which one server is asked before the next one is."""
PATIENCE = 10
"""Seconds that a server may take for an answer."""


class Asked(NamedTuple):
    """A server and what it is asked on each of its connections."""

    process: int
    links: list[socket.socket]
    question: bytes
    size: int
    """Bytes of an answer."""


def upgraded(port: int) -> socket.socket:
    """Open a websocket.

    :raises SystemExit: if the server refuses it, or answers with something else than an echo.
    """
    link = socket.create_connection(("127.0.0.1", port), timeout=10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(HANDSHAKE)
    head = b""
    while b"\r\n\r\n" not in head:
        if not (piece := link.recv(4096)):
            break
        head += piece
    if not head.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"no websocket: {head[:200]!r}")
    link.sendall(FRAME)
    if (answer := link.recv(4096)) != ECHO:
        raise SystemExit(f"not an echo: {answer!r}")
    return link


def rate(count: int, seconds: float) -> float:
    """Return how many of *count* there were in a second; none in no time at all."""
    return count / seconds if seconds else 0.0


def echoing(process: int, port: int, connections: int) -> Asked:
    """Open websockets to a server that echoes."""
    return Asked(process, [upgraded(port) for _ in range(connections)], FRAME, len(ECHO))


def asking(process: int, port: int, connections: int, question: bytes) -> Asked:
    """Open connections and ask on each.

    :raises SystemExit: if one answers with something else than a 200.
    """
    links: list[socket.socket] = []
    size = 0
    for _ in range(connections):
        links.append(link := socket.create_connection(("127.0.0.1", port), timeout=10))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(question)
        answer = whole(link)
        if not answer.startswith(b"HTTP/1.1 200"):
            link.close()
            raise SystemExit(f"not an answer: {answer[:200]!r}")
        size = len(answer)
    return Asked(process, links, question, size)


def whole(link: socket.socket) -> bytes:
    """Read one answer with a Content-Length."""
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        if not (piece := link.recv(4096)):
            return answer
        answer += piece
    length = re.search(rb"\r\ncontent-length: *(\d+)", answer[:end], re.IGNORECASE)
    left = end + 4 + int(length[1] if length else 0) - len(answer)
    while left > 0 and (piece := link.recv(left)):
        answer += piece
        left -= len(piece)
    return answer


def in_turns(asked: Sequence[Asked], seconds: float) -> list[float]:
    """Return how many answers each gives for each second that it has a processor.

    Each is asked for *seconds*, of which it gets a :data:`TURN` at a time: a machine that is
    slower for some seconds is so for all of them.
    """
    for one in asked:
        busily(one, WARM_UP)
    # Who is not asked does not work, so this is what it works in its turns.
    before = [processor_seconds(one.process) for one in asked]
    counts = [0] * len(asked)
    order = range(len(asked))
    for turn in range(max(1, round(seconds / TURN))):
        for place in order if turn % 2 else reversed(order):
            counts[place] += busily(asked[place], TURN)
    worked = [processor_seconds(one.process) - was for one, was in zip(asked, before, strict=True)]
    return [rate(count, took) for count, took in zip(counts, worked, strict=True)]


def busily(asked: Asked, seconds: float) -> int:
    """Return how many answers come on all connections at once, and leave none unanswered.

    This never sleeps: the server would have to wake it, the more often the slower it is, and
    that would count as its work.

    :raises SystemExit: if an answer is too long, or none comes, or a connection is closed.
    """
    by_number = {link.fileno(): link for link in asked.links}
    with select.epoll() as poll:
        missing = dict.fromkeys(by_number, asked.size)
        for number, link in by_number.items():
            poll.register(number, select.EPOLLIN)
            link.sendall(asked.question)
        count, unanswered = 0, len(by_number)
        end = time.perf_counter() + seconds
        while unanswered:
            now = time.perf_counter()
            if now > end + PATIENCE:
                raise SystemExit(f"{unanswered} answers did not come in {PATIENCE} s")
            for number, _ in poll.poll(0):
                link = by_number[number]
                if not (piece := link.recv(4096)):
                    raise SystemExit("the server closed a connection")
                missing[number] -= len(piece)
                if missing[number] > 0:
                    continue
                if missing[number]:
                    raise SystemExit(f"an answer has more than {asked.size} bytes")
                count += 1
                missing[number] = asked.size
                if now < end:
                    link.send(asked.question)
                else:
                    unanswered -= 1
    return count


def requests(port: int, count: int) -> None:
    """Ask for plain text *count* times on one connection."""
    link = socket.create_connection(("127.0.0.1", port), timeout=10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(GET)
    time.sleep(0.2)
    length = len(link.recv(65536))
    for _ in range(count - 1):
        link.sendall(GET)
        left = length
        while left > 0:
            if not (piece := link.recv(left)):
                raise SystemExit("the server closed the connection")
            left -= len(piece)


def sockets(port: int, count: int) -> list[socket.socket]:
    """Open *count* websockets that are idle after one message."""
    return [upgraded(port) for _ in range(count)]


def main() -> None:
    """Print the answers per second of each server, as JSON; so is the order.

    Each is asked with its own request, or if that is none, for echoes over websockets.
    """
    order = json.loads(sys.argv[1])
    if order["cores"]:
        os.sched_setaffinity(0, order["cores"])
    connections = order["connections"]
    asked = [
        echoing(process, port, connections)
        if request is None
        else asking(process, port, connections, request.encode())
        for process, port, request in order["servers"]
    ]
    print(json.dumps(in_turns(asked, order["seconds"])))


if __name__ == "__main__":
    main()
