"""Day three: a view has moved. Flask-Login still says who may call it."""

from __future__ import annotations

import erlen.flask
from erlen import Erlen, flash, redirect, request, url_for
from flask_login import current_user, login_required

import book
from guestbook import create_flask_app
from live import live, tell_peers

app = Erlen(__name__, static_folder=None)
flask_app = create_flask_app()

erlen.flask.host(app, flask_app)
app.websocket("/live")(live)
app.while_serving(tell_peers)


@app.post("/entries")
@erlen.flask.inside(flask_app)
@login_required
async def write():
    form = await request.form
    book.write(current_user.id, form["text"])
    flash("Thank you")
    return redirect(url_for("flask:index"))
