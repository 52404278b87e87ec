"""The body of a request from what a test says it is: bytes, JSON, a form, files. No URLs here."""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlencode

from ..datastructures import MultiDict
from ..headers import parse_options_header

__all__ = ["Content", "Data", "encode_body", "pairs"]

Content: TypeAlias = bytes | AsyncIterable[bytes]
"""A body: all of it, or piece by piece and without a length."""


class Readable(Protocol):
    """A file, opened to be read."""

    def read(self) -> str | bytes:
        """Return what is left of it."""
        ...


Data: TypeAlias = (
    str
    | bytes
    | bytearray
    | Mapping[str, Any]
    | Readable
    | Iterable[bytes]
    | AsyncIterable[bytes]
    | None
)
"""What ``data=`` may be."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    filename: str
    content_type: str


def encode_body(
    dumps: Callable[[Any], str],
    *,
    data: Data = None,
    form: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    json: Any = None,
    content_type: str | None = None,
) -> tuple[Content, str | None]:
    """Return the body and its Content-Type, which is *content_type* where that is given.

    :raises TypeError: if the arguments contradict each other.
    """
    if json is not None:
        if data is not None or form is not None or files is not None:
            raise TypeError("can't provide both json and data")
        return dumps(json).encode(), content_type or "application/json"
    if data is None or isinstance(data, Mapping):
        if data is None and form is None and files is None:
            return b"", content_type
        fields = [*pairs(cast("Mapping[str, Any]", data or {})), *pairs(form or {})]
        return _encode_form(fields, pairs(files or {}), content_type)
    if form is not None or files is not None:
        raise TypeError(
            f"data= is the whole body here, {type(data).__name__}, so there is no place for form="
            " and files=. Make data= a dict, or leave it out."
        )
    return _content(data), content_type


def pairs(mapping: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values; a list is several values, ``None`` is none."""
    if isinstance(mapping, MultiDict):
        yield from mapping.items(multi=True)
        return
    for name, value in mapping.items():
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        yield from ((name, item) for item in items if item is not None)


def _content(data: Any) -> Content:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(cast(bytes, data))
    if hasattr(data, "read"):
        return _content(data.read())
    if isinstance(data, AsyncIterable):
        return cast("AsyncIterable[bytes]", data)
    if isinstance(data, Iterable):
        return _iterated(cast("Iterable[bytes]", data))
    raise TypeError(
        "data= is str, bytes, a file, a dict of fields or an iterable of bytes, not"
        f" {type(data).__name__}: {data!r}. For JSON there is json=."
    )


async def _iterated(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


# -- forms ---------------------------------------------------------------------------------


def _encode_form(
    fields: list[tuple[str, Any]], files: Iterable[tuple[str, Any]], content_type: str | None
) -> tuple[bytes, str]:
    parts = [(name, _file_of(value) if _is_file(value) else value) for name, value in fields]
    parts += [(name, _file_of(value, filename=name)) for name, value in files]
    kind, options = parse_options_header(content_type or "")
    if kind == "multipart/form-data" or any(isinstance(value, _File) for _, value in parts):
        boundary = options.get("boundary") or secrets.token_hex(16)
        body = b"".join(_multipart(parts, boundary))
        return body, f"multipart/form-data; boundary={boundary}"
    body = urlencode([(name, _text(value)) for name, value in parts]).encode()
    return body, content_type or "application/x-www-form-urlencoded"


def _text(value: Any) -> str | bytes:
    return value if isinstance(value, bytes) else str(value)


def _is_file(value: Any) -> bool:
    return isinstance(value, tuple) or hasattr(value, "read")


def _file_of(value: Any, filename: str | None = None) -> _File | bytes:
    """Return what ``(file, filename, content_type)`` means, or a file alone.

    Without any name it is a field like others, as browsers send none for a file.
    """
    parts: list[Any] = [*value] if isinstance(value, tuple) else [value]
    if len(parts) > 3 or (len(parts) > 1 and not isinstance(parts[1], (str, type(None)))):
        raise TypeError(
            f"A file is (file, filename, content_type) or the file alone, not {value!r}."
        )
    file, name, kind = [*parts, None, None][:3]
    if name is None:
        name = _name_of(file) or filename
    content = _read(file)
    if name is None:
        return content
    kind = kind or getattr(file, "content_type", None) or mimetypes.guess_type(name)[0]
    return _File(content, name, kind or "application/octet-stream")


def _name_of(file: Any) -> str | None:
    if isinstance(file, os.PathLike):
        return os.path.basename(cast("os.PathLike[str]", file))
    name: Any = getattr(file, "filename", None) or getattr(file, "name", None)
    return os.path.basename(name) if isinstance(name, str) else None


def _read(file: Any) -> bytes:
    if isinstance(file, (str, os.PathLike)):
        with open(cast(str, file), "rb") as opened:
            return opened.read()
    if isinstance(file, (bytes, bytearray)):
        return bytes(file)
    # An uploaded file of ours has an awaitable read() in async code; below it is a plain one.
    content: Any = getattr(file, "stream", file).read()
    return content.encode() if isinstance(content, str) else cast(bytes, content)


def _multipart(parts: list[tuple[str, Any]], boundary: str) -> Iterator[bytes]:
    for name, value in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"'
        if isinstance(value, _File):
            head += f'; filename="{_escaped(value.filename)}"'
            head += f"\r\nContent-Type: {value.content_type}"
            value = value.content
        text = _text(value)
        yield f"{head}\r\n\r\n".encode()
        yield text if isinstance(text, bytes) else text.encode()
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _escaped(name: str) -> str:
    # What browsers do (WHATWG HTML, multipart/form-data encoding algorithm).
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
