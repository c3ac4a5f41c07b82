"""An answer that is shown while it is written, in messages that are edited."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from dspy_session.errors import SessionError
from dspy_session_chat.action import Event
from dspy_session_chat.growing import CanEdit, Growing, MayShow, Shown
from dspy_session_chat.markup.unfinished import finished
from dspy_session_chat.reply import Button

logger = logging.getLogger(__name__)

BEGUN_ANEW = "*(begun anew)*"
"""What stands in the place of the beginning of an answer that is given elsewhere."""


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
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._lost = False

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
        self._changed.set()

    async def append(self, text: str) -> None:
        """Show more of the answer."""
        self._text += text
        self._status = ""
        self._changed.set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[EditedStream]:
        """Show, for as long as the block runs; at its end nothing is on its way any more."""
        showing = asyncio.create_task(self._keep_showing(), name=f"show {self._inbound.event_id}")
        try:
            yield self
        finally:
            self._closing.set()
            self._changed.set()
            await ended(showing)

    async def disown(self, known: Sequence[str]) -> None:
        """Say that the answer is begun anew, in what nobody else knows of: the next try begins another message.

        Who lost the conversation, or the store, after a message was posted and before that was written down, is the
        only one who can still bring it to an end.

        Args:
            known: The ids of messages that were written down: whoever tries next goes on in them.
        """
        await disowned(self._platform, self._inbound, [each for each in self._ids if each not in known])

    async def _keep_showing(self) -> None:
        while not self._lost:
            await self._changed.wait()
            if self._closing.is_set():
                return
            self._changed.clear()
            await self._view()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._platform.edit_seconds):
                    await self._closing.wait()

    async def _view(self) -> None:
        try:
            if not await self._may_show():
                self._lost = True
                return
            await self._show([part for part in self._platform.parts(self._words()) if part.strip()])
        except SessionError as error:
            self._lost = True
            logger.info("%s cannot be shown while it is written: %s", self._inbound.event_id, error)
        except Exception:
            self._lost = True
            logger.exception("%s cannot be shown while it is written", self._inbound.event_id)

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


async def ended(task: asyncio.Task[None]) -> None:
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
