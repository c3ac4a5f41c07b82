"""``dspy-bots demo``: the real program, with a page open, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from pathlib import Path

import aiohttp

from tests.bots.command_line import ended, started, until
from tests.bots.playground.page import JSON, PATIENCE, Page
from tests.loopback.openai_server import open_model_server
from tests.stub_lm import Answer, Prompt, StubModel


class Brain:
    """Works out sums with the tool, and waits in the middle of a long answer."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    def __call__(self, prompt: Prompt) -> Answer:
        if "next_tool_name" in prompt.outputs:
            if "sum" in prompt.inputs["message"] and "observation" not in prompt.last:
                return {"next_tool_name": "calculate", "next_tool_args": json.dumps({"expression": "6 * 7"})}
            return {"next_tool_name": "finish", "next_tool_args": "{}"}
        if "long" in prompt.inputs["message"]:
            start, end = "[[ ## reasoning ## ]]\nWell.\n\n[[ ## reply ## ]]\n", "\n\n[[ ## completed ## ]]"
            return [start, "Once ", "upon ", self.go_on, "a time.", end]
        found = re.search(r"observation_0\W+(\d+)", prompt.last)
        return {"reply": f"It is {found[1] if found else 'unknown'}."}


async def until_it_ends(page: Page) -> list[tuple[str, JSON]]:
    """What a page is told until it is let go of."""
    events = []
    with contextlib.suppress(EOFError):
        while True:
            events.append(await page.next())
    return events


async def test_the_demo_talks_remembers_and_finishes_what_it_says(tmp_path: Path) -> None:
    brain = Brain()
    async with open_model_server(StubModel(brain)) as server, asyncio.timeout(PATIENCE * 2):
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in server.environment.items()))
        async with started("demo", "--lm", "openai/stub", "--no-open", folder=tmp_path) as program:
            said = await until(program, "Ctrl-C")
            assert re.search(r"Model +openai/stub\n +Kept in +sqlite:///playground\.db\n", said)
            url = re.search(r"Open +(http://127\.0\.0\.1:\d+)/\n", said)
            assert url is not None
            async with aiohttp.ClientSession(url[1], headers={"Origin": url[1]}) as http:
                async with http.get("/") as response:
                    assert response.status == 200
                async with http.get("/api/events", params={"thread": "one"}) as response:
                    page = Page(response)
                    whole = await page.whole()
                    assert (whole["agent"], whole["model"]) == ("Demo agent", "openai/stub")
                    await http.post("/api/threads/one/messages", json={"text": "What is the sum?"})
                    turn = await page.until("turn")
                    assert turn["outputs"]["reply"] == "It is 42."
                    assert (await page.until("delivery"))["signed"]
                    await http.post("/api/threads/one/messages", json={"text": "Tell a long story"})
                    await page.until("exchange", lambda exchange: "Once" in exchange["html"])  # as it is written
                    program.send_signal(signal.SIGINT)
                    brain.go_on.set()
                    events = await until_it_ends(page)
            result = await ended(program)
    told = [data["html"] for name, data in events if name == "exchange" and data["phase"] == "answered"]
    assert len(told) == 1
    assert "Once upon a time." in told[0]
    assert [data["signed"] for name, data in events if name == "delivery"] == [True]
    assert (result.code, result.err) == (0, "")
    finishing = "\nFinishing the answer under way (up to 10 s); Ctrl-C again stops at once.\n"
    assert result.out == f"{finishing}\nStopped.\n"
    assert sorted(os.listdir(tmp_path)) == [".env", "playground.db"]  # noqa: PTH208  # no cache, no log, nothing else
