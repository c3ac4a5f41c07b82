"""Which model answers: the one that was named, else one that there is a key for, else the embedded one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dspy

from dspy_session import ConfigurationError, Session
from dspy_session.program import declared_signature
from dspy_session_bots import embedded
from dspy_session_bots.plain_text import PlainText, is_plain
from dspy_session_bots.provider import has_provider

PROVIDERS = {
    "OPENAI_API_KEY": "openai/gpt-5.4-mini",
    "ANTHROPIC_API_KEY": "anthropic/claude-haiku-4-5",
    "GEMINI_API_KEY": "gemini/gemini-flash-latest",
    "MISTRAL_API_KEY": "mistral/mistral-small-latest",
    "GROQ_API_KEY": "groq/openai/gpt-oss-120b",
    "DEEPSEEK_API_KEY": "deepseek/deepseek-v4-flash",
    "OPENROUTER_API_KEY": "openrouter/openai/gpt-oss-120b",
}
"""The variables that hold a provider's key, the first one that is set wins, and a small model of each provider."""

EMBEDDED = "embedded"
"""What ``--lm`` calls the embedded model."""

TOY = "a toy; --lm or a provider's key brings a real one"
"""What to know of the embedded model."""

NO_MODEL = (
    "there is no model to answer: name one with --lm, such as --lm openai/gpt-5.4-mini (DSPy's names), or set a "
    f"provider's key ({', '.join(PROVIDERS)}) in the environment or in .env, or install a small one that runs here: "
    f"{embedded.INSTALL}"
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that answers.

    Args:
        name: What people are told.
        lm: The language model.
        adapter: The adapter that the model needs; None for DSPy's own choice.
        server: What has to live as long as the model is used.
    """

    name: str
    lm: dspy.LM
    adapter: dspy.Adapter | None = None
    server: Any = None

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded model."""
        return self.name == label(EMBEDDED)

    def configure(self) -> None:
        """Make it the model of this process. DSPy lets only the thread that did this first do it again."""
        dspy.configure(lm=self.lm)
        if self.adapter is not None:
            dspy.configure(adapter=self.adapter)


def choice(named: str | None, environ: Mapping[str, str], *, embedded_there: bool) -> str:
    """The name of the model to use.

    Args:
        named: What ``--lm`` says.
        environ: The environment.
        embedded_there: Whether the embedded model is installed.

    Raises:
        ConfigurationError: There is none.
    """
    if named:
        return named
    for variable, model in PROVIDERS.items():
        if environ.get(variable):
            return model
    if embedded_there:
        return EMBEDDED
    raise ConfigurationError(NO_MODEL)


def choose(named: str | None) -> str:
    """The name of the model to use here and now: see ``choice``."""
    return choice(named, os.environ, embedded_there=embedded.find() is not None)


def label(name: str) -> str:
    """A model's name as people are told it."""
    return f"{embedded.NAME}, embedded" if name == EMBEDDED else name


def open_model(name: str) -> Model:
    """The model of that name; the embedded one is started.

    Raises:
        ConfigurationError: The name cannot be one, or the embedded model is not installed.
    """
    if name == EMBEDDED:
        lm, server = embedded.start()
        return Model(label(name), lm, PlainText(), server)
    try:
        # Asked the same again, a person wants another answer, not the cached one.
        lm = dspy.LM(name, cache=False)
    except ValueError as error:
        raise ConfigurationError(f"--lm {name}: {error}") from error
    if not has_provider(name):
        raise ConfigurationError(
            f"--lm {name} names no provider that DSPy knows: write PROVIDER/MODEL, such as openai/gpt-5.4-mini"
        )
    return Model(label(name), lm)


def needs_model(agent: dspy.Module) -> bool:
    """Whether the agent has a predictor without a model of its own, and its file configured none either."""
    predictors: list[dspy.Predict] = agent.predictors()
    return dspy.settings.lm is None and any(predictor.lm is None for predictor in predictors)


def check_embedded(agent: Session) -> None:
    """See that the embedded model can run the agent.

    Raises:
        ConfigurationError: A predictor asks for more than one text, which so small a model cannot keep apart.
    """
    predictors: list[tuple[str, dspy.Predict]] = agent.named_predictors()
    for name, predictor in predictors:
        signature = declared_signature(predictor)
        if predictor.lm is None and signature is not None and not is_plain(signature):
            raise ConfigurationError(
                "the embedded model is too small for this agent: it can give a predictor one text, and "
                f"{name!r} asks for {', '.join(signature.output_fields)}. Name another model with --lm, or "
                f"set a provider's key ({', '.join(PROVIDERS)})"
            )
