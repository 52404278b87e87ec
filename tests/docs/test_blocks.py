"""The harness of the examples can fail, and says where."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs.blocks import Page, PageError, read_page, run


def page_of(folder: Path, text: str) -> Page:
    path = folder / "page.md"
    path.write_text(dedent(text), "utf-8")
    return read_page(path)


def play(folder: Path, text: str) -> Page:
    page = page_of(folder, text)
    page.write(folder)
    run(page, folder)
    return page


def test_blocks_of_a_page_share_a_module_and_keep_their_lines(tmp_path):
    page = page_of(
        tmp_path,
        """\
        # Title
        ```python
        one = 1
        ```
        Words.
        ```{code-block} python
        :caption: two
        two = one + 1
        ```
        """,
    )

    (file,) = page.files.values()

    assert file.name == "page_1.py"
    assert file.text == "\n\none = 1\n\n\n\n\ntwo = one + 1\n"


def test_a_second_app_begins_a_new_module(tmp_path):
    page = page_of(
        tmp_path,
        """\
        ```python
        from erlen import Erlen
        ```
        ```python
        app = Erlen(__name__)
        ```
        ```python
        app = Erlen("other")
        ```
        """,
    )

    assert page.modules == ["page_1", "page_2"]
    assert "import" in page.files["page_1.py"].text
    assert "other" in page.files["page_2.py"].text


def test_an_indented_block_in_a_longer_fence_is_found(tmp_path):
    page = page_of(
        tmp_path,
        """\
        - ````{note}
          ```python
          if True:
              x = 1
          ```
          ````
        """,
    )

    (file,) = page.files.values()

    assert file.text.strip() == "if True:\n    x = 1"


def test_a_named_block_is_a_file_that_others_import(tmp_path):
    play(
        tmp_path,
        """\
        <!-- file: shop_of_docs/prices.py -->
        ```python
        tea = 3
        ```
        <!-- file: templates/list.html -->
        ```html
        <p>tea</p>
        ```
        ```python
        from pathlib import Path
        from shop_of_docs.prices import tea
        html = Path(__file__).with_name("templates").joinpath("list.html").read_text()
        ```
        <!-- check
        assert tea == 3
        assert html == "<p>tea</p>\\n"
        -->
        """,
    )

    assert "shop_of_docs.prices" not in sys.modules


def test_other_languages_and_skipped_blocks_do_not_run(tmp_path):
    page = play(
        tmp_path,
        """\
        ```bash
        exit 1
        ```
        <!-- skip: fragment of another framework -->
        ```python
        raise SystemExit
        ```
        """,
    )

    assert page.modules == []


def test_a_check_that_fails_names_the_page_and_the_line(tmp_path):
    with pytest.raises(AssertionError) as caught:
        play(
            tmp_path,
            """\
            ```python
            x = 1
            ```
            <!-- check

            assert x == 2
            -->
            """,
        )

    entry = caught.traceback[-1]
    assert (entry.path, entry.lineno + 1) == (tmp_path / "page.md", 6)


def test_a_check_may_await_and_runs_when_all_blocks_have_run(tmp_path):
    play(
        tmp_path,
        """\
        ```python
        import asyncio
        seen = []
        ```
        <!-- check
        await asyncio.sleep(0)
        assert seen == ["later"]
        -->
        ```python
        seen.append("later")
        ```
        """,
    )


def test_a_block_that_fails_names_its_line(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        play(tmp_path, "Words.\n\n```python\n1 / 0\n```\n")

    assert caught.traceback[-1].lineno + 1 == 4


MISTAKES = {
    "an unknown reason": "<!-- skip: lazy -->\n```python\n```",
    "a skip without a reason": "<!-- skip -->\n```python\n```",
    "a check before any block": "<!-- check\nassert True\n-->",
    "a check without an end": "```python\n```\n<!-- check\nassert True",
    "a check on one line": "```python\n```\n<!-- check assert True -->",
    "a block without an end": "```python\nx = 1",
    "a file without a block": "<!-- file: a.py -->",
}


@pytest.mark.parametrize("text", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_the_page_is_an_error(tmp_path, text):
    with pytest.raises(PageError, match=r"page\.md"):
        page_of(tmp_path, text)
