from __future__ import annotations

import sys
from pathlib import Path

import pytest

from erlen.errors import SetupError
from erlen.packages import instance_path_of, root_path_of


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the import path with a module, a package and a namespace package."""
    (tmp_path / "alone_module.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "some_package" / "inner").mkdir(parents=True)
    (tmp_path / "some_package" / "__init__.py").write_text("")
    (tmp_path / "some_package" / "inner" / "__init__.py").write_text("")
    (tmp_path / "some_namespace" / "part").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path.resolve()
    for name in [name for name in sys.modules if name.startswith("some_")]:
        del sys.modules[name]


def test_the_root_is_where_the_module_lies_without_importing_it(site):
    assert root_path_of("alone_module") == str(site)
    assert root_path_of("some_package") == str(site / "some_package")
    assert root_path_of("some_package.inner") == str(site / "some_package" / "inner")


def test_an_imported_module_is_found_by_its_file():
    assert root_path_of(__name__) == str(Path(__file__).resolve().parent)


@pytest.mark.parametrize("name", ["sys", "no_such_module_anywhere", "no_such.module", "__main__x"])
def test_what_has_no_file_lies_in_the_current_folder(name):
    assert root_path_of(name) == str(Path.cwd())


def test_a_namespace_package_has_no_single_folder(site):
    with pytest.raises(SetupError, match=r"'some_namespace'.*root_path="):
        root_path_of("some_namespace")


def test_a_frozen_module_lies_in_the_current_folder(monkeypatch):
    monkeypatch.delitem(sys.modules, "zipimport", raising=False)

    assert root_path_of("zipimport") == str(Path.cwd())


def test_the_instance_folder_lies_beside_what_is_not_installed(site):
    package = str(site / "some_package")

    assert instance_path_of("alone_module", str(site)) == str(site / "instance")
    assert instance_path_of("some_package", package) == str(site / "instance")
    assert instance_path_of("some_package.inner", f"{package}/inner") == str(site / "instance")


def test_the_instance_folder_of_what_is_installed_lies_below_the_prefix(tmp_path):
    folder = tmp_path / "lib" / "site-packages" / "installed"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")

    expected = Path(sys.prefix).resolve() / "var" / "installed-instance"
    assert instance_path_of("installed", str(folder)) == str(expected)
