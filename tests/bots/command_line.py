"""Running ``dspy-bots`` as a program: alone, talked to while it runs, or many command lines in one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dspy_session_bots.model import PROVIDERS
from dspy_session_bots.rules import PREFIX

PROGRAM = Path(sys.executable).with_name("dspy-bots")
PATIENCE = 30.0

_OURS = {
    *PROVIDERS,
    *("OPENAI_API_BASE", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_API_URL", "DISCORD_TOKEN", "WEBHOOK_SECRET"),
    *("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "NO_COLOR", "COLUMNS"),
}


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: this one, without anything that the program goes by."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS and not name.startswith(PREFIX)}
    return kept | more


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """What it said on stderr: one line, and no traceback."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("dspy-bots: "), self.err
        return self.err.removeprefix("dspy-bots: ").rstrip("\n")


async def dspy_bots(*arguments: str, folder: Path, said: str = "", **variables: str) -> Result:
    """Run the program to its end."""
    async with started(*arguments, folder=folder, **variables) as process:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(said.encode())
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def started(*arguments: str, folder: Path, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program while it runs; it is killed when the block is left before it has ended."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *arguments,
        cwd=folder,
        env=environment(**variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def until(process: asyncio.subprocess.Process, text: str) -> str:
    """What the program writes on stdout, up to the line with ``text``."""
    assert process.stdout is not None
    lines = ""
    async with asyncio.timeout(PATIENCE):
        while text not in lines:
            line = await process.stdout.readline()
            if not line:
                assert process.stderr is not None
                raise AssertionError(
                    f"it ended before it said {text!r}: {lines}{(await process.stderr.read()).decode()}"
                )
            lines += line.decode()
    return lines


async def interrupted(process: asyncio.subprocess.Process) -> Result:
    """Ctrl-C, and what comes of it."""
    process.send_signal(signal.SIGINT)
    return await ended(process)


async def ended(process: asyncio.subprocess.Process) -> Result:
    """Wait for the program to end."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


@dataclass(frozen=True)
class Line:
    """A command line.

    Args:
        arguments: Its words.
        said: What comes on stdin.
        variables: What the environment has besides.
        missing: Top-level packages that are not installed; those of ours are only imported anew, to miss the others.
    """

    arguments: Sequence[str]
    said: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()


_DRIVER = """
import contextlib, io, json, os, sys
from dspy_session_bots.cli import run

results = []
for line in json.load(sys.stdin):
    environ, modules = dict(os.environ), dict(sys.modules)
    os.environ.update(line["variables"])
    for name in [name for name in modules if name.partition(".")[0] in line["missing"]]:
        del sys.modules[name]
    sys.modules.update(dict.fromkeys(name for name in line["missing"] if not name.startswith("dspy_session")))
    stdin, sys.stdin = sys.stdin, io.StringIO(line["said"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(line["arguments"])
    results.append([code, out.getvalue(), err.getvalue()])
    sys.stdin = stdin
    for name in line["missing"]:
        sys.modules.pop(name, None)
    sys.modules.update(modules)
    os.environ.clear()
    os.environ.update(environ)
json.dump(results, sys.stdout)
"""


def run_lines(lines: Sequence[Line], folder: Path) -> list[Result]:
    """Run many command lines one after the other in one process: starting one for each would take a second each."""
    child = subprocess.run(
        [sys.executable, "-c", _DRIVER],
        input=json.dumps([vars(line) for line in lines]),
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    results: list[Any] = json.loads(child.stdout)
    return [Result(*result) for result in results]
