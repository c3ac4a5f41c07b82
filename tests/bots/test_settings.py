"""Secrets from the environment and ``.env``, and the platforms and webhooks that they open."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from dspy_session import ConfigurationError
from dspy_session.errors import PlatformError
from dspy_session_bots.config import Settings, read_settings
from dspy_session_bots.demo import has_browser
from dspy_session_bots.serving import platforms_and_sinks
from dspy_session_bots.signing_key import new_signing_key
from dspy_session_discord import Discord
from dspy_session_slack import Slack
from dspy_session_webhook import Webhook

TOKENS = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "DISCORD_TOKEN": "a.b.c"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory, and an environment that is as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    over_http = ("SLACK_SIGNING_SECRET", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET")
    for name in (*TOKENS, *over_http, "SLACK_API_URL", "DISCORD_SHARDS", "WEBHOOK_SECRET"):
        os.environ.pop(name, None)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def test_the_environment_goes_before_the_file(folder: Path) -> None:
    (folder / ".env").write_text(
        "DISCORD_TOKEN=filed\nWEBHOOK_SECRET=\nSOME_KEY='a b'  # for the agent\n", encoding="utf-8"
    )
    assert read_settings(None).discord_token == SecretStr("filed")
    assert os.environ["SOME_KEY"] == "a b"
    os.environ["DISCORD_TOKEN"] = "given"
    settings = read_settings(None)
    assert settings.discord_token == SecretStr("given")
    assert settings.webhook_secret is None  # empty is as good as none


def test_another_file(folder: Path) -> None:
    (folder / "staging.env").write_text("DISCORD_TOKEN=staging\n", encoding="utf-8")
    assert read_settings(folder / "staging.env").discord_token == SecretStr("staging")


def test_without_a_file(folder: Path) -> None:
    assert read_settings(None) == Settings()


def test_secrets_are_not_shown(folder: Path) -> None:
    os.environ.update(TOKENS, SLACK_API_URL="hunter2")
    with pytest.raises(ConfigurationError) as raised:
        read_settings(None)
    assert "hunter2" not in str(raised.value)
    del os.environ["SLACK_API_URL"]
    assert not any(token in repr(read_settings(None)) for token in TOKENS.values())


def test_platforms_that_were_asked_for(folder: Path) -> None:
    os.environ.update(TOKENS, SLACK_API_URL="https://slack-gov.com/api/")
    settings = read_settings(None)
    platforms, sinks = platforms_and_sinks(settings, slack=True, discord=True, webhooks=[])
    assert ([type(each) for each in platforms], sinks) == ([Slack, Discord], [])
    assert platforms_and_sinks(settings, slack=False, discord=False, webhooks=[]) == ([], [])


def test_the_shards_of_a_discord_bot_stand_in_the_environment(folder: Path) -> None:
    os.environ.update(TOKENS)
    for written in ("auto", "0,1/4"):
        os.environ["DISCORD_SHARDS"] = written
        (platform,), _ = platforms_and_sinks(read_settings(None), slack=False, discord=True, webhooks=[])
        assert isinstance(platform, Discord)
    os.environ["DISCORD_SHARDS"] = "some"
    with pytest.raises(ConfigurationError, match=r"'some' are no shards: write auto, or which of how many"):
        platforms_and_sinks(read_settings(None), slack=False, discord=True, webhooks=[])


def test_what_is_said_of_discord_alone_is_told_to_it(folder: Path) -> None:
    os.environ.update(TOKENS)
    settings = read_settings(None)
    for options, line in (
        ({"threads": {"*": "never"}}, "threads must be"),
        ({"activity": " "}, "activity must be"),
        ({"catch_up": "soon"}, "'soon' is no time"),
    ):
        with pytest.raises(ConfigurationError, match=line):
            platforms_and_sinks(settings, slack=False, discord=True, discord_options=options, webhooks=[])


def test_what_is_said_of_slack_alone_is_told_to_it(folder: Path) -> None:
    os.environ.update(TOKENS)
    settings = read_settings(None)
    (platform,), _ = platforms_and_sinks(
        settings, slack=True, slack_options={"greeting": "Hello!", "streams": "nowhere"}, discord=False, webhooks=[]
    )
    assert platform.name == "slack"
    for options, line in (
        ({"prompts": ["a", " "]}, "a prompt must say something"),
        ({"streams": "now"}, "streams must"),
    ):
        with pytest.raises(ConfigurationError, match=line):
            platforms_and_sinks(settings, slack=True, slack_options=options, discord=False, webhooks=[])


def test_slack_over_http_is_for_one_workspace_or_for_many(folder: Path) -> None:
    def asked() -> None:
        (platform,), _ = platforms_and_sinks(
            read_settings(None), slack=False, slack_http="127.0.0.1:3000", discord=False, webhooks=[]
        )
        assert isinstance(platform, Slack)

    with pytest.raises(ConfigurationError, match=r"--slack-http needs SLACK_SIGNING_SECRET .* and SLACK_BOT_TOKEN"):
        asked()
    os.environ.update(SLACK_SIGNING_SECRET="0123", SLACK_CLIENT_ID="1.2")
    with pytest.raises(ConfigurationError, match=r"--slack-http needs SLACK_CLIENT_SECRET"):
        asked()
    os.environ["SLACK_CLIENT_SECRET"] = "hush"
    asked()
    os.environ["SLACK_BOT_TOKEN"] = "xapp-1"
    with pytest.raises(PlatformError, match="is no Slack bot token but an app-level token"):
        asked()
    os.environ["SLACK_BOT_TOKEN"] = "xoxb-1"
    asked()


def test_a_webhook_for_each_address(folder: Path) -> None:
    os.environ["WEBHOOK_SECRET"] = f"{new_signing_key()} {new_signing_key()}"  # while keys are rotated
    addresses = ["https://example.com/a", "http://127.0.0.1:1/b"]
    platforms, sinks = platforms_and_sinks(read_settings(None), slack=False, discord=False, webhooks=addresses)
    assert (platforms, [type(sink) for sink in sinks]) == ([], [Webhook, Webhook])


def test_signing_keys_are_fresh_and_long_enough() -> None:
    keys = {new_signing_key() for _ in range(10)}
    assert len(keys) == 10
    assert {len(base64.b64decode(key.removeprefix("whsec_"))) for key in keys} == {32}


@pytest.mark.parametrize(
    ("platform", "environ", "there"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"BROWSER": "code --open"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_a_browser_that_would_open_in_the_terminal_is_none(platform: str, environ: dict[str, str], there: bool) -> None:
    assert has_browser(platform, environ) is there
