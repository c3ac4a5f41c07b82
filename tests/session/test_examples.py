"""Turns as examples for optimizers."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import Session, StateFileError, read_examples, sessionify
from dspy_session.examples import example_to_json
from tests.session.programs import Scripted

SEED = dspy.History(messages=[{"question": "s", "answer": "a"}])


def talked(*questions: str, **options: Any) -> Session:
    session = sessionify(Scripted(), **options)
    for question in questions:
        session(question=question)
    return session


def asked(examples: list[dspy.Example]) -> list[str]:
    return [example.question for example in examples]


def test_every_turn_becomes_an_example_with_the_history_that_it_saw() -> None:
    session = talked("a", "b", initial_history=SEED, max_turns=1)
    first, second = session.to_examples()
    assert first.toDict() == {"question": "a", "answer": "a after 1", "history": {"messages": SEED.messages}}
    assert second.history == dspy.History(messages=[{"question": "a", "answer": "a after 1"}])
    for example in (first, second):
        assert set(example.inputs().keys()) == {"question", "history"}
        assert set(example.labels().keys()) == {"answer"}


def test_the_history_may_be_left_out_and_has_the_sessions_name() -> None:
    [example] = talked("a").to_examples(include_history=False)
    assert example.toDict() == {"question": "a", "answer": "a after 0"}
    assert set(example.inputs().keys()) == {"question"}
    named = sessionify(dspy.Predict("question, past: dspy.History -> answer"))
    named.add_turn({"question": "a"}, {"answer": "b"})
    assert set(named.to_examples()[0].inputs().keys()) == {"question", "past"}


def test_a_minimum_drops_what_scored_less_and_what_was_never_scored() -> None:
    session = talked(*"abcd")
    for turn, score in zip(session.turns, (0.2, None, 0.5, 1.0), strict=True):
        turn.score = score
    assert asked(session.to_examples(min_score=0.5)) == ["c", "d"]
    assert asked(session.to_examples(min_score=0.0)) == ["a", "c", "d"]
    assert asked(session.to_examples()) == ["a", "b", "c", "d"]


def test_a_metric_scores_first() -> None:
    session = talked("a", "bb", "c")
    examples = session.to_examples(metric=lambda _, prediction: len(prediction.answer) > 9, min_score=0.5)
    assert asked(examples) == ["bb"]
    assert [turn.score for turn in session.turns] == [0.0, 1.0, 0.0]


def test_a_strict_trajectory_stops_at_the_first_turn_left_out() -> None:
    session = talked(*"abcd")
    for turn, score in zip(session.turns, (1.0, 1.0, 0.0, 1.0), strict=True):
        turn.score = score
    assert asked(session.to_examples(min_score=0.5, strict_trajectory=True)) == ["a", "b"]
    assert asked(session.to_examples(strict_trajectory=True)) == ["a", "b", "c", "d"]
    session.turns[0].score = None
    assert session.to_examples(min_score=0.5, strict_trajectory=True) == []


def test_turns_without_outputs_are_left_out_unless_asked_for() -> None:
    session = talked("a")
    session.add_turn({"question": "empty"}, {})
    session.add_turn({"question": "c"}, {"answer": ""})
    assert asked(session.to_examples()) == ["a", "c"]
    assert asked(session.to_examples(require_outputs=False)) == ["a", "empty", "c"]
    assert asked(session.to_examples(strict_trajectory=True)) == ["a"]


def test_an_output_that_is_named_like_an_input_does_not_change_the_input() -> None:
    session = sessionify(Scripted(lambda question, _: {"question": "rewritten", "history": "h", "answer": "a"}))
    session(question="as given")
    [example] = session.to_examples()
    assert example.question == "as given"
    assert example.history == dspy.History(messages=[])
    assert set(example.inputs().keys()) == {"question", "history"}
    assert set(example.labels().keys()) == {"answer"}


def test_fields_with_unlucky_names() -> None:
    session = sessionify(dspy.Predict("base, text -> dspy_uuid, answer"))
    session.add_turn({"base": "b", "text": "t"}, {"answer": "a"})
    [example] = session.to_examples()
    assert (example["base"], example["answer"]) == ("b", "a")
    assert set(example.inputs().keys()) == {"base", "text", "history"}


def test_to_trainset_is_the_same() -> None:
    session = talked("a", "b")
    session.turns[0].score = 1.0
    assert session.to_trainset() == session.to_examples()
    assert session.to_trainset(None, 0.5) == session.to_examples(min_score=0.5)
    assert session.to_trainset(include_history=False) == session.to_examples(include_history=False)


def test_examples_of_several_sessions() -> None:
    one, two = talked("a", "b"), talked("c")
    assert asked(Session.merge_examples(one, two)) == ["a", "b", "c"]
    assert Session.merge_examples() == []
    two.turns[0].score = 1.0
    assert asked(Session.merge_examples(one, two, min_score=0.5, include_history=False)) == ["c"]
    assert asked(two.merge_examples(one)) == ["a", "b"]


def test_examples_are_copies() -> None:
    session = sessionify(Scripted(lambda *_: {"answer": ["a"]}))
    session(question=["q"])
    session(question=["r"])
    first, second = session.to_examples()
    first.question.append("changed")
    second.history.messages[0]["answer"].append("changed")
    assert session.turns[0].inputs == {"question": ["q"]}
    assert session.turns[1].history_snapshot.messages == [{"question": ["q"], "answer": ["a"]}]


@pytest.mark.parametrize("policy", ["override", "use_if_provided"])
def test_an_example_replays_its_turn(policy: str) -> None:
    session = talked("a", "b", "c", history_policy=policy)
    turns = session.turns
    for turn, example in zip(turns, session.to_examples(), strict=True):
        assert session(**example.inputs()).answer == turn.outputs["answer"]


def test_examples_are_read_back_from_a_file(tmp_path: Path) -> None:
    session = talked()
    for day in (1, 2):
        session.add_turn({"question": f"{day}\u2028?", "day": datetime.date(2026, 1, day)}, {"answer": "yes"})
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(f"{json.dumps(example_to_json(turn))}\n\n" for turn in session.turns), encoding="utf-8")
    assert read_examples(path) == session.to_examples()
    assert read_examples(path, None) == session.to_examples(include_history=False)
    [_, named] = read_examples(path, "past")
    assert named.inputs().keys() == ["question", "day", "past"]


@pytest.mark.parametrize(("name", "why"), [("nope.jsonl", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    with pytest.raises(StateFileError, match=re.escape(f"cannot read {path}: {why}; ")):
        read_examples(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("\udcff", "line 2 is damaged: it is not UTF-8"),
        ("{", "line 2 is damaged: it is not JSON"),
        ("[1]", "line 2 is damaged: expected an object"),
        ('{"inputs": {}}', "line 2.outputs is damaged"),
        ('{"inputs": {}, "outputs": {}, "history": 1}', "line 2: history is damaged: expected messages"),
    ],
)
def test_a_line_that_is_no_example_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(f'{{"inputs": {{}}, "outputs": {{"answer": "yes"}}}}\n{line}\n', "utf-8", "surrogateescape")
    with pytest.raises(StateFileError, match=re.escape(f"{path}, {said}")):
        read_examples(path)
