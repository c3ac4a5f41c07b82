"""Answers that arrive in part alone."""

from __future__ import annotations

from pathlib import Path

import dspy

from dspy_session_chat import Bot, Post, Posted, PostedInPartError
from tests.chat.places import Place, message


class Shouts(dspy.Module):
    """Answers at once."""

    async def aforward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(reply=f"{message}!")


class Breaking(Place):
    """Posts one message of each answer, and then the network is gone."""

    def __init__(self, *, times: int) -> None:
        super().__init__()
        self.tried: list[tuple[str, ...]] = []
        self._times = times

    async def post(self, post: Post) -> Posted:
        self.tried.append(post.shown)
        if len(self.tried) <= self._times:
            await super().post(post)
            raise PostedInPartError("no network", [*post.shown, f"m{len(self.tried)}"])
        return await super().post(post)


async def test_what_stands_there_is_known_when_it_is_tried_again() -> None:
    place = Breaking(times=1)
    async with Bot(Shouts(), platforms=[place], store="memory://") as bot:
        await place.say(message("tea"))
        await place.posted(2)
        assert place.tried == [(), ("m1",)]
        (turn,) = (await bot.conversations.state(message("tea").key)).turns
        assert place.posts[-1].turn_id == turn.id


async def test_and_after_a_restart(tmp_path: Path) -> None:
    url, place, later = f"sqlite:///{tmp_path}/bot.db", Breaking(times=1), Breaking(times=0)
    async with Bot(Shouts(), platforms=[place], store=url):
        await place.say(message("tea"))
        await place.posted(1)
    async with Bot(Shouts(), platforms=[later], store=url):
        await later.posted(1)
    assert (place.tried, later.tried) == ([()], [("m1",)])
