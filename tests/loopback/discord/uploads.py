"""Files: how they come in a request, and where the CDN serves them."""

from __future__ import annotations

import json
import mimetypes
from typing import Any

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from tests.loopback.discord.network import CDN
from tests.loopback.discord.refusal import TOO_LARGE, ApiError, invalid

Payload = dict[str, Any]

Files = dict[int, tuple[str, bytes]]
"""Names and contents of files, by their index."""

MAX_FILES = 10
MAX_FILE_BYTES = 10 * 1024 * 1024


async def read(request: web.Request, limit: int) -> tuple[Payload, Files]:
    """The body of ``request``, and its files by their index; each of ``limit`` bytes at most."""
    if not request.content_type.startswith("multipart/"):
        return await request.json(), {}
    body: Payload = {}
    files: Files = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        if part.name == "payload_json":
            body = json.loads(await part.text())
            continue
        data = bytes(await part.read())
        if len(data) > limit:
            raise ApiError(*TOO_LARGE)
        files[int((part.name or "").removeprefix("files[").removesuffix("]"))] = (part.filename or "unknown", data)
    if len(files) > MAX_FILES:
        raise invalid("attachments", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FILES} or fewer in length.")
    return body, files


class Cdn:
    """Serves what was uploaded, to anybody who knows the address. A token that comes with a request is kept."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, bytes]] = {}
        self.authorizations: list[str | None] = []

    def put(self, channel_id: int, attachment_id: int, name: str, data: bytes, media_type: str | None) -> Payload:
        """Keep a file; its attachment as messages carry it."""
        path = f"/attachments/{channel_id}/{attachment_id}/{name}"
        kind = media_type if media_type is not None else mimetypes.guess_type(name)[0]
        self._files[path] = (kind or "application/octet-stream", data)
        attachment: Payload = {
            "id": str(attachment_id),
            "filename": name,
            "size": len(data),
            "url": f"https://{CDN}{path}?ex=6900&is=6901&hm=00",
            "proxy_url": f"https://media.discordapp.net{path}",
        }
        return attachment if kind is None else {**attachment, "content_type": kind}

    async def serve(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization"))
        found = self._files.get(request.path)
        if found is None:
            return web.Response(status=404, text="This content is no longer available.")
        return web.Response(body=found[1], content_type=found[0])
