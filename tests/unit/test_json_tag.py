from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from erlen import json
from erlen.json.tag import JSONTag, TagDateTime, TagDict, TaggedJSONSerializer

CEST = timezone(timedelta(hours=2))


@dataclass
class Point:
    x: int
    when: date


class Html:
    def __html__(self):
        return "<i>h</i>"


class TagSet(JSONTag):
    __slots__ = ()
    key = " s"

    def check(self, value):
        return isinstance(value, set)

    def to_json(self, value):
        return [self.serializer.tag(item) for item in sorted(value)]

    def to_python(self, value):
        return set(value)


@pytest.fixture
def serializer():
    return TaggedJSONSerializer()


# Each value, what Flask 3.1.3 writes for it in an app context, and what comes back.
SAME = object()
FLASK = {
    "scalars": (
        {"user": "eve", "b": True, "n": None, "i": -7, "f": 1.5},
        '{"b":true,"f":1.5,"i":-7,"n":null,"user":"eve"}',
        SAME,
    ),
    "sorted keys": ({"z": 1, "a": {"y": 1, "b": 2}}, '{"a":{"b":2,"y":1},"z":1}', SAME),
    "other characters": (
        {"name": "Zoë ☕ 😀", "k\u00e9y": "\u2028"},
        '{"k\\u00e9y":"\\u2028","name":"Zo\\u00eb \\u2615 \\ud83d\\ude00"}',
        SAME,
    ),
    "flashes": (
        {"_flashes": [("message", "Hi"), ("error", Markup("<b>no</b>"))]},
        '{"_flashes":[{" t":["message","Hi"]},{" t":["error",{" m":"<b>no</b>"}]}]}',
        SAME,
    ),
    "tuples": (
        {"t": (1, (2, "x"), [3, ()])},
        '{"t":{" t":[1,{" t":[2,"x"]},[3,{" t":[]}]]}}',
        SAME,
    ),
    "bytes": ({"b": b"\x00\xff?>", "e": b""}, '{"b":{" b":"AP8/Pg=="},"e":{" b":""}}', SAME),
    "markup": (
        {"m": Markup("<b>x</b>"), "h": Html()},
        '{"h":{" m":"<i>h</i>"},"m":{" m":"<b>x</b>"}}',
        {"m": Markup("<b>x</b>"), "h": Markup("<i>h</i>")},
    ),
    "uuid": ({"u": UUID(int=5)}, '{"u":{" u":"00000000000000000000000000000005"}}', SAME),
    "datetimes": (
        {
            "aware": datetime(2026, 5, 1, 12, 30, 15, 999999, tzinfo=CEST),
            "naive": datetime(2026, 5, 1, 12, 30, 15),
        },
        '{"aware":{" d":"Fri, 01 May 2026 10:30:15 GMT"},'
        '"naive":{" d":"Fri, 01 May 2026 12:30:15 GMT"}}',
        {
            "aware": datetime(2026, 5, 1, 10, 30, 15, tzinfo=UTC),
            "naive": datetime(2026, 5, 1, 12, 30, 15, tzinfo=UTC),
        },
    ),
    "date": (
        {"d": date(2026, 5, 1)},
        '{"d":"Fri, 01 May 2026 00:00:00 GMT"}',
        {"d": "Fri, 01 May 2026 00:00:00 GMT"},
    ),
    "decimal": ({"d": Decimal("1.50")}, '{"d":"1.50"}', {"d": "1.50"}),
    "dataclass": (
        {"p": Point(1, date(2026, 5, 1))},
        '{"p":{"when":"Fri, 01 May 2026 00:00:00 GMT","x":1}}',
        {"p": {"when": "Fri, 01 May 2026 00:00:00 GMT", "x": 1}},
    ),
    "dicts like tags": (
        {"d": {" t": (1, 2)}, "e": {" t__": [1]}, "f": {" di": {" b": 1}}, "g": {" x": 1}},
        '{"d":{" di":{" t__":{" t":[1,2]}}},"e":{" t__":[1]},'
        '"f":{" di":{" di__":{" di":{" b__":1}}}},"g":{" x":1}}',
        SAME,
    ),
    "all of it like a tag": ({" t": [1, 2]}, '{" di":{" t__":[1,2]}}', SAME),
    "other keys": (
        {"d": {1: "a", 2: "b"}, "e": {None: 1}, "f": {True: 1}},
        '{"d":{"1":"a","2":"b"},"e":{"null":1},"f":{"true":1}}',
        {"d": {"1": "a", "2": "b"}, "e": {"null": 1}, "f": {"true": 1}},
    ),
    "nested": (
        {"a": [{"b": ({"c": b"x"},)}]},
        '{"a":[{"b":{" t":[{"c":{" b":"eA=="}}]}}]}',
        SAME,
    ),
    "infinity": ({"f": float("inf")}, '{"f":Infinity}', SAME),
}


@pytest.mark.parametrize(("value", "text", "back"), FLASK.values(), ids=FLASK.keys())
def test_the_text_is_flasks_and_is_read_back(serializer, value, text, back):
    written = serializer.dumps(value)

    restored = serializer.loads(written)

    assert written == text
    assert restored == (value if back is SAME else back)


@pytest.mark.parametrize(("value", "text", "back"), FLASK.values(), ids=FLASK.keys())
def test_the_text_is_the_same_with_a_tag_of_the_users(serializer, value, text, back):
    serializer.register(TagSet)

    assert serializer.dumps(value) == text


def test_markup_comes_back_as_markup(serializer):
    restored = serializer.loads(serializer.dumps([Markup("<b>"), "<b>"]))

    assert [type(item) for item in restored] == [Markup, str]


def test_the_settings_of_the_current_app_do_not_matter(serializer, monkeypatch):
    class Mine(json.DefaultJSONProvider):
        ensure_ascii = False

    monkeypatch.setattr(json, "_provider", Mine)

    assert serializer.dumps({"b": "é", "a": (1,)}) == '{"a":{" t":[1]},"b":"\\u00e9"}'


@pytest.mark.parametrize("text", ["never", "", None, "Fri, 99 May 2026 00:00:00 GMT"])
def test_a_broken_date_is_none(serializer, text):
    assert TagDateTime(serializer).to_python(text) is None


def test_a_date_without_a_known_zone_is_in_utc(serializer):
    tag = TagDateTime(serializer)

    assert tag.to_python("Fri, 01 May 2026 12:00:00 -0000") == datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_what_has_no_tag_and_no_json_is_named(serializer):
    with pytest.raises(TypeError, match="of type set is not JSON serializable"):
        serializer.dumps({"a": {1}})


# Tags of users


def test_a_registered_tag_is_used_at_every_depth(serializer):
    serializer.register(TagSet)
    value = {"a": [{"b": ({1, 2}, {(1, 2)})}]}

    assert serializer.dumps(value) == ('{"a":[{"b":{" t":[{" s":[1,2]},{" s":[{" t":[1,2]}]}]}}]}')
    assert serializer.loads(serializer.dumps(value)) == value


def test_a_registered_tag_is_escaped_in_dicts(serializer):
    serializer.register(TagSet)

    assert serializer.loads(serializer.dumps({" s": [1]})) == {" s": [1]}


def test_a_tag_for_strings_is_asked(serializer):
    class TagShout(JSONTag):
        key = " !"

        def check(self, value):
            return isinstance(value, str) and value.isupper()

        def to_json(self, value):
            return value.lower()

        def to_python(self, value):
            return value.upper()

    serializer.register(TagShout)

    assert serializer.dumps(["HI", "hi"]) == '[{" !":"hi"},"hi"]'
    assert serializer.loads('[{" !":"hi"},"hi"]') == ["HI", "hi"]


def test_a_tag_for_a_subclass_goes_first(serializer):
    class TagOrdered(JSONTag):
        key = " od"
        instances_of = OrderedDict

        def to_json(self, value):
            return [[key, self.serializer.tag(item)] for key, item in value.items()]

        def to_python(self, value):
            return OrderedDict(value)

    serializer.register(TagOrdered, index=0)
    value = OrderedDict([("b", (1,)), ("a", 2)])

    restored = serializer.loads(serializer.dumps(value))

    assert isinstance(restored, OrderedDict)
    assert restored == value


def test_tags_are_asked_in_the_order_of_their_registration(serializer):
    class Tag1(JSONTag):
        key = " 1"

    class Tag2(JSONTag):
        key = " 2"

    serializer.register(Tag1, index=-1)
    serializer.register(Tag2)

    assert isinstance(serializer.order[-3], Tag1)
    assert isinstance(serializer.order[-2], TagDateTime)
    assert isinstance(serializer.order[-1], Tag2)
    assert isinstance(serializer.order[0], TagDict)


def test_a_key_is_registered_once_unless_forced(serializer):
    class TagMoment(JSONTag):
        key = " d"
        instances_of = datetime

        def to_json(self, value):
            return value.isoformat()

        def to_python(self, value):
            return datetime.fromisoformat(value)

    with pytest.raises(KeyError, match=r"' d' is taken by TagDateTime.*TagMoment.*force=True"):
        serializer.register(TagMoment)
    serializer.register(TagMoment, force=True, index=0)

    assert serializer.loads(serializer.dumps([datetime(2026, 5, 1)])) == [datetime(2026, 5, 1)]


def test_a_tag_without_a_key_writes_its_value_bare(serializer):
    class PassRange(JSONTag):
        instances_of = range

        def to_json(self, value):
            return list(value)

    serializer.register(PassRange)

    assert serializer.dumps([range(2)]) == "[[0,1]]"
    assert "" not in serializer.tags


def test_a_subclass_may_start_with_other_tags():
    class Bare(TaggedJSONSerializer):
        default_tags = [TagSet]  # noqa: RUF012

    assert Bare().dumps({1}) == '{" s":[1]}'
    assert Bare().loads('{" t":[1]}') == {" t": [1]}


@pytest.mark.parametrize("method", ["check", "to_json", "to_python"])
def test_a_tag_says_what_it_lacks(serializer, method):
    class Half(JSONTag):
        pass

    with pytest.raises(NotImplementedError, match=rf"Half has to say .*\({method}\)"):
        getattr(Half(serializer), method)(1)


# The law

TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary()
    | st.uuids()
    | TEXT.map(Markup)
    | st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=0)
    ),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(
            TEXT | st.sampled_from([" t", " di", " d", " t__", " di__", " m____"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_every_value_comes_back(value):
    serializer = TaggedJSONSerializer()

    assert serializer.loads(serializer.dumps(value)) == value
