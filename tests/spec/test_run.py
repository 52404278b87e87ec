"""``erlen run`` and ``app.run()`` as a person meets them: processes, sockets, signals."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

PATIENCE = 40.0
"""Seconds after which something that should happen will not; machines may be busy."""

HELLO = """
    import asyncio, os, time
    from erlen import Erlen, request, url_for, websocket

    app = Erlen(__name__)

    @app.get("/")
    async def index():
        return {"hello": request.args.get("name", "world")}

    @app.post("/")
    async def take():
        return await request.get_json(), 201

    @app.get("/def")
    def plain():
        return f"def {os.getpid()}"

    @app.get("/boom")
    async def boom():
        return 1 / 0

    @app.get("/url")
    async def url():
        return url_for("index")

    @app.get("/slow")
    async def slow():
        print("slow begins", flush=True)
        await asyncio.sleep(1)
        return "slow"

    @app.get("/stuck")
    def stuck():
        print("stuck begins", flush=True)
        time.sleep(120)
        return ""

    @app.get("/stream")
    async def stream():
        async def pieces():
            try:
                while True:
                    yield b"piece\\n"
                    await asyncio.sleep(0.02)
            finally:
                print("stream closed", flush=True)

        return pieces()

    @app.websocket("/ws")
    async def echo():
        try:
            async for message in websocket:
                await websocket.send(message)
        finally:
            print("websocket closed", flush=True)

    @app.after_serving
    async def down():
        print("app is down", flush=True)
"""


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """A folder for compiled modules: processes start a lot faster."""
    return str(tmp_path_factory.mktemp("compiled"))


class Running:
    """A process, what it writes, and ways to talk to it."""

    def __init__(self, command, folder, environ):
        self.folder = folder
        self.text = ""
        # What is started in the background of a shell ignores Ctrl+C, and so would its processes.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            signal.signal(signal.SIGINT, handler)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self.process.stdout as output:
            for line in output:
                self.text += line.decode()

    def wait_for(self, text, count=1):
        deadline = time.monotonic() + PATIENCE
        while self.text.count(text) < count:
            if time.monotonic() > deadline or self.process.poll() is not None:
                self._reader.join(1)
                if self.text.count(text) >= count:
                    break
                pytest.fail(f"{text!r} was not written {count} times, but:\n{self.text}")
            time.sleep(0.01)
        return self

    @property
    def port(self):
        self.wait_for("Press CTRL+C to quit")
        return int(re.search(r"Running on https?://\S+:(\d+)", self.text)[1])

    def ask(self, path="/", method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def answer_if_any(self, path):
        """Ask, and take it that the process which accepts may be the one that is replaced."""
        try:
            return self.ask(path)[1]
        except (ConnectionError, http.client.HTTPException) as error:
            return repr(error)

    def wait_for_answer(self, text, path="/"):
        deadline = time.monotonic() + PATIENCE
        while (answer := self.answer_if_any(path)) != text:
            if time.monotonic() > deadline:
                pytest.fail(f"The answer was never {text!r}. It is {answer!r}.\n{self.text}")
            time.sleep(0.05)

    def open(self, path):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return client

    def save(self, **sources):
        for name, source in sources.items():
            file = self.folder / f"{name}.py"
            before = file.stat().st_mtime_ns if file.exists() else 0
            file.write_text(textwrap.dedent(source))
            if file.stat().st_mtime_ns // 10**9 == before // 10**9:
                # Compiled files are told apart by the second.
                os.utime(file, ns=(before + 10**9, before + 10**9))

    def press_ctrl_c(self):
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self):
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self):
        self.press_ctrl_c()
        return self.wait()

    def clean_up(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(PATIENCE)


@pytest.fixture
def launch(tmp_path, compiled):
    """``launch("--app", "hello", "run", hello=SOURCE)`` starts the command in a folder."""
    started = []
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ERLEN_")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environ |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONWARNINGS": "default"}

    def begin(*args, command=(sys.executable, "-m", "erlen"), env=None, **sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        running = Running([*command, *args], tmp_path, {**environ, **(env or {})})
        started.append(running)
        return running

    yield begin
    for running in started:
        running.clean_up()


def run_of(launch, *args, source=HELLO, **options):
    return launch("--app", "hello", "run", "--port", "0", *args, hello=source, **options)


# -- the main job ------------------------------------------------------------------------------


def test_a_file_is_served_and_stopped(launch):
    running = run_of(launch)

    assert running.ask("/?name=Ada") == (200, '{"hello":"Ada"}\n')
    posted = running.ask("/", "POST", '{"a": 1}', **{"content-type": "application/json"})
    assert posted == (201, '{"a":1}\n')
    assert running.ask("/def")[1].startswith("def ")
    assert running.stop() == 0
    lines = running.text.splitlines()
    assert lines[:2] == [" * Serving Erlen app 'hello'", " * Debug mode: off"]
    assert re.fullmatch(r" \* Running on http://127\.0\.0\.1:\d+ \(\w+, \w+\)", lines[2])
    assert lines[3] == "Press CTRL+C to quit"
    assert re.fullmatch(r'127\.0\.0\.1 - - \[.{20}\] "GET /\?name=Ada HTTP/1\.1" 200 -', lines[4])
    assert lines[-1] == "app is down"
    assert "Warning" not in running.text


@pytest.mark.parametrize("how", ["the command", "a path"])
def test_there_are_several_ways_to_say_it(launch, how):
    if how == "the command":
        script = Path(sys.executable).with_name("erlen")
        if not script.exists():
            pytest.skip("erlen is not installed as a command here")
        running = run_of(launch, command=[str(script)])
    else:
        running = launch("--app", "./hello.py:app", "run", "-p", "0", hello=HELLO)

    assert running.ask()[0] == 200
    assert running.stop() == 0


def test_the_environment_says_it_all(launch, tmp_path):
    (tmp_path / ".env").write_text("ERLEN_APP=hello\nERLEN_RUN_PORT=0\n")
    pytest.importorskip("dotenv")

    assert launch("run", hello=HELLO).ask()[0] == 200


def test_responses_do_not_say_what_serves_them(launch):
    running = run_of(launch)
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)

    with contextlib.closing(connection):
        connection.request("GET", "/", headers={"x-forwarded-for": "10.0.0.1"})
        response = connection.getresponse()
        response.read()

    assert response.getheader("server") is None
    assert response.getheader("date") is not None
    running.wait_for('"GET / HTTP/1.1" 200 -')
    assert "10.0.0.1" not in running.text


def test_a_hundred_clients_at_once_are_served(launch):
    port = run_of(launch, "--no-access-log").port

    async def ask(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = "/def" if number % 2 else f"/?name={number}"
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def ask_all():
        return await asyncio.gather(*(ask(number) for number in range(100)))

    answers = asyncio.run(ask_all())

    assert sum(answer.startswith(b"HTTP/1.1 200 OK\r\n") for answer in answers) == 100


def test_a_websocket_echoes(launch):
    running = run_of(launch)

    with connect(f"ws://127.0.0.1:{running.port}/ws") as client:
        client.send("hello")
        answer = client.recv(PATIENCE)

    assert answer == "hello"
    running.wait_for("websocket closed")
    assert '"WebSocket /ws" [accepted]' in running.text


def test_the_path_of_a_proxy_is_part_of_urls(launch):
    assert run_of(launch, "--root-path", "/shop").ask("/url") == (200, "/shop/")


def test_without_debug_mode_an_error_shows_nothing(launch):
    running = run_of(launch)

    status, body = running.ask("/boom", accept="text/html")

    assert status == 500
    assert "ZeroDivisionError" not in body
    running.wait_for("ZeroDivisionError: division by zero")


def test_the_access_log_can_be_switched_off(launch):
    running = run_of(launch, "--no-access-log")
    running.ask("/")

    with connect(f"ws://127.0.0.1:{running.port}/ws"):
        pass

    running.stop()
    assert "GET" not in running.text
    assert "WebSocket" not in running.text


def test_nobody_forges_a_line_of_the_access_log(launch):
    running = run_of(launch)

    with running.open("/%0aFORGED%1b[2J?x=%0d%0aFORGED") as client:
        client.recv(4096)

    running.wait_for("404 -")
    running.stop()
    assert not any(line.startswith("FORGED") for line in running.text.splitlines())
    assert "\x1b" not in running.text


def test_something_around_an_app_is_served_too(launch):
    running = run_of(
        launch,
        source="""
        from erlen import Erlen

        inner = Erlen(__name__)

        @inner.get("/")
        async def index():
            return "inside"

        @inner.before_serving
        async def up():
            print("up", flush=True)

        class Outer:
            async def __call__(self, scope, receive, send):
                await inner(scope, receive, send)

        app = Outer()
        """,
    )

    assert running.ask() == (200, "inside")
    assert "up" in running.text


# -- stopping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_process_alone_stops_it(launch, number):
    running = run_of(launch)
    running.ask()

    os.kill(running.process.pid, number)

    assert running.wait() == 0
    assert "app is down" in running.text
    assert "Traceback" not in running.text


def test_a_request_that_is_served_is_finished_first(launch):
    running = run_of(launch)

    with running.open("/slow") as client:
        running.wait_for("slow begins")
        os.kill(running.process.pid, signal.SIGTERM)
        answer = b""
        while piece := client.recv(4096):
            answer += piece

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"slow")
    assert running.wait() == 0


def test_ctrl_c_is_quick_with_open_streams_and_websockets(launch):
    running = run_of(launch)

    with running.open("/stream") as client, connect(f"ws://127.0.0.1:{running.port}/ws") as ws:
        client.recv(4096)
        began = time.monotonic()
        code = running.stop()
        took = time.monotonic() - began
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(PATIENCE)

    assert code == 0
    assert took < 6
    assert closed.value.rcvd.code == 1012
    for text in ("stream closed", "websocket closed", "app is down"):
        assert text in running.text
    assert "Traceback" not in running.text


def test_a_graceful_stop_gives_streams_the_time_that_is_set(launch):
    running = run_of(launch, "--graceful-timeout", "0.3")

    with running.open("/stream") as client:
        client.recv(4096)
        began = time.monotonic()
        os.kill(running.process.pid, signal.SIGTERM)
        code = running.wait()

    assert code == 0
    assert time.monotonic() - began < 6
    assert "stream closed" in running.text


def test_a_second_ctrl_c_stops_what_hangs(launch):
    running = run_of(launch)

    with running.open("/stuck"):
        running.wait_for("stuck begins")
        running.press_ctrl_c()
        running.wait_for("CTRL+C to force quit")
        running.press_ctrl_c()
        code = running.wait()

    assert code == 130


def test_ctrl_c_while_the_app_is_imported_is_no_traceback(launch):
    running = run_of(launch, source="import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    running.wait_for("importing")

    assert running.stop() == 130
    assert "Traceback" not in running.text


# -- what can go wrong -------------------------------------------------------------------------


def test_an_app_that_fails_to_import_is_a_traceback_and_an_exit(launch):
    running = run_of(launch, source="import nothing_of_this_name\n")

    assert running.wait() == 1
    assert running.text.splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{running.folder / "hello.py"}", line 1, in <module>',
        "    import nothing_of_this_name",
        "ModuleNotFoundError: No module named 'nothing_of_this_name'",
    ]


def test_an_app_that_fails_to_start_is_a_traceback_and_an_exit(launch):
    running = run_of(
        launch,
        source="""
        from erlen import Erlen
        app = Erlen(__name__)
        @app.before_serving
        async def fail():
            raise ValueError("no database")
        """,
    )

    assert running.wait() == 3
    assert "ValueError: no database" in running.text
    assert "Running on" not in running.text


def test_a_busy_port_is_a_sentence(launch):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        running = run_of(launch, "--port", str(port))

        assert running.wait() == 1

    assert running.text == (
        f"Error: Port {port} is in use by another program. Stop that program, or choose another"
        f" port: --port {port + 1}.\n"
    )


# -- other sockets -----------------------------------------------------------------------------


def test_https_is_served_with_a_certificate(launch, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += " -keyout key.pem -out cert.pem -subj /CN=localhost"
    command += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    running = run_of(launch, "--cert", "cert.pem", "--key", "key.pem")

    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    connection = http.client.HTTPSConnection("127.0.0.1", running.port, context=context)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b'{"hello":"world"}\n'

    assert "Running on https://127.0.0.1:" in running.text
    assert running.stop() == 0


def test_https_is_served_with_a_certificate_of_this_run(launch):
    pytest.importorskip("cryptography")
    running = run_of(launch, "--cert", "adhoc")

    trusting_all = ssl.create_default_context()
    trusting_all.check_hostname = False
    trusting_all.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", running.port, context=trusting_all)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b'{"hello":"world"}\n'

    assert running.stop() == 0


def test_a_unix_socket_is_served_and_removed(launch, tmp_path):
    path = tmp_path / "s"
    running = run_of(launch, "--uds", "s").wait_for("Press CTRL+C")

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.path.relpath(path) if len(str(path)) > 100 else str(path))
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")

    assert running.stop() == 0
    assert not path.exists()


# -- workers -----------------------------------------------------------------------------------


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_share_the_port_and_end_together(launch, number):
    running = run_of(launch, "--workers", "2", "--graceful-timeout", "1")
    pids = set()
    deadline = time.monotonic() + PATIENCE
    while len(pids) < 2 and time.monotonic() < deadline:
        pids.add(int(running.ask("/def")[1].removeprefix("def ")))

    os.kill(running.process.pid, number)
    code = running.wait()

    assert len(pids) == 2
    assert code == 0
    assert not any(is_alive(pid) for pid in pids)
    assert "(2 workers, " in running.text
    assert running.text.count("app is down") == 2


def test_workers_stop_with_ctrl_c_though_streams_are_open(launch):
    running = run_of(launch, "--workers", "2")

    with running.open("/stream") as client:
        client.recv(4096)
        began = time.monotonic()
        code = running.stop()

    assert code == 0
    assert time.monotonic() - began < 10
    assert "stream closed" in running.text
    assert "Traceback" not in running.text


@pytest.mark.parametrize("args", [["--workers", "2"], ["--debug"]], ids=["workers", "reload"])
def test_ctrl_c_while_processes_start_is_no_traceback(launch, args):
    running = run_of(launch, *args)
    running.wait_for(" * Debug mode")

    running.stop()

    assert "Traceback" not in running.text
    assert "KeyboardInterrupt" not in running.text


def test_workers_that_cannot_start_are_the_end(launch):
    running = run_of(launch, "--workers", "2", source="1 / 0\n")

    assert running.wait() == 3
    assert "ZeroDivisionError: division by zero" in running.text


# -- while developing --------------------------------------------------------------------------

PAGE = """
    from erlen import Erlen
    app = Erlen(__name__)
    @app.get("/")
    async def index():
        return "{}"
"""
BROWSER = {"accept": "text/html,*/*;q=0.8"}


def test_debug_mode_is_warned_of_and_shows_errors(launch):
    running = run_of(launch, "--debug")

    status, page = running.ask("/boom", **BROWSER)
    _, text = running.ask("/boom")

    assert status == 500
    assert "<h1>ZeroDivisionError</h1>" in page
    assert "return <mark>1 / 0</mark>" in page
    assert text.startswith("GET /boom\n\nTraceback (most recent call last):\n")
    assert "WARNING: Debug mode shows the code of the app" in running.text
    assert running.stop() == 0
    assert running.text.count("app is down") == 1


def test_a_change_is_served_when_the_file_is_saved(launch):
    running = run_of(launch, "--debug", source=PAGE.format("one"))
    assert running.ask() == (200, "one")

    running.save(hello=PAGE.format("two"))
    running.wait_for_answer("two")

    assert " * Detected change in 'hello.py', reloading\n" in running.text
    running.wait_for(f" * Running again on http://127.0.0.1:{running.port}\n")
    assert running.stop() == 0


def test_a_change_of_a_module_that_the_app_imports_counts(launch):
    source = PAGE.format("{text}").replace('"{text}"', "parts.text")
    running = run_of(
        launch, "--debug", source="import parts\n" + textwrap.dedent(source), parts="text = 'one'"
    )
    assert running.ask() == (200, "one")

    running.save(parts="text = 'three'")
    running.wait_for_answer("three")


def test_more_files_can_be_watched(launch, tmp_path):
    (tmp_path / "data.toml").write_text("one")
    source = PAGE.format("x").replace('"x"', 'open("data.toml").read()')
    source = source.replace("async def", "def").replace("open(", "text or open(")
    source = "text = open('data.toml').read()\n" + textwrap.dedent(source)
    running = run_of(launch, "--reload", "--extra-files", "data.toml", source=source)
    assert running.ask() == (200, "one")

    (tmp_path / "data.toml").write_text("changed")
    running.wait_for_answer("changed")


def test_without_reload_a_change_waits(launch):
    running = run_of(launch, "--debug", "--no-reload", source=PAGE.format("one"))
    running.ask()

    running.save(hello=PAGE.format("two"))
    time.sleep(1)

    assert running.ask() == (200, "one")
    assert running.stop() == 0


BROKEN = "from erlen import Erlen\napp = Erlen(__name__\n"


def test_a_syntax_error_at_the_first_start_is_shown_and_mended(launch):
    running = run_of(launch, "--debug", source=BROKEN)

    status, page = running.ask(**BROWSER)
    running.save(hello=PAGE.format("mended"))
    running.wait_for_answer("mended")

    assert status == 500
    assert "<h1>SyntaxError</h1>" in page
    assert "app = Erlen<mark>(</mark>__name__" in page
    assert "SyntaxError: '(' was never closed" in running.text
    assert " * The app failed to load; the browser shows why, too." in running.text
    assert running.stop() == 0


def test_a_syntax_error_made_meanwhile_is_shown_and_mended(launch):
    running = run_of(launch, "--debug", source=PAGE.format("one"))
    assert running.ask() == (200, "one")

    running.save(hello=BROKEN)
    running.wait_for("SyntaxError: '(' was never closed")
    running.wait_for("Running again on")
    assert "was never closed" in running.ask()[1]

    running.save(hello=PAGE.format("mended"))
    running.wait_for_answer("mended")
    assert running.stop() == 0


def test_a_module_that_is_missing_may_come_later(launch):
    running = run_of(
        launch, "--debug", source="import parts\n" + textwrap.dedent(PAGE).format("ok")
    )
    assert "No module named 'parts'" in running.ask()[1]

    running.save(parts="", hello="import parts\n" + textwrap.dedent(PAGE).format("fine"))
    running.wait_for_answer("fine")


def test_a_start_up_that_fails_is_shown_and_mended(launch):
    failing = textwrap.dedent(PAGE.format("x")) + textwrap.dedent("""
        @app.before_serving
        async def fail():
            raise ValueError("no database")
    """)
    running = run_of(launch, "--debug", source=failing)
    assert "ValueError: no database" in running.ask()[1]

    running.save(hello=PAGE.format("mended"))
    running.wait_for_answer("mended")


def test_an_app_that_exits_is_stood_in_for_until_it_is_mended(launch):
    running = run_of(launch, "--debug", source=PAGE.format("one"))
    assert running.ask() == (200, "one")

    running.save(hello="raise SystemExit('not today')\n")
    running.wait_for(" * The app stopped with exit code 1.")
    status, text = running.ask()
    running.save(hello=PAGE.format("mended"))
    running.wait_for_answer("mended")

    assert status == 503
    assert text.startswith("The app stopped, and the terminal says why.")
    assert "not today" in running.text
    assert running.stop() == 0


def test_an_app_that_exits_at_first_is_the_end(launch):
    running = run_of(launch, "--debug", source="raise SystemExit('not today')\n")

    assert running.wait() == 1
    assert "not today" in running.text


def test_a_name_that_does_not_exist_is_the_end(launch):
    running = launch("--app", "helo", "run", "--debug", "-p", "0", hello=HELLO)

    assert running.wait() == 2
    assert "Did you mean 'hello'?" in running.text


def test_open_streams_do_not_hold_up_a_reload(launch):
    running = run_of(launch, "--debug")

    with running.open("/stream") as client, connect(f"ws://127.0.0.1:{running.port}/ws"):
        client.recv(4096)
        running.save(hello=PAGE.format("new"))
        running.wait_for_answer("new")

    assert "stream closed" in running.text
    assert "Traceback" not in running.text


def test_no_client_is_refused_during_a_reload(launch):
    running = run_of(launch, "--debug", source=PAGE.format("one"))
    running.ask()
    statuses, failures = set(), []

    running.save(hello=PAGE.format("two"))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            status, text = running.ask()
        except ConnectionRefusedError as error:
            failures.append(error)
            break
        except (ConnectionError, http.client.HTTPException):
            # The connection was open when the server stopped; a browser asks again.
            continue
        statuses.add(status)
        if text == "two":
            break

    assert failures == []
    assert statuses == {200}


def child_of(running):
    """Return the process that serves, below the one that reloads."""
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    return int(children.read_text().split()[0])


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")


@needs_proc
def test_nothing_is_left_when_the_parent_is_killed(launch):
    running = run_of(launch, "--debug")
    port = running.port
    child = child_of(running)

    os.kill(running.process.pid, signal.SIGKILL)

    deadline = time.monotonic() + PATIENCE
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_reloader_alone_stops_both(launch, number):
    running = run_of(launch, "--debug")
    running.ask()

    os.kill(running.process.pid, number)

    assert running.wait() == 0
    assert "app is down" in running.text
    assert "Traceback" not in running.text


# -- app.run() ---------------------------------------------------------------------------------

SCRIPT = textwrap.dedent(PAGE) + textwrap.dedent("""
    if __name__ == "__main__":
        app.run(port=0, {options})
""")


def script(launch, source):
    return launch(command=[sys.executable, "hello.py"], hello=source)


def test_a_script_serves_itself(launch):
    running = script(launch, SCRIPT.format("one", options=""))

    assert running.ask() == (200, "one")
    assert running.stop() == 0
    assert running.text.startswith(" * Serving Erlen app 'hello'\n * Debug mode: off\n")


def test_a_script_in_debug_mode_reloads_itself(launch):
    running = script(launch, SCRIPT.format("one", options="debug=True"))
    assert running.ask() == (200, "one")

    running.save(hello=SCRIPT.format("two", options="debug=True"))
    running.wait_for_answer("two")

    assert running.stop() == 0


def test_a_script_that_breaks_is_stood_in_for_until_it_is_mended(launch):
    running = script(launch, SCRIPT.format("one", options="debug=True"))
    assert running.ask() == (200, "one")

    running.save(hello=BROKEN)
    running.wait_for(" * The app stopped with exit code 1.")
    assert running.ask()[0] == 503
    running.save(hello=SCRIPT.format("mended", options="debug=True"))
    running.wait_for_answer("mended")

    assert "SyntaxError" in running.text


def test_app_run_is_ignored_by_the_command(launch):
    running = run_of(launch, source=textwrap.dedent(PAGE).format("one") + "app.run(port=1)\n")

    assert running.ask() == (200, "one")
    assert "Ignoring a call of app.run()" in running.text
