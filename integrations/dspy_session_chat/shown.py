"""An answer that is shown while it is written, in messages that are edited."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from dspy_session.errors import SessionError
from dspy_session_chat.action import Event
from dspy_session_chat.growing import CanEdit, Growing, MayShow, Shown
from dspy_session_chat.markup.unfinished import finished
from dspy_session_chat.reply import Button

logger = logging.getLogger(__name__)

BEGUN_ANEW = "*(begun anew)*"
"""What stands in the place of the beginning of an answer that is given elsewhere."""


class Showing:
    """Shows what is new as soon as it comes, but never faster than at a pace; so there is one view on its way at most.

    Args:
        view: Shows what there is; False once nothing more is to be shown.
        pace: Seconds from the end of a view to the next, as they are by then.
    """

    def __init__(self, view: Callable[[], Awaitable[bool]], pace: Callable[[], float]) -> None:
        self._view = view
        self._pace = pace
        self._changed, self._closing = asyncio.Event(), asyncio.Event()

    def changed(self) -> None:
        """There is something new."""
        self._changed.set()

    @contextlib.asynccontextmanager
    async def open(self, name: str, end: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[None]:
        """Show, for as long as the block runs; at its end nothing is on its way any more, also when it is cancelled.

        Args:
            name: What is shown, for whoever looks at the tasks that run.
            end: What is to be done after the last view.
        """
        showing = asyncio.create_task(self._keep_showing(end), name=name)
        try:
            yield
        finally:
            self._closing.set()
            self._changed.set()
            await _ended(showing)

    async def _keep_showing(self, end: Callable[[], Awaitable[None]] | None) -> None:
        try:
            while await self._news() and await self._view():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pace()):
                        await self._closing.wait()
        finally:
            if end is not None:
                await end()

    async def _news(self) -> bool:
        """Wait until there is something new; False when nobody wants to see it any more."""
        await self._changed.wait()
        self._changed.clear()
        return not self._closing.is_set()


class EditedStream:
    """A ``ReplyStream`` over a platform that can edit: what there is, at the platform's pace, always whole sentences of
    Markdown.

    The first view comes at once, and each next one ``edit_seconds`` after the last has arrived, so there is never more
    than one on its way. What cannot be shown is no failure: the whole answer is posted in the end.

    Args:
        platform: Where.
        inbound: What is answered.
        buttons: Under the last message, while the answer grows.
        polish: Makes of the agent's words what may be posted.
        shown: The messages that show a part of it already.
        on_shown: Told when there is one more.
        may_show: Asked before each view.
    """

    def __init__(
        self,
        platform: CanEdit,
        inbound: Event,
        *,
        buttons: Sequence[Button] = (),
        polish: Callable[[str], str] = str,
        shown: Sequence[str] = (),
        on_shown: Shown,
        may_show: MayShow,
    ) -> None:
        self._platform = platform
        self._inbound = inbound
        self._buttons = tuple(buttons)
        self._polish = polish
        self._ids = list(shown)
        self._texts = [""] * len(self._ids)
        self._on_shown = on_shown
        self._may_show = may_show
        self._text = ""
        self._status = ""
        self._showing = Showing(self._view, lambda: platform.edit_seconds)

    @classmethod
    def of(cls, platform: CanEdit, growing: Growing) -> EditedStream:
        """The stream of an answer that is about to be written."""
        return cls(
            platform,
            growing.inbound,
            buttons=growing.buttons,
            polish=growing.polish,
            shown=growing.shown,
            on_shown=growing.on_shown,
            may_show=growing.may_show,
        )

    @property
    def message_ids(self) -> tuple[str, ...]:
        """The platform's ids of the messages that show it."""
        return tuple(self._ids)

    async def status(self, text: str) -> None:
        """Say what the agent is doing."""
        self._status = text
        self._showing.changed()

    async def append(self, text: str) -> None:
        """Show more of the answer."""
        self._text += text
        self._status = ""
        self._showing.changed()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[EditedStream]:
        """Show, for as long as the block runs; at its end nothing is on its way any more."""
        async with self._showing.open(f"show {self._inbound.event_id}"):
            yield self

    async def disown(self, known: Sequence[str]) -> None:
        """Say that the answer is begun anew, in what nobody else knows of: the next try begins another message.

        Who lost the conversation, or the store, after a message was posted and before that was written down, is the
        only one who can still bring it to an end.

        Args:
            known: The ids of messages that were written down: whoever tries next goes on in them.
        """
        await disowned(self._platform, self._inbound, [each for each in self._ids if each not in known])

    async def _view(self) -> bool:
        try:
            if not await self._may_show():
                return False
            await self._show([part for part in self._platform.parts(self._words()) if part.strip()])
        except SessionError as error:
            # What lasts is told of the whole answer, which is posted in the end.
            logger.debug("%s cannot be shown while it is written: %s", self._inbound.event_id, error)
        except Exception:
            logger.exception("%s cannot be shown while it is written", self._inbound.event_id)
        else:
            return True
        return False

    def _words(self) -> str:
        words = self._polish(finished(self._text))
        if not self._status:
            return words
        return f"{words}\n\n*{self._status}*" if words else f"*{self._status}*"

    async def _show(self, parts: Sequence[str]) -> None:
        for place, part in enumerate(parts):
            buttons = self._buttons if place == len(parts) - 1 else ()
            # The last one is never the same twice, for the buttons move on to it.
            looks = part if place < len(parts) - 1 else f"{part}\0"
            if place < len(self._ids):
                if self._texts[place] != looks:
                    await self._platform.edit(self._inbound, self._ids[place], part, buttons)
                    self._texts[place] = looks
                continue
            self._ids.append(await self._platform.begin(self._inbound, part, buttons))
            self._texts.append(looks)
            await self._on_shown(self.message_ids)


async def disowned(platform: CanEdit, inbound: Event, message_ids: Sequence[str]) -> None:
    """Say that an answer is begun anew, in messages that nobody else knows of."""
    for message_id in message_ids:
        try:
            await platform.edit(inbound, message_id, BEGUN_ANEW)
        except Exception:
            logger.exception("%s was begun to be answered, which stays as it is", inbound.event_id)


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for the end of a task, also when we are cancelled meanwhile: what it has begun to post must arrive first."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                break
            cancelled = error
    if cancelled is not None:
        raise cancelled
