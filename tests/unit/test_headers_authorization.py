from __future__ import annotations

import copy
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.headers import Authorization, WWWAuthenticate

text = st.text(st.characters(exclude_categories=["Cs"]))


def basic(secret):
    return f"Basic {b64encode(secret).decode()}"


# Who somebody says they are


@pytest.mark.parametrize(
    ("secret", "username", "password"),
    [
        (b"user:pass", "user", "pass"),
        (b"user", "user", ""),
        (b"user:", "user", ""),
        (b":pass", "", "pass"),
        ("ü:ß:x".encode(), "ü", "ß:x"),
    ],
)
def test_basic_is_a_name_and_a_password(secret, username, password):
    authorization = Authorization.from_header(basic(secret))

    assert authorization.type == "basic"
    assert authorization.username == username
    assert authorization.password == password
    assert authorization.token is None
    assert authorization.to_header() == str(authorization)


@pytest.mark.parametrize("header", [None, "", "  ", "Basic !!!", "Basic \xe9", basic(b"\xff:x")])
def test_what_cannot_be_read_is_none(header):
    assert Authorization.from_header(header) is None


@pytest.mark.parametrize("scheme", ["Basic", "BASIC", "basic"])
def test_the_scheme_may_be_in_any_case(scheme):
    assert Authorization.from_header(f"{scheme}  dTpw ").username == "u"


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc.def", "abc.def"), ("Bearer abc==", "abc=="), ("Bearer", None), ("X a=", "a=")],
)
def test_a_token_stands_alone(header, token):
    authorization = Authorization.from_header(header)

    assert authorization.token == token
    assert authorization.parameters == {}
    assert authorization.to_header() == header


def test_other_schemes_have_parameters():
    authorization = Authorization.from_header('Digest username="u", realm="r, x", nc=1')

    assert authorization.type == "digest"
    assert authorization.token is None
    assert authorization.username == authorization["username"] == "u"
    assert authorization.realm == "r, x"
    assert authorization.get("nc") == "1"
    assert authorization.get("x", "none") == "none"
    assert "nc" in authorization
    assert authorization.to_header() == 'Digest username=u, realm="r, x", nc=1'


def test_a_parameter_that_was_not_sent_is_none():
    authorization = Authorization.from_header("Bearer x")

    assert authorization["x"] is None
    assert authorization.nonsense is None
    assert authorization.username is None
    assert authorization.password is None


@pytest.mark.parametrize(
    ("authorization", "header"),
    [
        (Authorization("basic", {"username": "a", "password": "b"}), "Basic YTpi"),
        (Authorization("Bearer", token="x"), "Bearer x"),
        (Authorization("digest", {"a": "b c", "d": None}), 'Digest a="b c", d'),
        (Authorization("x"), "X"),
    ],
)
def test_it_is_written(authorization, header):
    assert authorization.to_header() == header


def test_equal_ones_are_equal_and_no_key_of_a_set():
    assert Authorization.from_header("Bearer x") == Authorization("bearer", token="x")
    assert Authorization("bearer", token="x") != Authorization("bearer", token="y")
    assert Authorization("bearer") != "Bearer"
    with pytest.raises(TypeError):
        hash(Authorization("x"))


@pytest.mark.parametrize("header", [basic(b"user:secret"), "Bearer secret", "Digest secret=x"])
def test_the_repr_gives_no_secret_away(header):
    shown = repr(Authorization.from_header(header))

    assert "secret" not in shown
    assert header.partition(" ")[2] not in shown
    assert header.partition(" ")[0].lower() in shown


@pytest.mark.parametrize(
    "thing", [Authorization("x", {"a": "b"}), WWWAuthenticate("x", {"a": "b"})]
)
def test_it_can_be_copied(thing):
    assert copy.copy(thing) == copy.deepcopy(thing) == thing


@pytest.mark.parametrize("thing", [Authorization("x"), WWWAuthenticate("x")])
def test_it_pretends_no_special_methods(thing):
    with pytest.raises(AttributeError, match="__html__"):
        thing.__html__  # noqa: B018


@settings(deadline=None)
@given(text.filter(lambda name: ":" not in name), text)
def test_a_name_and_a_password_come_back(username, password):
    header = Authorization("basic", {"username": username, "password": password}).to_header()

    parsed = Authorization.from_header(header)

    assert (parsed.username, parsed.password) == (username, password)


@settings(deadline=None)
@given(st.text() | st.text('basic digest=",\\ aA'))
def test_no_text_makes_it_fail(header):
    Authorization.from_header(header)
    Authorization.from_header(f"Basic {header}")
    Authorization.from_header(f"Digest {header}")
    WWWAuthenticate.from_header(header)


# How they are asked


@pytest.fixture
def written():
    return []


@pytest.fixture
def challenge(written):
    return WWWAuthenticate(
        "digest", {"realm": "r"}, on_update=lambda asked: written.append(asked.to_header())
    )


@pytest.mark.parametrize(
    ("asked", "header"),
    [
        (WWWAuthenticate(), "Basic"),
        (WWWAuthenticate("basic", {"realm": "cellar"}), 'Basic realm="cellar"'),
        (WWWAuthenticate("basic", {"realm": 'a "b"'}), 'Basic realm="a \\"b\\""'),
        (WWWAuthenticate("bearer", {"realm": None, "scope": "a b"}), 'Bearer scope="a b"'),
        (WWWAuthenticate("negotiate", token="YWJj=="), "Negotiate YWJj=="),
        (
            WWWAuthenticate("digest", {"algorithm": "MD5", "stale": "FALSE", "qop": "auth"}),
            'Digest algorithm=MD5, stale=FALSE, qop="auth"',
        ),
        (WWWAuthenticate("digest", {"algorithm": "M 5"}), 'Digest algorithm="M 5"'),
    ],
)
def test_a_challenge_is_written(asked, header):
    assert asked.to_header() == str(asked) == header
    assert repr(asked) == f"<WWWAuthenticate {header!r}>"


def test_a_challenge_is_read():
    asked = WWWAuthenticate.from_header(' Digest  realm="a b", nonce=c ')

    assert asked.type == "digest"
    assert asked.realm == asked["realm"] == asked.get("realm") == "a b"
    assert asked.parameters == {"realm": "a b", "nonce": "c"}
    assert "nonce" in asked
    assert asked.get("x", "none") == "none"
    assert asked["x"] is None
    assert WWWAuthenticate.from_header("Negotiate abc==").token == "abc=="
    assert WWWAuthenticate.from_header("Digest é=1, a=2").parameters == {"a": "2"}


@pytest.mark.parametrize("header", [None, "", " ", "é x", "a,b c=d"])
def test_a_challenge_that_cannot_be_read_is_none(header):
    assert WWWAuthenticate.from_header(header) is None


def test_changes_are_told(challenge, written):
    challenge["nonce"] = "n"
    challenge["realm"] = None
    del challenge["nonce"]
    challenge.token = "t"

    assert written == ['Digest realm="r", nonce="n"', 'Digest nonce="n"', "Digest", "Digest t"]
    assert challenge.token == "t"


def test_without_a_callback_it_is_a_value_of_its_own():
    asked = WWWAuthenticate("basic")

    asked["realm"] = "r"

    assert asked == WWWAuthenticate("basic", {"realm": "r"})
    assert asked != "Basic"
    with pytest.raises(TypeError):
        hash(asked)


def test_parameters_are_set_as_items_only(challenge):
    with pytest.raises(AttributeError):
        challenge.nonce = "n"
    with pytest.raises(TypeError):
        challenge.parameters["nonce"] = "n"


@pytest.mark.parametrize("name", ["", "a b", 'a"', "a\r\n"])
def test_a_parameter_that_is_no_token_is_refused(challenge, written, name):
    with pytest.raises(ValueError, match="is no name of a parameter"):
        challenge[name] = "x"
    with pytest.raises(ValueError, match="is no name of a parameter"):
        WWWAuthenticate("basic", {name: "x"})

    assert written == []


def test_a_scheme_that_is_no_token_is_refused():
    with pytest.raises(ValueError, match="is no authentication scheme"):
        WWWAuthenticate("basic x")
