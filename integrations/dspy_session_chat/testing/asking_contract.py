"""Tools that ask people first."""

from __future__ import annotations

from pathlib import Path

import dspy

from dspy_session_chat.approval import ask_first
from dspy_session_chat.asking import DECIDED_ALREADY
from dspy_session_chat.testing.scene import needs, playing
from dspy_session_chat.testing.stage import Stage
from dspy_session_chat.wish import Who


class _Careful(dspy.Module):
    """Does what it is told, after it has asked."""

    def __init__(self, who: Who = "author") -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # DSPy's
        self.done: list[str] = []
        self._asking = ask_first(self.delete, who=who)

    async def aforward(self, message: str) -> dspy.Prediction:
        """Do it, and say what came of it."""
        return dspy.Prediction(reply=f"The result: {(await self._asking(what=message))[-500:]}")

    async def delete(self, what: str) -> str:
        """Do it without asking."""
        self.done.append(what)
        return f"{what} is no more"


class AskingContract:
    """Approvals, on every platform that has buttons."""

    async def test_what_is_approved_is_done(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons")
        agent = _Careful()
        async with playing(stage, agent, tmp_path) as scene:
            await scene.say("the old account")
            question = await scene.reads("what: the old account")
            assert agent.done == []
            await scene.press("Approve", question)
            await scene.reads("The result: the old account is no more")
            assert agent.done == ["the old account"]
            decided = await scene.reads("approved by")
            assert decided.buttons == ()

    async def test_what_is_denied_is_not(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons")
        agent = _Careful()
        async with playing(stage, agent, tmp_path) as scene:
            await scene.say("the old account")
            await scene.press("Deny", await scene.reads("what: the old account"))
            if stage.abilities.asks:
                await stage.answer(scene.ann, "")
            await scene.reads(f"was not run: {scene.ann.name} denied it.")
            if stage.abilities.asks:
                await scene.say("the new account")
                await scene.press("Deny", await scene.reads("what: the new account"))
                await stage.answer(scene.ann, "Use the archive\n*instead*")
                await scene.reads(f'was not run: {scene.ann.name} denied it: "Use the archive')
                decided = await scene.reads(f"denied by {scene.ann.name}: Use the archive")
                assert decided.buttons == ()
            assert agent.done == []

    async def test_who_does_not_say_why_to_its_end_has_decided_nothing(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons", "asks")
        agent = _Careful(who="anyone")
        async with playing(stage, agent, tmp_path) as scene:
            asked = await scene.say("the old account", stage.channel, mention=True)
            thread = asked.answers
            question = await scene.reads("what: the old account", thread)
            await scene.press("Deny", question, thread)
            await scene.press("Approve", question, thread, scene.ben)
            await scene.reads("The result: the old account is no more", thread)
            await scene.reads(f"approved by {scene.ben.name}", thread)
            assert agent.done == ["the old account"]
            await stage.answer(scene.ann, "Too late")
            told = await scene.reads(DECIDED_ALREADY, thread)
            assert told.private_to == (scene.ann.id if stage.abilities.private_deeds else "")

    async def test_whoever_decides_sees_all_of_it(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons", "files_out")
        agent = _Careful()
        what = f"first, this\nthen, that\n{'and so on ' * 140}and the rest"
        async with playing(stage, agent, tmp_path) as scene:
            await scene.say(what)
            await scene.until(scene.files, "the file with all of it")
            question = await scene.reads("what:\n  first, this\n  then, that\n  and so on and")
            assert "All of it is in" in question.text
            assert "and the rest" not in question.text
            (file,) = scene.files()
            assert file.name == "delete.txt"
            assert "and so on and the rest" in file.data.decode()
            await scene.press("Approve", question)
            await scene.reads("and the rest is no more")
            decided = await scene.reads("approved by")
            assert (decided.id, decided.buttons) == (question.id, ())
            assert "then, that" in decided.text
            assert [each.name for each in scene.files()] == ["delete.txt"]
            assert agent.done == [what]

    async def test_not_everybody_may_decide(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons")
        agent = _Careful()
        async with playing(stage, agent, tmp_path) as scene:
            asked = await scene.say("the old account", stage.channel, mention=True)
            thread = asked.answers
            question = await scene.reads("what: the old account", thread)
            await scene.press("Approve", question, thread, scene.ben)
            refusal = await scene.reads(f"Only {scene.ann.name} may decide this.", thread)
            assert refusal.private_to == (scene.ben.id if stage.abilities.private_deeds else "")
            assert agent.done == []
            await scene.press("Approve", question, thread)
            await scene.reads("The result: the old account is no more", thread)

    async def test_a_question_stands_over_a_restart(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons", "remembers")
        agent = _Careful()
        async with playing(stage, agent, tmp_path, grace=0.0) as scene:
            await scene.say("the old account")
            await scene.reads("what: the old account")
            await scene.writes.until(lambda: "asked" in scene.writes.kinds)
        async with playing(stage, agent, tmp_path) as scene:
            question = await scene.reads("what: the old account")
            await scene.press("Approve", question)
            await scene.reads("The result: the old account is no more")
            assert scene.words().count("May I use") == 1
            assert agent.done == ["the old account"]
