"""The commands in a page's shell blocks, checked against the Makefile, the CLI and the extras that there are."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import typer

from dspy_session_bots.commands import app

ROOT = Path(__file__).parents[2]


def commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script as lists of words, without prompts, comments and assignments in front."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("();<>|&"):
                if words:
                    yield words
                words = []
            elif words or not re.match(r"\w+=", word):
                words.append(word)


def complaint(words: list[str]) -> str | None:
    """What is wrong with a command; None where nothing is, or where it is none of ours."""
    program, *arguments = words
    match Path(program).name:
        case "make":
            wrong = [word for word in arguments if not re.match(r"-|\w+=", word) and word not in _targets()]
            return f"the Makefile has no target {wrong[0]!r}" if wrong else None
        case "dspy-bots":
            return _wrong_option(arguments)
        case "pip" | "uv":
            named = re.findall(r"dspy-session-kit\[([\w,]+)\]", " ".join(arguments))
            wrong = [extra for extras in named for extra in extras.split(",") if extra not in _extras()]
            return f"there is no extra {wrong[0]!r}" if wrong else None
    return None


def _wrong_option(arguments: list[str]) -> str | None:
    subcommand = [word for word in arguments[:1] if not word.startswith("-")]
    page = _help(*subcommand)
    if page is not None and "COMMAND [ARGS]" in page and subcommand:
        subcommand += [word for word in arguments[1:2] if not word.startswith("-")]
        page = _help(*subcommand)
    if page is None:
        return f"dspy-bots has no command {' '.join(subcommand)!r}"
    options = [word.split("=")[0] for word in arguments if re.match(r"--?[a-z]", word)]
    wrong = [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", page)]
    return f"`dspy-bots {' '.join(subcommand)}` has no option {wrong[0]!r}" if wrong else None


@functools.cache
def _targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@functools.cache
def _extras() -> frozenset[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return frozenset(tomllib.load(file)["project"]["optional-dependencies"])


@functools.cache
def _help(*subcommand: str) -> str | None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            app([*subcommand, "--help"], prog_name="dspy-bots", standalone_mode=False, terminal_width=300)
    except typer.TyperException:
        return None
    return said.getvalue()
