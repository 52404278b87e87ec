from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.headers import ContentSecurityPolicy, parse_csp_header


@pytest.fixture
def written():
    return []


@pytest.fixture
def policy(written):
    return parse_csp_header("default-src 'self'", lambda policy: written.append(policy.to_header()))


@pytest.mark.parametrize(
    ("header", "directives"),
    [
        (None, {}),
        ("", {}),
        ("default-src 'self'; img-src a  b;", {"default-src": "'self'", "img-src": "a  b"}),
        ("upgrade-insecure-requests", {"upgrade-insecure-requests": ""}),
        ("Default-Src a; default-src b", {"default-src": "a"}),
        (";;", {}),
    ],
)
def test_a_policy_is_read(header, directives):
    assert dict(parse_csp_header(header)) == directives


def test_a_directive_is_an_attribute(policy, written):
    policy.script_src = "'self' https://cdn.example"
    policy.upgrade_insecure_requests = ""

    assert policy.default_src == "'self'"
    assert policy.script_src == policy["script-src"] == "'self' https://cdn.example"
    assert policy.img_src is None
    assert written[-1] == (
        "default-src 'self'; script-src 'self' https://cdn.example; upgrade-insecure-requests"
    )
    assert str(policy) == written[-1]


def test_none_and_del_remove_a_directive(policy, written):
    policy.default_src = None
    policy["img-src"] = "*"
    del policy.img_src
    policy.font_src = None

    assert written == ["", "img-src *", ""]
    assert len(policy) == 0


def test_a_directive_can_be_deleted_as_an_item(policy, written):
    del policy["default-src"]

    assert written == [""]


@pytest.mark.parametrize(
    ("name", "value"),
    [("img-src", "a; script-src *"), ("img-src", "a\r\nb"), ("img-src", "a, b"), ("img src", "a")],
)
def test_a_value_starts_nothing_else(policy, written, name, value):
    with pytest.raises(ValueError, match="Content-Security-Policy cannot have") as caught:
        policy[name] = value

    assert repr(value) in str(caught.value)
    assert written == []


def test_without_a_callback_it_is_a_value_of_its_own():
    policy = ContentSecurityPolicy({"img-src": "a"})

    policy.img_src = "b"

    assert repr(policy) == "ContentSecurityPolicy({'img-src': 'b'})"
    assert ContentSecurityPolicy.img_src.name == "img-src"


@settings(deadline=None)
@given(st.text() | st.text("a-src 'self'; "))
def test_no_text_makes_it_fail(header):
    policy = parse_csp_header(header)

    assert parse_csp_header(policy.to_header()) == policy
