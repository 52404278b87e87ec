"""A Flask app, with its extensions, inside of an Erlen app. Imports nothing of Flask."""

from .hosting import FlaskApp, host
from .inside import inside

__all__ = ["FlaskApp", "host", "inside"]
