"""Which of an agent's fields take the message, and which one is the reply. Found out once, at start."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dspy

from dspy_session import ConfigurationError, Session
from dspy_session.program import declared_signature
from dspy_session_chat.files.attachments import Read
from dspy_session_chat.files.enclosed import ImageField, image_fields, in_words, placed
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.markup.cleaning import clean, clean_line

CONTEXT_FIELDS = ("author", "channel", "viewing", "platform", "attachments", "now")
"""Inputs that are filled if the agent has them."""
THINKING = frozenset({"reasoning", "rationale", "trajectory"})
"""Outputs that are on the way to the answer."""
SOURCES = frozenset({"sources", "citations", "references", "links"})
"""Outputs that become links beneath it."""
_BESIDE = THINKING | SOURCES


@dataclass(frozen=True, slots=True)
class AgentFields:
    """The agent's fields, as a chat uses them.

    Args:
        message: The input that takes the text.
        reply: The output that is the answer; None when the agent does not say before it runs.
        context: The inputs among ``CONTEXT_FIELDS`` that the agent has, with their annotations.
        images: The inputs that take pictures.
    """

    message: str
    reply: str | None
    context: Mapping[str, Any]
    images: tuple[ImageField, ...] = ()

    @classmethod
    def of(cls, agent: Session, input_field: str | None = None, output_field: str | None = None) -> AgentFields:
        """Find the fields of ``agent``.

        Args:
            agent: The agent.
            input_field: The input that takes the text; found if None.
            output_field: The output that is the answer; found if None.

        Raises:
            ConfigurationError: It is not clear which field is meant; the message lists them.
        """
        hidden = agent.engine.history_names
        inputs, required = _inputs(agent.module)
        inputs = {name: kind for name, kind in inputs.items() if name not in hidden}
        signature = declared_signature(agent.module)
        outputs = None if signature is None else {n: f.annotation for n, f in signature.output_fields.items()}
        texts = [name for name, kind in inputs.items() if name not in CONTEXT_FIELDS and _is_text(kind)]
        message = _one("input", input_field, texts, inputs, open_ended=not inputs)
        images = image_fields({name: kind for name, kind in inputs.items() if name != message}, required)
        pictures = {field.name for field in images}
        missing = sorted(required - {message, *CONTEXT_FIELDS} - pictures - hidden)
        if missing:
            raise ConfigurationError(
                f"the agent also needs {', '.join(missing)}, which a chat message does not bring: give it a default, "
                f"or wrap the agent in a module that fills it (filled from the chat: {', '.join(CONTEXT_FIELDS)})"
            )
        reply = output_field
        if outputs is not None:
            answers = [name for name, kind in outputs.items() if _is_text(kind)]
            answers = [name for name in answers if name not in _BESIDE] or answers
            reply = _one("output", output_field, answers, outputs)
        context = {name: inputs[name] for name in CONTEXT_FIELDS if name in inputs and name not in {message, *pictures}}
        return cls(message, reply, context, images)

    @property
    def takes_images(self) -> bool:
        """Whether the agent can be shown a picture."""
        return bool(self.images)

    def inputs(self, inbound: Inbound, now: datetime, read: Read | None = None) -> dict[str, Any]:
        """The agent's inputs for a message that arrives at ``now``, cleaned of what could pass for a prompt's form.

        Args:
            inbound: The message.
            now: The time.
            read: What was read of its files; if None, they are told by name where the agent asks for them.
        """
        values: dict[str, Any] = {self.message: clean(inbound.text)}
        for name, kind in self.context.items():
            values[name] = _context(name, kind, inbound, now)
        images, left = placed(() if read is None else read.images, self.images)
        values.update(images)
        if read is not None and "attachments" in self.context:
            values["attachments"] = _listing(self.context["attachments"], in_words(read, read.images))
        elif read is not None and (told := in_words(read, left)):
            values[self.message] = "\n\n".join(part for part in (values[self.message], *told) if part)
        return values

    def without_files(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as if no file had come with the message; its words stay."""
        pictures = {field.name for field in self.images}
        values = {name: value for name, value in inputs.items() if name not in pictures}
        values.update(placed((), self.images)[0])
        if "attachments" in values and "attachments" in self.context:
            values["attachments"] = _listing(self.context["attachments"], [])
        return values

    def text(self, result: Any) -> str:
        """The answer in what the agent returned.

        Raises:
            ConfigurationError: It is not clear which field is the answer; the message lists them.
        """
        if isinstance(result, str):
            return result
        values = dict(result.items()) if isinstance(result, (dspy.Example, Mapping)) else {}
        if self.reply is not None:
            if self.reply not in values:
                raise ConfigurationError(
                    f"the agent returned no {self.reply!r} (it returned {_listed(values) or type(result).__name__})"
                )
            return "" if values[self.reply] is None else str(values[self.reply])
        texts = [name for name, value in values.items() if isinstance(value, str) and name not in _BESIDE]
        return str(values[_one("output", None, texts, values)])


def _inputs(module: dspy.Module) -> tuple[dict[str, Any], frozenset[str]]:
    """The inputs of a module with their annotations, and the names of those it cannot do without."""
    signature = declared_signature(module)
    if signature is not None:
        fields = signature.input_fields
        required = frozenset(name for name, field in fields.items() if field.is_required() and not _optional(field))
        return {name: field.annotation for name, field in fields.items()}, required
    forward = getattr(type(module), "forward", None) or getattr(type(module), "aforward", None)
    if forward is None:
        raise ConfigurationError(f"the agent {type(module).__name__} has no forward method")
    parameters = [
        parameter
        for parameter in list(_signature(forward).parameters.values())[1:]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    required = frozenset(parameter.name for parameter in parameters if parameter.default is parameter.empty)
    kinds = {
        parameter.name: str if parameter.annotation is parameter.empty else parameter.annotation
        for parameter in parameters
    }
    return kinds, required


def _signature(forward: Any) -> inspect.Signature:
    """A function's parameters, with annotations that are what they stand for where they can be looked up."""
    try:
        return inspect.signature(forward, eval_str=True)
    except Exception:  # noqa: BLE001  # an annotation is code of somebody else's, and may be meant for type checkers
        return inspect.signature(forward)


def _optional(field: Any) -> bool:
    return type(None) in getattr(field.annotation, "__args__", ())


def _is_text(kind: Any) -> bool:
    return kind is str or kind == "str"


def _one(
    what: str, chosen: str | None, texts: Iterable[str], fields: Mapping[str, Any], *, open_ended: bool = False
) -> str:
    """The chosen field, or the only text."""
    texts = list(texts)
    option = f"{what}_field"
    if chosen is not None:
        if chosen not in fields and not open_ended:
            raise ConfigurationError(f"the agent has no {what} {chosen!r}; it has {_listed(fields)}")
        return chosen
    if len(texts) == 1:
        return texts[0]
    if not texts:
        raise ConfigurationError(
            f"the agent has no {what} that is text; it has {_listed(fields)}: name one with {option}=..."
        )
    raise ConfigurationError(
        f"the agent has {len(texts)} text {what}s ({', '.join(texts)}): choose one with {option}={texts[0]!r}"
    )


def _listed(fields: Mapping[str, Any]) -> str:
    return ", ".join(fields) or "none"


def _context(name: str, kind: Any, inbound: Inbound, now: datetime) -> Any:
    if name == "author":
        return clean_line(inbound.author.name)
    if name == "channel":
        return clean_line(inbound.channel_name)
    if name == "viewing":
        return clean_line(inbound.viewing)
    if name == "platform":
        return inbound.key.platform
    if name == "now":
        return now.astimezone(UTC) if kind is datetime else now.astimezone(UTC).isoformat(timespec="seconds")
    described = [
        clean_line(f"{attachment.name} ({attachment.media_type or 'unknown type'}, {attachment.size} bytes)")
        for attachment in inbound.attachments
    ]
    return _listing(kind, described)


def _listing(kind: Any, lines: list[str]) -> Any:
    return "\n".join(lines) if _is_text(kind) else lines
