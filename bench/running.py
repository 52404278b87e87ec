"""The server of ``erlen run``, for an app that is none of Erlen's.

Run ``python -m bench.running PORT``; the environment names the app, as everywhere here.
"""

from __future__ import annotations

import os
import sys

from bench import peers
from erlen.server import Settings, Target, start


def main() -> None:
    """Serve until a signal comes."""
    settings = Settings(port=int(sys.argv[1]), access_log=False, log_level="warning")
    raise SystemExit(start(Target(name=os.environ["BENCH_PEER"], load=peers.app), settings))


if __name__ == "__main__":
    main()
