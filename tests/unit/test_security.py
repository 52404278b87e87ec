from __future__ import annotations

import hashlib
import hmac
import os
import posixpath
import re
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.security import (
    check_password_hash,
    generate_password_hash,
    in_ascii,
    safe_join,
    secure_filename,
)
from tests.steps import steps_of

# Made with Werkzeug 3.1 for the password "pä".
FLASK_HASHES = {
    "scrypt": "scrypt:16384:8:1$Gqvh8438SgN0HMUW$36f893b67ba98de1ef8572bcae52236fe667324fcc5a4cf2b9"
    "96cae6643c2a23bbc6293eb827718b7d16ff596007cd0ddceff94f9e325435f49034bf71241f9b",
    "pbkdf2": "pbkdf2:sha256:1000$YGDubkIvaAvFMJcp$ae11bff7d036d87ad3556c8de8e2e989b4ca734aa0857c19"
    "4c4679a72ced9cc5",
    "sha1": "pbkdf2:sha1:1$s8GzDFkSEBAh4JTt$84d09dfbc078739dfa980ebd7e2156b9c4b29d4e",
}

# Passwords


@pytest.mark.parametrize("name", FLASK_HASHES)
def test_a_hash_of_a_flask_app_is_understood(name):
    assert check_password_hash(FLASK_HASHES[name], "pä")
    assert not check_password_hash(FLASK_HASHES[name], "pa")


@pytest.mark.parametrize(
    ("method", "pattern"),
    [
        ("scrypt:1024:8:1", r"scrypt:1024:8:1\$[A-Za-z0-9]{16}\$[0-9a-f]{128}"),
        ("pbkdf2:sha512:2", r"pbkdf2:sha512:2\$[A-Za-z0-9]{16}\$[0-9a-f]{128}"),
        ("pbkdf2:sha1:2", r"pbkdf2:sha1:2\$[A-Za-z0-9]{16}\$[0-9a-f]{40}"),
    ],
)
def test_a_hash_has_the_format_of_flask(method, pattern):
    hash = generate_password_hash("secret", method)

    assert re.fullmatch(pattern, hash)
    assert check_password_hash(hash, "secret")
    assert not check_password_hash(hash, "Secret")


def test_scrypt_is_the_default():
    hash = generate_password_hash("x")

    assert re.fullmatch(r"scrypt:32768:8:1\$[A-Za-z0-9]{16}\$[0-9a-f]{128}", hash)
    assert check_password_hash(hash, "x")


def test_pbkdf2_has_the_defaults_of_flask():
    hash = generate_password_hash("x", "pbkdf2")

    assert re.fullmatch(r"pbkdf2:sha256:1000000\$[A-Za-z0-9]{16}\$[0-9a-f]{64}", hash)


def test_two_hashes_of_one_password_differ():
    first, second = (generate_password_hash("x", "pbkdf2:sha256:1") for _ in range(2))

    assert first != second


def test_the_salt_is_as_long_as_asked():
    salt = generate_password_hash("x", "pbkdf2:sha256:1", salt_length=5).split("$")[1]

    assert len(salt) == 5
    assert re.fullmatch(
        r"pbkdf2:sha256:1\$.\$.+", generate_password_hash("x", "pbkdf2:sha256:1", 1)
    )


@pytest.mark.parametrize("length", [0, -1])
def test_no_salt_is_refused(length):
    with pytest.raises(ValueError, match=f"salt_length={length} leaves no salt"):
        generate_password_hash("x", salt_length=length)


@pytest.mark.parametrize(
    "method", ["", "md5", "plain", "scrypt:1", "scrypt:1:2:3:4", "pbkdf2:a:1:2", "SCRYPT"]
)
def test_an_unknown_method_is_refused(method):
    with pytest.raises(ValueError, match="is no way to hash a password") as caught:
        generate_password_hash("x", method)

    assert repr(method) in str(caught.value)


@pytest.mark.parametrize(
    "method", ["pbkdf2:sha256:x", "pbkdf2:nope:1", "scrypt:x:8:1", "scrypt:2:0:1"]
)
def test_a_wrong_parameter_of_a_method_is_refused(method):
    with pytest.raises(ValueError, match=r"."):
        generate_password_hash("x", method)


GARBAGE = [
    "",
    "$",
    "$$",
    "$$$",
    "scrypt",
    "scrypt$salt",
    "scrypt$salt$",
    "scrypt$salt$hash$",
    "scrypt:1:1:1$salt$hash",
    "scrypt:0:0:0$salt$hash",
    "scrypt:-2:8:1$salt$hash",
    "scrypt:99999999999999999999:8:1$salt$hash",
    "scrypt:1073741824:8:1$salt$hash",
    "scrypt:16384:8:1$\ud800$hash",
    "pbkdf2:sha256:x$salt$hash",
    "pbkdf2:sha256:-1$salt$hash",
    "pbkdf2:sha256:0$salt$hash",
    "pbkdf2:sha256:99999999999999$salt$hash",
    "pbkdf2:\0:1$salt$hash",
    "pbkdf2::1$salt$hash",
    "pbkdf2:shake_128:1$salt$hash",
    "pbkdf2:sha256:1$salt$\ud800",
    "pbkdf2:sha256:1$salt$é",
    "plain$salt$secret",
    "secret",
]


@pytest.mark.parametrize("hash", GARBAGE)
def test_garbage_is_nobodys_hash(hash):
    assert check_password_hash(hash, "secret") is False


@settings(deadline=None)
@given(st.text())
def test_no_text_is_a_hash_by_accident(hash):
    assert check_password_hash(hash, "secret") is False


@pytest.mark.parametrize(("password", "fits"), [("a" * 4096, True), ("é" * 2048, True)])
def test_a_password_of_4096_bytes_fits(password, fits):
    hash = generate_password_hash(password, "pbkdf2:sha256:1")

    assert check_password_hash(hash, password) is fits


@pytest.mark.parametrize("password", ["a" * 4097, "é" * 2049])
def test_a_longer_password_is_refused_and_never_right(password):
    with pytest.raises(ValueError, match=r"The password has 409[78] bytes; at most 4096"):
        generate_password_hash(password)

    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"s", 1).hex()
    assert not check_password_hash(f"pbkdf2:sha256:1$s${digest}", password)


def test_a_password_that_is_not_utf_8_is_refused_and_never_right():
    with pytest.raises(ValueError, match="surrogates"):
        generate_password_hash("\ud800")

    assert not check_password_hash(FLASK_HASHES["sha1"], "\ud800")


def test_hashes_are_compared_in_constant_time(monkeypatch):
    compared = []
    original = hmac.compare_digest
    monkeypatch.setattr(
        hmac, "compare_digest", lambda *both: compared.append(both) or original(*both)
    )

    assert check_password_hash(FLASK_HASHES["sha1"], "pä")

    digest = FLASK_HASHES["sha1"].rpartition("$")[2].encode()
    assert compared == [(digest, digest)]


# Names of files


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("My cool movie.mov", "My_cool_movie.mov"),
        ("../../../etc/passwd", "etc_passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("i contain cool \xfcml\xe4uts.txt", "i_contain_cool_umlauts.txt"),
        ("résumé.pdf", "resume.pdf"),
        ("ﬁle", "file"),
        ("a/b\\c", "a_b_c"),
        (".bashrc", "bashrc"),
        ("__init__.py", "init__.py"),
        ("a\x00b\r\n", "ab"),
        ("foo:bar|<>?*", "foobar"),
        ("  a   b  ", "a_b"),
        ("..", ""),
        ("", ""),
        ("日本", ""),
        ("-rf", "-rf"),
    ],
)
def test_a_file_name_is_made_safe(given_name, name):
    assert secure_filename(given_name) == name


@pytest.mark.parametrize("name", ["CON", "con.txt", "nul ", "aux.tar.gz", "COM1", "LPT9.x", "COM¹"])
def test_a_name_of_a_device_gets_an_underscore_on_every_system(name):
    safe = secure_filename(name)

    assert safe.startswith("_")
    assert safe_join("d", safe) == f"d/{safe}"


def test_a_long_name_keeps_its_suffix():
    name = secure_filename("x" * 300 + ".jpeg")

    assert len(name) == 255
    assert name.endswith("x.jpeg")


def test_a_long_suffix_is_cut_too():
    assert len(secure_filename("x." + "y" * 300)) <= 255
    assert len(secure_filename("CON." + "y" * 300)) <= 255


@settings(deadline=None)
@given(st.text() | st.text("./\\ CON_:a\0\n"))
def test_any_name_becomes_a_safe_one(name):
    safe = secure_filename(name)

    assert re.fullmatch(r"[A-Za-z0-9_.-]*", safe)
    assert not safe.startswith(".")
    assert len(safe) <= 255
    assert not safe or safe_join("/d", safe) == f"/d/{safe}"
    assert secure_filename(safe).strip("_") == safe.strip("_")


@settings(deadline=None)
@given(st.text() | st.text("aéﬁ½각\u0301\u0327\u0345\U0001d16d\udcff"))
def test_of_a_name_its_letters_in_ascii_are_left(name):
    whole = unicodedata.normalize("NFKD", name)

    assert in_ascii(name) == "".join(letter for letter in whole if letter.isascii())


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0345\u0301\u0316"])
def test_a_lot_of_accents_comes_to_an_end(marks):
    started = time.process_time()
    name = secure_filename(f"a{marks * (200_000 // len(marks))}.txt")

    assert name == "a.txt"
    assert time.process_time() - started < 5


# Paths


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (["a"], "/d/a"),
        (["a/b"], "/d/a/b"),
        (["a", "b", "c/d"], "/d/a/b/c/d"),
        (["a//b/./c/"], "/d/a/b/c"),
        (["a/../b"], "/d/b"),
        (["a/.."], "/d"),
        ([""], "/d"),
        (["."], "/d"),
        ([], "/d"),
        (["~x"], "/d/~x"),
        ([".hidden"], "/d/.hidden"),
        (["a..b"], "/d/a..b"),
        (["..a"], "/d/..a"),
        (["x.con"], "/d/x.con"),
        (["console"], "/d/console"),
        (["com"], "/d/com"),
        (["com10"], "/d/com10"),
        (["é ü"], "/d/é ü"),
    ],
)
def test_parts_are_joined(parts, path):
    assert safe_join("/d", *parts) == path


@pytest.mark.parametrize(
    "part",
    [
        "..",
        "../a",
        "a/../..",
        "a/../../b",
        "a/b/../../../d",
        "./..",
        "/",
        "/a",
        "//host/share",
        "\\a",
        "a\\b",
        "..\\a",
        "C:",
        "C:/x",
        "C:x",
        "a:b",
        "a::$DATA",
        "a:",
        "\0",
        "a\0.txt",
        "CON",
        "con",
        "CON.txt",
        "NUL ",
        "nul .txt",
        "aux.tar.gz",
        "a/prn/b",
        "COM1",
        "com9.x",
        "LPT1",
        "COM¹",
        "lpt³.x",
        "CONIN$",
        "conout$",
        ".. ",
        ".. /a",
        "...",
        "a/... /b",
        " ",
        ". ",
    ],
)
def test_a_part_that_would_leave_is_refused_on_every_system(part):
    assert safe_join("/d", part) is None
    assert safe_join("/d", "a", part) is None
    assert safe_join("/d", part, "a") is None


def test_a_part_cannot_climb_into_the_one_before():
    assert safe_join("/d", "a/b", "../c") is None


@pytest.mark.parametrize(
    ("directory", "path"),
    [
        ("d", "d/a"),
        ("d/", "d/a"),
        ("/", "/a"),
        ("", "./a"),
        ("../x", "../x/a"),
        ("C:\\d", "C:\\d/a"),
        (Path("d"), "d/a"),
    ],
)
def test_the_folder_is_trusted(directory, path):
    assert safe_join(directory, "a") == path


@settings(deadline=None)
@given(st.lists(st.text("./\\ a:\0CON") | st.text(), max_size=4))
def test_no_part_leaves_the_folder(parts):
    joined = safe_join("/srv/static", *parts)

    if joined is None:
        return
    assert os.path.commonpath([posixpath.normpath(joined), "/srv/static"]) == "/srv/static"
    assert ".." not in joined.split("/")
    assert not set(joined) & {"\\", ":", "\0"}


@pytest.mark.parametrize("piece", ["a/", "../", "a/../", "./", "/", "a", " ", ". ", "."])
def test_a_lot_of_path_comes_to_an_end(piece):
    safe_join("/d", "a/" + piece * (300_000 // len(piece)))
    secure_filename(piece * (300_000 // len(piece)))


def test_twice_the_path_takes_at_most_twice_the_steps():
    once, twice = (steps_of(safe_join, "/d", "a/" * count) for count in (500, 1000))

    assert twice <= 2 * once + 20
