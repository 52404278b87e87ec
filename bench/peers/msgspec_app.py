"""Erlen, with JSON by msgspec."""

from __future__ import annotations

from bench.peers import erlen_app
from bench.workloads import OTHERS_THAN_JSON
from erlen import Erlen
from erlen.json.fast import MsgspecProvider

DIFFERENT = erlen_app.DIFFERENT
LACKS = dict.fromkeys(OTHERS_THAN_JSON, "it is Erlen's")


def plain() -> Erlen:
    app = erlen_app.plain()
    app.json = MsgspecProvider(app)
    return app
