"""Answers that arrive in part alone."""

from __future__ import annotations

from pathlib import Path

import dspy
import pytest

from dspy_session_chat import Bot, Post, Posted, PostedInPartError, RefusedInPartError
from dspy_session_chat.waiting import scope_of
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


class Refusing(Place):
    """Posts one message of each answer, and wants no more of it."""

    async def post(self, post: Post) -> Posted:
        await super().post(post)
        raise RefusedInPartError("the channel is locked", [f"m{len(self.posts)}"])


async def test_what_stands_there_of_an_answer_that_is_refused_belongs_to_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = Refusing()
    async with Bot(Shouts(), platforms=[place], store="memory://") as bot:
        await place.say(message("tea"))
        await place.posted(1)
        await place.say(message("milk"))
        await place.posted(2)
        (turn, _) = (await bot.conversations.state(message("tea").key)).turns
        known = await bot.conversations.store.posted_as(scope_of("place", message("tea").key), "m1")
    assert known is not None
    assert known.turn_id == turn.id
    assert "was not posted: the channel is locked" in caplog.text


async def test_and_after_a_restart(tmp_path: Path) -> None:
    url, place, later = f"sqlite:///{tmp_path}/bot.db", Breaking(times=1), Breaking(times=0)
    async with Bot(Shouts(), platforms=[place], store=url):
        await place.say(message("tea"))
        await place.posted(1)
    async with Bot(Shouts(), platforms=[later], store=url):
        await later.posted(1)
    assert (place.tried, later.tried) == ([()], [("m1",)])
