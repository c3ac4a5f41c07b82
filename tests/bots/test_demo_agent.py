"""The demo's agents and their tools."""

from __future__ import annotations

import json
from datetime import datetime

import dspy
import pytest

from dspy_session_bots.demo_agent import (
    REMEMBERED_BY_EMBEDDED,
    assistant,
    calculate,
    current_time,
    roll_dice,
    small_assistant,
)
from dspy_session_bots.plain_text import PlainText
from dspy_session_chat.fields import AgentFields
from tests.stub_lm import Prompt, StubModel


def test_its_fields_are_found() -> None:
    for agent in (assistant(), small_assistant()):
        fields = AgentFields.of(agent)
        assert (fields.message, fields.reply, dict(fields.context)) == ("message", "reply", {})


def test_it_works_a_sum_out_with_its_tool_and_remembers() -> None:
    def reply(prompt: Prompt) -> dict[str, str]:
        if "next_tool_name" not in prompt.outputs:
            return {"reply": "It is 42."}
        if "observation" in prompt.last or "6 * 7" not in prompt.inputs["message"]:
            return {"next_tool_name": "finish", "next_tool_args": "{}"}
        return {"next_tool_name": "calculate", "next_tool_args": json.dumps({"expression": "6 * 7"})}

    stub, agent = StubModel(reply), assistant()
    with dspy.context(lm=stub.lm):
        result = agent(message="What is 6 * 7?")
        agent(message="And now?")
    assert result.trajectory["observation_0"] == "42"
    assert "It is 42." in stub.prompts[-1].text


def test_the_small_one_is_shown_only_the_newest_turns() -> None:
    stub, agent = StubModel(lambda prompt: "fine"), small_assistant()
    with dspy.context(lm=stub.lm, adapter=PlainText()):
        for number in range(REMEMBERED_BY_EMBEDDED + 3):
            agent(message=f"message {number}")
    asked = [message["content"] for message in stub.prompts[-1].messages if message["content"].startswith("message ")]
    assert asked == [f"message {number}" for number in range(2, REMEMBERED_BY_EMBEDDED + 3)]


def test_tools_do_what_they_say() -> None:
    assert calculate("(17 + 4) * 2 ** 3") == "168"
    assert str(datetime.now().astimezone().year) in current_time()
    assert len(roll_dice(5)) == 5
    assert set(roll_dice(100, 2)) <= {1, 2}
    for wrong in ((0, 6), (101, 6), (1, 1)):
        with pytest.raises(ValueError, match="roll 1 to 100 dice"):
            roll_dice(*wrong)
