"""Conversations that follow Discord's replies, where a mention opens no thread."""

from __future__ import annotations

from pathlib import Path

from dspy_session_chat import Manners
from dspy_session_chat.testing.scene import playing
from dspy_session_chat.testing.scripted import Parrot
from dspy_session_discord import Discord
from tests.discord.conftest import Place
from tests.discord.stage import DiscordStage
from tests.discord.talk import HURRY
from tests.loopback.discord import FakeDiscord


class InPlace(DiscordStage):
    """A server where the bot opens no threads."""

    def __init__(self, fake: FakeDiscord, place: Place) -> None:
        super().__init__(fake, place)
        self._options = {"connector": fake.connector(), **HURRY}
        self._token = fake.token

    def platform(self) -> Discord:
        return Discord(token=self._token, client_options=self._options, threads="reply")


async def test_a_reply_goes_on_and_a_mention_begins_anew(fake: FakeDiscord, place: Place, tmp_path: Path) -> None:
    stage, general, me = InPlace(fake, place), place.general, fake.bot.mention
    async with playing(stage, Parrot(), tmp_path, manners=Manners(scope="reply-chain", buttons=False)) as scene:
        first = await fake.say(general, place.ada, f"{me} tea")
        answer = await scene.reads("tea (0 before)", stage.channel)
        await scene.writes.until(lambda: answer.id in scene.writes.posted)
        posted = general.messages[int(answer.id)]
        assert posted.reply_to is first
        await fake.say(general, place.bob, f"{me} milk", reply_to=posted)
        await scene.reads("milk (1 before)", stage.channel)
        await fake.say(general, place.bob, f"{me} sugar")
        await scene.reads("sugar (0 before)", stage.channel)
        again = await fake.say(general, place.ada, f"{me} lemon", reply_to=first)
        await scene.reads("lemon (2 before)", stage.channel)
        await fake.delete(again)
        await scene.remembers(lambda turns: len(turns) == 3)
        assert len(await scene.bot.conversations.list()) == 2
