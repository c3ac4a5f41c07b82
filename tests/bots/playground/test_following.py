"""What is done to a conversation without a word, and how the page comes to show it."""

from __future__ import annotations

import asyncio

from dspy_session_bots.playground.following import Following
from dspy_session_bots.playground.key import conversation_key
from dspy_session_chat import Action, Command, Event, Inbound, Post, Press, Reply
from tests.bots.playground.page import ANN, BEN, Visitor, overheard


async def obeys(visitor: Visitor, event: Event) -> None:
    """A bot of its own that does at once what it is asked for."""
    conversations, key = visitor.conversations, event.key
    if isinstance(event, Inbound):
        await conversations.acall(key, question=event.text)
        turn = (await conversations.state(key)).turns[-1]
        await visitor.playground.post(Post(event, Reply(str(turn.outputs["answer"]), turn_id=turn.id)))
        return
    assert isinstance(event, Action)
    match event.deed:
        case Press("good", about, _):
            await conversations.score(key, about, 1.0, by=event.author.id)
        case Press("bad", about, text):
            await conversations.score(key, about, 0.0, by=event.author.id, text=text)
        case Command("undo"):
            await conversations.undo(key)
        case Command("forget"):
            await conversations.forget(key)


async def test_what_people_say_of_an_answer_is_shown_and_is_there_after_a_reload():
    async with overheard(obeys) as visitor, visitor.page() as page:
        turn = (await page.answer(await visitor.say("Hello", author=ANN)))["turn"]
        await visitor.act("press", button="good", about=turn)
        await page.until("exchange", lambda exchange: exchange["verdicts"] == {"ann": 1.0})
        await page.until("turn", lambda line: line["score"] == 1.0)
        await visitor.act("press", button="bad", about=turn, text="rude", author=BEN)
        await page.until("exchange", lambda exchange: exchange["verdicts"] == {"ann": 1.0, "ben": 0.0})
        line = await page.until("turn", lambda line: line["score"] == 0.5)
        (shown,) = await visitor.exchanges()
    assert shown["verdicts"] == {"ann": 1.0, "ben": 0.0}
    assert [(said["by"], said["score"], said.get("text")) for said in line["feedback"]] == [
        ("ann", 1.0, None),
        ("ben", 0.0, "rude"),
    ]


async def test_what_was_taken_back_is_shown_as_such():
    async with overheard(obeys) as visitor, visitor.page() as page:
        first = await page.answer(await visitor.say("Hello", author=ANN))
        second = await page.answer(await visitor.say("I keep bees", author=ANN))
        assert first["remembered"]
        assert second["remembered"]
        await visitor.act("command", name="undo")
        undone = await page.until("exchange", lambda exchange: not exchange["remembered"])
        line = await page.until("turn", lambda turn: not turn["remembered"])
    assert undone["id"] == second["id"]
    assert line["id"] == second["turn"]


async def test_nothing_is_left_of_what_was_forgotten():
    async with overheard(obeys) as visitor, visitor.page() as page:
        first = await page.answer(await visitor.say("I keep bees", author=ANN))
        await visitor.act("command", name="forget")
        gone = await page.until("gone")
        unlisted = await page.until("unlisted")
        async with visitor.page() as other:
            whole = await other.whole()
    assert gone == {"exchanges": [first["id"]], "turns": [first["turn"]]}
    assert (unlisted, whole["threads"]) == ({"id": "one"}, [])
    assert "bees" not in str(whole)


async def test_a_change_from_elsewhere_is_there_on_the_next_page():
    async with overheard(obeys) as visitor:
        async with visitor.page() as page:
            exchange = await page.answer(await visitor.say("Hello", author=ANN))
        key = conversation_key("one")
        await visitor.conversations.edit(
            key, exchange["turn"], inputs={"question": "Good day"}, outputs={"answer": "**Hi**"}
        )
        await visitor.conversations.acall(key, question="From the command line")
        edited, other = await visitor.exchanges()
    assert (edited["text"], edited["edited"], edited["html"]) == (
        *("Good day", True),
        "<p><strong>Hi</strong></p>\n",
    )
    assert other["text"] == "From the command line"


async def test_looks_come_soon_and_a_new_deed_begins_anew():
    looked: list[str] = []
    enough = asyncio.Event()

    async def look(thread: str) -> bool:
        looked.append(thread)
        if len(looked) >= 3:
            enough.set()
        return False

    following = Following(look, _never, (0.0, 0.0, 0.0))
    following.follow("one")
    following.follow("one")
    await asyncio.wait_for(enough.wait(), 10)
    await following.aclose()
    assert looked[:3] == ["one"] * 3


async def test_it_ends_when_it_is_told_to():
    following = Following(_never, _never, (3600.0,))
    following.follow("one")
    await asyncio.wait_for(following.aclose(), 10)


async def _never(thread: str) -> bool:
    raise AssertionError("nobody waits an hour")
