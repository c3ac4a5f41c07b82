"""The commands that every bot has."""

from __future__ import annotations

from pathlib import Path

from dspy_session.conversation import ConversationKey
from dspy_session_chat.commands import Asked
from dspy_session_chat.testing.scene import Scene, needs, playing
from dspy_session_chat.testing.scripted import Parrot
from dspy_session_chat.testing.stage import Stage, Where


async def _two(scene: Scene) -> None:
    await scene.ask("tea")
    await scene.ask("milk")


class CommandsContract:
    """What people tell a bot to do, on every platform."""

    async def test_help_says_what_there_is(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            await scene.say("/help")
            said = await scene.reads("/forget-me")
            for name in ("/reset", "/undo", "/retry", "/stop", "/fork", "/history"):
                assert name in said.text

    async def test_help_is_for_the_one_who_asked(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "private")
        async with playing(stage, Parrot(), tmp_path) as scene:
            thread = await scene.begin("tea")
            await scene.say("/help", thread, person=scene.ben)
            assert (await scene.reads("/forget-me", thread)).private_to == scene.ben.id

    async def test_reset_begins_anew(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            await _two(scene)
            await scene.say("/reset")
            await scene.reads("We start again")
            assert "(0 before)" in (await scene.ask("sugar")).text

    async def test_undo_takes_back(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            await _two(scene)
            await scene.ask("sugar")
            await scene.say("/undo 2")
            await scene.reads("I took back the last 2 answers")
            assert "(1 before)" in (await scene.ask("honey")).text

    async def test_retry_answers_once_more(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            await _two(scene)
            await scene.say("/retry")
            await agent.until_asked("milk", 2)
            assert "(2 before)" in (await scene.ask("sugar")).text
        assert agent.asked == ["tea", "milk", "milk", "sugar"]

    async def test_the_last_answer_is_given_anew_by_its_button(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "buttons")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            await scene.press("Retry", await scene.ask("tea"))
            await agent.until_asked("tea", 2)
            assert "(1 before)" in (await scene.ask("milk")).text

    async def test_where_nothing_is_written_there_is_nothing_to_stop(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            await scene.ask("tea")
            await scene.say("/stop")
            await scene.reads("There is nothing to stop.")

    async def test_history_shows_what_is_remembered(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            await _two(scene)
            await scene.say("/history")
            said = await scene.reads("I remember 2 exchanges")
            assert "milk (1 before)" in said.text
            if stage.abilities.files_out:
                await scene.until(scene.files, "a file")
                assert "**message**: tea" in scene.files()[0].data.decode()

    async def test_fork_goes_on_in_another_thread(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "threads")
        async with playing(stage, Parrot(), tmp_path) as scene:
            thread = await scene.begin("tea")
            await scene.say("/fork More tea", thread)
            await scene.reads("a thread that goes on from here", thread)
            keys = [ConversationKey.parse(info.key) for info in await scene.bot.conversations.list()]
            (opened,) = [key.thread for key in keys if key.thread != thread.thread]
            there = Where(stage.channel.channel, str(opened))
            assert "(1 before)" in (await scene.ask("milk", there)).text
            assert "(1 before)" in (await scene.ask("sugar", thread)).text

    async def test_forget_me_deletes_all_after_a_question(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            await scene.ask("tea")
            await scene.say("/forget-me")
            warning = await scene.reads("for good")
            if stage.abilities.buttons:
                await scene.press("Delete it all", warning)
            else:
                await scene.say("/forget-me yes")
            await scene.reads("I deleted what you wrote to me")
            assert await scene.turns() == []
            assert "(0 before)" in (await scene.ask("milk")).text

    async def test_a_command_of_its_own(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:

            @scene.bot.command("weather", "What the weather is like.")
            async def weather(asked: Asked) -> str:
                return f"It rains in {asked.text}."

            await scene.say("/weather London")
            await scene.reads("It rains in London.")

    async def test_commands_are_given_natively(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "commands")
        async with playing(stage, Parrot(), tmp_path) as scene:
            await _two(scene)
            await stage.command(scene.ann, "undo", "1", scene.home)
            await scene.reads("I took back the last answer")
            assert "(1 before)" in (await scene.ask("sugar")).text

    async def test_what_answers_a_native_command_may_be_private(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "commands", "private_deeds")
        async with playing(stage, Parrot(), tmp_path) as scene:
            await stage.command(scene.ben, "help", "", stage.channel)
            assert (await scene.reads("/forget-me", stage.channel)).private_to == scene.ben.id
