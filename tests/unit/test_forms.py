from __future__ import annotations

import asyncio
import itertools
import logging
import os
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlen.datastructures import ImmutableMultiDict
from erlen.forms import (
    BrokenForm,
    Form,
    FormError,
    FormLimits,
    FormParser,
    FormTooLarge,
    form_parser,
    read_form,
    read_form_sync,
)

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=bound"
END = b"--bound--\r\n"


def parser_of(content_type: str = MULTIPART, **limits: Any) -> FormParser:
    parser = form_parser(content_type, FormLimits(**limits))
    assert parser is not None
    return parser


def form_of(body: bytes, content_type: str = MULTIPART, **limits: Any) -> Form:
    return read_form_sync([body], parser_of(content_type, **limits))


def part(disposition: str, content: bytes = b"", headers: bytes = b"") -> bytes:
    head = f"--bound\r\nContent-Disposition: form-data; {disposition}\r\n".encode()
    return head + headers + b"\r\n" + content + b"\r\n"


def field(name: str, content: bytes = b"") -> bytes:
    return part(f'name="{name}"', content)


def file(name: str, filename: str, content: bytes = b"", headers: bytes = b"") -> bytes:
    return part(f'name="{name}"; filename="{filename}"', content, headers)


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def flood(head: bytes, chunk: bytes, sent: list[int]) -> Iterator[bytes]:
    """Send *chunk* for ever after *head*, and count what was taken."""
    yield head
    while True:
        sent.append(len(chunk))
        yield chunk


def later(chunks: Iterable[bytes]) -> Callable[[], Awaitable[bytes]]:
    left = iter(chunks)

    async def next_chunk() -> bytes:
        return next(left, b"")

    return next_chunk


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files")


# What counts as a form


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "text/plain; application/x-www-form-urlencoded",
        "application/x-www-form-urlencodedx",
        "multipart/form-data-x; boundary=bound",
        "multipart/mixed; boundary=bound",
        "application/x-www-form-urlencoded, multipart/form-data",
    ],
)
def test_another_media_type_is_no_form(content_type):
    assert form_parser(content_type, FormLimits()) is None


@pytest.mark.parametrize(
    "content_type",
    [
        "APPLICATION/X-WWW-Form-Urlencoded",
        " application/x-www-form-urlencoded ;charset=latin-1",
        "application/x-www-form-urlencoded;boundary",
    ],
)
def test_the_media_type_counts_in_any_case_and_with_parameters(content_type):
    form = form_of(b"a=1", content_type)

    assert form.fields["a"] == "1"


@pytest.mark.parametrize("content_type", [URLENCODED, MULTIPART, "multipart/form-data"])
def test_an_empty_body_is_an_empty_form(content_type):
    form = form_of(b"", content_type)

    assert form == (ImmutableMultiDict(), ImmutableMultiDict())


# urlencoded


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (b"a=1&b=2&a=3", [("a", "1"), ("a", "3"), ("b", "2")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=x+y%2B", [("a", "x y+")]),
        (b"a=&b", [("a", ""), ("b", "")]),
        (b"%C3%A9=%e9", [("é", "\ufffd")]),
        (b"&&a=1&", [("a", "1")]),
    ],
    ids=["repeated", "only &", "plus", "blank", "not UTF-8", "empty items"],
)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_urlencoded_form_is_parsed_as_a_query_is(body, pairs, size):
    form = read_form_sync(cut(body, size), parser_of(URLENCODED))

    assert list(form.fields.items(multi=True)) == pairs
    assert not form.files


# Multipart: what is read


def test_fields_and_files_keep_their_order_and_all_their_values():
    body = field("a", b"1") + file("f", "x", b"X") + field("b", b"2") + field("a", b"3")
    body += file("f", "y", b"Y") + END

    form = form_of(body)

    assert list(form.fields.lists()) == [("a", ["1", "3"]), ("b", ["2"])]
    assert [upload.filename for upload in form.files.getlist("f")] == ["x", "y"]
    assert [upload.stream.read() for upload in form.files.getlist("f")] == [b"X", b"Y"]


def test_a_file_carries_what_the_part_said():
    headers = b"Content-Type: Image/PNG; q=1\r\nX-Note: \xc3\xa9\r\n"

    upload = form_of(file("photo", "cat.png", b"meow", headers) + END).files["photo"]

    assert (upload.name, upload.filename, upload.content_length) == ("photo", "cat.png", 4)
    assert upload.content_type == "Image/PNG; q=1"
    assert upload.mimetype == "image/png"
    assert upload.headers["x-note"] == "Ã©"


def test_an_input_without_a_chosen_file_is_a_false_file():
    kind = b"Content-Type: application/octet-stream\r\n"

    upload = form_of(file("photo", "", b"", kind) + END).files["photo"]

    assert not upload
    assert upload.filename == ""
    assert upload.stream.read() == b""


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('name="naïve"; filename="ж.txt"', "naïve", "ж.txt"),
        ('name="a%22b"; filename="%22.txt"', 'a"b', '".txt'),
        (r'name="a\"b"; filename="c\\d.txt"', 'a"b', r"c\d.txt"),
        (r'name="a"; filename="C:\dir\x.txt"', "a", r"C:\dir\x.txt"),
        ('name="a"; filename="../../etc/passwd"', "a", "../../etc/passwd"),
        ("NAME=a;FileName=b", "a", "b"),
        ('filename="b" ; name = "a"', "a", "b"),
        ('name="a;b"; filename="c=d"', "a;b", "c=d"),
        ('lonely; name="a"; filename="b"', "a", "b"),
        ('name=""; filename="b"', "", "b"),
        ('name="a"; filename*=UTF-8\'\'evil; filename="b"', "a", "b"),
        ('name="a"; name*=UTF-8\'\'evil; filename="b"', "a", "b"),
        ('name="a"; filename="b"; filename*="; name=evil"', "a", "b"),
        ('name="100%0A"; filename="%0D"', "100%0A", "%0D"),
    ],
)
def test_names_are_read_as_browsers_write_them(disposition, name, filename):
    form = form_of(part(disposition) + END)

    [upload] = form.files.getlist(name)
    assert upload.filename == filename


def test_a_part_with_only_an_extended_file_name_is_a_field():
    form = form_of(part("name=\"a\"; filename*=UTF-8''x.txt", b"text") + END)

    assert form.fields.to_dict() == {"a": "text"}


def test_bytes_that_are_not_utf_8_become_replacement_characters():
    body = b'--bound\r\nContent-Disposition: form-data; name="\xff"\r\n'
    body += b"Content-Type: text/plain; charset=latin-1\r\n\r\n\xe9\r\n" + END

    assert form_of(body).fields.to_dict() == {"\ufffd": "\ufffd"}


def test_no_transfer_encoding_is_decoded():
    encoding = b"Content-Transfer-Encoding: base64\r\n"

    upload = form_of(file("f", "x", b"YWJj", encoding) + END).files["f"]

    assert upload.stream.read() == b"YWJj"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("before", [b"", b"\r\n", b"text --bound\r\n--boun\r\n"])
@pytest.mark.parametrize("after", [b"", b"more\r\n--bound\r\nX", b"\r\n" * 100])
def test_text_around_the_parts_is_skipped(before, after, size):
    body = before + field("a", b"1") + END + after

    form = read_form_sync(cut(body, size), parser_of())

    assert form.fields.to_dict() == {"a": "1"}


def test_a_form_of_no_parts_is_empty():
    assert form_of(END) == ({}, {})


def test_a_boundary_may_be_quoted_and_hold_blanks():
    body = field("a", b"1").replace(b"bound", b"one two") + b"--one two--"

    form = form_of(body, 'multipart/form-data; charset=x; Boundary="one two"')

    assert form.fields["a"] == "1"


# Multipart: what is refused


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        'multipart/form-data; boundary="bound',
        "multipart/form-data; boundary=bound; boundary=other",
        "multipart/form-data; boundary*=UTF-8''bound",
        "multipart/form-data; boundary=" + "b" * 257,
        "multipart/form-data; boundary=bé",
        "multipart/form-data; boundary=b\tb",
    ],
)
def test_a_body_without_a_fit_boundary_is_broken(content_type):
    with pytest.raises(BrokenForm):
        form_of(field("a") + END, content_type)


def test_a_boundary_of_256_characters_is_fit():
    boundary = b"b" * 256
    body = field("a", b"1").replace(b"bound", boundary) + b"--" + boundary + b"--"

    form = form_of(body, f"multipart/form-data; boundary={boundary.decode()}")

    assert form.fields["a"] == "1"


@pytest.mark.parametrize(
    "disposition",
    [
        "x=y",
        'filename="b"',
        "name*=UTF-8''a",
        'name="a',
        'name="a"; filename="b',
        'name="a"; name="b"',
        'name="a"; NAME="a"',
        'name="a"; filename="b"; filename="c"',
        'x*="; name=evil"',
    ],
)
def test_a_part_without_one_clear_name_breaks_the_form(disposition):
    with pytest.raises(BrokenForm):
        form_of(part(disposition) + END)


@pytest.mark.parametrize(
    "body",
    [
        b"--bound\r\n\r\nx\r\n" + END,
        b'--bound\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n' + END,
        part('name="a"', b"x", b'Content-Disposition: form-data; name="b"\r\n') + END,
        part('name="a"', b"x", b"no colon\r\n") + END,
        part('name="a"', b"x", b"bad name: 1\r\n") + END,
        part('name="a"', b"x", b"A : 1\r\n") + END,
        part('name="a"', b"x", b"\nA: 1\r\n") + END,
        part('name="a"', b"x", b"A\xa0: 1\r\n") + END,
        part('name="a"', b"x", b"A: b\r\n folded\r\n") + END,
        part('name="a"', b"x", b"A: b\x00c\r\n") + END,
        part('name="a"', b"x", b"A: b\nC: d\r\n") + END,
        part('name="a"', b"x", b"A: b\rC: d\r\n") + END,
        part('name="a"', b"x", b"Content-Length: -1\r\n") + END,
        part('name="a"', b"x", b"Content-Length: 2\r\n") + END,
        part('name="a"', b"xyz", b"Content-Length: 2\r\n") + END,
        part('name="a"', b"x", b"Content-Length: " + b"9" * 5000 + b"\r\n") + END,
        field("a", b"x\r\n--boundary") + END,
        field("a", b"x") + b"--bound \r\n",
        b"--boundary\r\n" + END,
        field("a").replace(b"\r\n", b"\n") + END,
    ],
    ids=[
        "no headers",
        "no form-data",
        "two dispositions",
        "no colon",
        "blank in a name",
        "blank after a name",
        "LF before a name",
        "no ASCII in a name",
        "folded",
        "NUL",
        "LF",
        "CR",
        "negative length",
        "too short",
        "too long",
        "huge length",
        "more after a boundary",
        "blank after a boundary",
        "another boundary",
        "LF only",
    ],
)
@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_what_no_client_writes_breaks_the_form(body, size):
    with pytest.raises(BrokenForm):
        read_form_sync(cut(body, size), parser_of())


def test_a_form_cut_anywhere_before_its_end_is_broken():
    body = field("a", b"1") + file("f", "x", b"2") + b"--bound--"

    for length in range(1, len(body)):
        with pytest.raises(BrokenForm):
            form_of(body[:length])


# Limits


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(URLENCODED, b"a=1&b=2&c=3"), (MULTIPART, field("a") + file("f", "x") + field("b") + END)],
)
def test_fields_and_files_are_counted_together(content_type, body):
    assert form_of(body, content_type, max_parts=3)
    assert form_of(body, content_type, max_parts=None)
    with pytest.raises(FormTooLarge) as caught:
        form_of(body, content_type, max_parts=2)

    assert (caught.value.limit_name, caught.value.limit, caught.value.size) == ("max_parts", 2, 3)
    assert str(caught.value) == "The form has 3 of at most 2 (max_parts)"


@pytest.mark.parametrize(
    ("content_type", "body", "size"),
    [
        (URLENCODED, b"a=1&b=%C3%A9", 12),
        (MULTIPART, field("ab", b"123") + file("f", "x", b"free") + field("c", b"4") + END, 7),
    ],
)
def test_the_bytes_of_all_fields_are_counted(content_type, body, size):
    assert form_of(body, content_type, max_memory=size)
    assert form_of(body, content_type, max_memory=None)
    with pytest.raises(FormTooLarge) as caught:
        form_of(body, content_type, max_memory=size - 1)

    assert caught.value.limit_name == "max_memory"
    assert (caught.value.limit, caught.value.size) == (size - 1, size)


def test_names_without_content_count_too():
    with pytest.raises(FormTooLarge) as caught:
        form_of(field("abc") + END, max_memory=2)

    assert caught.value.size == 3


@pytest.mark.parametrize(
    "headers",
    [b"A: " + b"b" * 8200 + b"\r\n", b"A: " + b"b" * 8200, (b"A: " + b"b" * 920 + b"\r\n") * 9],
    ids=["long", "without end", "together"],
)
@pytest.mark.parametrize("size", [100, 100_000])
def test_the_headers_of_a_part_are_limited(headers, size):
    body = part('name="a"', b"", headers) + END

    with pytest.raises(FormTooLarge) as caught:
        read_form_sync(cut(body, size), parser_of())

    assert (caught.value.limit_name, caught.value.limit) == ("max_header_bytes", 8192)
    assert caught.value.size > 8192


def test_thirty_two_headers_are_enough_for_a_part():
    assert form_of(part('name="a"', b"", b"A: b\r\n" * 31) + END)

    with pytest.raises(BrokenForm, match="more than 32 headers"):
        form_of(part('name="a"', b"", b"A: b\r\n" * 32) + END)


@pytest.mark.parametrize(
    ("content_type", "head", "chunk", "limit"),
    [
        (URLENCODED, b"a=", b"x" * 65536, 500_000),
        (URLENCODED, b"a=", b"&" * 500, 1000),
        (MULTIPART, field("a")[:-2], b"x" * 65536, 500_000),
        (MULTIPART, b"", field("a", b"x"), 1000 * len(field("a", b"x"))),
        (MULTIPART, b"--bound\r\nA: ", b"x" * 1000, 8192),
    ],
    ids=["one value", "items", "one field", "parts", "one header"],
)
def test_an_endless_form_is_stopped_at_the_limit(content_type, head, chunk, limit):
    sent: list[int] = []

    with pytest.raises(FormTooLarge):
        read_form_sync(flood(head, chunk, sent), parser_of(content_type))

    assert sum(sent) <= limit + 2 * len(chunk)


@pytest.mark.parametrize(
    ("head", "chunk", "tail"),
    [
        (b"", b"\r\n" * 32768, b"\r\n"),
        (b"", b"\r\n--boun" * 8192, b"\r\n"),
        (END, b"\r\n" * 32768, b""),
        (END, field("x", b"y" * 65536), b""),
    ],
    ids=["CRLF before", "near boundaries before", "CRLF after", "parts after"],
)
def test_a_flood_around_the_parts_takes_no_memory(head, chunk, tail):
    parser = parser_of()
    tracemalloc.start()

    parser.feed(head)
    for _ in range(500):
        parser.feed(chunk)
    peak = tracemalloc.get_traced_memory()[1]

    tracemalloc.stop()
    if not head:
        parser.feed(tail + END)
    assert parser.finish() == ({}, {})
    assert peak < 1_000_000


def test_a_file_in_tiny_pieces_takes_little_more_memory_than_its_size():
    parser = parser_of()
    parser.feed(b'--bound\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n')
    tracemalloc.start()

    for _ in range(20_000):
        parser.feed(b"xy")
    held = tracemalloc.get_traced_memory()[0]

    tracemalloc.stop()
    assert held < 80_000


@pytest.mark.parametrize(
    "body",
    [
        file("f", "x", b"\r\n" * 1_000_000) + END,
        file("f", "x", b"\r" * 2_000_000) + END,
        file("f", "x", b"\r\n--boun" * 250_000) + END,
        field("a", b"x") + b"--bound" + b" " * 2_000_000,
        b"--bound\r\nA: b" + b"\r\n c" * 500_000,
        b"--bound\r\nContent-Disposition: form-data" + b"; a" * 2600 + b"\r\n\r\n",
        b"--bound\r\nContent-Disposition: form-data; name=" + b'"\\' * 4000 + b"\r\n\r\n",
    ],
    ids=["CRLF", "CR", "near", "padding", "folded", "parameters", "escapes"],
)
def test_time_grows_with_the_length_of_the_body_only(body):
    start = time.process_time()

    try:
        read_form_sync(cut(body, 65536), parser_of(max_file_memory=10_000_000))
    except FormError:
        pass

    assert time.process_time() - start < 1


@pytest.mark.parametrize("content_type", ["; a" * 20_000, ';x="' + "\\" * 60_000, '; a="' * 20_000])
def test_time_grows_with_the_length_of_the_content_type_only(content_type):
    start = time.process_time()

    with pytest.raises(BrokenForm):
        form_of(END, "multipart/form-data" + content_type)

    assert time.process_time() - start < 0.5


def test_a_broken_form_writes_no_log(caplog):
    caplog.set_level(logging.DEBUG)

    with pytest.raises(BrokenForm):
        form_of(b"\r\n--bound?")

    assert not caplog.records


# Files in memory and on disk


def test_feeding_never_touches_the_disk(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/does/not/exist")
    parser = parser_of()

    parser.feed(file("f", "x", b"x" * 600_000) + END)

    assert parser.backlog == 600_000
    with pytest.raises(OSError, match="exist"):
        parser.flush()


def test_a_file_stays_in_memory_up_to_the_threshold():
    form = form_of(file("f", "x", b"x" * 5) + file("g", "y", b"y" * 6) + END, max_file_memory=5)

    small, large = form.files["f"], form.files["g"]
    assert not hasattr(small.stream, "fileno") or type(small.stream).__name__ == "BytesIO"
    assert large.stream.fileno() > 0
    assert (small.stream.read(), large.stream.read()) == (b"xxxxx", b"yyyyyy")
    large.close()


def test_a_file_in_more_pieces_than_one_call_takes_reaches_the_disk_in_order():
    content = bytes(range(256)) * 8 * 1024

    form = read_form_sync(cut(file("f", "x", content) + END, 1024), parser_of())

    assert form.files["f"].stream.read() == content
    form.files["f"].close()


@pytest.mark.skipif(not hasattr(os, "writev"), reason="this system has no such call")
def test_a_disk_that_takes_only_a_part_at_once_is_given_the_rest(monkeypatch):
    def first_bytes(descriptor: int, pieces: Iterable[bytes]) -> int:
        return os.write(descriptor, b"".join(pieces)[:70_001])

    monkeypatch.setattr(os, "writev", first_bytes)
    content = bytes(range(256)) * 8 * 1024

    form = read_form_sync(cut(file("f", "x", content) + END, 65_536), parser_of())

    assert form.files["f"].stream.read() == content
    form.files["f"].close()


def test_the_backlog_is_what_long_files_hold_in_memory():
    parser = parser_of(max_file_memory=100)
    backlogs: list[int] = []

    for chunk in [file("f", "x", b"x" * 100), file("g", "y", b"y" * 50)[:-2], b"y" * 60, b"y" * 7]:
        parser.feed(chunk)
        backlogs.append(parser.backlog)
    parser.flush()
    backlogs.append(parser.backlog)
    parser.feed(b"yyy\r\n" + END)
    backlogs.append(parser.backlog)
    parser.flush()

    upload = parser.finish().files["g"]
    assert backlogs == [0, 0, 110, 117, 0, 3]
    assert upload.content_length == 120
    assert upload.stream.read() == b"y" * 120
    upload.close()


def test_flushing_without_a_backlog_does_nothing():
    parser = parser_of(URLENCODED)

    parser.flush()
    parser.close()

    assert parser.backlog == 0


def test_finishing_with_a_backlog_is_an_error_of_the_driver():
    parser = parser_of(max_file_memory=0)
    parser.feed(file("f", "x", b"x") + END)

    with pytest.raises(RuntimeError, match="call flush"):
        parser.finish()


@needs_proc
def test_closing_deletes_the_files_of_a_form_that_was_not_finished():
    before = open_files()
    parser = parser_of(max_file_memory=0)
    parser.feed(file("f", "x", b"x") + file("g", "y", b"y"))
    parser.flush()
    during = open_files()

    parser.close()
    parser.close()

    assert during == before + 2
    assert open_files() == before


def test_closing_after_the_end_leaves_the_files_to_the_form():
    parser = parser_of(max_file_memory=0)
    parser.feed(file("f", "x", b"x") + END)
    parser.flush()
    form = parser.finish()

    parser.close()

    assert form.files["f"].stream.read() == b"x"
    form.files["f"].close()


@needs_proc
@pytest.mark.parametrize("tail", [b"", b"--bound?", field("a", b"x" * 500_000)])
def test_a_form_that_fails_leaves_no_open_files(tail):
    before = open_files()
    chunks = [*cut(file("f", "x", b"x" * 3_000_000), 65536), tail]

    with pytest.raises(FormError):
        read_form_sync(chunks, parser_of())

    assert open_files() == before


# The async driver


async def test_the_async_driver_reads_the_same_form():
    body = field("a", b"1") + file("f", "x", b"x" * 3_000_000) + END

    form = await read_form(later(cut(body, 65536)), parser_of())

    assert form.fields.to_dict() == {"a": "1"}
    assert form.files["f"].stream.read() == b"x" * 3_000_000
    form.files["f"].close()


async def test_the_async_driver_writes_in_a_worker_thread(monkeypatch):
    threads: set[int] = set()
    make = tempfile.TemporaryFile

    def recorded() -> Any:
        threads.add(threading.get_ident())
        return make()

    monkeypatch.setattr("erlen.forms.TemporaryFile", recorded)

    form = await read_form(later([file("f", "x", b"x" * 600_000), END]), parser_of())

    assert len(threads) == 1
    assert threading.get_ident() not in threads
    form.files["f"].close()


async def test_the_async_driver_takes_no_thread_for_what_fits_into_memory(monkeypatch):
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "run_in_executor", None)

    form = await read_form(later([file("f", "x", b"x" * 400_000), END]), parser_of())

    assert form.files["f"].content_length == 400_000


@needs_proc
@pytest.mark.parametrize("error", [asyncio.CancelledError, ConnectionError, BrokenForm])
async def test_the_async_driver_leaves_no_open_files_when_it_is_stopped(error):
    before = open_files()

    def chunks() -> Iterator[bytes]:
        yield from cut(file("f", "x", b"x" * 3_000_000), 65536)
        raise error

    with pytest.raises(error):
        await read_form(later(chunks()), parser_of())

    assert open_files() == before


# Laws


Outcome = tuple[list[tuple[str, str]], list[tuple[str, str, bytes]]] | None


def outcome(chunks: Iterable[bytes], content_type: str, **limits: Any) -> Outcome:
    """Return all that a form has said, or ``None`` if it was refused."""
    try:
        form = read_form_sync(chunks, parser_of(content_type, **limits))
    except FormError:
        return None
    files: list[tuple[str, str, bytes]] = []
    for name, upload in form.files.items(multi=True):
        files.append((name, upload.filename, upload.stream.read()))
        upload.close()
    return list(form.fields.items(multi=True)), files


def chunked(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(body), *(position % (len(body) + 1) for position in cuts)})
    return [body[start:end] for start, end in itertools.pairwise(edges)]


cuts = st.lists(st.integers(0, 2000), max_size=20)
fragments = st.sampled_from(
    [
        b"--bound",
        b"--bound\r\n",
        b"\r\n--bound\r\n",
        b"\r\n--bound--",
        b"--",
        b"\r\n",
        b"\r",
        b"\n",
        b"-",
        b"b",
        b" ",
        b'Content-Disposition: form-data; name="a"',
        b'Content-Disposition: form-data; name="f"; filename="x"',
        b"content-disposition: form-data; name=b; filename*=x",
        b"Content-Length: 3",
        b"\r\n\r\n",
        b": ",
        b'"',
        b"x" * 40,
        b"\xff",
        b"&",
        b"=",
        b"%4",
    ]
)
contents = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"bound", b"x"]), max_size=9).map(b"".join)
parts = st.builds(field, st.sampled_from("ab"), contents) | st.builds(
    file, st.just("f"), st.just("x"), contents, st.sampled_from([b"", b"Content-Type: a/b\r\n"])
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Write a form and cut out, or put in, a few bytes somewhere."""
    body = b"".join(draw(st.lists(parts, max_size=4))) + END
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(fragments) + body[place + draw(st.integers(0, 3)) :]
    return body


bodies = st.one_of(
    damaged(),
    st.binary(max_size=300),
    st.lists(st.one_of(fragments, st.binary(max_size=4)), max_size=30).map(b"".join),
)


@given(body=bodies, cuts=cuts, content_type=st.sampled_from([URLENCODED, MULTIPART]))
@settings(max_examples=200, deadline=None)
def test_no_bytes_do_worse_than_an_error_and_no_cuts_change_the_outcome(body, cuts, content_type):
    limits = {"max_memory": 60, "max_parts": 4, "max_header_bytes": 150, "max_file_memory": 20}

    whole = outcome([body], content_type, **limits)

    assert outcome(chunked(body, cuts), content_type, **limits) == whole
    assert outcome(cut(body, 1), content_type, **limits) == whole


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), max_size=9)


@given(
    fields=st.lists(st.tuples(names, texts), max_size=5),
    files=st.lists(st.tuples(names, names, st.binary(max_size=60)), max_size=3),
    cuts=cuts,
)
@settings(deadline=None)
def test_what_a_browser_writes_is_what_is_read(fields, files, cuts):
    def quoted(name: str) -> str:
        return name.replace("%22", "").replace('"', "%22")

    body = b"".join(field(quoted(name), value.encode()) for name, value in fields)
    body += b"".join(file(quoted(name), quoted(given), data) for name, given, data in files)

    result = outcome(chunked(body + END, cuts), MULTIPART, max_file_memory=30)

    clean = [(name.replace("%22", ""), value) for name, value in fields]
    sent = [(n.replace("%22", ""), g.replace("%22", ""), data) for n, g, data in files]
    assert result is not None
    assert sorted(result[0]) == sorted(clean)
    assert sorted(result[1]) == sorted(sent)


@given(content_type=st.text(max_size=60), body=bodies)
@settings(deadline=None)
def test_no_content_type_does_worse_than_an_error(content_type, body):
    parser = form_parser("multipart/form-data;" + content_type, FormLimits())
    assert parser is not None

    try:
        parser.feed(body)
        parser.finish()
    except FormError:
        pass
