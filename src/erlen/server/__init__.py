"""Serving an app on a socket. Knows uvicorn; knows no command line."""

from __future__ import annotations

from .addresses import ListenError
from .running import Target, ignoring_calls_of_run, run, start
from .settings import Settings

__all__ = ["ListenError", "Settings", "Target", "ignoring_calls_of_run", "run", "start"]
