"""An answer that Slack shows while it is written, by a stream of its own; where it has none, by edits."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError

from dspy_session.errors import SessionError
from dspy_session_chat.growing import CanEdit, Growing
from dspy_session_chat.shown import EditedStream, Showing, disowned
from dspy_session_slack.key import message_id
from dspy_session_slack.outbound.buttons import actions
from dspy_session_slack.outbound.saying import LIMIT
from dspy_session_slack.outbound.settled import parted, settled
from dspy_session_slack.outbound.streams import OVER, STOPPED, StreamsOf, stop_stream
from dspy_session_slack.refusals import error_code, is_passing
from dspy_session_slack.web_client import hasty

_log = logging.getLogger(__name__)

PACE, SHARE = 1.0, 0.6
"""Seconds between two appends at least, and how much that is of what Slack takes: ``chat.appendStream`` is of its
fourth tier, 100 calls a minute in a workspace."""

OLD = 240.0
"""Seconds after which an answer goes on in another stream: Slack ends one after about five minutes, whatever comes."""

LONG = LIMIT
"""Characters after which it does: what a message of ours holds."""

TASK = 256
"""Characters of what a tool step is called."""

UNSUITED = frozenset({"invalid_blocks", "invalid_chunks", "invalid_arguments"})
"""Refusals of a stream that has more in it than words."""

NEVER = frozenset(
    {
        "access_denied",
        "channel_type_not_supported",
        "feature_not_enabled",
        "invalid_stream_arguments",
        "method_deprecated",
        "missing_scope",
        "not_allowed_token_type",
        "not_authorized",
        "team_access_not_granted",
        "unknown_method",
    }
)
"""Refusals after which streams are not tried again in a workspace."""


class SlackStream:
    """A ``ReplyStream`` in Slack.

    Nothing that is said in a stream is taken back, so it is said when it is settled; the whole answer is made right in
    the end, when the stream is over. What cannot be streamed goes on as an answer that is edited.

    Args:
        platform: Edits, where Slack does not stream.
        streams: The workspace.
        growing: The answer.
        safe: Makes of Markdown what notifies nobody.
    """

    def __init__(
        self, platform: CanEdit, streams: StreamsOf, growing: Growing, safe: Callable[[str], str] = str
    ) -> None:
        self._platform = platform
        self._streams = streams
        self._growing = growing
        self._safe = safe
        self._ids = list(growing.shown)
        self._text = self._task = ""
        self._tasks = 0
        self._step: tuple[str, str] | None = None  # the tool step that is shown: its id, and what it is called
        self._said = ""  # of the answer, in all streams
        self._here = ""  # of it, in this one
        self._ts = ""  # the stream; empty while there is none
        self._since = 0.0
        self._showing = Showing(self._view, lambda: streams.pace.seconds(PACE, SHARE))
        self._edited: EditedStream | None = None
        self._rest = contextlib.AsyncExitStack()

    @property
    def message_ids(self) -> tuple[str, ...]:
        """Slack's ids of the messages that show it."""
        return tuple(self._ids) if self._edited is None else self._edited.message_ids

    async def status(self, text: str) -> None:
        """Say what the agent is doing."""
        if self._edited is not None:
            await self._edited.status(text)
        self._task = text
        self._showing.changed()

    async def append(self, text: str) -> None:
        """Show more of the answer."""
        if self._edited is not None:
            await self._edited.append(text)
        self._text += text
        self._task = ""
        self._showing.changed()

    async def disown(self, known: Sequence[str]) -> None:
        """Say that the answer is begun anew, in what nobody else knows of."""
        await disowned(self._platform, self._growing.inbound, [each for each in self.message_ids if each not in known])

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[SlackStream]:
        """Show, for as long as the block runs; at its end the stream is over."""
        async with self._rest, self._showing.open(f"stream {self._growing.inbound.event_id}", self._stop):
            yield self

    async def _view(self) -> bool:
        """Show what there is; False once the rest is shown by edits, or not at all."""
        try:
            if not await self._growing.may_show():
                return False
            await self._show()
        except (SlackApiError, ClientError, OSError, SessionError) as error:
            # What lasts is told of the whole answer, which is posted in the end.
            _log.debug("%s is not shown for now: %s", self._growing.inbound.event_id, error_code(error))
            if not is_passing(error):
                return False
            if isinstance(error, SlackApiError):
                self._streams.pace.rest()
        except Exception:  # noqa: BLE001  # whatever it is, the answer is posted in the end
            _log.exception("%s cannot be shown while it is written", self._growing.inbound.event_id)
            return False
        return self._edited is None

    # --- what comes next ----------------------------------------------------------------------------------------------

    async def _show(self) -> None:
        """Say what is new. Slack may refuse it: then it is said in another stream, or by edits."""
        if self._streams.pace.rests:
            return
        words = self._safe(settled(self._text, self._growing.polish))
        if not words.startswith(self._said):  # what was said would be another now: the end makes it right
            return
        new = words[len(self._said) :]
        head = ""
        if self._ts and self._is_over(new):
            new, head = await self._roll(new)
        chunks = [*self._steps(), *_words(head + new)]
        if not chunks:
            return
        try:
            await (self._append(chunks) if self._ts else self._start(chunks))
        except SlackApiError as error:
            if not await self._recovered(error, new):
                raise
        self._said += new
        self._here += head + new

    def _steps(self) -> list[dict[str, Any]]:
        """What is new of the tools that are used: the step before is done."""
        task = self._safe(self._task)[:TASK]
        if "steps" in self._streams.refused or (self._step is not None and self._step[1] == task):
            return []
        steps = []
        if self._step is not None:
            steps.append(_step(*self._step, "complete"))
            self._step = None
        if task:
            self._tasks += 1
            self._step = f"step-{self._tasks}", task
            steps.append(_step(*self._step, "in_progress"))
        return steps

    def _is_over(self, new: str) -> bool:
        return self._streams.clock() - self._since >= OLD or (bool(new) and len(self._here) + len(new) > LONG)

    async def _recovered(self, error: SlackApiError, new: str) -> bool:
        """Do about a refusal what can be done; whether all that is new was said after all."""
        code = error_code(error)
        if code in STOPPED:
            return False
        if self._ts and code in OVER:
            self._ts = ""
            await self._begin_again(new)
            return True
        if code in UNSUITED and not {"steps", "buttons"} <= self._streams.refused:
            self._streams.refused.update({"steps", "buttons"})
            self._step = None
            await self._begin_again(new)
            return True
        if not self._ts:
            if code in NEVER:
                self._streams.refused.add("stream")
                _log.info("Slack does not stream in %s (%s): answers are edited", self._streams.team, code)
            await self._fall_back()
            return True
        return False

    async def _begin_again(self, new: str) -> None:
        """Say what was refused, in another stream if this one is over."""
        head = "" if self._ts else parted(self._here)[1]
        chunks = _words(head + new or "…")
        if self._ts:
            await self._append(chunks)
            return
        self._here = head
        try:
            await self._start(chunks)
        except SlackApiError:
            await self._fall_back()

    # --- Slack's streams ----------------------------------------------------------------------------------------------

    async def _start(self, chunks: list[dict[str, Any]]) -> None:
        inbound = self._growing.inbound
        buttons = actions(self._growing.buttons) if not self._streams.agent else []
        if buttons and "buttons" not in self._streams.refused:
            chunks = [{"type": "blocks", "blocks": buttons}, *chunks]
        began = self._streams.clock()
        # Slack takes 20 a minute in a workspace; beyond that answers are edited, and their ends need not wait.
        answer = await hasty(self._streams.client).chat_startStream(
            channel=inbound.reply_to["channel"],
            thread_ts=inbound.reply_to["thread_ts"],
            recipient_team_id=inbound.author.workspace or self._streams.team,
            recipient_user_id=inbound.author.id,
            chunks=chunks,
        )
        self._ts, self._since = str(answer["ts"]), began
        self._ids.append(message_id(inbound.reply_to["channel"], self._ts))
        await self._growing.on_shown(tuple(self._ids))

    async def _append(self, chunks: list[dict[str, Any]]) -> None:
        channel = self._growing.inbound.reply_to["channel"]
        await hasty(self._streams.client).chat_appendStream(channel=channel, ts=self._ts, chunks=chunks)

    async def _roll(self, new: str) -> tuple[str, str]:
        """End this stream with the word that it ends with; what is left of ``new``, and what begins the next stream."""
        whole = not self._here or self._here[-1].isspace()
        rest = "" if whole else _rest_of_a_word(new)
        closing, opening = parted(self._here + rest)
        try:
            if rest + closing:
                await self._append(_words(rest + closing))
                self._said += rest
        except SlackApiError:
            rest = ""  # it was over already
        await self._stop()
        self._here = ""
        return new[len(rest) :], opening

    async def _stop(self) -> None:
        """Let the stream be over; from then on its message can be edited."""
        ts, self._ts = self._ts, ""
        if ts:
            await stop_stream(self._streams.client, self._growing.inbound.reply_to["channel"], ts)

    async def _fall_back(self) -> None:
        """Go on by edits, with all that there is so far."""
        self._ts = ""
        growing = replace(self._growing, shown=tuple(self._ids))
        edited = await self._rest.enter_async_context(EditedStream.of(self._platform, growing).open())
        await edited.append(self._text)
        if self._task:
            await edited.status(self._task)
        self._edited = edited


def _step(name: str, title: str, status: str) -> dict[str, Any]:
    return {"type": "task_update", "id": name, "title": title, "status": status}


def _rest_of_a_word(text: str) -> str:
    word = text.split(maxsplit=1)[0] if text.strip() and not text[0].isspace() else ""
    return word + text[len(word) : len(word) + 1]


def _words(text: str) -> list[dict[str, Any]]:
    """Words as chunks, each of which holds so many."""
    return [{"type": "markdown_text", "text": text[at : at + LONG]} for at in range(0, len(text), LONG)]
