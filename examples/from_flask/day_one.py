"""Day one: Erlen serves the Flask app."""

from __future__ import annotations

import erlen.flask
from erlen import Erlen

from guestbook import create_flask_app

app = Erlen(__name__, static_folder=None)
flask_app = create_flask_app()

erlen.flask.host(app, flask_app)
