"""Who is it? Register, log in, log out, and a decorator for views that need to know."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from typing import Any

from erlen import Blueprint, flash, g, redirect, render_template, session, url_for
from erlen.security import check_password_hash, generate_password_hash
from erlen.sync import request

from .db import get_db

blueprint = Blueprint("auth", __name__, url_prefix="/auth")

LONGEST_NAME = 40
SHORTEST_PASSWORD = 8


@blueprint.before_app_request
def load_author() -> None:
    """Find out who is logged in, before every view of the app."""
    g.author = None
    if "author_id" in session:
        query = "SELECT * FROM author WHERE id = ?"
        g.author = get_db().execute(query, (session["author_id"],)).fetchone()


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Send those who are not logged in to the login page, instead of to *view*."""

    @functools.wraps(view)
    def guarded(**values: Any) -> Any:
        if g.author is None:
            flash("Please log in first.")
            return redirect(url_for("auth.login"))
        return view(**values)

    return guarded


@blueprint.route("/register", methods=["GET", "POST"])
def register():
    if request.method == "POST":
        name, password = request.form["name"].strip(), request.form["password"]
        problem = what_is_wrong(name, password)
        if problem is None and add_author(name, password):
            flash(f"Welcome, {name}! Please log in.")
            return redirect(url_for(".login"))
        flash(problem or f"Somebody is already called {name}.", "error")
    return render_template("auth/register.html")


@blueprint.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        query = "SELECT * FROM author WHERE name = ?"
        author = get_db().execute(query, (request.form["name"].strip(),)).fetchone()
        if author and check_password_hash(author["password"], request.form["password"]):
            session.clear()
            session["author_id"] = author["id"]
            return redirect(url_for("posts.index"))
        flash("This name and this password do not belong together.", "error")
    return render_template("auth/login.html")


@blueprint.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("posts.index"))


def what_is_wrong(name: str, password: str) -> str | None:
    """Return what the person has to change; ``None`` if nothing."""
    if not name:
        return "Please tell us your name."
    if len(name) > LONGEST_NAME:
        return f"A name has at most {LONGEST_NAME} characters."
    if len(password) < SHORTEST_PASSWORD:
        return f"A password has at least {SHORTEST_PASSWORD} characters."
    return None


def add_author(name: str, password: str) -> bool:
    """Add an author; false if the name is taken."""
    db = get_db()
    try:
        db.execute(
            "INSERT INTO author (name, password) VALUES (?, ?)",
            (name, generate_password_hash(password)),
        )
        db.commit()
    except sqlite3.IntegrityError:
        return False
    return True
