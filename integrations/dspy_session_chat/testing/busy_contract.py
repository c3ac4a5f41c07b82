"""What becomes of what people write and do while the bot is at work."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.testing.scene import Scene, needs, playing
from dspy_session_chat.testing.scripted import Parrot
from dspy_session_chat.testing.stage import Stage


async def _three(scene: Scene, agent: Parrot) -> asyncio.Event:
    """Three messages, two of them while the first is being answered; what lets it end."""
    held = agent.hold("tea")
    await scene.say("tea")
    await agent.until_asked("tea")
    await scene.say("milk")
    await scene.arrived(2)
    await scene.say("sugar")
    await scene.arrived(3)
    return held


class BusyContract:
    """What a bot does with what comes in between, on every platform."""

    async def test_messages_are_answered_one_after_the_other(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            (await _three(scene, agent)).set()
            await scene.reads("sugar (2 before)")
            order = [scene.words().index(f"{text} before)") for text in ("tea (0", "milk (1", "sugar (2")]
            assert order == sorted(order)

    async def test_or_what_waits_is_answered_together(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path, manners=Manners(busy="merge")) as scene:
            (await _three(scene, agent)).set()
            await scene.reads("sugar (1 before)")
            assert len(scene.said()) == 2
        assert agent.asked == ["tea", "milk\n\nsugar"]

    async def test_or_the_answer_begins_anew_with_what_came(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path, manners=Manners(busy="interrupt")) as scene:
            agent.hold("tea")
            await scene.say("tea")
            await agent.until_asked("tea")
            await scene.say("milk")
            await scene.reads("milk (0 before)")
            await scene.until(lambda: len(scene.said()) == 1, "one answer")
        assert agent.asked == ["tea", "tea\n\nmilk"]

    async def test_or_people_are_told_to_wait(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path, manners=Manners(busy="reject")) as scene:
            held = agent.hold("tea")
            await scene.say("tea")
            await agent.until_asked("tea")
            await scene.say("milk")
            await scene.reads("I am still at work")
            held.set()
            await scene.reads("tea (0 before)")
            await scene.ask("sugar")
        assert agent.asked == ["tea", "sugar"]

    async def test_not_everything_waits(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path, manners=Manners(most_waiting=1)) as scene:
            held = await _three(scene, agent)
            await scene.reads("too many messages")
            held.set()
            await scene.reads("milk (1 before)")
        assert agent.asked == ["tea", "milk"]

    async def test_an_answer_is_stopped_by_a_word(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            agent.hold("tea")
            await scene.say("tea")
            await agent.until_asked("tea")
            await scene.say("/stop")
            await scene.reads("(stopped)")
            (turn,) = await scene.remembers(len)
            assert turn.stopped == "stopped"
            await scene.ask("milk")
            assert "tea" in agent.histories[-1]

    async def test_a_message_is_changed_while_it_waits(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            held = agent.hold("tea")
            await scene.say("tea")
            await agent.until_asked("tea")
            waiting, other = await scene.say("mlik"), await scene.say("sugar")
            await scene.arrived(3)
            await scene.stage.edit(waiting, "milk")
            await scene.stage.delete(other)
            await scene.arrived(5)
            held.set()
            await scene.reads("milk (1 before)")
            await scene.ask("honey")
        assert agent.asked == ["tea", "milk", "honey"]

    async def test_different_conversations_do_not_wait_for_each_other(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            held = agent.hold("tea")
            await scene.say("tea")
            await agent.until_asked("tea")
            await scene.ask("milk", stage.direct(scene.ben), person=scene.ben)
            held.set()
            await scene.reads("tea (0 before)")
