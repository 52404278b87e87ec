from __future__ import annotations

from erlen.headers import UserAgent


def test_it_is_the_string_that_was_sent():
    agent = UserAgent("curl/8")

    assert agent.string == str(agent) == agent.to_header() == "curl/8"
    assert repr(agent) == "<UserAgent 'curl/8'>"


def test_it_is_true_if_there_is_one():
    assert UserAgent("curl/8")
    assert not UserAgent("")


def test_equal_ones_are_equal():
    assert UserAgent("a") == UserAgent("a")
    assert UserAgent("a") != UserAgent("b")
    assert UserAgent("a") != "a"
    assert len({UserAgent("a"), UserAgent("a")}) == 1


def test_it_guesses_nothing_but_a_subclass_may():
    class Guessing(UserAgent):
        @property
        def browser(self):
            return self.string.partition("/")[0]

    agent = UserAgent("curl/8")

    assert (agent.platform, agent.browser, agent.version, agent.language) == (None,) * 4
    assert Guessing("curl/8").browser == "curl"
