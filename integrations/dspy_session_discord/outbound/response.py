"""Answering an interaction by its token: no permission in the channel is needed, and one person alone can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import discord
from discord.http import Route, handle_message_parameters

from dspy_session_discord.error_codes import INVALID_TOKEN, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK
from dspy_session_discord.outbound.button import view_of
from dspy_session_discord.outbound.written import Written, as_file
from dspy_session_discord.ticket import Ticket

VOID = (UNKNOWN_WEBHOOK, INVALID_TOKEN)
"""Error codes of an interaction that cannot be answered any more."""

LOADING = 1 << 7
"""Message flag: it waits to become an answer."""

_ORIGINAL = "@original"
_NOBODY = discord.AllowedMentions.none()


class Response:
    """The answer to an interaction.

    Args:
        client: The client, logged in.
        ticket: What the interaction is answered with.
    """

    def __init__(self, client: discord.Client, ticket: Ticket) -> None:
        self._client = client
        self.ticket = ticket

    def takes(self, message: Written) -> bool:
        """Whether ``message`` is to go this way. After a press nothing waits for an answer: what all may read is
        written in the channel then, as everywhere.
        """
        return bool(self.ticket.original) or bool(message.private)

    async def send(self, message: Written, *, first: bool) -> str:
        """Send ``message``; its id.

        Args:
            message: What it says.
            first: Whether it is the first of an answer, for which a message waits.

        Raises:
            discord.HTTPException: Discord refuses it.
        """
        ticket = self.ticket
        private = ticket.private if message.private is None else message.private
        if first and ticket.original:
            if private != ticket.private:
                await self.take_away(ticket.original)  # who sees it was said when it was deferred
            else:
                try:
                    await self.change(ticket.original, message)
                except discord.NotFound as error:
                    if error.code != UNKNOWN_MESSAGE:
                        raise
                else:
                    return ticket.original
        flags = discord.MessageFlags(suppress_embeds=True, ephemeral=private)
        options: dict[str, Any] = {} if not message.files else {"files": [as_file(file) for file in message.files]}
        if (view := view_of(message.buttons)) is not None:
            options["view"] = view
        sent = await self._request("POST", "", content=message.text or None, flags=flags, **options)
        return str(sent["id"])

    async def change(self, message_id: str, message: Written) -> None:
        """Let a message of this answer be ``message``.

        Raises:
            discord.HTTPException: Discord refuses it.
        """
        text = message.text
        if message_id == self.ticket.original and not message.private:
            text = self.ticket.headed(text)
        options = {"attachments": [as_file(file) for file in message.files]} if message.files else {}
        flags = discord.MessageFlags(suppress_embeds=True)
        view = view_of(message.buttons)
        await self._request("PATCH", message_id, content=text or None, flags=flags, view=view, **options)

    async def take_away(self, message_id: str) -> None:
        """Delete a message of this answer, unless it is gone.

        Raises:
            discord.HTTPException: Discord refuses it.
        """
        try:
            await self._request("DELETE", message_id)
        except discord.NotFound as error:
            if error.code != UNKNOWN_MESSAGE:
                raise

    async def dismiss(self) -> None:
        """Take the message away that waits for an answer, if it still does: there is none.

        Raises:
            discord.HTTPException: Discord refuses it.
        """
        if not self.ticket.original:
            return
        waiting = await self._request("GET", self.ticket.original)
        if waiting.get("flags", 0) & LOADING:
            await self.take_away(self.ticket.original)

    async def _request(self, method: str, message_id: str, **message: Any) -> Mapping[str, Any]:
        path = "/webhooks/{webhook_id}/{webhook_token}"
        parameters: dict[str, Any] = {"webhook_id": self.ticket.application, "webhook_token": self.ticket.token}
        if message_id == self.ticket.original and message_id:
            path += f"/messages/{_ORIGINAL}"
        elif message_id:
            path += "/messages/{message_id}"
            parameters["message_id"] = int(message_id)
        route = Route(method, path, **parameters)
        if not message:
            return await self._client.http.request(route) or {}
        with handle_message_parameters(allowed_mentions=_NOBODY, **message) as written:
            if written.files:
                return await self._client.http.request(route, files=written.files, form=written.multipart) or {}
            return await self._client.http.request(route, json=written.payload) or {}
