"""``dspy-bots chat``: through a pipe, and at a keyboard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bots.command_line import PATIENCE, Result, dspy_bots, environment
from tests.bots.program import Forked, fork
from tests.loopback.openai_server import open_model_server
from tests.stub_lm import Answer, Prompt, StubModel

AGENT = "import dspy\n\nagent = dspy.Predict('message -> reply')\n"
ECHO = """
import dspy
class Echo(dspy.Module):
    def forward(self, message: str, history=None):
        before = len(history.messages) if history else 0
        return dspy.Prediction(reply=f"{message} after {before}")
def bot():
    return Echo()
"""


def knows_names(prompt: Prompt) -> dict[str, str]:
    """A model that knows who it talks with if it was told."""
    told = re.findall(r"I am (\w+)", " ".join(message["content"] for message in prompt.messages))
    return {"reply": f"You are {told[-1]}, and this is the answer\nto: {prompt.inputs['message']}" if told else "Who?"}


async def test_a_pipe_gets_the_answers_and_nothing_else(tmp_path: Path) -> None:
    async with open_model_server(StubModel(knows_names)) as server:
        (tmp_path / "agent.py").write_text(f"{AGENT}dspy.configure(lm={server.lm})\n", encoding="utf-8")
        result = await dspy_bots("chat", "agent.py", folder=tmp_path, said="I am Ada\n\n?\n")
    assert (result.code, result.err) == (0, "")
    assert (
        result.out == "You are Ada, and this is the answer\nto: I am Ada\nYou are Ada, and this is the answer\nto: ?\n"
    )


TOY = "SmolLM2-135M-Instruct, embedded"


async def test_a_pipe_is_told_on_stderr_that_a_toy_answers(tmp_path: Path) -> None:
    async with open_model_server(StubModel(lambda prompt: {"reply": "Hello!"})) as server:
        # Its file stands in for the embedded model, which may not be installed here.
        stands_in = f"from dspy_session_bots import embedded\nembedded.start = lambda: ({server.lm}, None)\n"
        (tmp_path / "agent.py").write_text(f"{AGENT}{stands_in}", encoding="utf-8")
        arguments = ("chat", "agent.py", "--lm", "embedded")
        result = await dspy_bots(*arguments, folder=tmp_path, said="hello\n")
        refused = await dspy_bots(*arguments, "--store", "sqlite:///no/where.db", folder=tmp_path, said="hello\n")
        async with keyboard(*arguments, folder=tmp_path) as terminal:
            await terminal.sees(f"agent.py · {TOY} · Ctrl-C stops an answer, Ctrl-D leaves\n> ")
            assert await terminal.leave() == 0
    assert (result.code, result.out) == (0, "Hello!\n")
    assert result.complaint == f"{TOY}, answers: a toy; --lm or a provider's key brings a real one"
    assert "where.db cannot be written" in refused.complaint  # nobody answers
    assert "a toy" not in terminal.screen  # the greeting has named it


async def test_a_kept_thread_goes_on_another_time(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    kept = ("chat", "echo", "--store", "sqlite:///chat.db")
    for arguments, said, out in (
        ((*kept, "--thread", "ada"), "one\ntwo", "one after 0\ntwo after 1\n"),
        ((*kept, "--thread", "ada"), "three\n", "three after 2\n"),
        (kept, "one\n", "one after 0\n"),
    ):
        assert await dspy_bots(*arguments, folder=tmp_path, said=said) == Result(0, out, "")


async def test_a_pipe_ends_at_the_first_message_without_an_answer(tmp_path: Path) -> None:
    program = """
import dspy
class Fragile(dspy.Module):
    def forward(self, message: str):
        return dspy.Prediction(reply=f"{1 / int(message)}")
agent = Fragile()
"""
    (tmp_path / "agent.py").write_text(program, encoding="utf-8")
    result = await dspy_bots("chat", "agent.py", folder=tmp_path, said="2\n0\n4\n")
    assert (result.code, result.out) == (1, "0.5\n")
    assert result.complaint == "no answer: ZeroDivisionError: division by zero"


class Keyboard:
    """A terminal with ``dspy-bots`` in it."""

    def __init__(self, terminal: int) -> None:
        self.process: Forked
        self.screen = ""
        self._terminal = terminal
        self._changed = asyncio.Condition()
        self._loop = asyncio.get_running_loop()

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    async def sees(self, text: str) -> None:
        """Wait until ``text`` is on the screen."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: text in self.screen)

    async def leave(self) -> int:
        """Press Ctrl-C until the program has ended: CPython misses one that comes just before it waits for a key."""
        async with asyncio.timeout(PATIENCE):
            while self.process.returncode is None:
                self.process.send_signal(signal.SIGINT)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        await self.process.wait()
        return self.process.returncode

    async def read(self) -> None:
        """Keep up with what is written."""
        while True:
            try:
                data = await asyncio.to_thread(os.read, self._terminal, 4096)
            except OSError:  # the program has gone
                data = b""
            async with self._changed:
                self.screen += data.decode(errors="replace").replace("\r\n", "\n")
                self._changed.notify_all()
            if not data:
                return


@asynccontextmanager
async def keyboard(*arguments: str, folder: Path, **variables: str) -> AsyncIterator[Keyboard]:
    ours, theirs = pty.openpty()
    seen = Keyboard(ours)
    seen.process = Forked(fork(arguments, folder, environment(TERM="dumb", **variables), [theirs] * 3))
    os.close(theirs)
    reading = asyncio.create_task(seen.read())
    try:
        yield seen
    finally:
        if seen.process.returncode is None:
            seen.process.kill()
            await seen.process.wait()
        await reading
        os.close(ours)


async def test_at_a_keyboard_answers_come_as_they_are_written_and_ctrl_c_stops_one(tmp_path: Path) -> None:
    never, first = asyncio.Event(), iter([True])

    def tell(prompt: Prompt) -> Answer:
        if next(first, False):
            return ["[[ ## reply ## ]]\n", "Once upon ", "a time\x1b]0;owned\x07 ", "there ", never]
        return {"reply": f"You said {prompt.inputs['message']}, after {len(prompt.messages) - 1} messages."}

    async with open_model_server(StubModel(tell)) as server:
        (tmp_path / "agent.py").write_text(f"{AGENT}dspy.configure(lm={server.lm})\n", encoding="utf-8")
        async with keyboard("chat", "agent.py:agent", folder=tmp_path) as terminal:
            await terminal.sees("agent.py:agent · openai/stub · Ctrl-C stops an answer, Ctrl-D leaves\n> ")
            terminal.type("Tell me a story\n")
            await terminal.sees("Once upon a time]0;owned")  # what a terminal would obey is left out
            terminal.process.send_signal(signal.SIGINT)
            await terminal.sees("(stopped; nothing of this was kept)\n> ")
            terminal.type("goodbye\n")
            await terminal.sees("You said goodbye, after 0 messages.\n> ")
            terminal.type("\x04")
            async with asyncio.timeout(PATIENCE):
                assert await terminal.process.wait() == 0
    assert "Traceback" not in terminal.screen


async def test_at_a_keyboard_an_error_is_a_line_and_the_talk_goes_on(tmp_path: Path) -> None:
    program = """
import dspy
class Fragile(dspy.Module):
    def forward(self, message: str):
        return dspy.Prediction(reply=f"a half is {1 / int(message)}")
agent = Fragile()
"""
    (tmp_path / "agent.py").write_text(program, encoding="utf-8")
    async with keyboard("chat", "agent.py", folder=tmp_path) as terminal:
        await terminal.sees("> ")
        terminal.type("0\n")
        await terminal.sees("dspy-bots: no answer: ZeroDivisionError: division by zero\n> ")
        terminal.type("2\n")
        await terminal.sees("a half is 0.5\n> ")
        assert await terminal.leave() == 0
    assert "Traceback" not in terminal.screen


async def test_a_command_is_not_sent_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    result = await dspy_bots("chat", "echo.py:bot", folder=tmp_path, said="/usr/bin is a folder\n/help me\nnever\n")
    assert (result.code, result.out) == (1, "/usr/bin is a folder after 0\n")
    assert result.complaint.startswith("/help was not sent: commands work in a bot; try dspy-bots demo")
