"""The command line: how an app is found, and what its commands run in."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import textwrap
import types
from importlib import metadata

import click
import pytest
from click.testing import CliRunner

from erlen import Blueprint, Erlen, current_app, enter, g
from erlen.cli import (
    AppGroup,
    ErlenGroup,
    NoAppException,
    ScriptInfo,
    cli,
    load_dotenv,
    main,
    pass_script_info,
    with_appcontext,
)
from erlen.cli import environment as environment_module
from erlen.cli.discovery import default_location, is_asgi, locate
from erlen.cli.environment import debug_flag, dotenv_wanted


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Everything that commands change in a process, put back."""
    environ, path, modules = dict(os.environ), list(sys.path), set(sys.modules)
    for name in list(os.environ):
        if name.startswith("ERLEN_"):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    environment_module.loaded_names.clear()
    environment_module.loaded_files.clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in: ``folder(name=source)`` writes a module into it."""
    monkeypatch.chdir(tmp_path)

    def write(**sources):
        for name, source in sources.items():
            file = tmp_path / f"{name.replace('__in__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(source), "utf-8")
        return tmp_path

    return write


def erlen(*args, **options):
    return CliRunner().invoke(cli, args, prog_name="erlen", **options)


APP = """
    from erlen import Erlen
    app = Erlen(__name__)
"""


# -- finding an app ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "shop_t1",
        "shop_t1.py",
        "shop_t1:app",
        "shop_t1 : app",
        "shop_t1:holder.inner",
        "shop_t1:make('x')",
        "shop_t1:make('x', debug=False)",
        "shop_t1:create_app",
        "./shop_t1",
    ],
)
def test_an_app_is_found_in_a_module(folder, text):
    folder(
        shop_t1="""
        from erlen import Erlen
        app = Erlen(__name__)
        class holder:
            inner = app
        def make(name, debug=True):
            return app if name == "x" else None
        def create_app():
            return app
        """
    )

    found = locate(text).load()

    assert found is sys.modules["shop_t1"].app


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("pack_t1", "pack_t1"),
        ("pack_t1/", "pack_t1"),
        ("pack_t1/__init__.py", "pack_t1"),
        ("pack_t1.inner", "pack_t1.inner"),
        ("pack_t1/inner.py", "pack_t1.inner"),
        ("pack_t1/inner", "pack_t1.inner"),
        ("sub/lone_t1", "lone_t1"),
    ],
)
def test_a_path_is_the_module_that_lies_there(folder, text, module):
    path = folder(pack_t1__in____init__=APP, pack_t1__in__inner=APP, sub__in__lone_t1=APP)

    location = locate(text)

    assert location.module == module
    assert location.folder == str(path / "sub" if module == "lone_t1" else path)
    assert location.load().import_name == module


@pytest.mark.parametrize(
    "source",
    [
        "from erlen import Erlen\napp = Erlen('this one')",
        "from erlen import Erlen\napplication = Erlen('this one')",
        "from erlen import Erlen\nshop = Erlen('this one')",
        "from erlen import Erlen\nshop = Erlen('this one'); same = shop",
        "from erlen import Erlen\nother = Erlen('other'); app = Erlen('this one')",
        "from erlen import Erlen\ndef create_app(): return Erlen('this one')",
        "from erlen import Erlen\ndef make_app(): return Erlen('this one')",
        "from erlen import Erlen\ndef create_app(debug=False): return Erlen('this one')",
        "from erlen import Erlen\nclass Box:\n  async def __call__(self, s, r, q): ...\n"
        "inner = Erlen('this one'); app = Box()",
    ],
)
def test_without_a_name_the_obvious_app_is_taken(folder, source):
    folder(shop_t2=source)

    assert locate("shop_t2").load().import_name == "this one"


REFUSED = {
    "two apps": (
        "from erlen import Erlen\none = Erlen('1'); two = Erlen('2')",
        "shop_t3",
        "There are several Erlen apps in the module 'shop_t3': one, two."
        " Say which one: --app shop_t3:one.",
    ),
    "no app": (
        "x = 1",
        "shop_t3",
        "There is no Erlen app and no app factory in the module 'shop_t3'.",
    ),
    "no such name": (
        "from erlen import Erlen\nshop = Erlen('1')",
        "shop_t3:shp",
        "The module 'shop_t3' has no 'shp'. Did you mean 'shop'?",
    ),
    "no such attribute": ("class holder: pass", "shop_t3:holder.app", "has no 'app'."),
    "nonsense": ("", "shop_t3:app(", "a call of an app factory: 'app(' is neither."),
    "a sum": ("", "shop_t3:1+1", "a call of an app factory: '1+1' is neither."),
    "names as arguments": (
        "def make(x): ...",
        "shop_t3:make(x)",
        "The arguments of 'make(x)' have to be literals: strings, numbers, None...",
    ),
    "too few arguments": (
        "def make(x): ...",
        "shop_t3:make",
        "The factory 'shop_t3:make' cannot be called like that: missing a required argument:"
        " 'x'. Pass what it needs: --app 'shop_t3:make(\"value\")'.",
    ),
    "too many arguments": (
        "def make(): ...",
        "shop_t3:make(1)",
        "cannot be called like that: too many positional arguments.",
    ),
    "a factory by convention that needs arguments": (
        "def create_app(x): ...",
        "shop_t3",
        "The factory 'shop_t3:create_app' cannot be called like that",
    ),
    "an async factory": (
        "async def make(): ...",
        "shop_t3:make",
        "The factory 'shop_t3:make' is async def.",
    ),
    "a call of a number": ("x = 1", "shop_t3:x()", "'shop_t3:x()' is a int and cannot be called."),
    "a factory without a return": (
        "def create_app(): ...",
        "shop_t3",
        "'shop_t3:create_app()' is None. If it is an app factory, did you forget to return",
    ),
    "a number": ("app = 1", "shop_t3", "'shop_t3:app' is a int, and not an Erlen app."),
    "an ASGI app": (
        "from erlen import Erlen\nclass Api:\n  async def __call__(self, s, r, q): ...\n"
        "api = Api(); inner = Erlen('1')",
        "shop_t3:api",
        "'shop_t3:api' is a shop_t3.Api, and not an Erlen app. 'erlen run' serves it, as it does"
        " any ASGI app. For this command name the Erlen app itself: --app shop_t3:inner.",
    ),
    "an ASGI app alone": (
        "class Api:\n  async def __call__(self, s, r, q): ...\napp = Api()",
        "shop_t3",
        "For this command name the Erlen app itself: --app shop_t3:name.",
    ),
    "a WSGI app": (
        "class Flask:\n  wsgi_app = None\n  def __call__(self, e, s): ...\napp = Flask()",
        "shop_t3",
        "It is a WSGI app: mount it in an Erlen app, or serve it with a WSGI server.",
    ),
}


@pytest.mark.parametrize(("source", "text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_app_is_named_with_advice(folder, source, text, message):
    folder(shop_t3=source)

    with pytest.raises(NoAppException) as caught:
        locate(text).load()

    assert message in caught.value.format_message()


def test_a_module_that_does_not_exist_is_named_with_what_is_near(folder):
    path = folder(shop_t4=APP)

    with pytest.raises(NoAppException) as caught:
        locate("shp_t4").load()

    assert caught.value.format_message() == (
        f"Could not import 'shp_t4': there is no such module in '{path}'. Did you mean 'shop_t4'?"
    )


@pytest.mark.parametrize("text", ["nothing_at_all_t4", "no_folder_t4/app", "pack_t4.none"])
def test_a_module_with_nothing_near_is_named(folder, text):
    folder(pack_t4__in____init__="")

    with pytest.raises(NoAppException, match="there is no such module"):
        locate(text).load()


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("1 / 0", ZeroDivisionError),
        ("x = (", SyntaxError),
    ],
)
def test_what_the_module_itself_raises_is_raised(folder, source, error):
    folder(shop_t5=source)

    with pytest.raises(error) as caught:
        locate("shop_t5").load()

    assert not isinstance(caught.value, NoAppException)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import not_there_t5", ModuleNotFoundError),
        ("from os import not_there", ImportError),
        ("raise ImportError", ImportError),
    ],
)
def test_an_import_that_fails_in_the_module_means_that_there_is_no_app(folder, source, error):
    folder(shop_t5=source)

    with pytest.raises(NoAppException) as caught:
        locate("shop_t5").load()

    assert type(caught.value.__cause__) is error
    assert "shop_t5.py" in caught.value.format_message()


def test_of_an_import_that_fails_only_the_traceback_is_printed(folder):
    folder(shop_t5="import not_there_t5")

    result = erlen("--app", "shop_t5", "routes")

    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert "Usage:" not in result.stderr
    help_text = erlen("--app", "shop_t5", "--help")
    assert "its commands are missing" in help_text.stderr
    assert "No module named 'not_there_t5'" in help_text.stderr


def test_what_a_factory_raises_is_raised(folder):
    folder(shop_t5="def create_app(): raise TypeError('inside')")

    with pytest.raises(TypeError, match="inside"):
        locate("shop_t5").load()


def test_a_factory_without_a_signature_is_called(folder):
    folder(shop_t5="make = dict")

    with pytest.raises(NoAppException, match="is a dict"):
        locate("shop_t5:make()").load()


def test_a_path_object_is_a_place_too(folder):
    path = folder(pack_t6__in____init__="", pack_t6__in__shop=APP)

    location = locate(path / "pack_t6" / "shop.py")

    assert location.put_on_path() == "pack_t6.shop"
    assert sys.path[0] == str(path)


def test_drives_of_windows_are_no_names():
    location = locate("C:\\apps\\shop_t6:app")

    assert location.expression == "app"
    assert locate("C:/apps/shop_t6").expression is None


@pytest.mark.parametrize(
    ("files", "module"),
    [
        (["wsgi", "app", "asgi"], "wsgi"),
        (["app", "asgi"], "app"),
        (["asgi"], "asgi"),
    ],
)
def test_default_files_are_tried_in_order(folder, files, module):
    folder(**dict.fromkeys(files, APP))

    assert default_location().module == module


def test_without_any_file_there_is_no_default(folder):
    folder()

    assert default_location() is None


def test_what_is_around_an_app_can_be_served(folder):
    folder(
        shop_t7="""
        from erlen import Erlen
        inner = Erlen(__name__)
        class Outer:
            async def __call__(self, scope, receive, send): ...
        app = Outer()
        async def bare(scope, receive, send): ...
        """
    )

    assert type(locate("shop_t7").load(any_asgi=True)).__name__ == "Outer"
    assert locate("shop_t7:bare").load(any_asgi=True).__name__ == "bare"
    assert locate("shop_t7").load() is sys.modules["shop_t7"].inner


class Instance:
    async def __call__(self, scope, receive, send): ...


class WSGI:
    def __call__(self, environ, start_response): ...


async def raw(scope, receive, send): ...


async def view(): ...


@pytest.mark.parametrize(
    ("thing", "answer"),
    [
        (Erlen("x"), True),
        (Instance(), True),
        (raw, True),
        (functools.partial(raw), True),
        (view, False),
        (WSGI(), False),
        (Instance, False),
        (1, False),
    ],
)
def test_an_asgi_app_is_recognised(thing, answer):
    assert is_asgi(thing) is answer


# -- ScriptInfo --------------------------------------------------------------------------------


def test_the_app_is_loaded_once(folder):
    folder(shop_t8="from erlen import Erlen\ndef create_app(): return Erlen(__name__)")
    info = ScriptInfo("shop_t8")

    assert info.load_app() is info.load_app()


def test_the_environment_says_where_the_app_is(folder):
    folder(shop_t8=APP)
    os.environ["ERLEN_APP"] = "shop_t8"

    assert ScriptInfo().load_app().import_name == "shop_t8"


def test_nothing_said_and_nothing_there_is_an_error_with_an_example(folder):
    path = folder(zoo_t8=APP, other_t8="x = 1")

    with pytest.raises(NoAppException) as caught:
        ScriptInfo().load_app()

    assert caught.value.format_message() == (
        "Could not find an app. Say where it is: 'erlen --app zoo_t8 run' for zoo_t8.py, or set"
        " the environment variable ERLEN_APP. Without that, wsgi.py, app.py, asgi.py are looked"
        f" for in the current directory, '{path}'."
    )


def test_the_example_of_the_error_may_be_made_up(folder):
    (folder() / "odd.py").mkdir()

    with pytest.raises(NoAppException, match=r"for hello\.py"):
        ScriptInfo().load_app()


@pytest.mark.parametrize("load", ["load_app", "load_asgi"])
def test_a_factory_of_the_program_makes_the_app(load):
    app = Erlen("made")

    assert getattr(ScriptInfo(create_app=lambda: app), load)() is app


@pytest.mark.parametrize(
    ("value", "debug"), [("1", True), ("true", True), ("0", False), ("No", False), ("", False)]
)
def test_debug_mode_is_that_of_the_environment(folder, value, debug):
    folder(shop_t9=APP)
    os.environ["ERLEN_DEBUG"] = value

    assert ScriptInfo("shop_t9").load_asgi().debug is debug
    assert debug_flag() is debug


def test_a_program_may_keep_debug_mode_to_itself():
    app = Erlen("mine")
    app.debug = True

    assert ScriptInfo(create_app=lambda: app, set_debug_flag=False).load_app().debug is True


# -- the environment ---------------------------------------------------------------------------


def test_files_set_variables_in_order_of_precedence(folder):
    path = folder()
    (path / ".erlenenv").write_text("A_T=general\nB_T=general\nC_T=general\nD_T=general\n")
    (path / ".env").write_text("B_T=local\nC_T=local\nD_T=local\nEMPTY_T\n")
    (path / "my.env").write_text("C_T=named\nD_T=named\n")
    os.environ["D_T"] = "process"

    assert load_dotenv("my.env") is True

    assert [os.environ[f"{name}_T"] for name in "ABCD"] == ["general", "local", "named", "process"]
    assert "EMPTY_T" not in os.environ
    assert environment_module.loaded_names == {"A_T", "B_T", "C_T"}
    assert environment_module.loaded_files == [
        str(path / name) for name in (".erlenenv", ".env", "my.env")
    ]


def test_no_file_sets_nothing(folder):
    folder()

    assert load_dotenv() is False
    assert load_dotenv(load_defaults=False) is False


def test_a_file_may_come_alone(folder):
    path = folder()
    (path / ".env").write_text("A_T=1")
    (path / "my.env").write_text("B_T=2")

    assert load_dotenv(path / "my.env", load_defaults=False) is True

    assert "A_T" not in os.environ
    assert os.environ["B_T"] == "2"


@pytest.fixture
def no_dotenv(monkeypatch):
    """python-dotenv is not installed."""
    monkeypatch.setitem(sys.modules, "dotenv", None)


def test_without_the_package_there_is_a_hint(folder, no_dotenv, capsys):
    path = folder()
    (path / ".env").write_text("A_T=1")

    assert load_dotenv("my.env") is False

    assert "Tip: there is .env and my.env here" in capsys.readouterr().err
    assert "A_T" not in os.environ


def test_without_package_and_files_there_is_nothing_to_say(folder, no_dotenv, capsys):
    folder()

    assert load_dotenv() is False

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("value", "default", "wanted"),
    [(None, True, True), (None, False, False), ("1", True, False), ("no", False, True)],
)
def test_files_can_be_skipped(value, default, wanted):
    if value is not None:
        os.environ["ERLEN_SKIP_DOTENV"] = value

    assert dotenv_wanted(default) is wanted


SHOWS_VARIABLE = """
    import os, click
    from erlen import Erlen
    app = Erlen(__name__)
    @app.cli.command()
    def show():
        click.echo(os.environ.get("VALUE_T"))
"""


def test_variables_are_there_before_the_app(folder):
    path = folder(shop_ta=SHOWS_VARIABLE)
    (path / ".env").write_text("ERLEN_APP=shop_ta\nVALUE_T=env")

    assert erlen("show").output == "env\n"


def test_help_lists_commands_of_an_app_that_a_file_names(folder):
    path = folder(shop_ta=SHOWS_VARIABLE)
    (path / ".env").write_text("ERLEN_APP=shop_ta")

    assert "\n  show\n" in erlen("--help").output


def test_a_named_file_wins(folder):
    path = folder(shop_ta=SHOWS_VARIABLE)
    (path / ".env").write_text("ERLEN_APP=shop_ta\nVALUE_T=env")
    (path / "my.env").write_text("VALUE_T=mine")

    assert erlen("-e", "my.env", "show").output == "mine\n"


def test_a_named_file_needs_the_package(folder, no_dotenv, monkeypatch):
    path = folder()
    (path / "my.env").write_text("")
    monkeypatch.setattr("erlen.cli.groups.find_spec", lambda name: None)

    result = erlen("--env-file", "my.env", "routes")

    assert result.exit_code == 2
    assert "python-dotenv is needed to read it: pip install python-dotenv" in result.output


def test_a_group_may_leave_the_files_alone(folder):
    path = folder()
    (path / ".env").write_text("VALUE_T=env")
    group = ErlenGroup(create_app=lambda: Erlen("x"), load_dotenv=False)

    CliRunner().invoke(group, ["routes"])

    assert "VALUE_T" not in os.environ


# -- the command line --------------------------------------------------------------------------


def test_help_lists_commands_of_all_kinds(folder):
    folder(shop_tb=SHOWS_VARIABLE)

    result = erlen("--app", "shop_tb", "--help")

    assert result.exit_code == 0
    for name in ("run", "routes", "shell", "show"):
        assert f"\n  {name}" in result.output


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = 1", "Error: There is no Erlen app"),
    ],
)
def test_help_of_a_broken_app_says_so_and_works(folder, source, complaint):
    folder(shop_tc=source)

    result = erlen("--app", "shop_tc", "--help")

    assert result.exit_code == 0
    assert complaint in result.stderr
    assert "erlen/cli" not in result.stderr
    assert "  routes " in result.stdout


def test_help_needs_no_app(folder):
    folder()

    result = erlen("--help")

    assert result.exit_code == 0
    assert result.stderr == ""


def test_an_unknown_command_without_an_app_says_where_apps_are_looked_for(folder):
    folder()

    result = erlen("nonsense")

    assert result.exit_code == 2
    assert "Error: Could not find an app. Say where it is" in result.stderr


def test_an_unknown_command_of_a_broken_app_says_both(folder):
    folder(shop_tc="1 / 0")

    result = erlen("--app", "shop_tc", "nonsense")

    assert result.exit_code == 2
    assert "ZeroDivisionError" in result.stderr
    assert "No such command 'nonsense'" in result.stderr


def test_an_unknown_command_is_unknown(folder):
    folder(shop_tc=APP)

    assert "No such command 'nonsense'" in erlen("--app", "shop_tc", "nonsense").output


def test_versions_are_shown():
    result = erlen("--version")

    assert result.output.splitlines() == [
        f"Python {'.'.join(map(str, sys.version_info[:3]))}",
        *(f"{name.title()} {metadata.version(name)}" for name in ("erlen", "starlette", "uvicorn")),
    ]


def test_help_may_be_asked_for_while_completing():
    with cli.make_context("erlen", ["--version"], resilient_parsing=True) as context:
        assert context.obj is not None


@pytest.mark.parametrize(("option", "debug"), [("--debug", "True"), ("--no-debug", "False")])
def test_debug_mode_is_an_option(folder, option, debug):
    folder(
        shop_td="""
        import click
        from erlen import Erlen
        app = Erlen(__name__)
        early = app.debug
        @app.cli.command()
        def show():
            click.echo(f"{early} {app.debug}")
        """
    )
    os.environ["ERLEN_DEBUG"] = "0" if option == "--debug" else "1"

    assert erlen("--app", "shop_td", option, "show").output == f"{debug} {debug}\n"


def test_the_error_of_an_app_is_printed_from_its_own_code_on(folder, capsys, monkeypatch):
    folder(shop_te="1 / 0")
    monkeypatch.setattr(sys, "argv", ["erlen", "--app", "shop_te", "routes"])

    with pytest.raises(SystemExit) as caught:
        main()

    lines = capsys.readouterr().err.splitlines()
    assert caught.value.code == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert "shop_te.py" in lines[1]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_a_command_that_went_well_exits_with_zero(folder, monkeypatch):
    folder(shop_te=APP)
    monkeypatch.setattr(sys, "argv", ["erlen", "--app", "shop_te", "routes"])

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 0


def test_app_run_in_a_module_does_nothing(folder):
    folder(shop_tf="from erlen import Erlen\napp = Erlen(__name__)\napp.run()")

    result = erlen("--app", "shop_tf", "routes")

    assert result.exit_code == 0
    assert "Ignoring a call of app.run(), which would never return" in result.stderr


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package that brings a command along."""
    info = tmp_path / "plug_t-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug_t\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[erlen.commands]\nplugged = plug_t:plugged\n")
    (tmp_path / "plug_t.py").write_text(
        "import click\n@click.command()\ndef plugged(): click.echo('from a package')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_packages_bring_commands(plugin, folder):
    folder(shop_tg=APP)

    assert erlen("plugged").output == "from a package\n"
    assert "  plugged" in erlen("--app", "shop_tg", "--help").output


# -- groups of programs ------------------------------------------------------------------------


def test_an_app_can_have_a_command_of_its_own():
    group = ErlenGroup(name="shop", create_app=lambda: Erlen("made by the program"))

    @group.command()
    def name():
        click.echo(current_app.import_name)

    result = CliRunner().invoke(group, ["name"])

    assert result.output == "made by the program\n"
    assert "--app" not in CliRunner().invoke(group, ["--help"]).output


def test_a_group_may_do_without_what_others_need():
    group = ErlenGroup(
        add_default_commands=False,
        add_version_option=False,
        create_app=lambda: Erlen("x"),
        params=[click.Option(["--more"])],
        context_settings={"obj": ScriptInfo(create_app=lambda: Erlen("y"))},
    )

    result = CliRunner().invoke(group, ["--help"])

    assert "--version" not in result.output
    assert "routes" not in result.output
    assert "--more" in result.output
    assert "No such command" in CliRunner().invoke(group, ["routes"]).output


def test_a_group_may_be_part_of_another(folder):
    folder(shop_th=SHOWS_VARIABLE)
    os.environ["VALUE_T"] = "nested"
    outer = click.Group("outer", commands={"inner": ErlenGroup(name="inner")})

    result = CliRunner().invoke(outer, ["inner", "--app", "shop_th", "show"])

    assert result.output == "nested\n"


def test_a_runner_may_bring_something_else_that_knows_the_app():
    app = Erlen("brought along")
    group = AppGroup("commands")

    @group.command()
    def name():
        click.echo(current_app.import_name)

    brought = types.SimpleNamespace(load_app=lambda: app)

    assert CliRunner().invoke(group, ["name"], obj=brought).output == "brought along\n"


def test_without_anything_that_knows_the_app_it_is_looked_for(folder):
    folder(app=APP)
    group = AppGroup("commands")

    @group.command()
    def name():
        click.echo(current_app.import_name)

    assert CliRunner().invoke(group, ["name"]).output == "app\n"


def test_the_script_info_can_be_passed():
    group = ErlenGroup(create_app=lambda: Erlen("x"))

    @group.command()
    @pass_script_info
    def share(info):
        info.data["seen"] = True
        click.echo(f"{type(info).__name__} {info.data}")

    assert CliRunner().invoke(group, ["share"]).output == "ScriptInfo {'seen': True}\n"


# -- commands of apps --------------------------------------------------------------------------


@pytest.fixture
def app():
    app = Erlen("shop")
    app.events = events = []

    @app.before_serving
    async def up():
        app.loop = asyncio.get_running_loop()
        events.append("up")

    @app.after_serving
    async def down():
        events.append("down")

    @app.teardown_appcontext
    def teardown(error):
        events.append(f"teardown {g.pop('name', None)}")

    return app


@pytest.fixture
def invoke(app):
    group = ErlenGroup(create_app=lambda: app)
    return functools.partial(CliRunner().invoke, group, catch_exceptions=False)


def test_a_command_runs_in_an_app_context(app, invoke):
    @app.cli.command()
    @click.argument("name")
    def greet(name):
        g.name = name
        click.echo(f"{name} of {current_app.name}")

    assert invoke(["greet", "Ada"]).output == "Ada of shop\n"
    assert app.events == ["teardown Ada"]


async_marker = pytest.mark.parametrize("inside", [False, True], ids=["plain", "where a loop runs"])


@async_marker
def test_an_async_command_runs_on_a_loop_in_an_app_context(app, invoke, inside):
    @app.cli.command("greet")
    @click.argument("name")
    @click.pass_context
    async def greet(context, name):
        await asyncio.sleep(0)
        g.name = name
        same = click.get_current_context() is context
        click.echo(f"{name} of {current_app.name}, {context.command.name}, {same}")

    async def invoke_on_a_loop():
        return invoke(["greet", "Ada"])

    result = asyncio.run(invoke_on_a_loop()) if inside else invoke(["greet", "Ada"])

    assert result.output == "Ada of shop, greet, True\n"
    assert "teardown Ada" in app.events


@async_marker
@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_command_has_the_g_of_its_group_which_is_torn_down_once(app, invoke, colour, inside):
    @app.cli.group()
    @with_appcontext
    def db():
        g.name = "Ada"

    if colour == "def":

        @db.command()
        def show():
            app.events.append(f"show {g.name}")
            g.name = "Eve"
    else:

        @db.command()
        async def show():
            app.events.append(f"show {g.name}")
            g.name = "Eve"

    async def invoke_on_a_loop():
        return invoke(["db", "show"])

    result = asyncio.run(invoke_on_a_loop()) if inside else invoke(["db", "show"])

    assert result.exit_code == 0
    assert app.events == ["show Ada", "teardown Eve"]


def test_what_an_async_command_enters_ends_with_it_on_its_loop(app, invoke):
    @contextlib.asynccontextmanager
    async def connection():
        loop = asyncio.get_running_loop()
        yield "open"
        app.events.append(asyncio.get_running_loop() is loop)

    @app.cli.command()
    async def work():
        g.name = await enter(connection())

    assert invoke(["work"]).exit_code == 0
    assert app.events == [True, "teardown open"]


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_command_can_have_the_lifespan_around_it(app, invoke, colour):
    if colour == "def":

        @app.cli.command(lifespan=True)
        def work():
            async def loop():
                return asyncio.get_running_loop()

            app.events.append(f"work of {current_app.name}")
            app.events.append(app.ensure_sync(loop)() is app.loop)
    else:

        @app.cli.command(lifespan=True)
        async def work():
            app.events.append(f"work of {current_app.name}")
            app.events.append(asyncio.get_running_loop() is app.loop)

    assert invoke(["work"]).exit_code == 0

    happened = [event for event in app.events if not str(event).startswith("teardown")]
    assert happened == ["up", "work of shop", True, "down"]


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_start_up_that_fails_is_the_error_of_the_command(app, invoke, colour):
    @app.before_serving
    async def fail():
        raise ValueError("no database")

    if colour == "def":

        @app.cli.command(lifespan=True)
        def work():
            app.events.append("work")
    else:

        @app.cli.command(lifespan=True)
        async def work():
            app.events.append("work")

    with pytest.raises(ValueError, match="no database"):
        invoke(["work"])

    assert "work" not in app.events


@pytest.mark.parametrize("lifespan", [False, True])
@pytest.mark.parametrize("colour", ["def", "async def"])
def test_the_error_of_a_command_is_raised_and_all_is_tidied_up(app, invoke, colour, lifespan):
    if colour == "def":

        @app.cli.command(lifespan=lifespan)
        def work():
            raise LookupError("nothing to do")
    else:

        @app.cli.command(lifespan=lifespan)
        async def work():
            raise LookupError("nothing to do")

    with pytest.raises(LookupError, match="nothing to do"):
        invoke(["work"])

    assert "teardown None" in app.events
    assert ("down" in app.events) is lifespan


def test_a_shut_down_that_fails_is_the_error_of_the_command(app, invoke):
    @app.after_serving
    async def fail():
        raise ValueError("still busy")

    @app.cli.command(lifespan=True)
    def work():
        app.events.append("work")

    with pytest.raises(ValueError, match="still busy"):
        invoke(["work"])

    assert "work" in app.events


def test_a_command_may_do_without_context(app, invoke):
    @app.cli.command(with_appcontext=False)
    def bare():
        click.echo(bool(current_app))

    assert invoke(["bare"]).output == "False\n"
    assert app.events == []


def test_callbacks_of_options_run_in_the_context_too(app, invoke):
    def check(context, parameter, value):
        return f"{value} of {current_app.name}"

    @app.cli.command()
    @click.option("--name", callback=check)
    def greet(name):
        click.echo(name)

    assert invoke(["greet", "--name", "Ada"]).output == "Ada of shop\n"


def test_a_context_that_is_there_already_is_used(app):
    @app.cli.command()
    def greet():
        click.echo(g.name)

    group = ErlenGroup(create_app=lambda: app)
    with app.app_context():
        g.name = "Ada"
        result = CliRunner().invoke(group, ["greet"])

    assert result.output == "Ada\n"
    assert app.events == ["teardown Ada"]


def test_commands_need_no_parentheses(app, invoke):
    @app.cli.command
    def greet():
        click.echo(current_app.name)

    assert invoke(["greet"]).output == "shop\n"


def test_groups_in_groups_wrap_their_commands(app, invoke):
    @app.cli.group()
    def db(): ...

    @db.command()
    async def init():
        click.echo(current_app.name)

    assert isinstance(db, AppGroup)
    assert invoke(["db", "init"]).output == "shop\n"


def test_a_plain_click_command_has_the_context_of_the_command_line(app, invoke):
    @click.command()
    def plain():
        click.echo(current_app.name)

    app.cli.add_command(plain)

    assert invoke(["plain"]).output == "shop\n"


def test_other_commands_can_be_given_a_context(app):
    @click.command()
    @with_appcontext
    def plain():
        click.echo(current_app.name)

    @click.command()
    @with_appcontext(lifespan=True)
    async def alive():
        click.echo(app.events[-1])

    info = ScriptInfo(create_app=lambda: app)

    assert CliRunner().invoke(plain, obj=info).output == "shop\n"
    assert CliRunner().invoke(alive, obj=info).output == "up\n"


def test_a_decorator_that_runs_the_coroutine_itself_may_do_so(app, invoke):
    def run_it(function):
        @functools.wraps(function)
        def wrapper(*args):
            return asyncio.run(function(*args))

        return wrapper

    @app.cli.command()
    @run_it
    async def greet():
        click.echo(current_app.name)

    assert invoke(["greet"]).output == "shop\n"


def test_a_decorator_that_hands_the_coroutine_on_is_fine(app, invoke):
    def plain(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    @app.cli.command()
    @plain
    async def greet():
        click.echo(current_app.name)

    assert invoke(["greet"]).output == "shop\n"


@pytest.mark.parametrize(
    ("cli_group", "args"),
    [("unset", ["goods", "restock"]), ("other", ["other", "restock"]), (None, ["restock"])],
)
def test_commands_of_a_blueprint_are_found_in_its_group(app, invoke, cli_group, args):
    options = {} if cli_group == "unset" else {"cli_group": cli_group}
    goods = Blueprint("goods", "goods", root_path=".", **options)

    @goods.cli.command()
    def restock():
        click.echo(f"in {current_app.name}")

    app.register_blueprint(goods)

    assert invoke(args).output == "in shop\n"


# -- routes ------------------------------------------------------------------------------------


def routes_of(app, *args):
    group = ErlenGroup(create_app=lambda: app)
    result = CliRunner().invoke(group, ["routes", *args], catch_exceptions=False)
    return result.output


@pytest.fixture
def routed():
    app = Erlen("routed", static_folder=None)
    app.add_url_rule("/z", "a.first", view, methods=["GET", "POST"])
    app.add_url_rule("/a/<int:id>", "second", view, methods=["DELETE"])
    app.add_url_rule("/m", "any", view)
    return app


def test_routes_are_a_table(routed):
    assert routes_of(routed) == textwrap.dedent(
        """\
        Endpoint  Methods    Rule
        --------  ---------  -----------
        a.first   GET, POST  /z
        any       GET        /m
        second    DELETE     /a/<int:id>
        """
    )


def test_all_methods_are_shown_on_request(routed):
    assert "a.first   GET, HEAD, OPTIONS, POST  /z" in routes_of(routed, "--all-methods")


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("endpoint", ["a.first", "any", "second"]),
        ("rule", ["second", "any", "a.first"]),
        ("methods", ["second", "any", "a.first"]),
        ("match", ["a.first", "second", "any"]),
        ("domain", ["a.first", "any", "second"]),
    ],
)
def test_the_table_is_sorted(routed, sort, order):
    lines = routes_of(routed, "-s", sort).splitlines()[2:]

    assert [line.split()[0] for line in lines] == order


def test_an_app_without_routes_says_so():
    assert routes_of(Erlen("empty", static_folder=None)) == "No routes were registered.\n"


def test_everything_that_is_served_is_shown(routed, tmp_path):
    from starlette.routing import Host, Route, WebSocketRoute

    routed.add_websocket("/ws", "socket", raw)
    routed.mount("/admin", Instance(), name="admin")
    routed.mount("/nameless", Instance())
    routed.static("/files", tmp_path)
    routed.routes.append(Route("/plain", raw, name="plain"))
    routed.routes.append(WebSocketRoute("/other", raw, name="other"))
    routed.routes.append(Host("api.example.org", Instance(), name="api"))

    lines = [line.split("  ") for line in routes_of(routed, "-s", "match").splitlines()]
    cells = [[cell.strip() for cell in line if cell] for line in lines]

    for row in (
        ["socket", "WEBSOCKET", "/ws"],
        ["admin (Instance)", "MOUNT", "/admin/*"],
        ["Instance", "MOUNT", "/nameless/*"],
        [f"files of {tmp_path.name}/", "GET", "/files/*"],
        ["plain", "GET", "/plain"],
        ["other", "WEBSOCKET", "/other"],
        ["api (Instance)", "HOST", "api.example.org/*"],
    ):
        assert row in cells


@pytest.mark.parametrize("kind", ["host", "subdomain"])
def test_hosts_have_a_column(kind):
    app = Erlen("hosts", static_folder=None, **{f"{kind}_matching": True})
    app.config["SERVER_NAME"] = "example.org"
    app.add_url_rule("/", "index", view, **{kind: "www"})
    app.add_url_rule("/", "bare", view)

    lines = routes_of(app, "-s", "domain").splitlines()

    assert lines[0].split() == ["Endpoint", "Methods", kind.title(), "Rule"]
    assert lines[2].split() == ["bare", "GET", "/"]
    assert lines[3].split() == ["index", "GET", "www", "/"]


# -- shell -------------------------------------------------------------------------------------


@pytest.fixture
def shell(app, monkeypatch):
    monkeypatch.delattr(sys, "__interactivehook__", raising=False)
    monkeypatch.delenv("PYTHONSTARTUP", raising=False)

    def type_in(*lines, args=()):
        group = ErlenGroup(create_app=lambda: app)
        return CliRunner().invoke(group, ["shell", *args], input="\n".join((*lines, "")))

    return type_in


def test_the_shell_is_inside_of_the_app(app, shell):
    @app.shell_context_processor
    def more():
        return {"answer": 42}

    result = shell("app.name", "answer + 1", "g.name = 'Ada'", "current", "exit()")

    assert "App: shop" in result.output
    assert "Names: app, g, answer" in result.output
    assert "'shop'" in result.output
    assert "43" in result.output
    assert "NameError: name 'current' is not defined" in result.output
    assert app.events == ["teardown Ada"]


def test_the_shell_awaits(app, shell):
    result = shell(
        "import asyncio",
        "x = await asyncio.sleep(0, 'waited')",
        "x.upper()",
        "for number in range(2):",
        "    await asyncio.sleep(0); print('number', number)",
        "",
        "async def add(a): return a + 40",
        "",
        "await add(2)",
    )

    for text in ("'WAITED'", "number 0", "number 1", "42"):
        assert text in result.output


def test_errors_in_the_shell_show_what_was_typed_alone(app, shell):
    result = shell("async def f(): return 1 / 0", "", "await f()", "1 +", "1 + 1")

    assert result.output.count('File "<console>", line 1, in <module>') == 1
    assert "runners.py" not in result.output
    assert "SyntaxError" in result.output
    assert "2" in result.output


def test_ctrl_c_ends_the_statement_and_not_the_shell(app, shell):
    result = shell("raise KeyboardInterrupt", "40 + 2")

    assert "KeyboardInterrupt\n" in result.output
    assert "Traceback" not in result.output
    assert "42" in result.output


def test_variables_of_a_statement_are_there_in_the_next(app, shell):
    result = shell(
        "from contextvars import ContextVar",
        "var = ContextVar('var')",
        "async def put(): var.set('kept')",
        "",
        "await put()",
        "var.get()",
    )

    assert "'kept'" in result.output


def test_the_shell_starts_the_app_up_on_request(app, shell):
    result = shell("app.events[-1]", args=["--lifespan"])

    assert "'up'" in result.output
    assert app.events[-2:] == ["down", "teardown None"]


def test_the_shell_says_when_debug_mode_is_on(app, shell):
    os.environ["ERLEN_DEBUG"] = "1"

    assert "App: shop [debug]" in shell().output


def test_the_shell_reads_the_startup_file_of_python(app, shell, folder, monkeypatch):
    path = folder(startup="prepared = app.name + '!'")
    monkeypatch.setenv("PYTHONSTARTUP", str(path / "startup.py"))

    assert "'shop!'" in shell("prepared").output


def test_the_shell_completes_names_where_it_can(app, shell, monkeypatch):
    readline = pytest.importorskip("readline")
    called = []
    monkeypatch.setattr(sys, "__interactivehook__", lambda: called.append(True), raising=False)
    before = readline.get_completer()

    shell("import readline", "readline.get_completer()('app.nam', 0)")

    readline.set_completer(before)
    assert called == [True]


def test_the_shell_works_without_readline(app, shell, monkeypatch):
    called = []
    monkeypatch.setattr(sys, "__interactivehook__", lambda: called.append(True), raising=False)
    monkeypatch.setitem(sys.modules, "readline", None)

    assert "2" in shell("1 + 1").output
    assert called == []
