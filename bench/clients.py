"""What asks a server: sockets that write prepared bytes. A process of its own, on its own core."""

from __future__ import annotations

import json
import os
import re
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


def echoing(port: int, connections: int) -> tuple[list[socket.socket], int]:
    """Open websockets; return them and how many bytes each echo has."""
    return [upgraded(port) for _ in range(connections)], len(ECHO)


def asking(port: int, connections: int, request: bytes) -> tuple[list[socket.socket], int]:
    """Open connections and ask on each; return them and how many bytes an answer has.

    :raises SystemExit: if one answers with something else than a 200.
    """
    links: list[socket.socket] = []
    size = 0
    for _ in range(connections):
        links.append(link := socket.create_connection(("127.0.0.1", port), timeout=10))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(request)
        answer = whole(link)
        if not answer.startswith(b"HTTP/1.1 200"):
            link.close()
            raise SystemExit(f"not an answer: {answer[:200]!r}")
        size = len(answer)
    return links, size


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


def busily(
    process: int, links: list[socket.socket], question: bytes, size: int, seconds: float
) -> float:
    """Return how many answers of *size* bytes come on all *links* at once, while the server works.

    For each second that it had a processor; *process* is its number. This never sleeps: the
    server would have to wake it, the more often the slower it is, and that would count as its
    work.

    :raises SystemExit: if an answer has more bytes, or the server closes a connection.
    """
    by_number = {link.fileno(): link for link in links}
    poll = select.epoll()
    missing = dict.fromkeys(by_number, size)
    for number, link in by_number.items():
        poll.register(number, select.EPOLLIN)
        link.sendall(question)
    count, before = 0, 0.0
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + WARM_UP + seconds:
        if not before and now > begin + WARM_UP:
            count, before = 0, processor_seconds(process)
        for number, _ in poll.poll(0):
            link = by_number[number]
            if not (piece := link.recv(4096)):
                raise SystemExit("the server closed a connection")
            missing[number] -= len(piece)
            if missing[number] <= 0:
                if missing[number]:
                    raise SystemExit(f"an answer has more than {size} bytes")
                count += 1
                missing[number] = size
                link.send(question)
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
    """Print the answers per second that come on so many connections; the order is JSON.

    It asks with the given request, or if there is none, for echoes over websockets.
    """
    process, port, connections, seconds, cores, request = json.loads(sys.argv[1])
    if cores:
        os.sched_setaffinity(0, cores)
    if request is None:
        question, (links, size) = FRAME, echoing(port, connections)
    else:
        question = request.encode()
        links, size = asking(port, connections, question)
    print(busily(process, links, question, size, seconds))


if __name__ == "__main__":
    main()
