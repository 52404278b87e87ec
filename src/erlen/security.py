"""Hashes of passwords and names of files. Knows no user, no request, and opens no file."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import string
from collections.abc import Iterable

from .patterns import pattern

__all__ = [
    "check_password_hash",
    "generate_password_hash",
    "safe_join",
    "secure_filename",
]

LONGEST_PASSWORD = 4096
"""How many bytes of UTF-8 a password may have."""

_SALT_CHARACTERS = string.ascii_letters + string.digits
_SCRYPT_DEFAULTS = ("32768", "8", "1")
_PBKDF2_DEFAULTS = ("sha256", "1000000")

_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789\xb9\xb2\xb3"}
)
_NEVER_IN_A_PATH = pattern(r"[\x00\\:]")
_NOT_IN_A_FILENAME = pattern(r"[^A-Za-z0-9_.-]")
_LONGEST_FILENAME = 255
_LONGEST_SUFFIX = 16


def generate_password_hash(password: str, method: str = "scrypt", salt_length: int = 16) -> str:
    """Return a hash of *password* that can be stored: ``method$salt$hash``.

    *method* is ``"scrypt"`` (in full ``"scrypt:32768:8:1"``: cost, block size, parallelism) or
    ``"pbkdf2"`` (``"pbkdf2:sha256:1000000"``: digest, iterations). The format is the one that
    Flask apps know. It takes some 50 ms on purpose: in an async view write
    ``await run_sync(generate_password_hash)(password)``.

    :raises ValueError: if the password has more than 4096 bytes, the method or one of its
        parameters is unknown, or *salt_length* is less than 1.
    """
    secret = password.encode()
    if len(secret) > LONGEST_PASSWORD:
        raise ValueError(
            f"The password has {len(secret)} bytes; at most {LONGEST_PASSWORD} can be hashed."
        )
    if salt_length < 1:
        raise ValueError(f"salt_length={salt_length!r} leaves no salt; give 1 or more.")
    salt = "".join(secrets.choice(_SALT_CHARACTERS) for _ in range(salt_length))
    full_method, digest = _hash(secret, salt.encode(), method)
    return f"{full_method}${salt}${digest}"


def check_password_hash(hash: str, password: str) -> bool:
    """Tell whether *password* is the one that *hash* was made from.

    A hash of another format is a ``False``, as is a password with more than 4096 bytes. The
    time it takes tells nothing about how much of the hash was right.
    """
    method, _, rest = hash.partition("$")
    salt, separator, expected = rest.partition("$")
    try:
        secret = password.encode()
        if not separator or len(secret) > LONGEST_PASSWORD:
            return False
        _, actual = _hash(secret, salt.encode(), method)
        return hmac.compare_digest(actual.encode(), expected.encode())
    except (ValueError, OverflowError, MemoryError):
        return False


def secure_filename(filename: str) -> str:
    """Return a name that is safe to save a client's file under, in a folder of yours.

    What is left is ASCII: letters, digits, ``_``, ``.`` and ``-``, no dot in front, no path, at
    most 255 characters. Names that Windows takes for devices get a ``_`` in front, on every
    system. The result may be empty; and two names may become the same one.
    """
    name = "_".join(in_ascii(filename).replace("/", " ").replace("\\", " ").split())
    name = _NOT_IN_A_FILENAME.sub("", name).strip("._")
    if len(name) > _LONGEST_FILENAME:
        stem, suffix = os.path.splitext(name)
        suffix = suffix[:_LONGEST_SUFFIX]
        name = stem[: _LONGEST_FILENAME - len(suffix)] + suffix
    return f"_{name}"[:_LONGEST_FILENAME] if _is_device(name) else name


def in_ascii(name: str) -> str:
    """Return what is left of *name* in ASCII: the letters without their accents."""
    if name.isascii():
        return name
    from unicodedata import normalize

    # WHY: of a whole name it would also sort the accents of each letter, which takes the square
    # of their number; and none of them stays.
    return "".join([normalize("NFKD", one) for one in name]).encode("ascii", "ignore").decode()


def safe_join(directory: str | os.PathLike[str], *parts: str) -> str | None:
    """Join *parts*, which somebody else chose, to *directory*; ``None`` if they would leave it.

    Only names are looked at, by the rules of every system: ``None`` for a part that is
    absolute or climbs above where it starts, that holds a backslash, a colon or NUL, or a name
    that Windows takes for a device or for ``..``. Whether a link leads elsewhere is for those to
    check who open the file.
    """
    joined = [os.fspath(directory) or "."]
    for part in parts:
        names = _names_of(part)
        if names is None:
            return None
        joined += names
    return "/".join([joined[0].rstrip("/"), *joined[1:]]) if len(joined) > 1 else joined[0]


def _hash(secret: bytes, salt: bytes, method: str) -> tuple[str, str]:
    name, *given = method.split(":")
    if name == "scrypt" and len(given) in {0, 3}:
        cost, block_size, parallelism = (int(each) for each in given or _SCRYPT_DEFAULTS)
        if min(cost, block_size, parallelism) < 1:
            raise ValueError(f"{method!r} has a parameter below 1.")
        memory = 132 * cost * block_size * parallelism
        digest = hashlib.scrypt(
            secret, salt=salt, n=cost, r=block_size, p=parallelism, maxmem=memory
        )
        return f"scrypt:{cost}:{block_size}:{parallelism}", digest.hex()
    if name == "pbkdf2" and len(given) <= 2:
        hash_name, iterations = (*given, *_PBKDF2_DEFAULTS[len(given) :])
        digest = hashlib.pbkdf2_hmac(hash_name, secret, salt, int(iterations))
        return f"pbkdf2:{hash_name}:{int(iterations)}", digest.hex()
    raise ValueError(
        f"{method!r} is no way to hash a password: use 'scrypt', 'scrypt:cost:block:parallel',"
        " 'pbkdf2' or 'pbkdf2:digest:iterations'."
    )


def _names_of(part: str) -> Iterable[str] | None:
    if part.startswith("/") or _NEVER_IN_A_PATH.search(part):
        return None
    names: list[str] = []
    for name in part.split("/"):
        if name in {"", "."}:
            continue
        if name != "..":
            # Windows drops dots and spaces at the end: ".. " climbs there too.
            if not name.rstrip(". ") or _is_device(name):
                return None
            names.append(name)
        elif names:
            names.pop()
        else:
            return None
    return names


def _is_device(name: str) -> bool:
    return name.partition(".")[0].rstrip(" ").upper() in _DEVICES
