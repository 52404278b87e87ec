"""A blog: people register, log in, and write, change and delete their posts.

All views are ``def``: this is Flask as everyone knows it, and runs in worker threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erlen import Erlen

from . import auth, db, posts


def create_app(test_config: Mapping[str, Any] | None = None) -> Erlen:
    """Return the app; *test_config* stands in for ``config.py`` of the instance folder."""
    app = Erlen(__name__, instance_relative_config=True)
    app.config.from_mapping(
        SECRET_KEY="dev",  # for development only: instance/config.py has the real one
        DATABASE=str(Path(app.instance_path) / "blog.sqlite"),
    )
    if test_config is None:
        app.config.from_pyfile("config.py", silent=True)
    else:
        app.config.from_mapping(test_config)

    db.init_app(app)
    app.register_blueprint(auth.blueprint)
    app.register_blueprint(posts.blueprint)
    return app
