"""What people write and do on the page, as the bot hears it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dspy_session.errors import PlatformError
from dspy_session_bots.playground.asked import LONGEST_NAME, MOST_FILES
from dspy_session_bots.playground.commands import Usual
from dspy_session_bots.playground.key import conversation_key
from dspy_session_chat import (
    Action,
    Button,
    Command,
    Deletion,
    Edit,
    Event,
    Inbound,
    Post,
    Press,
    Reaction,
    Reply,
)
from tests.bots.playground.page import ANN, BEN, Visitor, about_to_answer, overheard

ACTIONS = "/api/threads/one/actions"
MESSAGES = "/api/threads/one/messages"


async def taken(visitor: Visitor, event: Event, question: str) -> str:
    """Let the agent take a turn; its id."""
    await visitor.conversations.acall(event.key, question=question)
    return (await visitor.conversations.state(event.key)).turns[-1].id


async def answers(visitor: Visitor, event: Event) -> None:
    """A bot that answers each message."""
    if isinstance(event, Inbound):
        turn = await taken(visitor, event, event.text)
        await visitor.playground.post(Post(event, Reply("So you say.", turn_id=turn)))


async def test_two_people_share_a_thread():
    async with overheard() as visitor:
        await visitor.say("Hello", author=ANN)
        await visitor.say("Hello again", author=ANN)
        await visitor.say("Hi there", author=BEN)
        await visitor.say("Hey @ben, is it you?", author=ANN)
        await visitor.say("Hello", "two", author=BEN)
        shown = await visitor.exchanges()
    heard = [event for event in visitor.received if isinstance(event, Inbound)]
    assert [event.author.id for event in heard] == ["ann", "ann", "ben", "ann", "ben"]
    assert [event.addressed for event in heard] == ["direct", "direct", "thread", "thread", "direct"]
    assert [event.mentions_others for event in heard] == [False, False, False, True, False]
    assert [one["name"] for one in shown] == ["Ann", "Ann", "Ben", "Ann"]
    assert [one["phase"] for one in shown] == ["waiting", "waiting", "waiting", "quiet"]


@pytest.mark.parametrize(
    ("given", "deed"),
    [
        ({"kind": "command", "name": "reset"}, Command("reset")),
        ({"kind": "command", "name": "fork", "text": "bees"}, Command("fork", "bees")),
        ({"kind": "press", "button": "stop", "about": "m1"}, Press("stop", "m1")),
        ({"kind": "press", "button": "bad", "about": "t1", "text": "rude"}, Press("bad", "t1", "rude")),
    ],
)
async def test_a_deed_reaches_the_bot_as_it_was_done(given: dict[str, Any], deed: object):
    async with overheard() as visitor:
        event_id = await visitor.act(author=BEN, **given)
    (action,) = visitor.received
    assert isinstance(action, Action)
    assert (action.deed, action.event_id) == (deed, event_id)
    assert (action.key, action.author.id, action.author.name) == (conversation_key("one"), "ben", "Ben")


async def test_a_command_is_shown_and_so_is_its_answer():
    async with overheard() as visitor, visitor.page() as page:
        command = await visitor.act("command", name="fork", text="bees")
        asked = await page.until("exchange")
        (action,) = visitor.received
        posted = await visitor.playground.post(Post(action, Reply("Done.")))
        answered = await page.until("exchange")
    assert (asked["id"], asked["text"], asked["phase"], asked["deed"]) == (command, "/fork bees", "quiet", False)
    assert (answered["phase"], answered["html"], answered["answer"]) == (
        "notice",
        "<p>Done.</p>\n",
        f"{command}-answer",
    )
    assert posted.message_ids == (answered["answer"],) == (f"{command}-answer",)


async def test_an_answer_to_a_button_stands_below_what_was_done():
    async with overheard() as visitor, visitor.page() as page:
        await visitor.act("press", button="approve", about="call-1", author=BEN)
        (action,) = visitor.received
        async with visitor.playground.stream(about_to_answer(action)) as shown:
            await shown.append("I bo")
            growing = await page.until("exchange", lambda exchange: "I bo" in exchange["html"])
        await visitor.playground.post(Post(action, Reply("I booked it.", turn_id="t1")))
        answered = await page.until("exchange", lambda exchange: exchange["phase"] == "answered")
    assert (growing["text"], growing["name"], growing["deed"], growing["phase"]) == (
        *("pressed Approve", "Ben", True),
        "working",
    )
    assert growing["beneath"]["buttons"][0]["about"] == action.event_id
    assert (answered["id"], answered["turn"], answered["answer"]) == (action.event_id, "t1", "t1-answer")


async def test_an_answer_that_is_written_anew_stands_where_it_stood():
    async with overheard(answers) as visitor, visitor.page() as page:
        first = await visitor.say("Hello", author=ANN)
        turn = (await page.answer(first))["turn"]
        assert turn
        await visitor.act("press", button="retry", about=turn)
        press = visitor.received[-1]
        async with visitor.playground.stream(about_to_answer(press)) as shown:
            await shown.append("Good day.")
            await page.until("exchange", lambda exchange: exchange["id"] == press.event_id)
            await visitor.conversations.undo(press.key)
            anew = await taken(visitor, press, "Hello")
            post = Post(press, Reply("Good day.", turn_id=anew), shown=(f"{turn}-answer",))
            posted = await visitor.playground.post(post)
        again = await page.until("gone")
        exchange = await page.until("exchange", lambda exchange: "Good day" in exchange["html"])
        left = await visitor.exchanges()
    assert again["exchanges"] == [press.event_id]
    assert (exchange["html"], exchange["turn"]) == ("<p>Good day.</p>\n", anew)
    assert posted.message_ids == (f"{turn}-answer",)
    assert [one["id"] for one in left] == [first]


async def test_a_question_on_the_way_to_an_answer_stands_aside_and_says_what_became_of_it():
    async with overheard() as visitor, visitor.page() as page:
        message = await visitor.say("Book it", author=ANN)
        (inbound,) = visitor.received
        playground = visitor.playground
        async with playground.stream(about_to_answer(inbound)) as shown:
            await shown.append("One moment. ")
            ask = Reply("Shall I **pay**?", buttons=(Button("approve", "Approve", "c1", "good"),))
            (question,) = (await playground.post(Post(inbound, ask))).message_ids
            asked = await page.until("exchange", lambda exchange: exchange["asides"])
            await playground.edit(inbound, question, "Shall I **pay**?\n\n*approved by Ann*")
            decided = await page.until("exchange", lambda exchange: "approved" in str(exchange["asides"]))
        posted = await playground.post(Post(inbound, Reply("It is paid.", turn_id="t1")))
        answered = await page.answer(message)
    assert (asked["phase"], asked["html"]) == ("working", "<p>One moment.</p>\n")
    (aside,) = asked["asides"]
    assert (aside["id"], aside["html"]) == (question, "<p>Shall I <strong>pay</strong>?</p>\n")
    assert [button["action"] for button in aside["beneath"]["buttons"]] == ["approve"]
    assert decided["asides"][0]["beneath"] == {}
    assert (answered["html"], len(answered["asides"])) == ("<p>It is paid.</p>\n", 1)
    assert posted.message_ids == ("t1-answer",)


async def test_an_answer_can_be_shown_by_edits_as_well():
    buttons = (Button("stop", "Stop", "m1"),)
    async with overheard() as visitor, visitor.page() as page:
        message = await visitor.say("Hello", author=ANN)
        (inbound,) = visitor.received
        playground = visitor.playground
        assert playground.parts("Good day.") == ("Good day.",)
        answer = await playground.begin(inbound, "Good", buttons)
        begun = await page.until("exchange", lambda exchange: exchange["answer"])
        await playground.edit(inbound, answer, "Good day", buttons)
        grown = await page.until("exchange", lambda exchange: "day" in exchange["html"])
        posted = await playground.post(Post(inbound, Reply("Good day.", turn_id="t1"), shown=(answer,)))
        answered = await page.answer(message)
        await playground.edit(inbound, answer, "Good night.")
        changed = await page.until("exchange", lambda exchange: "night" in exchange["html"])
        with pytest.raises(PlatformError, match="shows no message nowhere any more"):
            await playground.edit(inbound, "nowhere", "Good night.")
    assert [one["phase"] for one in (begun, grown, answered, changed)] == ["working", "working", "answered", "answered"]
    assert [button["action"] for button in grown["beneath"]["buttons"]] == ["stop"]
    assert posted.message_ids == (answer,) == (answered["answer"],)
    assert changed["beneath"]["buttons"] == []


async def test_a_message_that_the_bot_leaves_out_waits_no_more():
    async with overheard() as visitor, visitor.page() as page:
        left_out = await visitor.say("Hello", author=ANN)
        await visitor.say("Are you there?", author=ANN)
        await visitor.playground.post(Post(visitor.received[1], Reply("Yes.")))
        quiet = await page.until("exchange", lambda exchange: exchange["phase"] == "quiet")
        async with visitor.page("two") as other:  # here nothing is posted: it is looked for after a while
            alone = await visitor.say("Hello", "two", author=ANN)
            await other.until("exchange", lambda exchange: exchange["phase"] == "quiet" and exchange["id"] == alone)
    assert quiet["id"] == left_out


async def test_what_is_said_in_a_thread_that_no_page_shows_is_there_when_one_does():
    async with overheard() as visitor:
        await visitor.act("command", name="fork")
        (action,) = visitor.received
        assert isinstance(action, Action)
        opened = await visitor.playground.open_thread(action, "Bees")
        elsewhere = replace(action, key=opened.key, reply_to=opened.reply_to)
        await visitor.playground.post(Post(elsewhere, Reply("Here it goes on.")))
        (exchange,) = await visitor.exchanges(str(opened.key.thread))
    assert exchange["html"] == "<p>Here it goes on.</p>\n"


async def test_an_answer_that_grows_can_be_stopped():
    async with overheard() as visitor, visitor.page() as page:
        message = await visitor.say("Count to a million", author=ANN)
        (inbound,) = visitor.received
        async with visitor.playground.stream(about_to_answer(inbound)):
            working = await page.until("exchange", lambda exchange: exchange["phase"] == "working")
        (button,) = working["beneath"]["buttons"]
        await visitor.act("press", button=button["action"], about=button["about"])
    assert visitor.received[-1].deed == Press("stop", message)


async def test_reactions_are_shown_and_told_by_the_answers_message_id():
    async with overheard(answers) as visitor, visitor.page() as page:
        answer = (await page.answer(await visitor.say("Hello", author=ANN)))["answer"]
        for author in (ANN, BEN):
            await visitor.act("reaction", author=author, emoji="🎉", message_id=answer, added=True)
        await page.until("exchange", lambda exchange: exchange["reactions"] == {"🎉": ["ann", "ben"]})
        await visitor.act("reaction", author=ANN, emoji="🎉", message_id=answer, added=False)
        await page.until("exchange", lambda exchange: exchange["reactions"] == {"🎉": ["ben"]})
        await visitor.act("reaction", author=BEN, emoji="🎉", message_id=answer, added=False)
        await page.until("exchange", lambda exchange: exchange["reactions"] == {})
    assert [event.deed for event in visitor.received[1:]] == [
        Reaction("🎉", answer, True),
        Reaction("🎉", answer, True),
        Reaction("🎉", answer, False),
        Reaction("🎉", answer, False),
    ]


async def test_people_edit_and_delete_what_they_wrote_and_nothing_else():
    async with overheard(answers) as visitor, visitor.page() as page:
        message = await visitor.say("I kep bees", author=ANN)
        await page.answer(message)
        await visitor.act("edit", message_id=message, text="I keep bees")
        edited = await page.until("exchange")
        for kind, more in {"edit": {"text": "I hate bees"}, "deletion": {}}.items():
            body = {"kind": kind, "author": BEN, "message_id": message, **more}
            assert await visitor.post(ACTIONS, json=body) == (404, {"error": "there is no such message of yours"})
        await visitor.act("deletion", message_id=message)
        deleted = await page.until("exchange")
    assert (edited["text"], edited["edited"]) == ("I keep bees", True)
    assert (deleted["text"], deleted["deleted"]) == ("", True)
    assert [event.deed for event in visitor.received[1:]] == [Edit(message, "I keep bees"), Deletion(message)]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"kind": "press"}, 400, "a press needs more than that; it has button, about, text"),
        ({"kind": "press", "button": 7}, 400, "button of a press is a int"),
        ({"kind": "reaction", "emoji": "👍", "message_id": "x", "added": "yes"}, 400, "added of a reaction is a str"),
        ({"kind": "reaction", "emoji": "👍", "message_id": "nowhere"}, 404, "no such message"),
        ({"kind": "dance"}, 400, "kind is one of command, press, reaction, edit, deletion"),
        ({"kind": ["press"]}, 400, "kind is one of"),
        ({"kind": "edit", "message_id": "x", "text": "a" * 20_001}, 413, "text has 20,001 characters"),
        ({"kind": "command", "name": "help", "author": "ann"}, 400, "say who"),
        ({"kind": "command", "name": "help", "author": {"id": "a b", "name": "A"}}, 400, "say who"),
        ({"kind": "command", "name": "help", "author": {"id": "a", "name": "A" * (LONGEST_NAME + 1)}}, 400, "say who"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_reason(body: dict[str, Any], status: int, reason: str):
    async with overheard() as visitor:
        answered, said = await visitor.post(ACTIONS, json=body)
    assert answered == status
    assert reason in said["error"]
    assert visitor.received == []


async def test_files_that_are_gone_or_too_many_are_refused():
    async with overheard() as visitor:
        gone = await visitor.post(MESSAGES, json={"text": "Look", "files": ["0123456789abcdef"]})
        many = await visitor.post(MESSAGES, json={"text": "Look", "files": ["0"] * (MOST_FILES + 1)})
        none = await visitor.post(MESSAGES, json={"text": "Look", "files": "0"})
    assert gone == (410, {"error": "a file is not here any more: add it again"})
    assert [many[0], none[0]] == [413, 400]
    assert visitor.received == []


async def test_the_page_offers_the_commands_that_the_bot_has():
    async with overheard() as visitor:
        async with visitor.page() as page:
            usual = (await page.whole())["commands"]
        visitor.playground.use_commands([Usual("dance", "Dance for me")])
        async with visitor.page() as page:
            own = (await page.whole())["commands"]
    assert [command["name"] for command in usual][:3] == ["help", "reset", "undo"]
    assert own == [{"name": "dance", "description": "Dance for me"}]


async def test_a_thread_that_is_opened_is_listed_and_linked():
    async with overheard() as visitor, visitor.page() as page:
        await visitor.act("command", name="fork")
        (action,) = visitor.received
        opened = await visitor.playground.open_thread(action, "Bees [and] honey")
        listed = await page.until("thread", lambda thread: thread["title"].startswith("Bees"))
        again = await visitor.playground.open_thread(action, "Bees [and] honey")
    assert opened == again
    assert opened.key == conversation_key(listed["id"])
    assert opened.link == f"[Bees  and  honey]({visitor.origin}/#{listed['id']})"
