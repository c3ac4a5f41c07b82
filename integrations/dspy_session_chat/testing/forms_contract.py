"""What comes with a message besides words, and what goes with an answer."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import dspy

from dspy_session_chat.reply import ReplyFile
from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.testing.scene import needs, playing
from dspy_session_chat.testing.scripted import Parrot, Says, ScriptedModel
from dspy_session_chat.testing.stage import Stage

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one pixel."""
_ODD = "1 < 2 & 3 > 2, <b>née</b> at 5 o'clock 👩‍👩‍👧"
"""Words in which every platform's markup has something to spoil."""


class _Looks(dspy.Module):
    """Says what picture it was shown."""

    async def aforward(self, message: str, picture: dspy.Image | None = None) -> dspy.Prediction:
        shown = "nothing" if picture is None else base64.b64encode(_PNG).decode() in picture.url
        return dspy.Prediction(reply=f"I see: {shown}")


class FormsContract:
    """Files, sources, further fields, mentions and what was said before, on every platform."""

    async def test_a_text_that_comes_with_a_message_is_read(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "files_in")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            notes = ReplyFile("notes.txt", "text/plain", b"the code is 42")
            await scene.say("What is it?", files=[notes])
            await scene.reads("(0 before)")
        assert "the code is 42" in agent.asked[0]
        assert "notes.txt" in agent.asked[0]

    async def test_a_picture_is_looked_at(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "files_in")
        agent = _Looks()  # type: ignore[no-untyped-call]  # DSPy's
        async with playing(stage, agent, tmp_path) as scene:
            await scene.say("What is it?", files=[ReplyFile("dot.png", "image/png", _PNG)])
            await scene.reads("I see: True")
            await scene.say("And now?")
            await scene.reads("I see: nothing")

    async def test_pictures_and_files_are_posted(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "files_out")
        chart = dspy.Image(f"data:image/png;base64,{base64.b64encode(_PNG).decode()}")
        async with playing(stage, Says(reply="Here it is.", chart=chart), tmp_path) as scene:
            await scene.say("Draw!")
            await scene.reads("Here it is.")
            await scene.until(scene.files, "a file")
            (file,) = scene.files()
            assert (file.name, file.data) == ("chart.png", _PNG)

    async def test_a_picture_may_be_all_that_is_said(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "files_out")
        chart = dspy.Image(f"data:image/png;base64,{base64.b64encode(_PNG).decode()}")
        async with playing(stage, Says(reply="", chart=chart), tmp_path) as scene:
            await scene.say("Draw!")
            await scene.until(scene.files, "a file")
            assert "nothing to say" not in scene.words()

    async def test_sources_stand_beneath(self, stage: Stage, tmp_path: Path) -> None:
        sources = [{"url": "https://example.com/a", "title": "The first"}, "https://example.com/b"]
        async with playing(stage, Says(reply="It is so.", sources=sources), tmp_path) as scene:
            await scene.say("Is it?")
            said = await scene.reads("It is so.")
            for part in ("https://example.com/a", "The first", "https://example.com/b"):
                assert part in said.text

    async def test_further_fields_stand_beneath_as_a_table(self, stage: Stage, tmp_path: Path) -> None:
        agent = Says(reply="It is so.", mood="cheerful", sure_of_it=0.9)
        async with playing(stage, agent, tmp_path, manners=Manners(show_fields=True)) as scene:
            await scene.say("Is it?")
            said = await scene.reads("It is so.")
            for part in ("mood", "cheerful", "sure of it", "0.9"):
                assert part in said.text

    async def test_further_fields_are_nobodys_business_unless_wanted(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Says(reply="It is so.", mood="cheerful", reasoning="hm"), tmp_path) as scene:
            await scene.say("Is it?")
            said = await scene.reads("It is so.")
            assert "cheerful" not in said.text
            assert "hm" not in said.text

    async def test_what_the_agent_thought_can_be_looked_up(self, stage: Stage, tmp_path: Path) -> None:
        agent = Says(reply="It is so.", reasoning="Everybody says so.")
        async with playing(stage, agent, tmp_path, manners=Manners(show_reasoning=True)) as scene:
            await scene.say("Is it?")
            said = await scene.reads("It is so.")
            assert ("Everybody says so." in said.text) is stage.abilities.reasoning

    async def test_what_people_write_comes_as_they_wrote_it(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            await scene.say(_ODD)
            await scene.reads("(0 before)")
        assert agent.asked == [_ODD]

    async def test_what_the_agent_says_is_read_as_it_said_it(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Says(reply=_ODD), tmp_path) as scene:
            await scene.say("What is odd?")
            assert _ODD in (await scene.reads("1 < 2")).text

    async def test_nobody_is_notified_by_an_answer_that_grows(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "pings", "streams")
        more = asyncio.Event()
        model = ScriptedModel([f"Hear, hear! {stage.loud} ", more, stage.loud])
        async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
            said = await scene.say("Call them!", stage.channel, mention=True)
            await scene.reads("Hear, hear!", said.answers)
            more.set()
            await scene.shows(lambda seen: "Stop" not in seen.buttons, said.answers)
        assert list(stage.pinged()) == []

    async def test_nobody_is_notified_by_what_an_agent_says(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "pings")
        async with playing(stage, Says(reply=f"Hear, hear! {stage.loud}"), tmp_path) as scene:
            said = await scene.say("Call them!", scene.stage.channel, mention=True)
            await scene.reads("Hear, hear!", said.answers)
        assert list(stage.pinged()) == []

    async def test_what_was_said_before_is_known(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "reads_back", "channels")
        agent = Parrot()
        async with playing(stage, agent, tmp_path, manners=Manners(read_back=5)) as scene:
            thread = await stage.thread(scene.ben, "the code is 42")
            await scene.say("what is it?", thread, mention=True)
            await scene.reads("what is it? (", thread)
            await scene.ask("and now?", thread)
        assert agent.asked == ["what is it?", "and now?"]
        assert all("the code is 42" in history for history in agent.histories)

    async def test_what_was_said_before_is_not_asked_for_unless_wanted(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "reads_back", "channels")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            thread = await stage.thread(scene.ben, "the code is 42")
            await scene.say("what is it?", thread, mention=True)
            await scene.reads("what is it? (0 before)", thread)
        assert "42" not in agent.histories[0]
