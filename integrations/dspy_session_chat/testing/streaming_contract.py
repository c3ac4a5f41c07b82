"""Answers while they are written, long ones, and those that fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import dspy

from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.testing.scene import needs, playing
from dspy_session_chat.testing.scripted import Parrot, Says, ScriptedModel
from dspy_session_chat.testing.stage import Seen, Stage

_LONG = "\n\n".join(f"Paragraph {number} says that the number after {number - 1} is {number}." for number in range(150))
"""Some 9,000 characters: more than a message holds, and less than so many messages as an answer may have."""


def _is_done(seen: Seen) -> bool:
    return "Stop" not in seen.buttons


class StreamingContract:
    """How answers come to be read, on every platform."""

    async def test_the_first_words_are_seen_early_and_the_last_view_is_the_whole(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        needs(stage, "streams")
        more = asyncio.Event()
        model = ScriptedModel(["The capital of France ", more, "is Paris."])
        async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
            await scene.say("Which is it?")
            await scene.reads("The capital of France")
            assert "Paris" not in scene.words()
            more.set()
            whole = await scene.shows(lambda seen: "is Paris." in seen.text and _is_done(seen))
            assert "The capital of France is Paris." in whole.text
            assert scene.words().count("The capital") == 1
            assert len(scene.said()) == 1

    async def test_what_is_not_finished_is_seen_finished(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "streams")
        bold, code = asyncio.Event(), asyncio.Event()
        model = ScriptedModel(
            ["This is **very ", bold, "bold** and this is code:\n\n```python\nprint(1)\n", code, "```"]
        )
        async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
            await scene.say("What is it?")
            seen = await scene.reads("very")
            assert seen.text.count("**") % 2 == 0
            bold.set()
            seen = await scene.reads("print(1)")
            assert seen.text.count("```") % 2 == 0
            code.set()
            await scene.shows(_is_done)
            assert scene.words().count("print(1)") == 1

    async def test_a_growing_answer_is_stopped_by_its_button_and_remembered_as_far_as_it_was(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        needs(stage, "streams", "buttons")
        model = ScriptedModel(["It was a dark night, ", asyncio.Event(), "and it rained."], "As I said.")
        async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
            await scene.say("Tell me a story.")
            growing = await scene.shows(lambda seen: "dark night" in seen.text and "Stop" in seen.buttons)
            await scene.press("Stop", growing)
            stopped = await scene.reads("(stopped)")
            assert "It was a dark night," in stopped.text
            assert _is_done(stopped)
            (turn,) = await scene.remembers(len)
            assert turn.stopped == "stopped"
            assert str(turn.outputs["reply"]).startswith("It was a dark night,")
            await scene.say("And then?")
            await scene.reads("As I said.")

    async def test_a_growing_answer_is_interrupted_by_what_is_said(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "streams")
        model = ScriptedModel(["It was a dark night, ", asyncio.Event(), "and it rained."], "In short: rain.")
        manners = Manners(busy="interrupt")
        async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm, manners=manners) as scene:
            await scene.say("Tell me a story.")
            await scene.reads("dark night")
            await scene.say("A short one!")
            await scene.reads("In short: rain.")
            assert "(interrupted)" in scene.words()
            assert [turn.stopped for turn in await scene.remembers(lambda turns: len(turns) == 2)] == [
                "interrupted",
                "",
            ]

    async def test_a_long_answer_is_there_whole(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Says(reply=_LONG), tmp_path) as scene:
            await scene.say("Count!")
            await scene.reads("is 149.")
            assert scene.words() == " ".join(_LONG.split())
            assert scene.files() == []
            assert (len(scene.said()) > 1) is stage.abilities.splits

    async def test_a_long_answer_grows_over_several_messages(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "streams", "splits")
        more = asyncio.Event()
        cut = _LONG.index("Paragraph 120")
        model = ScriptedModel([_LONG[:cut], more, _LONG[cut:]])
        async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
            await scene.say("Count!")
            await scene.reads("Paragraph 118")
            more.set()
            await scene.shows(lambda seen: "is 149." in seen.text and _is_done(seen))
            assert scene.words() == " ".join(_LONG.split())
            assert [seen for seen in scene.said() if not _is_done(seen)] == []

    async def test_an_answer_that_is_too_long_goes_on_in_a_file(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "splits", "files_out")
        text = "\n\n".join(_LONG.replace("Paragraph", f"Part {number}, paragraph") for number in range(4))
        async with playing(stage, Says(reply=text), tmp_path, manners=Manners(most_posts=2)) as scene:
            await scene.say("Count!")
            await scene.until(scene.files, "a file")
            (file,) = scene.files()
            assert file.data.decode() == text
            assert "answer.md" in scene.words()
            assert len([seen for seen in scene.said() if "paragraph" in seen.text]) == 2

    async def test_a_failure_is_a_line_that_can_be_asked_again(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        agent.fail("tea")
        async with playing(stage, agent, tmp_path) as scene:
            await scene.say("tea")
            failure = await scene.reads("something went wrong on my side")
            assert "nobody" not in scene.words()
            if stage.abilities.buttons:
                await scene.press("Retry", failure)
            else:
                await scene.say("/retry")
            await scene.reads("tea (0 before)")
            assert len(await scene.turns()) == 1
