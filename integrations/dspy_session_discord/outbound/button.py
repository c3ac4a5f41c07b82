"""Buttons that need no memory: all that a press has to say is in the button's own id, also after a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote

import discord

from dspy_session.errors import ConfigurationError
from dspy_session_chat.reply import LONGEST_ANSWER, Button
from dspy_session_discord.outbound.markup import length, shorten, sound

NAME_LIMIT = 100
"""Characters in a component's ``custom_id``; Discord refuses more with error 50035."""

LABEL_LIMIT = 80
"""Characters on a button."""

QUESTION_LIMIT = 45
"""Characters in the title of a modal, and in the label of its box."""

MOST_BUTTONS = 25
"""Five rows of five."""

_OURS = "dspy"
"""First part of the ids of our buttons; a bot that we join may have buttons of its own."""

_WAITS = "sent"
"""Last part of the ids of those whose press waits for the answer to their question."""

_STYLES = {"good": discord.ButtonStyle.success, "danger": discord.ButtonStyle.danger}


@dataclass(frozen=True, slots=True)
class ButtonName:
    """What a button's ``custom_id`` says.

    Args:
        action: ``Button.action``.
        about: ``Button.about``.
        asks: ``Button.asks``.
        waits: ``Button.waits``.
    """

    action: str
    about: str = ""
    asks: str = ""
    waits: bool = False

    @classmethod
    def of(cls, button: Button) -> Self:
        """The name of ``button``, which fits into Discord's 100 characters.

        A question that is too long for a modal is shortened. What it is about is short where it is an id of the bot's
        or of Discord's; should it not fit, it is named by its hash, ``"sha256:…"``, and so it comes with the press.

        Raises:
            ConfigurationError: The action alone is too long.
        """
        for about in (button.about, hashed(button.about)):
            bare = cls(button.action, about, waits=button.waits)
            room = NAME_LIMIT - length(str(bare))
            if room < 0:
                continue
            asks = shorten(button.asks, QUESTION_LIMIT)
            while length(_quoted(asks)) > room and asks:
                asks = "" if length(asks) == 1 else shorten(asks, length(asks) - 1)
            if asks or not button.asks.strip():
                return cls(button.action, about, asks, button.waits)
        raise ConfigurationError(f"the button action {button.action!r} is too long for Discord; give it a short word")

    @classmethod
    def parse(cls, written: str) -> Self | None:
        """The name that ``str`` wrote; None when the button is not of ours."""
        ours, *parts = written.split(":")
        if ours != _OURS or len(parts) not in (3, 4) or parts[3:] not in ([], [_WAITS]):
            return None
        action, about, asks = (unquote(part) for part in parts[:3])
        return cls(action, about, asks, waits=len(parts) == 4)

    def __str__(self) -> str:
        parts = (_OURS, _quoted(self.action), _quoted(self.about), _quoted(self.asks))
        return ":".join((*parts, _WAITS) if self.waits else parts)


def hashed(about: str) -> str:
    """What stands for ``about`` in a button whose id has no room for it: 128 bits of its SHA-256."""
    return f"sha256:{hashlib.sha256(about.encode(errors='surrogatepass')).hexdigest()[:32]}"


def view_of(buttons: Sequence[Button]) -> discord.ui.View | None:
    """``buttons`` as discord.py sends them; None when there are none.

    The view is finished before it is sent: so discord.py only writes it down and does not keep it to wait for a press.

    Raises:
        ConfigurationError: There are more than Discord can show, or two are the same.
    """
    if not buttons:
        return None
    if len(buttons) > MOST_BUTTONS:
        raise ConfigurationError(f"a message in Discord has {MOST_BUTTONS} buttons at most; got {len(buttons)}")
    named = {str(ButtonName.of(button)): button for button in buttons}
    if len(named) < len(buttons):
        raise ConfigurationError("two buttons of a message do the same; give them different actions or subjects")
    view = discord.ui.View(timeout=None)
    for name, button in named.items():
        style = _STYLES.get(button.style, discord.ButtonStyle.secondary)
        label = shorten(button.label, LABEL_LIMIT) or button.action
        view.add_item(discord.ui.Button(style=style, label=label, custom_id=name))
    view.stop()
    return view


def modal_of(name: ButtonName, label: str = "") -> discord.ui.Modal:
    """The question that a button asks, a window with a box to write in; as with ``view_of``, nothing waits for it.

    Args:
        name: The button. Where its press waits for the window, that may be sent off without words.
        label: What stands on it; then the window is called so.
    """
    title = shorten(label, QUESTION_LIMIT) if name.waits else ""
    modal = discord.ui.Modal(title=title or name.asks, custom_id=str(name))
    box: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
        style=discord.TextStyle.paragraph,
        required=not name.waits,
        max_length=LONGEST_ANSWER if name.waits else None,
    )
    modal.add_item(discord.ui.Label(text=name.asks, component=box))
    modal.stop()
    return modal


def label_on(message: discord.Message | None, name: ButtonName) -> str:
    """What stands on a button under ``message``; empty where that is not known."""
    for row in () if message is None else message.components:
        for each in row.children if isinstance(row, discord.ActionRow) else ():
            if isinstance(each, discord.Button) and each.custom_id == str(name):
                return each.label or ""
    return ""


def answer_in(data: Any) -> str:
    """What was written into the first box of a window that was sent off, by its ``Interaction.data``."""
    for component in (data or {}).get("components", ()):
        box = component.get("component")
        for each in component.get("components", ()) if box is None else (box,):
            if "value" in each:
                return str(each["value"]).strip()
    return ""


def _quoted(text: str) -> str:
    return sound(text).replace("%", "%25").replace(":", "%3A")
