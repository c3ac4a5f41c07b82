"""Messages that people change or delete after they were answered."""

from __future__ import annotations

from pathlib import Path

from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.testing.scene import needs, playing
from dspy_session_chat.testing.scripted import Parrot
from dspy_session_chat.testing.stage import Stage


class ChangesContract:
    """What becomes of an answer when its message changes, on every platform."""

    async def test_the_last_message_is_answered_anew(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            await scene.ask("milk")
            written = await scene.say("teh")
            await scene.reads("teh (1 before)")
            await stage.edit(written, "tea")
            await scene.reads("tea (1 before)")
            await scene.remembers(lambda turns: [turn.inputs["message"] for turn in turns] == ["milk", "tea"])
        assert agent.asked == ["milk", "teh", "tea"]

    async def test_or_only_remembered_as_it_is_now(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        agent = Parrot()
        async with playing(stage, agent, tmp_path, manners=Manners(rerun_edits=False)) as scene:
            written = await scene.say("teh")
            await scene.reads("teh (0 before)")
            await stage.edit(written, "tea")
            await scene.remembers(lambda turns: turns[0].inputs["message"] == "tea")
        assert agent.asked == ["teh"]

    async def test_an_older_message_is_remembered_as_it_is_now(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            written = await scene.say("teh")
            await scene.reads("teh (0 before)")
            await scene.ask("milk")
            await stage.edit(written, "tea")
            await scene.remembers(lambda turns: turns[0].inputs["message"] == "tea")
            assert len(scene.said()) == 2
        assert agent.asked == ["teh", "milk"]

    async def test_what_is_deleted_is_forgotten(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        async with playing(stage, Parrot(), tmp_path) as scene:
            await scene.ask("milk")
            written = await scene.say("tea")
            await scene.reads("tea (1 before)")
            await stage.delete(written)
            await scene.remembers(lambda turns: [turn.inputs["message"] for turn in turns] == ["milk"])

    async def test_an_older_message_is_forgotten_and_its_answer_stays(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        async with playing(stage, Parrot(), tmp_path) as scene:
            written = await scene.say("my secret")
            await scene.reads("my secret (0 before)")
            await scene.ask("milk")
            await stage.delete(written)
            await scene.remembers(lambda turns: "secret" not in str(turns[0].inputs["message"]))
            assert len(await scene.turns()) == 2

    async def test_a_message_is_changed_while_it_is_answered(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            held = agent.hold("teh")
            written = await scene.say("teh")
            await agent.until_asked("teh")
            await stage.edit(written, "tea")
            await scene.arrived(2)
            held.set()
            await scene.reads("tea (0 before)")
            await scene.remembers(lambda turns: [turn.inputs["message"] for turn in turns] == ["tea"])

    async def test_a_message_is_deleted_while_it_is_answered(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            held = agent.hold("my secret")
            written = await scene.say("my secret")
            await agent.until_asked("my secret")
            await stage.delete(written)
            await scene.arrived(2)
            held.set()
            await scene.reads("my secret (0 before)")
            await scene.remembers(lambda turns: turns == [])
            assert "(0 before)" in (await scene.ask("milk")).text

    async def test_in_a_shared_thread_too(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "changes")
        async with playing(stage, Parrot(), tmp_path) as scene:
            thread = await scene.begin("tea")
            written = await scene.say("mlik", thread, person=scene.ben)
            await scene.reads("mlik (1 before)", thread)
            await stage.edit(written, "milk")
            await scene.reads("milk (1 before)", thread)
