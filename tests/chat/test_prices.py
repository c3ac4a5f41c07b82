"""What a turn cost."""

from __future__ import annotations

import dspy
import pytest
from dspy.utils.usage_tracker import UsageTracker

from dspy_session import ConfigurationError, Session
from dspy_session_chat.rules.prices import Price, Prices, models_of, tokens
from tests.stub_lm import StubModel

MINI = "openai/gpt-4o-mini"


def test_a_price_that_is_given_goes_before_the_list() -> None:
    listed = Prices().of(MINI)
    assert listed is not None
    assert 0 < listed.into < listed.out < 1e-4
    assert listed.dearest == listed.out
    assert Prices().of("gpt-4o-mini") == listed
    assert Prices({MINI: (1, 2)}).of(MINI) == Price(1e-6, 2e-6)
    assert Prices({"stub/stub": [0, 0]}).of("stub/stub") == Price(0, 0)


def test_a_model_without_a_price_is_said_at_the_start() -> None:
    Prices({"stub/stub": (1, 2)}).check([MINI, "stub/stub"])
    with pytest.raises(ConfigurationError) as caught:
        Prices().check([MINI, "stub/stub"])
    assert "no price is known for the model stub/stub" in str(caught.value)
    assert "prices={'stub/stub': (" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_dspy_counts_is_what_is_reckoned() -> None:
    stub, tracker = StubModel(), UsageTracker()
    with dspy.context(lm=stub.lm, usage_tracker=tracker, disable_history=True):
        for _ in range(3):
            dspy.Predict("question -> answer")(question="why?")
    usage = tracker.get_total_tokens()
    counted = usage["stub/stub"]
    assert counted["prompt_tokens"] > 30
    assert counted["completion_tokens"] > 3
    assert tokens(usage) == counted["prompt_tokens"] + counted["completion_tokens"]
    expected = 2e-6 * counted["prompt_tokens"] + 5e-6 * counted["completion_tokens"]
    assert Prices({"stub/stub": (2, 5)}).cost(usage) == pytest.approx(expected)
    assert Prices().cost(usage) is None
    assert Prices().cost({}) == 0.0
    assert Prices({"stub/stub": (2, 5)}).cost({**usage, "other/model": {"prompt_tokens": 1}}) is None


def test_providers_that_count_in_other_words() -> None:
    prices = Prices({"m": (1, 10)})
    assert prices.cost({"m": {"input_tokens": 1_000_000, "output_tokens": 100_000}}) == pytest.approx(2.0)
    assert tokens({"m": {"prompt_tokens": 70, "total_tokens": 100}}) == 100
    assert prices.cost({"m": {"prompt_tokens": 0, "total_tokens": 100_000}}) == pytest.approx(1.0)
    assert tokens({"m": {"prompt_tokens": None, "completion_tokens": 7, "prompt_tokens_details": None}}) == 7


def test_the_models_of_an_agent() -> None:
    agent = dspy.ReAct("question -> answer", tools=[])
    agent.extract.predict.lm = StubModel(model="own/model").lm
    assert models_of(agent, StubModel().lm) == ["stub/stub", "own/model"]
    assert models_of(Session(agent), StubModel().lm) == ["stub/stub", "own/model"]
    with dspy.context(lm=StubModel(model="configured/model").lm):
        assert models_of(agent) == ["configured/model", "own/model"]
    with dspy.context(lm=None):
        assert models_of(agent) == ["own/model"]
