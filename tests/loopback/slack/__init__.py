"""A fake Slack that the real clients connect to over sockets on 127.0.0.1: it behaves, and refuses, as Slack does."""

from __future__ import annotations

from tests.loopback.slack.chat import Post
from tests.loopback.slack.faults import Fault, cut, held, rate_limited, refused, server_error
from tests.loopback.slack.server import ANN, BEN, BOT, BOT_SCOPES, EVENTS, OTHER_BOT, FakeSlack
from tests.loopback.slack.shown import Shown
from tests.loopback.slack.socket_mode import Ack, Delivery
from tests.loopback.slack.workspace import APP_ID, TEAM_ID, Channel, User

__all__ = [
    "ANN",
    "APP_ID",
    "BEN",
    "BOT",
    "BOT_SCOPES",
    "EVENTS",
    "OTHER_BOT",
    "TEAM_ID",
    "Ack",
    "Channel",
    "Delivery",
    "FakeSlack",
    "Fault",
    "Post",
    "Shown",
    "User",
    "cut",
    "held",
    "rate_limited",
    "refused",
    "server_error",
]
