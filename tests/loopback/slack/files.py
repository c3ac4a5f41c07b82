"""Files: the three steps by which an app posts one, and the address where those of people are fetched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.loopback.slack.calls import Call, Refused, method
from tests.loopback.slack.chat import own_message, place_to_write
from tests.loopback.slack.workspace import TEAM_ID

if TYPE_CHECKING:
    from tests.loopback.slack.server import FakeSlack


@dataclass
class File:
    """A file in the workspace.

    Args:
        id: ``"F…"``.
        name: Its name.
        length: Bytes that were announced.
        media_type: Its MIME type.
        data: What is in it, None until it is uploaded.
    """

    id: str
    name: str
    length: int
    media_type: str = "application/octet-stream"
    data: bytes | None = None

    def info(self, address: str) -> dict[str, Any]:
        """The file as events and messages show it."""
        port = address.rpartition(":")[2]
        url = f"http://localhost:{port}/files-pri/{TEAM_ID}-{self.id}/{self.name}"
        about = {"id": self.id, "name": self.name, "title": self.name, "mimetype": self.media_type}
        about |= {"size": len(self.data or b""), "mode": "hosted", "is_external": False, "file_access": "visible"}
        return about | {"url_private": url, "url_private_download": url}


@method("files.info", "files:read")
async def file_info(slack: FakeSlack, call: Call) -> dict[str, Any]:
    file = slack.files.get(call["file"])
    if file is None:
        raise Refused("file_not_found")
    return {"file": file.info(slack.address), "comments": [], "response_metadata": {"next_cursor": ""}}


@method("files.getUploadURLExternal", "files:write")
async def get_upload_url(slack: FakeSlack, call: Call) -> dict[str, Any]:
    length = int(call["length"])
    if length <= 0:
        raise Refused("invalid_arguments")
    file = slack.new_file(call["filename"], length)
    return {"upload_url": f"http://{slack.address}/upload/v1/{file.id}", "file_id": file.id}


@method("files.completeUploadExternal", "files:write")
async def complete_upload(slack: FakeSlack, call: Call) -> dict[str, Any]:
    files = [slack.files.get(entry["id"]) for entry in json.loads(call["files"])]
    uploaded = [file for file in files if file is not None and file.data is not None]
    if not files or len(uploaded) < len(files):
        raise Refused("file_not_found")
    if call.get("channel_id"):
        channel = place_to_write(slack, call, "channel_id")
        message = own_message(slack, channel, call, call.get("initial_comment"))
        message |= {"subtype": "file_share", "files": [file.info(slack.address) for file in uploaded]}
        slack.workspace.write(channel, message)
        slack.notified(message["text"])
        slack.news.written(channel, message)
    return {"files": [{"id": file.id, "title": file.name} for file in uploaded]}


async def receive(slack: FakeSlack, request: web.Request) -> web.Response:
    """The second step: what is in the file comes to the address that the first one gave."""
    file = slack.files.get(request.match_info["file"])
    data = await request.read()
    if file is None or len(data) != file.length:
        return web.Response(status=400, text="bad length")
    file.data = data
    return web.Response(text=f"OK - {len(data)}")


async def serve(slack: FakeSlack, request: web.Request) -> web.Response:
    """A file, for whoever shows the bot token; others are sent to where people sign in, as Slack does."""
    file = slack.files.get(request.match_info["file"].partition("-")[2])
    if request.headers.get("Authorization") != f"Bearer {slack.bot_token}" or "files:read" not in slack.scopes["bot"]:
        raise web.HTTPFound(f"http://{slack.address}/signin")
    if file is None or file.data is None:
        return web.Response(status=404)
    return web.Response(body=file.data, content_type=file.media_type)


async def sign_in(_request: web.Request) -> web.Response:
    """The page that whoever may not have a file ends up at."""
    return web.Response(text="<html>Sign in to Loopback</html>", content_type="text/html")
