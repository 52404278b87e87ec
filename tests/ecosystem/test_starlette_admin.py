"""starlette-admin: mounted, it lists and edits rows, and logs in with our session."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette_admin")

from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.contrib.sqla import Admin, ModelView
from starlette_admin.exceptions import LoginFailed

from erlen import session
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


class Base(DeclarativeBase):
    pass


class Tea(Base):
    __tablename__ = "teas"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Guard(AuthProvider):
    async def login(self, username, password, remember_me, request):
        if password != "open sesame":
            raise LoginFailed("Not with this password")
        request.session["admin"] = username

    async def authenticate(self, request):
        name = request.session.get("admin")
        return AdminUser(username=name) if name else None

    async def logout(self, request):
        request.session.clear()


def app_with_admin(**options):
    app = furnished_app("teas")
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    admin = Admin(engine, secret_key="of the admin", **options)
    admin.add_view(ModelView(Tea))
    admin.mount_to(app)

    @app.while_serving
    def database():
        Base.metadata.create_all(engine)
        with Session(engine) as rows, rows.begin():
            rows.add(Tea(name="Assam"))
        yield
        engine.dispose()

    @app.get("/teas")
    def teas():
        with Session(engine) as rows:
            return list(rows.scalars(select(Tea.name).order_by(Tea.id)))

    @app.get("/who")
    async def who():
        return session.get("admin", "nobody")

    return app


async def post(client, url, **data):
    """Send a form of the admin with the token that its last page left in a cookie."""
    token = client.cookies.get("starlette_admin_csrftoken")
    return await client.post(url, data={"csrftoken": token, **data})


async def test_the_list_shows_the_rows_and_links_to_itself():
    async with client_of(app_with_admin()) as client:
        page = await client.get("/admin/tea/list")
        style = re.search(r'href="http://testserver(/admin/static/[^"]+\.css[^"]*)"', page.text)
        styles = await client.get(style[1])
        missing = await client.get("/admin/nothing")
        await assert_all_works(client)

    assert page.status_code == styles.status_code == 200
    assert "Assam" in page.text
    assert 'href="http://testserver/admin/tea/list"' in page.text
    assert page.headers["x-after"] == "/admin/tea/list None"
    assert missing.status_code == 404


async def test_its_forms_write_rows_that_our_views_see():
    async with client_of(app_with_admin()) as client:
        await client.get("/admin/tea/create")
        created = await post(client, "/admin/tea/create", name="Oolong")
        edited = await post(client, "/admin/tea/edit?pk=1", name="Darjeeling")
        forged = await client.post("/admin/tea/create", data={"name": "Forged"})
        teas = (await client.get("/teas")).json()

    assert (created.status_code, edited.status_code, forged.status_code) == (303, 303, 403)
    assert teas == ["Darjeeling", "Oolong"]


async def test_its_login_uses_our_session():
    async with client_of(app_with_admin(auth_provider=Guard())) as client:
        refused = await client.get("/admin/tea/list")
        await client.get("/admin/login")
        wrong = await post(client, "/admin/login", username="mary", password="please")
        entered = await post(client, "/admin/login", username="mary", password="open sesame")
        page = await client.get("/admin/tea/list")
        who = (await client.get("/who")).text
        await post(client, "/admin/logout")
        nobody = (await client.get("/who")).text

    assert (refused.status_code, entered.status_code) == (303, 303)
    assert "Not with this password" in wrong.text
    assert "Assam" in page.text
    assert (who, nobody) == ("mary", "nobody")
