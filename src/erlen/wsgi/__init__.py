"""The two gateways between ASGI and WSGI."""

from .calling import WSGIApp
from .gateway import Gateway
from .mount import WSGIMount, WSGIRoute

__all__ = ["Gateway", "WSGIApp", "WSGIMount", "WSGIRoute"]
