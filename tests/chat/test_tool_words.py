"""What people read while the agent uses a tool."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy

from dspy_session_chat import Manners, ask_first
from dspy_session_chat.testing import ChatTester
from tests.stub_lm import Prompt, StubModel


async def test_a_tool_is_named_or_has_words_of_its_own_and_no_secret_shows() -> None:
    read = {name: asyncio.Event() for name in ("search_web", "look_up")}

    async def search_web(query: str) -> str:
        """Search."""
        await read["search_web"].wait()
        return "found"

    async def look_up(query: str) -> str:
        """Look up."""
        await read["look_up"].wait()
        return "looked up"

    async def book_room() -> str:
        """Book the room."""
        return "booked"

    def think(prompt: Prompt) -> dict[str, Any]:
        if "booked" in prompt.text:
            return {"next_tool_name": "finish", "next_tool_args": {}, "reply": "Done."}
        if "looked up" in prompt.text:
            return {"next_tool_name": "book_room", "next_tool_args": {}}
        name = "look_up" if "found" in prompt.text else "search_web"
        return {"next_tool_name": name, "next_tool_args": {"query": "my secret"}}

    agent = dspy.ReAct("message -> reply", tools=[search_web, look_up, ask_first(book_room)])
    manners = Manners(statuses={"look_up": "Reading the encyclopædia…"})
    async with ChatTester(agent, lm=StubModel(think).lm, manners=manners) as chat:
        asked = await chat.start("hello")
        await asked.growing("*Using search web…*")
        read["search_web"].set()
        await asked.growing("*Reading the encyclopædia…*")
        read["look_up"].set()
        await asked.growing("*Using book room once that is approved…*")
        await chat.until(lambda: [each for each in chat.seen() if "May I use" in each.text])
        await chat.press("Approve", next(each for each in chat.seen() if "May I use" in each.text))
        reply = await asked.reply()
    assert not any("secret" in view for view in [*reply.views, reply.text])
    assert reply.text == "Done."
