"""What a turn cost: the tokens that DSPy counted, times the price of each.

DSPy tells the cost of a call in its history alone, which a bot does not keep. So it is reckoned from the counts, as an
estimate: a cached token counts as any other, and what providers charge besides tokens is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from dspy_session.errors import ConfigurationError

Usage = Mapping[str, Mapping[str, Any]]
"""By model what DSPy counted, as ``UsageTracker.get_total_tokens`` gives it."""
_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs.

    Args:
        into: Dollars for each token that it reads.
        out: Dollars for each token that it writes.
    """

    into: float
    out: float

    @property
    def dearest(self) -> float:
        """Dollars that a token costs at most."""
        return max(self.into, self.out)


@dataclass(frozen=True, slots=True)
class Prices:
    """What models cost: as the owner says, and else as DSPy's own price list has it.

    Args:
        given: By the name of the model as it is given to ``dspy.LM``, dollars for a million tokens in and for a
            million tokens out: ``{"openai/gpt-4o-mini": (0.15, 0.60)}``.

    Raises:
        ConfigurationError: A price is none.
    """

    given: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.given, Mapping):
            raise ConfigurationError(
                f"prices are given by model, prices={{'openai/gpt-4o-mini': (0.15, 0.60)}}; got {self.given!r}"
            )
        for model, pair in self.given.items():
            if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(_is_price(each) for each in pair):
                raise ConfigurationError(
                    f"the price of {model} is {pair!r}: write dollars for a million tokens in and for a million "
                    f"tokens out, such as prices={{{model!r}: (0.15, 0.60)}}"
                )

    def of(self, model: str) -> Price | None:
        """The price of a model; None when nobody knows. May ask the network once, as DSPy does when it is first used.

        Args:
            model: Its name as it is given to ``dspy.LM``.
        """
        if model in self.given:
            into, out = self.given[model]
            return Price(into / _MILLION, out / _MILLION)
        # Imported here: it is nowhere documented, and a DSPy without it must not keep bots from starting that need no
        # prices.
        from dspy.clients.model_metadata import model_info, rate

        provider, name = model.split("/", 1) if "/" in model else ("openai", model)
        info = model_info(provider, name)
        prices = [rate(info, "input_cost_per_token"), rate(info, "output_cost_per_token")]
        return Price(*prices) if None not in prices else None

    def check(self, models: Iterable[str]) -> None:
        """See that every model has a price.

        Raises:
            ConfigurationError: One has none.
        """
        for model in models:
            if self.of(model) is None:
                raise ConfigurationError(
                    f"no price is known for the model {model}, so a budget in money cannot be kept: say what it "
                    f"costs with prices={{{model!r}: (dollars for a million tokens in, out)}}"
                )

    def cost(self, usage: Usage) -> float | None:
        """What was used, in dollars; None when the price of a model is not known."""
        total = 0.0
        for model, counted in usage.items():
            price = self.of(model)
            if price is None:
                return None
            into, out = _in_and_out(counted)
            total += into * price.into + out * price.out
        return total


def tokens(usage: Usage) -> int:
    """How many tokens were used, in and out together.

    >>> tokens({"openai/gpt-4o-mini": {"prompt_tokens": 100, "completion_tokens": 20}})
    120
    """
    return sum(sum(_in_and_out(counted)) for counted in usage.values())


def models_of(agent: dspy.Module, lm: dspy.BaseLM | None = None) -> list[str]:
    """The names of the models that an agent's predictors ask.

    Args:
        agent: The agent, or a session around it.
        lm: The model of those that have none of their own; what ``dspy.configure`` set if None.
    """
    models = [predictor.lm or lm or dspy.settings.lm for predictor in agent.predictors()]
    return list(dict.fromkeys(str(model.model) for model in models if isinstance(model, dspy.BaseLM)))


def _in_and_out(counted: Mapping[str, Any]) -> tuple[int, int]:
    """The tokens of one model; a provider that has only a sum is taken to have written all of it."""
    into = counted.get("prompt_tokens") or counted.get("input_tokens") or 0
    out = counted.get("completion_tokens") or counted.get("output_tokens") or 0
    return into, max(out, (counted.get("total_tokens") or 0) - into)


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
