from __future__ import annotations

import contextlib
import gc
import io
import json as stdlib
import math
import re
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from erlen import json
from erlen.errors import SetupError, SetupTypeError, SetupValueError
from erlen.json import DefaultJSONProvider, InvalidJSON, JSONProvider
from erlen.json.fast import MsgspecProvider, OrjsonProvider

NAN, INF = float("nan"), float("inf")
CET = timezone(timedelta(hours=1))


@dataclass
class Point:
    x: int
    when: date


class Html:
    def __html__(self):
        return "<i>h</i>"


class App:
    def __init__(self, debug=False):
        self.debug = debug


@pytest.fixture
def provider():
    return DefaultJSONProvider()


# Writing


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 5, 1, 12, 30, 15, 250000), '"2026-05-01T12:30:15.250000"'),
        (datetime(2026, 5, 1, 12, 30, 15, tzinfo=CET), '"2026-05-01T12:30:15+01:00"'),
        (date(2026, 5, 1), '"2026-05-01"'),
        (UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (Decimal("1.50"), '"1.50"'),
        (Point(1, date(2026, 5, 1)), '{"x": 1, "when": "2026-05-01"}'),
        (Html(), '"<i>h</i>"'),
        (Markup("<b>"), '"<b>"'),
        ((1, [2, None]), "[1, [2, null]]"),
        ({"b": 1, "a": {1: True}}, '{"b": 1, "a": {"1": true}}'),
        ("é☕", '"\\u00e9\\u2615"'),
    ],
)
def test_values_are_written(provider, value, text):
    assert provider.dumps(value) == text
    assert provider.dumps([value]) == f"[{text}]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 5, 1, 12, 30, 15, 999999), "Fri, 01 May 2026 12:30:15 GMT"),
        (datetime(2026, 5, 1, 0, 30, 15, tzinfo=CET), "Thu, 30 Apr 2026 23:30:15 GMT"),
        (date(2026, 5, 1), "Fri, 01 May 2026 00:00:00 GMT"),
        (date(33, 4, 3), "Sun, 03 Apr 0033 00:00:00 GMT"),
    ],
)
def test_dates_are_written_as_http_does_on_request(provider, value, text):
    provider.dates = "http"

    assert provider.dumps([value]) == f'["{text}"]'
    assert provider.dumps({"other": UUID(int=0)}).startswith('{"other": "0000')


def test_an_unknown_way_to_write_dates_is_named(provider):
    provider.dates = "unix"

    with pytest.raises(SetupValueError, match="'iso' or 'http', not 'unix'"):
        provider.dumps({})


@pytest.mark.parametrize("value", [object(), Point, {1, 2}, b"x", [timedelta(1)]])
def test_what_cannot_be_written_is_named_with_advice(provider, value):
    name = type(value[0] if isinstance(value, list) else value).__name__

    with pytest.raises(TypeError, match=rf"of type {name} is not JSON serializable\. .*app\.json"):
        provider.dumps(value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (NAN, "nan at value cannot"),
        ({"a": [1, {"b": INF}]}, r"inf at value\['a'\]\[1\]\['b'\] cannot"),
        ((1.5, -INF), r"-inf at value\[1\] cannot"),
        ({"x": 1, 5: NAN}, r"nan at value\[5\] cannot"),
        ({NAN: 1}, "A float cannot"),
    ],
)
@pytest.mark.parametrize("method", ["dumps", "render"])
def test_nan_and_infinity_are_refused_with_their_place(provider, value, place, method):
    with pytest.raises(ValueError, match=place):
        getattr(provider, method)(value)


def test_nan_is_found_beside_a_circle(provider):
    circle: list[object] = []
    circle.append(circle)
    provider.sort_keys = True

    with pytest.raises(ValueError, match=r"nan at value\['a'\]\[0\]\[0\]"):
        provider.dumps({"z": circle, "a": [[NAN]]})


@pytest.mark.parametrize("method", ["dumps", "render"])
def test_a_circle_is_refused_as_such(provider, method):
    circle: list[object] = [NAN]
    circle.insert(0, circle)

    with pytest.raises(ValueError, match="Circular"):
        getattr(provider, method)(circle)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | st.dates() | st.just(Markup("<b>")),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(ANYTHING, st.booleans(), st.booleans())
def test_a_kept_encoder_writes_what_one_of_the_standard_library_does(value, ascii_only, in_order):
    provider = DefaultJSONProvider()
    provider.ensure_ascii, provider.sort_keys, provider.compact = ascii_only, in_order, True
    options = {"ensure_ascii": ascii_only, "sort_keys": in_order, "default": str}

    assert provider.dumps(value) == stdlib.dumps(value, **options)
    assert provider.render(value) == stdlib.dumps(value, separators=(",", ":"), **options) + "\n"


def test_what_is_nested_too_deeply_is_no_circle(provider):
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(RecursionError):
        provider.dumps(deep)
    assert provider.dumps([1]) == "[1]"


def test_keys_are_sorted_on_request(provider):
    provider.sort_keys = True

    assert provider.dumps({"b": 1, "a": 2}) == '{"a": 2, "b": 1}'


def test_other_characters_are_kept_on_request(provider):
    provider.ensure_ascii = False

    assert provider.dumps("é☕") == '"é☕"'


def test_settings_count_from_the_next_call_on(provider):
    before = provider.dumps({"b": "é", "a": date(2026, 5, 1)})

    provider.sort_keys = True
    provider.ensure_ascii = False
    provider.dates = "http"

    assert before == '{"b": "\\u00e9", "a": "2026-05-01"}'
    assert provider.dumps({"b": "é", "a": date(2026, 5, 1)}) == (
        '{"a": "Fri, 01 May 2026 00:00:00 GMT", "b": "é"}'
    )


def test_keywords_of_dumps_win_over_the_settings(provider):
    text = provider.dumps(
        {"b": {1}, "a": "é"}, default=sorted, sort_keys=True, ensure_ascii=False, indent=1
    )

    assert text == '{\n "a": "é",\n "b": [\n  1\n ]\n}'
    assert provider.dumps(NAN, allow_nan=True) == "NaN"
    assert provider.dumps([UUID(int=0)], separators=(",", ":")).startswith('["0000')


def test_default_can_be_set(provider):
    provider.default = lambda value: f"<{type(value).__name__}>"

    assert provider.dumps([object()]) == '["<object>"]'


def test_default_can_be_overridden_as_a_method():
    class Sets(DefaultJSONProvider):
        dates = "http"

        def default(self, o):
            return sorted(o) if isinstance(o, set) else super().default(o)

    provider = Sets()

    assert provider.dumps([{2, 1}, date(2026, 5, 1)]) == (
        '[[1, 2], "Fri, 01 May 2026 00:00:00 GMT"]'
    )


def test_default_can_be_overridden_as_a_static_method():
    class Sets(DefaultJSONProvider):
        @staticmethod
        def default(o):
            return sorted(o) if isinstance(o, set) else DefaultJSONProvider.default(o)

    provider = Sets()

    assert provider.dumps([{2, 1}, date(2026, 5, 1)]) == '[[1, 2], "2026-05-01"]'


def test_what_default_raises_is_not_explained_away(provider):
    def fail(value):
        raise ValueError("mine")

    provider.default = fail

    with pytest.raises(ValueError, match=r"^mine$"):
        provider.dumps([object(), NAN])


# Bodies of responses


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ([], {}, "null\n"),
        ([None], {}, "null\n"),
        ([{}], {}, "{}\n"),
        ([[]], {}, "[]\n"),
        ([1, 2], {}, "[1,2]\n"),
        ([], {"b": 1, "a": [2]}, '{"b":1,"a":[2]}\n'),
        ([date(2026, 5, 1)], {}, '"2026-05-01"\n'),
    ],
)
def test_render_takes_what_jsonify_takes(provider, args, kwargs, text):
    assert provider.render(*args, **kwargs) == text


@pytest.mark.parametrize("provider", [DefaultJSONProvider(), JSONProvider()], ids=["ours", "base"])
def test_render_refuses_both_kinds_of_arguments(provider):
    with pytest.raises(SetupTypeError, match="1 positional and the keywords a, b were given"):
        provider.render(1, a=2, b=3)


PRETTY = '{\n  "a": [\n    1\n  ]\n}\n'
TIGHT = '{"a":[1]}\n'


@pytest.mark.parametrize(
    ("compact", "debug", "text"),
    [
        (None, True, PRETTY),
        (None, False, TIGHT),
        (True, True, TIGHT),
        (False, False, PRETTY),
    ],
)
def test_responses_are_indented_in_debug_unless_compact_says(compact, debug, text):
    by_function = DefaultJSONProvider(debug=lambda: debug)
    app = App(debug)
    by_app = DefaultJSONProvider(app)
    by_function.compact = by_app.compact = compact

    assert by_function.render({"a": [1]}) == text
    assert by_app.render({"a": [1]}) == text


def test_debug_may_change_when_the_provider_is_told():
    app = App(debug=False)
    provider = DefaultJSONProvider(app)
    before = provider.render({"a": [1]})

    app.debug = True
    provider.forget()

    assert (before, provider.render({"a": [1]})) == (TIGHT, PRETTY)


def test_a_provider_does_not_keep_its_app_alive():
    app = App(debug=True)
    gone = weakref.ref(app)
    provider = DefaultJSONProvider(app)

    gc.disable()
    try:
        del app
        assert gone() is None
    finally:
        gc.enable()

    assert provider.render({"a": [1]}) == TIGHT


def test_the_media_type_is_json(provider):
    assert provider.mimetype == "application/json"


# Reading


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ('"☕"', "☕"),
        ('"☕"'.encode(), "☕"),
        (bytearray(b"1"), 1),
        (b"\xef\xbb\xbf[1]", [1]),
        ("\ufeff[1]", [1]),
        (b"1e308", 1e308),
        (b"-1e-400", -0.0),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\uD83D\\uDE00 \\ud83d\\ude00"', "😀 😀"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\\\\ud83d \u00e9"', r"\\ud83d é"),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_json_is_read(provider, text, value):
    assert provider.loads(text) == value


BROKEN = {
    "empty bytes": (b"", "is empty"),
    "empty str": ("", "is empty"),
    "spaces": (b" \r\n\t", "is empty"),
    "only a byte order mark": (b"\xef\xbb\xbf", "is empty"),
    "unfinished": (b'{"a": 1', r"not valid: .*line 1, column 8"),
    "second line": (b'{\n"a": x}', r"not valid: .*line 2, column 6"),
    "two documents": (b"1 2", r"Extra data .*column 3"),
    "single quotes": (b"{'a': 1}", "not valid"),
    "control character": (b'"a\nb"', "not valid"),
    "latin-1": (b'"\xe9"', "not UTF-8: byte 0xe9 at position 1"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8: byte 0xff at position 0"),
    "utf-16 without mark": ('{"a": 1}'.encode("utf-16-le"), "not valid"),
    "surrogates in utf-8": (b'"\xed\xa0\x80"', "not UTF-8: byte 0xed"),
    "deep lists": (b"[" * 200_000, "nested too deeply"),
    "deep dicts": (b'{"a":' * 200_000, "nested too deeply"),
    "huge int": (b"9" * 6000, "integer with too many digits"),
    "huge negative int": (b'{"a": [-' + b"9" * 6000 + b"]}", "integer with too many digits"),
    "huge float": (b"[1e999]", "number that is too large"),
    "huge negative float": (b"-1e999", "number that is too large"),
    "NaN": (b"[NaN]", "NaN is not a JSON number"),
    "Infinity": (b'{"a": Infinity}', "Infinity is not a JSON number"),
    "-Infinity": (b"-Infinity", "-Infinity is not a JSON number"),
    "high surrogate": (rb'"\ud83d"', "half of a surrogate pair"),
    "low surrogate": (rb'"\uDE00"', "half of a surrogate pair"),
    "swapped surrogates": (rb'"\ude00\ud83d"', "half of a surrogate pair"),
    "surrogate after a backslash": (rb'"\\\ud83d"', "half of a surrogate pair"),
    "surrogate in a key": (rb'{"\ud83d": 1}', "half of a surrogate pair"),
    "surrogate after a pair": (rb'"\ud83d\ude00\ude00"', "half of a surrogate pair"),
    "raw surrogate": ('"\ud83d"', "half of a surrogate pair at position 1"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_json_is_one_kind_of_error(provider, text, message):
    with pytest.raises(InvalidJSON, match=message):
        provider.loads(text)

    with pytest.raises(InvalidJSON, match=message):
        provider.loads(text, object_pairs_hook=dict)


def test_the_error_carries_its_place(provider):
    with pytest.raises(InvalidJSON) as caught:
        provider.loads(b'{\n"a": x}')

    assert (caught.value.line, caught.value.column) == (2, 6)
    assert isinstance(caught.value, ValueError)
    assert caught.value.__cause__ is None


@settings(deadline=None)
@given(st.binary() | st.text(st.characters(codec=None)))
def test_reading_garbage_raises_nothing_else(text):
    with contextlib.suppress(InvalidJSON):
        json.loads(text)


def test_keywords_of_loads_win(provider):
    assert provider.loads(b"[1.10, NaN]", parse_float=Decimal, parse_constant=str) == [
        Decimal("1.10"),
        "NaN",
    ]


def test_an_error_of_a_hook_is_left_alone(provider):
    def fail(pairs):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$") as caught:
        provider.loads(b"{}", object_pairs_hook=fail)

    assert not isinstance(caught.value, InvalidJSON)


def test_reading_takes_text_or_bytes(provider):
    with pytest.raises(TypeError):
        provider.loads(None)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@settings(max_examples=50, deadline=None)
@given(JSON_VALUES, st.booleans(), st.booleans())
def test_what_was_written_is_read_back(value, ascii, debug):
    provider = DefaultJSONProvider(debug=lambda: debug)
    provider.ensure_ascii = ascii

    assert provider.loads(provider.dumps(value)) == value
    assert provider.loads(provider.render(value).encode()) == value


@settings(deadline=None)
@given(st.lists(st.sampled_from([r"\ud83d", r"\ude00", r"\\", r"\n", "u", "d83d"]), max_size=8))
def test_half_pairs_are_refused_exactly_when_the_value_has_one(pieces):
    text = '"' + "".join(pieces) + '"'
    value = stdlib.loads(text)
    whole = not re.search("[\ud800-\udfff]", value)

    try:
        result = json.loads(text)
    except InvalidJSON:
        assert not whole
    else:
        assert whole
        assert result == value


# Files and subclasses


def test_files_are_written_and_read(provider):
    text = io.StringIO()

    provider.dump({"b": 1, "a": "é"}, text, sort_keys=True)

    assert text.getvalue() == '{"a": "\\u00e9", "b": 1}'
    assert provider.load(io.StringIO(text.getvalue())) == {"a": "é", "b": 1}
    assert provider.load(io.BytesIO(b"[1.5]"), parse_float=str) == ["1.5"]


def test_a_subclass_needs_dumps_and_loads():
    class Repr(JSONProvider):
        def dumps(self, obj, **kwargs):
            return repr(obj)

        def loads(self, s, **kwargs):
            return math.pi

    provider = Repr()
    file = io.StringIO()
    provider.dump([1], file)

    assert file.getvalue() == "[1]"
    assert provider.load(io.StringIO("x")) == math.pi
    assert provider.render(1, 2) == "(1, 2)"
    assert provider.render(a=1) == "{'a': 1}"


@pytest.mark.parametrize("call", [lambda p: p.dumps(1), lambda p: p.loads("1")])
def test_a_subclass_that_lacks_them_is_named(call):
    class Half(JSONProvider):
        pass

    with pytest.raises(NotImplementedError, match="Half does not say how"):
        call(Half())


# The functions of the module


def test_the_functions_use_the_default_provider_without_an_app():
    file = io.StringIO()
    json.dump(date(2026, 5, 1), file)

    assert json.dumps({"a": UUID(int=0)}, indent=None).startswith('{"a": "0000')
    assert json.loads(b"[1.5]", parse_float=str) == ["1.5"]
    assert file.getvalue() == '"2026-05-01"'
    assert json.load(io.BytesIO(b"[1]")) == [1]


def test_the_functions_use_the_provider_that_was_chosen(monkeypatch):
    monkeypatch.setattr(json, "_provider", json._default_provider)
    mine = DefaultJSONProvider()
    mine.sort_keys = True
    current: list[JSONProvider | None] = [mine]
    file = io.StringIO()

    json.use_provider(lambda: current[0])
    json.dump({"b": 1, "a": 2}, file)
    sorted_text = json.dumps({"b": 1, "a": 2})
    current[0] = None

    assert file.getvalue() == sorted_text == '{"a": 2, "b": 1}'
    assert json.dumps({"b": 1, "a": 2}) == '{"b": 1, "a": 2}'


def test_the_provider_is_chosen_once(monkeypatch):
    monkeypatch.setattr(json, "_provider", json._default_provider)
    json.use_provider(DefaultJSONProvider)

    with pytest.raises(SetupError, match=r"already chosen.*app\.json"):
        json.use_provider(DefaultJSONProvider)


@pytest.mark.parametrize(
    ("provider", "library"), [(OrjsonProvider, "orjson"), (MsgspecProvider, "msgspec")]
)
def test_a_library_that_is_missing_is_named(monkeypatch, provider, library):
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ImportError, match=rf"needs the package {library}: pip install {library}"):
        provider()


def outcome(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except (InvalidJSON, stdlib.JSONDecodeError) as error:
        if not text.strip():
            return "nothing"
        return getattr(error, "line", None) or cast(Any, error).lineno


@given(st.lists(st.sampled_from(['{"a":', "[", "]", "}", "1", "-.5", '"x"', ",", " ", "\n", "\v"])))
def test_what_is_read_and_what_is_refused_is_that_of_the_standard_library(pieces):
    text = "".join(pieces)

    assert outcome(json.loads, text) == outcome(stdlib.loads, text)
