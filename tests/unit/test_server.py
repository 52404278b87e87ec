"""The server: where it listens, what it writes, what it watches, how it starts and ends."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from erlen import Erlen, SetupError
from erlen.cli import ErlenGroup, cli
from erlen.cli.run import make_app, run_command
from erlen.server import ListenError, Settings, Target, ignoring_calls_of_run, protocols, run, start
from erlen.server import addresses as addresses_module
from erlen.server.addresses import close, listen, open_inherited, urls_of
from erlen.server.certificates import certified
from erlen.server.failing import Broken, Forgiving
from erlen.server.interrupts import accept_ctrl_c, holding_back_ctrl_c
from erlen.server.output import AccessFormatter, MessageFormatter, News, banner, log_config, where
from erlen.server.reloading import CHANGED, Lineage, Supervisor, watch
from erlen.server.serving import FORCED, Config, make_config
from erlen.server.watching import Watcher, files_of, shown

with contextlib.suppress(ImportError):  # now: it cannot be imported twice, see below
    import cryptography.x509  # noqa: F401

REPOSITORY = f"{Path(__file__).parents[2]}/*"
"""These tests are loaded too; nobody shall interfere who edits them meanwhile."""
LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


@pytest.fixture(autouse=True)
def untouched():
    """Loggers, environment and import paths, put back."""
    environ, path, modules = dict(os.environ), list(sys.path), set(sys.modules)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, handlers, level, propagate in before:
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "There is at least one worker, not 0."),
        ({"reload": True, "workers": 2}, "Reloading works with one process, not with 2 workers."),
        ({"key": __file__}, "A private key alone is not enough for https: pass cert too."),
        ({"cert": "no.pem"}, "The file of the certificate does not exist: 'no.pem'."),
        ({"cert": __file__, "key": "no"}, "The file of the private key does not exist: 'no'."),
        ({"cert": logging.__file__}, "There is no private key in the file of the certificate: '"),
        ({"log_level": "loud"}, "The log level is one of critical, error, warning, info,"),
    ],
)
def test_settings_that_cannot_work_are_refused(options, message):
    with pytest.raises(SetupError) as caught:
        Settings(**options)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 3.0),
        ({"debug": True}, 0.5),
        ({"reload": True}, 0.5),
        ({"debug": True, "graceful_timeout": 7.5}, 7.5),
    ],
)
def test_open_requests_get_less_time_while_developing(options, seconds):
    assert Settings(**options).patience == seconds


# -- addresses ---------------------------------------------------------------------------------


@pytest.fixture
def listening():
    """``listening(**settings)`` listens, and closes in the end."""
    opened = []

    def begin(**options):
        settings = Settings(**{"port": 0, **options})
        sockets = listen(settings)
        opened.append((sockets, settings))
        return sockets, settings

    yield begin
    for sockets, settings in opened:
        close(sockets, settings)


def test_a_free_port_is_found_and_named(listening):
    sockets, settings = listening()
    port = sockets[0].getsockname()[1]

    with socket.create_connection(("127.0.0.1", port)):
        pass

    assert urls_of(sockets, settings) == [f"http://127.0.0.1:{port}"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "::"])
def test_addresses_of_ipv6_are_put_into_brackets(listening, host):
    sockets, settings = listening(host=host)
    port = sockets[0].getsockname()[1]

    assert urls_of(sockets, settings)[0] == f"http://[::1]:{port}"


@needs_ipv6
def test_a_name_with_several_addresses_is_served_on_all_with_one_port(listening, monkeypatch):
    resolve_to(monkeypatch, "127.0.0.1", "::1", "127.0.0.1")

    sockets, settings = listening(host="localhost")

    ports = {sock.getsockname()[1] for sock in sockets}
    assert [sock.family for sock in sockets] == [socket.AF_INET, socket.AF_INET6]
    assert urls_of(sockets, settings) == [f"http://localhost:{ports.pop()}"]
    assert not ports


def resolve_to(monkeypatch, *hosts):
    """Let every name have the addresses *hosts*: what the machine's own resolver may say."""
    real = socket.getaddrinfo
    found = [item for host in hosts for item in real(host, 0, type=socket.SOCK_STREAM)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)


def test_addresses_that_the_machine_does_not_have_are_left_out(listening, monkeypatch):
    resolve_to(monkeypatch, "192.0.2.1", "127.0.0.1")

    sockets, _ = listening(host="some.name")

    assert len(sockets) == 1


def test_all_addresses_are_named_by_those_to_click_on(listening):
    sockets, settings = listening(host="0.0.0.0")
    port = sockets[0].getsockname()[1]

    urls = urls_of(sockets, settings)

    assert urls[0] == f"http://127.0.0.1:{port}"
    assert "0.0.0.0" not in "".join(urls)


def test_a_machine_without_a_network_is_reached_by_itself_alone(listening, monkeypatch):
    sockets, settings = listening(host="0.0.0.0")

    class NoNetwork(socket.socket):
        def connect(self, address):
            raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "socket", NoNetwork)

    assert len(urls_of(sockets, settings)) == 1


def test_a_busy_port_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        with pytest.raises(ListenError) as caught:
            listen(Settings(port=port))

    assert str(caught.value) == (
        f"Port {port} is in use by another program. Stop that program, or choose another port:"
        f" --port {port + 1}."
    )


def test_a_busy_port_5000_on_macos_may_be_its_own(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    resolve_to(monkeypatch, "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = (socket.AF_INET, 1, 6, "", busy.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [address])

        with pytest.raises(ListenError, match="AirPlay Receiver"):
            listen(Settings(port=5000))


@needs_ipv6
def test_no_socket_is_left_open_when_one_of_several_is_busy(monkeypatch):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as busy:
        port = busy.getsockname()[1]
        found = [
            (socket.AF_INET, 1, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET6, 1, 6, "", ("::1", port, 0, 0)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)

        with pytest.raises(ListenError, match="in use"):
            listen(Settings(host="localhost", port=port))

    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", "'192.0.2.1' is no address of this machine. Use --host 127.0.0.1"),
        ("nothing.invalid", "'nothing.invalid' is no host to serve on: "),
    ],
)
def test_a_host_that_is_none_of_ours_is_named(host, message):
    with pytest.raises(ListenError) as caught:
        listen(Settings(host=host, port=0))

    assert str(caught.value).startswith(message)


def test_a_port_that_is_none_is_refused():
    with pytest.raises(ListenError, match="is no host to serve on"):
        listen(Settings(port=10**30))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "denied"), "This user may not serve on port 80. Ports from 1024 on"),
        (OSError(71, "Protocol error"), "127.0.0.1:80 cannot be served on: Protocol error."),
        (OSError("odd"), "127.0.0.1:80 cannot be served on: odd."),
    ],
)
def test_what_the_system_refuses_is_explained(monkeypatch, error, message):
    class Refusing(socket.socket):
        def bind(self, address):
            raise error

    monkeypatch.setattr(socket, "socket", Refusing)

    with pytest.raises(ListenError) as caught:
        listen(Settings(port=80))

    assert str(caught.value).startswith(message)


def test_a_name_without_any_address_is_an_error(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [])

    with pytest.raises(ListenError, match="nothing found"):
        listen(Settings(port=0))


def test_a_certificate_that_is_none_is_refused(tmp_path):
    file = tmp_path / "cert.pem"
    file.write_text("no certificate")

    with pytest.raises(ListenError) as caught:
        listen(Settings(cert=str(file), key=str(file), port=0))

    assert "cannot be used for https" in str(caught.value)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", key, "-out", cert, "-days", "2", *subject]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def test_a_certificate_makes_it_https(listening, certificate):
    cert, key = certificate

    sockets, settings = listening(cert=cert, key=key)

    assert urls_of(sockets, settings)[0].startswith("https://127.0.0.1:")


def test_a_certificate_is_enough_if_its_key_is_in_the_same_file(listening, certificate, tmp_path):
    both = tmp_path / "both.pem"
    both.write_text("".join(Path(file).read_text() for file in certificate))

    sockets, settings = listening(cert=str(both))

    assert urls_of(sockets, settings)[0].startswith("https://127.0.0.1:")


def test_a_certificate_is_made_for_this_run(listening):
    pytest.importorskip("cryptography")

    with certified(Settings(cert="adhoc", host="127.0.0.1")) as settings:
        listening(cert=settings.cert, key=settings.key)
        trusting = ssl.create_default_context(cafile=settings.cert)
        with certified(Settings(cert="adhoc")) as after_a_change:
            assert (after_a_change.cert, after_a_change.key) == (settings.cert, settings.key)

    assert trusting.cert_store_stats()["x509"] == 1
    assert not os.path.exists(settings.cert)
    assert "ERLEN_ADHOC_FOLDER" not in os.environ


def test_no_certificate_is_made_where_none_was_asked_for():
    settings = Settings()

    with certified(settings) as same:
        assert same is settings


def test_a_certificate_is_not_made_without_the_package_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(SetupError, match="pip install cryptography"):
        Settings(cert="adhoc")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"key": __file__}, "A private key belongs to"), ({"workers": 2}, "belongs to one process")],
)
def test_a_context_for_https_stands_alone(options, message):
    with pytest.raises(SetupError, match=message):
        Settings(cert=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), **options)


def test_a_socket_that_is_open_can_be_served_on(listening):
    with socket.create_server(("127.0.0.1", 0)) as given:
        sockets, settings = listening(fd=os.dup(given.fileno()))

        assert urls_of(sockets, settings) == [f"http://127.0.0.1:{given.getsockname()[1]}"]


def test_a_descriptor_that_is_no_socket_is_named():
    with open(__file__) as file, pytest.raises(ListenError) as caught:
        open_inherited(file.fileno())

    assert "is no open socket" in str(caught.value)


def test_a_unix_socket_is_open_while_it_is_served_on(tmp_path):
    path = str(tmp_path / "s")
    settings = Settings(uds=path)

    sockets = listen(settings)

    assert urls_of(sockets, settings) == [f"unix:{path}"]
    assert os.stat(path).st_mode & 0o777 == 0o666
    close(sockets, settings)
    assert not os.path.exists(path)
    close(sockets, settings)


def test_a_unix_socket_that_somebody_left_behind_is_replaced(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)

    settings = Settings(uds=path)
    sockets = listen(settings)

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    close(sockets, settings)


def test_a_unix_socket_in_use_is_left_alone(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(path)
        alive.listen()

        with pytest.raises(ListenError, match="in use by another program"):
            listen(Settings(uds=path))

    assert os.path.exists(path)


def test_a_file_is_no_socket_and_is_left_alone(tmp_path):
    path = tmp_path / "s"
    path.write_text("mine")

    with pytest.raises(ListenError, match="exists and is no socket"):
        listen(Settings(uds=str(path)))

    assert path.read_text() == "mine"


def test_a_unix_socket_in_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ListenError, match="cannot be served on: No such file"):
        listen(Settings(uds=str(tmp_path / "no" / "s")))


def test_without_unix_sockets_there_is_advice(monkeypatch):
    monkeypatch.delattr(socket, "AF_UNIX")

    with pytest.raises(ListenError, match="Use a host and a port"):
        listen(Settings(uds="s"))


def test_reused_addresses_are_left_to_windows_itself(monkeypatch, listening):
    monkeypatch.setattr(addresses_module.sys, "platform", "win32")

    sockets, _ = listening()

    assert sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0


# -- output ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("debug", "lines"),
    [
        (False, [" * Serving Erlen app 'hello'", " * Debug mode: off"]),
        (
            True,
            [
                " * Serving Erlen app 'hello'",
                " * Debug mode: on",
                "WARNING: Debug mode shows the code of the app to everyone who can reach it."
                " Never use it in production.",
            ],
        ),
    ],
)
def test_only_debug_mode_is_warned_of(capsys, debug, lines):
    banner("hello", Settings(debug=debug))

    assert capsys.readouterr().err.splitlines() == lines


def test_what_serves_where_is_written(capsys):
    where(["http://127.0.0.1:5000", "http://10.0.0.2:5000"], ["httptools", "uvloop"])

    assert capsys.readouterr().err.splitlines() == [
        " * Running on http://127.0.0.1:5000 (httptools, uvloop)",
        " * Running on http://10.0.0.2:5000",
        "Press CTRL+C to quit",
    ]


def test_after_a_reload_little_is_written(capsys):
    where(["http://127.0.0.1:5000"], ["h11"], again=True)

    assert capsys.readouterr().err == " * Running again on http://127.0.0.1:5000\n"


def record_of(*args, message="", level=logging.INFO, **changes):
    record = logging.LogRecord("uvicorn.error", level, "/x/server.py", 1, message, args, None)
    record.created = 1_700_000_000.5
    vars(record).update(changes)
    return record


def access(client="127.0.0.1:5", method="GET", path="/", version="1.1", status=200):
    return record_of(client, method, path, version, status)


def test_a_request_is_a_line():
    line = AccessFormatter().format(access())

    when = time.strftime("%d/%b/%Y %H:%M:%S", time.localtime(1_700_000_000))
    assert line == f'127.0.0.1 - - [{when}] "GET / HTTP/1.1" 200 -'


def test_lines_of_one_second_have_the_same_time():
    formatter = AccessFormatter()

    first, second = formatter.format(access()), formatter.format(access())

    assert first == second


@pytest.mark.parametrize(
    ("client", "shown_as"),
    [("::1:80", "::1"), ("", "-"), ("\x1b[31m:0", "\\x1b[31m")],
)
def test_a_client_is_named_without_its_port(client, shown_as):
    assert AccessFormatter().format(access(client=client)).startswith(f"{shown_as} - - [")


@pytest.mark.parametrize("path", ["/\x1b[2J", "/a\nFAKE - - [now]", "/\u202e"])
def test_nobody_forges_a_line_of_the_access_log(path):
    line = AccessFormatter().format(access(path=path))

    assert line.isprintable()


@pytest.mark.parametrize(
    ("status", "style"),
    [
        (100, "\x1b[1m"),
        (200, '"GET'),
        (301, "\x1b[32m"),
        (304, "\x1b[36m"),
        (403, "\x1b[31m\x1b[1m"),
        (404, "\x1b[33m"),
        (500, "\x1b[35m\x1b[1m"),
        (999, '"GET'),
    ],
)
def test_on_a_terminal_the_status_has_a_colour(monkeypatch, status, style):
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.delenv("NO_COLOR", raising=False)

    line = AccessFormatter().format(access(status=status))

    assert line.split("] ", 1)[1].startswith(style)


def test_colours_can_be_switched_off(monkeypatch):
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b" not in AccessFormatter().format(access(status=500))


def test_messages_of_the_server_are_lines_without_control_characters():
    formatter = MessageFormatter()

    info = formatter.format(record_of("x\x1b", message="Got %s\n"))
    error = formatter.format(record_of(message="Failed\nbadly", level=logging.ERROR))

    assert info == "Got x\\x1b"
    assert error == " * ERROR: Failed\nbadly"


QUIET = {"everything": False, "access": True, "waiting": True}
WAITING = "Waiting for connections to close. (CTRL+C to force quit)"
SOCKET = '%s - "WebSocket %s" [accepted]'


@pytest.mark.parametrize(
    ("options", "record", "passes"),
    [
        ({}, {"message": "Application startup complete."}, False),
        ({"everything": True}, {"message": "Application startup complete."}, True),
        ({}, {"message": "Careful", "level": logging.WARNING}, True),
        ({}, {"message": "Child process died", "module": "multiprocess"}, True),
        ({}, {"message": SOCKET}, True),
        ({"access": False, "everything": True}, {"message": SOCKET}, False),
        ({"access": False}, {"message": SOCKET, "level": logging.ERROR}, True),
        ({}, {"message": WAITING}, True),
        ({"waiting": False}, {"message": WAITING}, False),
    ],
)
def test_news_are_told_and_routine_is_not(options, record, passes):
    assert News(**{**QUIET, **options}).filter(record_of(**record)) is passes


def test_requests_that_a_stop_cancelled_are_no_news():
    def failed(error):
        return record_of(
            message="Exception in ASGI application\n",
            level=logging.ERROR,
            exc_info=(type(error), error, None),
        )

    news = News(**QUIET)

    assert news.filter(failed(asyncio.CancelledError())) is False
    assert news.filter(failed(ValueError())) is True


def test_loggers_that_the_app_configured_are_left_alone():
    logging.getLogger("uvicorn.access").addHandler(logging.NullHandler())

    assert set(log_config(Settings())["loggers"]) == {"uvicorn", "uvicorn.error"}

    logging.getLogger("uvicorn").addHandler(logging.NullHandler())

    assert log_config(Settings())["loggers"] == {}


@pytest.mark.parametrize(
    ("level", "expected"), [(None, "INFO"), ("warning", "WARNING"), ("trace", "DEBUG")]
)
def test_the_level_is_that_of_the_settings(level, expected):
    config = log_config(Settings(log_level=level))

    assert config["loggers"]["uvicorn.error"]["level"] == expected


# -- protocols ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("installed", "names"),
    [(True, ["httptools", "uvloop"]), (False, ["h11", "asyncio"])],
)
def test_the_fastest_parts_that_are_there_are_taken(monkeypatch, installed, names):
    monkeypatch.setattr(protocols, "find_spec", lambda name: object() if installed else None)

    assert [protocols.parser_name(), protocols.loop_name()] == names
    assert protocols.protocol() == f"erlen.server.protocols.with_{names[0]}:HttpProtocol"


# -- apps that stand in ------------------------------------------------------------------------


class Lifespan:
    """Speaks the lifespan protocol with *app*, and requests something in between."""

    def __init__(self, app):
        self.app = app
        self.inbox = asyncio.Queue()
        self.sent = []
        self.arrived = asyncio.Event()

    async def send(self, message):
        self.sent.append(message["type"])
        self.arrived.set()

    async def __aenter__(self):
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self.task = asyncio.create_task(self.app(scope, self.inbox.get, self.send))
        await self.inbox.put({"type": "lifespan.startup"})
        await self.arrived.wait()
        return self

    async def __aexit__(self, *error):
        await self.inbox.put({"type": "lifespan.shutdown"})
        await self.task


async def get(app, path="/", kind="http"):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "headers": [(b"host", b"localhost")]}
    scope |= {"query_string": b"", "root_path": "", "scheme": "http", "client": None}
    await app(scope, receive, send)
    return sent


async def test_an_app_that_is_broken_shows_why_to_every_request():
    app = Broken(ValueError("no way"))

    async with Lifespan(app) as lifespan:
        start, body = await get(app)

    assert start["status"] == 500
    assert b"ValueError: no way" in body["body"]
    assert lifespan.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_app_that_is_broken_closes_websockets():
    assert await get(Broken(ValueError()), kind="websocket") == [
        {"type": "websocket.close", "code": 1011}
    ]


async def test_an_app_that_starts_is_served_as_it_is():
    app = Erlen("fine")
    app.add_url_rule("/", "index", lambda: "hello", inline=True)
    forgiving = Forgiving(app)

    async with Lifespan(forgiving) as lifespan:
        start, body = await get(forgiving)

    assert (start["status"], body["body"]) == (200, b"hello")
    assert lifespan.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_app_that_fails_to_start_shows_why(caplog):
    app = Erlen("bad")
    caplog.set_level(logging.CRITICAL, logger="bad")

    @app.before_serving
    async def fail():
        raise ValueError("no database")

    forgiving = Forgiving(app)

    async with Lifespan(forgiving) as lifespan:
        start, body = await get(forgiving)

    assert start["status"] == 500
    assert b"ValueError: no database" in body["body"]
    assert lifespan.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_foreign_app_that_fails_to_start_shows_what_it_said():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "out of tea"})

    forgiving = Forgiving(app)

    async with Lifespan(forgiving):
        _, body = await get(forgiving)

    assert b"RuntimeError: out of tea" in body["body"]


# -- watching ----------------------------------------------------------------------------------


def touch(file, text="x = 1\n"):
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    if file.stat().st_mtime_ns == before:
        os.utime(file, ns=(before + 1, before + 1))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("app.py", "pack/__init__.py", "pack/views.py", "pack/deep/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("docs/conf/x.py", "node_modules/x.py", ".hidden/x.py", "venv/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "venv" / "lib").mkdir()
    (tmp_path / "venv" / "lib" / "y.py").write_text("")
    (tmp_path / "data.toml").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "noticed"),
    [
        ("app.py", True),
        ("pack/__init__.py", True),
        ("pack/deep/x.py", True),
        ("docs/conf/x.py", False),
        ("node_modules/x.py", False),
        (".hidden/x.py", False),
        ("venv/lib/y.py", False),
        ("data.toml", False),
    ],
)
def test_python_files_of_the_project_are_watched(project, name, noticed):
    watcher = Watcher([str(project)])
    watcher.look()

    touch(project / name)

    assert watcher.look() == (str(project / name) if noticed else None)
    assert watcher.look() is None


def test_more_files_can_be_watched(project):
    watcher = Watcher(extra_files=["data.toml"])
    watcher.look()

    touch(project / "data.toml")

    assert watcher.look() == str(project / "data.toml")


def test_files_can_be_added_later(project):
    watcher = Watcher()
    watcher.add(["data.toml"])
    watcher.look()

    touch(project / "data.toml")

    assert watcher.look() == str(project / "data.toml")


def test_files_can_be_excluded(project):
    watcher = Watcher([str(project)], exclude_patterns=["*/pack/*"])
    watcher.look()

    touch(project / "pack" / "views.py")
    assert watcher.look() is None

    touch(project / "app.py")
    assert watcher.look() == str(project / "app.py")


def test_a_file_that_goes_back_in_time_has_changed(project):
    watcher = Watcher([str(project)])
    watcher.look()

    os.utime(project / "app.py", (1, 1))

    assert watcher.look() == str(project / "app.py")


def test_files_that_come_and_go_matter_only_where_one_is_missing(project):
    watcher = Watcher([str(project)])
    assert watcher.look(for_new=True) is None

    (project / "app.py").unlink()
    (project / "new.py").write_text("")
    assert watcher.look() is None

    (project / "newer.py").write_text("")
    assert watcher.look(for_new=True) == str(project / "newer.py")


def test_loaded_modules_are_watched_wherever_they_are(project, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    file = elsewhere / "loaded_t.py"
    file.write_text("")
    monkeypatch.syspath_prepend(elsewhere)
    __import__("loaded_t")
    watcher = Watcher([str(project)])
    watcher.look()

    touch(file)

    assert watcher.look() == str(file)


def test_a_file_that_does_not_exist_yet_can_be_watched(project):
    watcher = Watcher(extra_files=["later.toml"])
    watcher.look()

    (project / "later.toml").write_text("")
    assert watcher.look() is None

    touch(project / "later.toml", "x = 1")
    assert watcher.look() == str(project / "later.toml")


def test_a_folder_that_is_gone_is_no_problem(tmp_path):
    assert Watcher([str(tmp_path / "gone")]).look() is None


def test_a_ctrl_c_waits_until_it_can_be_answered():
    answered = []
    before = signal.signal(signal.SIGINT, lambda *args: answered.append(True))
    try:
        with holding_back_ctrl_c():
            signal.raise_signal(signal.SIGINT)
            inside = list(answered)
            accept_ctrl_c()
            accepted = list(answered)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    assert (inside, accepted, answered) == ([], [True], [True, True])


def test_a_ctrl_c_is_answered_at_once_where_signals_cannot_wait(monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask")
    answered = []
    before = signal.signal(signal.SIGINT, lambda *args: answered.append(True))
    try:
        with holding_back_ctrl_c():
            signal.raise_signal(signal.SIGINT)
            inside = list(answered)
        accept_ctrl_c()
    finally:
        signal.signal(signal.SIGINT, before)

    assert inside == [True]


def test_looking_takes_a_small_part_of_the_time(project):
    watcher = Watcher([str(project)])

    watcher.look()

    assert watcher.pause >= 0.25


def test_a_traceback_names_its_files(project, monkeypatch):
    (project / "outer_t.py").write_text(
        "try:\n  import inner_t\nexcept Exception:\n  raise OSError"
    )
    (project / "inner_t.py").write_text("x = (\n")
    monkeypatch.syspath_prepend(project)

    with pytest.raises(OSError) as caught:  # noqa: PT011
        __import__("outer_t")

    assert files_of(caught.value) == {
        __file__,
        str(project / "outer_t.py"),
        str(project / "inner_t.py"),
    }


def test_an_error_in_nameless_code_names_no_file():
    assert files_of(SyntaxError("x")) == set()


def test_a_file_is_shown_from_here(project, tmp_path_factory):
    assert shown(str(project / "pack" / "views.py")) == os.path.join("pack", "views.py")
    assert shown("/elsewhere/x.py") == "/elsewhere/x.py"


# -- reloading ---------------------------------------------------------------------------------


def test_a_process_that_is_no_child_inherits_nothing():
    os.environ.pop("ERLEN_RELOADER", None)

    assert Lineage.of_this_process() is None


def test_a_child_inherits_its_sockets_once():
    with socket.create_server(("127.0.0.1", 0)) as given:
        os.environ["ERLEN_RELOADER"] = f"7/2/{os.dup(given.fileno())}"

        lineage = Lineage.of_this_process()

        with lineage.sockets[0] as inherited:
            assert inherited.getsockname() == given.getsockname()
        assert (lineage.parent, lineage.generation) == (7, 2)
        assert Lineage.of_this_process() is None


@pytest.fixture
def supervise(tmp_path, monkeypatch, capfd):
    """``supervise(code)`` supervises children that run *code* and share a port."""
    monkeypatch.chdir(tmp_path)
    sock = socket.create_server(("127.0.0.1", 0))

    def begin(code, **options):
        monkeypatch.setattr(sys, "orig_argv", ["python", "-S", "-c", code])
        watcher = Watcher([str(tmp_path)], exclude_patterns=[REPOSITORY])
        watcher.pause = 0.05
        supervisor = Supervisor([sock], watcher, **options)
        begin.supervisor = supervisor
        return supervisor.run()

    begin.port = sock.getsockname()[1]
    yield begin
    sock.close()


GENERATION = "import os, sys; parent, generation, fds = os.environ['ERLEN_RELOADER'].split('/'); "


def test_a_child_that_changed_is_started_again(supervise, capfd):
    code = GENERATION + f"print(generation); sys.exit({CHANGED} if generation < '2' else 0)"

    assert supervise(code) == 0

    assert capfd.readouterr().out.split() == ["0", "1", "2"]


@pytest.mark.parametrize(("ends", "code"), [("sys.exit(2)", 2), ("os.kill(os.getpid(), 9)", 137)])
def test_a_first_child_that_fails_is_the_end(supervise, ends, code):
    assert supervise(f"import os, sys; {ends}") == code


def test_children_find_out_for_themselves_what_they_shall_forget(supervise, capfd):
    os.environ["STAYS_T"] = os.environ["GOES_T"] = "here"

    supervise(
        "import os; print(os.environ.get('STAYS_T'), os.environ.get('GOES_T'))", forget=["GOES_T"]
    )

    assert capfd.readouterr().out == "here None\n"


def test_children_get_the_sockets(supervise, capfd):
    code = GENERATION + "import socket; print(socket.socket(fileno=int(fds)).getsockname()[1])"

    supervise(code)

    assert capfd.readouterr().out.strip() == str(supervise.port)


def test_children_get_the_sockets_where_they_are_inherited_all_at_once(
    supervise, capfd, monkeypatch
):
    monkeypatch.setattr(sys, "platform", "win32")
    code = GENERATION + "import socket; print(socket.socket(fileno=int(fds)).getsockname()[1])"

    supervise(code)

    assert capfd.readouterr().out.strip() == str(supervise.port)


def in_a_moment(function, *args, seconds=0.4):
    timer = threading.Timer(seconds, function, args)
    timer.daemon = True
    timer.start()
    return timer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_parent_and_child(supervise, number):
    before = signal.getsignal(number)
    in_a_moment(os.kill, os.getpid(), number)

    code = supervise("import time; time.sleep(60)")

    assert code == 0
    assert supervise.supervisor._child.returncode == -signal.SIGTERM
    assert signal.getsignal(number) is before


def test_signals_that_follow_change_nothing(supervise):
    for seconds in (0.4, 0.5, 0.6):
        in_a_moment(os.kill, os.getpid(), signal.SIGINT, seconds=seconds)

    assert supervise("import signal, time; signal.signal(15, lambda *a: 0); time.sleep(1)") == 0


def test_a_signal_between_two_children_ends_the_second(supervise, monkeypatch):
    real = subprocess.Popen

    def stop_and_start(*args, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", stop_and_start)

    assert supervise("import time; time.sleep(60)") == 0
    assert supervise.supervisor._child.returncode == -signal.SIGTERM


def ask(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    return answer.decode()


def test_a_later_child_that_dies_is_stood_in_for_until_a_file_changes(supervise, capfd, tmp_path):
    answers = []
    code = GENERATION + f"sys.exit([{CHANGED}, 5, 0][int(generation)])"

    def come_and_save():
        # A client that says nothing must not keep the others waiting for long.
        with socket.create_connection(("127.0.0.1", supervise.port)):
            answers.append(ask(supervise.port))
        (tmp_path / "saved.py").write_text("x = 1")

    in_a_moment(come_and_save)

    assert supervise(code) == 0

    assert answers[0].startswith("HTTP/1.1 503 Service Unavailable\r\n")
    assert "It starts again as soon as a file is saved." in answers[0]
    told = capfd.readouterr().err
    assert " * The app stopped with exit code 5. It starts again when a file is saved." in told
    assert " * Detected change in 'saved.py', starting again" in told


def test_a_signal_ends_waiting_for_a_change(supervise):
    in_a_moment(os.kill, os.getpid(), signal.SIGTERM, seconds=1.0)

    assert supervise(GENERATION + f"sys.exit([{CHANGED}, 5][int(generation)])") == 0


def test_a_change_is_told_once(project):
    told = []
    happened = threading.Event()
    watcher = Watcher([str(project)], exclude_patterns=[REPOSITORY])
    watch(watcher, Lineage(os.getppid(), 0, []), lambda file: (told.append(file), happened.set()))

    touch(project / "app.py")

    assert happened.wait(20)
    assert told == [str(project / "app.py")]


def test_a_parent_that_is_gone_is_told_too(project):
    told = []
    happened = threading.Event()
    watcher = Watcher(exclude_patterns=[REPOSITORY])
    watch(watcher, Lineage(-1, 0, []), lambda file: (told.append(file), happened.set()))

    assert happened.wait(20)
    assert told == [None]


# -- serving -----------------------------------------------------------------------------------


def test_an_app_of_ours_has_to_start_and_others_need_not():
    async def other(scope, receive, send): ...

    assert make_config(Erlen("x"), Settings()).lifespan == "on"
    assert make_config(other, Settings()).lifespan == "auto"
    assert make_config("erlen.cli.run:make_app", Settings(workers=2)).lifespan == "on"


def test_the_server_is_set_up_as_the_design_says():
    config = make_config(Erlen("x"), Settings())

    assert config.proxy_headers is False
    assert config.reset_contextvars is True
    assert config.server_header is False


@pytest.mark.parametrize(
    ("app", "options", "seconds"),
    [
        (Erlen("x"), {}, 3.0 + 2.5),
        (Erlen("x"), {"graceful_timeout": 7.0}, 7.0 + 2.5),
        ("foreign", {}, 3.0 + 2.5),
        ("foreign", {"debug": True}, 0.5 + 2.5),
        ("foreign", {"uvicorn": {"timeout_graceful_shutdown": 20}}, 20),
        (Erlen("x"), {"uvicorn": {"timeout_graceful_shutdown": 20}}, 20),
    ],
)
async def test_server_and_app_agree_on_how_long_a_stop_takes(app, options, seconds):
    async def foreign(scope, receive, send):
        await send({"type": f"{(await receive())['type']}.complete"})

    options["uvicorn"] = {"log_config": None, **options.get("uvicorn", {})}
    config = make_config(foreign if app == "foreign" else app, Settings(**options))
    before = signal.getsignal(signal.SIGINT)
    try:
        config.load()
    finally:
        signal.signal(signal.SIGINT, before)
    lifespan = config.lifespan_class(config)

    await lifespan.startup()
    if app != "foreign":
        assert config.arrangement.grace == app.shutdown_grace
        assert lifespan.state == {}
    await lifespan.shutdown()

    assert config.timeout_graceful_shutdown == seconds


def test_settings_of_uvicorn_win():
    config = make_config(Erlen("x"), Settings(uvicorn={"backlog": 7, "server_header": True}))

    assert (config.backlog, config.server_header) == (7, True)


def test_a_config_loads_outside_of_the_main_thread_too():
    config = Config(Erlen("x"), grace=None, patience=1.0, log_config=None)
    before = signal.getsignal(signal.SIGINT)

    thread = threading.Thread(target=config.load)
    thread.start()
    thread.join()

    assert config.loaded
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *args: None"])
def test_the_second_ctrl_c_ends_the_process(handler):
    code = (
        "import os, signal, sys, time\n"
        "from erlen import Erlen\n"
        "from erlen.server.serving import Config\n"
        f"signal.signal(signal.SIGINT, {handler})\n"
        "Config(Erlen('x'), grace=None, patience=60.0, log_config=None).load()\n"
        "print('ready', end='')\n"
        "os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(30); sys.exit(1)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=50)

    assert done.returncode == FORCED
    assert done.stdout == b"ready"


def test_a_process_can_be_left_whatever_hangs():
    code = "import time; from erlen.server.ending import end_soon; end_soon(9, 0.1); time.sleep(30)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=50)

    assert done.returncode == 9


@pytest.fixture
def interrupt(capfd):
    """``interrupt(visit)``: visit the server when it is there, then press Ctrl+C."""
    seen = []

    def begin(visit=lambda port: None, number=signal.SIGINT):
        def come():
            text = ""
            deadline = time.monotonic() + 30
            while "CTRL+C" not in text and time.monotonic() < deadline:
                time.sleep(0.05)
                text += capfd.readouterr().err
            seen.append(text)
            line = next((line for line in text.splitlines() if "://" in line), "")
            port = int(line.partition("://")[2].rpartition(":")[2].split()[0]) if line else 0
            try:
                seen.append(visit(port))
            finally:
                os.kill(os.getpid(), number)

        threading.Thread(target=come, daemon=True).start()
        return seen

    return begin


@pytest.fixture
def hello():
    app = Erlen("hello_of_test", static_folder=None)
    app.events = []

    @app.get("/")
    async def index():
        return {"hello": "world"}

    @app.get("/stream")
    async def stream():
        async def pieces():
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0.05)
            finally:
                app.events.append("stream closed")

        return pieces()

    @app.after_serving
    async def down():
        app.events.append("down")

    return app


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_app_is_served_until_a_signal(hello, interrupt, capfd, number):
    seen = interrupt(ask_once, number)

    code = start(Target(name="hello", load=lambda: hello), Settings(port=0))

    assert code == 0
    assert seen[0].startswith(" * Serving Erlen app 'hello'\n * Debug mode: off\n * Running on")
    assert "(httptools, uvloop)" in seen[0]
    assert '{"hello":"world"}' in seen[1]
    assert hello.events == ["down"]


def ask_once(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    return answer.decode()


@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_an_endless_stream_does_not_keep_the_server(hello, interrupt, parser):
    clients = []

    def open_stream(port):
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        clients.append(client)
        client.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        return client.recv(4096)

    interrupt(open_stream)
    protocol = f"erlen.server.protocols.with_{parser}:HttpProtocol"

    code = start(
        Target(name="hello", load=lambda: hello),
        Settings(port=0, graceful_timeout=0.1, uvicorn={"http": protocol, "loop": "asyncio"}),
    )

    clients[0].close()
    assert code == 0
    assert hello.events == ["stream closed", "down"]


def test_a_connection_that_ends_by_itself_is_left_alone(hello, interrupt):
    clients = []

    def open_and_leave(port):
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        client.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        client.recv(4096)
        clients.append(client)
        in_a_moment(client.close, seconds=0.3)

    interrupt(open_and_leave)

    code = start(Target(name="hello", load=lambda: hello), Settings(port=0, graceful_timeout=0.8))

    assert code == 0
    assert hello.events == ["stream closed", "down"]


def test_an_app_that_fails_to_start_ends_the_server(hello, capfd):
    @hello.before_serving
    async def fail():
        raise ValueError("no database")

    with pytest.raises(SystemExit) as caught:
        start(Target(name="hello", load=lambda: hello), Settings(port=0))

    told = capfd.readouterr().err
    assert caught.value.code == 3
    assert "ValueError: no database" in told
    assert "Running on" not in told


def test_a_busy_port_is_an_error_and_no_traceback(hello, capfd):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        code = start(Target(name="hello", load=lambda: hello), Settings(port=port))

    assert code == 1
    assert capfd.readouterr().err.startswith(f"Error: Port {port} is in use by another program.")


def test_what_loading_raises_is_raised():
    def load():
        raise LookupError("no app")

    with pytest.raises(LookupError, match="no app"):
        start(Target(name="x", load=load), Settings(port=0))


def test_ctrl_c_while_loading_is_an_exit_code():
    def load():
        raise KeyboardInterrupt

    assert start(Target(name="x", load=load), Settings(port=0)) == 130


def test_workers_need_an_app_with_a_name(hello):
    with pytest.raises(SetupError, match=r"erlen --app \.\.\. run --workers 2"):
        start(Target(name="x", load=lambda: hello), Settings(workers=2))


# -- as a child --------------------------------------------------------------------------------


@pytest.fixture
def child(tmp_path, monkeypatch, capfd):
    """``child(load)``: be a child of a reloader, serving what *load* makes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("")
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]

    def begin(load, generation=1, **options):
        os.environ["ERLEN_RELOADER"] = f"{os.getppid()}/{generation}/{os.dup(sock.fileno())}"
        settings = Settings(
            reload=True, exclude_patterns=(REPOSITORY,), **{"debug": True, **options}
        )
        target = Target(name="x", load=load, folders=[str(tmp_path)])
        return start(target, settings)

    begin.port = port
    begin.save = lambda: touch(tmp_path / "app.py")
    yield begin
    sock.close()


def test_a_child_leaves_when_a_file_changes(child, hello, capfd):
    answers = []

    def visit_and_save():
        answers.append(ask_once(child.port))
        child.save()

    in_a_moment(visit_and_save)

    assert child(lambda: hello) == CHANGED

    assert '{"hello":"world"}' in answers[0]
    told = capfd.readouterr().err
    assert f" * Running again on http://127.0.0.1:{child.port}\n" in told
    assert " * Detected change in 'app.py', reloading\n" in told


def test_a_child_ends_with_a_signal(child, hello):
    in_a_moment(lambda: (ask_once(child.port), os.kill(os.getpid(), signal.SIGINT)))

    assert child(lambda: hello, generation=0) == 0


def test_a_child_whose_app_fails_to_load_shows_why(child, capfd):
    answers = []

    def load():
        raise LookupError("no app today")

    def visit():
        answers.append(ask_once(child.port))
        os.kill(os.getpid(), signal.SIGINT)

    in_a_moment(visit)

    assert child(load) == 0

    assert "LookupError: no app today" in answers[0]
    assert "500 Internal Server Error" in answers[0]
    told = capfd.readouterr().err
    assert "LookupError: no app today" in told
    assert " * The app failed to load; the browser shows why, too." in told


def test_without_debug_mode_nothing_is_shown_to_strangers(child):
    def load():
        raise LookupError("no app today")

    with pytest.raises(LookupError):
        child(load, debug=False)


def test_without_debug_mode_a_child_serves_too(child, hello):
    in_a_moment(lambda: (ask_once(child.port), os.kill(os.getpid(), signal.SIGINT)))

    assert child(lambda: hello, debug=False) == 0


def test_a_mistyped_name_is_the_end_of_the_first_child_only(child):
    def load():
        raise click.UsageError("no such app")

    with pytest.raises(click.UsageError):
        child(load, generation=0)

    in_a_moment(lambda: (ask_once(child.port), os.kill(os.getpid(), signal.SIGINT)))
    assert child(load, generation=1) == 0


def test_a_change_while_the_app_loads_is_not_lost(child, hello):

    def load():
        child.save()
        time.sleep(2)
        return hello

    assert child(load) == CHANGED


def test_a_child_whose_parent_is_gone_leaves_without_a_word(child, hello, capfd, monkeypatch):
    monkeypatch.setattr(os, "getppid", lambda: 4711)
    in_a_moment(monkeypatch.setattr, os, "getppid", lambda: 4712, seconds=1.0)

    assert child(lambda: hello) == CHANGED

    assert "Detected change" not in capfd.readouterr().err


def test_with_reload_a_parent_is_made(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-S", "-c", GENERATION + "print(generation)"])

    code = start(Target(name="shop", load=dict), Settings(reload=True, port=0))

    captured = capfd.readouterr()
    assert code == 0
    assert captured.out == "0\n"
    assert captured.err == " * Serving Erlen app 'shop'\n * Debug mode: off\n"


# -- app.run() ---------------------------------------------------------------------------------


def test_app_run_serves(hello, interrupt):
    seen = interrupt(ask_once)

    hello.run(port=0, threaded=True, load_dotenv=False)

    assert " * Serving Erlen app 'hello_of_test'" in seen[0]
    assert '{"hello":"world"}' in seen[1]


@pytest.mark.parametrize(
    ("server_name", "args", "address"),
    [
        ("127.0.0.1:{port}", {}, "127.0.0.1:{port}"),
        ("localhost:1", {"port": 0, "host": "127.0.0.1"}, "127.0.0.1:"),
        ("127.0.0.1", {"port": 0}, "127.0.0.1:"),
        (None, {"port": 0}, "127.0.0.1:"),
    ],
)
def test_app_run_takes_its_address_from_the_server_name(
    hello, interrupt, server_name, args, address
):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hello.config["SERVER_NAME"] = server_name and server_name.format(port=port)
    seen = interrupt()

    run(hello, **args)

    assert f"http://{address.format(port=port)}" in seen[0]


def test_app_run_takes_any_free_port_for_port_0_of_the_server_name(hello, interrupt):
    hello.config["SERVER_NAME"] = "127.0.0.1:0"
    seen = interrupt()

    run(hello)

    assert "http://127.0.0.1:" in seen[0]
    assert "http://127.0.0.1:5000" not in seen[0]


def test_app_run_switches_debug_mode(hello, interrupt):
    seen = interrupt()

    hello.run(port=0, debug=True, reload=False)

    assert hello.debug is True
    assert " * Debug mode: on" in seen[0]


def test_app_run_reloads_in_debug_mode(hello, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-S", "-c", GENERATION + "sys.exit(5)"])

    with pytest.raises(SystemExit) as caught:
        hello.run(port=0, debug=True, extra_files=["x.toml"])

    assert caught.value.code == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_reloader": True}, "app.run() takes reload= and not use_reloader=."),
        ({"workers": 3}, "Run them from the command line: erlen --app ... run --workers 3"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_app_run_says_what_it_does_not_take(hello, options, message):
    with pytest.raises(TypeError) as caught:
        hello.run(port=0, **options)

    assert message in str(caught.value)


def test_app_run_takes_a_pair_of_files_for_https(hello, interrupt, certificate):
    seen = interrupt()

    hello.run(port=0, ssl_context=certificate)

    assert "https://127.0.0.1:" in seen[0]


def test_app_run_takes_a_context_for_https(hello, interrupt, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def ask(port):
        trusting = ssl.create_default_context(cafile=certificate[0])
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            return connection.getresponse().read().decode()

    seen = interrupt(ask)

    hello.run(port=0, ssl_context=context)

    assert seen[1] == '{"hello":"world"}\n'


def test_app_run_on_a_busy_port_exits(hello):
    with socket.create_server(("127.0.0.1", 0)) as busy, pytest.raises(SystemExit) as caught:
        hello.run(port=busy.getsockname()[1])

    assert caught.value.code == 1


async def test_app_run_needs_a_loop_of_its_own(hello):
    with pytest.raises(RuntimeError, match=r"app\.run\(\) starts an event loop"):
        hello.run(port=0)


def test_app_run_does_nothing_where_a_command_loads_the_app(hello, capfd):
    with ignoring_calls_of_run():
        hello.run(port=0)

    told = capfd.readouterr().err
    assert told.startswith(" * Ignoring a call of app.run(), which would never return")
    assert "   Put the call under 'if __name__ == \"__main__\":'." in told


# -- erlen run ---------------------------------------------------------------------------------

APP = """
from erlen import Erlen
app = Erlen(__name__)
@app.get("/")
async def index():
    return "hello"
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("ERLEN_"):
            del os.environ[name]
    (tmp_path / "shop_run_t.py").write_text(APP)
    return tmp_path


def erlen(*args):
    return CliRunner().invoke(cli, args, catch_exceptions=False)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--workers", "2", "--reload"], "Reloading works with one process"),
        (["--key", __file__], "A private key alone is not enough"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--log-level", "loud"], "'loud' is not one of 'critical'"),
        (["--cert", "no.pem"], "File 'no.pem' does not exist"),
        (["--cert", logging.__file__], "There is no private key in the file of the certificate"),
    ],
)
def test_the_command_refuses_what_cannot_work(shop, args, message):
    result = erlen("--app", "shop_run_t", "run", *args)

    assert result.exit_code == 2
    assert message in result.output


def test_the_command_refuses_a_key_beside_a_certificate_that_is_made(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", types.ModuleType("cryptography"))

    for order in (["--cert", "adhoc", "--key", __file__], ["--key", __file__, "--cert", "adhoc"]):
        result = erlen("--app", "shop_run_t", "run", *order)

        assert result.exit_code == 2
        assert "A private key belongs to the file of a certificate" in result.output


def test_the_command_imports_a_context_for_https(shop):
    (shop / "tls_run_t.py").write_text(
        "import ssl\ncontext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nother = 1"
    )

    found = run_command.make_context("run", ["--cert", "tls_run_t:context"]).params["cert"]

    assert isinstance(found, ssl.SSLContext)
    for name in ("tls_run_t", "tls_run_t:other", "tls_run_t:none", "none_run_t"):
        assert f"File {name!r} does not exist" in erlen("run", "--cert", name).output


def test_the_command_refuses_an_app_that_is_not_there(shop):
    result = erlen("--app", "shop_rn_t", "run", "--port", "0")

    assert result.exit_code == 2
    assert "Did you mean 'shop_run_t'?" in result.output


def test_the_command_exits_with_the_code_of_the_server(shop):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        result = erlen("--app", "shop_run_t", "run", "-p", str(busy.getsockname()[1]))

    assert result.exit_code == 1
    assert "is in use by another program" in result.output


class ServedByCommand:
    """Serves with ``erlen run`` in this process, and stops when it was visited."""

    def __init__(self, shop):
        self.path = str(shop / "s")
        self.answer = ""

    def visit(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                try:
                    client.connect(self.path)
                except OSError:
                    time.sleep(0.05)
                    continue
                client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                while piece := client.recv(4096):
                    self.answer += piece.decode()
                break
        os.kill(os.getpid(), signal.SIGINT)

    def run(self, group, *args):
        threading.Thread(target=self.visit, daemon=True).start()
        args = [*args, "run", "--uds", self.path, "--extra-files", f"a.toml{os.pathsep}b.toml"]
        return CliRunner().invoke(group, args, catch_exceptions=False)


def test_the_command_serves(shop):
    served = ServedByCommand(shop)

    result = served.run(cli, "--app", "shop_run_t")

    assert result.exit_code == 0
    assert served.answer.endswith("hello")
    assert "Serving Erlen app 'shop_run_t'" in result.output
    assert os.environ["ERLEN_APP"] == "shop_run_t"


def test_the_command_serves_an_app_that_a_program_makes(shop, hello):
    served = ServedByCommand(shop)
    group = ErlenGroup(create_app=lambda: hello)

    result = served.run(group)

    assert result.exit_code == 0
    assert '{"hello":"world"}' in served.answer


def test_a_worker_loads_the_app_that_the_environment_names(shop):
    os.environ["ERLEN_APP"] = "shop_run_t"

    assert make_app().import_name == "shop_run_t"


@pytest.mark.parametrize(
    ("name", "message"),
    [("broken_run_t", "ZeroDivisionError"), ("none_run_t", "Error: Could not import 'none_run_t'")],
)
def test_a_worker_that_cannot_load_the_app_is_not_started_again(shop, capfd, name, message):
    (shop / "broken_run_t.py").write_text("1 / 0")
    os.environ["ERLEN_APP"] = name

    with pytest.raises(SystemExit) as caught:
        make_app()

    assert caught.value.code == 3
    assert message in capfd.readouterr().err
