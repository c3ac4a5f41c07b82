"""Files that somebody or something has damaged: one clear error that names the file."""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session import Session, SessionError, SessionState, StateFileError, sessionify
from tests.session.programs import Scripted

SEED = dspy.History(messages=[{"question": "s", "answer": ("a", 1)}])


def whole() -> dict[str, Any]:
    """A saved session with something of everything in it."""
    session = sessionify(
        Scripted(), initial_history=SEED, max_turns=3, max_stored_turns=2, history_input_fields=["question"]
    )
    for question in "abcd":
        session(question=question)
    session.turns[0].score = 0.5
    session.state.l2_memory = "m"
    session.state.node_states["draft"] = session.state.fork()
    return session.save_state()


WHOLE = whole()


def refused(path: Path, load: Callable[[Path], Any]) -> str:
    """What the error says: one line that names the file."""
    with pytest.raises(StateFileError) as raised:
        load(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, SessionError)
    return message


def load_session(path: Path) -> Session:
    return Session.load_from(path, Scripted())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conversation.json"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b'{"version": 2, "turns": [', "it is not JSON"),
        (b"\x80\x04\x95pickled", "it is not UTF-8 text (byte 0)"),
        ('{"a": "é'.encode("latin-1"), "it is not UTF-8 text (byte 7)"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a": ' * 100_000, "it is nested too deeply"),
        (b'{"version": 2, "turns": ' + b"9" * 5000 + b"}", "it is not JSON"),
        (b"[]", "is an object"),
        (b"null", "is an object"),
        (b'"text"', "is an object"),
    ],
)
@pytest.mark.parametrize("load", [load_session, SessionState.load_from])
def test_what_is_no_session_at_all(path: Path, content: bytes, complaint: str, load: Callable[[Path], Any]) -> None:
    path.write_bytes(content)
    assert complaint in refused(path, load)


@pytest.mark.parametrize("version", [0, 3, "2", None, 2.5, [], {}])
def test_another_version(path: Path, version: Any) -> None:
    path.write_text(json.dumps({**WHOLE, "version": version}))
    assert refused(path, load_session).startswith(f"Unsupported session state version: {version}")
    with pytest.raises(ValueError, match=re.escape(f"Unsupported session state version: {version}")):
        SessionState.from_dict({"version": version, "turns": []})


def at(data: Any, *keys: Any) -> Any:
    for key in keys:
        data = data[key]
    return data


@pytest.mark.parametrize(
    ("keys", "value", "complaint"),
    [
        (("turns",), {}, "turns is damaged: expected a list"),
        (("turns",), None, "turns is damaged: expected a list"),
        (("turns", 1), "b", "turn 1 is damaged: expected an object"),
        (("turns", 1, "inputs"), None, "turn 1.inputs is damaged: expected an object"),
        (("turns", 1, "outputs"), ["a"], "turn 1.outputs is damaged: expected an object"),
        (("turns", 1, "outputs"), {"$type": "tuple", "items": []}, "turn 1.outputs is damaged: expected an object"),
        (("turns", 1, "inputs"), {"x": {"$type": "vector"}}, "turn 1.inputs.x has the unknown type 'vector'"),
        (("turns", 1, "index"), "first", "turn 1 is damaged: expected a whole number as index"),
        (("turns", 1, "index"), True, "turn 1 is damaged: expected a whole number as index"),
        (("turns", 1, "score"), "good", "turn 1 is damaged: expected a whole number as index and a number as score"),
        (("turns", 1, "id"), 7, "turn 1.id is damaged: expected a text"),
        (("turns", 1, "created_at"), "yesterday", "turn 1.created_at is damaged: expected an ISO 8601 time"),
        (("turns", 1, "created_at"), 5, "turn 1.created_at is damaged: expected an ISO 8601 time"),
        (("initial_history",), "seed", "initial_history is damaged"),
        (("initial_history",), {"messages": ["x"]}, "initial_history is damaged"),
        (("initial_history",), {"messages": [{"$type": "tuple", "items": []}]}, "initial_history is damaged"),
        (("initial_history",), [["a", 1]], "initial_history is damaged"),
        (("l2_memory",), 5, "l2_memory or node_states is damaged"),
        (("node_states",), [1], "l2_memory or node_states is damaged"),
        (("node_states", "draft"), 5, "a session state is an object"),
        (("node_states", "draft", "version"), 9, "Unsupported session state version: 9"),
        (("node_states", "draft", "turns"), 9, "turns is damaged"),
        (("next_index",), "3", "next_index is damaged: expected a whole number"),
        (("snapshots",), [], "snapshots is damaged"),
        (("snapshots",), {}, "snapshots is damaged"),
        (("snapshots", "records", 0), 5, "records is damaged: expected an object"),
        (("snapshots", "views", 0), {}, "snapshots is damaged"),
        (("snapshots", "views", 0, "seed"), [5], "seed is damaged"),
        (("snapshots", "views", 0, "exclude"), [1], "expected names of fields"),
        (("snapshots", "views", 0, "only"), "all", "expected names of fields"),
        (("snapshots", "logs", 0), [[0, 99]], "a run of records lies outside the file"),
        (("snapshots", "logs", 0), [[-1, 1]], "a run of records lies outside the file"),
        (("snapshots", "logs", 0), [["a", "b"]], "snapshots is damaged"),
        (("snapshots", "saw", 0), [0, 0, 0, 0, 99], "a turn saw records outside its log"),
        (("snapshots", "saw", 0), [0, 99, 0, 0, 0], "a turn saw records outside its log"),
        (("snapshots", "saw", 0), [9, 0, 0, 0, 0], "snapshots is damaged"),
        (("snapshots", "saw", 0), [-1, 0, -1, 0, 0], "snapshots is damaged"),
        (("snapshots", "saw", 0), "x", "snapshots is damaged"),
        (("snapshots", "saw"), [], "it does not have one entry for each turn"),
        (("lock",), "both", "lock must be one of"),
        (("history_policy",), None, "history_policy must be one of"),
        (("max_turns",), "ten", "max_turns must be a whole number"),
        (("max_turns",), -1, "max_turns must not be negative"),
        (("history_field",), 5, "history_field must be a name"),
        (("exclude_fields",), 5, "exclude_fields"),
        (("exclude_fields",), [[1]], "exclude_fields"),
        (("history_input_fields",), [1], "history_input_fields"),
    ],
    ids=str,
)
def test_one_damaged_place_is_named(path: Path, keys: tuple[Any, ...], value: Any, complaint: str) -> None:
    data = copy.deepcopy(WHOLE)
    at(data, *keys[:-1])[keys[-1]] = value
    path.write_text(json.dumps(data))
    assert complaint in refused(path, load_session)


@pytest.mark.parametrize("key", ["inputs", "outputs"])
def test_a_turn_without_one_of_its_halves(path: Path, key: str) -> None:
    data = copy.deepcopy(WHOLE)
    del data["turns"][0][key]
    path.write_text(json.dumps(data))
    assert f"turn 0.{key} is damaged" in refused(path, load_session)


def test_values_nested_beyond_measure(path: Path) -> None:
    deep = '{"$type": "tuple", "items": [' * 450 + "]}" * 450
    data = copy.deepcopy(WHOLE)
    data["turns"][0]["inputs"] = {"question": "how deep"}
    path.write_text(json.dumps(data).replace('"how deep"', deep))
    assert "nested too deeply" in refused(path, load_session)


def test_a_wrong_override_is_the_callers_mistake_not_the_files(path: Path) -> None:
    path.write_text(json.dumps(WHOLE))
    with pytest.raises(ValueError, match="lock must be one of") as raised:
        Session.load_from(path, Scripted(), lock="both")
    assert str(path) not in str(raised.value)
    with pytest.raises(TypeError, match=r"a session wraps a dspy\.Module"):
        Session.load_from(path, "no module")  # type: ignore[arg-type]


def test_a_file_that_is_not_there(path: Path) -> None:
    for load in (load_session, SessionState.load_from):
        with pytest.raises(FileNotFoundError, match=re.escape(path.name)):
            load(path)


def test_from_dict_says_what_is_wrong_without_a_file() -> None:
    with pytest.raises(StateFileError, match=r"^turns is damaged: expected a list$"):
        SessionState.from_dict({"turns": 5})
    with pytest.raises(StateFileError, match=r"^a session state is an object$"):
        SessionState.from_dict([])  # type: ignore[arg-type]


# --- anything, anywhere


def places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(place for key, value in inside for place in places(value, (*at, key)))]


PLACES = places(WHOLE)[1:]
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$type", "items", "class", "inputs", "turns", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    st.lists(
        st.tuples(st.sampled_from(PLACES), st.none() | st.builds(lambda value: [value], junk)), min_size=1, max_size=3
    )
)
def test_whatever_is_damaged_is_read_or_refused_by_name(
    damages: list[tuple[tuple[Any, ...], list[Any] | None]],
) -> None:
    data = copy.deepcopy(WHOLE)
    for place, replaced in damages:
        try:
            holder = at(data, *place[:-1])
            if replaced is None:
                del holder[place[-1]]
            else:
                holder[place[-1]] = replaced[0]
        except (KeyError, IndexError, TypeError):  # an earlier damage took the place away
            continue
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversation.json"
        path.write_text(json.dumps(data))
        try:
            session = load_session(path)
        except StateFileError as error:
            assert str(path) in str(error)  # noqa: PT017  # it need not be refused
            return
    # What was read can be used, and saved again.
    session(question="on we go")
    assert SessionState.from_dict(session.state.to_dict()) == session.state


@given(st.integers(0, len(json.dumps(WHOLE)) - 1), st.binary(max_size=3))
def test_bytes_that_are_lost_or_changed(position: int, other: bytes) -> None:
    content = json.dumps(WHOLE).encode()
    for damaged in (content[:position], content[:position] + other + content[position + len(other) :]):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "conversation.json"
            path.write_bytes(damaged)
            try:
                load_session(path)
            except StateFileError as error:
                assert str(path) in str(error)  # noqa: PT017  # a changed letter is no damage
