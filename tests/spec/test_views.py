"""Views that are classes, in both colours."""

from __future__ import annotations

import functools

import pytest

from erlen import Erlen, g, request
from erlen.errors import SetupTypeError
from erlen.views import MethodView, View


async def test_a_view_class_answers_in_either_colour():
    class Asynchronous(View):
        async def dispatch_request(self, name):
            return f"async {name}"

    class Plain(View):
        """Documented."""

        def dispatch_request(self, name):
            return f"def {name}"

    app = Erlen("views")
    app.add_url_rule("/a/<name>", view_func=Asynchronous.as_view("a"))
    app.add_url_rule("/d/<name>", view_func=Plain.as_view("d"))
    client = app.test_client()

    assert (await client.get("/a/x")).text == "async x"
    assert (await client.get("/d/x")).text == "def x"
    view = app.view_functions["d"]
    assert (view.__name__, view.__doc__, view.view_class) == ("d", "Documented.", Plain)


async def test_arguments_go_to_the_class_for_each_request_or_once():
    made = []

    class Counted(View):
        def __init__(self, text):
            made.append(text)
            self.text = text

        async def dispatch_request(self):
            return self.text

    class Shared(Counted):
        init_every_request = False

    app = Erlen("views")
    app.add_url_rule("/each", view_func=Counted.as_view("each", "each"))
    app.add_url_rule("/once", view_func=Shared.as_view("once", text="once"))
    client = app.test_client()
    for path in ("/each", "/once") * 2:
        assert (await client.get(path)).text == path[1:]

    assert sorted(made) == ["each", "each", "once"]


async def test_decorators_are_applied_in_their_order():
    def mark(letter):
        def decorator(view):
            @functools.wraps(view)
            async def marked(*args, **kwargs):
                return await view(*args, **kwargs) + letter

            return marked

        return decorator

    class Decorated(View):
        decorators = [mark("a"), mark("b")]  # noqa: RUF012
        methods = ["POST"]  # noqa: RUF012

        async def dispatch_request(self):
            return ""

    app = Erlen("views")
    app.add_url_rule("/", view_func=Decorated.as_view("view"))
    client = app.test_client()

    assert (await client.post("/")).text == "ab"
    assert (await client.get("/")).status_code == 405


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_a_method_view_has_a_method_for_each_method(colour):
    if colour == "def":

        class Notes(MethodView):
            def get(self, id):
                return f"get {id}"

            def delete(self, id):
                return f"delete {id}"

    else:

        class Notes(MethodView):
            async def get(self, id):
                return f"get {id}"

            async def delete(self, id):
                return f"delete {id}"

    app = Erlen("views")
    app.add_url_rule("/<int:id>", view_func=Notes.as_view("notes"))
    client = app.test_client()

    assert (await client.get("/1")).text == "get 1"
    assert (await client.delete("/1")).text == "delete 1"
    assert (await client.head("/1")).status_code == 200
    response = await client.post("/1")
    assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"


async def test_methods_are_inherited_and_may_be_named():
    class Base(MethodView):
        async def get(self):
            return "base"

    class Child(Base):
        async def post(self):
            return "child"

    class OnlyPost(Child):
        methods = ["POST"]  # noqa: RUF012

    app = Erlen("views")
    app.add_url_rule("/child", view_func=Child.as_view("child"))
    app.add_url_rule("/only", view_func=OnlyPost.as_view("only"))
    client = app.test_client()

    assert (await client.get("/child")).text == "base"
    assert (await client.post("/child")).text == "child"
    assert (await client.get("/only")).status_code == 405


async def test_a_client_cannot_call_a_helper_of_the_class():
    class Notes(MethodView):
        methods = None

        async def get(self):
            return "get"

        async def secret(self):
            return "secret"

    app = Erlen("views")
    app.add_url_rule("/", view_func=Notes.as_view("notes"), methods=["GET", "SECRET", "POST"])
    client = app.test_client()

    assert (await client.open("/", method="SECRET")).status_code == 405
    assert (await client.post("/")).status_code == 405


async def test_a_head_method_of_its_own_is_used():
    class Notes(MethodView):
        async def get(self):
            return "get"

        async def head(self):
            return "", {"X-Head": request.method}

    app = Erlen("views")
    app.add_url_rule("/", view_func=Notes.as_view("notes"))

    assert (await app.test_client().head("/")).headers["X-Head"] == "HEAD"


def test_a_class_of_two_colours_is_refused_where_it_is_written():
    with pytest.raises(SetupTypeError, match="mixes colours: get are async def and post are def"):

        class Mixed(MethodView):
            async def get(self): ...

            def post(self): ...


async def test_a_view_without_dispatch_request_is_an_error(caplog):
    class Empty(View):
        pass

    app = Erlen("views")
    app.add_url_rule("/", view_func=Empty.as_view("empty"))

    assert (await app.test_client().get("/")).status_code == 500
    assert "NotImplementedError" in caplog.text


async def test_options_of_a_view_class_can_be_switched_off():
    class Quiet(View):
        provide_automatic_options = False

        async def dispatch_request(self):
            g.seen = True
            return ""

    app = Erlen("views")
    app.add_url_rule("/", view_func=Quiet.as_view("quiet"))

    assert (await app.test_client().options("/")).status_code == 405


@pytest.mark.parametrize("colour", ["async def", "def"])
async def test_a_method_that_is_named_and_not_written_is_a_405(colour):
    class Notes(MethodView):
        methods = ["GET", "PUT"]  # noqa: RUF012

        if colour == "async def":

            async def get(self):
                return "get"
        else:

            def get(self):
                return "get"

    app = Erlen("views")
    app.add_url_rule("/", view_func=Notes.as_view("notes"))
    client = app.test_client()

    assert (await client.get("/")).text == "get"
    refused = await client.put("/")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


async def test_a_method_view_without_methods_answers_none():
    class Empty(MethodView):
        pass

    app = Erlen("views")
    app.add_url_rule("/", view_func=Empty.as_view("empty"))

    assert Empty.methods is None
    assert (await app.test_client().get("/")).status_code == 405
