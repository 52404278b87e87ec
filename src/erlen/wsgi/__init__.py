"""The two gateways between ASGI and WSGI."""

from .calling import WSGIApp
from .mount import WSGIMount, WSGIRoute

__all__ = ["WSGIApp", "WSGIMount", "WSGIRoute"]
