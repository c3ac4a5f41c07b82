"""Agents of single channels, from the command line."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import dspy
import pytest

from dspy_session import ConfigurationError
from dspy_session_bots.channels import channel_agents
from dspy_session_bots.tables import bar
from dspy_session_bots.training import write_examples
from dspy_session_chat.testing import ChatTester
from tests.chat.agents import Parrot, held

CLERK = "import dspy\nagent = dspy.Predict('question -> answer')\nspare = dspy.Predict('text -> reply')\n"


def test_a_word_names_an_agent_and_several_are_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clerk.py").write_text(CLERK, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = channel_agents(["support=clerk.py", " C0123 = clerk.py:spare ", "wetter=Answer in German: a=b"])
    assert found["wetter"] == "Answer in German: a=b"
    support, spare = found["support"], found["C0123"]
    assert isinstance(support, dspy.Predict)
    assert isinstance(spare, dspy.Predict)
    assert [list(each.signature.input_fields) for each in (support, spare)] == [["question"], ["text"]]


@pytest.mark.parametrize("given", ["support", "=clerk.py", "support=", "support= "])
def test_what_names_none_is_one_line(given: str) -> None:
    says = re.escape("names no channel and agent: write support=bots.py:support")
    with pytest.raises(ConfigurationError, match=says) as caught:
        channel_agents([given])
    assert "\n" not in str(caught.value)


def test_a_channel_that_is_named_twice_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match="--channel names 'support' twice"):
        channel_agents(["support=Answer in German.", "support=Answer in Welsh."])


async def test_the_examples_of_one_agent_can_be_had_alone() -> None:
    async with ChatTester(held(Parrot()), channels={"support": held(Parrot())}) as chat:
        for channel in ("general", "support"):
            reply = await chat.say(f"in {channel}", channel=channel)
            await chat.handled(await chat.press("👍", reply))
        store = chat.conversations.store
        keys = [info.key for info in await store.list()]
        for agent, expected in (
            ("support", ["in support"]),
            ("", ["in general"]),
            (None, ["in general", "in support"]),
        ):
            file = io.StringIO()
            with bar("Reading", len(keys)) as progress:
                await write_examples(store, keys, 0.5, agent, file, progress)
            lines = [json.loads(line) for line in file.getvalue().splitlines()]
            assert sorted(line["inputs"]["message"] for line in lines) == expected
