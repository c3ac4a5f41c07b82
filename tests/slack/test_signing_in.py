"""Tokens: missing, mistaken, refused, and never to be seen."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_slack import OAuth, Slack
from dspy_session_slack.installing.many import installed_by_oauth
from dspy_session_slack.setup import sign_in
from dspy_session_slack.transport import sockets
from tests.loopback.slack import BOT_SCOPES, FakeSlack, cut, refused, server_error
from tests.slack.talk import ANN, ANNS_DM, Echo, echoing, platform_of, running

WRONG: list[Any] = [
    pytest.param({"bot_token": None}, "there is no Slack bot token: .*SLACK_BOT_TOKEN.*OAuth", id="no bot token"),
    pytest.param({"app_token": None}, "there is no Slack app-level token: .*SLACK_APP_TOKEN.*Basic", id="no app token"),
    pytest.param(
        {"bot_token": "xapp-1"},
        r"\(SLACK_BOT_TOKEN\) is no Slack bot token but an app-level token: one starts with xoxb-…",
        id="two app tokens",
    ),
    pytest.param(
        {"app_token": "xoxb-1"},
        r"\(SLACK_APP_TOKEN\) is no Slack app-level token but a bot token: one starts with xapp-…",
        id="two bot tokens",
    ),
    pytest.param({"bot_token": "xoxp-1"}, r"\(SLACK_BOT_TOKEN\) .* but a user token: ", id="a person's"),
    pytest.param({"bot_token": "'xoxb-1'"}, r"\(SLACK_BOT_TOKEN\) .* but something in quotes: ", id="quoted"),
    pytest.param(
        {"bot_token": "xapp-1", "app_token": "xoxb-1"},
        r"the Slack tokens are swapped: .*SLACK_BOT_TOKEN\) is the xoxb-… one, .*SLACK_APP_TOKEN\) the xapp-… one",
        id="swapped",
    ),
    pytest.param({"bot_token": "xoxb-wrong"}, r"the bot token is not accepted by Slack \(invalid_auth\)", id="refused"),
    pytest.param(
        {"app_token": "xapp-wrong"}, r"the app-level token is not accepted by Slack \(invalid_auth\)", id="refused too"
    ),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
async def test_a_wrong_token_is_one_line(slack: FakeSlack, options: dict[str, Any], message: str):
    platform = platform_of(slack, **options)

    with pytest.raises(PlatformError, match=message) as raised:
        await platform.run(Echo(platform))

    assert "\n" not in str(raised.value)
    assert not any(token and token in str(raised.value) for token in options.values())


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        ({"bot_scopes": {"app_mentions:read"}}, "lets the bot write to nobody: add chat:write"),
        ({"bot_scopes": {"chat:write"}}, "lets the bot hear nobody: add app_mentions:read"),
        ({"app_scopes": ()}, "the app-level token lacks connections:write"),
    ],
)
async def test_a_missing_scope_is_named(scopes: dict[str, Any], message: str):
    async with FakeSlack(**scopes) as slack:
        platform = platform_of(slack)
        with pytest.raises(PlatformError, match=message):
            await platform.run(Echo(platform))


async def test_what_it_cannot_do_for_want_of_scopes_is_told_once(caplog: pytest.LogCaptureFixture):
    fewer = BOT_SCOPES - {"users:read", "groups:read", "commands"}
    async with FakeSlack(bot_scopes=fewer) as slack, echoing(slack) as echo:
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()

    assert echo.texts == ["hello"]
    (told,) = [each for each in caplog.messages if "the bot cannot" in each]
    assert told.startswith("In the Slack workspace T0LOOPBACK the bot cannot ")
    assert "cannot tell people's names (users:read); tell the names of channels (groups:read): if it shall" in told


def test_what_it_cannot_do_where_others_install_it_is_told_too(caplog: pytest.LogCaptureFixture):
    fewer = OAuth(client_id="1.2", client_secret="loopback", scopes=sorted(BOT_SCOPES - {"im:history"}))
    with pytest.raises(ConfigurationError, match="kept in the bot's store"):
        installed_by_oauth(fewer, AsyncWebClient(), None, float)

    assert "In workspaces that install the Slack app the bot cannot read direct messages (im:history)" in caplog.text


@pytest.mark.parametrize(
    ("method", "code", "message"),
    [
        ("auth.test", "account_inactive", r"the bot token is not accepted by Slack \(account_inactive\)"),
        ("auth.test", "ekm_access_denied", r"Slack does not let the bot in \(ekm_access_denied\)"),
        ("apps.connections.open", "not_allowed_token_type", "the wrong kind of token"),
        ("apps.connections.open", "forbidden_team", r"Slack does not let the bot in \(forbidden_team\)"),
    ],
)
async def test_other_refusals_are_told_too(slack: FakeSlack, method: str, code: str, message: str):
    slack.fail(method, refused(code))
    platform = platform_of(slack)

    with pytest.raises(PlatformError, match=message):
        await platform.run(Echo(platform))


async def test_while_slack_cannot_be_reached_at_the_start_the_bot_tries_again(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("dspy_session_slack.setup.sign_in.FIRST_PAUSE", 0.0)
    slack.fail("auth.test", server_error(502))
    slack.fail("auth.test", cut(), times=2)  # as often as the SDK tries
    slack.fail("apps.connections.open", cut(), times=2)

    async with echoing(slack, ping_interval=0.1):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        assert (await slack.next_post()).text == "echo: hello"

    told = [each.getMessage() for each in caplog.records if each.name in (sign_in.__name__, sockets.__name__)]
    where = "check the network and status.slack.com"
    assert told == [
        f"The bot signs in again in 0 s: Slack cannot be reached (HTTP 502): {where}",
        f"The bot signs in again in 0 s: Slack cannot be reached (ServerDisconnectedError): {where}",
        f"Slack cannot be reached (ServerDisconnectedError): {where}; the next try is in 0.1 s",
    ]


async def test_tokens_may_come_from_the_environment(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    platform = platform_of(slack, bot_token=None, app_token=None)
    monkeypatch.setenv("SLACK_BOT_TOKEN", slack.bot_token)
    monkeypatch.setenv("SLACK_APP_TOKEN", slack.app_token)

    async with running(platform, Echo(platform), slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()
    assert not any("token" in each for each in caplog.messages), "nobody is puzzled by what Bolt has no need of"


async def test_the_callers_client_is_used_and_stays_as_it_is(slack: FakeSlack):
    client = AsyncWebClient(base_url=slack.base_url, token=slack.bot_token)
    handlers = list(client.retry_handlers)

    async with echoing(slack, client=client, bot_token=None):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()

    assert (client.session, client.retry_handlers) == (None, handlers)


async def test_the_callers_proxy_is_the_sockets_too(slack: FakeSlack):
    # Nothing here knows slack.test but the proxy, which is the fake: it answers whatever host is asked for.
    proxy, slack.address = f"http://{slack.address}", "slack.test"
    client = AsyncWebClient(base_url=slack.base_url, proxy=proxy)

    async with echoing(slack, client=client) as echo:
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()

    assert echo.texts == ["hello"]


async def test_a_token_revoked_later_ends_the_run_with_one_line(slack: FakeSlack):
    platform = platform_of(slack)

    run = asyncio.create_task(platform.run(Echo(platform)))
    await slack.connected()
    slack.fail("apps.connections.open", refused("token_revoked"), times=10)
    await slack.refresh()

    with pytest.raises(PlatformError, match=r"the app-level token is not accepted by Slack \(token_revoked\)"):
        async with asyncio.timeout(5):
            await run


async def test_no_token_is_ever_shown(slack: FakeSlack, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    platform = platform_of(slack)

    async with running(platform, Echo(platform), slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()
        await slack.refresh()
        await slack.connected()
        await slack.settled()

    assert "hello" in caplog.text, "the log is as verbose as it gets"
    for token in (slack.bot_token, slack.app_token):
        assert token not in caplog.text
        assert token not in repr(platform)


async def test_a_platform_runs_once_at_a_time(slack: FakeSlack):
    platform = platform_of(slack)
    async with running(platform, Echo(platform), slack):
        with pytest.raises(ConfigurationError, match="running already"):
            await platform.run(Echo(platform))


def test_an_app_has_a_client():
    with pytest.raises(ConfigurationError, match="either app= or client="):
        Slack(app=AsyncApp(token="xoxb-1"), client=AsyncWebClient())


def test_nothing_is_asked_for_before_it_runs():
    assert (Slack().name, repr(Slack(bot_token="xoxb-1"))) == ("slack", "Slack()")
