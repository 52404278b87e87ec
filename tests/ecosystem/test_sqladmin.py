"""SQLAdmin: its pages are served below /admin, behind our hooks and with our session."""

from __future__ import annotations

import pytest

pytest.importorskip("sqladmin")

from sqladmin import Admin, ModelView
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from erlen import session
from tests.ecosystem.furniture import assert_all_works, furnished_app
from tests.ecosystem.serving import client_of


class Base(DeclarativeBase):
    pass


class Tea(Base):
    __tablename__ = "teas"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class TeaAdmin(ModelView, model=Tea):
    column_list = (Tea.id, Tea.name)


class Guard(AuthenticationBackend):
    """Lets in who knows the password, and remembers it in the session of the request."""

    async def login(self, request):
        form = await request.form()
        if form["password"] != "open sesame":
            return False
        request.session["admin"] = form["username"]
        return True

    async def logout(self, request):
        request.session.clear()
        return True

    async def authenticate(self, request):
        return "admin" in request.session


def app_with_admin(**options):
    app = furnished_app("teas")
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    admin = Admin(app, engine, **options)
    admin.add_view(TeaAdmin)

    @app.while_serving
    async def database():
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with sessions.begin() as rows:
            rows.add(Tea(name="Assam"))
        yield
        await engine.dispose()

    @app.get("/teas")
    async def teas():
        async with sessions() as rows:
            return [tea.name for tea in await rows.scalars(select(Tea).order_by(Tea.id))]

    @app.get("/who")
    async def who():
        return session.get("admin", "nobody")

    return app


async def test_the_list_shows_the_rows_and_links_to_them():
    async with client_of(app_with_admin()) as client:
        page = await client.get("/admin/tea/list")
        details = await client.get("/admin/tea/details/1")
        home = await client.get("/admin/")
        await assert_all_works(client)

    assert page.status_code == 200
    assert "Assam" in page.text
    assert 'href="http://testserver/admin/tea/details/1"' in page.text
    assert page.headers["x-after"] == "/admin/tea/list None"
    assert "Assam" in details.text
    assert "/admin/tea/list" in home.text


async def test_its_static_files_and_its_404_are_served():
    async with client_of(app_with_admin()) as client:
        style = await client.get("/admin/statics/css/main.css")
        missing = await client.get("/admin/nothing")

    assert style.headers["content-type"].startswith("text/css")
    assert missing.status_code == 404


async def test_its_forms_write_rows_that_our_views_see():
    async with client_of(app_with_admin(), follow_redirects=True) as client:
        created = await client.post("/admin/tea/create", data={"name": "Oolong"})
        edited = await client.post("/admin/tea/edit/1", data={"name": "Darjeeling"})
        teas = (await client.get("/teas")).json()
        await client.delete("/admin/tea/delete?pks=1")
        left = (await client.get("/teas")).json()

    assert created.status_code == edited.status_code == 200
    assert teas == ["Darjeeling", "Oolong"]
    assert left == ["Oolong"]


async def log_in_and_out(client):
    """Try a wrong password and the right one, and leave; returns what was shown."""
    refused = await client.get("/admin/tea/list")
    wrong = await client.post("/admin/login", data={"username": "mary", "password": "please"})
    right = {"username": "mary", "password": "open sesame"}
    entered = await client.post("/admin/login", data=right)
    page = await client.get("/admin/tea/list")
    assert (refused.status_code, wrong.status_code, entered.status_code) == (302, 400, 302)
    assert "Assam" in page.text
    who = (await client.get("/who")).text
    await client.get("/admin/logout")
    assert (await client.get("/admin/tea/list")).status_code == 302
    return who


async def test_its_login_may_use_our_session():
    guard = Guard(secret_key="")
    guard.middlewares = []

    async with client_of(app_with_admin(authentication_backend=guard)) as client:
        assert await log_in_and_out(client) == "mary"
        assert (await client.get("/who")).text == "nobody"
        await assert_all_works(client)


async def test_its_login_may_have_a_session_of_its_own_in_another_cookie():
    guard = Guard(secret_key="of the admin", session_cookie="admin")

    async with client_of(app_with_admin(authentication_backend=guard)) as client:
        assert (await client.get("/visits")).json() == {"visits": 1}
        assert await log_in_and_out(client) == "nobody"
        assert (await client.get("/visits")).json() == {"visits": 2}
