"""The same request, typed as ``def`` code sees it: bodies are values, not awaitables."""

from __future__ import annotations

from typing import Any, cast

from .globals import request as _request
from .parts import SyncPart
from .requests import SyncRequest
from .uploads import SyncUploadFile

__all__ = ["SyncPart", "SyncRequest", "SyncUploadFile", "request"]

request: SyncRequest = cast(Any, _request)
"""``erlen.request`` itself. Only the type differs."""
