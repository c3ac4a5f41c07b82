"""What the bot must be allowed, and what is said of a server where it is not. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import discord
import pytest
from discord import ChannelType

from dspy_session_chat.finding import Finding
from dspy_session_discord.setup.invite import SCOPES, invite
from dspy_session_discord.setup.survey import Spot, closely, survey
from dspy_session_discord.setup.wanted import WANTED, invited, lacking, listed

ALL = discord.Permissions(discord.Permissions.all().value & ~discord.Permissions(administrator=True).value)
MANY = [f"c{number}" for number in range(9)]


def without(*flags: str) -> discord.Permissions:
    may = discord.Permissions(ALL.value)
    may.update(**dict.fromkeys(flags, False))
    return may


def spot(name: str, *denied: str, kind: ChannelType = ChannelType.text) -> Spot:
    return Spot(name, kind, without(*denied))


def said(may: discord.Permissions, *spots: Spot) -> list[tuple[bool | None, str, str]]:
    found = list(survey("Acme", may, spots))
    assert all(bool(each.mend) is (each.holds is False) for each in found)
    return [(each.holds, each.what, each.says) for each in found]


def test_the_link_asks_for_what_is_needed_and_no_more() -> None:
    # View Channels, Send Messages, Attach Files, Read Message History, Create Public Threads, Send Messages in Threads
    assert invited().value == 1 << 10 | 1 << 11 | 1 << 15 | 1 << 16 | 1 << 35 | 1 << 38
    assert lacking(invited()) == []
    query = parse_qs(urlsplit(invite(123)).query)
    assert query == {
        "client_id": ["123"],
        "scope": ["bot applications.commands"],
        "permissions": [str(invited().value)],
        "integration_type": ["0"],
    }
    for_one = parse_qs(urlsplit(invite(123, 456)).query)
    assert for_one == {**query, "guild_id": ["456"], "disable_guild_select": ["true"]}


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (ChannelType.text, {"create_public_threads", "send_messages_in_threads"}),
        (ChannelType.news, {"create_public_threads", "send_messages_in_threads"}),
        (ChannelType.forum, {"send_messages_in_threads"}),
        (ChannelType.media, {"send_messages_in_threads"}),
        (ChannelType.voice, {"connect"}),
        (ChannelType.stage_voice, {"connect"}),
    ],
)
def test_each_kind_of_channel_needs_its_own(kind: ChannelType, flags: set[str]) -> None:
    everywhere = {"view_channel", "send_messages", "attach_files", "read_message_history"}
    assert {each.flag for each in lacking(discord.Permissions.none(), kind)} == everywhere | flags
    assert lacking(ALL, kind) == []


def test_a_server_where_all_is_well() -> None:
    assert said(ALL, spot("general"), spot("help", kind=ChannelType.forum)) == [
        (True, "Acme", "the bot has all that it needs in 2 channels: #general, #help")
    ]
    ((_, _, many),) = said(ALL, *(spot(name) for name in MANY))
    assert many.endswith("in 9 channels: #c0, #c1, #c2, #c3, #c4, #c5, #c6, #c7, …")


def test_what_a_role_lacks_and_what_it_has_too_much() -> None:
    (lacks, _) = survey("Acme", without("attach_files", "send_messages_in_threads"), [spot("general")])
    assert (lacks.holds, lacks.says) == (False, "the bot's role lacks Send Messages in Threads, Attach Files")
    assert "Server Settings, Roles" in lacks.mend
    assert said(discord.Permissions.all(), spot("general"))[0] == (
        None,
        "Acme",
        "the bot is an administrator there: that is far more than it needs",
    )


def test_what_may_be_meant_so_and_what_was_forgotten() -> None:
    assert said(
        ALL,
        spot("general"),
        spot("rules", "send_messages"),
        spot("board", "view_channel"),
        spot("stage", "connect", kind=ChannelType.stage_voice),
        spot("help", "send_messages", kind=ChannelType.forum),
        spot("plans", "create_public_threads", "read_message_history"),
    ) == [
        (True, "Acme", "the bot has all that it needs in #general"),
        (False, "Acme #help", "lacks Send Messages"),
        (False, "Acme #plans", "lacks Create Public Threads, Read Message History"),
        (None, "Acme", "it reads, and may not answer, in #rules"),
        (None, "Acme", "it does not see 2 channels: #board, #stage"),
    ]


def test_a_bot_that_replies_in_place_opens_no_threads() -> None:
    assert invited().value - invited(threads=False).value == 1 << 35
    assert f"permissions={invited(threads=False).value}&" in invite(123, threads=False)
    may = without("create_public_threads")
    here = Spot("general", ChannelType.text, may, threads=False)
    assert [each.says for each in survey("Acme", may, [here], threads=False)] == [
        "the bot has all that it needs in #general"
    ]


def test_a_server_where_it_can_talk_nowhere() -> None:
    nowhere = (False, "Acme", "there is no channel where the bot can answer")
    assert said(ALL) == [nowhere]
    assert said(ALL, spot("rules", "send_messages")) == [
        (None, "Acme", "it reads, and may not answer, in #rules"),
        nowhere,
    ]


def test_a_channel_where_it_shall_talk() -> None:
    assert closely("Acme", spot("general")) == Finding(
        "Acme #general", holds=True, says="the bot has all that it needs"
    )
    found = closely("Acme", spot("general", "view_channel", "send_messages"))
    assert (found.holds, found.says) == (False, f"lacks {listed(WANTED[:2])}")
    where, switches = found.mend.rsplit(" allow the bot's role ", 1)
    assert where == "In Acme, right-click #general, Edit Channel, Permissions, and"
    assert switches == "View Channels, Send Messages."


def test_the_page_lists_what_the_code_asks_for() -> None:
    page = (Path(__file__).parents[2] / "docs" / "discord.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| permission \| so that .*\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    listed_there = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in table.splitlines()]
    assert listed_there == [(each.label, each.lets) for each in WANTED if each.is_asked_for]
    assert f"the scopes {' and '.join(f'`{scope}`' for scope in SCOPES)}" in page
