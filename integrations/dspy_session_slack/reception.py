"""Whatever comes from Slack, brought to the workspace that it is from."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from dspy_session_chat.platform import Receive
from dspy_session_slack.home import Home, home_of
from dspy_session_slack.inbound.intake import Intake
from dspy_session_slack.inbound.interactions import Interactions
from dspy_session_slack.inbound.orders import Orders
from dspy_session_slack.inbound.visits import Visits
from dspy_session_slack.installing.leaving import leaving_of
from dspy_session_slack.told import Told
from dspy_session_slack.workspace import Workspace
from dspy_session_slack.workspaces import Workspaces

EVENT = "event_callback"


@dataclass(frozen=True, slots=True)
class Counters:
    """Where the things that come from one workspace are taken in.

    Args:
        intake: Takes what people write and do.
        interactions: Takes what they press.
        orders: Takes what they order by commands and shortcuts.
        visits: Takes what they do in the view for agents.
    """

    intake: Intake
    interactions: Interactions
    orders: Orders
    visits: Visits


class Reception:
    """Takes in what Slack sends.

    Args:
        workspaces: Where it may be from.
        receive: Takes an event over.
        told: What the bot told the platform.
        shared: Whether others handle what comes as well.
    """

    def __init__(
        self, workspaces: Workspaces, receive: Receive, told: Told | None = None, *, shared: bool = False
    ) -> None:
        self._workspaces = workspaces
        self._receive = receive
        self._told = told or Told()
        self._shared = shared
        self._counters: dict[Home, tuple[Workspace, Counters]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Drop what nobody waits for."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def take(self, body: Mapping[str, Any]) -> bool:
        """Take in one thing that Slack sent; False if it is none of ours. Once this returns, Slack may forget it.

        Args:
            body: What Slack sent.

        Raises:
            SessionError: It could not be taken, and has to come again.
        """
        home, is_event = home_of(body), body.get("type") == EVENT
        leaving = leaving_of(body) if is_event else None
        if leaving is not None:
            await self._workspaces.left(home, leaving)
            return False
        workspace = await self._workspaces.find(home)
        counters = self._of(workspace)
        if is_event:
            await counters.intake.take(await counters.visits.take(body))
            return False  # others may want to hear it too
        return await counters.orders.take(body) or await counters.interactions.take(body)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _of(self, workspace: Workspace) -> Counters:
        known = self._counters.get(workspace.bot.home)
        if known is not None and known[0] is workspace:
            return known[1]
        made = Counters(
            Intake(workspace, self._receive, by_name=bool(self._told.manners.channels)),
            Interactions(workspace, self._receive, self._told.is_open),
            Orders(workspace, self._receive, self._told, self._later, shared=self._shared),
            Visits(workspace, self._receive, self._told, self._later),
        )
        self._counters[workspace.bot.home] = workspace, made
        return made
