"""The configuration of docs/howto/behind-nginx.md, under a real nginx."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from erlen import Erlen, request, session, url_for, websocket

NGINX = shutil.which("nginx", path=f"{Path('/usr/sbin')}:/usr/bin:/usr/local/sbin:/usr/local/bin")
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "behind-nginx.md"
SHOP = "shop.example.org"

pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]


class Proxied(NamedTuple):
    url: str
    port: int
    trust: ssl.SSLContext


def shop() -> Erlen:
    app = Erlen("shop")
    app.config.from_mapping(
        SECRET_KEY="k" * 32,
        TRUSTED_PROXIES={"for": 1, "proto": 1, "host": 1, "prefix": 1},
        TRUSTED_HOSTS=[SHOP],
        SERVER_NAME=SHOP,
        PREFERRED_URL_SCHEME="https",
    )

    @app.get("/")
    async def index():
        session["seen"] = True
        return {
            "url": request.url,
            "path": url_for("index"),
            "external": url_for("index", _external=True),
            "from": request.remote_addr,
        }

    @app.post("/size")
    def size():
        return str(len(request.get_data()))

    @app.websocket("/echo")
    async def echo():
        async for message in websocket:
            await websocket.send(f"{websocket.url} {message}")

    return app


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return made.getsockname()[1]


def configuration(folder: Path, port: int, app_port: int) -> str:
    """Put the blocks of the page together: the location with a prefix goes into the server."""
    server, prefixed = re.findall(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    text = f"{server.rstrip().removesuffix('}')}\n{prefixed}\n}}"
    secure = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem"
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl;\n{secure}")
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{app_port}")
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in paths)
    return (
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{text}\n}}\n"
    )


def certify(folder: Path) -> ssl.SSLContext:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += f" -keyout key.pem -out cert.pem -subj /CN={SHOP} -addext subjectAltName=DNS:{SHOP}"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return ssl.create_default_context(cafile=folder / "cert.pem")


@contextlib.asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[Proxied]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        options: dict[str, Any] = {"proxy_headers": False, "log_config": None}
        server = uvicorn.Server(uvicorn.Config(shop(), **options))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        port = free_port()
        text = configuration(folder, port, listening.getsockname()[1])
        (folder / "nginx.conf").write_text(text, "utf-8")
        trust = certify(folder)
        process = await asyncio.create_subprocess_exec(
            *(str(NGINX), "-p", str(folder), "-e", f"{folder}/error.log"),
            *("-c", f"{folder}/nginx.conf"),
        )
        try:
            async with asyncio.timeout(60):
                while not (server.started and await answers(port)):
                    assert process.returncode is None, (folder / "error.log").read_text()
                    await asyncio.sleep(0.02)
            yield Proxied(f"https://{SHOP}:{port}", port, trust)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            server.should_exit = True
            await serving


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def client_of(proxy: Proxied) -> httpx.AsyncClient:
    # By its address, as the name of the shop is known to nobody; TLS and nginx get the name.
    return httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{proxy.port}", verify=proxy.trust, headers={"Host": SHOP}
    )


async def test_the_page_behind_nginx_says_what_works(tmp_path):
    named = {"extensions": {"sni_hostname": SHOP}}
    spoofed = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"}

    async with proxied(tmp_path) as proxy, client_of(proxy) as client:
        plain = await client.get("/", headers=spoofed, **named)
        prefixed = await client.get("/shop/", headers={"X-Forwarded-Prefix": "/evil"}, **named)
        stranger = await client.get("/", headers={"Host": "elsewhere.net"}, **named)
        large = await client.post("/size", content=b"x" * 300_000, **named)
        async with connect(
            f"wss://{SHOP}/echo",
            host="127.0.0.1",
            port=proxy.port,
            ssl=proxy.trust,
            origin=f"https://{SHOP}",
            proxy=None,
        ) as talk:
            await talk.send("tea")
            echoed = await talk.recv()

    assert plain.json() == {
        "url": f"https://{SHOP}/",
        "path": "/",
        "external": f"https://{SHOP}/",
        "from": "127.0.0.1",
    }
    assert "; Secure" in plain.headers["set-cookie"]
    assert prefixed.json()["path"] == "/shop/"
    assert prefixed.json()["external"] == f"https://{SHOP}/shop/"
    assert stranger.status_code == 400
    assert large.text == "300000"
    assert echoed == f"wss://{SHOP}/echo tea"
