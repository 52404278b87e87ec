"""Flask, born async. Write ``def`` and it is Flask; ``async def`` waits for nothing."""

from __future__ import annotations

from markupsafe import Markup, escape

from . import json, sync
from .concurrency import run_sync
from .config import Config
from .errors import ContextError, SetupError
from .events import EventStream, JSONLines, ServerSentEvent
from .exceptions import HTTPException
from .framework import Blueprint, Erlen
from .globals import (
    current,
    current_app,
    current_request,
    current_websocket,
    g,
    has_app_context,
    has_request_context,
    has_websocket_context,
    request,
    session,
    websocket,
)
from .helpers import (
    abort,
    after_this_request,
    copy_current_app_context,
    copy_current_request_context,
    copy_current_websocket_context,
    enter,
    flash,
    get_flashed_messages,
    get_template_attribute,
    jsonify,
    make_response,
    redirect,
    render_template,
    render_template_async,
    render_template_string,
    render_template_string_async,
    send_file,
    send_from_directory,
    stream_template,
    stream_template_string,
    stream_with_context,
    url_for,
    url_to,
)
from .requests import Request
from .responses import Response
from .urls import URL
from .websockets import WebSocket, WebSocketDisconnect, broadcast

__version__ = "0.1.0"

__all__ = [
    "URL",
    "Blueprint",
    "Config",
    "ContextError",
    "Erlen",
    "EventStream",
    "HTTPException",
    "JSONLines",
    "Markup",
    "Request",
    "Response",
    "ServerSentEvent",
    "SetupError",
    "WebSocket",
    "WebSocketDisconnect",
    "abort",
    "after_this_request",
    "broadcast",
    "copy_current_app_context",
    "copy_current_request_context",
    "copy_current_websocket_context",
    "current",
    "current_app",
    "current_request",
    "current_websocket",
    "enter",
    "escape",
    "flash",
    "g",
    "get_flashed_messages",
    "get_template_attribute",
    "has_app_context",
    "has_request_context",
    "has_websocket_context",
    "json",
    "jsonify",
    "make_response",
    "redirect",
    "render_template",
    "render_template_async",
    "render_template_string",
    "render_template_string_async",
    "request",
    "run_sync",
    "send_file",
    "send_from_directory",
    "session",
    "stream_template",
    "stream_template_string",
    "stream_with_context",
    "sync",
    "url_for",
    "url_to",
    "websocket",
]
