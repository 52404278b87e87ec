"""What a type checker must know of URLs: they are built with the arguments of the view."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, assert_type

from erlen import URL, Erlen, current, current_app, url_for, url_to

P = ParamSpec("P")
app = Erlen(__name__)


def with_user(
    view: Callable[Concatenate[str, P], Awaitable[str]],
) -> Callable[P, Awaitable[str]]:
    @functools.wraps(view)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> str:
        return await view("ada", *args, **kwargs)

    return wrapper


@app.get("/notes/<int:number>")
async def note(number: int, page: int = 1) -> str:
    return str(number * page)


@app.get("/mine/<int:number>")
@with_user
async def mine(user: str, number: int) -> str:
    return user * number


@app.get("/home")
def home() -> str:
    return "home"


def a_url_is_built_with_the_arguments_of_the_view() -> None:
    assert_type(url_to(note, 3), URL)
    assert_type(url_to(note, number=3, page=2).query(tag=["a", "b"]).anchor("x").external(), URL)
    assert_type(url_to(home), URL)
    assert_type(url_to(mine, 3), URL)
    assert_type(url_for(note, number="whatever"), str)
    text: str = url_to(home)
    assert_type(len(text), int)


def a_wrong_argument_is_an_error_of_the_type_checker() -> None:
    url_to(note, "3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # an int
    url_to(note)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # without a number
    url_to(note, 3, pgae=2)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # a typo
    url_to(home, 1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # takes nothing
    url_to(mine, "ada", 3)  # type: ignore[call-arg, arg-type] # pyright: ignore[reportCallIssue] # user is given
    url_to("note")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # a view, no name


class Shop(Erlen):
    """An app that keeps things of its own, with their types."""

    currency: str = "EUR"

    def __init__(self, import_name: str) -> None:
        super().__init__(import_name)
        self.prices: dict[str, int] = {}


def an_app_of_your_own_class_keeps_its_attributes() -> None:
    shop = current(Shop)
    assert_type(shop, Shop)
    assert_type(shop.currency, str)
    assert_type(shop.prices, dict[str, int])
    print(current_app.prices)  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType] # any app
