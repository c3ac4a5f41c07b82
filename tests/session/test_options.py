"""What `Session`, `sessionify` and `with_memory` accept, and what they say to anything else."""

from __future__ import annotations

import inspect

import dspy
import pytest

import dspy_session
from dspy_session import Session, SessionState, Turn, sessionify, with_memory
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel

DEFAULTS = {
    "history_field": "history",
    "max_turns": None,
    "max_stored_turns": None,
    "exclude_fields": None,
    "history_input_fields": None,
    "input_field_override": None,
    "initial_history": None,
    "history_policy": "override",
    "on_metric_error": "zero",
    "strict_history_annotation": False,
    "copy_mode": "deep",
    "lock": "none",
    "on_turn": None,
    "isolation": "isolated",
    "lifespan": "persistent",
    "consolidator": None,
}


def test_everything_is_imported_from_the_package() -> None:
    names = {
        "Session",
        "SessionState",
        "Turn",
        "sessionify",
        "with_memory",
        "get_current_history",
        "get_outer_history",
        "get_node_memory",
        "get_child_l1_ledger",
        "get_execution_trace",
    }
    assert names <= set(dspy_session.__all__)
    assert all(hasattr(dspy_session, name) for name in dspy_session.__all__)


def test_names_and_defaults_are_those_of_dspy_session() -> None:
    parameters = inspect.signature(Session.__init__).parameters
    assert {name: parameters[name].default for name in DEFAULTS} == DEFAULTS
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in DEFAULTS)
    assert inspect.signature(with_memory).parameters["copy_mode"].default == "none"
    for name in ("recursive", "include", "exclude", "where", "child_configs"):
        assert name in inspect.signature(with_memory).parameters
    state = inspect.signature(SessionState).parameters
    assert list(state) == ["turns", "initial_history", "l2_memory", "node_states"]


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        ("history_policy", ["override", "use_if_provided", "replace_session"]),
        ("on_metric_error", ["zero", "raise"]),
        ("copy_mode", ["deep", "shallow", "none"]),
        ("lock", ["none", "thread", "async"]),
        ("isolation", ["isolated", "shared"]),
        ("lifespan", ["persistent", "episodic", "stateless"]),
    ],
)
def test_a_value_outside_its_list_names_the_list(option: str, choices: list[str]) -> None:
    for choice in choices:
        assert getattr(sessionify(Scripted(), **{option: choice}), option) == choice
    for wrong in ("sometimes", None, 1, [choices[0]]):
        with pytest.raises(ValueError, match=f"{option} must be one of .*{choices[-1]}"):
            sessionify(Scripted(), **{option: wrong})


@pytest.mark.parametrize("option", ["max_turns", "max_stored_turns", "max_tokens"])
def test_counts_are_whole_numbers(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must not be negative"):
        sessionify(Scripted(), **{option: -1})
    for wrong in ("3", 2.5, True):
        with pytest.raises(TypeError, match=f"{option} must be a whole number"):
            sessionify(Scripted(), **{option: wrong})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history_field": "not a name"}, "history_field must be a name"),
        ({"history_field": 3}, "history_field must be a name"),
        ({"exclude_fields": [1]}, "exclude_fields must be names"),
        ({"history_input_fields": 1}, "history_input_fields must be names"),
        ({"on_turn": "print"}, "on_turn must be callable"),
        ({"on_turn": [print, None]}, "on_turn must be callable"),
        ({"before_turn": 1}, "before_turn must be callable"),
        ({"consolidator": "me"}, "consolidator must be callable"),
        ({"reducer": 1}, "reducer must be callable"),
        ({"reducer": len, "max_tokens": 1}, "choose one"),
        ({"initial_history": [{"question": "?"}]}, r"initial_history must be a dspy\.History"),
        ({"memory": 1}, "memory"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        sessionify(Scripted(), **options)


def test_input_field_override_is_another_name_of_history_input_fields() -> None:
    assert sessionify(Scripted(), input_field_override=["question"]).history_input_fields == {"question"}
    with pytest.raises(ValueError, match="one of the two"):
        sessionify(Scripted(), input_field_override=["a"], history_input_fields=["a"])


def test_one_name_is_not_a_list_of_letters() -> None:
    session = sessionify(Scripted(), exclude_fields="context", history_input_fields="question")
    assert "context" in session.exclude_fields
    assert session.history_input_fields == {"question"}


def test_only_modules_are_wrapped() -> None:
    for wrap in (Session, sessionify, with_memory):
        with pytest.raises(TypeError, match=r"a session wraps a dspy\.Module; got function"):
            wrap(lambda question: question)


def test_options_can_be_changed_on_a_session_and_are_checked_again() -> None:
    session = sessionify(Scripted(), max_turns=3)
    session.max_turns = 1
    session.exclude_fields = {"context"}
    session.exclude_fields = None
    assert session.max_turns == 1
    assert session.exclude_fields == {"history"}
    with pytest.raises(ValueError, match="lock must be one of"):
        session.lock = "both"
    with pytest.raises(ValueError, match="max_turns must not be negative"):
        session.max_turns = -1
    assert session.max_turns == 1
    session(question="a")
    session(question="b")
    assert len(session.session_history.messages) == 1


def test_a_changed_option_reaches_the_predictors(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question -> answer, trajectory"))
    session(question="a")
    session.history_field = "dialogue"
    session(question="b")
    assert "dialogue" in session.predictors()[0].signature.input_fields
    assert session(question="c", dialogue=dspy.History(messages=[])).answer == "c (after 0 messages)"
    assert [sorted(turn.inputs) for turn in session.turns] == [["question"]] * 2

    editor = sessionify(Team())
    editor(question="a")
    editor.state.append(Turn(1, {"question": "b"}, {"trajectory": "by the river", "answer": "b"}))
    editor(question="c")
    assert "by the river" not in stub.prompts[-1].text
    editor.include_trajectory = True
    editor(question="d")
    assert "by the river" in stub.prompts[-1].text


@pytest.mark.parametrize("option", ["on_turn", "before_turn"])
def test_hooks_can_be_changed_on_a_session(option: str) -> None:
    heard: list[str] = []
    session = sessionify(Scripted())
    assert getattr(session, option) is None

    def first(session: Session, subject: object) -> None:
        heard.append("first")

    def second(session: Session, subject: object) -> None:
        heard.append("second")

    setattr(session, option, first)
    assert getattr(session, option) is first
    session(question="a")
    setattr(session, option, [first, second])
    assert getattr(session, option) == [first, second]
    session(question="b")
    setattr(session, option, None)
    session(question="c")
    assert heard == ["first", "first", "second"]
    with pytest.raises(TypeError, match=f"{option} must be callable"):
        setattr(session, option, "me")


def test_initial_history_can_be_changed_on_a_session() -> None:
    session = sessionify(Scripted())
    assert session.initial_history is None
    session.initial_history = dspy.History(messages=[{"question": "q", "answer": "a"}])
    assert session(question="now").answer == "now after 1"
    session.initial_history = None
    assert session(question="then").answer == "then after 1"


def test_with_memory_works_on_the_module_itself() -> None:
    team = Team()
    assert with_memory(team).module is team
    assert with_memory(team, copy_mode="deep").module is not team


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"draft": {"lifespan": "weekly"}}, "lifespan must be one of"),
        ({"draft": {"lock": "async"}}, "unknown option 'lock'"),
        ({"writer": {"lifespan": "stateless"}}, r"'writer', which is no module .*draft, edit"),
    ],
)
def test_child_configs_are_checked(config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_memory(Team(), child_configs=config)
