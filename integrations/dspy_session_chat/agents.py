"""Which agent answers where: the usual one, and those of channels that have one of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import dspy

from dspy_session import ConfigurationError, Session
from dspy_session.conversation.journal import agent_of
from dspy_session_chat.action import Event
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.forms import Forms
from dspy_session_chat.rules.limits import Limits
from dspy_session_chat.rules.steps import shorten

EXAMPLE = 'channels={"support": support_agent, "C0123": "Answer in German."}'


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent, as a chat uses it.

    Args:
        session: The agent.
        fields: Which of its fields are what.
        forms: Puts its answers together.
        label: The channel that it is for, as that was given; empty for the usual one.
    """

    session: Session
    fields: AgentFields
    forms: Forms
    label: str = ""


@dataclass(frozen=True, slots=True)
class Agents:
    """The agents of a bot.

    Args:
        usual: Answers wherever no other does.
        channels: Those of single channels, by the platform's id or by the name that people see.
    """

    usual: Agent
    channels: Mapping[str, Agent] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Agent]:
        yield self.usual
        yield from self.channels.values()

    def of(self, event: Event, marks: Mapping[str, int]) -> Agent:
        """The agent of the conversation that an event belongs to.

        A name can change, and not every event tells it: who answered in a conversation before goes on answering there,
        unless an id says otherwise.

        Args:
            event: The event.
            marks: The marks of the conversation.
        """
        found = (self.channels.get(name) for name in (event.key.channel, agent_of(marks), event.channel_name))
        return next((agent for agent in found if agent is not None), self.usual)


def agents_of(
    agent: dspy.Module,
    channels: object,
    limits: Limits,
    forms: Callable[[AgentFields], Forms],
    *,
    input_field: str | None = None,
    output_field: str | None = None,
) -> Agents:
    """The agents of a bot.

    Args:
        agent: The usual one; a bare module becomes a session.
        channels: Those of channels, by id or name, or what the usual one is told there besides.
        limits: How many earlier turns they see, and how many tools they may use.
        forms: Makes the forms of an agent's answers.
        input_field: The usual one's input that takes the message; found if None.
        output_field: The usual one's output that is the answer; found if None.

    Raises:
        ConfigurationError: The fields of one are not clear, or ``channels`` are none.
    """
    session = _session(agent, limits)
    fields = AgentFields.of(session, input_field, output_field)
    usual = Agent(session, fields, forms(fields))
    made: dict[str, Agent] = {}
    for label, given in _checked(channels).items():
        if isinstance(given, str):
            made[label] = replace(usual, session=_told_besides(usual.session, given, label), label=label)
            continue
        try:
            its_session = _session(given, limits)
            its_fields = _fields(its_session, input_field, output_field)
        except ConfigurationError as error:
            raise ConfigurationError(f"channels[{label!r}]: {error}") from None
        made[label] = Agent(its_session, its_fields, forms(its_fields), label)
    return Agents(usual, made)


def _session(agent: dspy.Module, limits: Limits) -> Session:
    if isinstance(agent, Session) and limits.history_turns is not None:
        raise ConfigurationError("history_turns is for a bare module: of a session, give max_turns to the session")
    session = agent if isinstance(agent, Session) else Session(agent, max_turns=limits.history_turns)
    if limits.tool_steps is not None:
        shorten(session, limits.tool_steps)
    return session


def _fields(session: Session, input_field: str | None, output_field: str | None) -> AgentFields:
    """The fields of a channel's agent: what the usual one's are called counts where its own are not clear."""
    try:
        return AgentFields.of(session)
    except ConfigurationError:
        if input_field is None and output_field is None:
            raise
        return AgentFields.of(session, input_field, output_field)


def _checked(channels: object) -> dict[str, dspy.Module | str]:
    """The agents of channels, or what the usual one is told there besides, by channels without the #.

    Raises:
        ConfigurationError: They are none.
    """
    if not isinstance(channels, Mapping):
        raise ConfigurationError(f"channels must be a mapping, such as {EXAMPLE}; got {_shown(channels)}")
    found: dict[str, dspy.Module | str] = {}
    for channel, given in channels.items():
        label = channel.strip().removeprefix("#") if isinstance(channel, str) else ""
        if not label:
            raise ConfigurationError(
                f"channels names each channel by its id or its name, such as {EXAMPLE}; got {_shown(channel)}"
            )
        if not isinstance(given, dspy.Module) and not (isinstance(given, str) and given.strip()):
            raise ConfigurationError(
                f"channels[{label!r}] must be an agent, or what the usual one is told there besides, such as "
                f"{EXAMPLE}; got {_shown(given)}"
            )
        if label in found:
            raise ConfigurationError(f"channels names {label!r} twice, with # and without")
        found[label] = given
    return found


def _told_besides(session: Session, instructions: str, label: str) -> Session:
    """An agent as another one with longer instructions: each of its predictors is told the same besides.

    Args:
        session: The agent; it stays as it is.
        instructions: What it is told.
        label: The channel that this is for, for the error.

    Raises:
        ConfigurationError: It has no predictor that could be told something.
    """
    if not session.predictors():
        raise ConfigurationError(
            f"channels[{label!r}] cannot tell the agent anything, for it asks no model: give an agent in its place"
        )

    def told(predictor: dspy.Predict) -> dspy.Predict:
        signature = predictor.signature
        assert signature is not None  # a predictor without one cannot be called
        predictor.signature = signature.with_instructions(f"{signature.instructions}\n\n{instructions.strip()}")
        return predictor

    return copy.copy(session).map_named_predictors(told)


def _shown(value: object) -> str:
    return " ".join(f"{value!r:.80}".split())
