"""From a chat in which people rate, over the command line, to an agent that has learned of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dspy

from dspy_session import read_examples, sessionify
from dspy_session_chat.testing import ChatTester
from tests.bots.command_line import Line, run_lines
from tests.stub_lm import StubModel


async def talk(folder: Path) -> None:
    agent = dspy.Predict("message, author -> reply")
    async with ChatTester(agent, store=f"sqlite:///{folder / 'bot.db'}", lm=StubModel().lm) as chat:
        good = await chat.say("Do you sell bells?", author="ann", thread="t1")
        bad = await chat.say("Loud ones?", author="ann", thread="t1")
        best = await chat.say("And pumps?", author="ben", thread="t1")
        await chat.react("👍", good, author="ann")
        await chat.react("👎", bad, author="ann")
        await chat.handled(await chat.press("👎", bad, author="ben", text="Name two."))
        await chat.handled(await chat.press("👍", best, author="ann"))


def test_rated_conversations_make_a_better_agent(tmp_path: Path) -> None:
    asyncio.run(talk(tmp_path))
    [result] = run_lines([Line(["conversations", "examples", "--output", "trainset.jsonl"])], tmp_path)
    assert result.out == "trainset.jsonl: 2 examples of 1 conversation\n"
    trainset = read_examples(tmp_path / "trainset.jsonl")
    assert [(each.message, each.author, len(each.history.messages)) for each in trainset] == [
        ("Do you sell bells?", "Ann", 0),
        ("And pumps?", "Ben", 2),
    ]
    stub = StubModel()
    session = sessionify(dspy.Predict("message, author -> reply"))
    with dspy.context(lm=stub.lm):
        better = dspy.LabeledFewShot(k=2).compile(session, trainset=trainset, sample=False)
        better(message="And now?", author="Cay")
        learned = stub.prompts[-1].text
        assert all(each.reply in learned for each in trainset)
        score = dspy.Evaluate(devset=trainset, metric=lambda example, made: example.reply == made.reply)(session)
    assert score.score == 100.0
    # Each is asked with the history that it saw, and one of them saw this.
    assert sum("Loud ones?" in prompt.text for prompt in stub.prompts[-2:]) == 1
