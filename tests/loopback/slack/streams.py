"""``chat.startStream``, ``chat.appendStream`` and ``chat.stopStream``, with what was measured of them and stands in no
documentation: a stream is over by itself after a time, and what is streamed can be neither edited nor deleted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.loopback.slack.blocks import check_blocks
from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.chat import Post, own_message, place_to_write
from tests.loopback.slack.workspace import Message

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack

CHUNK = 12_000
FIELD = 256
STATUSES = ("pending", "in_progress", "complete", "error")


@dataclass
class Stream:
    """A message that is streamed.

    Args:
        message: The message.
        chunked: Whether it was begun with chunks; it takes only what it was begun with.
        text: What was streamed so far.
        blocks: Blocks that were.
        steps: What tool steps are called, and how far they are, in order.
        stopped_by_user: Whether somebody pressed Slack's own button.
    """

    message: Message
    chunked: bool
    text: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    steps: dict[str, tuple[str, str]] = field(default_factory=dict)
    stopped_by_user: bool = False


@dataclass
class Streams:
    """The streams of the app.

    Args:
        running: Those that are not over, by the ``ts`` of their messages.
        all: Every one so far.
    """

    running: dict[str, Stream] = field(default_factory=dict)
    all: list[Stream] = field(default_factory=list)

    def expire(self) -> None:
        """Five minutes go by."""
        self.running.clear()


def _running(slack: FakeSlack, call: Call) -> Stream:
    channel = place_to_write(slack, call)
    stream = next((each for each in slack.streams.all if each.message["ts"] == call["ts"]), None)
    if stream is not None and stream.stopped_by_user:
        raise Refused("stopped_by_user")
    if call["ts"] not in slack.streams.running:
        raise Refused("message_not_in_streaming_state" if channel.message(call["ts"]) else "message_not_found")
    return slack.streams.running[call["ts"]]


def _chunks(call: Call) -> list[dict[str, Any]]:
    written, text = call.args.get("chunks"), call.get("markdown_text")
    if written is None:
        return [{"type": "markdown_text", "text": text}] if text else []
    if text:
        raise Refused("invalid_arguments")
    return json.loads(written) if isinstance(written, str) else list(written)


def _add(slack: FakeSlack, stream: Stream, chunks: list[dict[str, Any]]) -> None:
    for chunk in chunks:
        match chunk["type"]:
            case "markdown_text":
                if not 1 <= len(chunk["text"]) <= CHUNK:
                    raise Refused("msg_too_long" if chunk["text"] else "invalid_chunks")
                stream.text += chunk["text"]
            case "task_update":
                if chunk["status"] not in STATUSES or not 1 <= len(chunk["title"]) <= FIELD:
                    raise Refused("invalid_chunks")
                stream.steps[chunk["id"]] = chunk["title"], chunk["status"]
            case "blocks":
                check_blocks(chunk["blocks"])
                stream.blocks += chunk["blocks"]
            case _:
                raise Refused("invalid_chunks")
    shown = [{"type": "markdown", "text": stream.text}] if stream.text else []
    stream.message["text"] = stream.text
    stream.message["blocks"] = [*stream.blocks, *shown]
    slack.notified(stream.text, markdown=True)


@method("chat.startStream", "chat:write")
async def start(slack: FakeSlack, call: Call) -> dict[str, Any]:
    channel = place_to_write(slack, call)
    call["thread_ts"]
    for recipient in ("recipient_team_id", "recipient_user_id"):
        if not call.get(recipient):
            raise Refused(f"missing_{recipient}")
    if call["recipient_user_id"] not in slack.workspace.users:
        raise Refused("user_not_found")
    message = own_message(slack, channel, call, "")
    stream = Stream(message, chunked="chunks" in call.args)
    _add(slack, stream, _chunks(call))
    slack.workspace.write(channel, message)
    slack.streams.running[message["ts"]] = stream
    slack.streams.all.append(stream)
    slack.posted(Post(channel.id, message["ts"], message["text"], message["thread_ts"], call))
    slack.news.written(channel, message)
    return {"channel": channel.id, "ts": message["ts"]}


@method("chat.appendStream", "chat:write")
async def append(slack: FakeSlack, call: Call) -> dict[str, Any]:
    stream = _running(slack, call)
    if stream.chunked is not ("chunks" in call.args):
        raise Refused("streaming_mode_mismatch")
    chunks = _chunks(call)
    if not chunks:
        raise Refused("no_text")
    _add(slack, stream, chunks)
    return {"channel": call["channel"], "ts": call["ts"]}


@method("chat.stopStream", "chat:write")
async def stop(slack: FakeSlack, call: Call) -> dict[str, Any]:
    stream = _running(slack, call)
    _add(slack, stream, _chunks(call))
    del slack.streams.running[call["ts"]]
    return {"channel": call["channel"], "ts": call["ts"], "message": stream.message}
