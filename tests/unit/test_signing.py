from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from itsdangerous import (
    BadData,
    BadTimeSignature,
    SignatureExpired,
    TimestampSigner,
    URLSafeTimedSerializer,
)

from erlen import signing
from erlen.json.tag import TaggedJSONSerializer
from erlen.signing import ReadySerializer

NOW = 1_790_000_000
NEWEST, OLDER = "newest ☕", b"older"
KEYS = (OLDER, NEWEST)
JSON = TaggedJSONSerializer()
OUT_OF_RANGE = "The date is none that a calendar has."
FLASK: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha1}

OURS = ReadySerializer(KEYS, "cookie-session", JSON, **FLASK)


def of_itsdangerous(*keys: str | bytes, **options: Any) -> URLSafeTimedSerializer:
    secret: Any = keys
    return URLSafeTimedSerializer(
        secret, "cookie-session", JSON, signer_kwargs={**FLASK, **options}
    )


@pytest.fixture(autouse=True, scope="module")
def clock():
    """Let it be NOW, for both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TimestampSigner, "get_timestamp", lambda self: NOW)
        yield


def outcome(serializer: URLSafeTimedSerializer, text: Any, **options: Any) -> Any:
    """Return what is read, or the error in all its parts."""
    try:
        return serializer.loads(text, **options)
    except BadData as error:
        details = {name: value for name, value in vars(error).items() if name != "original_error"}
        return type(error), str(error), details
    except (ValueError, OverflowError, OSError):  # a date that is out of range, for itsdangerous
        if serializer is OURS:
            raise
        details = {"message": OUT_OF_RANGE, "payload": None, "date_signed": None}
        return BadTimeSignature, OUT_OF_RANGE, details


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.binary(max_size=30) | st.uuids(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXT, inner),
    max_leaves=8,
) | st.builds(lambda text, times: {"text": text * times}, TEXT, st.integers(0, 100))
SIGNING_KEYS = st.lists(TEXT.filter(bool) | st.binary(min_size=1), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(SIGNING_KEYS.map(tuple), VALUES)
@example((NEWEST,), {"text": "spam " * 60})
def test_it_writes_what_itsdangerous_writes(keys, value):
    ours = ReadySerializer(keys, "cookie-session", JSON, **FLASK)

    assert ours.dumps(value) == of_itsdangerous(*keys).dumps(value)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_each_reads_what_the_other_wrote(value):
    theirs = of_itsdangerous(*KEYS)

    assert theirs.loads(OURS.dumps(value), max_age=0) == value
    assert OURS.loads(theirs.dumps(value), max_age=0) == value


@st.composite
def cookies(draw: Any) -> str | bytes:
    """Draw a cookie that is right, wrong in one of many ways, or nothing like a cookie."""
    key = draw(st.sampled_from([NEWEST, NEWEST, OLDER, "foreign"]))
    signer = TimestampSigner(key, "cookie-session", **FLASK)
    payload = draw(
        VALUES.map(OURS.dump_payload) | st.binary() | st.text("aZ09-_.!=").map(str.encode)
    )
    seconds = st.integers(NOW - 200, NOW + 20).map(lambda second: second.to_bytes(4, "big"))
    date = draw(
        seconds.map(signing._encoded) | st.binary(max_size=12) | st.text("aZ-.").map(str.encode)
    )
    value = b"%b.%b" % (payload, date)
    text = b"%b.%b" % (value, signer.get_signature(value))
    start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    changed = text[:start] + draw(st.binary(max_size=3)) + text[end:]
    return draw(st.sampled_from([text, text, changed, changed.decode("latin-1"), payload, value]))


@settings(max_examples=300, deadline=None)
@given(cookies(), st.none() | st.integers(-1, 200))
@example(b"bnVsbA.+++++++++++.xH58DMmazur5m6O2c5oUfsVW93o", None)
@example(b"bnVsbA.++++++++++.jq_PJIZ4GC43IG8-Km52a0FRIAs", None)
def test_it_trusts_what_itsdangerous_trusts(cookie, max_age):
    theirs = of_itsdangerous(*KEYS)

    assert outcome(OURS, cookie, max_age=max_age) == outcome(theirs, cookie, max_age=max_age)


@pytest.mark.parametrize(("age", "trusted"), [(0, True), (60, True), (61, False), (-1, False)])
@pytest.mark.parametrize("key", KEYS)
def test_what_is_too_old_or_yet_to_come_is_not_trusted(key, age, trusted):
    date = signing._encoded((NOW - age).to_bytes(4, "big"))
    value = b"%b.%b" % (OURS.dump_payload({"n": 1}), date)
    signer = TimestampSigner(key, "cookie-session", **FLASK)
    cookie = value + b"." + signer.get_signature(value)

    if trusted:
        assert OURS.loads(cookie, max_age=60) == {"n": 1}
    else:
        with pytest.raises(SignatureExpired):
            OURS.loads(cookie, max_age=60)


@pytest.mark.parametrize("digest", [hashlib.sha1, hashlib.sha256, hashlib.sha512])
@pytest.mark.parametrize("derivation", ["hmac", "concat", "django-concat", "none"])
def test_other_ways_to_make_a_signature_are_those_of_itsdangerous(digest, derivation):
    options: dict[str, Any] = {"key_derivation": derivation, "digest_method": digest}
    ours = ReadySerializer(KEYS, "cookie-session", JSON, **options)
    theirs = of_itsdangerous(*KEYS, **options)

    assert ours.dumps({"n": 1}) == theirs.dumps({"n": 1})
    assert ours.loads(theirs.dumps({"n": 1}), max_age=0) == {"n": 1}


def test_what_else_the_methods_take_is_done_as_itsdangerous_does_it():
    theirs = of_itsdangerous(*KEYS)
    text, salted = theirs.dumps({"n": 1}), theirs.dumps({"n": 1}, salt="other")

    assert OURS.dumps({"n": 1}, salt="other") == salted
    assert OURS.loads(salted, max_age=0, salt="other") == {"n": 1}
    assert OURS.loads(text, return_timestamp=True) == theirs.loads(text, return_timestamp=True)
    assert OURS.loads(text) == {"n": 1}
    assert OURS.loads_unsafe(text[:-1], max_age=0) == theirs.loads_unsafe(text[:-1], max_age=0)
    assert OURS.load_payload(b"W10", serializer=json) == []
    assert OURS.loads(text.encode(), max_age=0) == {"n": 1}


# What is compressed


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64) | st.text('{}":,0aeu', max_size=64).map(str.encode))
def test_what_is_not_compressed_would_not_get_shorter(text):
    if not signing._may_be_compressed(text):
        assert len(zlib.compress(text)) >= len(text) - 1


def test_however_ten_bytes_are_repeated_compressing_saves_nothing():
    texts = []
    for distinct in range(1, 55, 3):
        every = bytes(range(32, 32 + distinct))
        for start in range(distinct):
            for length in range(1, distinct - start + 1):
                again = every[start : start + length]
                texts.append(every + (again * 10)[:10])
                texts.append(every[: start + length] + (again * 10)[:10] + every[start + length :])

    assert {signing._may_be_compressed(text) for text in texts} == {False}
    assert min(len(zlib.compress(text)) - len(text) for text in texts) >= -1
    assert len(zlib.compress(b"{" + b"a" * 12)) < 12
