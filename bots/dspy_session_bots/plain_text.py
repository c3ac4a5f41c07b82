"""An adapter for models too small to keep to a format: what is said is said, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy
from dspy.streaming import StreamResponse

from dspy_session import ConfigurationError

Signature = type[dspy.Signature]


def is_plain(signature: Signature) -> bool:
    """Whether a signature asks for one text and nothing else."""
    return [field.annotation for field in signature.output_fields.values()] == [str]


class PlainText(dspy.Adapter):
    """Shows the instructions as the system message, and inputs and outputs as a chat without any marks.

    A single input is shown as it is; several, each with its name. The whole answer is the output, so a signature can
    have only one, a text.
    """

    def format_system_message(self, signature: Signature) -> str:
        """The instructions."""
        _output(signature)
        return str(signature.instructions)

    def format_user_message_content(
        self,
        signature: Signature,
        inputs: Mapping[str, Any],
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> str:
        """The inputs. ``prefix`` is left out: it tells a demo that lacks a field from one that doesn't."""
        fields = [name for name, field in signature.input_fields.items() if field.annotation is not dspy.History]
        given = {name: inputs[name] for name in fields if inputs.get(name) is not None}
        if len(fields) == 1:
            return "".join(map(str, given.values()))
        return "\n".join(f"{name}: {value}" for name, value in given.items())

    def format_assistant_message_content(
        self, signature: Signature, outputs: Mapping[str, Any], missing_field_message: str | None = None
    ) -> str:
        """The output."""
        return str(outputs.get(_output(signature), missing_field_message or ""))

    def parse(self, signature: Signature, completion: str) -> dict[str, Any]:
        """Everything that the model said."""
        return {_output(signature): completion.strip()}

    def listener(self, field: str, predict: dspy.Predict, name: str) -> PlainListener:
        """A listener for ``dspy_session``'s ``astream``."""
        return PlainListener(field, predict, name)


class PlainListener:
    """Takes every chunk for a piece of the field; the white space around the whole is left out, as ``parse`` does.

    Args:
        field: The output field.
        predict: The predictor that the chunks come from.
        name: The predictor's dotted path.
    """

    def __init__(self, field: str, predict: dspy.Predict, name: str) -> None:
        self.predict = predict
        self._field = field
        self._name = name
        self._held = ""  # white space that is only said if something follows
        self._started = False

    def receive(self, chunk: Any) -> StreamResponse | None:
        """What a chunk adds to the field."""
        text = self._held + (chunk.choices[0].delta.content or "")
        if not self._started:
            text = text.lstrip()
        said = text.rstrip()
        self._held = text[len(said) :]
        self._started = self._started or bool(said)
        return StreamResponse(self._name, self._field, said, is_last_chunk=False) if said else None

    def finalize(self) -> None:
        """White space at the end is not said."""


def _output(signature: Signature) -> str:
    if not is_plain(signature):
        raise ConfigurationError(
            f"plain text holds one text output, not {', '.join(signature.output_fields)}: use another adapter"
        )
    return next(iter(signature.output_fields))
