"""A call that brings a history of its own: what each policy does with it."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from dspy_session import Session, Turn, sessionify, with_memory
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel

SEED = dspy.History(messages=[{"question": "s", "answer": "a"}])
GIVEN = dspy.History(messages=[{"question": "x", "answer": "1"}, {"question": "y", "answer": "2", "extra": [3]}])


@pytest.mark.parametrize("given", [[], [{"question": "x"}], {"messages": []}, "before", 0, object()])
async def test_anything_but_a_history_is_refused(given: Any) -> None:
    for policy in ("override", "use_if_provided", "replace_session"):
        session = sessionify(Scripted(), history_policy=policy)
        session(question="a")
        with pytest.raises(TypeError, match=r"history must be a dspy\.History; got .*wrap the messages"):
            session(question="b", history=given)
        with pytest.raises(TypeError, match=r"history must be a dspy\.History"):
            await session.acall(question="b", history=given)
        assert [turn.inputs["question"] for turn in session.turns] == ["a"]


def test_none_is_no_history() -> None:
    session = sessionify(Scripted(), initial_history=SEED)
    assert session(question="a", history=None).answer == "a after 1"
    assert len(session) == 1


def session_with(policy: str, **options: Any) -> tuple[Session, list[Turn]]:
    """A session with a seed and two turns, and the turns that its hook was told of since."""
    told: list[Turn] = []
    session = sessionify(Scripted(), history_policy=policy, initial_history=SEED, **options)
    session(question="a")
    session(question="b")
    session.on_turn = lambda _, turn: told.append(turn)
    return session, told


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_override_runs_with_it_and_records_nothing(asynchronous: bool) -> None:
    session, told = session_with("override")
    before = session.save_state()
    given = {"question": "c", "history": GIVEN}
    result = await session.acall(**given) if asynchronous else session(**given)
    assert result.answer == "c after 2"
    assert session.save_state() == before
    assert told == []
    assert session(question="d").answer == "d after 3"


def test_override_finalises_nothing(stub: StubModel) -> None:
    consolidated: list[str] = []

    def consolidator(past_memory: str, episode_transcript: str) -> str:
        consolidated.append(episode_transcript)
        return "memory"

    team = with_memory(
        Team(), consolidator=consolidator, lifespan="episodic", child_configs={"draft": {"lifespan": "episodic"}}
    )
    team(question="c", history=GIVEN)
    assert consolidated == []
    assert (len(team), team.state.l2_memory, team.state.node_states) == (0, "", {})


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_use_if_provided_runs_with_it_and_records(asynchronous: bool) -> None:
    session, told = session_with("use_if_provided")
    given = {"question": "c", "history": GIVEN}
    result = await session.acall(**given) if asynchronous else session(**given)
    assert result.answer == "c after 2"
    turn = session.turns[-1]
    assert (turn.index, turn.inputs, turn.history_snapshot) == (2, {"question": "c"}, GIVEN)
    assert told == [turn]
    assert session.initial_history == SEED
    assert session(question="d").answer == "d after 4"


def test_use_if_provided_shows_it_whole_and_uncut() -> None:
    session, _ = session_with("use_if_provided", max_turns=1, exclude_fields={"answer", "extra"})
    assert session(question="c", history=GIVEN).answer == "c after 2"
    assert session.turns[-1].history_snapshot == GIVEN


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_replace_session_begins_anew_from_it(asynchronous: bool) -> None:
    session, told = session_with("replace_session")
    given = {"question": "c", "history": GIVEN}
    result = await session.acall(**given) if asynchronous else session(**given)
    assert result.answer == "c after 2"
    [turn] = session.turns
    assert (turn.index, turn.history_snapshot) == (0, GIVEN)
    assert told == [turn]
    assert session.state.initial_history == GIVEN
    assert session(question="d").answer == "d after 3"
    assert session.turns[-1].index == 1
    session.reset()
    assert session(question="e").answer == "e after 2"


def test_replace_session_is_a_normal_call_under_the_window() -> None:
    session, _ = session_with("replace_session", max_turns=1)
    assert session(question="c", history=GIVEN).answer == "c after 1"
    assert session.turns[-1].history_snapshot.messages == GIVEN.messages[-1:]


def test_replace_session_with_an_empty_history_empties_the_seed() -> None:
    session, _ = session_with("replace_session")
    assert session(question="c", history=dspy.History(messages=[])).answer == "c after 0"
    assert session(question="d").answer == "d after 1"


def test_the_given_history_is_a_snapshot() -> None:
    session, _ = session_with("use_if_provided")
    mine = dspy.History(messages=[{"question": ["x"], "answer": "1"}])
    session(question="c", history=mine)
    mine.messages[0]["question"].append("changed")
    mine.messages.append({})
    assert session.turns[-1].history_snapshot.messages == [{"question": ["x"], "answer": "1"}]


def test_a_failed_replacement_replaces_nothing() -> None:
    def fails(question: str, history: dspy.History) -> str:
        return question if question == "a" else str(int(question))

    session = sessionify(Scripted(fails), history_policy="replace_session", initial_history=SEED)
    session(question="a")
    before = session.save_state()
    with pytest.raises(ValueError, match="fail"):
        session(question="fail", history=GIVEN)
    assert session.save_state() == before


@pytest.mark.parametrize("policy", ["override", "use_if_provided", "replace_session"])
def test_the_model_reads_the_given_history(stub: StubModel, policy: str) -> None:
    session = sessionify(dspy.Predict("question -> answer"), history_policy=policy)
    session(question="Never mind me")
    session(question="Well?", history=dspy.History(messages=[{"question": "Who is Ada?", "answer": "A countess"}]))
    assert "Who is Ada?" in stub.prompts[-1].text
    assert "A countess" in stub.prompts[-1].text
    assert "Never mind me" not in stub.prompts[-1].text
