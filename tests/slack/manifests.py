"""What Slack takes for a manifest, as the schema that it publishes says: what is not in here it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

HTTPS = re.compile(r"https://\S+")


@dataclass(frozen=True)
class Text:
    longest: int
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Many:
    of: Any
    most: int


@dataclass(frozen=True)
class Parts:
    """An object: the parts that it must have, and those that it may."""

    must: Mapping[str, Any]
    may: Mapping[str, Any]


URL = Text(3500, HTTPS)
SCHEMA = Parts(
    {"display_information": Parts({"name": Text(35)}, {"description": Text(140), "long_description": Text(4000)})},
    {
        "features": Parts(
            {},
            {
                "app_home": Parts(
                    {},
                    dict.fromkeys(("home_tab_enabled", "messages_tab_enabled", "messages_tab_read_only_enabled"), bool),
                ),
                "bot_user": Parts({"display_name": Text(80)}, {"always_online": bool}),
                "shortcuts": Many(
                    Parts(
                        {
                            "name": Text(24),
                            "type": Text(7, re.compile("message|global")),
                            "callback_id": Text(255),
                            "description": Text(150),
                        },
                        {},
                    ),
                    10,
                ),
                "slash_commands": Many(
                    Parts(
                        {"command": Text(32, re.compile(r"/[a-z0-9_-]+")), "description": Text(2000)},
                        {"url": Text(3000, HTTPS), "usage_hint": Text(1000), "should_escape": bool},
                    ),
                    50,
                ),
                "agent_view": Parts(
                    {"agent_description": Text(300)},
                    {"suggested_prompts": Many(Parts({"title": Text(255), "message": Text(2000)}, {}), 4)},
                ),
            },
        ),
        "oauth_config": Parts(
            {}, {"redirect_urls": Many(Text(2500), 1000), "scopes": Parts({}, {"bot": Many(Text(50), 255)})}
        ),
        "settings": Parts(
            {},
            {
                "event_subscriptions": Parts({}, {"request_url": URL, "bot_events": Many(Text(50), 100)}),
                "interactivity": Parts({"is_enabled": bool}, {"request_url": URL}),
                **dict.fromkeys(("org_deploy_enabled", "socket_mode_enabled", "token_rotation_enabled"), bool),
            },
        ),
    },
)


def faults(manifest: Mapping[str, Any]) -> list[str]:
    """What Slack would not take in a manifest, with where it is."""
    settings = manifest["settings"]
    unreached = [
        f"/settings/{name}: needs either a request_url or Socket Mode"
        for name in ("event_subscriptions", "interactivity")
        if not settings["socket_mode_enabled"] and "request_url" not in settings[name]
    ]
    return _faults("", manifest, SCHEMA) + unreached


def _faults(where: str, value: Any, wanted: Any) -> list[str]:
    kinds: dict[type, Callable[..., list[str]]] = {Text: _text, Many: _many, Parts: _parts}
    if wanted is bool:
        return [] if isinstance(value, bool) else [f"{where}: no boolean"]
    return kinds[type(wanted)](where, value, wanted)


def _text(where: str, value: Any, wanted: Text) -> list[str]:
    if not isinstance(value, str) or not 1 <= len(value) <= wanted.longest:
        return [f"{where}: no text of 1 to {wanted.longest} characters"]
    return [] if wanted.pattern is None or wanted.pattern.fullmatch(value) else [f"{where}: {value!r} does not fit"]


def _many(where: str, value: Any, wanted: Many) -> list[str]:
    said = [] if 1 <= len(value) <= wanted.most else [f"{where}: 1 to {wanted.most} of them"]
    for number, each in enumerate(value):
        said += _faults(f"{where}/{number}", each, wanted.of)
    return said


def _parts(where: str, value: Any, wanted: Parts) -> list[str]:
    known = {**wanted.must, **wanted.may}
    said = [f"{where}/{name}: missing" for name in wanted.must if name not in value]
    for name, each in value.items():
        said += _faults(f"{where}/{name}", each, known[name]) if name in known else [f"{where}/{name}: unknown"]
    return said
