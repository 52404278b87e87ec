"""The sockets that an app is served on, and what they are called. Knows no server."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
import sys
from contextlib import suppress

from .settings import Settings

__all__ = ["BACKLOG", "ListenError", "close", "listen", "open_inherited", "urls_of"]

BACKLOG = 2048
_WILDCARDS = ("", "0.0.0.0", "::")


class ListenError(Exception):
    """An address cannot be served on; the message says why and what to do."""


def listen(settings: Settings) -> list[socket.socket]:
    """Open the sockets to serve on.

    Connections queue from here on. A host name with several addresses gives several.

    :raises ListenError: if that is not possible.
    """
    _check_certificate(settings)
    if settings.fd is not None:
        return [open_inherited(settings.fd)]
    if settings.uds is not None:
        return [_listen_unix(settings.uds)]
    return _listen_tcp(settings.host, settings.port)


def open_inherited(number: int) -> socket.socket:
    """Return the listening socket that was handed to this process as a file descriptor.

    :raises ListenError: if there is none.
    """
    try:
        return socket.socket(fileno=number)
    except OSError as error:
        raise ListenError(
            f"File descriptor {number} is no open socket ({error.strerror}). The program that"
            " starts this one has to open it and pass it on."
        ) from error


def close(sockets: list[socket.socket], settings: Settings) -> None:
    """Close *sockets*, and remove the file of a Unix socket."""
    for sock in sockets:
        sock.close()
    if settings.uds is not None and settings.fd is None:
        with suppress(FileNotFoundError):
            os.unlink(settings.uds)


def _check_certificate(settings: Settings) -> None:
    if settings.cert is None or isinstance(settings.cert, ssl.SSLContext):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        raise ListenError(
            f"{settings.cert!r} with the private key in {settings.key or settings.cert!r} cannot"
            f" be used for https: {error}."
        ) from error


# -- opening -----------------------------------------------------------------------------------


def _listen_tcp(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"{host!r} is no host to serve on: {reason}.") from error
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        if sockets and not port:
            # Any free port, but the same one for each address.
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            sockets.append(_open(family, address))
        except OSError as error:
            failure = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break
    else:
        if sockets:
            return sockets
    for sock in sockets:
        sock.close()
    raise ListenError(_why_not(failure or OSError("nothing found"), host, port)) from failure


def _open(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        message = (
            f"Port {port} is in use by another program. Stop that program, or choose another"
            f" port: --port {port + 1}."
        )
        if sys.platform == "darwin" and port == 5000:
            message += (
                " On macOS it may be the AirPlay Receiver; it is switched off in System Settings."
            )
        return message
    if error.errno == errno.EACCES:
        return f"This user may not serve on port {port}. Ports from 1024 on are free to use."
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{host!r} is no address of this machine. Use --host 127.0.0.1 for this machine"
            " alone, or --host 0.0.0.0 for all that can reach it."
        )
    return f"{host}:{port} cannot be served on: {error.strerror or error}."


def _listen_unix(path: str) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise ListenError("This platform has no Unix sockets. Use a host and a port.")
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        # WHY: the web server in front runs as somebody else. Who may connect is decided by
        # the permissions of the folder.
        os.chmod(path, 0o666)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(f"{path!r} cannot be served on: {error.strerror or error}.") from error
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket of a server that ended without doing so.

    :raises ListenError: if somebody serves on it, or the file is no socket.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path!r} exists and is no socket. Choose another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
            return
    raise ListenError(f"The socket {path!r} is in use by another program.")


# -- naming ------------------------------------------------------------------------------------


def urls_of(sockets: list[socket.socket], settings: Settings) -> list[str]:
    """Return the URLs that lead to *sockets*, the one to click first."""
    first = sockets[0]
    if first.family not in (socket.AF_INET, socket.AF_INET6):
        return [f"unix:{first.getsockname()}"]
    scheme = "https" if settings.cert is not None else "http"
    host, port = first.getsockname()[:2]
    if settings.fd is None and settings.host not in _WILDCARDS:
        return [_url(scheme, settings.host, port)]
    if host not in _WILDCARDS:
        return [_url(scheme, host, port)]
    local = "127.0.0.1" if first.family == socket.AF_INET else "::1"
    addresses = dict.fromkeys((local, _own_address(first.family)))
    return [_url(scheme, address, port) for address in addresses if address]


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _own_address(family: int) -> str:
    """Return the address that others on the network reach this machine by, or nothing.

    Connecting a datagram socket sends nothing; it chooses the way that packets would take.
    """
    somewhere = "192.0.2.1" if family == socket.AF_INET else "2001:db8::1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((somewhere, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
