from __future__ import annotations

import asyncio
import io
import os
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlen.errors import SetupTypeError, SetupValueError
from erlen.exceptions import NotFound, PreconditionFailed, RequestedRangeNotSatisfiable
from erlen.files import (
    CHUNK,
    FileStream,
    content_disposition,
    send_file,
    send_from_directory,
    serve_static,
)
from erlen.headers import RequestHeaders, parse_date, parse_options_header
from erlen.responses import Response

TEXT = b"0123456789" * 10
BIG = bytes(range(256)) * 4 * (CHUNK // 1024) * 2 + b"the end"
OLD = 1_714_564_800  # Wed, 01 May 2024 12:00:00 GMT


@dataclass
class Asking:
    """A request as far as files look at it."""

    sent: dict[str, str] = field(default_factory=dict)
    method: str = "GET"

    @property
    def headers(self) -> RequestHeaders:
        return RequestHeaders((name.encode(), value.encode()) for name, value in self.sent.items())


async def forever() -> Any:
    await asyncio.Event().wait()


async def gone() -> Any:
    return {"type": "http.disconnect"}


async def sent_by(response: Response, method: str = "GET") -> list[Any]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await response({"type": "http", "method": method}, forever, send)
    return messages


async def body_of(response: Response) -> bytes:
    return b"".join(message.get("body", b"") for message in await sent_by(response))


def open_files(path: Path) -> int:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("there is no list of open files here")
    links = []
    for descriptor in descriptors.iterdir():
        try:
            links.append(os.readlink(descriptor))
        except OSError:
            continue
    return links.count(str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files, beside things that must not be seen from it."""
    static = tmp_path / "static"
    (static / "css").mkdir(parents=True)
    (static / "page.html").write_text("<p>page", "utf-8")
    (static / "index.html").write_text("<p>index", "utf-8")
    (static / "css" / "site.css").write_text("a {}", "utf-8")
    (static / "digits.txt").write_bytes(TEXT)
    (static / "empty.txt").write_bytes(b"")
    (static / "big.bin").write_bytes(BIG)
    (static / "archive.tar.gz").write_bytes(b"gz")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    (tmp_path / "static_secret").mkdir()
    (tmp_path / "static_secret" / "key.txt").write_text("secret", "utf-8")
    for path in static.rglob("*"):
        os.utime(path, (OLD, OLD))
    return static


# -- send_file -----------------------------------------------------------------------------


async def test_a_file_is_sent_with_all_that_is_known_of_it(folder):
    path = folder / "digits.txt"

    response = send_file("digits.txt", root=str(folder), conditions=Asking())

    check = zlib.adler32(str(path).encode())
    assert dict(response.headers) == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": "inline; filename=digits.txt",
        "Last-Modified": "Wed, 01 May 2024 12:00:00 GMT",
        "Etag": f'"{float(OLD)}-100-{check}"',
        "Cache-Control": "no-cache",
        "Content-Length": "100",
        "Accept-Ranges": "bytes",
    }
    assert len(response.raw_headers) == 7
    assert response.status_code == 200
    assert response.direct_passthrough
    assert await body_of(response) == TEXT


async def test_a_path_may_be_absolute_or_an_object(folder):
    for path in (str(folder / "digits.txt"), folder / "digits.txt", Path("digits.txt")):
        response = send_file(path, root=str(folder))

        assert await body_of(response) == TEXT


async def test_what_fits_one_chunk_is_one_message(folder):
    messages = await sent_by(send_file("digits.txt", root=str(folder)))

    assert [message["type"] for message in messages] == [
        "http.response.start",
        "http.response.body",
    ]
    assert messages[1] == {"type": "http.response.body", "body": TEXT}


async def test_an_empty_file_is_sent_empty(folder):
    messages = await sent_by(send_file("empty.txt", root=str(folder), conditions=Asking()))

    assert (b"content-length", b"0") in messages[0]["headers"]
    assert messages[1:] == [{"type": "http.response.body", "body": b""}]


async def test_a_large_file_is_sent_in_chunks(folder):
    messages = await sent_by(send_file("big.bin", root=str(folder)))

    bodies = [message["body"] for message in messages[1:]]
    assert (b"content-length", b"%d" % len(BIG)) in messages[0]["headers"]
    assert [len(body) for body in bodies] == [CHUNK, CHUNK, len(BIG) - 2 * CHUNK, 0]
    assert b"".join(bodies) == BIG
    assert open_files(folder / "big.bin") == 0


async def test_a_file_of_exactly_one_chunk_is_one_message(tmp_path):
    (tmp_path / "one.bin").write_bytes(b"x" * CHUNK)

    messages = await sent_by(send_file("one.bin", root=str(tmp_path)))

    assert [len(message["body"]) for message in messages[1:]] == [CHUNK]


async def test_no_file_is_ever_in_memory_as_a_whole(tmp_path):
    size = 64 * CHUNK
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(size)
    response = send_file("huge.bin", root=str(tmp_path))
    received = 0

    async def send(message: Any) -> None:
        nonlocal received
        received += len(message.get("body", b""))

    tracemalloc.start()
    try:
        await response({"type": "http", "method": "GET"}, forever, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert received == size
    assert peak < 8 * CHUNK


async def test_a_head_request_reads_nothing(folder):
    asked = Asking(method="HEAD")

    response = send_file("digits.txt", root=str(folder), conditions=asked)
    (folder / "digits.txt").unlink()
    messages = await sent_by(response, "HEAD")

    assert (b"content-length", b"100") in messages[0]["headers"]
    assert [message["body"] for message in messages[1:]] == [b""]
    assert response.headers.getlist("content-length") == ["100"]


async def test_a_head_without_conditions_closes_what_it_did_not_open(folder):
    response = send_file("digits.txt", root=str(folder))

    messages = await sent_by(response, "HEAD")

    assert [message["body"] for message in messages[1:]] == [b""]
    assert open_files(folder / "digits.txt") == 0


def test_a_missing_file_is_the_mistake_of_the_app(folder):
    with pytest.raises(FileNotFoundError):
        send_file("missing.txt", root=str(folder))


def test_a_folder_is_no_file(folder):
    with pytest.raises(SetupValueError, match=r"css' is a folder or a device"):
        send_file("css", root=str(folder))


# -- names and types -----------------------------------------------------------------------

TYPES = {
    "page.html": ("text/html; charset=utf-8", None),
    "x.json": ("application/json", None),
    "x.png": ("image/png", None),
    "x.svg": ("image/svg+xml; charset=utf-8", None),
    "x.unheard-of": ("application/octet-stream", None),
    "x": ("application/octet-stream", None),
    "x.tar.gz": ("application/x-tar", "gzip"),
    "x.html.gz": ("text/html; charset=utf-8", "gzip"),
    "data:text/html,x.png": ("image/png", None),
    "data:text/html": ("application/octet-stream", None),
    "http://host/x.html?x.png": ("image/png", None),
}


@pytest.mark.parametrize("name", TYPES)
def test_the_type_follows_from_the_name(name):
    mimetype, encoding = TYPES[name]

    response = send_file(io.BytesIO(b"<html>"), root="", download_name=name)

    assert (response.content_type, response.content_encoding) == (mimetype, encoding)


def test_the_type_never_follows_from_the_content(tmp_path):
    (tmp_path / "x.txt").write_text("<!doctype html><script>alert(1)</script>", "utf-8")

    assert send_file("x.txt", root=str(tmp_path)).mimetype == "text/plain"


def test_an_attachment_keeps_its_compression(folder):
    inline = send_file("archive.tar.gz", root=str(folder))
    attached = send_file("archive.tar.gz", root=str(folder), as_attachment=True)

    assert inline.content_encoding == "gzip"
    assert attached.content_encoding is None
    assert attached.headers["content-disposition"] == "attachment; filename=archive.tar.gz"


def test_a_type_that_is_given_is_not_guessed(folder):
    response = send_file("archive.tar.gz", root=str(folder), mimetype="application/gzip")

    assert response.content_type == "application/gzip"
    assert response.content_encoding is None


def test_another_name_changes_type_and_disposition(folder):
    response = send_file("digits.txt", root=str(folder), download_name="x.csv")

    assert response.mimetype == "text/csv"
    assert response.headers["content-disposition"] == "inline; filename=x.csv"


DISPOSITIONS = {
    "plain": ("index.html", "index.html", None),
    "with a space": ("my file.txt", '"my file.txt"', None),
    "with quotes": ('a"b\\c.txt', '"a\\"b\\\\c.txt"', None),
    "with a semicolon": ("a;filename=evil.bat", '"a;filename=evil.bat"', None),
    "with an umlaut": ("Vögel.txt", "Vogel.txt", "V%C3%B6gel.txt"),
    "in another script": ("日本.txt", ".txt", "%E6%97%A5%E6%9C%AC.txt"),
    "in another script alone": ("日本", '""', "%E6%97%A5%E6%9C%AC"),
    "a wide slash": ("Ñandú\uff0fx.txt", '"Nandu/x.txt"', "%C3%91and%C3%BA%EF%BC%8Fx.txt"),
    "no attr-char": ("те:/ст*'", '":/*\'"', "%D1%82%D0%B5%3A%2F%D1%81%D1%82%2A%27"),
    "percent": ("50%20.txt", "50%20.txt", "50%2520.txt"),
    "lines": ("a\r\nSet-Cookie: x.txt", '"a__Set-Cookie: x.txt"', None),
    "NUL": ("a\x00.txt", "a_.txt", None),
    "half a character": ("a\udcff.txt", "a_.txt", None),
}


@pytest.mark.parametrize(("name", "plain", "full"), DISPOSITIONS.values(), ids=DISPOSITIONS)
def test_a_name_is_quoted_and_said_twice_where_needed(name, plain, full):
    value = content_disposition("attachment", name)

    extended = "" if full is None else f"; filename*=UTF-8''{full}"
    assert value == f"attachment; filename={plain}{extended}"


@given(st.text(max_size=50))
def test_any_name_comes_back_as_it_was_but_for_control_characters(name):
    value = content_disposition("inline", name)

    kind, options = parse_options_header(value)
    assert kind == "inline"
    assert value.isascii()
    assert value.isprintable()
    assert list(options) == ["filename"]
    if name.isprintable() and '"' not in name and "%22" not in name:
        assert options["filename"] == name


def test_a_name_of_accents_comes_to_an_end():
    started = time.process_time()
    value = content_disposition("attachment", "a" + "\u0301\u0316" * 100_000)

    assert value.startswith("attachment; filename=a; filename*=")
    assert time.process_time() - started < 5


def test_a_name_from_a_client_reaches_the_header_safely():
    response = send_file(io.BytesIO(), root="", download_name='x\r\ny: z".html')

    assert response.headers["content-disposition"] == 'inline; filename="x__y: z\\".html"'


# -- what is not a path --------------------------------------------------------------------


async def test_bytes_in_memory_are_sent_as_a_whole():
    buffer = io.BytesIO()
    buffer.write(TEXT)

    response = send_file(buffer, root="", mimetype="text/plain", conditions=Asking())

    assert dict(response.headers) == {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-cache",
        "Content-Length": "100",
        "Accept-Ranges": "bytes",
    }
    assert len(response.raw_headers) == 4
    assert await body_of(response) == TEXT


async def test_a_part_of_bytes_in_memory_may_be_asked_for():
    asked = Asking({"range": "bytes=5-14"})

    response = send_file(io.BytesIO(TEXT), root="", mimetype="text/plain", conditions=asked)

    assert response.status_code == 206
    assert response.headers["content-range"] == "bytes 5-14/100"
    assert await body_of(response) == b"5678901234"


def test_a_part_behind_the_end_of_bytes_in_memory_is_an_error():
    asked = Asking({"range": "bytes=100-"})

    with pytest.raises(RequestedRangeNotSatisfiable):
        send_file(io.BytesIO(TEXT), root="", mimetype="text/plain", conditions=asked)


async def test_the_head_of_bytes_in_memory_has_their_length():
    asked = Asking(method="HEAD")

    response = send_file(io.BytesIO(TEXT), root="", mimetype="text/plain", conditions=asked)
    messages = await sent_by(response, "HEAD")

    assert response.headers.getlist("content-length") == ["100"]
    assert [message["body"] for message in messages[1:]] == [b""]


async def test_an_open_file_is_sent_from_where_it_is_and_closed(folder):
    file = (folder / "digits.txt").open("rb")
    file.seek(90)

    response = send_file(
        file, root="", mimetype="text/plain", conditions=Asking({"range": "bytes=0-1"})
    )

    assert response.status_code == 200
    assert response.content_length is None
    assert response.accept_ranges is None
    assert await body_of(response) == b"0123456789"
    assert file.closed


async def test_a_large_open_file_is_sent_in_chunks(folder):
    with (folder / "big.bin").open("rb") as file:
        messages = await sent_by(send_file(file, root="", download_name="big.bin"))

    assert [len(message["body"]) for message in messages[1:]] == [
        CHUNK,
        CHUNK,
        len(BIG) - 2 * CHUNK,
        0,
    ]


async def test_an_open_file_that_is_not_sent_is_closed_all_the_same(folder):
    for method, headers in (("HEAD", {}), ("GET", {"if-none-match": '"v1"'})):
        file = (folder / "digits.txt").open("rb")
        asked = Asking(headers, method)
        response = send_file(file, root="", mimetype="text/plain", etag="v1", conditions=asked)

        messages = await sent_by(response, method)

        assert [message.get("body", b"") for message in messages] == [b"", b""]
        assert file.closed


def test_an_open_file_is_closed_when_a_condition_fails(folder):
    file = (folder / "digits.txt").open("rb")
    asked = Asking({"if-match": '"v2"'})

    with pytest.raises(PreconditionFailed):
        send_file(file, root="", mimetype="text/plain", etag="v1", conditions=asked)

    assert file.closed


def test_text_files_are_refused(folder):
    with (folder / "digits.txt").open(encoding="utf-8") as file:
        with pytest.raises(ValueError, match=r"open as text\. Open it with mode 'rb'"):
            send_file(file, root="", mimetype="text/plain")  # type: ignore[arg-type]
    with pytest.raises(SetupValueError, match=r"io\.BytesIO"):
        send_file(io.StringIO("x"), root="", mimetype="text/plain")  # type: ignore[arg-type]


def test_bytes_are_neither_a_path_nor_a_file():
    with pytest.raises(SetupTypeError, match=r"not bytes: b'x'. Put bytes into io\.BytesIO"):
        send_file(b"x", root="", mimetype="text/plain")  # type: ignore[arg-type]


def test_a_file_without_a_name_needs_a_type():
    with pytest.raises(TypeError, match="pass mimetype or download_name"):
        send_file(io.BytesIO(), root="")


def test_an_attachment_needs_a_name():
    with pytest.raises(SetupTypeError, match="pass download_name"):
        send_file(io.BytesIO(), root="", mimetype="text/plain", as_attachment=True)


# -- freshness -----------------------------------------------------------------------------


def test_a_tag_may_be_given_or_left_out(folder):
    root = str(folder)

    assert send_file("digits.txt", root=root, etag="v1").headers["etag"] == '"v1"'
    assert "etag" not in send_file("digits.txt", root=root, etag=False).headers
    assert send_file(io.BytesIO(), root="", mimetype="a/b", etag="v").headers["etag"] == '"v"'
    with pytest.raises(ValueError, match="no entity tag"):
        send_file("digits.txt", root=root, etag='"v1"')


def test_the_tag_changes_with_the_file(folder):
    before = send_file("digits.txt", root=str(folder)).get_etag()

    (folder / "digits.txt").write_bytes(TEXT + b"!")

    assert send_file("digits.txt", root=str(folder)).get_etag() != before


@pytest.mark.parametrize("moment", [datetime(2020, 1, 2, tzinfo=UTC), 1_577_923_200])
def test_the_last_change_may_be_given(folder, moment):
    response = send_file("digits.txt", root=str(folder), last_modified=moment)

    assert response.headers["last-modified"] == "Thu, 02 Jan 2020 00:00:00 GMT"


def test_caches_may_keep_a_file_for_some_time(folder):
    response = send_file("digits.txt", root=str(folder), max_age=3600)

    left = parse_date(response.headers["expires"]) - datetime.now(UTC)
    assert response.headers["cache-control"] == "public, max-age=3600"
    assert 3590 < left.total_seconds() <= 3600


def test_no_time_at_all_is_said_too(folder):
    response = send_file("digits.txt", root=str(folder), max_age=0)

    assert response.headers["cache-control"] == "no-cache, max-age=0"
    assert "expires" in response.headers


def test_the_time_may_depend_on_the_path(folder):
    asked = []

    def max_age(path: str | None) -> int | None:
        asked.append(path)
        return 60 if path else None

    known = send_file("digits.txt", root=str(folder), max_age=max_age)
    unknown = send_file(io.BytesIO(), root="", mimetype="a/b", max_age=max_age)

    assert known.headers["cache-control"] == "public, max-age=60"
    assert unknown.headers["cache-control"] == "no-cache"
    assert asked == [str(folder / "digits.txt"), None]


def test_a_time_in_the_past_is_refused(folder):
    with pytest.raises(ValueError, match="max_age is -1; give 0 or more seconds, or None"):
        send_file("digits.txt", root=str(folder), max_age=-1)


# -- conditions ----------------------------------------------------------------------------


async def test_what_did_not_change_is_not_sent_again(folder):
    first = send_file("digits.txt", root=str(folder), max_age=60)
    asked = Asking({"if-none-match": first.headers["etag"]})

    response = send_file("digits.txt", root=str(folder), max_age=60, conditions=asked)
    messages = await sent_by(response)

    names = [name for name, _ in messages[0]["headers"]]
    assert messages[0]["status"] == 304
    assert messages[1:] == [{"type": "http.response.body", "body": b""}]
    assert {b"etag", b"cache-control", b"expires"} <= set(names)
    assert not {b"content-length", b"content-type"} & set(names)


async def test_dates_say_so_too(folder):
    asked = Asking({"if-modified-since": "Wed, 01 May 2024 12:00:00 GMT"})

    assert send_file("digits.txt", root=str(folder), conditions=asked).status_code == 304


PARTS = {
    "the start": ("bytes=0-9", b"0123456789", "bytes 0-9/100"),
    "the middle": ("bytes=42-44", b"234", "bytes 42-44/100"),
    "an open end": ("bytes=97-", b"789", "bytes 97-99/100"),
    "the last": ("bytes=-2", b"89", "bytes 98-99/100"),
    "more than there is": ("bytes=98-1000", b"89", "bytes 98-99/100"),
    "all": ("bytes=0-", TEXT, "bytes 0-99/100"),
}


@pytest.mark.parametrize(("asked", "content", "header"), PARTS.values(), ids=PARTS)
async def test_a_part_of_a_file_is_sent(folder, asked, content, header):
    response = send_file("digits.txt", root=str(folder), conditions=Asking({"range": asked}))

    messages = await sent_by(response)

    assert messages[0]["status"] == 206
    assert response.headers["content-range"] == header
    assert response.headers.getlist("content-length") == [str(len(content))]
    assert messages[1:] == [{"type": "http.response.body", "body": content}]


async def test_a_part_may_be_larger_than_a_chunk(folder):
    asked = Asking({"range": f"bytes={CHUNK - 1}-"})

    response = send_file("big.bin", root=str(folder), conditions=asked)

    assert await body_of(response) == BIG[CHUNK - 1 :]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=5-1", "lines=1-2", "bytes=x"])
async def test_a_range_that_is_ignored_gets_the_whole(folder, asked):
    response = send_file("digits.txt", root=str(folder), conditions=Asking({"range": asked}))

    assert response.status_code == 200
    assert await body_of(response) == TEXT


def test_a_range_behind_the_end_is_an_error_that_says_the_length(folder):
    asked = Asking({"range": "bytes=100-"})

    with pytest.raises(RequestedRangeNotSatisfiable) as caught:
        send_file("digits.txt", root=str(folder), max_age=60, conditions=asked)

    response = caught.value.get_response()
    assert response.headers["content-range"] == "bytes */100"
    assert "cache-control" not in response.headers


async def test_a_head_has_no_ranges(folder):
    asked = Asking({"range": "bytes=0-1"}, "HEAD")

    response = send_file("digits.txt", root=str(folder), conditions=asked)

    assert (response.status_code, response.content_length) == (200, 100)


@pytest.mark.parametrize(("tag", "status"), [('"v1"', 206), ('"v2"', 200)])
def test_a_part_is_given_only_of_the_version_the_client_has(folder, tag, status):
    asked = Asking({"range": "bytes=0-1", "if-range": tag})

    response = send_file("digits.txt", root=str(folder), etag="v1", conditions=asked)

    assert response.status_code == status


def test_a_failed_precondition_is_an_error(folder):
    with pytest.raises(PreconditionFailed):
        send_file("digits.txt", root=str(folder), conditions=Asking({"if-match": '"v2"'}))


@pytest.mark.parametrize("headers", [{"if-none-match": "*"}, {"range": "bytes=0-1"}])
async def test_conditions_may_be_left_alone(folder, headers):
    asked = Asking(headers)

    response = send_file("digits.txt", root=str(folder), conditional=False, conditions=asked)

    assert response.accept_ranges is None
    assert response.status_code == 200
    assert await body_of(response) == TEXT


def test_only_get_and_head_are_conditional(folder):
    asked = Asking({"if-none-match": "*", "range": "bytes=0-1"}, "POST")

    assert send_file("digits.txt", root=str(folder), conditions=asked).status_code == 200


def test_a_class_of_the_apps_own_is_used(folder):
    class Mine(Response):
        pass

    assert type(send_file("digits.txt", root=str(folder), response_class=Mine)) is Mine


# -- the server in front -------------------------------------------------------------------


async def test_the_server_in_front_may_send_the_file(folder):
    asked = Asking({"range": "bytes=0-1"})

    response = send_file("digits.txt", root=str(folder), use_x_sendfile=True, conditions=asked)
    messages = await sent_by(response)

    assert response.headers["x-sendfile"] == str(folder / "digits.txt")
    assert response.headers.getlist("content-length") == ["0"]
    assert response.accept_ranges is None
    assert messages[0]["status"] == 200
    assert messages[1:] == [{"type": "http.response.body", "body": b""}]


def test_the_server_in_front_sends_nothing_that_did_not_change(folder):
    asked = Asking({"if-none-match": '"v1"'})

    response = send_file(
        "digits.txt", root=str(folder), use_x_sendfile=True, etag="v1", conditions=asked
    )

    assert response.status_code == 304
    assert "x-sendfile" not in response.headers


def test_the_path_for_the_server_in_front_keeps_its_bytes(tmp_path):
    (tmp_path / "Vögel.txt").write_text("x", "utf-8")

    response = send_file("Vögel.txt", root=str(tmp_path), use_x_sendfile=True)

    (value,) = [value for name, value in response.raw_headers if name == b"x-sendfile"]
    assert value == os.fsencode(tmp_path / "Vögel.txt")


async def test_what_has_no_path_is_sent_here():
    response = send_file(io.BytesIO(b"x"), root="", mimetype="a/b", use_x_sendfile=True)

    assert "x-sendfile" not in response.headers
    assert await body_of(response) == b"x"


# -- files that change while they are sent -------------------------------------------------


@pytest.mark.parametrize("name", ["digits.txt", "big.bin"])
async def test_a_file_that_is_gone_before_it_is_opened_is_not_found(folder, name):
    response = send_file(name, root=str(folder))
    (folder / name).unlink()
    messages: list[Any] = []

    with pytest.raises(NotFound):
        await response({"type": "http", "method": "GET"}, forever, messages.append)

    assert messages == []


@pytest.mark.parametrize("name", ["digits.txt", "big.bin"])
async def test_a_file_that_is_shorter_before_it_is_opened_is_not_found(folder, name):
    response = send_file(name, root=str(folder))
    os.truncate(folder / name, 50)
    messages: list[Any] = []

    with pytest.raises(NotFound):
        await response({"type": "http", "method": "GET"}, forever, messages.append)

    assert messages == []
    assert open_files(folder / name) == 0


async def test_a_file_that_becomes_a_folder_is_not_found(folder):
    response = send_file("digits.txt", root=str(folder))
    (folder / "digits.txt").unlink()
    (folder / "digits.txt").mkdir()

    with pytest.raises(NotFound):
        await sent_by(response)


async def test_a_file_that_grows_is_sent_as_long_as_it_was(folder):
    response = send_file("digits.txt", root=str(folder))
    with (folder / "digits.txt").open("ab") as file:
        file.write(b"more")

    assert await body_of(response) == TEXT


async def test_a_file_that_is_cut_while_it_is_sent_ends_in_an_error(folder):
    response = send_file("big.bin", root=str(folder))
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)
        os.truncate(folder / "big.bin", 1000)

    missing = len(BIG) - CHUNK
    with pytest.raises(RuntimeError, match=rf"big.bin' ended {missing} bytes too early"):
        await response({"type": "http", "method": "GET"}, forever, send)

    assert [len(message.get("body", b"")) for message in messages] == [0, CHUNK]
    assert messages[-1]["more_body"] is True
    assert open_files(folder / "big.bin") == 0


async def test_a_client_that_leaves_closes_the_file(folder):
    response = send_file("big.bin", root=str(folder))
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)
        await asyncio.sleep(0)

    await response({"type": "http", "method": "GET"}, gone, send)

    assert len(messages) < 4
    assert open_files(folder / "big.bin") == 0


def test_a_response_that_is_dropped_leaves_no_file_open(folder):
    response = send_file("big.bin", root=str(folder))
    response.stream.fetch()
    assert open_files(folder / "big.bin") == 1

    del response

    assert open_files(folder / "big.bin") == 0


async def test_a_stream_that_was_closed_is_over(folder):
    stream = FileStream(str(folder / "big.bin"), len(BIG))
    await anext(stream)

    await stream.aclose()
    await stream.aclose()
    stream.fetch()

    assert [chunk async for chunk in stream] == []
    assert open_files(folder / "big.bin") == 0


async def test_a_stream_says_when_everything_was_handed_out(folder):
    stream = FileStream(str(folder / "digits.txt"), 100)

    stream.fetch()
    assert not stream.exhausted

    assert await anext(stream) == TEXT
    assert stream.exhausted
    assert await anext(stream, None) is None


# -- send_from_directory -------------------------------------------------------------------


async def test_a_file_of_a_folder_is_sent(folder):
    for directory in (folder, str(folder), "static", "static/", "./static"):
        response = send_from_directory(directory, "css/site.css", root=str(folder.parent))

        assert response.mimetype == "text/css"
        assert await body_of(response) == b"a {}"


def test_options_are_those_of_send_file(folder):
    response = send_from_directory(
        "static", Path("page.html"), root=str(folder.parent), as_attachment=True, max_age=5
    )

    assert response.headers["content-disposition"] == "attachment; filename=page.html"
    assert response.headers["cache-control"] == "public, max-age=5"


ELSEWHERE = {
    "up": "../secret.txt",
    "up and down": "css/../../secret.txt",
    "up by dots and spaces": ".. /secret.txt",
    "far up": "../../../../../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "absolute, twice": "//etc/passwd",
    "the neighbour with the same prefix": "../static_secret/key.txt",
    "backslashes": "..\\secret.txt",
    "a drive": "C:/secret.txt",
    "a share": "\\\\host\\share",
    "still quoted": "..%2fsecret.txt",
    "quoted twice": "%2e%2e/secret.txt",
    "NUL": "page.html\x00",
    "NUL before": "\x00page.html",
    "a stream": "page.html:stream",
    "data of a stream": "page.html::$DATA",
    "a device": "CON",
    "a device with a suffix": "css/aux.txt",
    "a device with a space": "NUL ",
    "half a character": "\ud800.html",
    "a long name": "x" * 5000,
    "a long path": "x/" * 5000,
    "a folder": "css",
    "a folder with a slash": "css/",
    "the folder itself": "",
    "the folder, by its dot": ".",
    "through a file": "page.html/x",
    "nothing": "missing.txt",
    "a line end": "page.html\n",
}


@pytest.mark.parametrize("path", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_is_no_file_of_the_folder_is_not_found(folder, path):
    with pytest.raises(NotFound):
        send_from_directory("static", path, root=str(folder.parent))


@given(st.text(st.sampled_from("./\\ s:\x00%25"), max_size=20))
def test_no_path_leads_to_the_secret(path):
    home = Path(__file__).parent

    try:
        response = send_from_directory(home, path, root="/")
    except NotFound:
        return
    assert isinstance(response.stream, FileStream)


async def test_a_link_to_another_place_of_the_folder_is_followed(folder):
    (folder / "latest.css").symlink_to(folder / "css" / "site.css")
    (folder / "styles").symlink_to("css", target_is_directory=True)

    for path in ("latest.css", "styles/site.css"):
        response = send_from_directory("static", path, root=str(folder.parent))

        assert response.mimetype == "text/css"
        assert await body_of(response) == b"a {}"


def test_a_link_to_a_file_keeps_its_own_name(folder):
    (folder / "latest.css").symlink_to("digits.txt")

    response = send_from_directory("static", "latest.css", root=str(folder.parent))

    assert response.headers["content-disposition"] == "inline; filename=latest.css"


LINKS_OUT = {
    "to a file": ("link.txt", "../secret.txt", "link.txt"),
    "to a folder": ("link", "../static_secret", "link/key.txt"),
    "to the folder above": ("link", "..", "link/secret.txt"),
    "to itself": ("link", "link", "link"),
    "to nothing": ("link", "missing", "link"),
    "to an absolute path": ("link", "/etc/passwd", "link"),
}


@pytest.mark.parametrize(("link", "target", "path"), LINKS_OUT.values(), ids=LINKS_OUT)
def test_a_link_out_of_the_folder_is_not_found(folder, link, target, path):
    (folder / link).symlink_to(target)

    with pytest.raises(NotFound):
        send_from_directory("static", path, root=str(folder.parent))


async def test_links_out_of_the_folder_may_be_allowed(folder):
    (folder / "link").symlink_to("../static_secret")

    response = send_from_directory(
        "static", "link/key.txt", root=str(folder.parent), follow_symlinks=True
    )

    assert await body_of(response) == b"secret"


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/passwd"])
def test_links_that_are_allowed_do_not_allow_more(folder, path):
    with pytest.raises(NotFound):
        send_from_directory("static", path, root=str(folder.parent), follow_symlinks=True)


async def test_the_folder_itself_may_be_a_link(folder):
    (folder.parent / "current").symlink_to("static", target_is_directory=True)
    (folder / "latest.css").symlink_to("css/site.css")

    for path in ("css/site.css", "latest.css"):
        response = send_from_directory("current", path, root=str(folder.parent))

        assert await body_of(response) == b"a {}"


async def test_names_in_any_script_are_found(folder):
    (folder / "Vögel 日本.txt").write_text("tweet", "utf-8")

    response = send_from_directory("static", "Vögel 日本.txt", root=str(folder.parent))

    assert await body_of(response) == b"tweet"


def test_a_pipe_is_no_file(folder):
    os.mkfifo(folder / "pipe")

    with pytest.raises(NotFound):
        send_from_directory("static", "pipe", root=str(folder.parent))


# -- serve_static --------------------------------------------------------------------------


class CountingExecutor(ThreadPoolExecutor):
    hops = 0

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.hops += 1
        return super().submit(*args, **kwargs)


@pytest.fixture
async def threads():
    executor = CountingExecutor(2)
    asyncio.get_running_loop().set_default_executor(executor)
    yield executor
    executor.shutdown()


async def static(folder: Path, path: str, asked: Asking | None = None, **options: Any) -> Response:
    return await serve_static(
        folder.name, path, root=str(folder.parent), conditions=asked or Asking(), **options
    )


async def test_a_small_file_takes_one_hop_from_the_search_to_the_last_byte(folder, threads):
    (folder / "ten.bin").write_bytes(b"x" * 10_240)

    messages = await sent_by(await static(folder, "ten.bin"))

    assert messages[1:] == [{"type": "http.response.body", "body": b"x" * 10_240}]
    assert threads.hops == 1


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (Asking({"if-none-match": "*"}), 304),
        (Asking(method="HEAD"), 200),
        (Asking({"range": "bytes=0-9"}), 206),
    ],
)
async def test_every_answer_for_a_file_takes_one_hop(folder, threads, asked, status):
    response = await static(folder, "big.bin", asked)
    messages = await sent_by(response, asked.method)

    assert messages[0]["status"] == status
    assert threads.hops == 1
    assert open_files(folder / "big.bin") == 0


async def test_a_large_file_takes_one_hop_for_each_chunk(folder, threads):
    assert await body_of(await static(folder, "big.bin")) == BIG

    assert threads.hops == 3


async def test_a_static_file_has_the_headers_of_a_file(folder):
    response = await static(folder, "css/site.css", max_age=60)

    assert response.content_length == 4
    assert response.headers.getlist("content-length") == ["4"]
    assert response.headers["cache-control"] == "public, max-age=60"
    assert response.accept_ranges == "bytes"
    assert response.body == b"a {}"


@pytest.mark.parametrize("path", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_what_is_no_static_file_is_not_found(folder, path):
    with pytest.raises(NotFound):
        await static(folder, path)


async def test_options_of_a_static_file_are_those_of_the_folder(folder):
    (folder / "link").symlink_to("../static_secret")

    response = await static(folder, "link/key.txt", follow_symlinks=True)

    assert response.body == b"secret"


PAGES = {
    "the root": ("", {"accept": "text/html"}, "GET"),
    "a page": ("users/1", {"accept": "text/html,*/*;q=0.8"}, "GET"),
    "a folder": ("css/", {"accept": "text/html"}, "GET"),
    "a page below dots": ("v1.2/users", {"accept": "text/html"}, "GET"),
    "of any type": ("users", {"accept": "*/*"}, "GET"),
    "of any text": ("users", {"accept": "text/*"}, "GET"),
    "of a type that is not said": ("users", {}, "GET"),
    "its head": ("users", {"accept": "text/html"}, "HEAD"),
    "what climbs": ("../users", {"accept": "text/html"}, "GET"),
}


@pytest.mark.parametrize(("path", "headers", "method"), PAGES.values(), ids=PAGES)
async def test_a_page_that_does_not_exist_is_the_fallback(folder, path, headers, method):
    asked = Asking(headers, method)

    response = await static(folder, path, asked, fallback="index.html", max_age=3600)

    assert response.mimetype == "text/html"
    assert response.headers["cache-control"] == "no-cache"
    assert response.body == (b"<p>index" if method == "GET" else b"")


NO_PAGES = {
    "a file": ("app.js", {"accept": "*/*"}, "GET"),
    "a hidden file": (".env", {"accept": "text/html"}, "GET"),
    "a secret": ("../secret.txt", {"accept": "text/html"}, "GET"),
    "JSON": ("users", {"accept": "application/json"}, "GET"),
    "anything but HTML": ("users", {"accept": "text/html;q=0, */*"}, "GET"),
    "another method": ("users", {"accept": "text/html"}, "POST"),
}


@pytest.mark.parametrize(("path", "headers", "method"), NO_PAGES.values(), ids=NO_PAGES)
async def test_the_fallback_is_for_pages_only(folder, path, headers, method):
    with pytest.raises(NotFound):
        await static(folder, path, Asking(headers, method), fallback="index.html")


async def test_a_file_that_exists_is_never_the_fallback(folder):
    response = await static(folder, "digits.txt", fallback="index.html", max_age=60)

    assert response.body == TEXT
    assert response.headers["cache-control"] == "public, max-age=60"


async def test_the_fallback_is_never_cached_under_its_own_name_either(folder):
    response = await static(folder, "index.html", fallback="index.html", max_age=60)

    assert response.headers["cache-control"] == "no-cache"


async def test_without_a_fallback_nothing_takes_its_place(folder):
    with pytest.raises(NotFound):
        await static(folder, "users", Asking({"accept": "text/html"}))


async def test_a_fallback_that_is_missing_is_not_found(folder):
    with pytest.raises(NotFound):
        await static(folder, "users", fallback="missing.html")


async def test_the_fallback_is_conditional_too(folder):
    first = await static(folder, "users", fallback="index.html")
    asked = Asking({"if-none-match": first.headers["etag"]})

    response = await static(folder, "others", asked, fallback="index.html")

    assert response.status_code == 304


def test_what_was_read_ahead_is_part_of_the_whole(folder):
    stream = FileStream(str(folder / "big.bin"))
    stream.fetch()

    assert stream.read_all() == BIG
    assert stream.exhausted
