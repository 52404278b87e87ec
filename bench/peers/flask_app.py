"""Flask, called as WSGI; every view of it is a `def` view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, render_template, request, session

from bench.contents import (
    CHUNK,
    CHUNKS,
    DOCUMENT,
    GREETING,
    MISSING,
    PAGES,
    ROWS,
    SECRET,
    TEAPOT,
    Teapot,
    received,
    static_folder,
)

NEWLINE = ("its JSON ends with a newline", lambda body: body.rstrip(b"\n"))
DIFFERENT = {"json": NEWLINE, "echo": NEWLINE}
LACKS = {"socket": "WSGI has no websockets"}


def plain() -> Flask:
    app = Flask(
        __name__,
        static_url_path="/static",
        static_folder=static_folder(),
        template_folder=PAGES,
    )
    # Else the answers differ: Flask sorts.
    app.json.sort_keys = False

    @app.get("/")
    def index() -> str:
        return GREETING

    @app.get("/json")
    def document() -> dict[str, Any]:
        return DOCUMENT

    @app.get("/user/<int:id>")
    def user(id: int) -> str:
        return f"user {id}"

    @app.get("/args")
    def args() -> str:
        name, page = request.args["name"], request.args.get("page", type=int)
        return f"{name} {page} {request.headers['x-token']} {request.cookies['theme']}"

    @app.post("/echo")
    def echo() -> Any:
        return request.get_json()

    @app.post("/form")
    def form() -> str:
        return f"{request.form['name']} from {request.form['city']}"

    @app.post("/upload")
    def upload() -> str:
        file = request.files["file"]
        return received(file.filename, file.read())

    @app.get("/template")
    def template() -> str:
        return render_template("rows.html", title="Rows", rows=ROWS)

    @app.get("/def")
    def threaded() -> str:
        return GREETING

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[bytes]:
            for _ in range(CHUNKS):
                yield CHUNK

        return Response(chunks(), mimetype="text/plain")

    @app.get("/teapot")
    def teapot() -> str:
        raise Teapot

    @app.errorhandler(Teapot)
    def short_and_stout(error: Teapot) -> tuple[str, int]:
        return TEAPOT, 418

    say_missing(app)
    return app


def say_missing(app: Flask) -> None:
    @app.errorhandler(404)
    def missing(error: Exception) -> tuple[str, int]:
        return MISSING, 404


def hooked() -> Flask:
    app = Flask(__name__, static_folder=None)

    @app.before_request
    def before() -> None:
        return None

    @app.after_request
    def after(response: Response) -> Response:
        response.headers["x-after"] = "1"
        return response

    @app.get("/")
    def index() -> str:
        return GREETING

    return app


def with_session() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.secret_key = SECRET

    @app.get("/visit")
    def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']}"

    return app


def routes(count: int) -> Flask:
    app = Flask(__name__, static_folder=None)

    def static() -> str:
        return "s"

    def dynamic(id: int) -> str:
        return str(id)

    for n in range(count // 2):
        app.add_url_rule(f"/s{n}/page", f"s{n}", static)
        app.add_url_rule(f"/d{n}/<int:id>", f"d{n}", dynamic)
    say_missing(app)
    return app
