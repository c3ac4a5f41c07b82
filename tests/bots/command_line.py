"""Running ``dspy-bots`` as a program: to its end, or talked to while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dspy_session_bots.model import PROVIDERS
from dspy_session_bots.rules import PREFIX
from tests.bots.program import PROGRAM, Forked, Program, fork, open_program

LINES = Path(__file__).with_name("lines.py")
PATIENCE = 30.0
Running = asyncio.subprocess.Process | Program
"""The program, started anew or forked."""

_OURS = {
    *PROVIDERS,
    *("OPENAI_API_BASE", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_API_URL", "DISCORD_TOKEN", "WEBHOOK_SECRET"),
    *("SLACK_SIGNING_SECRET", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", "DISCORD_SHARDS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
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


async def dspy_bots(*arguments: str, folder: Path, said: str = "", anew: bool = False, **variables: str) -> Result:
    """Run the program to its end."""
    async with started(*arguments, folder=folder, anew=anew, **variables) as process:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(said.encode())
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def started(*arguments: str, folder: Path, anew: bool = False, **variables: str) -> AsyncIterator[Running]:
    """The program while it runs; it is killed when the block is left before it has ended.

    Args:
        arguments: Its command line.
        folder: Where it runs.
        anew: Whether an interpreter of its own imports everything, as when people start it: that takes two seconds.
        variables: What its environment has besides.
    """
    variables = environment(**variables)
    process: Running
    if anew:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *arguments, cwd=folder, env=variables, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
    else:
        process = await open_program(arguments, folder, variables)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def until(process: Running, text: str) -> str:
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


async def interrupted(process: Running) -> Result:
    """Ctrl-C, and what comes of it."""
    process.send_signal(signal.SIGINT)
    return await ended(process)


async def ended(process: Running) -> Result:
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


def run_lines(lines: Sequence[Line], folder: Path, *, anew: bool = False) -> list[Result]:
    """Run many command lines one after the other in one process.

    Args:
        lines: The command lines.
        folder: Where they run.
        anew: Whether an interpreter of its own imports everything: for what is looked at while something is imported.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        said.write(json.dumps([vars(line) for line in lines]).encode())
        said.seek(0)
        if anew:
            command = [sys.executable, "-P", str(LINES)]
            code = subprocess.run(
                command, stdin=said, stdout=out, stderr=err, cwd=folder, env=environment(), check=False
            ).returncode
        else:
            code = Forked(fork(None, folder, environment(), [file.fileno() for file in (said, out, err)])).ended()
        out.seek(0)
        err.seek(0)
        assert code == 0, err.read().decode()
        return [Result(*result) for result in json.loads(out.read())]
