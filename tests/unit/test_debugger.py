"""The traceback page: what it shows, what it hides, and that it believes nothing."""

from __future__ import annotations

import importlib
import json
import re
import sys
from html import unescape

import jinja2
import pytest

from erlen.debugger import traceback_page, traceback_text
from erlen.debugger.failures import failure_of

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def scope(accept=BROWSER, path="/cart", query=b"", **changes):
    headers = [(b"host", b"localhost")]
    if accept is not None:
        headers.append((b"accept", accept.encode()))
    base = {"type": "http", "method": "GET", "path": path, "query_string": query}
    return {**base, "headers": headers, "client": ("127.0.0.1", 5), **changes}


def raised(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error
    raise RuntimeError("nothing was raised")


def divide(number):
    return 10 // number


def page(error, **options):
    return traceback_page(error, scope(**options)).body.decode()


def text_of(html):
    body = re.sub(r"(?s)<style>.*?</style>", "", html)
    return unescape(re.sub(r"<[^>]*>", "", body))


def test_a_browser_gets_a_page_with_error_request_and_source():
    response = traceback_page(raised(divide, 0), scope(path="/cart", query=b"user=7"))

    html = response.body.decode()
    assert response.status_code == 500
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>ZeroDivisionError: integer division or modulo by zero</title>" in html
    assert "GET /cart?user=7" in text_of(html)
    assert "return <mark>10 // number</mark>" in html


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "application/json"])
def test_who_does_not_prefer_html_gets_the_traceback_as_text(accept):
    response = traceback_page(raised(divide, 0), scope(accept, query=b"a=1"))

    text = response.body.decode()
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.startswith("GET /cart?a=1\n\nTraceback (most recent call last):\n")
    assert text.endswith("ZeroDivisionError: integer division or modulo by zero\n")


def test_nothing_may_be_loaded_run_or_kept():
    headers = traceback_page(raised(divide, 0), scope()).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none';")


def test_the_page_names_no_other_address():
    html = page(raised(divide, 0))

    assert re.findall(r"(?:https?:)?//[a-z]|url\(|<script|<link|<img", html) == []


EVIL = "<script>alert('x')</script>&\"<b>"


class EvilError(Exception):
    pass


EvilError.__qualname__ = EVIL


def evil_note():
    error = ValueError("plain")
    error.add_note(EVIL)
    raise error


def evil_message():
    raise ValueError(EVIL)


def evil_kind():
    raise EvilError


def evil_source():
    exec(compile("raise ValueError", f"/tmp/{EVIL}.py", "exec"))


def evil_function():
    code = divide.__code__.replace(co_name=EVIL, co_qualname=EVIL)
    type(divide)(code, {})(0)


@pytest.mark.parametrize(
    "function", [evil_note, evil_message, evil_kind, evil_source, evil_function]
)
def test_everything_of_the_error_is_escaped(function):
    html = page(raised(function))

    assert "<script>" not in html
    assert "<b>" not in html
    assert EVIL in text_of(html)


def test_everything_of_the_request_is_escaped():
    headers = [(b"accept", b"text/html"), (b"x-<b>", EVIL.encode())]
    evil = scope(path=f"/{EVIL}", query=EVIL.encode(), method=EVIL, headers=headers)

    html = traceback_page(raised(divide, 0), evil).body.decode()

    assert "<script>" not in html
    assert "<b>" not in html.lower()


def test_control_characters_of_a_client_never_reach_a_terminal():
    error = raised(int, "\x1b[2J\x07")

    for sent in ("*/*", BROWSER):
        body = traceback_page(error, scope(sent, path="/\x1b[31m", query=b"\x1b")).body
        assert b"\x1b" not in body

    assert "\x1b" not in traceback_text(ValueError("\x1b[2J\tx"))
    assert "\\x1b[2J\tx" in traceback_text(ValueError("\x1b[2J\tx"))


def test_text_that_is_no_unicode_is_shown_all_the_same():
    html = page(ValueError("\udcff"))

    assert "\\udcff" in html


def test_credentials_are_not_shown():
    headers = [
        (b"accept", b"text/html"),
        (b"cookie", b"session=topsecret"),
        (b"authorization", b"Bearer topsecret"),
        (b"user-agent", b"Firefox"),
    ]

    html = traceback_page(raised(divide, 0), scope(headers=headers)).body.decode()

    assert "topsecret" not in html
    assert "Firefox" in html


def test_a_scope_of_which_little_is_known_gets_a_page_too():
    bare = {"type": "websocket", "path": "/ws", "headers": [(b"Accept", b"text/html")]}

    html = traceback_page(raised(divide, 0), bare).body.decode()

    assert "WEBSOCKET /ws" in html


def test_frames_of_the_app_are_open_and_those_of_libraries_folded():
    html = page(raised(json.loads, "["))

    (folded,) = re.findall(r"(?s)<details class=library>.*?<summary>(.*?)</summary>", html)
    assert folded == "3 calls in Python"
    assert len(re.findall("<details class=frame open>", html)) == 1
    assert len(re.findall("<details class=frame>", html)) == 3


def test_an_error_with_library_frames_only_shows_the_last_of_them():
    error = raised(json.loads, "[")
    error.__traceback__ = error.__traceback__.tb_next

    html = page(error)

    assert html.count("<details class=frame open>") == 1
    assert "2 calls in Python" in html


def test_one_library_frame_alone_is_open_and_folds_nothing():
    error = raised(json.loads, "[")
    while error.__traceback__.tb_next is not None:
        error.__traceback__ = error.__traceback__.tb_next

    html = page(error)

    assert "class=library" not in html
    assert html.count("<details class=frame open>") == 1


def test_one_folded_call_is_called_one():
    error = raised(importlib.import_module, "no_such_module.at_all")
    frames = failure_of(error).frames

    assert frames[1].library == "Python"
    assert "1 call in Python" in page(raised(lambda: json.JSONDecoder().raw_decode("[")))


def test_a_cause_is_shown_with_what_it_caused():
    def load():
        try:
            divide(0)
        except ArithmeticError as error:
            raise LookupError("no cart") from error

    text = text_of(page(raised(load)))

    assert text.index("no cart") < text.index("This was caused by") < text.index("ZeroDivisionErr")


def test_an_error_while_another_is_handled_says_so():
    def load():
        try:
            divide(0)
        except ArithmeticError:
            raise LookupError("no cart")  # noqa: B904

    assert "This happened while another error was handled" in page(raised(load))


def test_a_suppressed_context_stays_away():
    def load():
        try:
            divide(0)
        except ArithmeticError:
            raise LookupError("no cart") from None

    failure = failure_of(raised(load))

    assert (failure.earlier, failure.relation) == (None, "")


def test_a_ring_of_causes_ends():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert page(first).count("This was caused by") == 1


def test_a_long_chain_of_causes_is_cut():
    error = ValueError("0")
    for number in range(1, 50):
        after = ValueError(str(number))
        after.__cause__ = error
        error = after

    assert page(error).count("This was caused by") == 20


def test_a_group_shows_each_of_its_errors():
    group = ExceptionGroup("several", [raised(divide, 0), raised(int, "x")])

    html = page(group)

    assert html.count("<section class=member>") == 2
    assert "ZeroDivisionError" in html
    assert "invalid literal for int()" in html


def test_a_large_group_is_cut_and_says_so():
    group = ExceptionGroup("many", [ValueError(str(number)) for number in range(20)])

    html = page(group)

    assert html.count("<section class=member>") == 15
    assert "5 more are not shown." in html


def test_notes_are_shown():
    error = raised(divide, 0)
    error.add_note("It was a full moon.")

    assert "It was a full moon." in page(error)


def test_an_error_whose_text_cannot_be_read_is_shown_by_its_kind():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    failure = failure_of(Mute())

    assert failure.message == "(the text of this exception cannot be read: its __str__ raises)"
    assert failure.kind.endswith("Mute")


def test_an_error_that_was_never_raised_has_no_frames_and_a_page():
    html = page(ValueError())

    assert "<h1>ValueError</h1>" in html
    assert "class=message" not in html


def test_a_recursion_is_one_frame_and_a_count():
    def forever():
        return forever()

    failure = failure_of(raised(forever))

    assert len(failure.frames) == 2
    assert failure.frames[1].repeated > 100
    assert re.search(r"class=times>\d+ times<", page(raised(forever)))


def test_many_different_frames_are_cut_in_the_middle():
    def ping():
        return pong()

    def pong():
        return ping()

    failure = failure_of(raised(ping))

    assert len(failure.frames) == 120
    assert failure.frames[40].left_out > 100
    assert f"{failure.frames[40].left_out} calls left out" in page(raised(ping))


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def write(source, name="shop_of_test"):
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        sys.modules.pop(name, None)
        return name

    return write


def test_a_syntax_error_shows_its_place(module):
    name = module("x = 1\n\ndef index(:\n    pass\n")

    error = raised(importlib.import_module, name)

    frame = failure_of(error).frames[-1]
    assert (frame.place, frame.line, frame.function) == ("shop_of_test.py", 3, "")
    assert failure_of(error).message == "invalid syntax"
    assert "def index(<mark>:</mark>" in page(error)


def test_a_syntax_error_over_several_lines_is_marked_to_the_end_of_the_first(module):
    module("x = f(a for a in\n    b, c)\n")
    error = SyntaxError("bad", ("shop_of_test.py", 1, 7, "x = f(a for a in", 2, 6))

    assert "x = f(<mark>a for a in</mark>" in page(error)


def test_the_text_of_a_syntax_error_is_its_place_alone(module):
    name = module("def index(:\n    pass\n")

    error = raised(importlib.import_module, name)
    error.__traceback__ = error.__traceback__.tb_next

    assert traceback_text(error).startswith('  File "')


def test_a_syntax_error_without_a_place_is_an_error_like_others():
    assert failure_of(SyntaxError("odd")).frames == ()


def test_the_line_of_a_template_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cart.html").write_text("<ul>\n{{ item.price.of }}\n</ul>")
    template = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path)).get_template(
        "cart.html"
    )

    frames = failure_of(raised(lambda: template.render(item=1))).frames

    (frame,) = (frame for frame in frames if frame.place == "cart.html")
    assert (frame.line, frame.function) == (2, "top-level template code")
    assert "{{ item.price.of }}" in [line.text for line in frame.source]


def test_the_guilty_part_is_found_behind_letters_of_several_bytes(module):
    name = module('def run():\n    grüße = "ä"; return int(grüße)\n\n\n')

    error = raised(importlib.import_module(name).run)

    assert "return <mark>int(grüße)</mark>" in page(error)


def test_a_call_over_several_lines_is_marked_to_the_end_of_the_first(module):
    name = module("def run():\n    return int(\n        'x',\n    )\n")

    error = raised(importlib.import_module(name).run)

    assert "return <mark>int(</mark>" in page(error)


def test_blank_lines_around_the_source_are_left_out(module):
    name = module("\n\ndef run():\n    return 1 / 0\n\n\n")

    source = failure_of(raised(importlib.import_module(name).run)).frames[-1].source

    assert [line.number for line in source] == [3, 4]


def test_a_frame_without_columns_marks_the_whole_line(module):
    name = module("def run():\n    raise ValueError  # why\n")
    run = importlib.import_module(name).run
    run.__code__ = run.__code__.replace(co_linetable=without_columns(run.__code__))

    source = failure_of(raised(run)).frames[-1].source

    assert source[-1].text[slice(*source[-1].marked)] == "raise ValueError  # why"


def without_columns(code):
    """Return a line table of the kind PY_CODE_LOCATION_INFO_NO_COLUMNS for *code*."""
    table, line = bytearray(), code.co_firstlineno
    for _, units, now in ((start, (end - start) // 2, at) for start, end, at in code.co_lines()):
        delta, line = now - line, now
        for first in range(0, units, 8):
            count = min(8, units - first)
            table.append(0x80 | (13 << 3) | (count - 1))
            table.append((delta << 1) if first == 0 else 0)
    return bytes(table)


def test_code_without_a_file_shows_its_name_and_line():
    # Python 3.13 has lines for "<string>", where it was started with -c.
    html = page(raised(exec, compile("1 / 0", "<of a test>", "exec")))

    assert "<div class=frame><p class=head>" in html
    assert "&lt;of a test&gt;" in html


def test_files_are_named_from_where_the_server_runs(module):
    name = module("1 / 0\n")

    frames = failure_of(raised(importlib.import_module, name)).frames

    assert frames[-1].place == "shop_of_test.py"
    assert frames[0].place == __file__


@pytest.mark.parametrize(
    ("file", "library", "place"),
    [
        ("<frozen importlib._bootstrap>", "Python", "<frozen importlib._bootstrap>"),
        ("/venv/site-packages/click/core.py", "click", "click/core.py"),
        ("/usr/lib/python3/dist-packages/six.py", "six", "six.py"),
        (json.__file__, "Python", json.__file__),
        (sys.modules["erlen.app"].__file__, "erlen", "erlen/app.py"),
        ("/srv/shop/app.py", "", "/srv/shop/app.py"),
    ],
)
def test_each_file_is_named_with_its_library(file, library, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    frame = failure_of(raised(exec, compile("1 / 0", file, "exec"))).frames[-1]

    assert (frame.library, frame.place) == (library, place)
    assert frame.is_yours is (library == "")


def test_text_starts_with_the_code_of_the_app():
    error = raised(divide, 0)
    inner = error.__traceback__

    assert traceback_text(error).splitlines()[1].endswith("in raised")
    error.__traceback__ = inner.tb_next
    assert traceback_text(error).splitlines()[1].endswith("in divide")
