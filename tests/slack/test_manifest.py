"""The manifest of an app: Slack takes it, and it asks for no more than the features need."""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.errors import ConfigurationError
from dspy_session_chat.answering import Answering
from dspy_session_chat.means import Means
from dspy_session_chat.standard import StandardCommands
from dspy_session_slack.setup.manifest import LONGEST_LINK, SUBCOMMANDS, Setup, link, manifest
from dspy_session_slack.setup.scopes import Features, bot_events, bot_scopes
from tests.slack.manifests import faults

URL = "https://bot.example.com"
ALL = Features(assistant=True, workspaces=True)


@given(
    name=st.text(max_size=60),
    description=st.text(max_size=200),
    features=st.builds(Features, commands=st.booleans(), assistant=st.booleans(), workspaces=st.booleans()),
    url=st.sampled_from(["", URL, f"{URL}/", f"{URL}/bots/slack/events", "http://bot.example.com", "bot", "https://["]),
    command=st.one_of(st.just(""), st.text(max_size=40), st.sampled_from(["/support", "help_desk"])),
    org=st.booleans(),
)
def test_slack_takes_whatever_is_made(**options: Any) -> None:
    try:
        made = manifest(Setup(**options))
    except ConfigurationError as error:
        assert "\n" not in str(error)  # noqa: PT017  # most of what is made up here is refused, not all
        return
    assert faults(made) == []
    assert json.loads(json.dumps(made)) == made
    assert len(link(made)) <= LONGEST_LINK


def test_what_is_wrong_with_a_manifest_is_found() -> None:
    made = manifest(Setup("Helper", url=URL))
    made["features"]["bot_user"] = {"display_name": ""}
    made["features"]["assistant_view"] = {}
    del made["settings"]["interactivity"]["request_url"]
    assert sorted(faults(made)) == [
        "/features/assistant_view: unknown",
        "/features/bot_user/display_name: no text of 1 to 80 characters",
        "/settings/interactivity: needs either a request_url or Socket Mode",
    ]


def test_over_socket_mode_and_over_http() -> None:
    over_socket, over_http = manifest(Setup("Helper")), manifest(Setup("Helper", url=f"{URL}/"))

    assert over_socket["settings"]["socket_mode_enabled"]
    assert URL not in json.dumps(over_socket)
    assert not over_http["settings"]["socket_mode_enabled"]
    places = [over_http["settings"][name] for name in ("event_subscriptions", "interactivity")]
    assert [place["request_url"] for place in places] == [f"{URL}/slack/events"] * 2
    assert {each["url"] for each in over_http["features"]["slash_commands"]} == {f"{URL}/slack/events"}
    assert "redirect_urls" not in over_http["oauth_config"]


def test_features_bring_what_they_need() -> None:
    bare = manifest(Setup("Helper", features=Features(commands=False)))
    assert set(bare["features"]) == {"app_home", "bot_user"}
    assert bare["features"]["app_home"]["messages_tab_read_only_enabled"] is False

    full = manifest(Setup("Ünser Bot!", "Answers.", ALL, url=URL, org=True))
    assert full["oauth_config"] == {
        "scopes": {"bot": bot_scopes(ALL)},
        "redirect_urls": [f"{URL}/slack/oauth_redirect"],
    }
    assert full["settings"]["event_subscriptions"]["bot_events"] == bot_events(ALL)
    assert full["settings"]["org_deploy_enabled"]
    assert full["features"]["agent_view"] == {"agent_description": "Answers."}
    assert [each["command"] for each in full["features"]["slash_commands"]] == ["/ask", "/unser-bot"]
    assert [each["name"] for each in full["features"]["shortcuts"]] == ["Ask the bot about this"]


def test_the_hint_names_the_commands_that_there_are() -> None:
    nothing = cast("Means", None), cast("Answering", None)
    standard = [f"{each.name} {each.takes}".strip() for each in StandardCommands(*nothing).all()]
    assert [*standard, "your own commands"] == list(SUBCOMMANDS)


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        (Setup("  "), "the name of the app is empty"),
        (Setup("x" * 36), "the name of the app has 36 characters, and Slack takes 35"),
        (Setup("Helper", description="x" * 141), "the description of the app has 141 characters"),
        (Setup("助手"), "no command can be made of the name '助手': give one of up to 31 lower-case"),
        (Setup("Helper", command="/Help me"), "'Help me' is no command for Slack"),
        (Setup("Ask!"), "/ask would ask the bot a question"),
        (Setup("Ask HR"), "/ask-hr would ask the bot a question: give its other command another name"),
        (Setup("History"), "/history is a command of the bot's already"),
        (Setup("Helper", url="http://localhost:3000"), "'http://localhost:3000' is no address that Slack can reach"),
        (Setup("Helper", features=ALL), "several workspaces install needs an address"),
    ],
)
def test_what_slack_would_refuse_is_refused_first(setup: Setup, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        manifest(setup)


def test_the_link_holds_all_of_it() -> None:
    made = manifest(Setup("Käthe & Co", features=ALL, url=URL))
    address = urlsplit(link(made))
    assert (address.hostname, address.path) == ("api.slack.com", "/apps")
    held = parse_qs(address.query)
    assert (held["new_app"], json.loads(held["manifest_json"][0])) == (["1"], made)


def test_what_is_too_long_for_a_link_has_none() -> None:
    assert link(manifest(Setup("Helper", url=f"{URL}/{'x' * 2500}"))) == ""
