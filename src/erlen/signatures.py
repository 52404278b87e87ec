"""What a rule gives its view, held against what the view takes. Knows no request and no app."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Iterator
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from .converters import BaseConverter, NumberConverter
from .errors import SetupTypeError, place_of
from .registry import Registry
from .routes import RuleFace
from .rules import Variable
from .typing import View

__all__ = ["check_view", "contradictions"]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_ADVICE = "Make them the same, or take a value away in a url_value_preprocessor."
_ADVICE_TO_METHODS = (
    "Make them the same, or say which methods the rule is for: methods=['GET'], for example."
)


def check_view(route: RuleFace, view: View, registry: Registry) -> None:
    """Refuse a view that cannot be called with the values of its rule.

    Views that take anything, and those below a decorator, are not looked at. Nor are rules
    that a ``url_value_preprocessor`` reaches: it may take values away and add others.

    :raises SetupTypeError: naming the values, the rule and the view with their places.
    """
    if registry.hooks["url_value_preprocessor"] and registry.hooks_of(
        "url_value_preprocessor", route.name
    ):
        return
    functions = _called_by(view, route)
    for function in functions:
        _check_parameters(function, route, _ADVICE if len(functions) == 1 else _ADVICE_TO_METHODS)


def _called_by(view: View, route: RuleFace) -> list[View]:
    """Return what gets the values: the view itself, or the methods of the class that it is of."""
    methods_of = getattr(view, "takes_values", None)
    if methods_of is None or hasattr(view, "__wrapped__"):
        return [view]
    found: list[View] = methods_of(route.url_rule.methods)
    return found


def _check_parameters(view: View, route: RuleFace, advice: str) -> None:
    parameters = _parameters_of(view)
    if parameters is None:
        return
    takes = {name for name, one in parameters.items() if one.kind in _BY_NAME}
    needs = {
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind is not one.VAR_POSITIONAL
    }
    surplus = sorted(route.arguments - takes)
    missing = sorted(needs - route.arguments)
    if surplus or missing:
        raise SetupTypeError(f"{_verdict(route, view, surplus, missing)} {advice}")


def _parameters_of(view: View) -> dict[str, inspect.Parameter] | None:
    """Return what *view* takes; ``None`` if that is anything, or cannot be known."""
    if hasattr(view, "__wrapped__"):
        return None
    try:
        parameters = dict(inspect.signature(view).parameters)
    except (TypeError, ValueError):
        return None
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return None
    return parameters


def _verdict(route: RuleFace, view: View, surplus: list[str], missing: list[str]) -> str:
    rule = route.url_rule
    place = f" ({rule.place})" if rule.place else ""
    wrongs = [f"gives {_listed(surplus)}, which the view does not take"] if surplus else []
    wrongs += [f"does not give {_listed(missing)}, which the view needs"] if missing else []
    return (
        f"The rule {rule.rule!r}{place} does not fit its view {place_of(view)}: it"
        f" {', and '.join(wrongs)}. A view is called with the variables and defaults of its rule"
        " by their names."
    )


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def contradictions(route: RuleFace, view: View) -> Iterator[str]:
    """Yield a sentence for each annotation of *view* that its values will not be true to.

    Only annotations that are classes, or unions of some, are judged.
    """
    variables = route.pattern.variables + (route.domain.variables if route.domain else ())
    if not variables:
        return
    for function in _called_by(view, route):
        yield from _contradicted(function, route, variables)


def _contradicted(view: View, route: RuleFace, variables: Iterable[Variable]) -> Iterator[str]:
    promised = _hints_of(view)
    for variable in variables:
        found, made = promised.get(variable.name), _made_by(variable.converter)
        if found is None or made is None or _allows(found, made):
            continue
        rule = route.url_rule
        yield (
            f"{place_of(view)} takes {variable.name!r} as {_spelled(found)}, and gets"
            f" {_spelled(made)}: that is what {variable.converter_name!r} in its rule"
            f" {rule.rule!r}{f' ({rule.place})' if rule.place else ''} makes of the URL."
        )


def _hints_of(function: Any) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except Exception:  # names that only type checkers see, or no function at all
        return {}


def _made_by(converter: BaseConverter) -> Any:
    """Return the class of the values that *converter* makes; ``None`` if it does not say."""
    maker: Any = type(converter).to_python
    if maker is BaseConverter.to_python:
        return str
    if isinstance(converter, NumberConverter) and maker is NumberConverter.to_python:
        maker = type(converter).read
    made = _hints_of(maker).get("return")
    return made if isinstance(made, type) else None


def _allows(annotation: Any, made: type[Any]) -> bool:
    """Say whether a *made* value is true to *annotation*, as far as that can be judged."""
    while hasattr(annotation, "__supertype__"):  # a NewType, perhaps of another one
        annotation = annotation.__supertype__
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_allows(one, made) for one in get_args(annotation))
    if not isinstance(annotation, type) or get_origin(annotation) is not None:
        return True
    if getattr(annotation, "_is_protocol", False) or annotation is Any:
        return True
    if annotation is float and made is int:  # PEP 484: an int is good for a float
        return True
    return issubclass(made, annotation)


def _spelled(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, (type, NewType)) else str(kind)
