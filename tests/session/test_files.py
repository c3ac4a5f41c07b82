"""Saved sessions and states: the layout of dspy-session, exact snapshots, whole or not at all."""

from __future__ import annotations

import datetime
import json
import os
import stat
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import Session, SessionState, Turn, UnsupportedValueError, sessionify, with_memory
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel

SEED = dspy.History(messages=[{"question": "s", "answer": "a"}])


def talked(*questions: str, **options: Any) -> Session:
    session = sessionify(Scripted(), **options)
    for question in questions:
        session(question=question)
    return session


def said(of: Session | SessionState) -> list[str]:
    return [turn.inputs["question"] for turn in of.turns]


def heard(of: Session | SessionState) -> list[list[str]]:
    """The questions that each turn saw before it."""
    return [[message["question"] for message in turn.history_snapshot.messages] for turn in of.turns]


# --- the layout


def test_a_session_is_written_as_version_2_with_the_keys_of_dspy_session(tmp_path: Path) -> None:
    session = talked("I've been feeling overwhelmed.", "Too many tasks.")
    session.turns[0].score = 0.5
    session.save(tmp_path / "therapy.json")
    written = json.loads((tmp_path / "therapy.json").read_text(encoding="utf-8"))
    expected = {
        "version": 2,
        "history_field": "history",
        "max_turns": None,
        "max_stored_turns": None,
        "copy_mode": "deep",
        "exclude_fields": ["history"],
        "history_input_fields": None,
        "history_policy": "override",
        "initial_history": None,
    }
    assert {key: written[key] for key in expected} == expected
    assert [{key: turn[key] for key in ("index", "inputs", "outputs", "score")} for turn in written["turns"]] == [
        {
            "index": 0,
            "inputs": {"question": "I've been feeling overwhelmed."},
            "outputs": {"answer": "I've been feeling overwhelmed. after 0"},
            "score": 0.5,
        },
        {
            "index": 1,
            "inputs": {"question": "Too many tasks."},
            "outputs": {"answer": "Too many tasks. after 1"},
            "score": None,
        },
    ]
    assert session.save_state() == written
    assert session.save_state(tmp_path / "again.json") == written
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "therapy.json").read_bytes()


def test_a_state_is_written_as_version_1() -> None:
    state = SessionState(
        [Turn(0, {"question": "a"}, {"answer": "b"})], SEED, "m", {"draft": SessionState(l2_memory="d")}
    )
    written = state.to_dict()
    assert written["version"] == 1
    assert written["turns"][0]["inputs"] == {"question": "a"}
    assert written["initial_history"] == {"messages": SEED.messages}
    assert written["l2_memory"] == "m"
    assert written["node_states"]["draft"]["l2_memory"] == "d"
    assert json.loads(json.dumps(written)) == written
    assert SessionState.from_dict(written) == state


def test_excluded_and_allowed_fields_are_written_sorted() -> None:
    written = talked(exclude_fields={"z", "a"}, history_input_fields={"y", "b"}).save_state()
    assert written["exclude_fields"] == ["a", "history", "z"]
    assert written["history_input_fields"] == ["b", "y"]


# --- back again


def test_every_saved_option_is_restored_and_may_be_overridden(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "history_field": "past",
        "max_turns": 5,
        "max_stored_turns": 6,
        "exclude_fields": {"context"},
        "history_input_fields": {"question"},
        "history_policy": "use_if_provided",
        "on_metric_error": "raise",
        "strict_history_annotation": True,
        "copy_mode": "shallow",
        "lock": "async",
        "isolation": "shared",
        "lifespan": "episodic",
        "include_trajectory": True,
    }
    session = sessionify(dspy.Predict("question -> answer"), initial_history=SEED, **options)
    session.save(tmp_path / "s.json")
    module = dspy.Predict("question -> answer")
    restored = Session.load_from(tmp_path / "s.json", module)
    for name in options:
        assert getattr(restored, name) == getattr(session, name)
    assert restored.exclude_fields == {"context", "past"}
    assert restored.initial_history == SEED
    assert restored.module is not module

    def hook(session: Session, turn: Turn) -> None:
        pass

    other = Session.load_from(
        tmp_path / "s.json", module, copy_mode="none", lock="none", on_turn=hook, initial_history=None, max_turns=None
    )
    assert (other.module, other.lock, other.on_turn, other.initial_history) == (module, "none", hook, None)
    assert (other.max_turns, other.max_stored_turns) == (None, 6)


def test_a_conversation_goes_on_where_it_was_saved(stub: StubModel, tmp_path: Path) -> None:
    session = sessionify(dspy.Predict("question -> answer"), initial_history=SEED)
    session(question="My name is Max")
    session(question="I like tea")
    session.turns[0].score = 0.5
    session.save(tmp_path / "s.json")
    restored = Session.load_from(tmp_path / "s.json", dspy.Predict("question -> answer"))
    assert restored.turns == session.turns
    assert [turn.id for turn in restored.turns] == [turn.id for turn in session.turns]
    assert [turn.created_at for turn in restored.turns] == [turn.created_at for turn in session.turns]
    assert restored.session_history == session.session_history
    assert restored(question="Who am I?").answer == "Who am I? (after 3 messages)"
    assert "My name is Max" in stub.prompts[-1].text
    assert [turn.index for turn in restored.turns] == [0, 1, 2]


def test_the_bound_state_is_saved_with_its_own_seed_memory_and_children(stub: StubModel, tmp_path: Path) -> None:
    app = with_memory(Team())
    state = app.new_state(initial_history=SEED, l2_memory="m")
    with app.use_state(state):
        app(question="a")
        app.save(tmp_path / "s.json")
        state.save(tmp_path / "state.json")
    restored = Session.load_from(tmp_path / "s.json", Team())
    assert (said(restored), restored.initial_history, restored.state.l2_memory) == (["a"], SEED, "m")
    assert said(restored.state.node_states["draft"]) == ["a"]
    loaded = SessionState.load_from(tmp_path / "state.json")
    assert loaded == state
    with app.use_state(loaded):
        app(question="b")
    assert said(loaded.node_states["draft"]) == ["a", "b"]


def test_values_that_json_does_not_have_come_back(tmp_path: Path) -> None:
    values = {
        "pair": (1, "x"),
        "when": datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC),
        "price": Decimal("1.10"),
        "image": dspy.Image(url="https://example.com/cat.png"),
        "nan": [float("inf")],
        "surrogate": "\ud83d",
        "raw": b"\x00\xff",
    }
    state = SessionState([Turn(0, values, {"$type": "tuple", "set": {3, 1, 2}})], dspy.History(messages=[values]))
    state.save(tmp_path / "s.json")
    assert SessionState.load_from(tmp_path / "s.json") == state
    (tmp_path / "s.json").read_bytes().decode("ascii")


def test_a_value_that_cannot_come_back_raises_with_its_name_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    session = talked("a")
    session.save(path)
    before = path.read_bytes()
    session.add_turn({"question": "b"}, {"answer": "c", "files": [object()]})
    for save in (session.save, session.save_state, session.state.save):
        with pytest.raises(UnsupportedValueError, match=r"turn 1\.outputs\.files\[0\] holds a builtins\.object"):
            save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.json"]


def test_empty_conversations_come_back_empty(tmp_path: Path) -> None:
    session = sessionify(Scripted())
    session.save(tmp_path / "s.json")
    assert len(Session.load_from(tmp_path / "s.json", Scripted())) == 0
    state = SessionState(initial_history=dspy.History(messages=[]))
    state.save(tmp_path / "state.json")
    loaded = SessionState.load_from(tmp_path / "state.json")
    assert (loaded, loaded.initial_history) == (state, dspy.History(messages=[]))


# --- positions and snapshots


def reloaded(session: Session, path: Path, **overrides: Any) -> Session:
    session.save(path)
    return Session.load_from(path, session.module, **overrides)


def test_positions_survive(tmp_path: Path) -> None:
    session = talked(*"abcd", max_stored_turns=2)
    session = reloaded(session, tmp_path / "s.json")
    session(question="e")
    assert [turn.index for turn in session.turns] == [3, 4]
    session.undo(2)
    session = reloaded(session, tmp_path / "s.json")
    session(question="f")
    assert [turn.index for turn in session.turns] == [3]


def test_snapshots_are_exact_after_trimming_undo_forks_and_every_change_of_mind(tmp_path: Path) -> None:
    session = talked(*"abcdef", initial_history=SEED, max_turns=4, max_stored_turns=3)
    session.undo()
    fork = session.fork()
    for branch, more in ((session, "xyz"), (fork, "uv")):
        for question in more:
            branch(question=question)
        branch.max_turns = None
        branch.initial_history = None
        branch.exclude_fields = {"answer"}
        branch(question="last")
        expected = heard(branch)
        snapshots = [turn.history_snapshot for turn in branch.turns]
        for _ in range(3):
            branch = reloaded(branch, tmp_path / "s.json")  # noqa: PLW2901  # saved, loaded and saved again
            assert heard(branch) == expected
            assert [turn.history_snapshot for turn in branch.turns] == snapshots
    assert heard(session)[-1] == ["x", "y", "z"]


def test_snapshots_that_callers_brought_survive(tmp_path: Path) -> None:
    session = talked("a", history_policy="use_if_provided")
    session(question="b", history=SEED)
    session(question="c", history=dspy.History(messages=[{"anything": [1, (2,)]}]))
    session(question="d")
    loaded = reloaded(session, tmp_path / "s.json")
    assert [turn.history_snapshot for turn in loaded.turns] == [turn.history_snapshot for turn in session.turns]


def test_a_reloaded_state_does_not_share_its_past_with_its_future(tmp_path: Path) -> None:
    session = reloaded(talked("a", "b"), tmp_path / "s.json")
    session.undo()
    session(question="c")
    assert heard(session) == [[], ["a"]]
    session.reset()
    session(question="d")
    assert heard(session) == [[]]


# --- files of dspy-session 0.1.2


def theirs(**changes: Any) -> dict[str, Any]:
    """A file as dspy-session 0.1.2 writes it, without any key of ours."""
    turns = [
        {"index": number, "inputs": {"question": question}, "outputs": {"answer": question.upper()}, "score": None}
        for number, question in enumerate("abc")
    ]
    return {
        "version": 2,
        "history_field": "history",
        "max_turns": None,
        "max_stored_turns": None,
        "copy_mode": "deep",
        "exclude_fields": ["history"],
        "history_input_fields": None,
        "history_policy": "override",
        "turns": turns,
        "initial_history": None,
        **changes,
    }


def written(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_files_of_version_2_without_our_keys_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "s.json", theirs())
    session = Session.load_from(path, Scripted())
    assert said(session) == ["a", "b", "c"]
    assert heard(session) == [[], ["a"], ["a", "b"]]
    assert session.turns[2].history_snapshot.messages[0] == {"question": "a", "answer": "A"}
    assert len({turn.id for turn in session.turns}) == 3
    assert session.turns[0].created_at is None
    assert session(question="d").answer == "d after 3"
    assert session.turns[-1].index == 3


def test_their_windows_seeds_and_fields_are_what_their_turns_saw(tmp_path: Path) -> None:
    data = theirs(max_turns=2, exclude_fields=["history", "answer"], initial_history={"messages": SEED.messages})
    session = Session.load_from(written(tmp_path / "s.json", data), Scripted())
    assert [turn.history_snapshot.messages for turn in session.turns] == [
        SEED.messages,
        [*SEED.messages, {"question": "a"}],
        [{"question": "a"}, {"question": "b"}],
    ]
    assert session.initial_history == SEED


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    data = theirs(version=1)
    for key in ("max_stored_turns", "copy_mode", "history_input_fields", "history_policy", "initial_history"):
        del data[key]
    session = Session.load_from(written(tmp_path / "s.json", data), Scripted())
    assert said(session) == ["a", "b", "c"]
    state = SessionState.from_dict({"version": 1, "turns": data["turns"], "initial_history": SEED.messages})
    assert (heard(state)[1], state.l2_memory, state.node_states) == (["s", "a"], "", {})


def test_a_long_file_of_theirs_takes_memory_in_step_with_its_turns(tmp_path: Path) -> None:
    turns = [
        {"index": number, "inputs": {"question": str(number)}, "outputs": {"answer": ""}, "score": None}
        for number in range(2000)
    ]
    session = Session.load_from(written(tmp_path / "s.json", theirs(turns=turns)), Scripted())
    logs = {id(turn.saw.log): turn.saw.log for turn in session.turns}
    assert sum(map(len, logs.values())) <= 3 * len(turns)
    assert len(session.turns[-1].history_snapshot.messages) == 1999


# --- growth


@pytest.mark.unwatched
def test_a_file_and_a_state_grow_in_step_with_the_turns_when_saved_after_each_one(tmp_path: Path) -> None:
    seed = dspy.History(messages=[{"question": "seed " * 50, "answer": "a"}])
    session = sessionify(Scripted(), max_turns=10)
    data = session.new_state(initial_history=seed).to_dict()
    sizes = []
    for number in range(120):
        state = SessionState.from_dict(json.loads(json.dumps(data)))
        with session.use_state(state):
            session(question=f"question {number}")
        data = state.to_dict()
        sizes.append(len(json.dumps(data)))
    late, early = sizes[119] - sizes[79], sizes[59] - sizes[19]
    assert late < 1.2 * early
    assert json.dumps(data).count("seed seed") == 2 * json.dumps(seed.messages).count("seed seed")
    logs = {id(turn.saw.log): turn.saw.log for turn in state.turns}
    assert sum(map(len, logs.values())) <= 4 * len(state)
    assert [len(messages) for messages in heard(state)] == [min(number + 1, 10) for number in range(120)]


def test_a_trimmed_state_does_not_grow_when_saved_after_each_turn() -> None:
    session = sessionify(Scripted(), max_stored_turns=10)
    data = session.new_state().to_dict()
    sizes = []
    for number in range(1000, 1100):
        state = SessionState.from_dict(json.loads(json.dumps(data)))
        with session.use_state(state):
            session(question=f"question {number}")
        data = state.to_dict()
        sizes.append(len(json.dumps(data)))
    assert max(sizes[40:]) <= max(sizes[20:40]) * 1.02
    expected = [[f"question {number}" for number in range(turn - 10, turn)] for turn in range(1090, 1100)]
    assert heard(state) == expected


# --- whole or not at all


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    talked("a").save(path)
    before = path.read_bytes()
    program = f"""
        import os, signal
        from dspy_session import SessionState, Turn
        state = SessionState([Turn(0, {{"question": "new"}}, {{}})])
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        state.save({str(path)!r})
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr
    assert path.read_bytes() == before


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.json"
    session = talked("a")
    session.save(path)
    before = path.read_bytes()
    session(question="b")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        session.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.json"]


def test_a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    session = talked("a")
    session.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    session.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        talked("a").save(tmp_path / "nowhere" / "s.json")


# --- DSPy's own save


def test_dspys_own_save_is_reached_by_its_arguments_and_never_holds_a_turn(stub: StubModel, tmp_path: Path) -> None:
    session = sessionify(dspy.Predict("question -> answer"))
    session(question="A secret that nobody may read")
    session.save(tmp_path / "program.json", save_program=False)
    session.save(tmp_path / "program", save_program=True, modules_to_serialize=[])
    session.save(tmp_path / "other.json", modules_to_serialize=[])
    saved = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(saved) >= 3
    assert not any(b"secret" in content for content in saved)
    bare = dspy.Predict("question -> answer")
    bare.load(tmp_path / "program.json")
