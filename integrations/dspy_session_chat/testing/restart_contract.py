"""Nothing is lost and nothing said twice, whatever happens in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dspy

from dspy_session_chat.testing.scene import Scene, needs, playing
from dspy_session_chat.testing.scripted import Parrot, Says, ScriptedModel
from dspy_session_chat.testing.stage import Stage

_LONG = "\n\n".join(f"Paragraph {number} says that the number after {number - 1} is {number}." for number in range(150))


async def _see_it_once(scene: Scene, text: str) -> None:
    """See that an answer stands there whole, and once."""
    await scene.until(lambda: " ".join(text.split()) in scene.words(), "the whole answer")
    await scene.say("/help")
    await scene.reads("/forget-me")
    assert scene.words().count(" ".join(text.split())) == 1


class RestartContract:
    """What is certain on every platform, also over failures and restarts."""

    async def test_what_was_not_answered_is_answered_after_a_restart(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path, grace=0.0) as scene:
            held = agent.hold("tea")
            await scene.say("tea")
            await agent.until_asked("tea")
        held.set()
        async with playing(stage, agent, tmp_path) as scene:
            await _see_it_once(scene, "tea (0 before)")
            assert len(await scene.turns()) == 1

    async def test_a_conversation_goes_on_after_a_restart(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            thread = await scene.begin("tea")
        async with playing(stage, Parrot(), tmp_path) as scene:
            assert "(1 before)" in (await scene.ask("milk", thread, person=scene.ben)).text

    async def test_an_answer_that_had_begun_is_finished_where_it_stands(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "streams", "remembers")
        model = ScriptedModel(["It was a dark night, ", asyncio.Event()], "It was a bright day.")
        agent = dspy.Predict("message -> reply")
        async with playing(stage, agent, tmp_path, lm=model.lm, grace=0.0) as scene:
            await scene.say("Tell me a story.")
            await scene.reads("dark night")
        async with playing(stage, agent, tmp_path, lm=model.lm) as scene:
            await _see_it_once(scene, "It was a bright day.")
            assert "dark night" not in scene.words()

    async def test_of_an_answer_that_became_shorter_nothing_is_left_over(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "streams", "splits", "remembers")
        model, agent = ScriptedModel([_LONG, asyncio.Event()], "In short: 149."), dspy.Predict("message -> reply")
        async with playing(stage, agent, tmp_path, lm=model.lm, grace=0.0) as scene:
            await scene.say("Count!")
            await scene.until(lambda: len(scene.said()) > 1, "several messages")
        async with playing(stage, agent, tmp_path, lm=model.lm) as scene:
            await scene.reads("In short: 149.")
            await scene.until(lambda: len(scene.said()) == 1, "one message")

    async def test_a_button_works_after_a_restart(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons", "remembers")
        async with playing(stage, Parrot(), tmp_path) as scene:
            answer = await scene.ask("tea")
        async with playing(stage, Parrot(), tmp_path) as scene:
            await scene.press("👍", answer)
            await scene.remembers(lambda turns: turns[0].score == 1.0)

    async def test_an_answer_that_could_not_be_posted_is_posted_later(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "fails")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            stage.fail_posts()
            await scene.say("tea")
            await _see_it_once(scene, "tea (0 before)")
        assert agent.asked == ["tea"]

    async def test_an_answer_that_was_posted_in_part_is_completed(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "fails", "splits")
        async with playing(stage, Says(reply=_LONG), tmp_path) as scene:
            stage.fail_posts(passing=1)
            await scene.say("Count!")
            await _see_it_once(scene, _LONG)
            assert scene.words().count("Paragraph 0 ") == 1
