"""URL rules: their syntax, their converters, and the URLs they build. Knows nothing of HTTP.

A rule is text with variables in it: ``/user/<int(min=1):id>``. It is read once, in one pass from
left to right, into a :class:`Pattern`. What competes for a path is decided segment by segment: text
before variables, then the variables by :data:`Weight`. A converter that may span slashes takes
everything from its segment to the end of the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, NoReturn, TypeAlias, cast
from urllib.parse import urlencode

from .converters import (
    DEFAULT_CONVERTERS,
    AnyConverter,
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    PathConverter,
    UnicodeConverter,
    UUIDConverter,
    ValidationError,
    quote_path,
)
from .division import Division, division, expression
from .errors import SetupError, SetupLookupError, SetupTypeError, SetupValueError
from .patterns import pattern

__all__ = [
    "DEFAULT_CONVERTERS",
    "AnyConverter",
    "BaseConverter",
    "BuildError",
    "Candidate",
    "FloatConverter",
    "IntegerConverter",
    "PathConverter",
    "Pattern",
    "Segment",
    "UUIDConverter",
    "UnicodeConverter",
    "ValidationError",
    "Variable",
    "Weight",
    "compile_pattern",
    "query_string",
    "quote_path",
]

_SAFE_IN_QUERY = "!$'()*,/:;?@"

Weight: TypeAlias = "tuple[int, tuple[int, ...], int, tuple[int, ...], int]"
"""What is tried first at one segment; the lower one.

In this order: more pieces of text, longer ones, more variables, lighter converters, more slashes.
"""


class Variable(NamedTuple):
    """One ``<converter:name>`` of a rule."""

    name: str
    converter_name: str
    converter: BaseConverter


class Segment(NamedTuple):
    """What has to stand between two slashes, or, as a *tail*, from one slash to the end."""

    text: str | None
    """The whole segment, if it has no variables."""
    regex: str = ""
    """Otherwise what it looks like, each variable a group ``v0``, ``v1``, ..."""
    texts: tuple[str, ...] = ()
    """What is in front of its variables, between them and behind them."""
    looks: tuple[str, ...] = ()
    """What each variable looks like."""
    tail: bool = False
    """Whether it takes everything that is left of the path."""
    weight: Weight = (0, (), 0, (), 0)


@dataclass(frozen=True)
class Pattern:
    """A rule, read: what its paths look like, and how to build them."""

    rule: str
    """As it was written."""
    pieces: tuple[str | Variable, ...]
    """Text and variables in their order."""
    segments: tuple[Segment, ...]
    """The same cut at slashes, without the leading one."""
    variables: tuple[Variable, ...]
    path: str
    """The rule as Starlette spells it: ``/user/{id:int}``."""
    path_format: str
    """The rule for ``str.format`` and for names of metrics: ``/user/{id}``."""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Matches exactly the paths of the rule; groups have the names of the variables."""
        # PERF: made when it is asked for; most rules are only ever matched by the tree.
        source = "".join(
            re.escape(piece)
            if isinstance(piece, str)
            else f"(?P<{piece.name}>{piece.converter.regex})"
            for piece in self.pieces
        )
        return re.compile(source + r"\Z")

    @cached_property
    def divide(self) -> Division:
        """Gives the texts of the variables in a path of the rule, ``None`` for another one."""
        return division(*_alternating(self.pieces))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables, from left to right."""
        return tuple(variable.name for variable in self.variables)

    @property
    def converters(self) -> dict[str, BaseConverter]:
        """The converters by the names of the variables."""
        return {variable.name: variable.converter for variable in self.variables}

    @property
    def weight(self) -> tuple[Weight, ...]:
        """The weights of the segments: of two rules the lower one is tried first."""
        return tuple(segment.weight for segment in self.segments)

    @property
    def static(self) -> bool:
        """Whether there is exactly one path, the rule itself."""
        return not self.variables

    @property
    def branch(self) -> bool:
        """Whether paths end in a slash that clients may forget."""
        return self.rule.endswith("/")

    def match(self, text: str) -> dict[str, Any] | None:
        """Return the values of the variables, or ``None`` if *text* is none of the paths."""
        found = self.divide(text)
        if found is None:
            return None
        try:
            return {
                variable.name: variable.converter.to_python(piece)
                for variable, piece in zip(self.variables, found, strict=True)
            }
        except ValueError:
            return None

    def build(self, values: Mapping[str, Any]) -> str:
        """Return the path for *values*, percent-encoded.

        :raises KeyError: if one is missing.
        :raises ValueError: if a converter refuses one.
        """
        return "".join(
            [
                piece
                if isinstance(piece, str)
                else quote_path(piece.converter.to_url(values[piece.name]), encoded=True)
                for piece in self._quoted
            ]
        )

    @cached_property
    def _quoted(self) -> tuple[str | Variable, ...]:
        return tuple(quote_path(one) if isinstance(one, str) else one for one in self.pieces)


class Candidate(NamedTuple):
    """One of the rules that :class:`BuildError` may suggest."""

    endpoint: str
    names: frozenset[str]
    """The variables that a caller has to give."""
    methods: frozenset[str] | None
    defaults: Mapping[str, Any]


class BuildError(LookupError):
    """There is no URL for this endpoint with these values; says which there would be."""

    def __init__(
        self,
        endpoint: str,
        values: Mapping[str, Any],
        method: str | None = None,
        candidates: Iterable[Candidate] = (),
        refusal: ValidationError | None = None,
    ) -> None:
        super().__init__(endpoint, values, method)
        self.endpoint = endpoint
        self.values = values
        self.method = method
        self.refusal = refusal
        """Why a rule that takes these values has no URL for them, if there is one."""
        self._candidates = candidates

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """All rules there are; gathered when they are asked for."""
        return tuple(self._candidates)

    @cached_property
    def suggested(self) -> Candidate | None:
        """The rule that comes closest, if one is close."""
        known = {candidate.endpoint for candidate in self.candidates}
        if self.endpoint in known:
            near = self.endpoint
        else:
            from difflib import get_close_matches

            near = next(iter(get_close_matches(self.endpoint, sorted(known), n=1, cutoff=0.5)), "")
        return min(
            (candidate for candidate in self.candidates if candidate.endpoint == near),
            key=lambda candidate: (
                not _answers(candidate, self.method),
                len(candidate.names - self.values.keys()),
            ),
            default=None,
        )

    def __str__(self) -> str:
        text = f"Could not build url for endpoint {self.endpoint!r}"
        if self.method:
            text += f" ({self.method!r})"
        if self.values:
            text += f" with values {sorted(self.values)!r}"
        return f"{text}.{''.join(f' {hint}' for hint in self._hints())}"

    def _hints(self) -> Iterator[str]:
        if self.refusal is not None:
            yield str(self.refusal)
            return
        near = self.suggested
        if near is None:
            return
        if near.endpoint != self.endpoint:
            yield f"Did you mean {near.endpoint!r} instead?"
            return
        if near.methods is not None and not _answers(near, self.method):
            yield f"Did you mean to use methods {sorted(near.methods)!r}?"
        missing = near.names - self.values.keys()
        if missing:
            yield f"Did you forget to specify values {sorted(missing)!r}?"
        fixed = {
            name: value
            for name, value in near.defaults.items()
            if name in self.values and self.values[name] != value
        }
        if fixed:
            yield f"Its rule is only for {', '.join(f'{k}={v!r}' for k, v in fixed.items())}."


def compile_pattern(
    rule: str,
    converters: Mapping[str, type[BaseConverter]],
    *,
    map: Any = None,
    host: bool = False,
    merge_slashes: bool = False,
) -> Pattern:
    """Read *rule*; *map* is handed to its converters.

    With *host* it is the pattern of a host name: one segment, in lower case. With
    *merge_slashes*, ``//`` in it is ``/``.

    :raises SetupValueError: if it has no leading slash, is malformed or names a variable twice.
    :raises SetupLookupError: if it uses a converter that is not among *converters*.
    :raises SetupTypeError: if a converter does not take the arguments it is given.
    """
    if not host and not rule.startswith("/"):
        raise SetupValueError(
            f"The rule {rule!r} is no path, which begins with a slash. Did you mean {'/' + rule!r}?"
        )
    spelled = _host_text if host else _merged if merge_slashes else str
    pieces = tuple(
        spelled(piece) if isinstance(piece, str) else _variable(rule, piece, converters, map)
        for piece in _parse(rule)
    )
    variables = tuple(piece for piece in pieces if isinstance(piece, Variable))
    names = [variable.name for variable in variables]
    for name in names:
        if names.count(name) > 1:
            raise SetupValueError(
                f"The rule {rule!r} has two variables named {name!r}. Rename one of them."
            )
    return Pattern(
        rule=rule,
        pieces=pieces,
        segments=tuple(_segments(pieces))[0 if host else 1 :],
        variables=variables,
        path="".join(p if isinstance(p, str) else _in_starlette(p) for p in pieces),
        path_format="".join(p if isinstance(p, str) else f"{{{p.name}}}" for p in pieces),
    )


def query_string(
    values: Mapping[str, Any] | Iterable[tuple[str, Any]], *, sort: bool = False
) -> str:
    """Return *values* as a query without ``?``; lists repeat their name, ``None`` is left out."""
    items = cast("Mapping[str, Any]", values).items() if isinstance(values, Mapping) else values
    pairs = [
        (name, item)
        for name, value in (sorted(items) if sort else items)
        for item in _several(value)
        if item is not None
    ]
    return urlencode(pairs, safe=_SAFE_IN_QUERY)


def _several(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple, set, frozenset)):
        return cast("Iterable[Any]", value)
    return (value,)


def _answers(candidate: Candidate, method: str | None) -> bool:
    return method is None or candidate.methods is None or method in candidate.methods


def _in_starlette(variable: Variable) -> str:
    plain = variable.converter_name in ("default", "string")
    return f"{{{variable.name}}}" if plain else f"{{{variable.name}:{variable.converter_name}}}"


def _host_text(text: str) -> str:
    labels = text.lower().split(".")
    return ".".join(
        label if label.isascii() else label.encode("idna").decode("ascii") for label in labels
    )


def _merged(text: str) -> str:
    return re.sub("/{2,}", "/", text)


def _variable(
    rule: str, placeholder: _Placeholder, converters: Mapping[str, type[BaseConverter]], map: Any
) -> Variable:
    name = placeholder.converter
    kind = converters.get(name)
    if kind is None:
        raise SetupLookupError(
            f"The rule {rule!r} uses the converter {name!r}, which does not exist. There are"
            f" {', '.join(sorted(converters))}. Your own goes in before the rule:"
            f" app.url_map.converters[{name!r}] = YourConverter."
        )
    try:
        converter = kind(map, *placeholder.args, **placeholder.kwargs)
        groups = re.compile(converter.regex).groupindex
    except re.error as error:
        raise SetupValueError(
            f"The converter {name!r} in the rule {rule!r} has the regex {error.pattern!r}, which"
            f" is no regular expression: {error}."
        ) from error
    except (TypeError, ValueError) as error:
        wrong: type[SetupError] = (
            SetupTypeError if isinstance(error, TypeError) else SetupValueError
        )
        raise wrong(
            f"The converter {name!r} in the rule {rule!r} does not take its arguments: {error}"
        ) from error
    if groups:
        raise SetupValueError(
            f"The converter {name!r} in the rule {rule!r} names groups in its regex,"
            f" {converter.regex!r}. Write them as (?:...): names are given by the rule."
        )
    return Variable(placeholder.name, name, converter)


def _segments(pieces: Iterable[str | Variable]) -> Iterator[Segment]:
    parts: list[str | Variable] = []
    tail = False
    for piece in pieces:
        for part in re.findall("/|[^/]+", piece) if isinstance(piece, str) else (piece,):
            if part == "/" and not tail:
                yield _segment(parts, tail)
                parts = []
            else:
                parts.append(part)
                tail = tail or not (isinstance(part, str) or part.converter.isolated)
    yield _segment(parts, tail)


def _segment(parts: list[str | Variable], tail: bool) -> Segment:
    texts = [part for part in parts if isinstance(part, str) and part != "/"]
    variables = [part for part in parts if isinstance(part, Variable)]
    if not variables:
        return Segment("".join(texts))
    weight = (
        -len(texts),
        tuple(-len(text) for text in texts),
        -len(variables),
        tuple(variable.converter.weight for variable in variables),
        -parts.count("/"),
    )
    around, looks = _alternating(parts)
    return Segment(None, expression(around, looks), around, looks, tail, weight)


def _alternating(parts: Iterable[str | Variable]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the texts, one more than there are variables, and what the variables look like."""
    texts, looks = [""], list[str]()
    for part in parts:
        if isinstance(part, str):
            texts[-1] += part
        else:
            looks.append(part.converter.regex)
            texts.append("")
    return tuple(texts), tuple(looks)


class _Placeholder(NamedTuple):
    """A variable as it is written."""

    name: str
    converter: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


# Each is tried at one place only, and none has two ways to read the same text: one pass.
_WORD = pattern(r"<([a-zA-Z_][a-zA-Z0-9_]*)([(:>])")
_NAME = pattern(r"([a-zA-Z_][a-zA-Z0-9_]*)>")
_KEYWORD = pattern(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=")
_VALUE = pattern(r"""\s*(?:[urUR]?(?:"([^"]*)"|'([^']*)')|([^\s,()<>"'=]+))\s*([,)])""")
_CLOSED = pattern(r"\s*\)")
_INTEGER = pattern(r"-?[0-9]+\Z")
_FLOAT = pattern(r"-?[0-9]+\.[0-9]*\Z")
_CONSTANTS = {"None": None, "True": True, "False": False}


def _parse(rule: str) -> Iterator[str | _Placeholder]:
    at = 0
    while at < len(rule):
        if rule[at] == "<":
            placeholder, at = _parse_placeholder(rule, at)
            yield placeholder
            continue
        end = rule.find("<", at)
        text = rule[at : end if end >= 0 else None]
        if ">" in text:
            _refuse(rule, at + text.index(">"))
        yield text
        at += len(text)


def _parse_placeholder(rule: str, start: int) -> tuple[_Placeholder, int]:
    opening = _WORD.match(rule, start)
    if opening is None:
        _refuse(rule, start)
    word, sign = opening.groups()
    at = opening.end()
    if sign == ">":
        return _Placeholder(word, "default", (), {}), at
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if sign == "(":
        args, kwargs, at = _parse_arguments(rule, start, at)
        if not rule.startswith(":", at):
            _refuse(rule, start)
        at += 1
    name = _NAME.match(rule, at)
    if name is None:
        _refuse(rule, start)
    return _Placeholder(name[1], word, args, kwargs), name.end()


def _parse_arguments(rule: str, start: int, at: int) -> tuple[tuple[Any, ...], dict[str, Any], int]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    while True:
        closed = _CLOSED.match(rule, at)
        if closed is not None:
            return tuple(args), kwargs, closed.end()
        keyword = _KEYWORD.match(rule, at)
        value = _VALUE.match(rule, keyword.end() if keyword else at)
        if value is None:
            _refuse(rule, start)
        double, single, bare, sign = value.groups()
        meaning = _meaning(bare) if bare is not None else double if double is not None else single
        if keyword:
            kwargs[keyword[1]] = meaning
        else:
            args.append(meaning)
        at = value.end() - (sign == ")")


def _meaning(word: str) -> Any:
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _INTEGER.match(word):
        return int(word)
    return float(word) if _FLOAT.match(word) else word


def _refuse(rule: str, at: int) -> NoReturn:
    raise SetupValueError(
        f"The rule {rule!r} is malformed at {rule[at : at + 20]!r}. Variables are written <name>,"
        " <converter:name> or <converter(argument, key=argument):name>."
    )
