"""An app that says what it was sent, and counts in its session."""

from __future__ import annotations

from erlen import Erlen, g, request, session


def make_app(**config):
    app = Erlen("shop")
    app.config.update({"SECRET_KEY": "a key for tests", "TESTING": True, **config})

    @app.get("/")
    async def index():
        return "hello"

    @app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def echo():
        return {
            "method": request.method,
            "path": request.path,
            "root": request.root_path,
            "url": request.url,
            "query": request.query_string.decode(),
            "headers": dict(request.headers.items(lower=True)),
            "body": (await request.get_data()).decode(),
        }

    @app.get("/count")
    def count():
        session["n"] = session.get("n", 0) + 1
        g.n = session["n"]
        return str(session["n"])

    return app
