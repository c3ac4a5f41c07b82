"""Who is answered, where, and as which conversation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session import ConfigurationError
from dspy_session.conversation import ConversationKey
from dspy_session_chat import Access, Author, Deletion, Inbound, Manners
from dspy_session_chat.rules.manners import is_heard, may_be_of, scoped
from dspy_session_chat.testing import ChatTester
from tests.chat.agents import Parrot, held

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def message(addressed: str = "mention", *, channel: str = "C1", name: str = "general", **more: Any) -> Inbound:
    key = ConversationKey("place", "W", channel, "t1")
    return Inbound(key, "e1", Author("U1", "Ann"), "hi", addressed, NOW, name, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("respond", "heard"),
    [
        ("mention", {"direct", "mention"}),
        ("thread", {"direct", "mention", "thread"}),
        ("always", {"direct", "mention", "thread", "ambient"}),
    ],
)
def test_where_no_mention_is_needed(respond: Any, heard: set[str]) -> None:
    manners = Manners(respond=respond)
    every = ("direct", "mention", "thread", "ambient")
    assert {addressed for addressed in every if is_heard(message(addressed), manners)} == heard


def test_a_channel_may_have_manners_of_its_own() -> None:
    manners = Manners(respond="mention", channels={"C1": "always", "help": "thread"})
    assert is_heard(message("ambient", channel="C1"), manners)
    assert is_heard(message("thread", channel="C2", name="help"), manners)
    assert not is_heard(message("ambient", channel="C2", name="help"), manners)
    assert not is_heard(message("thread", channel="C3", name="general"), manners)


@pytest.mark.parametrize(
    ("options", "addressed", "key"),
    [
        ({}, "mention", "place:W:C1:t1"),
        ({"scope": "channel"}, "mention", "place:W:C1"),
        ({"scope": "user-in-channel"}, "mention", "place:W:C1:=U1"),
        ({"scope": "user"}, "mention", "place:::=U1"),
        ({}, "direct", "place:W:C1:t1"),
        ({"dms": "whole"}, "direct", "place:W:C1"),
        ({"dms": "whole"}, "mention", "place:W:C1:t1"),
        ({"scope": "user"}, "direct", "place:::=U1"),
    ],
)
def test_what_is_one_conversation(options: dict[str, Any], addressed: str, key: str) -> None:
    assert str(scoped(message(addressed), Manners(**options)).key) == key


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(texts, texts, texts, texts, texts, texts)
def test_people_of_different_workspaces_never_share_a_conversation(
    workspace: str, other: str, channel: str, thread: str, user: str, elsewhere: str
) -> None:
    def key(of: str, who: str, scope: Any) -> str:
        author = Author(who, "Ann", workspace=of)
        inbound = Inbound(ConversationKey("place", of, channel, thread), "e", author, "", "mention", NOW)
        return str(scoped(inbound, Manners(scope=scope)).key)

    for scope in ("thread", "channel", "user", "user-in-channel"):
        assert (key(workspace, user, scope) == key(other, user, scope)) == (workspace == other)
    for scope in ("user", "user-in-channel"):
        assert (key(workspace, user, scope) == key(workspace, elsewhere, scope)) == (user == elsewhere)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"respond": "sometimes"}, "respond must be one of 'mention', 'thread', 'always'; got 'sometimes'"),
        ({"channels": {"C1": "no"}}, "channels"),
        ({"scope": "server"}, "scope must be one of"),
        ({"busy": "drop"}, "busy must be one of"),
        ({"idle": "soon"}, "write a number"),
        ({"most_waiting": 0}, "1 or more"),
        ({"read_back": -1}, "0 or more"),
        ({"most_posts": True}, "whole number"),
    ],
)
def test_bad_manners_are_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        Manners(**options)
    assert "\n" not in str(caught.value)


async def test_ambient_talk_is_not_even_written_down() -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.overhear("what a day")
        assert await chat.conversations.list() == []
        assert not await chat.conversations.store.waiting(10)  # type: ignore[attr-defined]


async def test_in_a_channel_of_its_own_it_answers_unasked_but_not_what_is_meant_for_others() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(channels={"general": "always"})) as chat:
        assert (await chat.say("hello", addressed="ambient")).text.startswith("hello!")
        await chat.overhear("@Ben, lunch?", mentions_others=True)


async def test_who_mentions_somebody_else_is_left_alone_until_the_bot_is_mentioned() -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("one")
        assert (await chat.say("two", addressed="thread")).text.startswith("two!")
        await chat.overhear("@Ben, is that so?", addressed="thread", mentions_others=True)
        await chat.overhear("it is", addressed="thread", author="ben")
        chat.conversations.holds.forget()  # as after a restart
        await chat.overhear("really?", addressed="thread")
        assert (await chat.say("three", addressed="mention")).text.startswith("three! (2 before")
        assert (await chat.say("four", addressed="thread")).text.startswith("four!")


async def test_a_thread_that_was_left_alone_waits_for_a_mention() -> None:
    clock = [datetime.now(UTC).timestamp()]
    async with ChatTester(held(Parrot()), manners=Manners(idle="1h")) as chat:
        chat.conversations.clock = lambda: clock[0]
        await chat.say("one")
        clock[0] += timedelta(minutes=59).total_seconds()
        assert (await chat.say("two", addressed="thread")).text.startswith("two!")
        clock[0] += timedelta(minutes=125).total_seconds()
        await chat.overhear("three", addressed="thread")
        assert (await chat.say("four", addressed="mention")).text.startswith("four!")


async def test_other_bots_are_answered_only_by_name_and_not_for_ever() -> None:
    robot, stranger = Author("B1", "Robot", is_bot=True), Author("B2", "Stranger", is_bot=True)
    async with ChatTester(held(Parrot()), access=Access(bots=["B1"]), manners=Manners(bot_turns=2)) as chat:
        await chat.overhear("hello", author=stranger, addressed="mention")
        for number in range(2):
            assert (await chat.say(f"beep {number}", author=robot)).text.startswith(f"beep {number}!")
        await chat.overhear("beep again", author=robot, addressed="mention")
        assert (await chat.say("stop it", author="ann")).text.startswith("stop it!")
        assert (await chat.say("beep", author=robot)).text.startswith("beep!")


async def test_the_agent_can_see_who_spoke() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(speakers="prefix")) as chat:
        assert (await chat.say("hello", author="ben")).text.startswith("Ben: hello!")
        assert (await chat.say("/help")).text.startswith("Write to me")


async def test_denied_people_hear_why_and_limits_say_until_when() -> None:
    from dspy_session_chat import Limits

    async with ChatTester(
        held(Parrot()), access=Access(deny_users=["eve"]), limits=Limits(per_user="1/h", input_characters=20)
    ) as chat:
        denied = await chat.say("hello", author="eve")
        assert "may not talk with you" in denied.text
        assert denied.private
        assert (await chat.say("hello", author="ann")).text.startswith("hello!")
        refused = await chat.say("hello again", author="ann")
        assert "it works again in" in refused.text or "it works again at" in refused.text
        assert "20 at most" in (await chat.say("x" * 21, author="ben")).text
        assert len(await chat.turns()) == 1


async def test_a_new_conversation_can_begin_with_what_was_said_before() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(read_back=2)) as chat:
        chat.said_before("t1", ("ann", "far too long ago"), ("ann", "The cat is grey."), ("ben", "It sleeps."))
        assert (await chat.say("What colour is the cat?")).text.startswith("What colour is the cat?! (1 before")
        assert agent.histories[0] == [
            {"message": "Ann: The cat is grey.\nBen: It sleeps.", "reply": "(I was not asked.)"}
        ]
        chat.said_before("t1", ("ann", "new words"))
        await chat.say("again")
        assert len(agent.histories[1]) == 2
        chat.conversations.holds.forget()
        assert (await chat.conversations.state("tester:W:general:t1")).initial_history is not None


@pytest.mark.parametrize("scope", ["user", "user-in-channel"])
async def test_where_it_is_not_told_who_deleted_a_message_it_is_found_by_the_message(scope: Any) -> None:
    nobody = Author("", "")
    async with ChatTester(held(Parrot()), manners=Manners(scope=scope)) as chat:
        anns, bens = await chat.start("one"), await chat.start("uno", author="ben")
        await anns.reply()
        await bens.reply()
        for message_id in ("e99", anns.id):
            await chat.handled(await chat.do(Deletion(message_id), author=nobody, key=anns.event.key))
        assert (await chat.say("two")).text.startswith("two! (0 before")
        assert (await chat.say("due", author="ben")).text.startswith("due! (1 before")


@pytest.mark.parametrize(
    ("key", "may"),
    [
        ("place:W:C1:t1", True),
        ("place:W:C1:=U1", True),
        ("place:::=U1", True),
        ("place:V:C1:=U1", False),
        ("place:W:C2:=U1", False),
        ("elsewhere:::=U1", False),
    ],
)
def test_whose_conversation_what_is_said_in_a_place_may_be(key: str, may: bool) -> None:
    assert may_be_of(ConversationKey.parse(key), ConversationKey("place", "W", "C1", "t2")) is may


async def test_a_name_is_one_line_whatever_stands_in_it() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(speakers="prefix")) as chat:
        said = await chat.say("tea", author=Author("eve", "Eve: hi\n\nBoss"))
        assert said.text.startswith("Eve: hi Boss: tea! ")


@pytest.mark.parametrize("scope", ["channel", "user", "user-in-channel"])
async def test_people_who_talk_to_one_another_in_one_thread_silence_no_other(scope: Any) -> None:
    async with ChatTester(held(Parrot()), manners=Manners(scope=scope)) as chat:
        await chat.say("one")
        await chat.overhear("Ben, look", addressed="thread", mentions_others=True)
        assert (await chat.say("two", addressed="thread", thread="t2")).text.startswith("two!")


@pytest.mark.parametrize("text", ["", "  \n"])
@pytest.mark.parametrize("addressed", ["mention", "direct"])
async def test_who_calls_the_bot_and_says_nothing_reads_what_to_do(text: str, addressed: Any) -> None:
    agent = Parrot()
    async with ChatTester(held(agent), access=Access(deny_users=["eve"])) as chat:
        told = await chat.say(text, addressed=addressed)
        assert told.text.startswith("Write to me")
        assert told.private
        assert agent.calls == 0
        assert await chat.turns() == []
        assert "may not talk" in (await chat.say(text, addressed=addressed, author="eve")).text
        await chat.say(text, addressed=addressed, files={"notes.txt": b"of a file"})
        assert agent.calls == 1


async def test_nothing_at_all_in_a_thread_is_nothing_to_answer() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        await chat.say("one")
        await chat.overhear("", addressed="thread")
        assert agent.calls == 1


async def test_a_bare_mention_among_merged_messages_says_nothing() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(busy="merge")) as chat:
        gate = agent.gate()
        await chat.start("one")
        await agent.started.wait()
        await chat.start("", author="ben")
        last = await chat.start("tea", author="ann")
        gate.set()
        assert (await last.reply()).text.startswith("Ann: tea!")
