"""What asks a server: sockets that write prepared bytes. A process of its own, on its own core."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

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


def echoes(process: int, port: int, connections: int, seconds: float) -> float:
    """Return how many messages come back to *connections* open at once, while the server works.

    For each second that it had a processor; *process* is its number.
    """
    links = {link.fileno(): link for link in (upgraded(port) for _ in range(connections))}
    poll = select.epoll()
    missing = dict.fromkeys(links, len(ECHO))
    for number, link in links.items():
        poll.register(number, select.EPOLLIN)
        link.sendall(FRAME)
    count, before = 0, 0.0
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + WARM_UP + seconds:
        if not before and now > begin + WARM_UP:
            count, before = 0, processor_seconds(process)
        for number, _ in poll.poll(1):
            link = links[number]
            missing[number] -= len(link.recv(4096))
            if not missing[number]:
                count += 1
                missing[number] = len(ECHO)
                link.send(FRAME)
    return rate(count, processor_seconds(process) - before)


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
    """Print the messages per second that come back; what is asked of :func:`echoes` is JSON."""
    process, port, connections, seconds, cores = json.loads(sys.argv[1])
    if cores:
        os.sched_setaffinity(0, cores)
    print(echoes(process, port, connections, seconds))


if __name__ == "__main__":
    main()
