"""Rows of buttons, as Discord checks them."""

from __future__ import annotations

from typing import Any

from tests.loopback.discord.refusal import invalid

Payload = dict[str, Any]

ROW, BUTTON = 1, 2
LINK = 5
"""Style of a button that leads somewhere instead of being pressed."""

MAX_ROWS = 5
MAX_BUTTONS = 5
MAX_LABEL = 80
MAX_CUSTOM_ID = 100


def checked(rows: list[Payload]) -> list[Payload]:
    """``rows`` if Discord would take them."""
    if len(rows) > MAX_ROWS:
        raise invalid("components", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_ROWS} in length.")
    seen: set[str] = set()
    for row in rows:
        buttons = row.get("components", [])
        if row.get("type") != ROW or not 1 <= len(buttons) <= MAX_BUTTONS:
            raise invalid("components", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_BUTTONS} in length.")
        for button in buttons:
            _check(button)
            if button["custom_id"] in seen:
                raise invalid("custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
            seen.add(button["custom_id"])
    return rows


def _check(button: Payload) -> None:
    if button.get("type") != BUTTON or button.get("style") not in range(1, LINK):
        raise invalid("type", "UNION_TYPE_CHOICES", "Value of field is not one of the buttons that the fake knows.")
    if not 1 <= len(button.get("custom_id") or "") <= MAX_CUSTOM_ID:
        raise invalid("custom_id", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_CUSTOM_ID} in length.")
    if not 1 <= len(button.get("label") or "") <= MAX_LABEL:
        raise invalid("label", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {MAX_LABEL} in length.")
