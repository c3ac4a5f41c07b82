"""Who may talk to the bot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session import ConfigurationError
from dspy_session.conversation import ConversationKey
from dspy_session_chat import Author, Inbound, Limits, Manners
from dspy_session_chat.action import Action, Command
from dspy_session_chat.rules.access import NOT_HERE, NOT_YOU, Access
from dspy_session_chat.rules.limits import rated
from dspy_session_chat.rules.manners import scoped


def said(
    user: str = "U1",
    *,
    channel: str = "C1",
    workspace: str = "T1",
    platform: str = "slack",
    home: str | None = None,
    roles: tuple[str, ...] = (),
    is_bot: bool = False,
) -> Inbound:
    key = ConversationKey(platform, workspace, channel, "t")
    author = Author(user, "Ann", is_bot, workspace if home is None else home, roles)
    return Inbound(key, "e", author, "hello", "mention", datetime(2026, 1, 2, tzinfo=UTC))


def test_everybody_may_talk_where_nobody_is_named() -> None:
    assert Access().denial(said()) is None
    assert not Access().is_admin(said())


@pytest.mark.parametrize("written", ["U1", "slack:U1", "slack:T1:U1"])
def test_a_user_may_be_written_with_a_platform_and_a_workspace(written: str) -> None:
    access = Access(allow_users=[written], admins=[written])
    assert access.denial(said()) is None
    assert access.is_admin(said())
    assert access.denial(said("U2")) == NOT_YOU
    assert access.denial(said("U2", channel="U1")) == NOT_YOU
    assert Access(admins=["place:T1:U1"]).is_admin(said(platform="place", home="T2")) is False  # a guest of that name
    other_platform, other_workspace = said(platform="discord"), said(workspace="T2")
    assert (access.denial(other_platform) is None) == (written == "U1")
    assert (access.denial(other_workspace) is None) == (written != "slack:T1:U1")


def test_the_id_that_a_user_is_forgotten_by_is_one_to_name_them_by() -> None:
    for event in (said(), said("1", platform="discord", workspace="9", home=""), said("a b:c", platform="place")):
        assert Access(admins=[event.user]).is_admin(event)
        assert not Access(admins=[event.user]).is_admin(said("other", platform=event.key.platform))


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        ({"allow_workspaces": ["T1"]}, ["T1"]),
        ({"allow_workspaces": ["slack:T1"]}, ["T1"]),
        ({"allow_workspaces": ["discord:T1", "dms"]}, [""]),
        ({"deny_workspaces": ["T1"]}, ["T2", ""]),
        ({"deny_workspaces": ["slack:dms"]}, ["T1", "T2"]),
        ({"allow_workspaces": ["T1", "T2"], "deny_workspaces": ["T2"]}, ["T1"]),
        ({"allow_workspaces": ["T2"], "deny_channels": ["C1"]}, []),
    ],
)
def test_workspaces_are_allowed_and_denied(access: dict[str, Any], allowed: list[str]) -> None:
    rules = Access(**access)
    denials = {workspace: rules.denial(said(workspace=workspace)) for workspace in ("T1", "T2", "")}
    assert [workspace for workspace, denial in denials.items() if denial is None] == allowed
    assert set(denials.values()) - {None} == {NOT_HERE}


@pytest.mark.parametrize("scope", ["thread", "channel", "user", "user-in-channel", "reply-chain"])
def test_where_somebody_writes_counts_whatever_one_conversation_is(scope: Any) -> None:
    message = scoped(said("1", platform="discord", workspace="9", home=""), Manners(scope=scope))
    again = Inbound.from_json(message.to_json())
    assert again == message
    for access in (
        Access(allow_channels=["C1"], allow_workspaces=["9"], allow_users=["discord:9:1"]),
        Access(deny_channels=["C2"], deny_workspaces=["8", "dms"]),
    ):
        assert access.denial(again) is None
    for access in (
        Access(deny_channels=["discord:9:C1"]),
        Access(allow_workspaces=["8"]),
        Access(allow_channels=["C"]),
    ):
        assert access.denial(again) == NOT_HERE
    charged = [charge.account for charge in rated(Limits(per_channel="1/m", per_workspace="1/m"), again)]
    assert charged == ["per_channel:discord:9:C1", "per_workspace:discord:9"]


def test_discords_ids_may_be_numbers() -> None:
    message = said("81384788765712384", platform="discord", workspace="9", home="")
    assert Access(admins=[81384788765712384]).is_admin(message)
    assert Access(admins=["discord:9:81384788765712384"]).is_admin(message)  # the server that they write in


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        (Access(allow_roles=["R1"]), True),
        (Access(allow_roles=["discord:9:R1"]), True),
        (Access(allow_roles=["discord:8:R1"]), False),
        (Access(allow_roles=["R3"]), False),
        (Access(allow_roles=["R3"], allow_users=["U1"]), True),
        (Access(allow_roles=["R3"], admins=["U1"]), True),
        (Access(deny_roles=["R2"]), False),
        (Access(allow_roles=["R1"], deny_roles=["R2"]), False),
        (Access(allow_users=["U1"], deny_roles=["R2"]), False),
        (Access(admins=["U1"], deny_users=["U1"]), False),
    ],
)
def test_roles_and_users_are_allowed_and_deny_wins(access: Access, *, allowed: bool) -> None:
    message = said(platform="discord", workspace="9", home="", roles=("R1", "R2"))
    assert access.denial(message) == (None if allowed else NOT_YOU)


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        (Access(allow_channels=["C1"]), True),
        (Access(allow_channels=["slack:T1:C1", "C2"]), True),
        (Access(allow_channels=["slack:T2:C1"]), False),
        (Access(allow_channels=["C2"], admins=["U1"]), False),
        (Access(allow_channels=["C1"], deny_channels=["C1"]), False),
        (Access(allow_users=["U1"], deny_channels=["slack:C1"]), False),
    ],
)
def test_channels(access: Access, *, allowed: bool) -> None:
    assert access.denial(said()) == (None if allowed else NOT_HERE)


def test_who_is_denied_is_no_admin() -> None:
    assert not Access(admins=["U1"], deny_users=["U1"]).is_admin(said())
    assert not Access(admins=["U1"], deny_roles=["R"]).is_admin(said(roles=("R",)))


def test_a_bot_is_answered_where_it_is_named_and_else_not_even_told_why() -> None:
    bot = said("B1", is_bot=True)
    assert Access().denial(bot) == ""
    assert Access(allow_users=["B1"], admins=["B1"]).denial(bot) == ""
    assert Access(bots=["slack:T1:B1"]).denial(bot) is None
    assert Access(allow_roles=["R"]).denial(said("B1", is_bot=True, roles=("R",))) == ""
    assert Access(bots=["B1"], deny_users=["B1"]).denial(bot) == ""
    assert Access(bots=["B1"], deny_channels=["C1"]).denial(bot) == ""


def test_a_command_is_allowed_as_a_message_is() -> None:
    message = said()
    command = Action(message.key, "e", message.author, message.sent_at, Command("reset"))
    assert Access(deny_users=["U1"]).denial(command) == NOT_YOU
    assert Access(admins=["U1"]).is_admin(command)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "@ann",
        "<@U1>",
        "#general",
        "Ann Smith",
        "slack:",
        "Slack:U1",
        "a:b:c:d",
        "\ud800",
        ":U1",
        None,
        1.5,
        True,
        ["U1"],
    ],
)
@pytest.mark.parametrize("option", ["allow_users", "deny_roles", "admins"])
def test_what_is_no_id_is_refused_in_one_line(option: str, written: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"in {option} is no id: write it as the platform gives it") as caught:
        Access(**{option: ["U1", written]})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("written", ["U1", 81384788765712384, None])
def test_a_single_id_is_no_list(written: Any) -> None:
    with pytest.raises(ConfigurationError, match="admins takes a list of ids; write admins="):
        Access(admins=written)


ids = st.sampled_from(["U1", "U2", "slack:U1", "slack:T1:U1", "discord:U1"])
lists = st.lists(ids, max_size=3)


@given(lists, lists, lists)
def test_who_is_denied_never_talks_however_much_is_allowed(allowed: list[str], denied: list[str], admins: Any) -> None:
    access = Access(allow_users=allowed, deny_users=denied, admins=admins)
    is_denied = bool({"U1", "slack:U1", "slack:T1:U1"} & set(denied))
    assert (access.denial(said()) is not None) >= is_denied
    assert not (is_denied and access.is_admin(said()))
