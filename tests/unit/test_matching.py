from __future__ import annotations

import pytest

from erlen.converters import DEFAULT_CONVERTERS, BaseConverter
from erlen.matching import ANY, SOCKET, Domains, Target, Trie, find, split_host, subdomain_of
from erlen.rules import compile_pattern
from tests.steps import steps_of


class Even(BaseConverter):
    """A regex that is no other converter's, of one letter or more."""

    regex = "[02468]+"
    weight = 20


CONVERTERS = {**DEFAULT_CONVERTERS, "even": Even}


def trie_of(*rules, strict=True):
    """A trie that answers GET with the rule itself."""
    trie = Trie()
    for rule in rules:
        add(trie, rule, strict=strict)
    return trie


def add(trie, rule, *keys, strict=True, answer=None):
    pattern = compile_pattern(rule, CONVERTERS)
    converters = tuple(
        (at, one.name, one.converter.shortcut) for at, one in enumerate(pattern.variables)
    )
    trie.add(pattern, keys or ("GET",), Target(answer or rule, converters), strict=strict)


def found(trie, path, key="GET"):
    """The answer and the texts of the variables, or None."""
    result = find(trie.root, path.split("/"), 0, key, [], ())
    return None if result is None else (result[0].answer, *result[1])


def missed(trie, path, key):
    nodes = []
    assert find(trie.root, path.split("/"), 0, key, nodes, ()) is None
    return sorted(key for node in nodes for key, _ in node.served())


@pytest.mark.parametrize(
    ("rules", "path", "answer"),
    [
        pytest.param(["/"], "/", ("/",), id="root"),
        pytest.param(["/<x>", "/a"], "/a", ("/a",), id="text before variables"),
        pytest.param(["/<x>", "/<int:x>"], "/1", ("/<int:x>", "1"), id="int before string"),
        pytest.param(["/<x>", "/<int:x>"], "/1a", ("/<x>", "1a"), id="string where no int"),
        pytest.param(["/<path:x>", "/<x>"], "/a", ("/<x>", "a"), id="string before path"),
        pytest.param(["/<path:x>", "/<x>"], "/a/b", ("/<path:x>", "a/b"), id="path spans"),
        pytest.param(
            ["/p/<path:x>", "/p/<path:x>/edit"], "/p/a/edit", ("/p/<path:x>/edit", "a"), id="suffix"
        ),
        pytest.param(["/a/<x>", "/<x>/b"], "/a/b", ("/a/<x>", "b"), id="left to right"),
        pytest.param(["/a/c", "/<x>/b"], "/a/b", ("/<x>/b", "a"), id="back from text"),
        pytest.param(["/<int:x>/a", "/<x>/b"], "/1/b", ("/<x>/b", "1"), id="back from int"),
        pytest.param(
            ["/<even:e>/<int:x>/a", "/<int:x>/<y>/b"],
            "/2/3/b",
            ("/<int:x>/<y>/b", "2", "3"),
            id="two",
        ),
        pytest.param(["/<x>-<y>", "/<x>"], "/a-b", ("/<x>-<y>", "a", "b"), id="mixed"),
        pytest.param(["/a<x>", "/<x>"], "/ab", ("/a<x>", "b"), id="prefix"),
        pytest.param(["/<even:x>", "/<int:x>"], "/24", ("/<even:x>", "24"), id="own weight"),
        pytest.param(
            ["/<string(length=2):x>"], "/ab", ("/<string(length=2):x>", "ab"), id="length"
        ),
        pytest.param(["/<string(2):x>"], "/abc", ("/<string(2):x>", "abc"), id="minlength"),
        pytest.param(
            ["/<path:x>/<y>"], "/a/b/c", ("/<path:x>/<y>", "a/b", "c"), id="path and more"
        ),
        pytest.param(["/<path:x>", "/<path:x>/"], "/a/", ("/<path:x>/", "a"), id="slash of a path"),
        pytest.param(["/тест/<x>"], "/тест/é", ("/тест/<x>", "é"), id="unicode"),
    ],
)
def test_the_most_exact_rule_is_found(rules, path, answer):
    assert found(trie_of(*rules), path) == answer
    assert found(trie_of(*reversed(rules)), path) == answer


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/a", ""),
        ("/a", "a"),
        ("/a", "/a\n"),
        ("/a", "/a/"),
        ("/a", "/a/b"),
        ("/a/b", "/a"),
        ("/<x>", "/"),
        ("/<x>", "//"),
        ("/<int:x>", "/1\n"),
        ("/<int:x>", "/\N{SUPERSCRIPT TWO}"),
        ("/<int:x>", "/\N{ARABIC-INDIC DIGIT THREE}"),
        ("/<string(length=2):x>", "/abc"),
        ("/<string(length=2):x>", "/a"),
        ("/<path:x>", "/"),
        ("/<path:x>", "//a"),
        ("/<path:x>", "/a\nb"),
        ("/<even:x>", "/3"),
        ("/<path:x>/edit", "/edit"),
    ],
)
def test_what_no_rule_describes_is_not_found(rule, path):
    assert found(trie_of(rule), path) is None


def test_what_was_added_first_wins_a_tie():
    trie = Trie()
    add(trie, "/<x>", answer="first")
    add(trie, "/<y>", answer="second")

    assert found(trie, "/a") == ("first", "a")


def test_values_are_converted_and_joined_with_defaults():
    target = Target("x", ((0, "id", int), (1, "name", None)), {"page": 1})

    assert target.convert(("7", "ada")) == {"page": 1, "id": 7, "name": "ada"}
    assert target.defaults == {"page": 1}


# Methods


def test_another_rule_is_found_for_another_method():
    trie = Trie()
    add(trie, "/a", "POST")
    add(trie, "/<x>", "GET")

    assert found(trie, "/a", "GET") == ("/<x>", "a")
    assert found(trie, "/a", "POST") == ("/a",)


def test_all_nodes_that_only_miss_the_method_are_told():
    trie = Trie()
    add(trie, "/a", "POST", "PUT")
    add(trie, "/<x>", "DELETE")
    add(trie, "/<int:x>", "PATCH")

    assert missed(trie, "/a", "GET") == ["DELETE", "POST", "PUT"]
    assert missed(trie, "/b/c", "GET") == []


def test_a_rule_for_any_method_answers_what_no_other_does():
    trie = Trie()
    add(trie, "/", "POST", answer="post")
    add(trie, "/", ANY, answer="any")
    add(trie, "/", "PUT", answer="too late")

    assert found(trie, "/", "POST") == ("post",)
    assert found(trie, "/", "PUT") == ("any",)
    assert found(trie, "/", "BREW") == ("any",)
    assert found(trie, "/", SOCKET) is None


def test_websockets_have_rules_of_their_own():
    trie = Trie()
    add(trie, "/", ANY, answer="http")
    add(trie, "/", SOCKET, answer="socket")

    assert found(trie, "/", SOCKET) == ("socket",)
    assert found(trie, "/", "GET") == ("http",)


# Slashes


@pytest.mark.parametrize(
    ("rule", "path"), [("/", ""), ("/a/", "/a"), ("/<x>/", "/a"), ("/<path:x>/", "/a/b")]
)
def test_a_missing_slash_is_told(rule, path):
    result = find(trie_of(rule).root, path.split("/"), 0, "GET", [], ())

    assert result is not None
    assert (result[0].slash, result[0].detour) == (True, True)
    assert missed(trie_of(rule), path, "POST") == []


def test_a_rule_without_the_slash_is_better_than_one_that_lacks_it():
    trie = Trie()
    add(trie, "/a/", answer="with")
    add(trie, "/a", answer="without")
    add(trie, "/p/<path:x>/", answer="path with")
    add(trie, "/p/<path:x>", answer="path without")

    assert found(trie, "/a") == ("without",)
    assert found(trie, "/p/x") == ("path without", "x")


@pytest.mark.parametrize(
    ("rule", "path"), [("/a/", "/a"), ("/a", "/a/"), ("/<x>", "/b/"), ("/<path:x>/", "/a/b")]
)
def test_a_lenient_rule_is_found_with_and_without_its_slash(rule, path):
    result = find(trie_of(rule, strict=False).root, path.split("/"), 0, "GET", [], ())

    assert result is not None
    assert (result[0].slash, result[0].detour) == (False, False)
    assert missed(trie_of(rule, strict=False), path, "POST") == ["GET"]


# Cost


def test_the_work_does_not_grow_with_the_number_of_rules():
    few, many = (
        trie_of(*(f"/r{at}/<int:x>" for at in range(count)), *(f"/s{at}" for at in range(count)))
        for count in (2, 2000)
    )

    for path in ("/r1/7", "/s1", "/nothing/here"):
        assert steps_of(found, many, path) == steps_of(found, few, path)


def test_the_work_does_not_grow_with_the_length_of_a_path_that_is_no_rules():
    trie = trie_of("/<a>/<b>/x", "/<a>/<int:b>/y", "/<int:a>/<b>/z", "/<int:a>/<int:b>/w")

    assert steps_of(found, trie, "/1/2" * 1000) < 2 * steps_of(found, trie, "/1/2" * 2)


# Hosts


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        ("Example.COM", ("example.com", "")),
        ("example.com:5000", ("example.com", "5000")),
        ("example.com:", ("example.com:", "")),
        ("[::1]:80", ("[::1]", "80")),
        ("[::1]", ("[::1]", "")),
        ("", ("", "")),
    ],
)
def test_a_host_is_split_from_its_port(authority, parts):
    assert split_host(authority) == parts


@pytest.mark.parametrize(
    ("name", "server", "label"),
    [
        ("example.com", "example.com", ""),
        ("a.b.example.com", "Example.com:5000", "a.b"),
        ("badexample.com", "example.com", None),
        ("other.org", "example.com", None),
        ("anything", None, ""),
    ],
)
def test_a_subdomain_is_what_is_in_front_of_the_server_name(name, server, label):
    assert subdomain_of(name, server) == label


@pytest.fixture
def domains():
    domains = Domains()
    for host in ("example.com", "<sub>.example.com", "<int:n>.example.com", "localhost:5000", None):
        domain = None if host is None else compile_pattern(host, CONVERTERS, host=True)
        assert domains.trie_of(domain) is domains.trie_of(domain)
        add(domains.trie_of(domain), "/<x>", answer=host or "any")
    return domains


@pytest.mark.parametrize(
    ("host", "port", "answer"),
    [
        ("example.com", "", ("example.com", "p")),
        ("example.com", "8000", ("example.com", "p")),
        ("ada.example.com", "", ("<sub>.example.com", "ada", "p")),
        ("7.example.com", "80", ("<int:n>.example.com", "7", "p")),
        ("localhost", "5000", ("localhost:5000", "p")),
        ("localhost", "", ("any", "p")),
    ],
)
def test_each_host_has_its_rules(domains, host, port, answer):
    result = domains.find(host, port, "/p", "GET", [])

    assert (result[0].answer, *result[1]) == answer


def test_a_host_without_the_path_leaves_it_to_the_rules_of_all(domains):
    add(domains.trie_of(None), "/only/here")

    assert domains.find("example.com", "", "/only/here", "GET", [])[0].answer == "/only/here"
    assert domains.find("example.com", "", "/not/here", "GET", []) is None
