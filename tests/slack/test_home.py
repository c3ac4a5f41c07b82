"""Where what Slack sends is from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dspy_session_slack.home import Home, home_of
from tests.slack.talk import some_inbound

HERE: list[Any] = [
    pytest.param({"team_id": "T1", "event": {"team": "T9"}}, Home("T1"), id="an event"),
    pytest.param(
        {"team_id": "T9", "context_team_id": "T1", "authorizations": [{"team_id": "T1", "enterprise_id": "E1"}]},
        Home("T1", "E1"),
        id="an event in a channel that two workspaces share",
    ),
    pytest.param(
        {
            "team_id": "T1",
            "authorizations": [{"team_id": None, "enterprise_id": "E1", "is_enterprise_install": True}],
        },
        Home("T1", "E1", org_wide=True),
        id="an event in an organisation that has the app",
    ),
    pytest.param(
        {"team": {"id": "T1"}, "enterprise": None, "user": {"team_id": "T9"}}, Home("T1"), id="a press of a button"
    ),
    pytest.param(
        {"team": None, "enterprise": {"id": "E1"}, "is_enterprise_install": True, "user": {"team_id": "T1"}},
        Home("T1", "E1", org_wide=True),
        id="a press in an organisation",
    ),
    pytest.param(
        {"team": {"id": "T9"}, "view": {"app_installed_team_id": "T1"}}, Home("T1"), id="a modal that was opened abroad"
    ),
    pytest.param(
        {"team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": "true"},
        Home("T1", "E1", org_wide=True),
        id="a command",
    ),
    pytest.param(
        {"team_id": "T1", "enterprise_id": "E1", "is_enterprise_install": "false"}, Home("T1", "E1"), id="another"
    ),
    pytest.param(
        {"team_id": 7, "authorizations": ["x"], "event": [], "view": "v", "team": []}, Home(""), id="nonsense"
    ),
]


@pytest.mark.parametrize(("body", "home"), HERE)
def test_every_kind_of_thing_says_where_it_is_from(body: dict[str, Any], home: Home):
    assert home_of(body) == home


HOMES = [Home("T0LOOPBACK"), Home("T0LOOPBACK", "E1"), Home("T0LOOPBACK", "E1", org_wide=True), Home("")]


@pytest.mark.parametrize("home", HOMES)
def test_a_home_is_read_as_it_was_written(home: Home):
    assert Home.parse(str(home)) == home


@pytest.mark.parametrize("home", HOMES[:3])
def test_an_answer_goes_where_the_message_came_from(home: Home):
    inbound = some_inbound()
    marked = home.marked(inbound.reply_to)

    assert Home.of(replace(inbound, reply_to=marked)) == home
    assert marked["channel"] == inbound.reply_to["channel"]
    assert len(marked) == 1 + bool(home.enterprise) + home.org_wide
