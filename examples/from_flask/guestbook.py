"""The guest book as it has been in production: Flask and Flask-Login."""

from __future__ import annotations

import flask
from flask import flash, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user

import book


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


def create_flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.secret_key = "change me"
    logins = LoginManager(app)
    logins.login_view = "login"

    @logins.user_loader
    def load(name):
        return User(name) if name in book.PEOPLE else None

    @app.get("/")
    def index():
        return render_template("index.html", entries=book.ENTRIES, name=current_user.get_id())

    @app.route("/login", methods=["GET", "POST"])
    def login():
        if request.method == "POST" and (user := load(request.form["name"])):
            login_user(user)
            flash(f"Hello {user.id}")
            return redirect(url_for("index"))
        return render_template("login.html")

    @app.post("/entries")
    @login_required
    def write():
        book.write(current_user.id, request.form["text"])
        flash("Thank you")
        return redirect(url_for("index"))

    return app
