from __future__ import annotations

import click

from erlen import Erlen, current_app
from erlen.cli import AppGroup, ScriptInfo, with_appcontext


def make_app():
    app = Erlen("shop")

    @app.cli.command("hello")
    @click.argument("name")
    def hello(name):
        click.echo(f"hello {name} from {current_app.name}")

    @app.cli.command("later")
    async def later():
        click.echo(f"async in {current_app.name}")

    return app


def test_a_command_of_the_app_is_run_with_its_arguments():
    result = make_app().test_cli_runner().invoke(args=["hello", "ann"])

    assert (result.exit_code, result.output) == (0, "hello ann from shop\n")


async def test_a_command_may_be_run_in_an_async_test():
    runner = make_app().test_cli_runner()

    assert runner.invoke(args=["hello", "ann"]).output == "hello ann from shop\n"
    assert runner.invoke(args=["later"]).output == "async in shop\n"


def test_a_command_that_is_not_of_the_app_finds_it():
    @click.command()
    @with_appcontext
    def elsewhere():
        click.echo(current_app.name)

    result = make_app().test_cli_runner().invoke(elsewhere)

    assert result.output == "shop\n"


def test_another_app_can_be_brought():
    @click.command()
    @with_appcontext
    def elsewhere():
        click.echo(current_app.name)

    other = ScriptInfo(create_app=lambda: Erlen("other"))

    assert make_app().test_cli_runner().invoke(elsewhere, obj=other).output == "other\n"


def test_the_runner_takes_the_options_of_click():
    app = make_app()

    @app.cli.command("fail")
    def fail():
        raise KeyError("the reason")

    result = app.test_cli_runner(env={"A": "1"}, catch_exceptions=True).invoke(args="fail")

    assert isinstance(result.exception, KeyError)
    assert isinstance(app.cli, AppGroup)
