"""How an app is to be served, as data."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ..errors import SetupValueError

__all__ = ["ADHOC", "LOG_LEVELS", "Settings"]

ADHOC = "adhoc"
"""In place of a certificate's file: one that is made for this run."""

LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where and how to serve.

    :raises SetupValueError: if two of them do not go together, or a file is missing.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    """0 takes any free port."""
    uds: str | None = None
    """Path of a Unix socket to serve on instead of host and port."""
    fd: int | None = None
    """Number of an open socket to serve on instead of host and port."""
    debug: bool = False
    reload: bool = False
    """Whether to start anew when a file of the app changes."""
    extra_files: tuple[str, ...] = ()
    """More files to watch."""
    exclude_patterns: tuple[str, ...] = ()
    """Files not to watch, as shell patterns of the whole path."""
    workers: int = 1
    """Number of processes."""
    cert: str | ssl.SSLContext | None = None
    """File with the certificate chain, for https; ``"adhoc"`` makes one for this run, for
    development. Or a context that has all it needs."""
    key: str | None = None
    """File with the private key; ``None``: it is in the file of the certificate."""
    root_path: str = ""
    """The path below which a proxy in front shows the app."""
    log_level: str | None = None
    """Of the server's own messages; ``None``: warnings, and what a person wants to know."""
    access_log: bool = True
    graceful_timeout: float | None = None
    """Seconds that open requests have to end when the server stops; ``None``: what
    ``SHUTDOWN_GRACE`` of the app says, and for an app that is none of ours 3, or 0.5 while
    developing."""
    head_timeout: float | None = 30.0
    """Seconds that a connection may wait for the whole head of a request, be it idle or slow;
    a quarter more at most. ``None``: for ever. After a response, an idle one is closed sooner:
    after the ``timeout_keep_alive`` of uvicorn, 5."""
    max_head_size: int = 64 * 1024
    """Bytes of the first line and the headers of a request."""
    uvicorn: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More settings, as uvicorn names them; these win."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SetupValueError(f"There is at least one worker, not {self.workers}.")
        if self.reload and self.workers > 1:
            raise SetupValueError(
                f"Reloading works with one process, not with {self.workers} workers. Leave one of"
                " the two out: --no-reload, or no --workers."
            )
        if self.head_timeout is not None and self.head_timeout <= 0:
            raise SetupValueError(
                f"The head of a request takes some time: head_timeout is {self.head_timeout!r}."
                " None waits for ever."
            )
        if self.max_head_size < 1024:
            raise SetupValueError(
                f"No request fits into a head of {self.max_head_size} bytes: max_head_size is 1024"
                " or more."
            )
        if self.key is not None and self.cert is None:
            raise SetupValueError("A private key alone is not enough for https: pass cert too.")
        if self.cert == ADHOC or isinstance(self.cert, ssl.SSLContext):
            self._check_made_certificate()
        else:
            for name, file in (("certificate", self.cert), ("private key", self.key)):
                if file is not None and not os.path.isfile(file):
                    raise SetupValueError(f"The file of the {name} does not exist: {file!r}.")
            if self.cert is not None and self.key is None and not _has_key(self.cert):
                raise SetupValueError(
                    f"There is no private key in the file of the certificate: {self.cert!r}. If it"
                    " has a file of its own, pass that as key too."
                )
        if self.log_level is not None and self.log_level not in LOG_LEVELS:
            raise SetupValueError(
                f"The log level is one of {', '.join(LOG_LEVELS)}, not {self.log_level!r}."
            )

    def _check_made_certificate(self) -> None:
        if self.key is not None:
            raise SetupValueError("A private key belongs to the file of a certificate.")
        if self.cert == ADHOC:
            try:
                import_module("cryptography")
            except ImportError:
                raise SetupValueError(
                    "The package cryptography makes the certificate for 'adhoc': pip install"
                    " cryptography"
                ) from None
        elif self.workers > 1:
            raise SetupValueError(
                "An SSLContext belongs to one process: give the workers the files of certificate"
                " and key."
            )

    @property
    def patience(self) -> float:
        """Seconds that open requests have to end when the server stops, if the app says none."""
        if self.graceful_timeout is not None:
            return self.graceful_timeout
        return 0.5 if self.debug or self.reload else 3.0


def _has_key(file: str) -> bool:
    # RFC 7468, 10 and 11, and the older kinds: "RSA PRIVATE KEY", "EC PRIVATE KEY".
    with open(file, "rb") as opened:
        return b"PRIVATE KEY-----" in opened.read()
