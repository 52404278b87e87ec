"""The posts: everybody reads them, their authors write them."""

from __future__ import annotations

import sqlite3

from erlen import Blueprint, abort, flash, g, redirect, render_template, url_for
from erlen.sync import request

from .auth import login_required
from .db import get_db

blueprint = Blueprint("posts", __name__)

LONGEST_TITLE = 120
ONE_POST = f"/<int(max={2**63 - 1}):id>"
"""The rule of one post; SQLite has no larger integers, so they are a 404."""


@blueprint.get("/")
def index():
    posts = get_db().execute(
        "SELECT post.*, author.name AS author FROM post"
        " JOIN author ON author.id = post.author_id ORDER BY post.id DESC LIMIT 50"
    )
    return render_template("posts/index.html", posts=posts.fetchall())


@blueprint.route("/create", methods=["GET", "POST"])
@login_required
def create():
    if request.method == "POST" and (fields := checked_form()):
        db = get_db()
        db.execute(
            "INSERT INTO post (title, body, author_id) VALUES (?, ?, ?)", (*fields, g.author["id"])
        )
        db.commit()
        return redirect(url_for(".index"))
    return render_template("posts/form.html", post=None)


@blueprint.route(f"{ONE_POST}/update", methods=["GET", "POST"])
@login_required
def update(id: int):
    post = own_post(id)
    if request.method == "POST" and (fields := checked_form()):
        db = get_db()
        db.execute("UPDATE post SET title = ?, body = ? WHERE id = ?", (*fields, id))
        db.commit()
        return redirect(url_for(".index"))
    return render_template("posts/form.html", post=post)


@blueprint.post(f"{ONE_POST}/delete")
@login_required
def delete(id: int):
    own_post(id)
    db = get_db()
    db.execute("DELETE FROM post WHERE id = ?", (id,))
    db.commit()
    flash("The post is gone.")
    return redirect(url_for(".index"))


def checked_form() -> tuple[str, str] | None:
    """Return title and body of the form; ``None``, and a message, if something is wrong."""
    title, body = request.form["title"].strip(), request.form["body"]
    if title and len(title) <= LONGEST_TITLE:
        return title, body
    flash(f"A post needs a title of at most {LONGEST_TITLE} characters.", "error")
    return None


def own_post(id: int) -> sqlite3.Row:
    """Return a post of the author who is logged in; else the answer is a 404 or a 403."""
    post = get_db().execute("SELECT * FROM post WHERE id = ?", (id,)).fetchone()
    if post is None:
        abort(404, "There is no such post.")
    if post["author_id"] != g.author["id"]:
        abort(403, "Only its author may change a post.")
    return post
