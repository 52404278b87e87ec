"""A certificate for https on this machine, made when it is asked for. Knows no server."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .settings import ADHOC, Settings

__all__ = ["certified"]

_FOLDER = "ERLEN_ADHOC_FOLDER"
"""Where a process that starts us anew keeps the files: a browser asks about each new one."""

_CERTIFICATE = "certificate.pem"
_KEY = "key.pem"
_NAMES = ("localhost", "*.localhost", "127.0.0.1", "::1")


@contextmanager
def certified(settings: Settings) -> Generator[Settings]:
    """Yield *settings* with the files of a certificate, if they ask for one to be made.

    It is nobody's but its own: browsers and clients have to be told to trust it.
    """
    if settings.cert != ADHOC:
        yield settings
        return
    known = os.environ.get(_FOLDER)
    if known is not None:
        yield _with_files(settings, known)
        return
    with TemporaryDirectory(prefix="erlen-") as folder:
        _write(Path(folder), {*_NAMES, settings.host})
        os.environ[_FOLDER] = folder
        try:
            yield _with_files(settings, folder)
        finally:
            del os.environ[_FOLDER]


def _with_files(settings: Settings, folder: str) -> Settings:
    return replace(
        settings,
        cert=os.path.join(folder, _CERTIFICATE),
        key=os.path.join(folder, _KEY),
    )


def _write(folder: Path, names: set[str]) -> None:
    """Make a certificate for *names* that signs itself, and its key."""
    # WHY: not needed to serve, and only here to make a key; so it has no types for us.
    x509: Any = import_module("cryptography.x509")
    hashes: Any = import_module("cryptography.hazmat.primitives.hashes")
    serialization: Any = import_module("cryptography.hazmat.primitives.serialization")
    ec: Any = import_module("cryptography.hazmat.primitives.asymmetric.ec")

    secret = ec.generate_private_key(ec.SECP256R1())
    owner = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Erlen, for development")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(owner, owner, secret.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=30))
    alternatives = x509.SubjectAlternativeName([_general_name(x509, name) for name in names])
    builder = builder.add_extension(alternatives, critical=False)
    made = builder.sign(secret, hashes.SHA256())
    (folder / _CERTIFICATE).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / _KEY).write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _general_name(x509: Any, name: str) -> Any:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
