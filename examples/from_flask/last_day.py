"""The last day: no Flask is left, and nobody was logged out."""

from __future__ import annotations

from functools import wraps

from erlen import Erlen, flash, redirect, render_template, request, session, url_for

import book
from live import live, tell_peers

app = Erlen(__name__)
app.secret_key = "change me"
app.websocket("/live")(live)
app.while_serving(tell_peers)


def login_required(view):
    @wraps(view)
    async def checked(**values):
        if session.get("_user_id") not in book.PEOPLE:
            return redirect(url_for("login"))
        return await view(**values)

    return checked


@app.get("/")
async def index():
    return render_template("index.html", entries=book.ENTRIES, name=session.get("_user_id"))


@app.route("/login", methods=["GET", "POST"])
async def login():
    form = await request.form
    if form.get("name") in book.PEOPLE:
        session.regenerate()
        session["_user_id"] = form["name"]  # where Flask-Login had it
        flash(f"Hello {form['name']}")
        return redirect(url_for("index"))
    return render_template("login.html")


@app.post("/entries")
@login_required
async def write():
    form = await request.form
    book.write(session["_user_id"], form["text"])
    flash("Thank you")
    return redirect(url_for("index"))
