"""A Flask app hosted by ``erlen.flask``: one session, one loop, URLs both ways."""

from __future__ import annotations

import asyncio
import threading

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import Client

import erlen
import erlen.flask
from erlen import SetupError, session, sync
from erlen.rules import BuildError
from tests.ecosystem.serving import client_of

KEY = "k" * 32


def hosted(at="/", **options):
    """Return an Erlen app around a Flask app with a few views, and the Flask app."""
    old = flask.Flask("old", static_folder=None)
    old.secret_key = KEY
    app = erlen.Erlen("new", static_folder=None)
    app.testing = old.testing = True

    @old.get("/old")
    def index():
        return flask.url_for("index")

    @old.get("/note/<int:id>")
    def note(id):
        return f"note {id}"

    @old.get("/put/<value>")
    def put(value):
        flask.session["value"] = value
        flask.flash(f"put {value}")
        return "put"

    @old.get("/take")
    def take():
        return {"value": flask.session.get("value"), "flashes": flask.get_flashed_messages()}

    @app.get("/new/take")
    async def new_take():
        return {"value": session.get("value"), "flashes": erlen.get_flashed_messages()}

    @app.get("/new/put/<value>")
    def new_put(value):
        session["value"] = value
        erlen.flash(f"put {value}")
        return "put"

    erlen.flask.host(app, old, at, **options)
    return app, old


# -- one session -----------------------------------------------------------------------------


async def test_what_the_flask_app_remembers_is_seen_by_views_of_ours():
    app, _ = hosted()

    async with client_of(app) as client:
        await client.get("/put/a")
        page = await client.get("/new/take")

    assert page.json() == {"value": "a", "flashes": ["put a"]}


async def test_what_views_of_ours_remember_is_seen_by_the_flask_app():
    app, _ = hosted("/flask")

    async with client_of(app) as client:
        await client.get("/new/put/b")
        page = await client.get("/flask/take")

    assert page.json() == {"value": "b", "flashes": ["put b"]}


async def test_both_may_write_the_session_in_one_response():
    app, _ = hosted()

    @app.after_request
    def count(response):
        session["count"] = session.get("count", 0) + 1
        return response

    async with client_of(app) as client:
        response = await client.get("/put/a")
        page = await client.get("/take")

    assert len(response.headers.get_list("set-cookie")) == 1
    assert page.json()["value"] == "a"


async def test_a_session_that_nobody_touches_costs_no_cookie():
    app, _ = hosted()

    async with client_of(app) as client:
        response = await client.get("/note/3")

    assert "set-cookie" not in response.headers
    assert "vary" not in response.headers


async def test_a_cookie_that_flask_made_before_is_valid_and_one_of_ours_is_valid_in_flask():
    alone, _ = hosted()
    plain = flask.Flask("plain")
    plain.secret_key = KEY
    plain.get("/", endpoint="set")(lambda: flask.session.update(value="c") or "set")
    plain.get("/get", endpoint="get")(lambda: flask.session["value"])
    before = plain.test_client()
    before.get("/")
    cookie = before.get_cookie("session").value

    async with client_of(alone, cookies={"session": cookie}) as client:
        taken = (await client.get("/new/take")).json()["value"]
        await client.get("/new/put/d")
        cookie = list(client.cookies.jar)[-1].value
    after = plain.test_client()
    after.set_cookie("session", cookie)

    assert (taken, after.get("/get").text) == ("c", "d")


async def test_the_cookie_is_as_the_flask_app_configures_it():
    app, old = hosted()
    old.config.update(SESSION_COOKIE_NAME="sid", SESSION_COOKIE_SAMESITE="Strict")

    async with client_of(app) as client:
        cookies = [
            (await client.get(path)).headers["set-cookie"] for path in ("/put/a", "/new/put/a")
        ]

    assert all(cookie.startswith("sid=") and "SameSite=Strict" in cookie for cookie in cookies)


async def test_old_keys_verify_in_both():
    app, old = hosted()
    async with client_of(app) as client:
        await client.get("/put/a")
        old.config.update(SECRET_KEY="n" * 32, SECRET_KEY_FALLBACKS=[KEY])

        pages = [(await client.get(path)).json()["value"] for path in ("/new/take", "/take")]

    assert pages == ["a", "a"]


@pytest.mark.parametrize("first", ["flask", "erlen"])
def test_a_secret_key_that_one_has_is_that_of_both(first):
    old, app = flask.Flask("old", static_folder=None), erlen.Erlen("new")
    (old if first == "flask" else app).config["SECRET_KEY"] = KEY

    erlen.flask.host(app, old)

    assert old.secret_key == app.secret_key == KEY


def test_different_secret_keys_are_refused():
    old, app = flask.Flask("old", static_folder=None), erlen.Erlen("new")
    old.secret_key, app.secret_key = "a" * 32, "b" * 32

    with pytest.raises(SetupError, match="different secret keys"):
        erlen.flask.host(app, old)


async def test_without_a_secret_key_each_says_so_in_its_way():
    old, app = flask.Flask("old", static_folder=None), erlen.Erlen("new", static_folder=None)
    app.testing = old.testing = True
    old.get("/")(lambda: flask.session.update(a=1))
    erlen.flask.host(app, old)

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match="secret key"):
            await client.get("/")


class Table(SecureCookieSessionInterface):
    """Sessions in a dict, as those in a database: the cookie holds a number."""

    def __init__(self):
        self.rows = {}
        self.saved = 0

    def open_session(self, app, request):
        made = self.session_class(self.rows.get(request.cookies.get("sid")))
        made.sid = request.cookies.get("sid") or str(len(self.rows) + 1)
        return made

    def save_session(self, app, session, response):
        if session.modified:
            self.saved += 1
            self.rows[session.sid] = dict(session)
            response.set_cookie("sid", session.sid)


async def test_the_session_interface_of_the_flask_app_serves_both():
    old, app = flask.Flask("old", static_folder=None), erlen.Erlen("new", static_folder=None)
    old.session_interface = table = Table()
    old.get("/put", endpoint="put")(lambda: flask.session.update(value="e") or "put")
    old.get("/take", endpoint="take")(lambda: flask.session["more"])

    @app.get("/new")
    async def new():
        session["more"] = f"{session['value']} and more"
        return "new"

    erlen.flask.host(app, old)
    async with client_of(app) as client:
        pages = [(await client.get(path)).text for path in ("/put", "/new", "/take")]

    assert pages == ["put", "new", "e and more"]
    assert isinstance(old.session_interface, Table)
    assert table.saved == 2


async def test_flasks_own_test_client_works_as_before():
    _, old = hosted()

    with old.test_client() as client:
        with client.session_transaction() as values:
            values["value"] = "f"

        assert client.get("/take").get_json()["value"] == "f"


# -- async def views -------------------------------------------------------------------------


async def test_an_async_view_runs_on_the_serving_loop():
    app, old = hosted()
    here = asyncio.get_running_loop()

    @old.get("/loop")
    async def view():
        await asyncio.sleep(0)
        flask.g.seen = asyncio.get_running_loop() is here
        return flask.jsonify(flask.request.path, flask.g.seen)

    @old.before_request
    async def before():
        flask.g.loop = asyncio.get_running_loop()

    @old.after_request
    def after(response):
        response.headers["X-Hook"] = str(flask.g.loop is here)
        return response

    async with client_of(app) as client:
        page = await client.get("/loop")

    assert page.json() == ["/loop", True]
    assert page.headers["x-hook"] == "True"


async def test_async_views_of_their_own_loop_share_one_thread():
    app, old = hosted(async_views="own")
    threads = set()

    @old.get("/loop")
    async def view():
        threads.add(threading.get_ident())
        return flask.request.path

    async with client_of(app) as client:
        pages = await asyncio.gather(*(client.get("/loop") for _ in range(3)))

    assert [page.text for page in pages] == ["/loop"] * 3
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert "erlen-flask-loop" not in {thread.name for thread in threading.enumerate()}


def test_another_word_for_async_views_is_refused():
    with pytest.raises(SetupError, match="'serving' or 'own', not 'mine'"):
        hosted(async_views="mine")


# -- URLs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["/", "/flask"])
async def test_urls_of_the_flask_app_are_built_here(at):
    app, _ = hosted(at)
    prefix = at.rstrip("/")

    @app.get("/urls")
    async def urls():
        return [
            erlen.url_for("flask:note", id=3, q="a b", _anchor="top"),
            erlen.url_for("note", id=3, _external=True),
        ]

    async with client_of(app) as client:
        urls = (await client.get("/urls")).json()
        followed = await client.get(urls[0])

    assert urls == [f"{prefix}/note/3?q=a+b#top", f"http://testserver{prefix}/note/3"]
    assert followed.text == "note 3"


@pytest.mark.parametrize("at", ["/", "/flask"])
async def test_urls_of_ours_are_built_in_templates_of_the_flask_app(at):
    app, old = hosted(at)
    links = "{{ url_for('new_put', value='x') }} {{ url_for('erlen:new_take', _external=True) }}"
    old.get("/links")(lambda: flask.render_template_string(links))

    async with client_of(app) as client:
        page = await client.get(f"{at.rstrip('/')}/links")

    assert page.text == "/new/put/x http://testserver/new/take"


async def test_an_endpoint_that_neither_has_is_an_error_of_who_asked():
    app, old = hosted()
    old.get("/links")(lambda: flask.url_for("nowhere"))

    @app.get("/urls")
    async def urls():
        return erlen.url_for("flask:nowhere")

    async with client_of(app) as client:
        with pytest.raises(LookupError, match="nowhere") as theirs:
            await client.get("/links")
        with pytest.raises(BuildError, match="nowhere") as ours:
            await client.get("/urls")

    assert type(theirs.value).__module__ == "werkzeug.routing.exceptions"
    assert "'old' has none either" in ours.value.__notes__[0]


# -- inside ----------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", ["def", "async def"])
async def test_a_view_inside_has_flasks_names(colour):
    app, old = hosted("/flask")
    gone = []
    old.teardown_appcontext(lambda error: gone.append(error))

    def names():
        flask.session["value"] = "g"
        return [flask.current_app.name, flask.request.path, flask.url_for("note", id=1)]

    async def async_names():
        await asyncio.sleep(0)
        return names()

    view = names if colour == "def" else async_names
    app.get("/names")(erlen.flask.inside(old)(view))
    async with client_of(app) as client:
        page = await client.get("/names")
        taken = await client.get("/new/take")

    assert page.json() == ["old", "/names", "/flask/note/1"]
    assert taken.json()["value"] == "g"
    assert gone == [None]


async def test_a_form_that_was_sent_is_there_for_both():
    app, old = hosted()

    @app.post("/form")
    @erlen.flask.inside(old)
    def form():
        return [flask.request.form["a"], sync.request.form["a"]]

    async with client_of(app) as client:
        page = await client.post("/form", data={"a": "1"})

    assert page.json() == ["1", "1"]


async def test_all_views_of_a_blueprint_may_be_inside():
    app, old = hosted()
    group = erlen.flask.inside(old)(erlen.Blueprint("group", __name__, url_prefix="/group"))

    @group.get("/<name>")
    async def page(name):
        return f"{name} {flask.request.path} {erlen.url_for(page, name='b')}"

    app.register_blueprint(group)
    async with client_of(app) as client:
        text = (await client.get("/group/a")).text

    assert text == "a /group/a /group/b"


async def test_what_flask_answers_or_raises_inside_is_an_answer_of_ours():
    app, old = hosted()

    @app.get("/away")
    @erlen.flask.inside(old)
    def away():
        return flask.redirect(flask.url_for("note", id=1))

    @app.get("/stop")
    @erlen.flask.inside(old)
    async def stop():
        flask.abort(403, "not you")

    @app.errorhandler(403)
    def handler(error):
        return f"ours: {error.description}", 403

    async with client_of(app) as client:
        redirected, stopped = await client.get("/away"), await client.get("/stop")

    assert (redirected.status_code, redirected.headers["location"]) == (302, "/note/1")
    assert (stopped.status_code, stopped.text) == (403, "ours: not you")


async def test_without_inside_the_error_says_what_to_write():
    app, _ = hosted()

    @app.get("/outside")
    async def outside():
        return flask.request.path

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match="outside of request context") as caught:
            await client.get("/outside")

    assert "@erlen.flask.inside(flask_app)" in caught.value.__notes__[0]


async def test_inside_of_an_app_that_is_not_hosted_says_so():
    app, old = erlen.Erlen("new", static_folder=None), flask.Flask("old")
    app.testing = True
    app.get("/")(erlen.flask.inside(old)(lambda: "never"))

    async with client_of(app) as client:
        with pytest.raises(SetupError, match=r"erlen\.flask\.host\(app, flask_app\)"):
            await client.get("/")


# -- setting up ------------------------------------------------------------------------------


def test_a_static_folder_that_would_hide_the_other_is_refused(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name / "static").mkdir(parents=True)
    old = flask.Flask("old", root_path=str(tmp_path / "old"))
    app = erlen.Erlen("new", root_path=str(tmp_path / "new"))

    with pytest.raises(SetupError, match="Both apps have static files at /static"):
        erlen.flask.host(app, old)


def test_a_flask_app_is_hosted_once():
    _, old = hosted()

    with pytest.raises(SetupError, match="is hosted already"):
        erlen.flask.host(erlen.Erlen("other"), old)


# -- under a WSGI server ---------------------------------------------------------------------


def test_what_the_server_says_beyond_the_request_arrives_and_a_path_gets_its_slash():
    app, old = hosted()
    old.get("/who")(lambda: f"{flask.request.remote_user} {flask.request.path}")
    client = Client(app.wsgi_app)

    page = client.get("who", environ_base={"REMOTE_USER": "ada"})

    app.wsgi_app.close()
    assert page.text == "ada /who"
