from __future__ import annotations

import asyncio
import errno
import io
import os
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from erlen.headers import RequestHeaders
from erlen.uploads import SyncUploadFile, UploadFile

LINES = b"one\ntwo\nthree"


def upload(content: bytes = LINES, **names: Any) -> UploadFile:
    return UploadFile(io.BytesIO(content), **names)


def sync_upload(content: bytes = LINES) -> SyncUploadFile:
    return SyncUploadFile(io.BytesIO(content))


@pytest.fixture
def on_disk() -> Iterator[UploadFile]:
    with tempfile.TemporaryFile() as stream:
        stream.write(LINES)
        stream.seek(0)
        yield UploadFile(stream)


class Recorded(io.BytesIO):
    """A file that is no plain BytesIO, so that reading it may block; remembers who read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.threads: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(size)


class Failing(io.BytesIO):
    """A file that breaks after its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError(errno.EIO, "broken")
        return super().read(3)


def test_it_is_false_without_a_file_name():
    assert not UploadFile()
    assert not upload(filename="")
    assert upload(filename="x.txt")


def test_it_says_what_it_is():
    headers = RequestHeaders([(b"content-type", b"Text/Plain; charset=x"), (b"x-a", b"b")])

    file = upload(filename="a/../b.txt", name="doc", content_type="image/png", headers=headers)

    assert (file.name, file.filename) == ("doc", "a/../b.txt")
    assert file.content_type == "Text/Plain; charset=x"
    assert (file.mimetype, file.mimetype_params) == ("text/plain", {"charset": "x"})
    assert file.headers["X-A"] == "b"
    assert repr(file) == "<UploadFile 'a/../b.txt' ('Text/Plain; charset=x')>"


def test_a_content_type_can_be_given_without_headers():
    assert upload(content_type="image/png").headers["content-type"] == "image/png"


def test_without_a_content_type_the_mimetype_is_empty():
    assert upload().content_type is None
    assert (upload().mimetype, upload().mimetype_params) == ("", {})


def test_the_length_is_measured_and_the_position_kept():
    file = upload()
    file.stream.seek(4)

    assert file.content_length == len(LINES)
    assert file.tell() == 4


def test_a_given_length_is_believed():
    assert upload(content_length=7).content_length == 7


def test_pieces_are_joined_when_somebody_looks():
    file = UploadFile(pieces=[b"ab", bytearray(b"cd")])

    assert file.stream.read() == b"abcd"
    assert file.stream is file.stream


@pytest.mark.parametrize("file", [upload(), UploadFile(pieces=[b"x"]), UploadFile()])
def test_a_closed_file_cannot_be_read(file):
    file.close()
    file.close()

    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.stream.read()


# def code


def test_in_def_code_it_is_a_file():
    file = sync_upload()

    assert file.read(3) == b"one"
    assert file.readline() == b"\n"
    assert file.tell() == 4
    assert file.seek(-5, os.SEEK_END) == 8
    assert file.read() == b"three"
    assert file.seek(0) == 0
    assert file.readlines(1) == [b"one\n"]
    assert list(file) == [b"two\n", b"three"]


def test_in_def_code_libraries_take_it_for_a_file():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "text")

    file: Any = upload(content.getvalue(), filename="a.zip")

    assert zipfile.ZipFile(file).read("a.txt") == b"text"


def test_what_no_file_has_it_has_not():
    file: Any = upload()

    with pytest.raises(AttributeError, match="shout"):
        file.shout()
    with pytest.raises(AttributeError, match="_secret"):
        file._secret()


@pytest.mark.parametrize("path_type", [str, Path])
def test_save_writes_to_a_path(tmp_path, path_type):
    sync_upload().save(path_type(tmp_path / "new"))

    assert (tmp_path / "new").read_bytes() == LINES


def test_save_writes_to_a_file():
    target = io.BytesIO()

    sync_upload().save(target, 2)

    assert target.getvalue() == LINES


def test_save_writes_what_is_not_read_yet(tmp_path):
    file = sync_upload()
    file.read(4)

    file.save(tmp_path / "new")

    assert (tmp_path / "new").read_bytes() == LINES[4:]


def test_save_overwrites_a_file(tmp_path):
    (tmp_path / "old").write_bytes(b"x" * 100)

    sync_upload().save(tmp_path / "old")

    assert (tmp_path / "old").read_bytes() == LINES


def test_save_gives_new_files_the_permissions_of_the_process(tmp_path):
    umask = os.umask(0o027)
    try:
        sync_upload().save(tmp_path / "new")
    finally:
        os.umask(umask)

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="the system follows every link")
@pytest.mark.parametrize("target_exists", [True, False])
def test_save_follows_no_symbolic_link(tmp_path, target_exists):
    target = tmp_path / "target"
    if target_exists:
        target.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(target)

    with pytest.raises(OSError, match="symbolic link") as caught:
        sync_upload().save(tmp_path / "link")

    assert caught.value.filename == str(tmp_path / "link")
    assert target.exists() == target_exists
    assert not target_exists or target.read_bytes() == b"precious"


def test_save_says_what_the_system_says(tmp_path):
    with pytest.raises(IsADirectoryError):
        sync_upload().save(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_upload().save(tmp_path / "no" / "such")


def test_save_removes_a_new_file_that_it_cannot_finish(tmp_path):
    file = SyncUploadFile(Failing(LINES))

    with pytest.raises(OSError, match="broken"):
        file.save(tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_save_leaves_an_old_file_that_it_cannot_finish(tmp_path):
    (tmp_path / "old").write_bytes(b"x")

    with pytest.raises(OSError, match="broken"):
        SyncUploadFile(Failing(LINES)).save(tmp_path / "old")

    assert (tmp_path / "old").exists()


# async def code


async def test_in_async_code_everything_that_reads_is_awaited(on_disk):
    for file in [upload(), on_disk]:
        assert await file.read(3) == b"one"
        assert await file.readline() == b"\n"
        assert file.tell() == 4
        assert await file.seek(-5, os.SEEK_END) == 8
        assert await file.read() == b"three"
        assert await file.seek(0) == 0
        assert await file.readlines(1) == [b"one\n"]


async def test_in_async_code_lines_come_by_async_for(on_disk):
    for file in [upload(), on_disk]:
        assert [line async for line in file] == [b"one\n", b"two\n", b"three"]


async def test_in_async_code_iterating_says_what_to_do():
    with pytest.raises(TypeError, match="async for line in file"):
        list(upload())  # type: ignore[call-overload]


async def test_in_async_code_a_value_that_is_not_awaited_says_so():
    read: Any = upload().read()

    with pytest.raises(TypeError, match=r"file\.read\(\) must be awaited"):
        read[:2]


@pytest.mark.parametrize("call", ["save", "seek"])
async def test_in_async_code_a_forgotten_await_warns(call, tmp_path):
    argument: Any = tmp_path / "new" if call == "save" else 0

    with pytest.warns(RuntimeWarning, match=f"'UploadFile.{call}' was never awaited"):
        getattr(upload(), call)(argument)

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("to_file", [False, True])
async def test_in_async_code_save_writes_in_a_worker_thread(tmp_path, to_file):
    source = Recorded(LINES)
    target: IO[bytes] | Path = io.BytesIO() if to_file else tmp_path / "new"

    await UploadFile(source).save(target)

    written = target.getvalue() if isinstance(target, io.BytesIO) else target.read_bytes()
    assert written == LINES
    assert source.threads
    assert threading.get_ident() not in source.threads


async def test_in_async_code_a_file_on_disk_is_read_in_a_worker_thread():
    source = Recorded(LINES)

    assert await UploadFile(source).read() == LINES
    assert source.threads
    assert threading.get_ident() not in source.threads


async def test_in_async_code_a_file_in_memory_takes_no_thread(monkeypatch):
    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", None)

    assert await upload().read() == LINES
    assert await UploadFile(pieces=[b"a", b"b"]).read() == b"ab"


async def test_a_worker_thread_sees_plain_values():
    assert await asyncio.to_thread(sync_upload().read) == LINES
