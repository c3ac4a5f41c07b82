"""The user's agent, ready to answer: loaded, and with a model."""

from __future__ import annotations

from dataclasses import dataclass

import dspy

from dspy_session import ConfigurationError, Session
from dspy_session_bots.load import load
from dspy_session_bots.model import EMBEDDED, Model, check_embedded, choose, needs_model, open_model
from dspy_session_bots.target import Target
from dspy_session_chat import Bot
from dspy_session_chat.fields import AgentFields


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that can answer.

    Args:
        session: The agent.
        fields: Which of its fields take the message and hold the answer.
        model: The model that was opened for it; None when it brings its own or needs none.
    """

    session: Session
    fields: AgentFields
    model: Model | None

    @property
    def model_name(self) -> str:
        """Which model answers, for people."""
        if self.model is not None:
            return self.model.name
        predictors: list[dspy.Predict] = self.session.predictors()
        models = {str(getattr(predictor.lm or dspy.settings.lm, "model", "")) for predictor in predictors}
        return ", ".join(sorted(models - {""})) or "no model that we know of"


def forget_caches() -> None:
    """Let every message reach the model: DSPy's cache would give two people one answer, and keep what they said."""
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


def ready(found: dspy.Module, lm: str | None, input_field: str | None, output_field: str | None) -> Agent:
    """An agent with a model; from here on that is the model of this process.

    Args:
        found: What the user's target named.
        lm: The model's name; found if None.
        input_field: The input that takes the message; found if None.
        output_field: The output that is the answer; found if None.

    Raises:
        ConfigurationError: Its fields are not clear, or there is no model that can run it.
    """
    session = found if isinstance(found, Session) else Session(found)
    fields = _fields(session, input_field, output_field)
    model = None
    if lm is not None or needs_model(session):
        name = choose(lm)
        if name == EMBEDDED:
            check_embedded(session)
        model = open_model(name)
        model.configure()
    return Agent(session, fields, model)


def load_agent(target: Target) -> dspy.Module:
    """The agent that ``target`` names; not a bot, which has conversations of its own.

    Raises:
        ConfigurationError: There is none.
    """
    found = load(target)
    if isinstance(found, Bot):
        raise ConfigurationError(f"{target} is a Bot: start it with dspy-bots run {target}, or name its agent")
    return found


def _fields(session: Session, input_field: str | None, output_field: str | None) -> AgentFields:
    try:
        return AgentFields.of(session, input_field, output_field)
    except ConfigurationError as error:
        # The same names, as they are spelt on a command line.
        said = str(error).replace("input_field=", "--input-field ").replace("output_field=", "--output-field ")
        raise ConfigurationError(said) from None
