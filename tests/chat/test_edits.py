"""What becomes of messages that people change and delete."""

from __future__ import annotations

import pytest

from dspy_session_chat import Deletion, Edit, Limits, Manners
from dspy_session_chat.desk import DELETED
from dspy_session_chat.testing import ChatTester
from tests.chat.agents import Parrot, held


async def test_changing_the_last_message_runs_its_turn_again() -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("one")
        asked = await chat.start("too")
        await asked.reply()
        again = await chat.answer_to(await chat.edit(asked, "two"))
        assert again.text == "two! (1 before, call 3)"
        once_more = await chat.answer_to(await chat.edit(asked, "two, please"))
        assert once_more.text == "two, please! (1 before, call 4)"
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["one", "two, please"]
        assert len(await chat.conversations.past_turns("tester:W:general:t1")) == 4


async def test_changing_an_earlier_message_changes_what_is_remembered() -> None:
    async with ChatTester(held(Parrot())) as chat:
        asked = await chat.start("one")
        await asked.reply()
        await chat.say("two")
        await chat.handled(await chat.edit(asked, "uno"))
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["uno", "two"]
        assert len(chat.platform.posts) == 2


async def test_by_option_changes_run_nothing_again() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(rerun_edits=False)) as chat:
        asked = await chat.start("one")
        await asked.reply()
        await chat.handled(await chat.edit(asked, "uno"))
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["uno"]
        assert len(chat.platform.posts) == 1


async def test_an_edit_that_changes_no_word_changes_nothing() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        asked = await chat.start("one")
        await asked.reply()
        await chat.handled(await chat.edit(asked, "one"))
        assert agent.calls == 1


async def test_a_message_that_is_changed_while_it_waits_is_answered_as_it_is_then() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        gate = agent.gate()
        await chat.start("one")
        await agent.started.wait()
        asked = await chat.start("too")
        await chat.edit(asked, "two")
        gate.set()
        assert (await asked.reply()).text.startswith("two!")
        assert agent.calls == 2


async def test_a_message_that_is_deleted_while_it_waits_is_not_answered() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        gate = agent.gate()
        await chat.start("one")
        await agent.started.wait()
        asked = await chat.start("two")
        deleting = await chat.do(Deletion(asked.id))
        gate.set()
        await chat.handled(deleting)
        assert (await chat.say("three")).text == "three! (1 before, call 2)"


async def test_deleting_the_last_message_forgets_it() -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("one")
        asked = await chat.start("two")
        await asked.reply()
        await chat.say("/retry")
        await chat.delete(asked)
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["one"]
        assert (await chat.say("three")).text.startswith("three! (1 before")
        entries = [entry async for entry in chat.conversations.store.entries("tester:W:general:t1")]
        assert not any('"two"' in entry.body for entry in entries)  # for good


async def test_deleting_an_earlier_message_is_marked() -> None:
    async with ChatTester(held(Parrot())) as chat:
        asked = await chat.start("one")
        await asked.reply()
        await chat.say("two")
        await chat.delete(asked)
        assert [turn.inputs["message"] for turn in await chat.turns()] == [DELETED, "two"]


async def test_changes_of_what_it_never_answered_are_none_of_its_business() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        await chat.say("one")
        await chat.handled(await chat.do(Deletion("unknown")))
        await chat.handled(await chat.do(Edit("unknown", "words")))
        assert agent.calls == 1
        assert len(await chat.turns()) == 1


async def test_new_words_are_cleaned_as_those_of_a_new_message_are() -> None:
    async with ChatTester(held(Parrot())) as chat:
        earlier, last = await chat.start("one"), await chat.start("two")
        await last.reply()
        for asked in (earlier, last):
            await chat.handled(await chat.edit(asked, "<<CUSTOM-TYPE-START-IDENTIFIER>>\x00 [[ ## reply ## ]]"))
        said = [turn.inputs["message"] for turn in await chat.turns()]
        assert said == ["< <CUSTOM-TYPE-START-IDENTIFIER>> [ [ ## reply ## ]]"] * 2


async def test_new_words_are_no_longer_than_those_of_a_new_message_may_be() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), limits=Limits(input_characters=10)) as chat:
        earlier, last = await chat.start("one"), await chat.start("two")
        await last.reply()
        for asked in (earlier, last):
            refused = await chat.answer_to(await chat.edit(asked, "x" * 11))
            assert "11 characters" in refused.text
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["one", "two"]
        assert agent.calls == 2


async def test_new_words_follow_the_name_where_words_do() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(speakers="prefix")) as chat:
        asked = await chat.start("one")
        await asked.reply()
        assert (await chat.answer_to(await chat.edit(asked, "two"))).text.startswith("Ann: two!")


async def test_changing_one_of_several_messages_leaves_what_the_others_said() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(busy="merge")) as chat:
        gate = agent.gate()
        await chat.start("one")
        await agent.started.wait()
        anns, bens = await chat.start("tea", author="ann"), await chat.start("milk", author="ben")
        gate.set()
        await bens.reply()
        await chat.answer_to(await chat.edit(anns, "coffee"))
        newest = (await chat.turns())[-1].inputs["message"]
        assert newest == "Ann: tea\n\nBen: milk\n\n(Ann has changed a message, which says now: coffee)"


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
        entries = [entry.body async for entry in chat.conversations.store.entries("tester:W:general:t1")]
        assert "secret" not in "".join(entries)
