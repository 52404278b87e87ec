from __future__ import annotations

import time
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlen.errors import SetupError, SetupLookupError, SetupTypeError, SetupValueError
from erlen.rules import (
    DEFAULT_CONVERTERS,
    BaseConverter,
    BuildError,
    Candidate,
    ValidationError,
    compile_pattern,
    query_string,
)


class Recorder(BaseConverter):
    """Remembers what it was made with."""

    def __init__(self, map, *args, **kwargs):
        super().__init__(map)
        self.given = args, kwargs


def pattern_of(rule, *, converters=None, **options):
    return compile_pattern(rule, {**DEFAULT_CONVERTERS, **(converters or {})}, **options)


# Reading


@pytest.mark.parametrize(
    ("arguments", "args", "kwargs"),
    [
        ("", (), {}),
        ("1", (1,), {}),
        ("-1, 2.5, 3.", (-1, 2.5, 3.0), {}),
        ("None, True, False", (None, True, False), {}),
        ("about, not_found, a.b, foo-bar", ("about", "not_found", "a.b", "foo-bar"), {}),
        ("'a, b', \"it's\"", ("a, b", "it's"), {}),
        ('r"\\d+", u"x"', ("\\d+", "x"), {}),
        ('"a)b>c"', ("a)b>c",), {}),
        ("length=3, x = 'y'", (), {"length": 3, "x": "y"}),
        (" 1 , a=2 ", (1,), {"a": 2}),
        ("a,", ("a",), {}),
        ('"1"', ("1",), {}),
    ],
)
def test_a_converter_gets_its_arguments(arguments, args, kwargs):
    pattern = pattern_of(f"/<record({arguments}):x>", converters={"record": Recorder})

    assert pattern.converters["x"].given == (args, kwargs)


def test_a_converter_gets_the_map():
    router = object()

    assert pattern_of("/<int:x>", map=router).converters["x"].map is router


@pytest.mark.parametrize(
    "rule",
    [
        "/<",
        "/<>",
        "/<x",
        "/<int:x",
        "/<int:>",
        "/<int:1x>",
        "/<int(:x>",
        "/<int(1:x>",
        "/<int(1)x>",
        "/<int(1 2):x>",
        "/<int(=1):x>",
        "/<any('a):x>",
        "/<x>>",
        "/x>",
        "/<<x>>",
        "/< x>",
    ],
)
def test_a_malformed_rule_is_refused_with_the_syntax(rule):
    with pytest.raises(SetupValueError, match=r"malformed at .*<converter:name>") as caught:
        pattern_of(rule)

    assert repr(rule) in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "kind", "message"),
    [
        ("x/<y>", SetupValueError, r"'x/<y>' is no path.*'/x/<y>'"),
        ("", SetupValueError, r"Did you mean '/'"),
        (
            "/<what:x>",
            SetupLookupError,
            r"'what', which does not exist.*any, default, float.*url_map",
        ),
        ("/<int:x>/<x>", SetupValueError, "two variables named 'x'"),
        ("/<int(foo=1):x>", SetupTypeError, "'int' in the rule .* does not take .*foo"),
        ("/<string(length=-1):x>", SetupValueError, "a length is 0 or more characters, not -1"),
        ("/<string(maxlength=-1):x>", SetupValueError, "a length is 0 or more characters, not -1"),
        ("/<int(fixed_digits=-1):x>", SetupValueError, "0 or more digits, not -1"),
        ("/<string(minlength=a):x>", SetupValueError, "'string' in the rule .* does not take"),
        ("/<any():x>", SetupValueError, "the words to choose from"),
    ],
)
def test_a_wrong_rule_says_what_to_do(rule, kind, message):
    with pytest.raises(kind, match=message):
        pattern_of(rule)


@pytest.mark.parametrize(
    ("regex", "message"), [("(", "no regular expression"), ("(?P<y>a)", "names groups")]
)
def test_a_converter_with_a_wrong_regex_is_refused(regex, message):
    class Wrong(BaseConverter):
        pass

    Wrong.regex = regex

    with pytest.raises(SetupValueError, match=message):
        pattern_of("/<wrong:x>", converters={"wrong": Wrong})


def test_every_mistake_in_a_rule_is_a_setup_error():
    assert issubclass(SetupLookupError, SetupError)
    assert issubclass(SetupLookupError, LookupError)
    assert issubclass(SetupValueError, ValueError)


@pytest.mark.parametrize("unit", ["<", "/<int(", "/<int('", "/<int(a,", "/<a(((", ">", "/<a:"])
def test_reading_takes_time_in_proportion_to_length(unit):
    rule = "/" + unit * 50_000

    started = time.process_time()
    with pytest.raises(SetupError):
        pattern_of(rule)

    assert time.process_time() - started < 5


# What a pattern says of itself


@pytest.mark.parametrize(
    ("rule", "path", "path_format"),
    [
        ("/", "/", "/"),
        ("/user/<int(min=1):id>", "/user/{id:int}", "/user/{id}"),
        ("/<name>/<string(length=2):code>", "/{name}/{code}", "/{name}/{code}"),
        ("/f/<path:file>/", "/f/{file:path}/", "/f/{file}/"),
        ("/<any(a,b):x>-<uuid:y>", "/{x:any}-{y:uuid}", "/{x}-{y}"),
    ],
)
def test_a_rule_has_a_spelling_for_starlette(rule, path, path_format):
    pattern = pattern_of(rule)

    assert (pattern.rule, pattern.path, pattern.path_format) == (rule, path, path_format)


def test_a_pattern_names_its_variables():
    pattern = pattern_of("/<a>/x/<int:b>")

    assert pattern.names == ("a", "b")
    assert list(pattern.converters) == ["a", "b"]
    assert not pattern.static
    assert not pattern.branch
    assert pattern_of("/x/").static
    assert pattern_of("/x/").branch


@pytest.mark.parametrize(
    ("rule", "path", "values"),
    [
        ("/", "/", {}),
        ("/a.b", "/a.b", {}),
        ("/<int:x>/<y>", "/1/b", {"x": 1, "y": "b"}),
        ("/<path:x>/edit", "/a/b/edit", {"x": "a/b"}),
        ("/<x>-<y>", "/a-b-c", {"x": "a-b", "y": "c"}),
        ("/тест/<x>", "/тест/é", {"x": "é"}),
    ],
)
def test_a_path_is_matched(rule, path, values):
    assert pattern_of(rule).match(path) == values


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/a.b", "/axb"),
        ("/x", "/x\n"),
        ("/<int:x>", "/1\n"),
        ("/<int:x>", f"/{'1' * 5000}"),
        ("/<int(max=5):x>", "/6"),
        ("/x/", "/x"),
        ("/x", "/x/"),
    ],
)
def test_a_path_of_another_rule_is_not_matched(rule, path):
    assert pattern_of(rule).match(path) is None


# FLASK: more text, longer text, more variables, lighter converters; the slashes are ours.
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a<x>b", "/a<x>"),
        ("/abc<x>", "/a<x>"),
        ("/<x>-<y>", "/<x>"),
        ("/<path:x>/<y>", "/<path:x>"),
        ("/<int:x>", "/<x>"),
        ("/<x>", "/<path:x>"),
        ("/<path:x>/edit", "/<path:x>"),
        ("/<path:x>/", "/<path:x>"),
    ],
)
def test_the_more_exact_rule_has_the_lower_weight(first, second):
    assert pattern_of(first).weight < pattern_of(second).weight


def test_slashes_are_merged_in_the_text_of_a_rule_only():
    pattern = pattern_of(
        "//a///<record('x//y'):b>//", converters={"record": Recorder}, merge_slashes=True
    )

    assert pattern.path == "/a/{b:record}/"
    assert pattern.converters["b"].given == (("x//y",), {})
    assert pattern_of("/a//b").path == "/a//b"


def test_a_host_is_one_segment_in_lower_case_and_ascii():
    pattern = pattern_of("<Name>.Bücher.example", host=True)

    assert pattern.path == "{Name}.xn--bcher-kva.example"
    assert pattern.match("ada.xn--bcher-kva.example") == {"Name": "ada"}
    assert len(pattern.segments) == 1


# Building


@pytest.mark.parametrize(
    ("rule", "values", "path"),
    [
        ("/", {}, "/"),
        ("/тест x", {}, "/%D1%82%D0%B5%D1%81%D1%82%20x"),
        ("/<int:x>/<y>/", {"x": 3, "y": "a b", "z": 1}, "/3/a%20b/"),
        ("/<path:x>", {"x": "a/b?c"}, "/a/b%3Fc"),
    ],
)
def test_a_path_is_built(rule, values, path):
    assert pattern_of(rule).build(values) == path


def test_what_a_converter_forgot_to_encode_is_encoded():
    class Raw(BaseConverter):
        def to_url(self, value):
            return value

    pattern = pattern_of("/<raw:x>", converters={"raw": Raw})

    assert pattern.build({"x": "a b%20c\r\n?"}) == "/a%20b%20c%0D%0A%3F"


def test_a_missing_value_is_a_key_error():
    with pytest.raises(KeyError, match="x"):
        pattern_of("/<x>").build({})


segments = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1)


@given(name=segments, number=st.integers(0), rest=segments)
def test_what_is_built_is_matched_again(name, number, rest):
    pattern = pattern_of("/<name>/x/<int:number>-<rest>")
    values = {"name": name, "number": number, "rest": rest}

    assert pattern.match(unquote(pattern.build(values))) == values


@pytest.mark.parametrize(
    ("values", "query"),
    [
        ({}, ""),
        ({"a": "b c", "d": "é&="}, "a=b+c&d=%C3%A9%26%3D"),
        ({"a": [1, None, 2], "b": None, "c": ()}, "a=1&a=2"),
        ({"u": "http://x/?y"}, "u=http://x/?y"),
    ],
)
def test_values_become_a_query(values, query):
    assert query_string(values) == query


def test_a_query_can_be_sorted():
    assert query_string({"b": 1, "a": 2}, sort=True) == "a=2&b=1"


# BuildError

CANDIDATES = [
    Candidate("user", frozenset({"id"}), frozenset({"GET", "HEAD"}), {}),
    Candidate("user", frozenset({"id", "tab"}), frozenset({"POST"}), {}),
    Candidate("pages", frozenset(), None, {"page": 1}),
]


@pytest.mark.parametrize(
    ("endpoint", "values", "method", "message"),
    [
        ("usr", {"id": 1}, None, "'usr' with values ['id']. Did you mean 'user' instead?"),
        ("user", {}, None, "'user'. Did you forget to specify values ['id']?"),
        (
            "user",
            {},
            "POST",
            "'user' ('POST'). Did you forget to specify values ['id', 'tab']?",
        ),
        (
            "user",
            {"id": 1},
            "PUT",
            "'user' ('PUT') with values ['id']. Did you mean to use methods ['GET', 'HEAD']?",
        ),
        ("pages", {"page": 2}, None, "'pages' with values ['page']. Its rule is only for page=1."),
        ("nothing like it", {}, None, "'nothing like it'."),
    ],
)
def test_a_build_error_says_what_would_work(endpoint, values, method, message):
    error = BuildError(endpoint, values, method, CANDIDATES)

    assert str(error) == f"Could not build url for endpoint {message}"
    assert isinstance(error, LookupError)
    assert (error.endpoint, error.values, error.method) == (endpoint, values, method)


def test_a_build_error_gathers_candidates_only_for_its_message():
    asked = []

    def candidates():
        asked.append(True)
        yield from CANDIDATES

    error = BuildError("user", {}, None, candidates())

    assert not asked
    assert error.suggested == CANDIDATES[0]
    assert asked


def test_a_validation_error_is_a_value_error():
    assert issubclass(ValidationError, ValueError)
