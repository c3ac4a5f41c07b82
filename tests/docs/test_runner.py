"""The runner itself: a page that is wrong must fail, at the line that is wrong."""

from __future__ import annotations

import traceback
from pathlib import Path
from textwrap import dedent

import pytest

from tests.docs.command import commands, complaint
from tests.docs.page import blocks, run


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def test_blocks_share_a_namespace_and_may_await(tmp_path: Path) -> None:
    path = page(
        tmp_path,
        """
        # Two blocks

        ```python
        import asyncio, dataclasses
        queue = asyncio.Queue()

        @dataclasses.dataclass
        class Sum:
            value: int
        ```

        1. In a list as well:

           ```python
           await queue.put(Sum(2))
           print("put", await queue.get())
           ```

           <!-- output -->
           ```text
           put Sum(value=...)
           ```
        """,
    )
    assert run(path) == 2


def test_a_failure_names_the_line_of_the_page(tmp_path: Path) -> None:
    path = page(tmp_path, "text\n\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run(path)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (str(path), 5)


def test_wrong_output_fails(tmp_path: Path) -> None:
    path = page(tmp_path, "```python\nprint(1)\n```\n\n<!-- output -->\n```\n2\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:7: the page says"):
        run(path)


def test_a_warning_fails(tmp_path: Path) -> None:
    with pytest.raises(DeprecationWarning):
        run(page(tmp_path, "```python\nimport warnings\nwarnings.warn('old', DeprecationWarning)\n```\n"))


def test_not_run_needs_a_reason(tmp_path: Path) -> None:
    assert run(page(tmp_path, "<!-- not run: it serves until stopped -->\n```python\n1 / 0\n```\n")) == 0
    with pytest.raises(AssertionError, match="say why"):
        run(page(tmp_path, "<!-- not run -->\n```python\n1 / 0\n```\n"))


def test_a_comment_holds_for_the_block_right_below_only(tmp_path: Path) -> None:
    text = "<!-- not run: why -->\n\nWords.\n\n```python\n1 / 0\n```\n"
    assert [block.note for block in blocks(text)] == [""]


def test_commands_are_told_apart() -> None:
    script = 'cd x && make demo PORT=1  # go\n$ A=1 dspy-bots chat \\\n  mod:attr --lm "a b" | tee log\n'
    assert list(commands(script)) == [
        ["cd", "x"],
        ["make", "demo", "PORT=1"],
        ["dspy-bots", "chat", "mod:attr", "--lm", "a b"],
        ["tee", "log"],
    ]


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("make demo", None),
        ("make -j2 test PYTHON=python3.12", None),
        ("make coffee", "no target 'coffee'"),
        ('pip install "dspy-session-kit[slack,discord]"', None),
        ('uv pip install "dspy-session-kit[slak]"', "no extra 'slak'"),
        ("git clone somewhere", None),
    ],
)
def test_commands_that_do_not_exist_are_found(command: str, wrong: str | None) -> None:
    [words] = commands(command)
    found = complaint(words)
    assert (found is None) if wrong is None else (wrong in str(found))
