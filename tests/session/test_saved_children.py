"""A program with a memory for each predictor, saved and loaded: children and their policies come back too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dspy_session import Session, StateFileError, sessionify, with_memory
from tests.session.programs import Team
from tests.stub_lm import StubModel


def count_turns(past_memory: str, episode_transcript: str) -> str:
    return past_memory + "x" * episode_transcript.count("- turn:")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "team.json"


def test_children_come_back_with_their_turns(stub: StubModel, path: Path) -> None:
    team = with_memory(Team())
    team(question="a")
    team.save(path)

    loaded = Session.load_from(path, Team())
    loaded(question="b")
    assert {name: len(child) for name, child in loaded.children.items()} == {"draft": 2, "edit": 2}
    assert loaded.children["draft"].turns[1].outputs == {"text": "b (after 1 messages)"}


def test_children_keep_their_policies(stub: StubModel, path: Path) -> None:
    configs: dict[str, Any] = {
        "draft": {"lifespan": "episodic", "consolidator": count_turns},
        "edit": {"max_turns": 1, "exclude_fields": {"text", "notes"}, "history_input_fields": None},
    }
    team = with_memory(Team(), child_configs=configs)
    team(question="a")
    team.save(path)

    loaded = Session.load_from(path, Team())
    assert loaded.children["draft"].lifespan == "episodic"
    assert loaded.children["edit"].max_turns == 1
    assert loaded.children["edit"].exclude_fields == {"text", "notes", "history"}
    assert loaded.children["draft"].consolidator is None  # code is not saved

    loaded = Session.load_from(path, Team(), child_configs=configs)
    loaded(question="b")
    assert loaded.children["draft"].state.l2_memory == "xx"


@pytest.mark.parametrize(
    ("options", "children"),
    [({"include": "draft"}, ["draft"]), ({"exclude": ["draft"]}, ["edit"]), ({"recursive": False}, [])],
)
def test_the_choice_of_children_comes_back(options: dict[str, Any], children: list[str], path: Path) -> None:
    with_memory(Team(), **options).save(path)
    assert list(Session.load_from(path, Team()).children) == children
    assert list(Session.load_from(path, Team(), recursive=True, include=["edit"], exclude=None).children) == ["edit"]


def test_a_session_without_children_says_nothing_of_them(path: Path) -> None:
    sessionify(Team()).save(path)
    assert "recursive" not in path.read_text(encoding="utf-8")
    assert Session.load_from(path, Team()).children == {}


def test_a_file_that_names_a_module_which_is_gone_says_so(path: Path) -> None:
    with_memory(Team(), child_configs={"draft": {"lifespan": "stateless"}}).save(path)
    team = Team()
    del team.draft
    with pytest.raises(ValueError, match="'draft', which is no module of this program"):
        Session.load_from(path, team)


@pytest.mark.parametrize(
    "damaged", [{"recursive": 3}, {"child_configs": [1]}, {"include": {"a": 1}}, {"max_turns": "x"}]
)
def test_a_damaged_option_names_the_file_and_the_option(damaged: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps({"version": 2, "turns": [], "recursive": True, **damaged}), encoding="utf-8")
    with pytest.raises(StateFileError, match=rf"option is damaged: {next(iter(damaged))} must be .*team\.json"):
        Session.load_from(path, Team())
