"""Judges websockets of Erlen by Autobahn's fuzzing client, beside the server's own.

``python tests/autobahn.py WSTEST FOLDER [CASE...]`` serves one app of each kind by uvicorn, lets
``wstest`` talk to both, and fails for a case in which the one of Erlen does worse. What both
fail is the server's; it is shown. ``nox -s autobahn`` runs this.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from erlen import Erlen, websocket
from tests.serving import served

QUICK: list[str] = [*(f"{chapter}.*" for chapter in (1, 2, 3, 4, 5, 6, 7, 10))]
FINE = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}

app = Erlen(__name__)


@app.websocket("/")
async def echo() -> None:
    async for message in websocket:
        await websocket.send(message)


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Echo as the server alone does it."""
    if scope["type"] == "lifespan":
        return await app(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def judge(wstest: str, folder: Path, cases: list[str]) -> dict[str, dict[str, Any]]:
    """Return what the fuzzing client says of each case, for each of the two."""
    async with served(app) as ours, served(bare) as theirs:
        spec = {
            "outdir": str(folder / "reports"),
            "servers": [
                {"agent": "erlen", "url": f"ws://{ours}/"},
                {"agent": "server", "url": f"ws://{theirs}/"},
            ],
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [wstest, "-m", "fuzzingclient", "-s", str(folder / "spec.json")]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
    if process.returncode:
        sys.exit(output.decode("utf-8", "replace"))
    found: dict[str, dict[str, Any]] = json.loads((folder / "reports" / "index.json").read_text())
    return found


def main(wstest: str, folder: str, *cases: str) -> None:
    logging.disable()  # the server tells of each broken frame, and there are hundreds
    reports = asyncio.run(judge(wstest, Path(folder), list(cases) or QUICK))
    ours, theirs = reports["erlen"], reports["server"]
    worse = []
    for case, verdict in ours.items():
        for what in ("behavior", "behaviorClose"):
            if verdict[what] in FINE:
                continue
            print(f"{case}: {what} is {verdict[what]}; of the server alone {theirs[case][what]}")
            if theirs[case][what] in FINE:
                worse.append(case)
    for agent, verdicts in reports.items():
        print(agent, dict(Counter(verdict["behavior"] for verdict in verdicts.values())))
    if worse or not ours:
        sys.exit(f"Erlen does worse than the server alone: {worse}")


if __name__ == "__main__":
    main(*sys.argv[1:])
