"""Day two: new entries arrive over a websocket."""

from __future__ import annotations

import erlen.flask
from erlen import Erlen

from guestbook import create_flask_app
from live import live, tell_peers

app = Erlen(__name__, static_folder=None)
flask_app = create_flask_app()

erlen.flask.host(app, flask_app)
app.websocket("/live")(live)
app.while_serving(tell_peers)
