"""``dspy-bots`` as a process of its own, forked from one that has imported everything."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PROGRAM = Path(sys.executable).with_name("dspy-bots")
ROOT = Path(__file__).parents[2]


class Forked:
    """A process that is no child of ours.

    Args:
        told: What is told of it: its id, and how it ended.
    """

    def __init__(self, told: IO[bytes]) -> None:
        self._told = told
        self.pid = int(told.readline())
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            loop, came = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._told, came.set)
            try:
                await came.wait()
            finally:
                loop.remove_reader(self._told)
        return self.ended()


class Program(Forked):
    """A process with pipes to talk to it, to be used as asyncio's own are."""

    def __init__(self, told: IO[bytes], stdin: IO[bytes], stdout: asyncio.StreamReader, stderr: asyncio.StreamReader):
        super().__init__(told)
        self._stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    async def communicate(self, said: bytes = b"") -> tuple[bytes, bytes]:
        """Say something and nothing more; all that it says until it ends."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(said)
        self._stdin.close()
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err


def fork(
    arguments: Sequence[str] | None, folder: Path, environment: Mapping[str, str], streams: Sequence[int]
) -> IO[bytes]:
    """Start the program.

    Args:
        arguments: Its command line; those that come on its stdin if None.
        folder: Where it runs.
        environment: All of its environment.
        streams: The files that become its stdin, stdout and stderr.

    Returns:
        Where it is told what becomes of it.
    """
    ours, theirs = os.pipe()
    wanted = {
        "program": str(PROGRAM),
        "arguments": None if arguments is None else list(arguments),
        "folder": str(folder),
        "environment": dict(environment),
    }
    socket.send_fds(_zygote(), [json.dumps(wanted).encode()], [*streams, theirs])
    os.close(theirs)
    return os.fdopen(ours, "rb", buffering=0)


async def open_program(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Program:
    """Start the program with pipes to talk to it."""
    (stdin, say), (read_out, stdout), (read_err, stderr) = os.pipe(), os.pipe(), os.pipe()
    told = fork(arguments, folder, environment, (stdin, stdout, stderr))
    for theirs in (stdin, stdout, stderr):
        os.close(theirs)
    return Program(told, os.fdopen(say, "wb", buffering=0), await _reader(read_out), await _reader(read_err))


async def _reader(file: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(file, "rb", buffering=0))
    return reader


@functools.cache
def _zygote() -> socket.socket:
    """The way to the process that is forked; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.bots.zygote", str(theirs.fileno())]
    process = subprocess.Popen(
        command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours
