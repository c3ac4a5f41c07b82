"""What people say of an answer without writing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dspy_session import Turn
from dspy_session_chat.testing.scene import needs, playing
from dspy_session_chat.testing.scripted import Parrot
from dspy_session_chat.testing.stage import Stage


def _scores(*scores: float) -> Callable[[list[Turn]], bool]:
    """The only turn has been given these scores, each by somebody else."""

    def hold(turns: list[Turn]) -> bool:
        (turn,) = turns
        return sorted(each.score for each in turn.feedback if each.score is not None) == sorted(scores)

    return hold


class FeedbackContract:
    """Reactions and buttons as scores, on every platform."""

    async def test_a_reaction_is_a_score_that_is_changed_and_taken_back(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "reactions")
        async with playing(stage, Parrot(), tmp_path) as scene:
            answer = await scene.ask("tea")
            await scene.react("👍", answer)
            (turn,) = await scene.remembers(_scores(1.0))
            assert turn.score == 1.0
            await scene.react("👎", answer)
            await scene.remembers(_scores(0.0))
            await scene.react("👍", answer, added=False)  # which says nothing any more
            await scene.react("👎", answer, added=False)
            await scene.remembers(_scores())

    async def test_everybody_has_a_say(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "reactions")
        async with playing(stage, Parrot(), tmp_path) as scene:
            thread = await scene.begin("tea")
            answer = scene.said(thread)[-1]
            await scene.react("👍", answer, thread)
            await scene.react("👎", answer, thread, person=scene.ben)
            (turn,) = await scene.remembers(_scores(1.0, 0.0))
            assert turn.score == 0.5
            assert len({each.by for each in turn.feedback}) == 2

    async def test_a_reaction_to_an_older_answer_finds_its_turn(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "reactions")
        async with playing(stage, Parrot(), tmp_path) as scene:
            first = await scene.ask("tea")
            await scene.ask("milk")
            await scene.react("👍", first)
            await scene.remembers(lambda turns: [turn.score for turn in turns] == [1.0, None])

    async def test_a_button_is_a_score_and_pressed_again_takes_it_back(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons")
        async with playing(stage, Parrot(), tmp_path) as scene:
            answer = await scene.ask("tea")
            await scene.press("👍", answer)
            await scene.remembers(_scores(1.0))
            await scene.press("👍", answer)
            await scene.remembers(_scores())

    async def test_a_button_asks_what_should_have_been_different(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons", "asks")
        async with playing(stage, Parrot(), tmp_path) as scene:
            await scene.press("👎", await scene.ask("tea"))
            await scene.remembers(_scores(0.0))
            await stage.answer(scene.ann, "too cold")
            (turn,) = await scene.remembers(lambda turns: any(each.text for each in turns[0].feedback))
            assert [(each.score, each.text) for each in turn.feedback] == [(0.0, "too cold")]
