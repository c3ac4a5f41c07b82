"""What becomes of what people write and do while the bot is at work."""

from __future__ import annotations

import asyncio

import dspy
import pytest

from dspy_session_chat import Access, Command, Limits, Manners, Press
from dspy_session_chat.rules.access import NOT_YOU
from dspy_session_chat.rules.manners import Busy
from dspy_session_chat.testing import Asked, ChatTester
from tests.chat.agents import Parrot, Speaker, held
from tests.chat.later import later


def chatting(agent: Parrot, busy: Busy, **options: object) -> ChatTester:
    return ChatTester(held(agent), manners=Manners(busy=busy, **options))  # type: ignore[arg-type]


async def test_messages_queue_and_each_is_answered_in_order() -> None:
    agent = Parrot()
    async with chatting(agent, "queue") as chat:
        gate = agent.gate()
        asked = [await chat.start(f"m{number}") for number in range(3)]
        gate.set()
        texts = [(await each.reply()).text for each in asked]
    assert texts == [f"m{number}! ({number} before, call {number + 1})" for number in range(3)]


async def test_what_came_meanwhile_becomes_one_turn() -> None:
    agent = Parrot()
    async with chatting(agent, "merge") as chat:
        gate = agent.gate()
        first = await chat.start("one")
        await agent.started.wait()
        await chat.start("two")
        last = await chat.start("three")
        gate.set()
        assert (await first.reply()).text == "one! (0 before, call 1)"
        assert (await last.reply()).text == "two\n\nthree! (1 before, call 2)"
        assert len(chat.platform.posts) == 2
        assert await chat.say("four") is not None
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["one", "two\n\nthree", "four"]


async def test_several_people_who_are_answered_at_once_are_told_apart() -> None:
    agent = Parrot()
    async with chatting(agent, "merge") as chat:
        gate = agent.gate()
        await chat.start("one")
        await agent.started.wait()
        await chat.start("red", author="ann")
        last = await chat.start("blue", author="ben")
        gate.set()
        assert (await last.reply()).text.startswith("Ann: red\n\nBen: blue!")


async def test_an_interruption_before_anything_was_said_is_answered_together() -> None:
    agent = Parrot()
    async with chatting(agent, "interrupt") as chat:
        agent.gate()
        await chat.start("one")
        await agent.started.wait()
        last = await chat.start("two")
        assert (await last.reply()).text == "one\n\ntwo! (0 before, call 2)"
        assert len(await chat.turns()) == 1


async def test_an_interrupted_answer_is_remembered_and_the_next_one_knows_it() -> None:
    speaker = Speaker("The capital of France |is Paris.", "As I said.")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm, manners=Manners(busy="interrupt")) as chat:
        first = await chat.start("What is the capital?")
        await first.growing("The capital of France")
        last = await chat.start("And in short?")
        assert (await last.reply()).text == "As I said."
        assert (await first.reply()).text == "The capital of France\n\n*(interrupted)*"
        turns = await chat.turns()
    assert [turn.stopped for turn in turns] == ["interrupted", ""]
    assert "The capital of France" in speaker.prompts[-1]
    assert "What is the capital?" in speaker.prompts[-1]


async def test_whoever_writes_meanwhile_can_be_turned_away() -> None:
    agent = Parrot()
    async with chatting(agent, "reject") as chat:
        gate = agent.gate()
        first = await chat.start("one")
        await agent.started.wait()
        refused = await (await chat.start("two")).reply()
        assert "still at work" in refused.text
        assert refused.private
        gate.set()
        assert (await first.reply()).text == "one! (0 before, call 1)"
        assert (await chat.say("three")).text == "three! (1 before, call 2)"


async def test_what_is_too_much_is_said() -> None:
    agent = Parrot()
    async with chatting(agent, "queue", most_waiting=2) as chat:
        gate = agent.gate()
        await chat.start("m0")
        await agent.started.wait()
        waiting = [await chat.start(f"m{number}") for number in range(1, 5)]
        for late in waiting[2:]:
            assert "too many messages" in (await late.reply()).text
        gate.set()
        assert (await waiting[1].reply()).text.startswith("m2!")
        assert len(await chat.turns()) == 3


async def test_commands_and_buttons_may_be_too_much_as_well_but_stopping_never_is() -> None:
    agent = Parrot()
    async with chatting(agent, "queue", most_waiting=3) as chat:
        agent.gate()
        first = await chat.start("m0")
        await agent.started.wait()
        await chat.start("/help")
        await chat.do(Command("help"))
        await chat.do(Press("help"))
        for late in (
            (await chat.start("/help")).event,
            await chat.do(Command("help")),
            await chat.do(Press("help")),
            (await chat.start("m1")).event,
        ):
            assert "too many messages" in (await chat.answer_to(late)).text
        await chat.start("/stop")
        assert "stopped" in (await first.reply()).text


# --- stopping ---------------------------------------------------------------------------------------------------------


async def growing(chat: ChatTester, speaker: Speaker) -> Asked:
    asked = await chat.start("Tell me a story")
    await asked.growing("Once upon")
    return asked


@pytest.mark.parametrize("how", ["button", "text", "command"])
async def test_an_answer_can_be_stopped_and_is_remembered_as_far_as_it_was_seen(how: str) -> None:
    speaker = Speaker("Once upon |a time", "The end.")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm) as chat:
        asked = await growing(chat, speaker)
        message = await asked.growing()
        assert [button.label for button in message.buttons] == ["Stop"]
        if how == "button":
            await chat.press("Stop", message, author="ben")
        elif how == "text":
            await chat.start("/stop")
        else:
            from dspy_session_chat import Command

            await chat.do(Command("stop"))
        assert (await asked.reply()).text == "Once upon\n\n*(stopped)*"
        assert (await asked.reply()).id == message.id
        (turn,) = await chat.turns()
        assert (turn.stopped, turn.inputs["message"]) == ("stopped", "Tell me a story")
        assert (await chat.say("And then?")).text == "The end."
        assert len(chat.platform.posts) == 2
    assert "Once upon" in speaker.prompts[-1]


async def test_with_nothing_to_stop_that_is_said() -> None:
    async with ChatTester(held(Parrot())) as chat:
        assert (await chat.say("/stop")).text == "There is nothing to stop."
        await chat.say("hello")
        stale = await chat.do(Press("stop", "e1"))
        assert (await chat.answer_to(stale)).text == "There is nothing to stop."


async def test_an_answer_that_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from dspy_session_chat import Limits

    speaker = Speaker("Once upon |a time", "The end.")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm, limits=Limits(seconds=5.0)) as chat:
        asked = await chat.start("Tell me a story")
        await chat.until(lambda: any("Once upon" in message.text for message in chat.seen()))
        later(monkeypatch, 6.0)
        reply = await asked.reply()
        assert reply.text.startswith("Once upon\n\n*(")
        assert "5 seconds" in reply.text
        assert [turn.stopped for turn in await chat.turns()] == ["timeout"]
        assert (await chat.say("And then?")).text == "The end."


async def test_other_conversations_go_on_meanwhile() -> None:
    agent = Parrot()
    async with chatting(agent, "queue") as chat:
        gate = agent.gate()
        await chat.start("one", thread="t1")
        await agent.started.wait()
        assert (await chat.say("two", thread="t2")).text == "two! (0 before, call 2)"
        await chat.start("/stop", thread="t2")
        replies = await asyncio.gather(*(chat.say(f"m{number}", thread=f"x{number}") for number in range(20)))
        gate.set()
    assert len({reply.text for reply in replies}) == 20


@pytest.mark.parametrize("busy", ["merge", "interrupt"])
async def test_who_may_not_talk_is_not_let_in_by_the_message_of_another(busy: Busy) -> None:
    agent = Parrot()
    manners, access = Manners(busy=busy), Access(deny_users=["eve"])
    async with ChatTester(held(agent), manners=manners, access=access) as chat:
        gate = agent.gate()
        first = await chat.start("one")
        await agent.started.wait()
        await chat.start("/help")  # what comes behind a command interrupts nothing
        eves, bens = await chat.start("let me in", author="eve"), await chat.start("two", author="ben")
        gate.set()
        await first.reply()
        assert (await eves.reply()).text == NOT_YOU
        assert (await bens.reply()).text.startswith("two! ")


@pytest.mark.parametrize("then", ["", "retry", "failed"])
async def test_what_several_said_is_forgotten_with_each_of_them(then: str) -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(busy="merge")) as chat:
        gate = agent.gate()
        await chat.start("one", author="cay")
        await agent.started.wait()
        await chat.start("my secret", author="ann")
        bens = await chat.start("two", author="ben")
        agent.gates.append(asyncio.Event())
        gate.set()
        await chat.until(lambda: chat.platform.posts)
        if then == "failed":
            agent.errors.append(RuntimeError("no"))
        agent.gates[0].set()
        reply = await bens.reply()
        if then:
            reply = await chat.answer_to(await chat.press("Retry", reply, author="cay"))
        assert "my secret" in reply.text
        await chat.say("/forget-me yes", author="ann")
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["one"]
        entries = [entry.body async for entry in chat.conversations.store.entries("tester:W:general:t1")]
        assert "secret" not in "".join(entries)


async def test_each_message_of_one_turn_counts_for_whoever_wrote_it() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(busy="merge"), limits=Limits(per_user="2/h")) as chat:
        gate = agent.gate()
        await chat.start("one", author="cal")
        await agent.started.wait()
        for text in ("a1", "a2"):
            await chat.start(text, author="ann")
        turned_away, silent = await chat.start("a3", author="ann"), await chat.start("a4", author="ann")
        ben = await chat.start("b1", author="ben")
        gate.set()
        assert (await ben.reply()).text.startswith("Ann: a1\n\nAnn: a2\n\nBen: b1!")
        refused = await turned_away.reply()
        assert "You have reached your limit of 2 messages an hour" in refused.text
        assert refused.private
        await chat.handled(silent.event)
        assert not [message for message in chat.platform.messages if message.event.event_id == silent.id]
        assert (await chat.say("b2", author="ben")).text.startswith("b2!")
        assert "your limit" in (await chat.say("b3", author="ben")).text


async def test_who_interrupts_is_counted_and_who_is_interrupted_not_twice() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(busy="interrupt"), limits=Limits(per_user="2/h")) as chat:
        await chat.say("a1", author="ann")
        await chat.say("a2", author="ann")
        agent.gate()
        await chat.start("one", author="cal")
        await agent.started.wait()
        ben = await chat.start("b1", author="ben")
        assert (await ben.reply()).text.startswith("Cal: one\n\nBen: b1!")
        agent.gate()
        cal = await chat.start("two", author="cal")
        await agent.started.wait()
        refused = await (await chat.start("a3", author="ann")).reply()
        assert "your limit" in refused.text
        assert (await cal.reply()).text.startswith("two!")
        assert "your limit" in (await chat.say("three", author="cal")).text


async def test_a_first_message_that_is_refused_lets_the_others_be_answered() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(busy="merge"), limits=Limits(per_user="1/h")) as chat:
        gate = agent.gate()
        await chat.start("one", author="ann")
        await agent.started.wait()
        again = await chat.start("two", author="ann")
        await chat.start("b1", author="ben")
        cal = await chat.start("c1", author="cal")
        gate.set()
        assert (await cal.reply()).text.startswith("Ben: b1\n\nCal: c1!")
        assert "your limit" in (await again.reply()).text
        assert agent.calls == 2


async def test_commands_and_buttons_count_and_ratings_do_not() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), limits=Limits(per_user="3/h")) as chat:
        answer = await chat.say("one")
        again = await chat.answer_to(await chat.press("Retry", answer))
        assert again.text == "one! (0 before, call 2)"
        await chat.react("👍", again)
        assert "I answer" in (await chat.say("/help")).text
        assert "your limit of 3 messages" in (await chat.command("help")).text
        pressed = await chat.press("Retry", again)
        await chat.handled(pressed)
        await chat.react("👎", again)
        assert agent.calls == 2
        assert [turn.score for turn in await chat.turns()] == [0.0]
        assert "I answer" in (await chat.say("/help", author="ben")).text


@pytest.mark.parametrize("text", ["", "/hlep"])
async def test_what_is_answered_without_the_agent_counts_too(text: str) -> None:
    agent = Parrot()
    async with ChatTester(held(agent), limits=Limits(per_user="1/h")) as chat:
        await chat.say(text)
        assert "your limit of 1 message" in (await chat.say(text)).text
        silent = await chat.start(text)
        await chat.handled(silent.event)
        assert not [message for message in chat.platform.messages if message.event.event_id == silent.id]
        assert agent.calls == 0
