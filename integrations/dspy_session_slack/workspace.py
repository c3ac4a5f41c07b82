"""The bot in one workspace: who it is there, what it calls Slack with, and what it remembers of the place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.files.downloads import Downloader
from dspy_session_slack.directory import Directory
from dspy_session_slack.inbound.address import BotUser
from dspy_session_slack.inbound.fetching import downloader
from dspy_session_slack.inbound.looking_back import LookingBack
from dspy_session_slack.inbound.threads import Threads
from dspy_session_slack.outbound.panel import Panel
from dspy_session_slack.outbound.posting import Posting
from dspy_session_slack.outbound.streams import StreamsOf


@dataclass(frozen=True, slots=True)
class Workspace:
    """One installation of the app, signed in.

    Args:
        bot: Who the bot is there.
        client: Calls Slack with the token of that workspace.
        threads: Which threads the bot is in.
        directory: What people there are called.
        posting: Writes what the bot says there.
        looking_back: Reads what was said there before.
        downloader: Fetches the files that people send there.
        panel: What people see in the view for agents.
        streams: Shows answers there while they are written.
    """

    bot: BotUser
    client: AsyncWebClient
    threads: Threads
    directory: Directory
    posting: Posting
    looking_back: LookingBack
    downloader: Downloader
    panel: Panel
    streams: StreamsOf

    @classmethod
    def of(cls, bot: BotUser, client: AsyncWebClient) -> Self:
        """A workspace of which nothing is remembered yet."""
        threads, directory = Threads(client), Directory(client)
        return cls(
            bot=bot,
            client=client,
            threads=threads,
            directory=directory,
            posting=Posting(client, threads, directory),
            looking_back=LookingBack(client, directory),
            downloader=downloader(client),
            panel=Panel(client, threads_dms=bot.threads_dms),
            streams=StreamsOf(client, bot.team_id, bot.threads_dms),
        )
