from __future__ import annotations

import pytest

from erlen.errors import ContextError
from erlen.proxies import Proxy


class Target(dict):
    """An object with everything that a proxy passes on."""

    def __call__(self, *args, **kwargs):
        return args, kwargs

    def __lt__(self, other):
        return "lt", other

    def __le__(self, other):
        return "le", other

    def __gt__(self, other):
        return "gt", other

    def __ge__(self, other):
        return "ge", other

    async def _items(self):
        for item in self:
            yield item

    def __aiter__(self):
        return self._items()


class Slots:
    """Documented."""

    __slots__ = ("x",)


@pytest.fixture
def target():
    return Target(a=1)


@pytest.fixture
def proxy(target):
    return Proxy("thing", lambda: target)


def unbound():
    raise ContextError("there is nothing")


def test_attributes_are_those_of_the_object(proxy, target):
    proxy.colour = "red"
    assert target.colour == proxy.colour == "red"

    del proxy.colour
    assert not hasattr(target, "colour")


def test_a_proxy_is_like_a_dict_if_its_object_is(proxy):
    proxy["b"] = 2

    assert (proxy["b"], len(proxy), list(proxy), "b" in proxy) == (2, 2, ["a", "b"], True)
    assert proxy | {"c": 3} == {"a": 1, "b": 2, "c": 3}
    assert {"c": 3} | proxy == {"c": 3, "a": 1, "b": 2}

    del proxy["b"]
    assert proxy == {"a": 1}
    assert proxy != {"a": 2}


def test_operators_and_calls_are_passed_on(proxy):
    assert proxy(1, x=2) == ((1,), {"x": 2})
    assert [proxy < 1, proxy <= 2, proxy > 3, proxy >= 4] == [
        ("lt", 1),
        ("le", 2),
        ("gt", 3),
        ("ge", 4),
    ]


async def test_async_iteration_is_passed_on(proxy):
    assert [item async for item in proxy] == ["a"]


def test_a_proxy_looks_like_its_object(proxy, target):
    assert isinstance(proxy, Target)
    assert (repr(proxy), str(proxy)) == (repr(target), str(target))
    assert "items" in dir(proxy)
    assert proxy.__doc__ == Target.__doc__
    proxy.x = 1
    assert proxy.__dict__ == {"x": 1}
    assert bool(proxy) is True
    assert proxy._get_current_object() is target


def test_the_class_of_the_object_can_be_set_through_the_proxy():
    class Other(Target):
        pass

    target = Target()
    Proxy("thing", lambda: target).__class__ = Other

    assert type(target) is Other


def test_an_object_without_a_dict_has_none_behind_a_proxy():
    with pytest.raises(AttributeError):
        _ = Proxy("thing", Slots).__dict__


def test_where_there_is_no_object_a_proxy_is_false_and_says_so():
    proxy = Proxy("thing", unbound)

    assert bool(proxy) is False
    assert repr(proxy) == "<thing unbound>"
    assert (dir(proxy), proxy.__doc__, proxy.__class__) == ([], None, Proxy)
    with pytest.raises(ContextError, match="there is nothing"):
        _ = proxy.colour


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("request", "current_request() returns it"),
        ("websocket", "current_websocket() returns it"),
        ("session", "session._get_current_object() returns it"),
        ("current_app", "current_app._get_current_object() returns it"),
        ("current_user", "current_user._get_current_object() returns it"),
    ],
)
def test_a_proxy_has_no_hash_and_names_what_has(name, advice):
    with pytest.raises(TypeError) as caught:
        hash(Proxy(name, unbound))

    assert advice in str(caught.value)
