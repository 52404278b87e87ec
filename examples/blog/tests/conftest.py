from __future__ import annotations

import pytest
from erlen.security import generate_password_hash

from blog import create_app
from blog.db import get_db, init_db

PASSWORD = "correct horse"
HASH = generate_password_hash(PASSWORD)  # once: it is slow on purpose


@pytest.fixture
def app(tmp_path):
    """An app with a database of its own: Ada wrote a post, Bob did not."""
    app = create_app(
        {"TESTING": True, "SECRET_KEY": "test", "DATABASE": str(tmp_path / "blog.sqlite")}
    )
    with app.app_context():
        init_db()
        db = get_db()
        db.executemany(
            "INSERT INTO author (name, password) VALUES (?, ?)", [("Ada", HASH), ("Bob", HASH)]
        )
        db.execute("INSERT INTO post (author_id, title, body) VALUES (1, 'Engines', 'One & all')")
        db.commit()
    return app


@pytest.fixture
async def client(app):
    async with app.test_client() as client:
        yield client


@pytest.fixture
def log_in(client):
    async def log_in(name, password=PASSWORD):
        return await client.post("/auth/login", data={"name": name, "password": password})

    return log_in
