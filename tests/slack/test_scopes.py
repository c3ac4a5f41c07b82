"""What an app must be allowed, by what its bot shall do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dspy_session_slack.inbound.shortcut import ASK_ABOUT
from dspy_session_slack.setup.scopes import (
    HEARING,
    NEEDS,
    READING,
    WRITING,
    Features,
    bot_events,
    bot_scopes,
    lacking,
    needs,
)
from tests.loopback.slack.server import BOT_SCOPES, EVENTS

BARE = Features(commands=False)


def test_a_bot_without_options_asks_for_the_least() -> None:
    assert {*HEARING, READING, WRITING} < set(bot_scopes(BARE))
    assert set(bot_events(BARE)) == EVENTS
    assert not {"commands", "assistant:write", "chat:write.public", "channels:join"} & set(bot_scopes(BARE))


def test_what_the_platform_is_tested_with_is_the_least() -> None:
    assert set(bot_scopes(Features())) == BOT_SCOPES


@pytest.mark.parametrize(
    ("features", "scopes", "events"),
    [
        (Features(), {"commands"}, set()),
        (
            Features(commands=False, assistant=True),
            {"assistant:write"},
            {"app_home_opened", "app_context_changed", "agent_session_stopped"},
        ),
        (Features(commands=False, workspaces=True), set(), {"app_uninstalled", "tokens_revoked"}),
    ],
)
def test_each_option_brings_what_it_needs_and_no_more(features: Features, scopes: set[str], events: set[str]) -> None:
    assert set(bot_scopes(features)) - set(bot_scopes(BARE)) == scopes
    assert set(bot_events(features)) - set(bot_events(BARE)) == events


def test_a_scope_or_an_event_is_named_once() -> None:
    everything = Features(assistant=True, workspaces=True)
    assert needs(everything) == list(NEEDS)
    for names in (bot_scopes(everything), bot_events(everything)):
        assert len(names) == len(set(names))


def test_what_a_scope_is_missing_for_is_told() -> None:
    granted = set(bot_scopes(Features())) - {"im:history", "commands"}
    missing = ["read direct messages", "take slash commands and the shortcut"]
    assert [need.does for need in lacking(granted, Features())] == missing
    assert [need.does for need in lacking(granted, BARE)] == missing[:1]
    assert lacking([*granted, "im:history"], BARE) == []


DOCS = Path(__file__).parents[2] / "docs" / "slack.md"
OPTIONS = {"commands": "(unless `--no-commands`)", "assistant": "(`--assistant`)", "workspaces": "(`--workspaces`)"}


def test_the_page_lists_what_the_code_asks_for() -> None:
    page = DOCS.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| so that the bot can … .*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    listed = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in table.splitlines()]
    assert listed == [
        (
            f"{need.does} {OPTIONS.get(need.part, '')}".strip(),
            ", ".join(f"`{scope}`" for scope in need.scopes),
            ", ".join(f"`{event}`" for event in need.events),
        )
        for need in NEEDS
    ]
    assert f"callback id\n  `{ASK_ABOUT}`" in page
