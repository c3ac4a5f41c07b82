"""One message as it is to stand there."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import discord

from dspy_session_chat.reply import Button, ReplyFile


@dataclass(frozen=True, slots=True)
class Written:
    """One message as it is to stand there.

    Args:
        text: What it says; empty when it only carries files.
        nonce: What tells it from every other message: sent again within some minutes, it is there once.
        buttons: Buttons under it.
        files: Files with it.
        private: Whether nobody but the one who asked is to see it, where that can be; None for as it was begun.
    """

    text: str
    nonce: str
    buttons: Sequence[Button] = ()
    files: Sequence[ReplyFile] = ()
    private: bool | None = None


def as_file(file: ReplyFile) -> discord.File:
    """A file of an answer, to be uploaded once."""
    return discord.File(io.BytesIO(file.data), filename=file.name)
