from __future__ import annotations

import configparser
import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import erlen.config
from erlen.config import DEFAULTS, Config, ConfigAttribute, MissingVariable, as_timedelta
from erlen.errors import SetupError, SetupTypeError, SetupValueError

TEST_KEY = "from this module"
Lower_Key = "not configuration"


class Settings:
    """What from_object finds by its name."""

    TEST_KEY = "from a class"
    SECRET_KEY = "class secret"
    lower = "not configuration"

    class Inner:
        TEST_KEY = "from a nested class"


@pytest.fixture
def config(tmp_path):
    return Config(tmp_path)


@pytest.fixture
def watched(tmp_path):
    """A config with DEBUG and NAME set, and the keys reported since."""
    config = Config(tmp_path, {"DEBUG": False, "NAME": "x"})
    keys: list[str] = []
    config.on_change = keys.append
    return config, keys


# The table of defaults

FLASK_DEFAULTS = {
    "APPLICATION_ROOT": "/",
    "DEBUG": None,
    "EXPLAIN_TEMPLATE_LOADING": False,
    "MAX_COOKIE_SIZE": 4093,
    "MAX_FORM_MEMORY_SIZE": 500_000,
    "MAX_FORM_PARTS": 1_000,
    "PERMANENT_SESSION_LIFETIME": timedelta(days=31),
    "PREFERRED_URL_SCHEME": "http",
    "PROPAGATE_EXCEPTIONS": None,
    "PROVIDE_AUTOMATIC_OPTIONS": True,
    "SECRET_KEY": None,
    "SECRET_KEY_FALLBACKS": None,
    "SEND_FILE_MAX_AGE_DEFAULT": None,
    "SERVER_NAME": None,
    "SESSION_COOKIE_DOMAIN": None,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_NAME": "session",
    "SESSION_COOKIE_PARTITIONED": False,
    "SESSION_COOKIE_PATH": None,
    "SESSION_REFRESH_EACH_REQUEST": True,
    "TEMPLATES_AUTO_RELOAD": None,
    "TESTING": False,
    "TRAP_BAD_REQUEST_ERRORS": None,
    "TRAP_HTTP_EXCEPTIONS": False,
    "TRUSTED_HOSTS": None,
    "USE_X_SENDFILE": False,
}
OWN_DEFAULTS = {
    "BACKGROUND_TASK_SHUTDOWN_TIMEOUT": 5,
    "BODY_MIN_RATE": 500,
    "BODY_TIMEOUT": 60,
    "CANCEL_ON_DISCONNECT": ("GET", "HEAD"),
    "MAX_CONTENT_LENGTH": 16 * 1024 * 1024,
    "MAX_COOKIES": 200,
    "MAX_QUERY_ITEMS": 1_000,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_SECURE": None,
    "SHUTDOWN_GRACE": None,
    "SYNC_QUEUE": 1_000,
    "SYNC_WORKERS": 40,
    "TRUSTED_PROXIES": None,
    "WEBSOCKET_ORIGINS": None,
}


def test_the_defaults_are_flasks_and_ours():
    assert dict(DEFAULTS) == FLASK_DEFAULTS | OWN_DEFAULTS


def test_the_defaults_cannot_be_changed_for_everybody():
    with pytest.raises(TypeError):
        DEFAULTS["DEBUG"] = True


def test_every_default_is_explained_in_the_line_above_it():
    lines = Path(erlen.config.__file__).read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r' {8}"[A-Z_]+": ', line)]

    assert len(keys) == len(DEFAULTS)
    assert all(lines[number - 1].startswith("        # ") for number in keys)


def test_a_config_starts_with_a_copy_of_its_defaults(tmp_path):
    config = Config(tmp_path, DEFAULTS)

    config["TESTING"] = True

    assert config["MAX_COOKIES"] == 200
    assert DEFAULTS["TESTING"] is False


def test_repr_names_the_class_and_shows_the_values(tmp_path):
    class Special(Config):
        pass

    assert repr(Config(tmp_path, {"A": 1})) == "<Config {'A': 1}>"
    assert repr(Special(tmp_path)) == "<Special {}>"


# Objects and mappings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{__name__}.Settings", "from a class"),
        (f"{__name__}:Settings", "from a class"),
        (f"{__name__}:Settings.Inner", "from a nested class"),
        (__name__, "from this module"),
        (f"{__name__}:", "from this module"),
    ],
)
def test_from_object_imports_what_a_str_names(config, name, value):
    config.from_object(name)

    assert config["TEST_KEY"] == value


def test_from_object_takes_upper_case_names_only(config):
    config.from_object(Settings)

    assert config == {"TEST_KEY": "from a class", "SECRET_KEY": "class secret"}


def test_from_object_reads_properties_of_an_instance(config):
    class Computed:
        @property
        def ANSWER(self):
            return 42

    config.from_object(Computed())

    assert config["ANSWER"] == 42


def test_from_object_says_which_attribute_is_missing():
    with pytest.raises(ImportError, match=r"'json\.Nope'.*module 'json' has no 'Nope'"):
        Config("/").from_object("json.Nope")


@pytest.mark.parametrize("name", ["nope_settings", "nope_settings.Dev", "nope_settings:Dev"])
def test_from_object_says_which_module_is_missing(config, name):
    with pytest.raises(ModuleNotFoundError, match="nope_settings"):
        config.from_object(name)


def test_from_object_shows_the_import_that_fails_inside_the_module(config, tmp_path, monkeypatch):
    (tmp_path / "broken_settings_package").mkdir()
    (tmp_path / "broken_settings_package" / "dev.py").write_text("import nope_driver")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="'nope_driver'"):
        config.from_object("broken_settings_package.dev")


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([{"SECRET_KEY": "config", "TEST_KEY": "foo", "lower": 1}], {}),
        ([[("SECRET_KEY", "config"), ("TEST_KEY", "foo"), ("lower", 1)]], {}),
        ([], {"SECRET_KEY": "config", "TEST_KEY": "foo", "lower": 1}),
        ([{"SECRET_KEY": "loses"}], {"SECRET_KEY": "config", "TEST_KEY": "foo"}),
    ],
    ids=["mapping", "pairs", "keywords", "keywords win"],
)
def test_from_mapping_takes_upper_case_keys_only(config, args, kwargs):
    assert config.from_mapping(*args, **kwargs) is True
    assert config == {"SECRET_KEY": "config", "TEST_KEY": "foo"}


def test_from_mapping_takes_one_mapping(config):
    with pytest.raises(TypeError):
        config.from_mapping({}, {})


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, {"host": "a", "port": 25}),
        ({"lowercase": False}, {"HOST": "a", "PORT": 25}),
        ({"trim_namespace": False}, {"mail_host": "a", "mail_port": 25}),
        ({"lowercase": False, "trim_namespace": False}, {"MAIL_HOST": "a", "MAIL_PORT": 25}),
    ],
)
def test_get_namespace_collects_keywords(config, kwargs, expected):
    config.from_mapping(MAIL_HOST="a", MAIL_PORT=25, MAX_MAIL_=1)

    assert config.get_namespace("MAIL_", **kwargs) == expected


# Python files


def test_from_pyfile_runs_the_file_beside_the_root_path(config, tmp_path):
    source = "import os\nHERE = os.path.basename(__file__)\nlower = 1\nTWO = 1 + 1"
    (tmp_path / "settings.cfg").write_text(source)

    assert config.from_pyfile("settings.cfg") is True
    assert config == {"HERE": "settings.cfg", "TWO": 2}


def test_from_pyfile_takes_an_absolute_path_object(tmp_path):
    (tmp_path / "settings.py").write_text("A = 1")
    config = Config("/nowhere")

    config.from_pyfile(tmp_path / "settings.py")

    assert config == {"A": 1}


def test_from_pyfile_heeds_the_encoding_that_the_file_declares(config, tmp_path):
    source = "# -*- coding: iso-8859-1 -*-\nNAME = 'föö'"
    (tmp_path / "settings.py").write_text(source, encoding="iso-8859-1")

    config.from_pyfile("settings.py")

    assert config["NAME"] == "föö"


def test_from_pyfile_does_not_lend_the_file_our_future_imports(config, tmp_path):
    (tmp_path / "settings.py").write_text("def f(x: int): ...\nKIND = f.__annotations__['x']")

    config.from_pyfile("settings.py")

    assert config["KIND"] is int


LOADERS_OF_FILES = pytest.mark.parametrize(
    "load",
    [
        lambda config, name, **kwargs: config.from_pyfile(name, **kwargs),
        lambda config, name, **kwargs: config.from_file(name, **kwargs),
    ],
    ids=["from_pyfile", "from_file"],
)


@LOADERS_OF_FILES
def test_a_missing_file_is_named(config, load):
    with pytest.raises(FileNotFoundError) as caught:
        load(config, "missing.toml")

    text = str(caught.value)
    assert text.startswith(
        "[Errno 2] Unable to load configuration file (No such file or directory): '"
    )
    assert text.endswith("missing.toml'")


@LOADERS_OF_FILES
@pytest.mark.parametrize("name", ["missing.toml", "folder.toml", "file.toml/below.toml"])
def test_silent_is_about_files_that_are_not_there(config, tmp_path, load, name):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "file.toml").touch()

    assert load(config, name, silent=True) is False
    assert config == {}


@LOADERS_OF_FILES
def test_silent_does_not_hide_other_troubles(config, tmp_path, load):
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")

    with pytest.raises(OSError, match="Unable to load configuration file"):
        load(config, "loop.toml", silent=True)


# Other files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.toml", 'NAME = "flöö"\nlower = 1\n[MAIL]\nport = 25'),
        ("c.TOML", 'NAME = "flöö"\n[MAIL]\nport = 25'),
        ("c.json", '{"NAME": "flöö", "lower": 1, "MAIL": {"port": 25}}'),
    ],
)
def test_from_file_knows_toml_and_json_by_their_suffix(config, tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert config.from_file(name) is True
    assert config == {"NAME": "flöö", "MAIL": {"port": 25}}


def test_from_file_hands_utf8_text_to_load(config, tmp_path):
    (tmp_path / "c.json").write_bytes('{"NAME": "flöö"}'.encode())
    kinds = []

    def load(file):
        text = file.read()
        kinds.append(type(text))
        return json.loads(text)

    config.from_file("c.json", load=load)

    assert kinds == [str]
    assert config == {"NAME": "flöö"}


def test_from_file_hands_bytes_to_load_on_request(config, tmp_path):
    (tmp_path / "c.conf").write_text("A = 1")

    config.from_file("c.conf", load=tomllib.load, text=False)

    assert config == {"A": 1}


def test_from_file_says_when_it_cannot_know_how_to_read(config):
    with pytest.raises(SetupValueError, match=r"c\.yaml.*\.json or \.toml, not '\.yaml'.*load="):
        config.from_file("c.yaml")


def test_from_file_says_what_a_file_holds_instead_of_keys(config, tmp_path):
    (tmp_path / "c.json").write_text("[1, 2]")

    with pytest.raises(SetupTypeError, match=r"c\.json' holds a list"):
        config.from_file("c.json")


@pytest.mark.parametrize(
    ("name", "load", "error"),
    [
        ("c.toml", None, tomllib.TOMLDecodeError),
        ("c.json", None, json.JSONDecodeError),
        ("c.ini", configparser.ConfigParser().read_file, configparser.Error),
    ],
)
def test_an_error_while_reading_names_the_file(config, tmp_path, name, load, error):
    (tmp_path / name).write_text("broken")

    with pytest.raises(error) as caught:
        config.from_file(name, load=load)

    assert any(name in note for note in caught.value.__notes__)


# The environment


def test_from_envvar_loads_the_file_that_it_names(config, tmp_path, monkeypatch):
    (tmp_path / "settings.cfg").write_text("A = 1")
    monkeypatch.setenv("APP_SETTINGS", "settings.cfg")

    assert config.from_envvar("APP_SETTINGS") is True
    assert config == {"A": 1}


@pytest.mark.parametrize("value", [None, ""])
def test_from_envvar_says_which_variable_is_missing(config, monkeypatch, value):
    monkeypatch.delenv("APP_SETTINGS", raising=False)
    if value is not None:
        monkeypatch.setenv("APP_SETTINGS", value)

    with pytest.raises(MissingVariable, match="'APP_SETTINGS' is not set") as caught:
        config.from_envvar("APP_SETTINGS")

    assert isinstance(caught.value, SetupError)
    assert isinstance(caught.value, RuntimeError)
    assert config.from_envvar("APP_SETTINGS", silent=True) is False


def test_from_envvar_says_which_file_is_missing(config, monkeypatch):
    monkeypatch.setenv("APP_SETTINGS", "missing.cfg")

    with pytest.raises(FileNotFoundError, match=r"missing\.cfg"):
        config.from_envvar("APP_SETTINGS")

    assert config.from_envvar("APP_SETTINGS", silent=True) is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("value", "value"),
        ("true", True),
        ("1", 1),
        ("1.2", 1.2),
        ("[1, 2]", [1, 2]),
        ('{"k": "v"}', {"k": "v"}),
        ("", ""),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_prefixed_variables_are_read_as_json_where_they_are_json(config, monkeypatch, text, value):
    monkeypatch.setenv("ERLEN_KEY", text)

    assert config.from_prefixed_env() is True
    assert config["KEY"] == value


def test_only_variables_with_the_prefix_count(config, monkeypatch):
    monkeypatch.setenv("NOT_ERLEN_A", "1")
    monkeypatch.setenv("MINE_B", "2")
    monkeypatch.setenv("MINEC", "3")

    config.from_prefixed_env("MINE")

    assert config == {"B": 2}


def test_the_reader_of_variables_can_be_chosen(config, monkeypatch):
    monkeypatch.setenv("MINE_A", "12")

    config.from_prefixed_env("MINE", loads=str)

    assert config == {"A": "12"}


def test_two_underscores_lead_into_dicts(config, monkeypatch):
    config["EXIST"] = {"ok": "value", "flag": True, "inner": {"ik": 1}}
    monkeypatch.setenv("MINE_EXIST__ok", "other")
    monkeypatch.setenv("MINE_EXIST__inner__ik", "2")
    monkeypatch.setenv("MINE_EXIST__new__more", '{"k": false}')
    monkeypatch.setenv("MINE_NEW__K", "v")

    config.from_prefixed_env("MINE")

    assert config == {
        "EXIST": {"ok": "other", "flag": True, "inner": {"ik": 2}, "new": {"more": {"k": False}}},
        "NEW": {"K": "v"},
    }


def test_a_variable_that_leads_into_something_else_is_an_error(config, monkeypatch):
    config["MAIL"] = {"server": "localhost"}
    monkeypatch.setenv("MINE_MAIL__server__port", "25")

    with pytest.raises(SetupTypeError, match=r"'MINE_MAIL__server__port'.*'MAIL__server'.* str,"):
        config.from_prefixed_env("MINE")


# Noticing changes

WRITES = {
    "item": lambda config: config.__setitem__("DEBUG", True),
    "same value": lambda config: config.__setitem__("DEBUG", False),
    "del": lambda config: config.__delitem__("DEBUG"),
    "update": lambda config: config.update({"DEBUG": True}),
    "update with pairs": lambda config: config.update([("DEBUG", True)]),
    "update with keywords": lambda config: config.update(DEBUG=True),
    "or": lambda config: config.__ior__({"DEBUG": True}),
    "pop": lambda config: config.pop("DEBUG"),
    "pop with default": lambda config: config.pop("DEBUG", None),
    "clear": lambda config: config.clear(),
    "from_mapping": lambda config: config.from_mapping(DEBUG=True),
    "from_object": lambda config: config.from_object(SimpleNamespace(DEBUG=True)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_every_write_of_a_framework_key_is_reported(watched, write):
    config, keys = watched

    write(config)

    assert keys == ["DEBUG"]


def test_setdefault_reports_a_key_that_it_sets(watched):
    config, keys = watched

    assert config.setdefault("TESTING", True) is True
    assert config.setdefault("DEBUG", True) is False
    assert config.setdefault("SERVER_NAME") is None
    assert keys == ["TESTING", "SERVER_NAME"]


def test_popitem_reports_the_key_that_goes(watched):
    config, keys = watched
    config["TESTING"] = True

    assert config.popitem() == ("TESTING", True)
    assert keys == ["TESTING", "TESTING"]


def test_pop_of_a_key_that_is_not_there_reports_nothing(watched):
    config, keys = watched

    assert config.pop("TESTING", "default") == "default"
    with pytest.raises(KeyError):
        config.pop("TESTING")
    assert keys == []


def test_keys_of_others_are_not_reported(watched):
    config, keys = watched

    config["MINE"] = 1
    config.update(OTHER=2)
    del config["NAME"]

    assert keys == []


def test_an_item_inside_a_framework_key_is_reported(watched, monkeypatch):
    config, keys = watched
    config["TRUSTED_PROXIES"] = {"for": 1}
    monkeypatch.setenv("MINE_TRUSTED_PROXIES__host", "1")

    config.from_prefixed_env("MINE")

    assert config["TRUSTED_PROXIES"] == {"for": 1, "host": 1}
    assert keys == ["TRUSTED_PROXIES", "TRUSTED_PROXIES"]


def test_a_change_is_reported_after_it_was_made(tmp_path):
    config = Config(tmp_path, DEFAULTS)
    seen = []
    config.on_change = lambda key: seen.append(config[key])

    config["DEBUG"] = True

    assert seen == [True]


def test_or_keeps_the_config(watched):
    config, _ = watched
    before = config

    config |= {"A": 1}

    assert config is before
    assert config["A"] == 1


# Attributes of an app


def test_an_attribute_reads_and_writes_its_key(tmp_path):
    class App:
        testing = ConfigAttribute[bool]("TESTING")
        config = Config(tmp_path, DEFAULTS)

    app = App()
    app.testing = True

    assert app.config["TESTING"] is True
    assert app.testing is True
    assert App.testing.name == "TESTING"


@pytest.mark.parametrize("value", [60, 60.0, timedelta(minutes=1)])
def test_an_attribute_converts_what_it_reads(tmp_path, value):
    class App:
        lifetime = ConfigAttribute[timedelta]("LIFETIME", get_converter=as_timedelta)
        config = Config(tmp_path, {"LIFETIME": value})

    app = App()

    assert app.lifetime == timedelta(minutes=1)
    assert app.config["LIFETIME"] is value
