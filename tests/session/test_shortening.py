"""Histories that are cut to a number of tokens, or made by a reducer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dspy
import pytest

from dspy_session import SessionState, sessionify
from tests.session.programs import Scripted

LONG = dspy.History(messages=[{"question": f"word {number}" * 40, "answer": "yes"} for number in range(3)])


def seen(session: dspy.Module) -> list[int]:
    return [len(turn.history_snapshot.messages) for turn in session.turns]


@pytest.mark.unwatched
def test_the_newest_messages_that_fit_are_seen() -> None:
    session = sessionify(Scripted(), max_tokens=24)
    for question in ("one two three four five six", "seven", "eight", "nine", "ten"):
        session(question=question)
    assert seen(session) == [0, 1, 2, 2, 3]
    newest = session.turns[-1].history_snapshot.messages[-1]
    assert newest["question"] == "nine"


def test_a_message_that_does_not_fit_by_itself_is_not_seen() -> None:
    session = sessionify(Scripted(), max_tokens=10, initial_history=LONG)
    assert session(question="now").answer == "now after 0"


def test_the_smaller_of_the_two_limits_counts() -> None:
    tight = sessionify(Scripted(), max_tokens=10_000, max_turns=2, initial_history=LONG)
    assert tight(question="now").answer == "now after 2"


def test_what_prompts_leave_out_is_not_counted() -> None:
    def steps(question: str, history: dspy.History) -> dspy.Prediction:
        return dspy.Prediction(trajectory={"observation_0": "a long page " * 500}, answer=str(len(history.messages)))

    hidden = sessionify(Scripted(steps), max_tokens=100)
    asked_for = sessionify(Scripted(steps), max_tokens=100, include_trajectory=True)
    for session in (hidden, asked_for):
        session(question="one")
        session(question="two")
    assert (seen(hidden), seen(asked_for)) == ([0, 1], [0, 0])


def test_the_bytes_of_an_image_are_no_tokens() -> None:
    picture = dspy.Image("data:image/png;base64," + "QUJD" * 20_000)
    session = sessionify(Scripted(lambda question, history: {"answer": str(len(history.messages))}), max_tokens=5_000)
    session(question=[picture, "what is this?"])
    assert session(question="and now?") == {"answer": "1"}
    small = sessionify(Scripted(lambda question, history: {"answer": str(len(history.messages))}), max_tokens=500)
    small(question={"picture": picture})
    assert small(question="and now?") == {"answer": "0"}


def test_the_tokenizer_is_loaded_when_the_session_is_made_not_when_somebody_waits(tmp_path: Path) -> None:
    # LiteLLM takes seconds to import, and here it matters only when that happens.
    (tmp_path / "litellm.py").write_text("def token_counter(text): return len(text)")
    program = """
        import sys, dspy, dspy_session
        assert "litellm" not in sys.modules
        dspy_session.sessionify(dspy.Predict("question -> answer"), max_tokens=100)
        assert "litellm" in sys.modules
    """
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in program.splitlines())],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr


def test_a_reducer_makes_the_history_and_no_window_cuts_it() -> None:
    def summary(state: SessionState) -> dspy.History:
        said = ", ".join(turn.inputs["question"] for turn in state)
        return dspy.History(messages=[{"question": "so far", "answer": said}] * 2)

    session = sessionify(Scripted(), reducer=summary, max_turns=1)
    session(question="a")
    session(question="b")
    assert session.turns[1].history_snapshot.messages[0]["answer"] == "a"
    assert seen(session) == [2, 2]
    assert session.session_history.messages[0]["answer"] == "a, b"


def test_a_reducer_that_returns_no_history_says_so() -> None:
    session = sessionify(Scripted(), reducer=lambda state: state.turns)
    with pytest.raises(TypeError, match=r"reducer must return a dspy\.History; it returned list"):
        session(question="a")
    assert len(session) == 0


def test_a_history_that_replaces_the_conversation_is_shortened_like_any_seed() -> None:
    tokens = sessionify(Scripted(), history_policy="replace_session", max_tokens=10)
    assert tokens(question="now", history=LONG).answer == "now after 0"

    def newest(state: SessionState) -> dspy.History:
        assert state.l2_memory == "likes tea"
        assert state.initial_history is not None
        return dspy.History(messages=state.initial_history.messages[-1:])

    reduced = sessionify(Scripted(), history_policy="replace_session", reducer=newest)
    reduced.state.l2_memory = "likes tea"
    assert reduced(question="now", history=LONG).answer == "now after 1"
    assert reduced.turns[0].history_snapshot.messages == LONG.messages[-1:]
    assert reduced(question="then").answer == "then after 1"
