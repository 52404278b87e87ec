"""Extensions of Flask over ``async def`` views of a hosted app, and around views of ours."""

from __future__ import annotations

import asyncio
import threading

import flask
import flask_login
import pytest
from flask_caching import Cache
from flask_cors import CORS
from flask_limiter import Limiter
from flask_login import LoginManager, UserMixin, current_user, login_required
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect, FlaskForm
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from wtforms import StringField
from wtforms.validators import DataRequired

import erlen
import erlen.flask
from erlen import session
from tests.ecosystem.serving import client_of


def two_apps():
    """Return an Erlen app and a Flask app that it does not host yet."""
    old, app = flask.Flask("old", static_folder=None), erlen.Erlen("new", static_folder=None)
    old.secret_key = "k" * 32
    app.testing = old.testing = True
    return app, old


# -- Flask-Login -----------------------------------------------------------------------------


class User(UserMixin):
    def __init__(self, id):
        self.id = id


def with_login():
    app, old = two_apps()
    manager = LoginManager(old)
    manager.login_view = "sign_in"
    manager.session_protection = "strong"
    manager.user_loader(User)

    @old.get("/sign-in", endpoint="sign_in")
    def sign_in():
        return "Who are you?"

    @old.get("/login/<name>")
    async def login(name):
        flask_login.login_user(User(name), remember="remember" in flask.request.args)
        return "in"

    @old.get("/logout")
    def logout():
        flask_login.logout_user()
        return "out"

    @old.get("/me")
    @login_required
    async def me():
        return f"{current_user.id} {asyncio.get_running_loop() is me.loop}"

    me.loop = asyncio.get_running_loop()

    @app.get("/new/me")
    @erlen.flask.inside(old)
    @login_required
    async def new_me():
        await asyncio.sleep(0)
        return f"{current_user.id} {asyncio.get_running_loop() is me.loop}"

    @app.get("/new/id")
    async def new_id():
        return str(session.get("_user_id"))

    return app, old


@pytest.mark.parametrize("at", ["/", "/flask"])
async def test_a_login_is_valid_on_both_sides(at):
    app, old = with_login()
    erlen.flask.host(app, old, at)
    root = at.rstrip("/")

    async with client_of(app) as client:
        await client.get(f"{root}/login/ada")
        paths = (f"{root}/me", "/new/me", "/new/id")
        inside = [(await client.get(path)).text for path in paths]
        await client.get(f"{root}/logout")
        outside = [(await client.get(path)).status_code for path in paths[:2]]

    assert inside == ["ada True", "ada True", "ada"]
    assert outside == [302, 302]


async def test_who_is_not_logged_in_is_sent_to_the_page_for_it_and_back():
    app, old = with_login()
    erlen.flask.host(app, old, "/flask")

    async with client_of(app) as client:
        response = await client.get("/new/me")

    assert response.headers["location"] == "/flask/sign-in?next=%2Fnew%2Fme"


async def test_a_login_that_is_remembered_outlives_the_session():
    app, old = with_login()
    erlen.flask.host(app, old)

    async with client_of(app) as client:
        await client.get("/login/ada?remember=1")
        client.cookies.delete("session")
        page = await client.get("/new/me")

    assert page.text == "ada True"


async def test_current_user_outside_of_the_flask_app_says_what_to_write():
    app, old = with_login()
    erlen.flask.host(app, old)

    @app.get("/wrong")
    async def wrong():
        return current_user.name

    async with client_of(app) as client:
        with pytest.raises(AttributeError) as caught:
            await client.get("/wrong")

    assert "@erlen.flask.inside(flask_app)" in caught.value.__notes__[0]


# -- Flask-SQLAlchemy ------------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


async def test_a_database_pool_that_blocks_holds_up_no_request_of_ours(tmp_path):
    app, old = two_apps()
    old.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/notes.db"
    old.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_size": 2,
        "max_overflow": 0,
        "pool_timeout": 30,
        "connect_args": {"check_same_thread": False},
    }
    db = SQLAlchemy(model_class=Base)

    class Note(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]

    db.init_app(old)

    @old.post("/notes")
    async def add():
        db.session.add(Note(title=flask.request.form["title"]))
        await asyncio.sleep(0)
        db.session.commit()
        return "added", 201

    @old.get("/notes")
    async def notes():
        return [note.title for note in db.session.scalars(db.select(Note).order_by(Note.title))]

    @app.get("/new/count")
    @erlen.flask.inside(old)
    def count():
        return str(db.session.execute(text("select count(*) from note")).scalar())

    erlen.flask.host(app, old, async_views="own")
    with old.app_context():
        db.create_all()

    async with client_of(app) as client:
        adding = (client.post("/notes", data={"title": str(n)}) for n in range(10))
        statuses = {response.status_code for response in await asyncio.gather(*adding)}
        titles = (await client.get("/notes")).json()
        number = (await client.get("/new/count")).text

    assert statuses == {201}
    assert titles == [str(n) for n in range(10)]
    assert number == "10"
    with old.app_context():
        assert db.engine.pool.checkedout() == 0
        db.engine.dispose()


# -- Flask-WTF -------------------------------------------------------------------------------


class NoteForm(FlaskForm):
    title = StringField(validators=[DataRequired()])


async def test_csrf_protects_async_views_and_a_form_of_flask_works_in_a_view_of_ours():
    app, old = two_apps()
    CSRFProtect(old)

    @old.get("/token")
    def token():
        return flask.render_template_string("{{ csrf_token() }}")

    @old.post("/save")
    async def save():
        return flask.request.form["title"]

    @app.post("/new/save")
    @erlen.flask.inside(old)
    async def new_save():
        form = NoteForm()
        return [form.validate_on_submit(), form.title.data, dict(form.errors)]

    erlen.flask.host(app, old)
    async with client_of(app) as client:
        known = (await client.get("/token")).text
        refused = await client.post("/save", data={"title": "a"})
        saved = await client.post("/save", data={"title": "a", "csrf_token": known})
        ours = await client.post("/new/save", data={"title": "b", "csrf_token": known})
        wrong = await client.post("/new/save", data={"title": "b"})

    assert (refused.status_code, saved.text) == (400, "a")
    assert ours.json() == [True, "b", {}]
    assert wrong.json()[0] is False


# -- Flask-Limiter, Flask-Caching, Flask-CORS ------------------------------------------------


async def test_a_limit_counts_async_views_and_what_it_raises_inside_is_a_429():
    app, old = two_apps()
    limiter = Limiter(lambda: "everybody", app=old, storage_uri="memory://")

    @old.get("/limited")
    @limiter.limit("2 per hour")
    async def limited():
        return "let in"

    @app.get("/new/limited")
    @erlen.flask.inside(old)
    @limiter.limit("1 per hour")
    async def new_limited():
        return "let in"

    erlen.flask.host(app, old)
    async with client_of(app) as client:
        old_codes = [(await client.get("/limited")).status_code for _ in range(3)]
        new_codes = [(await client.get("/new/limited")).status_code for _ in range(2)]

    assert old_codes == [200, 200, 429]
    assert new_codes == [200, 429]


async def test_a_cached_async_view_runs_once_on_the_loop():
    app, old = two_apps()
    cache, ran = Cache(old, config={"CACHE_TYPE": "SimpleCache"}), []

    @old.get("/cached")
    @cache.cached()
    async def cached():
        ran.append(threading.get_ident())
        return f"{len(ran)}"

    erlen.flask.host(app, old)
    async with client_of(app) as client:
        pages = [(await client.get("/cached")).text for _ in range(3)]

    assert pages == ["1"] * 3
    assert ran == [threading.get_ident()]


async def test_cors_headers_are_on_responses_of_async_views_and_preflights():
    app, old = two_apps()
    CORS(old, origins=["https://shop.example"])

    @old.put("/price")
    async def price():
        return "set"

    erlen.flask.host(app, old)
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT"}
    async with client_of(app) as client:
        before = await client.options("/price", headers=asks)
        response = await client.put("/price", headers=asks)

    assert "PUT" in before.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
