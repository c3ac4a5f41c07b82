"""What people say of answers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation import ChangeEvent, ConversationKey, TurnEvent
from dspy_session.feedback import Feedback
from dspy_session_chat import Access, Manners, Reaction
from dspy_session_chat.ratings import Ratings
from dspy_session_chat.testing import ChatTester
from dspy_session_chat.wavering import MOST_A_DAY
from tests.chat.agents import Parrot, Speaker, held
from tests.conversation.scripted_sink import ScriptedSink


async def score_of(chat: ChatTester, place: int = -1, thread: str = "t1") -> float | None:
    return (await chat.turns(thread))[place].score


async def test_reactions_become_scores_change_and_are_taken_back() -> None:
    async with ChatTester(held(Parrot())) as chat:
        first = await chat.say("one")
        await chat.say("two")
        await chat.react("👍", first)
        assert [turn.score for turn in await chat.turns()] == [1.0, None]
        await chat.react("👎", first)
        assert await score_of(chat, 0) == 0.0
        await chat.react("👍", first, added=False)  # that was said before, and is not what stands
        assert await score_of(chat, 0) == 0.0
        await chat.react("👎", first, added=False)
        assert await score_of(chat, 0) is None
        await chat.react("🎉", first)
        assert (await chat.turns())[0].feedback == ()


async def test_several_people_rate_and_each_has_one_say() -> None:
    async with ChatTester(held(Parrot())) as chat:
        reply = await chat.say("one")
        await chat.react("👍", reply, author="ann")
        await chat.react("👎", reply, author="ben")
        assert await score_of(chat) == 0.5
        (turn,) = await chat.turns()
        said = [replace(each, at=None) for each in turn.feedback]
        assert said == [
            Feedback(1.0, "tester::ann", "", "reaction"),
            Feedback(0.0, "tester::ben", "", "reaction"),
        ]
        assert all(each.at is not None for each in turn.feedback)


async def test_buttons_rate_ask_for_a_sentence_and_are_taken_back() -> None:
    sink = ScriptedSink()
    async with ChatTester(held(Parrot()), sinks=[sink]) as chat:
        reply = await chat.say("one")
        assert [button.label for button in reply.buttons] == ["Retry", "👍", "👎"]
        assert reply.button("👎").asks
        await chat.handled(await chat.press("👎", reply))
        await chat.handled(await chat.press("👎", reply, text="It is too long."))
        (turn,) = await chat.turns()
        assert [(each.score, each.text, each.source) for each in turn.feedback] == [(0.0, "It is too long.", "button")]
        await chat.handled(await chat.press("👍", reply))
        assert await score_of(chat) == 1.0
        await chat.handled(await chat.press("👍", reply))
        assert await score_of(chat) is None
        assert len(chat.seen()) == 1  # nothing was said about it
    kinds = [told.partition(":")[0] for told in sink.told[str(reply.event.key)]]
    assert len(kinds) == 5


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(count)


async def test_who_cannot_decide_fills_no_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "bot.db"
    async with ChatTester(held(Parrot()), store=f"sqlite:///{path}") as chat:
        reply = await chat.say("one")
        before = {table: rows(path, table) for table in ("arrivals", "entries")}
        for _ in range(50):
            await chat.react("👍", reply)
            await chat.react("👍", reply, added=False)
            await chat.handled(await chat.press("👎", reply))
        assert {table: rows(path, table) - before[table] for table in before} == {
            "arrivals": MOST_A_DAY,
            "entries": MOST_A_DAY,
        }
        await chat.react("👎", reply, author="ben")
        assert "tester::ben" in [each.by for each in (await chat.turns())[0].feedback]
        another = await chat.say("two")
        await chat.react("👍", another)
        assert await score_of(chat) == 1.0
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("tester::ann has rated an answer in tester:W:general:t1 20 times today")


@pytest.mark.parametrize("last", [True, False])
async def test_reactions_that_wait_are_one(tmp_path: Path, last: bool) -> None:
    path, agent = tmp_path / "bot.db", Parrot()
    async with ChatTester(held(agent), store=f"sqlite:///{path}") as chat:
        reply = await chat.say("one")
        place = replace(reply.event.key, thread=None)
        gate = agent.gate()
        asked = await chat.start("two")
        await agent.started.wait()
        for number in range(16):
            await chat.do(Reaction("👎" if number % 4 < 2 else "👍", reply.id, number % 2 == 0), key=place)
        if last:
            await chat.do(Reaction("👍", reply.id), key=place)
        await chat.do(Reaction("👎", reply.id), key=place, author="ben")
        entries = rows(path, "entries")
        gate.set()
        await asked.reply()
        await chat.command("help")
        assert [each.score for each in (await chat.turns())[0].feedback] == ([1.0, 0.0] if last else [0.0])
        assert rows(path, "entries") - entries == 1 + last + 1  # a turn, what Ann says of the other one, and Ben


@given(
    st.none() | st.sampled_from([0.0, 1.0]),
    st.lists(st.builds(Reaction, st.sampled_from(["👍", "👎", "🎉"]), st.just("m1"), st.booleans())),
    st.integers(0, 9),
)
def test_reactions_together_say_what_they_say_one_by_one(
    given_before: float | None, reactions: list[Reaction], place: int
) -> None:
    ratings = Ratings()
    at_once = ratings.after(given_before, reactions)
    assert ratings.after(ratings.after(given_before, reactions[:place]), reactions[place:]) == at_once
    assert at_once in (None, 0.0, 1.0)


async def test_what_changes_nothing_is_not_written_down(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    async with ChatTester(held(Parrot()), store=f"sqlite:///{path}") as chat:
        reply = await chat.say("one")
        await chat.handled(await chat.press("👎", reply, text="It is too long."))
        entries = rows(path, "entries")
        await chat.react("👎", reply)
        await chat.react("👍", reply, added=False)
        assert rows(path, "entries") == entries
        assert (await chat.turns())[0].feedback[0].text == "It is too long."


async def test_any_message_of_an_answer_finds_its_turn() -> None:
    from dspy_session_chat.testing import TesterPlatform

    class Long(Parrot):
        async def aforward(self, message: str, history: object) -> object:
            import dspy

            return dspy.Prediction(reply="\n\n".join(f"paragraph {number} " + "x" * 50 for number in range(6)))

    async with ChatTester(held(Long()), platform=TesterPlatform(limit=120)) as chat:
        await chat.say("one")
        messages = chat.seen()
        assert len(messages) > 2
        await chat.react("👍", messages[1])
        assert await score_of(chat) == 1.0


async def test_a_rating_finds_the_conversation_of_whoever_asked() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(scope="user-in-channel")) as chat:
        reply = await chat.say("one", author="ann")
        await chat.react("👍", reply, author="ben")
        await chat.handled(await chat.press("👎", reply, author="cay"))
        (turn,) = (await chat.conversations.state("tester:W:general:=ann")).turns
        assert turn.score == 0.5
        assert not (await chat.conversations.state("tester:W:general:=ben")).turns


async def test_a_rating_of_what_was_taken_back_is_of_no_account() -> None:
    async with ChatTester(held(Parrot())) as chat:
        reply = await chat.say("one")
        await chat.say("/undo")
        await chat.react("👍", reply)
        await chat.handled(await chat.press("👍", reply))
        assert await chat.turns() == []
        assert (await chat.say("two")).text.startswith("two! (0 before")


async def test_reactions_to_other_messages_are_not_even_kept() -> None:
    async with ChatTester(held(Parrot())) as chat:
        reply = await chat.say("one")
        stranger = replace(reply, id="not ours")
        await chat.react("👍", stranger)
        (turn,) = await chat.turns()
        assert turn.feedback == ()


async def test_whoever_may_not_talk_may_not_rate() -> None:
    async with ChatTester(held(Parrot()), access=Access(deny_users=["eve"])) as chat:
        reply = await chat.say("one")
        await chat.react("👎", reply, author="eve")
        assert await score_of(chat) is None


async def test_the_owner_says_what_reactions_are_worth() -> None:
    async with ChatTester(held(Parrot()), scores={"👍": 5, "party": 3.0}) as chat:
        reply = await chat.say("one")
        await chat.react("party", reply, author="ann")
        assert await score_of(chat) == 3.0
        await chat.handled(await chat.press("👍", reply))
        assert await score_of(chat) == 5.0


async def test_asking_again_taking_back_and_sending_again_are_weak_signals() -> None:
    async with ChatTester(held(Parrot())) as chat:
        asked = await chat.start("one")
        reply = await asked.reply()
        await chat.answer_to(await chat.press("Retry", reply))
        await chat.answer_to(await chat.edit(asked, "one, please"))
        await chat.say("/undo")
        past = await chat.conversations.past_turns("tester:W:general:t1")
        signals = [[each.signal for each in turn.feedback] for turn in past]
    assert signals == [["retried"], ["resent"], ["undone"]]


async def test_sinks_hear_of_a_rating_with_its_words() -> None:
    events: list[object] = []

    class Listener(ScriptedSink):
        def encode(self, event: object) -> object:
            events.append(event)
            return super().encode(event)

    async with ChatTester(held(Parrot()), sinks=[Listener()]) as chat:
        reply = await chat.say("one")
        await chat.handled(await chat.press("👎", reply, text="wrong"))
    turn, rated = events
    assert isinstance(turn, TurnEvent)
    assert isinstance(rated, ChangeEvent)
    assert rated.type == "turn.scored"
    assert (rated.details["turn_id"], rated.details["score"], rated.details["text"]) == (turn.turn.id, 0.0, "wrong")


async def test_a_reaction_to_an_answer_that_still_grows_counts_once_it_is_whole() -> None:
    speaker = Speaker("It is |42.", "No.")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm, manners=Manners(scope="user")) as chat:
        asked = await chat.start("What is it?", author="ann")
        growing = await asked.growing("It is")
        place = ConversationKey("tester", "W", "general")
        await chat.do(Reaction("👍", growing.id), author="ben", key=place)
        speaker.go_on()
        await asked.reply()
        await chat.say("And else?", author="ann")  # the reaction came before it
        turns = (await chat.conversations.state("tester:::=ann")).turns
        assert turns[0].score == 1.0
        assert chat.bot._poster.growing == {}  # noqa: SLF001
