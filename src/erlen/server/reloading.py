"""Starting anew when the code changes: a parent that keeps the sockets, a child that serves.

The parent runs the command line of this very process again, as its child, and hands it the
open sockets. The child watches its own files, because it knows which ones it has loaded, and
leaves with :data:`CHANGED`. A connection that comes in between waits in the queue of a socket.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from .addresses import open_inherited
from .interrupts import accept_ctrl_c, holding_back_ctrl_c
from .output import say
from .watching import Watcher, shown

__all__ = ["CHANGED", "Lineage", "Supervisor", "watch"]

CHANGED = 75
"""Exit code of a child that wants to be started again."""

_VARIABLE = "ERLEN_RELOADER"
_TIME_TO_STOP = 8.0

_STOPPED = b"""HTTP/1.1 503 Service Unavailable\r
Content-Type: text/plain; charset=utf-8\r
Cache-Control: no-store\r
Connection: close\r
\r
The app stopped, and the terminal says why. It starts again as soon as a file is saved.
"""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a child inherits."""

    parent: int
    generation: int
    """0 for the first child."""
    sockets: list[socket.socket]

    @classmethod
    def of_this_process(cls) -> Lineage | None:
        """Return what this process inherits, ``None`` if it is no child; once.

        Programs that the app starts later inherit nothing.
        """
        text = os.environ.pop(_VARIABLE, None)
        if text is None:
            return None
        accept_ctrl_c()
        parent, generation, numbers = text.split("/")
        sockets = [open_inherited(int(number)) for number in numbers.split(",")]
        return cls(int(parent), int(generation), sockets)


class Supervisor:
    """The parent: starts children until one is done or a signal comes.

    *forget* are environment variables that each child finds out for itself.
    """

    def __init__(
        self, sockets: list[socket.socket], watcher: Watcher, *, forget: Collection[str] = ()
    ) -> None:
        self.sockets = sockets
        self.watcher = watcher
        self.forget = forget
        self.stopping = False
        self._child: subprocess.Popen[Any] | None = None
        self._killer: threading.Timer | None = None

    def run(self) -> int:
        """Return the exit code that this process should have."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._stop) for number in signals}
        try:
            return self._run()
        finally:
            if self._killer is not None:
                self._killer.cancel()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        generation = 0
        while not self.stopping:
            code = self._run_child(generation)
            if self.stopping or code == 0:
                break
            if code != CHANGED:
                if generation == 0:
                    return code if code > 0 else 128 - code
                self._wait_for_change(code)
            generation += 1
        return 0

    def _run_child(self, generation: int) -> int:
        numbers = [sock.fileno() for sock in self.sockets]
        lineage = f"{os.getpid()}/{generation}/{','.join(map(str, numbers))}"
        environ = {name: text for name, text in os.environ.items() if name not in self.forget}
        options: dict[str, Any] = {"env": {**environ, _VARIABLE: lineage}}
        if sys.platform == "win32":
            options["close_fds"] = False
            for sock in self.sockets:
                sock.set_inheritable(True)
        else:
            options["pass_fds"] = numbers
        command = [sys.executable, *sys.orig_argv[1:]]
        with holding_back_ctrl_c():
            child: subprocess.Popen[Any] = subprocess.Popen(command, **options)
            self._child = child
        if self.stopping:
            child.terminate()
        return child.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        child = self._child
        if not self.stopping and child is not None:
            # A Ctrl+C has reached the child too; of a SIGTERM it knows nothing yet.
            with suppress(OSError):
                child.terminate()
            self._killer = threading.Timer(_TIME_TO_STOP, child.kill)
            self._killer.daemon = True
            self._killer.start()
        self.stopping = True

    def _wait_for_change(self, code: int) -> None:
        """Answer in place of a child that died, until a file changes."""
        say(f" * The app stopped with exit code {code}. It starts again when a file is saved.")
        self.watcher.look()
        due = time.monotonic() + self.watcher.pause
        while not self.stopping:
            ready, _, _ = select.select(self.sockets, [], [], 0.1)
            for sock in ready:
                _say_stopped(sock)
            if time.monotonic() < due:
                continue
            if (file := self.watcher.look(for_new=True)) is not None:
                say(f" * Detected change in {shown(file)!r}, starting again")
                return
            due = time.monotonic() + self.watcher.pause


def _say_stopped(sock: socket.socket) -> None:
    with suppress(OSError):
        connection, _ = sock.accept()
        with connection:
            connection.settimeout(0.5)
            connection.recv(65536)
            connection.sendall(_STOPPED)


def watch(
    watcher: Watcher, lineage: Lineage, changed: Callable[[str | None], None]
) -> threading.Event:
    """Call *changed* once, from a thread: with a file that changed, or when the parent is gone.

    Set the event that is returned to stop watching.
    """
    watcher.look()
    stop = threading.Event()

    def keep_looking() -> None:
        while not stop.wait(watcher.pause):
            file = watcher.look()
            if file is not None or os.getppid() != lineage.parent:
                changed(file)
                return

    threading.Thread(target=keep_looking, name="erlen-reloader", daemon=True).start()
    return stop
