"""A page of documentation, read as the program that its reader would type.

Every ```python block runs, in order and in one namespace, with ``await`` allowed as in a notebook. An HTML comment
right above a block says otherwise:

    <!-- not run: it needs a Slack workspace -->    the block is shown only; the reason is required
    <!-- output -->                                 the block (of any language) is what the block before it prints;
                                                    ``...`` stands for anything
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from markdown_it import MarkdownIt

_COMMENT = re.compile(r"<!--\s*(?P<word>not run|output)\b:?\s*(?P<reason>.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        line: Number of its first line of code in the page, from 1.
        language: The word after the fence.
        code: What stands between the fences.
        note: ``"not run"``, ``"output"`` or empty, from the comment above.
        reason: Why it is not run.
    """

    line: int
    language: str
    code: str
    note: str = ""
    reason: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    above = None
    for token in MarkdownIt().parse(text):
        if token.type == "fence":
            assert token.map is not None
            language = token.info.split()[0] if token.info.strip() else ""
            note, reason = (above["word"], above["reason"]) if above else ("", "")
            yield Block(token.map[0] + 2, language, token.content, note, reason)
        above = _COMMENT.fullmatch(token.content.strip()) if token.type == "html_block" else None


def run(path: Path) -> int:
    """Run a page; the number of blocks that ran.

    Raises:
        AssertionError: A block prints something else than the page says, or is not run without a reason.
        Exception: Whatever a block raises, with the page's own line in the traceback.
    """
    module = ModuleType(f"page_{path.stem.lower().replace('-', '_')}")
    sys.modules[module.__name__] = module  # classes defined on a page can be found again, as pickle and DSPy want
    printed, ran = "", 0
    try:
        with asyncio.Runner() as runner:
            for block in blocks(path.read_text(encoding="utf-8")):
                where = f"{path.name}:{block.line}"
                if block.note == "not run":
                    assert block.reason, f"{where}: say why, <!-- not run: it needs … -->"
                elif block.note == "output":
                    _compare(where, block.code, printed)
                elif block.language == "python":
                    printed = _run(runner, path, block, module)
                    ran += 1
    finally:
        del sys.modules[module.__name__]
    return ran


def _run(runner: asyncio.Runner, path: Path, block: Block, module: ModuleType) -> str:
    """Run one block; what it prints."""
    source = "\n" * (block.line - 1) + block.code  # so that tracebacks name the page's line
    code = compile(source, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        result = eval(code, module.__dict__)
        if inspect.iscoroutine(result):
            runner.run(result)
    return stdout.getvalue()


def _compare(where: str, expected: str, printed: str) -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    same = doctest.OutputChecker().check_output(expected, printed, options)
    assert same, f"{where}: the page says that this is printed:\n{expected}\nbut it is:\n{printed}"
