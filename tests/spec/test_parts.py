"""``request.parts()``: a multipart upload in pieces, in both faces, and never on the disk."""

from __future__ import annotations

import io
import tempfile
import tracemalloc

import httpx
import pytest

from erlen import Erlen, request, sync
from erlen.exceptions import BadRequest
from erlen.formlimits import FormLimits
from erlen.parts import Parts
from erlen.splitter import Splitter
from tests.exchanges import Exchange, cancelled_everywhere
from tests.serving import PATIENCE, served

TYPE = (b"content-type", b"multipart/form-data; boundary=xx")
HEADERS = {"Content-Type": "multipart/form-data; boundary=xx"}
BODY = (
    b'--xx\r\nContent-Disposition: form-data; name="title"\r\n\r\nCats\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nfirst\r\n--x second\r\n"
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n'
    b"--xx--\r\n"
)
PARTS = [
    ["title", None, None, "Cats"],
    ["file", "a.txt", "text/plain", "first\r\n--x second"],
    ["file", "", None, ""],
]


def app_of(colour, **options):
    app = Erlen("parts")
    if colour == "async":

        @app.post("/", **options)
        async def view():
            return [
                [part.name, part.filename, part.mimetype or None, (await part.read()).decode()]
                async for part in request.parts()
            ]
    else:

        @app.post("/", **options)
        def view():
            return [
                [part.name, part.filename, part.mimetype or None, part.read().decode()]
                for part in sync.request.parts()
            ]

    return app


COLOURS = [
    pytest.param("async", {}, id="async def"),
    pytest.param("def", {"stream_body": True}, id="def, streamed"),
    pytest.param("def", {}, id="def, read ahead"),
]


@pytest.mark.parametrize(("colour", "options"), COLOURS)
@pytest.mark.parametrize("size", [1, 2, 7, 64, len(BODY)])
async def test_the_parts_come_in_order_however_the_body_comes(colour, options, size):
    body = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    length = (b"content-length", str(len(BODY)).encode())
    exchange = Exchange(app_of(colour, **options), method="POST", headers=[TYPE, length], body=body)

    await exchange.run()

    exchange.check()
    assert exchange.status == 200, exchange.body
    assert httpx.Response(200, content=exchange.body).json() == PARTS


@pytest.mark.parametrize(("colour", "options"), COLOURS)
async def test_a_part_is_read_in_pieces_of_any_size(colour, options):
    app = Erlen("pieces")
    seen = []

    if colour == "async":

        @app.post("/", **options)
        async def view():
            async for part in request.parts():
                seen.append([await part.read(0), await part.read(4), await part.read(9)])
                seen.append([chunk async for chunk in part])
                seen.append([await part.read(), await part.read(1)])
            return ""
    else:

        @app.post("/", **options)
        def view():
            for part in sync.request.parts():
                seen.append([part.read(0), part.read(4), part.read(9)])
                seen.append(list(part))
                seen.append([part.read(), part.read(1)])
            return ""

    await app.test_client().post("/", files={"file": (io.BytesIO(b"0123456789abcdef"), "a.txt")})

    assert seen == [[b"", b"0123", b"456789abc"], [b"def"], [b"", b""]]


async def test_what_is_not_read_of_a_part_is_passed_over():
    app = Erlen("pass")

    @app.post("/")
    async def view():
        parts = request.parts()
        first = await anext(parts)
        names = [first.name, *[part.name async for part in parts]]
        with pytest.raises(RuntimeError, match="Read each part before the next one"):
            await first.read()
        return names

    response = await app.test_client().post("/", data=BODY, headers=HEADERS)

    assert response.json == ["title", "file", "file"]


async def test_the_headers_of_a_part_are_there():
    app = Erlen("headers")

    @app.post("/")
    async def view():
        return [
            (part.content_type, part.headers["Content-Disposition"], repr(part))
            async for part in request.parts()
            if part.filename
        ]

    response = await app.test_client().post("/", data=BODY, headers=HEADERS)

    assert response.json == [
        [
            "text/plain; charset=utf-8",
            'form-data; name="file"; filename="a.txt"',
            "<Part 'file' 'a.txt' ('text/plain; charset=utf-8')>",
        ]
    ]


@pytest.mark.parametrize(("colour", "options"), COLOURS)
@pytest.mark.parametrize(
    ("body", "config", "status"),
    [
        pytest.param(BODY[:-8], {}, 400, id="no end"),
        pytest.param(BODY.replace(b'name="title"', b""), {}, 400, id="no name"),
        pytest.param(b"--yy--", {}, 400, id="another boundary"),
        pytest.param(BODY, {"MAX_FORM_PARTS": 2}, 413, id="many parts"),
        pytest.param(BODY, {"MAX_FORM_MEMORY_SIZE": 8}, 413, id="long field"),
        pytest.param(BODY, {"MAX_CONTENT_LENGTH": 100}, 413, id="long body"),
        pytest.param(BODY, {"MAX_FORM_PARTS": 3, "MAX_FORM_MEMORY_SIZE": 9}, 200, id="just fits"),
    ],
)
async def test_the_limits_of_forms_hold(colour, options, body, config, status):
    app = app_of(colour, **options)
    app.config.update(config)

    response = await app.test_client().post("/", data=body, headers=HEADERS)

    assert response.status_code == status


@pytest.mark.parametrize(("colour", "options"), COLOURS)
async def test_a_body_of_another_type_has_no_parts(colour, options):
    response = await app_of(colour, **options).test_client().post("/", data={"a": "b"})

    assert response.status_code == 415


async def test_an_error_is_raised_as_often_as_it_is_met():
    app = Erlen("again")

    @app.post("/")
    async def view():
        parts = request.parts()
        for _ in range(2):
            with pytest.raises(BadRequest):
                await anext(parts)
        return "seen"

    response = await app.test_client().post("/", data=b"--yy--", headers=HEADERS)

    assert response.text == "seen"


async def test_a_form_is_read_in_one_way_or_the_other():
    app = Erlen("once")

    @app.post("/parts")
    async def parts_first():
        assert [part.name async for part in request.parts()] == ["title", "file", "file"]
        with pytest.raises(RuntimeError, match=r"request\.parts\(\) was called"):
            await request.form
        with pytest.raises(RuntimeError, match="The parts of this form are gone"):
            request.parts()
        return "seen"

    @app.post("/form")
    async def form_first():
        assert (await request.form)["title"] == "Cats"
        with pytest.raises(RuntimeError, match="The parts of this form are gone"):
            request.parts()
        return "seen"

    @app.post("/both")
    async def body_first():
        await request.get_data()
        assert (await request.form)["title"] == "Cats"
        return [part.name async for part in request.parts()]

    client = app.test_client()
    for path in ("/parts", "/form"):
        assert (await client.post(path, data=BODY, headers=HEADERS)).text == "seen"
    response = await client.post("/both", data=BODY, headers=HEADERS)
    assert response.json == ["title", "file", "file"]


async def test_each_colour_has_its_own_loop():
    app = Erlen("wrong")

    @app.post("/")
    async def view():
        with pytest.raises(TypeError, match="async for part in"):
            list(request.parts())
        return "seen"

    @app.post("/part")
    async def view_of_part():
        async for part in request.parts():
            with pytest.raises(TypeError, match="async for chunk in part"):
                list(part)
            with pytest.raises(TypeError, match=r"part\.read\(\) must be awaited here"):
                len(part.read())
        return "seen"

    client = app.test_client()
    for path in ("/", "/part"):
        assert (await client.post(path, data=BODY, headers=HEADERS)).text == "seen"


@pytest.mark.parametrize("colour", ["async", "def"])
async def test_a_large_upload_takes_no_memory_and_no_disk(colour, monkeypatch):
    size = 32 * 1024 * 1024
    app = Erlen("large")

    if colour == "async":

        @app.post("/", max_content_length=None)
        async def view():
            total = 0
            async for part in request.parts():
                async for chunk in part:
                    total += len(chunk)
            return str(total)
    else:

        @app.post("/", max_content_length=None, stream_body=True)
        def view():
            total = 0
            for part in sync.request.parts():
                while chunk := part.read(100_000):
                    total += len(chunk)
            return str(total)

    async def body():
        yield BODY[: BODY.index(b"first")]
        for _ in range(size // 65536):
            yield b"x" * 65536
        yield b"\r\n--xx--\r\n"

    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    async with served(app) as host, httpx.AsyncClient(timeout=PATIENCE) as client:
        tracemalloc.start()
        response = await client.post(f"http://{host}/", content=body(), headers=HEADERS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert response.text == str(size + len("Cats"))
    assert peak < size / 4


async def test_the_parts_of_a_client_that_leaves_end_the_view():
    app = Erlen("leaves")
    seen = []
    app.teardown_request(lambda error: seen.append("teardown"))

    @app.post("/")
    async def view():
        async for part in request.parts():
            seen.append(part.name)
            await part.read()

    exchange = Exchange(
        app, method="POST", headers=[TYPE], body=[BODY[:200], BODY[200:]], leaves_after=1
    )
    await exchange.run()

    exchange.check()
    assert seen == ["title", "file", "teardown"]


async def test_parts_know_nothing_of_requests():
    chunks = iter((BODY, b""))

    async def next_chunk():
        return next(chunks)

    splitter = Splitter("multipart/form-data; boundary=xx", FormLimits())
    names = [part.name async for part in Parts(lambda: next_chunk, splitter, lambda error: error)]

    assert names == ["title", "file", "file"]


@pytest.mark.parametrize(
    "tail", [b"\r", b"\r\n", b"\r\n--x", b"\n--xx", b"\r\r\n-", b"\r\n--xy--", b""]
)
async def test_content_that_begins_like_a_boundary_stays_content(tail):
    head = b'--xx\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n'
    content = [b"1" + tail, b"2" + tail, b"3" * 100 + tail, b"4"]
    end = b"\r\n--xx--"
    for cut in range(len(end)):
        pieces = [head, *content[:-1], content[-1] + end[:cut], end[cut:], b""]
        splitter = Splitter("multipart/form-data; boundary=xx", FormLimits())
        waiting = iter(pieces)

        async def next_chunk(waiting=waiting):
            return next(waiting)

        parts = Parts(lambda: next_chunk, splitter, lambda error: error)
        assert [await part.read() async for part in parts] == [b"".join(content)]


async def test_a_body_that_was_read_before_its_first_part_has_all_its_parts():
    app = Erlen(__name__)

    @app.post("/")
    async def upload():
        parts = request.parts()
        data = await request.get_data()
        return {"size": len(data), "names": [part.name async for part in parts]}

    async with app.test_client() as client:
        response = await client.post("/", data=BODY, headers={"content-type": TYPE[1].decode()})

    assert response.json == {"size": len(BODY), "names": ["title", "file", "file"]}


@pytest.mark.parametrize(("colour", "options"), COLOURS)
async def test_an_upload_in_parts_may_be_cancelled_anywhere(colour, options, caplog):
    async def cancel_at(number):
        torn = []
        app = app_of(colour, **options)
        app.teardown_request(lambda error: torn.append("torn down"))
        pieces = [BODY[start : start + 100] for start in range(0, len(BODY), 100)]
        length = (b"content-length", str(len(BODY)).encode())
        exchange = Exchange(
            app, method="POST", headers=[TYPE, length], body=pieces, cancel_at=number
        )
        await exchange.run()
        exchange.check()
        assert len(torn) == 1
        assert caplog.text == ""
        await app.close_worker_pool()
        return exchange

    assert await cancelled_everywhere(cancel_at) > 2
