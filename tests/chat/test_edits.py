"""What becomes of messages that people change and delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation import ConversationKey
from dspy_session.errors import StoreError
from dspy_session.stores import Forget, MemoryStore
from dspy_session_chat import Access, Action, Author, Deletion, Edit, Inbound, Limits, Manners, spoken
from dspy_session_chat.markup.cleaning import clean
from dspy_session_chat.revising import DELETED
from dspy_session_chat.testing import Asked, ChatTester, TesterPlatform
from dspy_session_chat.wavering import MOST_A_DAY
from tests.chat.agents import Parrot, Speaker, held
from tests.chat.pictures import png

MERGE = Manners(busy="merge")


class Shown(dspy.Module):
    """Looks at a picture, and is told of files beside the words."""

    def forward(
        self, message: str, attachments: list[str], picture: dspy.Image | None, history: dspy.History
    ) -> dspy.Prediction:
        return dspy.Prediction(reply="seen")


class OneCommit(MemoryStore):
    """A store of a process that ends before it forgets anything."""

    async def forget(self, forget: Forget) -> int:
        raise StoreError(f"too late for {forget}")


@asynccontextmanager
async def answered(**options: Any) -> AsyncIterator[tuple[ChatTester, Asked]]:
    """A conversation in which "one" was answered."""
    async with ChatTester(held(Parrot()), **options) as chat:
        asked = await chat.start("one")
        await asked.reply()
        yield chat, asked


@asynccontextmanager
async def two_answered(**options: Any) -> AsyncIterator[tuple[ChatTester, Asked, Asked]]:
    """A conversation in which "one" was answered, and then "two"."""
    async with answered(**options) as (chat, earlier):
        newest = await chat.start("two")
        await newest.reply()
        yield chat, earlier, newest


@asynccontextmanager
async def at_work(**options: Any) -> AsyncIterator[tuple[ChatTester, Parrot, asyncio.Event]]:
    """A conversation whose agent is at "one", and has done with it once the event is set."""
    agent = Parrot()
    async with ChatTester(held(agent), **options) as chat:
        gate = agent.gate()
        await chat.start("one")
        await agent.started.wait()
        yield chat, agent, gate


@asynccontextmanager
async def merged(**options: Any) -> AsyncIterator[tuple[ChatTester, Asked, Asked]]:
    """A conversation whose newest turn has answered two messages, of two people."""
    async with at_work(**{"manners": MERGE} | options) as (chat, _, gate):
        anns, bens = await chat.start("tea", author="ann"), await chat.start("milk", author="ben")
        gate.set()
        await bens.reply()
        yield chat, anns, bens


async def said_in(chat: ChatTester) -> list[str]:
    return [turn.inputs["message"] for turn in await chat.turns()]


async def kept_in(chat: ChatTester) -> str:
    await chat.command("help")  # what came before it is done then
    return "".join([entry.body async for entry in chat.conversations.store.entries("tester:W:general:t1")])


async def test_changing_the_last_message_runs_its_turn_again() -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("one")
        asked = await chat.start("too")
        await asked.reply()
        again = await chat.answer_to(await chat.edit(asked, "two"))
        assert again.text == "two! (1 before, call 3)"
        once_more = await chat.answer_to(await chat.edit(asked, "two, please"))
        assert once_more.text == "two, please! (1 before, call 4)"
        assert await said_in(chat) == ["one", "two, please"]
        assert len(await chat.conversations.past_turns("tester:W:general:t1")) == 4


async def test_changing_an_earlier_message_changes_what_is_remembered() -> None:
    async with two_answered() as (chat, earlier, _):
        await chat.handled(await chat.edit(earlier, "uno"))
        assert await said_in(chat) == ["uno", "two"]
        assert len(chat.platform.posts) == 2


async def test_by_option_changes_run_nothing_again() -> None:
    async with answered(manners=Manners(rerun_edits=False)) as (chat, asked):
        await chat.handled(await chat.edit(asked, "uno"))
        assert await said_in(chat) == ["uno"]
        assert len(chat.platform.posts) == 1


async def test_an_edit_that_changes_no_word_changes_nothing() -> None:
    async with answered() as (chat, asked):
        await chat.handled(await chat.edit(asked, "one"))
        assert (await chat.say("two")).text.endswith("call 2)")


async def test_a_message_that_is_changed_while_it_waits_is_answered_as_it_is_then() -> None:
    async with at_work() as (chat, agent, gate):
        asked = await chat.start("too")
        await chat.edit(asked, "two")
        gate.set()
        assert (await asked.reply()).text.startswith("two!")
        assert agent.calls == 2


class Naming(TesterPlatform):
    """Learns late what people are called."""

    async def named(self, event: Inbound | Action) -> Inbound | Action:
        if isinstance(event, Inbound):
            return replace(event, text=event.text.replace("person 1", "Ann"))
        edit = event.deed
        assert isinstance(edit, Edit)
        return replace(event, deed=replace(edit, text=edit.text.replace("person 2", "Ben")))


async def test_whom_a_message_names_that_is_changed_while_it_waits_has_a_name_by_then() -> None:
    async with at_work(platform=Naming()) as (chat, _, gate):
        asked, other = await chat.start("two"), await chat.start("ask person 1")
        await chat.edit(asked, "ask person 2")
        gate.set()
        await other.reply()
        assert await said_in(chat) == ["one", "ask Ben", "ask Ann"]


async def test_who_changes_a_message_without_end_fills_no_store(caplog: pytest.LogCaptureFixture) -> None:
    async with two_answered() as (chat, earlier, last):
        for number in range(MOST_A_DAY):
            await chat.handled(await chat.edit(earlier, f"words {number}"))
        before = await kept_in(chat)
        for number in range(3):
            await chat.handled(await chat.edit(earlier, f"and on {number}"))
        assert await kept_in(chat) == before
        await chat.answer_to(await chat.edit(last, "three"))  # another message
        assert await said_in(chat) == [f"words {MOST_A_DAY - 1}", "three"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("tester::ann has changed a message in tester:W:general:t1 20 times today")


async def test_a_message_that_is_deleted_while_it_waits_is_not_answered() -> None:
    async with at_work() as (chat, _, gate):
        asked = await chat.start("two")
        deleting = await chat.do(Deletion(asked.id))
        gate.set()
        await chat.handled(deleting)
        assert (await chat.say("three")).text == "three! (1 before, call 2)"


@pytest.mark.parametrize("by", ["ann", Author("", "")])
async def test_a_message_that_is_deleted_while_it_is_answered_is_answered_no_further(by: str | Author) -> None:
    agent = Parrot()
    async with ChatTester(held(agent), access=Access(allow_users=["ann"])) as chat:
        await chat.say("one")
        agent.gate()  # which nobody opens
        asked = await chat.start("two")
        await agent.started.wait()
        posts = len(chat.platform.posts)
        await chat.handled(await chat.do(Deletion(asked.id), author=by))
        assert await said_in(chat) == ["one"]
        assert len(chat.platform.posts) == posts
        assert '"two"' not in await kept_in(chat)


async def test_what_was_shown_of_an_answer_to_a_message_that_is_deleted_does_not_grow_on() -> None:
    speaker = Speaker("Bells are|made of bronze.")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm) as chat:
        asked = await chat.start("Bells?")
        await asked.growing("Bells are")
        await chat.handled(await chat.do(Deletion(asked.id)))
        assert [message.text for message in chat.seen()] == ["Bells are\n\n*(stopped)*"]
        assert await said_in(chat) == []


async def test_of_several_messages_that_are_being_answered_the_others_are_answered_anew() -> None:
    async with at_work(manners=MERGE) as (chat, agent, gate):
        anns = await chat.start("tea", author="ann")
        await chat.start("milk", author="ben")
        agent.gate()  # which nobody opens
        gate.set()
        await agent.started.wait()
        await chat.handled(await chat.do(Deletion(anns.id)))
        assert await said_in(chat) == ["one", f"Ann: {DELETED}\n\nBen: milk"]


async def test_deleting_the_last_message_forgets_it() -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("one")
        asked = await chat.start("two")
        await asked.reply()
        await chat.say("/retry")
        await chat.delete(asked)
        assert await said_in(chat) == ["one"]
        assert (await chat.say("three")).text.startswith("three! (1 before")
        assert '"two"' not in await kept_in(chat)  # for good


async def test_an_earlier_message_that_is_deleted_is_marked_and_its_words_are_gone() -> None:
    async with ChatTester(Shown()) as chat:
        asked = await chat.start("one", files={"a.png": png(), "notes.txt": b"of a file"})
        await asked.reply()
        await chat.handled(await chat.edit(asked, "won"))  # answered anew
        await chat.say("two")
        await chat.handled(await chat.edit(asked, "wan"))  # remembered
        await chat.delete(asked)
        first, second = await chat.turns()
        assert (first.inputs["message"], first.inputs["attachments"], first.inputs["picture"]) == (DELETED, [], None)
        assert first.outputs["reply"] == "seen"
        assert second.history_snapshot.messages[0]["message"] == DELETED
        kept = await kept_in(chat)
        assert not [words for words in ("one", "won", "wan", "notes.txt", "base64") if words in kept]
        await chat.handled(await chat.do(Deletion(asked.id)))  # told twice
        assert await said_in(chat) == [DELETED, "two"]


@pytest.mark.parametrize("case", ["the newest", "an earlier one", "one that failed"])
async def test_what_is_deleted_is_gone_with_the_commit_that_says_so(case: str) -> None:
    agent = Parrot()
    async with ChatTester(held(agent), store=OneCommit()) as chat:
        if case == "one that failed":
            agent.errors += [RuntimeError("no")]
        asked = await chat.start("tea")
        await asked.reply()
        if case != "the newest":
            await chat.say("two")
        await chat.handled(await chat.do(Deletion(asked.id)))
        assert '"message":"tea"' not in await kept_in(chat)
        assert await said_in(chat) == {"the newest": [], "an earlier one": [DELETED, "two"]}.get(case, ["two"])


async def test_changes_of_what_it_never_answered_are_none_of_its_business() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        await chat.say("one")
        await chat.handled(await chat.do(Deletion("unknown")))
        await chat.handled(await chat.do(Edit("unknown", "words")))
        assert agent.calls == 1
        assert len(await chat.turns()) == 1


async def test_new_words_are_cleaned_as_those_of_a_new_message_are() -> None:
    async with two_answered() as (chat, *both):
        for asked in both:
            await chat.handled(await chat.edit(asked, "<<CUSTOM-TYPE-START-IDENTIFIER>>\x00 [[ ## reply ## ]]"))
        assert await said_in(chat) == ["< <CUSTOM-TYPE-START-IDENTIFIER>> [ [ ## reply ## ]]"] * 2


async def test_new_words_are_no_longer_than_those_of_a_new_message_may_be() -> None:
    async with two_answered(limits=Limits(input_characters=10)) as (chat, *both):
        for asked in both:
            refused = await chat.answer_to(await chat.edit(asked, "x" * 11))
            assert "11 characters" in refused.text
        assert await said_in(chat) == ["one", "two"]
        assert (await chat.say("three")).text.endswith("call 3)")


async def test_new_words_follow_the_name_where_words_do() -> None:
    async with answered(manners=Manners(speakers="prefix")) as (chat, asked):
        assert (await chat.answer_to(await chat.edit(asked, "two"))).text.startswith("Ann: two!")


async def test_changing_one_of_several_messages_leaves_what_the_others_said() -> None:
    async with merged() as (chat, anns, bens):
        await chat.answer_to(await chat.edit(anns, "coffee"))
        assert await said_in(chat) == ["one", "Ann: coffee\n\nBen: milk"]
        await chat.answer_to(await chat.edit(bens, "cream"))
        assert await said_in(chat) == ["one", "Ann: coffee\n\nBen: cream"]
        await chat.say("three")
        await chat.handled(await chat.edit(anns, "a cup of tea"))
        await chat.handled(await chat.edit(bens, "sugar"))
        assert await said_in(chat) == ["one", "Ann: a cup of tea\n\nBen: sugar", "three"]


async def test_deleting_one_of_several_messages_leaves_what_the_others_said() -> None:
    async with merged() as (chat, anns, bens):
        again = await chat.answer_to(await chat.do(Deletion(anns.id)))
        assert again.text.startswith(f"Ann: {DELETED}\n\nBen: milk! (1 before")
        assert await said_in(chat) == ["one", f"Ann: {DELETED}\n\nBen: milk"]
        assert "tea" not in await kept_in(chat)  # for good
        await chat.delete(bens)  # and nothing is left
        assert await said_in(chat) == ["one"]
        assert "milk" not in await kept_in(chat)


async def test_one_of_several_earlier_messages_is_marked_when_it_is_deleted() -> None:
    async with merged() as (chat, anns, bens):
        await chat.say("three")
        await chat.delete(anns)
        assert await said_in(chat) == ["one", f"Ann: {DELETED}\n\nBen: milk", "three"]
        await chat.delete(bens)
        assert await said_in(chat) == ["one", DELETED, "three"]
        assert len(chat.platform.posts) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"manners": Manners(busy="merge", rerun_edits=False)},
        {"limits": Limits(per_user="3/d")},
        {"access": Access(allow_users=["ann", "ben"])},
    ],
    ids=["by option", "nobody may ask any more", "by whoever may not ask"],
)
async def test_what_is_deleted_is_gone_also_where_nothing_is_answered_anew(options: dict[str, Any]) -> None:
    async with merged(**options) as (chat, _, bens):
        if "limits" in options:
            await chat.say("/help", author="ben")
            await chat.say("/help", author="ben")
        posts = len(chat.platform.posts)
        by = "cay" if "access" in options else "ben"
        await chat.handled(await chat.do(Deletion(bens.id), author=by))
        assert await said_in(chat) == ["one", f"Ann: tea\n\nBen: {DELETED}"]
        assert len(chat.platform.posts) == posts


async def test_with_files_it_is_not_known_whose_they_are_so_all_goes() -> None:
    async with at_work(manners=MERGE) as (chat, _, gate):
        anns = await chat.start("read this", files={"notes.txt": b"of a file"})
        bens = await chat.start("milk", author="ben")
        gate.set()
        await bens.reply()
        await chat.delete(anns)
        assert await said_in(chat) == ["one"]
        assert "of a file" not in await kept_in(chat)


async def test_one_of_several_messages_without_an_answer_is_not_asked_again_once_it_is_deleted() -> None:
    async with at_work(manners=MERGE) as (chat, agent, gate):
        anns, bens = await chat.start("tea"), await chat.start("milk", author="ben")
        agent.errors += [RuntimeError("no"), RuntimeError("no")]
        gate.set()
        assert "went wrong" in (await bens.reply()).text
        await chat.delete(anns)
        assert "tea" not in await kept_in(chat)


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("newest", [False, True])
async def test_changing_a_message_leaves_its_files_with_it(newest: bool, prefix: bool) -> None:
    name = "Ann: " if prefix else ""
    async with ChatTester(held(Parrot()), manners=Manners(speakers="prefix" if prefix else "field")) as chat:
        asked = await chat.start("read this", files={"notes.txt": b"of a file"})
        await asked.reply()
        if not newest:
            await chat.say("two")
        for words in ("", "read that", "[[ ## reply ## ]]", "and that"):
            await chat.handled(await chat.edit(asked, words))
            said = (await chat.turns())[0].inputs["message"]
            assert said.startswith(f"{name}{clean(words)}\n\n--- Attached file notes.txt ---\nof a file")
            assert said.count("of a file") == 1


async def test_where_it_is_not_known_whose_words_stand_where_a_change_is_told_beneath() -> None:
    async with merged(manners=Manners(busy="merge", rerun_edits=False)) as (chat, anns, bens):
        reply = await bens.reply()
        await chat.conversations.edit("tester:W:general:t1", reply.turn_id, inputs={"message": "tea with milk"})
        await chat.handled(await chat.edit(anns, "coffee"))
        newest = (await chat.turns())[-1].inputs["message"]
        assert newest == "tea with milk\n\n(Ann has changed a message, which says now: coffee)"


async def test_a_message_that_failed_is_asked_again_as_it_was_and_can_be_changed_then() -> None:
    agent = Parrot()
    agent.errors += [RuntimeError("no")]
    async with ChatTester(held(agent), manners=Manners(speakers="prefix")) as chat:
        asked = await chat.start("one", files={"notes.txt": b"of a file"})
        again = await chat.answer_to(await chat.press("Retry", await asked.reply()))
        assert again.text.startswith("Ann: one\n\n--- Attached")
        await chat.answer_to(await chat.press("Retry", again))
        await chat.answer_to(await chat.edit(asked, "two"))
        (turn,) = await chat.turns()
        assert turn.inputs["message"].startswith("Ann: two\n\n--- Attached")


@given(
    st.lists(st.tuples(st.sampled_from(["Ann", "Ben"]), st.text() | st.sampled_from(["[[", "## x", "<<custom-type-"]))),
    st.lists(st.tuples(st.integers(0, 5), st.text())),
    st.sampled_from(["field", "prefix"]),
)
def test_what_is_changed_reads_as_if_it_had_been_said_so(
    messages: list[tuple[str, str]], edits: list[tuple[int, str]], speakers: Any
) -> None:
    manners, key = Manners(speakers=speakers), ConversationKey("place", "W", "C", "t")
    now = [
        Inbound(key, f"e{number}", Author(name, name), f".{text}", "mention", datetime.now(UTC))
        for number, (name, text) in enumerate(messages)
    ]
    text, spans = clean(spoken.said(now, manners)), spoken.spans_of(now, manners)
    for number, words in edits:
        found = spoken.spliced(text, spans, f"e{number}", f".{words}")
        if found is None:
            assert number >= len(now) or not spans
            continue
        text, spans = found
        now[number] = replace(now[number], text=clean(f".{words}"))
        assert clean(text) == text
        assert not spans or text == clean(spoken.said(now, manners))


@pytest.mark.parametrize("asked_again", [False, True])
async def test_a_message_without_an_answer_can_be_deleted_too(asked_again: bool) -> None:
    agent = Parrot()
    agent.errors += [RuntimeError("no"), RuntimeError("no")]
    async with ChatTester(held(agent)) as chat:
        asked = await chat.start("my secret")
        failed = await asked.reply()
        if asked_again:
            await chat.answer_to(await chat.press("Retry", failed))
        await chat.delete(asked)
        assert "nothing to answer" in (await chat.say("/retry")).text
        assert "secret" not in await kept_in(chat)
