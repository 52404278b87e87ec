"""A rule and its view are held against each other when the app is frozen, and not later."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, NewType, Protocol, TypeVar

import pytest

from erlen import Blueprint, Erlen
from erlen.errors import SetupError
from erlen.rules import BaseConverter
from erlen.views import MethodView, View

T = TypeVar("T")
Number = NewType("Number", int)
Alias = NewType("Alias", Number)


class Sized(Protocol):
    def __len__(self) -> int: ...


class Day(BaseConverter):
    def to_python(self, value: str) -> date:
        return date.fromisoformat(value)


class Anything(BaseConverter):
    def to_python(self, value: str):
        return value


def complaint(app):
    with pytest.raises(SetupError) as raised:
        app.freeze()
    assert isinstance(raised.value, TypeError)
    return str(raised.value)


# -- names ---------------------------------------------------------------------------------


def test_a_variable_that_the_view_does_not_take_is_named_with_both_places():
    app = Erlen("signatures")

    @app.get("/notes/<int:id>")
    async def note(number): ...

    text = complaint(app)

    line = note.__code__.co_firstlineno
    assert f"'/notes/<int:id>' (test_signatures.py:{line})" in text
    assert f"note' (test_signatures.py:{line})" in text
    assert "it gives 'id', which the view does not take" in text
    assert "and does not give 'number', which the view needs" in text


def test_the_place_of_a_rule_is_where_it_was_registered_and_not_where_its_view_is():
    app, shop = Erlen("signatures"), Blueprint("shop", "signatures")

    def show(): ...

    shop.add_url_rule("/<name>", view_func=show)
    app.register_blueprint(shop, url_prefix="/shop")

    text = complaint(app)

    line = show.__code__.co_firstlineno
    assert f"'/shop/<name>' (test_signatures.py:{line + 2})" in text
    assert f"show' (test_signatures.py:{line})" in text


@pytest.mark.parametrize(
    ("rule", "options", "view"),
    [
        ("/<a>", {}, lambda a: ""),
        ("/<a>", {}, lambda *, a: ""),
        ("/<a>", {}, lambda a, b=1: ""),
        ("/<a>", {"defaults": {"b": 1}}, lambda a, b: ""),
        ("/<a>", {}, lambda **values: ""),
        ("/<a>", {}, lambda a, **values: ""),
        ("/<a>", {}, functools.partial(lambda a, b: "", b=1)),
        ("/<a>", {"build_only": True}, lambda: ""),
        ("/<a>", {"redirect_to": "/<a>/"}, lambda: ""),
        ("/", {"subdomain": "<a>"}, lambda a: ""),
    ],
)
def test_a_view_that_takes_what_its_rule_gives_is_fine(rule, options, view):
    app = Erlen("signatures", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org"

    app.add_url_rule(rule, "view", view, **options)

    app.freeze()
    assert app.frozen


@pytest.mark.parametrize(
    ("rule", "options", "view", "wrong"),
    [
        ("/<a>", {}, lambda: "", "gives 'a', which the view does not take"),
        ("/<a>/<b>", {}, lambda c=1: "", "gives 'a', 'b', which"),
        ("/<a>", {}, lambda a, /: "", "gives 'a', which"),
        ("/<a>", {}, lambda *a: "", "gives 'a', which"),
        ("/", {"defaults": {"page": 1}}, lambda: "", "gives 'page', which"),
        ("/", {}, lambda a: "", "it does not give 'a', which the view needs"),
        ("/", {}, lambda *, a: "", "it does not give 'a'"),
        ("/", {"subdomain": "<a>"}, lambda: "", "gives 'a'"),
    ],
)
def test_a_view_that_cannot_be_called_is_refused(rule, options, view, wrong):
    app = Erlen("signatures", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org"
    app.add_url_rule(rule, "view", view, **options)

    with pytest.raises(SetupError, match=wrong):
        app.freeze()


def test_each_rule_of_a_view_is_looked_at():
    app = Erlen("signatures")

    async def page(number): ...

    app.add_url_rule("/", "page", page, defaults={"number": 1})
    app.add_url_rule("/<int:number>", "page", page)
    app.add_url_rule("/<int:numbre>", "page", page)

    assert "gives 'numbre'" in complaint(app)


def test_a_websocket_is_looked_at_too():
    app = Erlen("signatures")

    @app.websocket("/<room>")
    async def talk(): ...

    assert "gives 'room'" in complaint(app)


async def test_a_url_value_preprocessor_may_take_values_away_where_it_reaches():
    app, shop = Erlen("signatures"), Blueprint("shop", "signatures", url_prefix="/<lang>")
    shop.url_value_preprocessor(lambda endpoint, values: values.pop("lang"))

    @shop.get("/shop")
    async def inside():
        return "inside"

    app.register_blueprint(shop)

    assert (await app.test_client().get("/de/shop")).text == "inside"

    app = Erlen("signatures")
    app.register_blueprint(shop)
    app.add_url_rule("/<lang>", "outside", lambda: "")
    assert "gives 'lang'" in complaint(app)


async def test_what_a_decorator_gives_and_takes_is_its_own_business():
    app = Erlen("signatures")

    def with_user(view):
        @functools.wraps(view)
        async def wrapper(name):
            return await view(f"user {name}")

        return wrapper

    @app.get("/<name>")
    @with_user
    async def show(user):
        return user

    assert (await app.test_client().get("/ada")).text == "user ada"


def test_a_method_of_a_view_class_is_named_with_its_place():
    class Notes(MethodView):
        async def get(self, id): ...

        async def post(self): ...

    app = Erlen("signatures")
    app.add_url_rule("/<id>", view_func=Notes.as_view("notes"))

    text = complaint(app)

    line = Notes.post.__code__.co_firstlineno
    assert f"Notes.post' (test_signatures.py:{line})" in text
    assert "it gives 'id', which the view does not take" in text
    assert text.endswith("say which methods the rule is for: methods=['GET'], for example.")


def test_dispatch_request_of_a_view_class_is_looked_at():
    class Note(View):
        def dispatch_request(self, number): ...

    app = Erlen("signatures")
    app.add_url_rule("/<id>", view_func=Note.as_view("note"))

    assert "Note.dispatch_request' (test_signatures.py:" in complaint(app)


def test_only_methods_that_the_rule_serves_are_looked_at():
    class Notes(MethodView):
        def get(self, id): ...

        def post(self): ...

        @staticmethod
        def put(id): ...

    app, view = Erlen("signatures"), Notes.as_view("notes")
    app.add_url_rule("/", defaults={"id": None}, view_func=view, methods=["GET"])
    app.add_url_rule("/", view_func=view, methods=["POST"])
    app.add_url_rule("/<int:id>", view_func=view, methods=["HEAD", "PUT"])

    app.freeze()
    assert app.frozen


def test_a_view_class_that_dispatches_in_its_own_way_or_is_decorated_takes_anything():
    def numbered(view):
        return lambda **values: view(number=values["id"])

    class Notes(MethodView):
        def dispatch_request(self, **values): ...

        def get(self, number): ...

    class Decorated(MethodView):
        decorators: ClassVar = [numbered]

        def get(self, number): ...

    app = Erlen("signatures")
    app.add_url_rule("/a/<id>", view_func=Notes.as_view("notes"))
    app.add_url_rule("/b/<id>", view_func=Decorated.as_view("decorated"))

    app.freeze()
    assert app.frozen


def test_an_annotation_of_a_method_is_held_against_the_converter(caplog):
    class Notes(MethodView):
        def get(self, id: str): ...

    app = Erlen("signatures")
    app.debug = True
    app.add_url_rule("/<int:id>", view_func=Notes.as_view("notes"))

    app.freeze()

    assert "takes 'id' as str, and gets int" in caplog.text


def test_a_callable_without_a_signature_is_left_alone():
    app = Erlen("signatures")

    app.add_url_rule("/<a>", "view", dict)

    app.freeze()
    assert app.frozen


async def test_start_up_fails_with_the_sentence():
    app = Erlen("signatures")
    app.add_url_rule("/<a>", "view", lambda: "")

    with pytest.raises(SetupError, match="gives 'a'"):
        async with app.serving():
            pass


# -- annotations ---------------------------------------------------------------------------


def warnings_of(caplog, rule, annotation, *, debug=True):
    app = Erlen("signatures")
    app.debug = debug
    app.url_map.converters.update(day=Day, anything=Anything)

    async def view(a): ...

    view.__annotations__ = {"a": annotation}
    app.add_url_rule(rule, "view", view)
    app.freeze()
    return [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("rule", "annotation", "expected", "made"),
    [
        ("/<int:a>", str, "str", "int"),
        ("/<a>", int, "int", "str"),
        ("/<path:a>", bytes, "bytes", "str"),
        ("/<any(x, y):a>", int, "int", "str"),
        ("/<float:a>", int, "int", "float"),
        ("/<uuid:a>", str, "str", "UUID"),
        ("/<day:a>", str, "str", "date"),
        ("/<int:a>", str | None, "str | None", "int"),
        ("/<a>", Alias, "Alias", "str"),
        ("/<a>", Annotated[int, "positive"], "int", "str"),
    ],
)
def test_an_annotation_that_is_not_true_is_told_of_in_debug(
    caplog, rule, annotation, expected, made
):
    (text,) = warnings_of(caplog, rule, annotation)

    assert "view' (test_signatures.py:" in text
    assert f" takes 'a' as {expected}, and gets {made}: " in text


@pytest.mark.parametrize(
    ("rule", "annotation"),
    [
        ("/<int:a>", int),
        ("/<int:a>", float),
        ("/<int:a>", object),
        ("/<int:a>", Any),
        ("/<int:a>", int | None),
        ("/<int:a>", Number),
        ("/<int:a>", T),
        ("/<int:a>", "NameThatOnlyTypeCheckersSee"),
        ("/<a>", str),
        ("/<a>", Sequence[str]),
        ("/<a>", Sized),
        ("/<any(x, y):a>", Literal["x", "y"]),
        ("/<uuid:a>", uuid.UUID),
        ("/<day:a>", date),
        ("/<anything:a>", int),
    ],
    ids=str,
)
def test_an_annotation_that_is_true_or_cannot_be_judged_is_not_told_of(caplog, rule, annotation):
    assert warnings_of(caplog, rule, annotation) == []


def test_without_debug_annotations_are_not_looked_at(caplog):
    assert warnings_of(caplog, "/<int:a>", str, debug=False) == []


def test_a_parameter_without_annotation_is_not_told_of(caplog):
    app = Erlen("signatures")
    app.debug = True

    app.add_url_rule("/<int:a>", "view", lambda a: "")

    app.freeze()
    assert caplog.records == []
