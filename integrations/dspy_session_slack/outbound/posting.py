"""Answers on their way to Slack: posted, edited while they are written, and made right at the end."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_chat.action import Event
from dspy_session_chat.markup.overflow import FILE_NAME, NOTICE
from dspy_session_chat.platform import Post, Posted, PostedInPartError, RefusedInPartError
from dspy_session_chat.reply import Button, ReplyFile
from dspy_session_slack.directory import Directory
from dspy_session_slack.inbound.threads import Threads
from dspy_session_slack.key import is_dm, message_id, place_of_message
from dspy_session_slack.outbound.answer import answer_parts
from dspy_session_slack.outbound.harmless import ids_in, like_ids
from dspy_session_slack.outbound.responding import RESPONSES, address_of, respond
from dspy_session_slack.outbound.saying import MARKDOWN, parts, sayings, shorter, unsupported
from dspy_session_slack.outbound.streams import stop_stream
from dspy_session_slack.outbound.uploads import show, upload
from dspy_session_slack.refusals import TooLongError, error_code, refusal_to_post
from dspy_session_slack.web_client import hasty

_log = logging.getLogger(__name__)

GONE = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})
"""Refusals of an edit after which the words are better posted anew than lost."""

STREAMING = "streaming_state_conflict"
"""A message that is being streamed is not edited."""

BAD_BLOCKS = frozenset({"invalid_attachments", "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
"""Refusals of how something is said, not of what."""

# What a text says must not notify anybody, and no address in it be fetched: the same for posts and edits.
HARMLESS: dict[str, Any] = {"parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}


class Posting:
    """Writes what the bot says.

    Args:
        client: Calls Slack.
        threads: Hears in which threads the bot has written.
        directory: What people call users and channels: nothing that is said shows an id.
    """

    def __init__(self, client: AsyncWebClient, threads: Threads, directory: Directory) -> None:
        self._client = client
        self._threads = threads
        self._directory = directory
        self._lacks: set[str] = set()  # types of blocks that Slack does not know there

    async def post(self, post: Post) -> Posted:
        """Post an answer, or make right what is shown of it.

        What is in its files goes to Slack first: where that fails, nothing stands there twice when it is tried again,
        and where Slack takes no files, an answer that is too long for its messages is posted in as many as it needs.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        if post.reply.private and not post.shown and not is_dm(post.inbound.reply_to):
            return await self._post_privately(post)
        try:
            return await self._post_to_all(post)
        except (PlatformUnavailableError, RefusedInPartError):
            raise
        except PlatformError:
            # A command may be given where the bot is not; whoever gave it reads the answer all the same.
            texts = answer_parts(post.reply, _lacking(post.reply.files))
            if post.shown or await self._respond(post, texts) < len(texts):
                raise
            return Posted(())

    async def _post_to_all(self, post: Post) -> Posted:
        channel, thread = _place(post.inbound)
        texts = answer_parts(post.reply)
        rest = texts[max(1, post.most) :]
        try:
            uploaded = await upload(self._client, _files(post, whole=bool(rest)), channel)
        except PlatformUnavailableError:
            raise
        except PlatformError as error:
            _log.warning("An answer goes without its files: %s", error)
            texts, rest, uploaded = answer_parts(post.reply, _lacking(post.reply.files)), [], []
        ids: list[str] = []
        try:
            async for message in self._show(post, texts[: len(texts) - len(rest)]):
                ids.append(message)  # noqa: PERF401  # those that stand there count also when the next one fails
        except PlatformUnavailableError as error:
            raise PostedInPartError(str(error), [*ids, *post.shown[len(ids) :]]) from error
        except PlatformError as error:
            if not (standing := [*ids, *post.shown[len(ids) :]]):
                raise
            raise RefusedInPartError(str(error), standing) from error
        if uploaded:
            try:
                await show(self._client, uploaded, channel, thread, NOTICE if rest else "")
            except PlatformError as error:
                _log.warning("The files of an answer were not posted: %s", error)
                said_instead = [*rest, *parts(_lacking(post.reply.files))]
                ids += [await self.begin(post.inbound, text) for text in said_instead]
        return Posted(tuple(ids))

    async def begin(self, inbound: Event, part: str, buttons: Sequence[Button] = ()) -> str:
        """Post a message where ``inbound`` asked; its id.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        channel, thread = _place(inbound)
        where = {"channel": channel, "thread_ts": thread, **once()}
        try:
            answer = await self._said(self._client.chat_postMessage, part, buttons, **where)
        except (SlackApiError, ClientError, OSError) as error:
            raise refusal_to_post(error, self._called(channel)) from None
        if thread is not None:
            self._threads.join(channel, thread)
        return message_id(channel, answer["ts"])

    async def edit(self, message: str, part: str, buttons: Sequence[Button] = (), *, waits: bool = True) -> None:
        """Let a message say something else.

        Args:
            message: Its id.
            part: What it says.
            buttons: What stands beneath.
            waits: Whether to wait where Slack wants fewer calls.

        Raises:
            PlatformError: Slack refused it or could not be reached.
        """
        channel, _ = place_of_message(message)
        try:
            await self._edit(message, part, buttons, self._client if waits else hasty(self._client))
        except (SlackApiError, ClientError, OSError) as error:
            raise refusal_to_post(error, self._called(channel)) from None

    async def _show(self, post: Post, texts: Sequence[str]) -> AsyncIterator[str]:
        """Let the messages that are there, and new ones, say ``texts``; the ids of all of them, one after the other."""
        left, shown = deque(texts), deque(post.shown)
        while left:
            text = left.popleft()
            buttons = () if left else post.reply.buttons
            try:
                stands = bool(shown) and await self._edited(shown[0], text, buttons)
                message = shown[0] if stands else await self.begin(post.inbound, text, buttons)
            except TooLongError:
                if not (pieces := shorter(text)):
                    raise
                left.extendleft(reversed(pieces))
                continue
            if shown:
                shown.popleft()
            yield message
        for surplus in shown:
            await self._delete(surplus)

    async def _edited(self, message: str, text: str, buttons: Sequence[Button]) -> bool:
        """Edit a message; False if there is nothing any more that could be edited."""
        channel, _ = place_of_message(message)
        try:
            await self._edit(message, text, buttons, self._client)
        except (SlackApiError, ClientError, OSError) as error:
            if error_code(error) in GONE:
                return False
            raise refusal_to_post(error, self._called(channel)) from None
        return True

    async def _edit(self, message: str, text: str, buttons: Sequence[Button], client: AsyncWebClient) -> None:
        channel, ts = place_of_message(message)
        try:
            await self._said(client.chat_update, text, buttons, channel=channel, ts=ts)
        except SlackApiError as error:
            if error_code(error) != STREAMING:
                raise
            # Whoever streamed it did not come to the end.
            await stop_stream(self._client, channel, ts)
            await self._said(client.chat_update, text, buttons, channel=channel, ts=ts)

    async def _delete(self, message: str) -> None:
        channel, ts = place_of_message(message)
        try:
            await self._client.chat_delete(channel=channel, ts=ts)
        except (SlackApiError, ClientError, OSError) as error:
            # The answer is there whole: what stands there besides is no reason to post it again.
            _log.warning(
                "A message that is no part of the answer any more stays in %s: %s",
                self._called(channel),
                error_code(error),
            )

    async def _post_privately(self, post: Post) -> Posted:
        """Show an answer to the one who asked alone: in messages that have no id to edit or to delete them by.

        A file cannot be shown to one person alone, so there is none, and the answer is as long as it is.
        """
        channel, thread = _place(post.inbound)
        where = {"channel": channel, "thread_ts": thread, "user": post.inbound.author.id}
        texts = answer_parts(post.reply, _lacking(post.reply.files))
        said = await self._respond(post, texts)
        for number, text in enumerate(texts[said:], said):
            buttons = post.reply.buttons if number == len(texts) - 1 else ()
            try:
                await self._said(self._client.chat_postEphemeral, text, buttons, **where)
            except (SlackApiError, ClientError, OSError) as error:
                raise refusal_to_post(error, self._called(channel)) from None
        return Posted(())

    async def _respond(self, post: Post, texts: Sequence[str]) -> int:
        """Answer a command at the address that came with it; how many texts of the answer Slack takes there."""
        address = address_of(post.inbound)
        for number, text in enumerate(texts[:RESPONSES] if address else ()):
            buttons = post.reply.buttons if number == len(texts) - 1 else ()
            # Slack takes fewer kinds of blocks there, and tells less of what it does not.
            saying = next(each for each in sayings(text, buttons, await self._names(text), (MARKDOWN,)))
            if not await respond(self._client, address, saying.text, saying.blocks):
                return number
        return min(len(texts), RESPONSES) if address else 0

    async def _said(
        self,
        say: Callable[..., Awaitable[AsyncSlackResponse]],
        part: str,
        buttons: Sequence[Button],
        **where: str | None,
    ) -> AsyncSlackResponse:
        """Call one of Slack's methods that say something, in the best way that Slack takes."""
        refusal: SlackApiError | None = None
        for saying in sayings(part, buttons, await self._names(part), self._lacks):
            try:
                # No blocks have to be said to be none: an edit would leave those that are there.
                return await say(text=saying.text, blocks=saying.blocks, **HARMLESS, **where)
            except SlackApiError as error:
                if error_code(error) not in BAD_BLOCKS:
                    raise
                self._lacks |= unsupported(error.response.data if isinstance(error.response.data, dict) else {})
                _log.warning("Slack does not take a message as it is (%s): it goes in a plainer way", error_code(error))
                refusal = error
        assert refusal is not None
        raise refusal

    def _called(self, channel: str) -> str:
        """A channel for whoever reads the log: people know its name, and tools its id."""
        name = self._directory.known([channel]).get(channel)
        return f"#{name} ({channel})" if name else channel

    async def _names(self, markdown: str) -> Mapping[str, str]:
        await self._directory.names(ids_in(markdown))
        return self._directory.known(like_ids(markdown))


def once() -> dict[str, Any]:
    """What lets Slack take a message once, where the client sends it again because the answer to it got lost.

    Slack tells of this argument only in the errors of ``chat.postMessage``; where it does not heed it, no harm is done.
    """
    return {"client_msg_id": str(uuid4())}


def _place(inbound: Event) -> tuple[str, str | None]:
    return inbound.reply_to["channel"], inbound.reply_to.get("thread_ts")


def _files(post: Post, *, whole: bool) -> list[ReplyFile]:
    files = list(post.reply.files)
    if whole:
        files.append(ReplyFile(FILE_NAME, "text/markdown", post.text.encode("utf-8", "replace")))
    return files


def _lacking(files: Sequence[ReplyFile]) -> str:
    """Says, in Markdown, which files are missing; nothing for none."""
    names = ", ".join(f"`{file.name}`" for file in files)
    return f"_Could not be posted here: {names}_" if names else ""
