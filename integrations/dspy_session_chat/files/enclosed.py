"""What was read of a message's files, put where the agent takes it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import dspy

from dspy_session_chat.files.attachments import ImageFile, Read


@dataclass(frozen=True, slots=True)
class ImageField:
    """An input that takes pictures.

    Args:
        name: Its name.
        many: True for a list of them.
        required: True when it has no default, and so is given something even if there is no picture.
    """

    name: str
    many: bool
    required: bool


def image_fields(inputs: Mapping[str, Any], required: frozenset[str]) -> tuple[ImageField, ...]:
    """The inputs that are ``dspy.Image``, a list of them, or one of these or None.

    Args:
        inputs: An agent's inputs with their annotations.
        required: Names of those that have no default.
    """
    found = ((name, _takes(kind)) for name, kind in inputs.items())
    return tuple(ImageField(name, takes == "many", name in required) for name, takes in found if takes)


def _takes(kind: Any) -> str:
    """``"one"`` or ``"many"`` pictures; empty for an annotation of something else."""
    if kind is dspy.Image:
        return "one"
    arguments = get_args(kind)
    if get_origin(kind) in (list, Sequence):
        return "many" if arguments == (dspy.Image,) else ""
    if type(None) in arguments:
        kinds = [argument for argument in arguments if argument is not type(None)]
        return _takes(kinds[0]) if len(kinds) == 1 else ""
    return ""


def placed(images: Sequence[ImageFile], fields: Sequence[ImageField]) -> tuple[dict[str, Any], Sequence[ImageFile]]:
    """The values of an agent's inputs for pictures, and the pictures for which there is no room.

    A field for one picture takes the next one, a list all that are left. Where there is none, a field keeps its
    default; one that has no default is given an empty list or None, for most messages come without pictures.
    """
    values: dict[str, Any] = {}
    for field in fields:
        if images:
            taken = len(images) if field.many else 1
            pictures = [_picture(image) for image in images[:taken]]
            values[field.name] = pictures if field.many else pictures[0]
            images = images[taken:]
        elif field.required:
            values[field.name] = [] if field.many else None
    return values, images


def _picture(image: ImageFile) -> dspy.Image:
    return dspy.Image(f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}")


def in_words(read: Read, images: Sequence[ImageFile]) -> list[str]:
    """The files as text for the agent, one after the other: what is in a text, and of the others what they are.

    Args:
        read: What was read.
        images: The pictures to tell of.
    """
    texts = []
    for file in read.texts:
        cut = f", {file.part}" if file.part else ""
        texts.append(f"--- Attached file {file.name}{cut} ---\n{file.text.rstrip()}\n--- End of {file.name} ---")
    return [*texts, *(image.description for image in images), *(file.description for file in read.described)]
