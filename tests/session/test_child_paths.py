"""What a path may say in ``child_configs`` and to ``get_child_l1_ledger``."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from dspy_session import get_child_l1_ledger, with_memory
from tests.stub_lm import StubModel


class Desk(dspy.Module):
    """A predictor, one inside a ``ChainOfThought``, two inside a ``ReAct``, and a module that has none."""

    def __init__(self) -> None:
        super().__init__()
        self.rewrite = dspy.Predict("question -> query")
        self.draft = dspy.ChainOfThought("query -> answer")
        self.agent = dspy.ReAct("answer -> reply", tools=[])
        self.retriever = dspy.Module()
        self.ledgers: dict[str, str] = {}

    def forward(self, question: str) -> dspy.Prediction:
        query = self.rewrite(question=question).query
        reply: dspy.Prediction = self.agent(answer=self.draft(query=query).answer)
        paths = "rewrite root.rewrite draft root.draft predict draft.predict agent react nobody"
        self.ledgers = {path: get_child_l1_ledger(path) for path in paths.split()}
        return reply


def turns(desk: dspy.Module) -> dict[str, int]:
    return {path: len(child) for path, child in desk.children.items()}


def test_what_is_said_for_a_module_counts_for_the_predictors_in_it(stub: StubModel) -> None:
    desk = with_memory(Desk(), child_configs={"draft": {"lifespan": "stateless"}, "agent": {"max_stored_turns": 1}})
    desk(question="one")
    desk(question="two")
    assert turns(desk) == {"rewrite": 2, "draft.predict": 0, "agent.react": 1, "agent.extract.predict": 1}


def test_what_is_said_closer_to_a_predictor_wins(stub: StubModel) -> None:
    configs: dict[str, Any] = {
        "agent.extract.predict": {"lifespan": "persistent"},
        "agent": {"lifespan": "stateless", "max_stored_turns": 1},
    }
    desk = with_memory(Desk(), child_configs=configs)
    desk(question="one")
    desk(question="two")
    assert turns(desk) == {"rewrite": 2, "draft.predict": 2, "agent.react": 0, "agent.extract.predict": 1}


def test_a_module_is_left_out_with_all_its_predictors() -> None:
    desk = with_memory(Desk(), child_configs={"agent": {"enabled": False}})
    assert list(desk.children) == ["rewrite", "draft.predict"]


def test_a_module_without_predictors_may_be_named_but_no_stranger() -> None:
    assert len(with_memory(Desk(), child_configs={"retriever": {"lifespan": "stateless"}}).children) == 4
    with pytest.raises(ValueError, match=r"'drafts', which is no module .*: agent\.extract\.predict, .*, rewrite$"):
        with_memory(Desk(), child_configs={"drafts": {"lifespan": "stateless"}})


def test_a_ledger_is_found_by_any_path_that_means_one_child(stub: StubModel) -> None:
    desk = with_memory(Desk(), exclude=["agent.extract"])
    desk(question="one")
    found = desk.module.ledgers
    assert found["rewrite"] == found["root.rewrite"] != ""
    assert found["draft"] == found["root.draft"] == found["predict"] == found["draft.predict"] != ""
    assert found["agent"] == found["react"] != ""
    assert found["nobody"] == ""

    ambiguous = with_memory(Desk())
    ambiguous(question="one")
    found = ambiguous.module.ledgers
    assert (found["agent"], found["predict"]) == ("", "")
    assert found["react"] != ""
