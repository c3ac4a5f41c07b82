"""Looking over how a bot is set up: whatever is missing is found and said, and no token is shown."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dspy_session_chat.finding import Finding, mends
from dspy_session_discord.setup.checking import Found, check
from dspy_session_discord.setup.invite import invite
from tests.discord.conftest import Place
from tests.loopback.discord import FakeDiscord
from tests.loopback.discord.faults import Fault
from tests.loopback.discord.world import ChannelType


async def looked_over(fake: FakeDiscord, token: str | None = None, **where: Any) -> Found:
    found = await check(token or fake.token, options={"connector": fake.connector()}, **where)
    assert not any("\n" in each.says + each.mend for each in found.findings)
    assert all(bool(each.mend) or "Discord does not tell" in each.says for each in amiss(found))
    return found


def amiss(found: Found) -> list[Finding]:
    return [each for each in found.findings if each.holds is False]


async def application(fake: FakeDiscord, **changes: Any) -> None:
    """Let the developer portal say something else."""
    owner = {"id": str(fake.owner.id), "username": "owner", "discriminator": "0", "avatar": None}
    body = {"id": str(fake.bot.id), "name": "Helper", "icon": None, "description": "", "verify_key": "0", "team": None}
    switches = {"bot_public": False, "bot_require_code_grant": False, "flags": 1 << 19, "owner": owner}
    fake.refuse("GET", "/oauth2/applications/@me", 200, {**body, **switches, **changes})


async def test_a_bot_that_is_set_up_right(fake: FakeDiscord, place: Place) -> None:
    fake.channel(place.guild, "help", ChannelType.FORUM)
    fake.channel(place.guild, "rules").denied.add("send_messages")
    fake.channel(place.guild, "board").denied.add("view_channel")

    found = await looked_over(fake)

    assert [(each.holds, each.what, each.says) for each in found.findings] == [
        (True, "token", f"helper ({fake.bot.id})"),
        (True, "Message Content Intent", "on: the bot reads what people write"),
        (True, "Acme", "the bot has all that it needs in 2 channels: #general, #help"),
        (None, "Acme", "it reads, and may not answer, in #rules"),
        (None, "Acme", "it does not see #board"),
    ]
    assert found.invite == invite(fake.bot.id)


async def test_what_a_channel_lacks(fake: FakeDiscord, place: Place) -> None:
    place.general.denied |= {"create_public_threads", "attach_files"}
    thread = await fake.open_thread(await fake.say(place.general, place.ada, "hi"), "hi", place.ada)
    lacks = Finding(
        "Acme #general",
        holds=False,
        says="lacks Create Public Threads, Attach Files",
        mend="In Acme, right-click #general, Edit Channel, Permissions, and allow the bot's role "
        "Create Public Threads, Attach Files.",
    )
    for where in ({}, {"server": place.guild.id}, {"channel": place.general.id}, {"channel": thread.id}):
        found = await looked_over(fake, **where)
        assert amiss(found) == [lacks]
    in_place = await looked_over(fake, channel=place.general.id, threads=False)
    assert amiss(in_place)[0].says == "lacks Attach Files"
    assert in_place.invite == invite(fake.bot.id, threads=False)
    assert (await looked_over(fake, server=place.guild.id)).invite == invite(fake.bot.id, place.guild.id)


async def test_places_that_there_are_not(fake: FakeDiscord, place: Place) -> None:
    place.general.denied.add("view_channel")
    category = {"id": "2", "type": 4, "guild_id": str(place.guild.id), "name": "Text", "position": 0}
    fake.refuse("GET", "/channels/2", 200, {**category, "permission_overwrites": [], "nsfw": False})
    for where, what, says in (
        ({"server": 1}, "server 1", "the bot is not in a server with this id"),
        ({"channel": 1}, "channel 1", "Discord knows no such channel"),
        ({"channel": 2}, "channel 2", "people do not write there"),
        ({"channel": place.general.id}, f"channel {place.general.id}", "the bot does not see it"),
    ):
        (finding,) = amiss(await looked_over(fake, **where))
        assert finding.what == what
        assert says in finding.says
    dm = await looked_over(fake, channel=fake.dm(place.ada).id)
    assert amiss(dm) == []
    assert "a direct message" in dm.findings[-1].says


async def test_a_bot_in_no_server_and_one_in_very_many(fake: FakeDiscord) -> None:
    (finding,) = amiss(await looked_over(fake))
    assert (finding.what, finding.says) == ("servers", "the bot is in none yet")
    for number in range(27):
        fake.channel(fake.guild(f"Acme {number}"))
    found = await looked_over(fake)
    assert amiss(found) == []
    assert found.findings[-1].says == "2 more are not looked at, unless you name one"


@pytest.mark.parametrize(
    ("changes", "what", "switch"),
    [
        ({"flags": 0}, "Message Content Intent", "switch on Message Content Intent, and press Save Changes."),
        ({"bot_require_code_grant": True}, "Requires OAuth2 Code Grant", "switch off Requires OAuth2 Code Grant"),
        ({"integration_types_config": {"1": {}}}, "Guild Install", "tick Guild Install, and press Save Changes."),
        ({"interactions_endpoint_url": "https://a.b"}, "Interactions Endpoint URL", "empty Interactions Endpoint URL"),
    ],
)
async def test_switches_of_the_portal(
    fake: FakeDiscord, place: Place, changes: dict[str, Any], what: str, switch: str
) -> None:
    await application(fake, **changes)
    found = await looked_over(fake)
    assert [each.what for each in amiss(found)] == [what]
    (mend,) = mends(found.findings)
    assert switch in mend
    assert f"(https://discord.com/developers/applications/{fake.bot.id}/" in mend


async def test_a_wrong_token_is_told_and_not_shown(fake: FakeDiscord, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (missing,) = (await check(None)).findings
    assert missing.says == "DISCORD_TOKEN is not set"
    for token, says in (
        ("a.wrong.secret", "it is wrong, or was reset"),
        ("a sécret", "characters that no token has"),
        ("xoxb-1-secret", "DISCORD_TOKEN is no bot's token: those have three parts"),
        ("abc", "DISCORD_TOKEN is no bot's token"),
    ):
        found = await looked_over(fake, token)
        (finding,) = amiss(found)
        assert says in finding.says
        assert finding.mend == missing.mend
        assert "Reset Token" in finding.mend
        assert found.invite == ""
        assert token not in caplog.text + repr(found)


LIMITED = {"message": "You are being rate limited.", "retry_after": 600.0, "global": False}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (429, LIMITED, "Discord is asked too often for now"),
        (429, "<html>1015</html>", "Discord is asked too often for now"),
        (403, {"code": 0, "message": "No"}, "Discord does not let the bot in: it answered 403 No"),
        (None, "", "Discord cannot be reached: "),
    ],
)
async def test_what_goes_wrong_on_the_way_is_told(fake: FakeDiscord, status: int | None, body: Any, says: str) -> None:
    fake.faults.add(Fault("GET", "/users/@me", status, body, {"Via": "1.1 google"} if body is LIMITED else {}, times=9))
    (finding,) = amiss(await looked_over(fake))
    assert (finding.what, finding.says.startswith(says)) == ("token", True), finding.says


async def test_what_is_found_is_said_also_where_the_rest_goes_wrong(fake: FakeDiscord, place: Place) -> None:
    fake.refuse("GET", f"/guilds/{place.guild.id}/channels", 403, {"code": 50001, "message": "Missing Access"}, times=9)
    found = await looked_over(fake)
    assert [each.what for each in found.findings] == ["token", "Message Content Intent", "servers"]
    assert amiss(found)[0].says.startswith("Discord does not tell of them: the bot cannot see the channel")
