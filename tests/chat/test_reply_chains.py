"""Conversations that follow who replies to what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dspy_session.conversation import ConversationKey
from dspy_session_chat import Author, Inbound, Manners
from dspy_session_chat.rules.manners import is_heard, scoped
from dspy_session_chat.testing import Asked, ChatTester, TesterPlatform
from tests.chat.agents import Parrot, held

CHAINS = Manners(scope="reply-chain")


def chatting(**options: Any) -> ChatTester:
    return ChatTester(held(Parrot()), **{"manners": CHAINS, **options})


async def ask(chat: ChatTester, text: str, replies_to: str = "", **more: Any) -> Asked:
    return await chat.start(text, thread="", replies_to=replies_to, **more)


async def said(asked: Asked) -> str:
    return (await asked.reply()).text.split(", call")[0]


async def test_who_replies_goes_on_and_who_replies_to_nothing_begins_anew() -> None:
    async with chatting() as chat:
        one = await ask(chat, "one")
        assert await said(one) == "one! (0 before"
        two = await ask(chat, "two", (await one.reply()).id, author="ben")
        assert await said(two) == "two! (1 before"
        assert await said(await ask(chat, "else")) == "else! (0 before"
        assert await said(await ask(chat, "three", two.id)) == "three! (2 before"  # to what somebody wrote
        assert await said(await ask(chat, "four", (await one.reply()).id)) == "four! (3 before"  # to an older answer
        assert await said(await ask(chat, "five", "unknown")) == "five! (0 before"
        keys = [info.key for info in await chat.conversations.list()]
        assert f"tester:W:general:{one.id}" in keys
        assert len(keys) == 3


@pytest.mark.parametrize(("respond", "answers"), [("mention", False), ("thread", True), ("always", True)])
async def test_a_reply_to_an_answer_needs_no_mention(respond: Any, answers: bool) -> None:
    async with chatting(manners=Manners(scope="reply-chain", respond=respond)) as chat:
        one = await ask(chat, "one")
        reply = await one.reply()
        if answers:
            assert await said(await ask(chat, "two", reply.id, addressed="ambient")) == "two! (1 before"
        else:
            await chat.overhear("two", thread="", replies_to=reply.id)
        if respond != "always":
            await chat.overhear("three", thread="", replies_to=one.id)  # people reply to one another
            await chat.overhear("four", thread="", replies_to="")


async def test_a_chain_is_changed_and_deleted_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'bot.db'}"
    async with chatting(store=store) as chat:
        one = await ask(chat, "one")
        two = await ask(chat, "two", (await one.reply()).id)
        last = (await two.reply()).id
        await chat.handled(await chat.edit(one, "uno"))
        key = ConversationKey("tester", "W", "general", one.id)
        turns = (await chat.conversations.state(key)).turns
        assert [turn.inputs["message"] for turn in turns] == ["uno", "two"]
        again = await chat.answer_to(await chat.edit(two, "due"))
        assert again.text.startswith("due! (1 before")
    platform = TesterPlatform()
    for _ in range(9):
        platform.number()  # of events that came before the restart
    async with chatting(store=store, platform=platform) as chat:
        assert await said(await ask(chat, "three", last)) == "three! (2 before"
        await chat.delete(two)
        turns = (await chat.conversations.state(key)).turns
        assert [turn.inputs["message"] for turn in turns] == ["uno", "(deleted by its author)", "three"]


async def test_a_reply_to_an_answer_that_still_grows_waits_for_it() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=CHAINS) as chat:
        one = await ask(chat, "one")
        reply = await one.reply()
        gate = agent.gate()
        two = await ask(chat, "two", reply.id)
        await agent.started.wait()
        three = await ask(chat, "three", two.id)
        gate.set()
        assert await said(three) == "three! (2 before"


@pytest.mark.parametrize(
    ("addressed", "thread", "replies_to", "key"),
    [
        ("mention", None, "", "place:W:C:e1"),
        ("mention", "e1", "", "place:W:C:e1"),
        ("mention", "t1", "", "place:W:C:t1"),  # a thread is one conversation
        ("thread", "t1", "e0", "place:W:C:t1"),
        ("direct", None, "", "place:W:C"),
        ("direct", None, "e0", "place:W:C"),
        ("mention", None, None, "place:W:C"),  # where nobody can reply to a message
        ("ambient", None, "e0", "place:W:C:e1"),
    ],
)
def test_what_begins_a_chain(addressed: Any, thread: str | None, replies_to: str | None, key: str) -> None:
    place = ConversationKey("place", "W", "C", thread)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    message = Inbound(place, "e1", Author("U", "Ann"), "hi", addressed, now, replies_to=replies_to)
    assert str(scoped(message, CHAINS).key) == key
    assert scoped(message, Manners()).key == place
    assert is_heard(message, CHAINS)
    assert is_heard(message, Manners()) is (addressed != "ambient")
    assert Inbound.from_json(message.to_json()) == message
