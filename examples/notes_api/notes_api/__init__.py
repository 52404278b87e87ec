"""Notes: a JSON API over SQLite that waits for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erlen import Erlen

from . import db, notes


def create_app(test_config: Mapping[str, Any] | None = None) -> Erlen:
    """Return the app; *test_config* stands in for what the environment says."""
    app = Erlen(__name__, errors="problem")
    app.config.from_mapping(
        DATABASE=str(Path(app.instance_path) / "notes.sqlite"),
        DATABASE_CONNECTIONS=5,
    )
    if test_config is None:
        app.config.from_prefixed_env()  # ERLEN_DATABASE=/var/lib/notes.sqlite
    else:
        app.config.from_mapping(test_config)

    db.init_app(app)
    app.register_blueprint(notes.blueprint)
    return app
