"""A name that is not here, but in Flask or Quart, is answered with what to write instead."""

from __future__ import annotations

import pytest

from erlen import Blueprint, Erlen, Request, Response, SetupError
from erlen.elsewhere import APP, BLUEPRINT, QUART, REQUEST, RESPONSE


def things():
    app = Erlen(__name__)
    request = app.test_request_context("/").request
    return {"app": app, "blueprint": Blueprint("b", __name__), "request": request} | {
        "response": Response()
    }


TABLES = {"app": {**APP, **QUART}, "blueprint": BLUEPRINT, "request": REQUEST, "response": RESPONSE}
NAMES = [(kind, name) for kind, table in TABLES.items() for name in table]


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[f"{kind}.{name}" for kind, name in NAMES])
def test_a_name_of_the_table_is_missing_and_its_error_says_what_to_write(kind, name):
    thing = things()[kind]

    assert not hasattr(thing, name)
    with pytest.raises(AttributeError) as caught:
        getattr(thing, name)

    assert TABLES[kind][name] in str(caught.value)
    assert (caught.value.name, caught.value.obj) == (name, thing)


@pytest.mark.parametrize("kind", TABLES)
def test_a_name_that_nobody_knows_is_missing_as_ever(kind):
    thing = things()[kind]

    with pytest.raises(AttributeError) as caught:
        thing.nonsense  # noqa: B018

    assert str(caught.value) == f"{type(thing).__name__!r} object has no attribute 'nonsense'"


def test_the_request_teaches_through_its_proxy():
    from erlen import request

    with (
        Erlen(__name__).test_request_context("/"),
        pytest.raises(AttributeError, match=r"environ.*request\.scope"),
    ):
        request.environ  # noqa: B018


@pytest.mark.parametrize(
    ("base", "name", "advice"),
    [
        (Erlen, "dispatch_request", "use hooks"),
        (Erlen, "handle_user_exception", "errorhandler"),
        (Blueprint, "register", r"record\(\)"),
        (Request, "parameter_storage_class", "are fixed"),
    ],
)
def test_a_subclass_that_defines_what_nobody_calls_is_refused(base, name, advice):
    with pytest.raises(SetupError, match=f"would never be used.*{name}.*{advice}"):
        type("Mine", (base,), {name: lambda self: None})


def test_a_subclass_may_have_methods_that_quart_has_for_other_things():
    class Mine(Erlen):
        def test_app(self):
            return "mine"

    assert Mine(__name__).test_app() == "mine"


def test_the_refusal_names_the_line_of_a_method():
    with pytest.raises(SetupError, match=r"preprocess_request' \(test_elsewhere\.py:\d+\)"):

        class Mine(Erlen):
            def preprocess_request(self):
                return None


def test_a_value_in_place_of_a_method_is_named_with_its_class():
    with pytest.raises(SetupError, match=r"Mine\.url_rule_class would never be used"):
        type("Mine", (Erlen,), {"url_rule_class": "rule"})
