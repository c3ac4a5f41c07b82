"""What people read while the agent uses a tool."""

from __future__ import annotations

from typing import Any

import dspy

from dspy_session_chat import Manners
from dspy_session_chat.testing import ChatTester
from tests.stub_lm import Prompt, StubModel


async def test_a_tool_is_named_or_has_words_of_its_own_and_no_secret_shows() -> None:
    def search_web(query: str) -> str:
        """Search."""
        return "found"

    def look_up(query: str) -> str:
        """Look up."""
        return "looked up"

    def think(prompt: Prompt) -> dict[str, Any]:
        if "looked up" in prompt.text:
            return {"next_tool_name": "finish", "next_tool_args": {}, "reply": "Done."}
        name = "look_up" if "found" in prompt.text else "search_web"
        return {"next_tool_name": name, "next_tool_args": {"query": "my secret"}}

    agent = dspy.ReAct("message -> reply", tools=[search_web, look_up])
    manners = Manners(statuses={"look_up": "Reading the encyclopædia…"})
    async with ChatTester(agent, lm=StubModel(think).lm, manners=manners) as chat:
        reply = await chat.say("hello")
    shown = [*reply.views, reply.text]
    assert "*Using search web…*" in shown
    assert "*Reading the encyclopædia…*" in shown
    assert not any("secret" in view for view in shown)
    assert reply.text == "Done."
