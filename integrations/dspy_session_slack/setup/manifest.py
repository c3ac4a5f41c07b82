"""The manifest that a Slack app is made from, and the link that makes it in one click."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from dspy_session.errors import ConfigurationError
from dspy_session_slack.inbound.shortcut import ASK_ABOUT, LABEL
from dspy_session_slack.inbound.slash import ASK
from dspy_session_slack.setup.scopes import Features, bot_events, bot_scopes

LONGEST_NAME = 35
LONGEST_DESCRIPTION = 140
LONGEST_COMMAND = 31
"""Characters that Slack takes, and of a command without its slash; from the schema of manifests that it publishes."""

LONGEST_LINK = 8000
"""Characters of a link that servers take, nearly all of them, in the first line of a request."""

EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
"""Below a bot's address: where Slack brings what happens, where people begin to install the app, and where Slack sends
them back to."""

SUBCOMMANDS = (
    *("help", "reset", "undo [how many]", "retry", "stop", "fork [title]", "history", "forget-me"),
    "your own commands",
)
"""What may be written after the app's own command."""

DESCRIPTION = "A DSPy agent: mention it, or write to it."

NEW_APP = "https://api.slack.com/apps?new_app=1"

_COMMAND = re.compile(rf"[a-z0-9_-]{{1,{LONGEST_COMMAND}}}")


@dataclass(frozen=True, slots=True)
class Setup:
    """What an app shall be like.

    Args:
        name: What people call it.
        description: What it is for, in a line.
        features: What it is set up for.
        url: Where the bot listens for Slack, ``"https://bot.example.com"``; over Socket Mode if empty.
        command: The app's own slash command, without its slash; made of its name if empty.
        org: Whether a whole organisation (Enterprise Grid) may install it at once.
    """

    name: str
    description: str = DESCRIPTION
    features: Features = Features()  # noqa: RUF009  # frozen
    url: str = ""
    command: str = ""
    org: bool = False


def manifest(setup: Setup) -> dict[str, Any]:
    """The app's manifest, as Slack documents it.

    Raises:
        ConfigurationError: Slack would not take it, or the options do not go together.
    """
    name, url = _name(setup.name), address(setup.url)
    description = _within("the description", " ".join(setup.description.split()), LONGEST_DESCRIPTION)
    if setup.features.workspaces and not url:
        raise ConfigurationError(
            "an app that several workspaces install needs an address where people come back to when they have "
            "installed it: give the bot's, https://…"
        )
    request_url = {"request_url": url + EVENTS_PATH} if url else {}
    made: dict[str, Any] = {
        "display_information": {"name": name, "description": description},
        "features": {
            # Without it nobody can write to the bot: Slack says that messages to the app were turned off.
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
        },
        "oauth_config": {"scopes": {"bot": bot_scopes(setup.features)}},
        "settings": {
            "event_subscriptions": {**request_url, "bot_events": bot_events(setup.features)},
            "interactivity": {"is_enabled": True, **request_url},
            "org_deploy_enabled": setup.org,
            "socket_mode_enabled": not url,
        },
    }
    if setup.features.commands:
        made["features"] |= _commands(setup, url)
    if setup.features.assistant:
        made["features"]["agent_view"] = {"agent_description": description}
    if setup.features.workspaces:
        made["oauth_config"]["redirect_urls"] = [url + REDIRECT_PATH]
    return made


def link(manifest: Mapping[str, Any]) -> str:
    """The address that makes an app from its manifest; empty when it would be too long for one."""
    written = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"))
    address = f"{NEW_APP}&manifest_json={quote(written, safe=':,/')}"
    return address if len(address) <= LONGEST_LINK else ""


def _commands(setup: Setup, url: str) -> dict[str, Any]:
    own = _command(setup)
    where = {"url": url + EVENTS_PATH} if url else {}
    return {
        "slash_commands": [
            {"command": f"/{ASK}", "description": "Ask the bot a question", "usage_hint": "[question]", **where},
            {
                "command": f"/{own}",
                "description": "What the bot can do besides answering",
                "usage_hint": " | ".join(SUBCOMMANDS),
                **where,
            },
        ],
        "shortcuts": [
            {
                "name": LABEL,
                "type": "message",
                "callback_id": ASK_ABOUT,
                "description": "Asks a question about this message, in its thread",
            }
        ],
    }


def _name(given: str) -> str:
    return _within("the name", " ".join(given.split()), LONGEST_NAME)


def _within(what: str, text: str, most: int) -> str:
    if not text:
        raise ConfigurationError(f"{what} of the app is empty: people see it in Slack")
    if len(text) > most:
        raise ConfigurationError(f"{what} of the app has {len(text)} characters, and Slack takes {most}: shorten it")
    return text


def _command(setup: Setup) -> str:
    """The app's own command: the one that was given, or one made of its name."""
    given = setup.command.strip().removeprefix("/")
    plain = unicodedata.normalize("NFKD", setup.name).encode("ascii", "ignore").decode().lower()
    command = given or re.sub(r"[^a-z0-9]+", "-", plain)[:LONGEST_COMMAND].strip("-")
    if not _COMMAND.fullmatch(command):
        said = f"{given!r} is no command for Slack" if given else f"no command can be made of the name {setup.name!r}"
        raise ConfigurationError(
            f"{said}: give one of up to {LONGEST_COMMAND} lower-case letters, digits, - and _, such as support"
        )
    if command == ASK or command.startswith(f"{ASK}-") or command.endswith(f"-{ASK}"):
        raise ConfigurationError(f"/{command} would ask the bot a question: give its other command another name")
    if command in (each.partition(" ")[0] for each in SUBCOMMANDS):
        raise ConfigurationError(f"/{command} is a command of the bot's already: give its own one another name")
    return command


def address(url: str, *, local: bool = False) -> str:
    """A bot's address, ``"https://bot.example.com"``: without the path that is below it; empty when there is none.

    Args:
        url: What was given, with or without that path.
        local: Whether it may be on this machine, and without TLS then.

    Raises:
        ConfigurationError: Slack could not reach the bot there.
    """
    if not url:
        return ""
    mended = url.strip().removesuffix(EVENTS_PATH).rstrip("/")
    try:
        parts = urlsplit(mended)
        is_one = bool(parts.hostname) and not (parts.username or parts.query or parts.fragment)
        is_here = local and parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    except ValueError:
        is_one = is_here = False
    if not (is_one and (is_here or parts.scheme == "https")) or any(each.isspace() for each in mended):
        raise ConfigurationError(
            f"{url!r} is no address that Slack can reach: it is https://, a host that the internet knows, and a path "
            "if there is one, such as https://bot.example.com"
        )
    return mended
