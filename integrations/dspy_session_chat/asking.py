"""Asking people before a tool does something: a question with two buttons, for which the turn waits."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from dspy_session.conversation import journal
from dspy_session.conversation.runtime import Job
from dspy_session.conversation.unbroken import unbroken
from dspy_session.errors import PlatformError, SessionError
from dspy_session.redaction import redact
from dspy_session.stores import Entry, Posting, Settled
from dspy_session_chat.action import Action, Press
from dspy_session_chat.deciding import OpenQuestion, may_decide
from dspy_session_chat.growing import CanEdit
from dspy_session_chat.markup.cleaning import as_text, clean_line
from dspy_session_chat.naming import named
from dspy_session_chat.platform import Post
from dspy_session_chat.posting import Poster
from dspy_session_chat.reply import LONGEST_ANSWER, Button, Reply
from dspy_session_chat.rules.access import Access
from dspy_session_chat.waiting import Waiting
from dspy_session_chat.wish import Wish

logger = logging.getLogger(__name__)

ASKING = "dspy_session_chat_asking"
"""Name of the DSPy setting that holds the ``Asking`` of the turn that runs."""
APPROVE, DENY = "approve", "deny"
"""The actions of the two buttons."""
ASKED, DECIDED = "asked", "decided"
"""The journal's kinds of entries for a question and for the answer to it."""
DECIDED_ALREADY = "This is decided already."
WHY = "Why? The agent reads it."
"""What is asked of whoever denies: in Discord there is room for 45 characters."""
LONGEST_REASON = 300
"""Characters of the reason of a denial that are shown beneath the question; the agent reads more of it."""


@dataclass(slots=True)
class Asking:
    """Asks people while a turn runs.

    Args:
        job: The conversation.
        waiting: The message that is answered.
        poster: Posts the questions.
        access: Who may talk to the bot at all, and who is an admin.
    """

    job: Job
    waiting: Waiting
    poster: Poster
    access: Access
    waited: float = 0.0
    """Seconds that went by in waiting for people: they do not count as the agent's."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _open: dict[str, OpenQuestion] = field(default_factory=dict)
    _deciding: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wanted: Counter[str] = field(default_factory=Counter)
    _threads: set[Future[str | None]] = field(default_factory=set)
    _since: float = 0.0
    _closed: bool = False

    @property
    def is_waiting(self) -> bool:
        """True while people are asked."""
        return bool(self._open)

    async def ask(self, wish: Wish) -> str | None:
        """Ask; None when it is approved, else what the agent reads."""
        if asyncio.get_running_loop() is not self._loop:
            return await asyncio.wrap_future(self._submit(wish))
        return await self._ask(wish)

    def ask_from_a_thread(self, wish: Wish) -> str | None:
        """Ask, and block until somebody decides."""
        return self._submit(wish).result()

    def close(self) -> None:
        """The turn is over, and nobody is asked any more.

        Cancelling a turn does not end a thread that the agent runs in: it must not wait for people for hours.
        """
        self._closed = True
        for asking in list(self._threads):
            asking.cancel()

    def _submit(self, wish: Wish) -> Future[str | None]:
        if self._closed:
            raise SessionError(f"{wish.tool} asks people first, and the answer that it belongs to is over")
        asking: Coroutine[Any, Any, str | None] = self._ask(wish)
        submitted = asyncio.run_coroutine_threadsafe(asking, self._loop)
        self._threads.add(submitted)
        submitted.add_done_callback(self._threads.discard)
        return submitted

    async def _ask(self, wish: Wish) -> str | None:
        event_id = self.waiting.event.event_id
        before = wish.identity(event_id)
        identity = wish.identity(event_id, self._wanted[before])
        self._wanted[before] += 1
        if not self._open:
            self._since = time.monotonic()
        # Before it is read what was decided: an answer that comes in between would be waited for in vain.
        question = OpenQuestion(wish, self.waiting.event, self._loop.create_future())
        self._open[identity] = self.poster.questions[identity] = question
        try:
            decided = await self._decided(identity, wish)
        finally:
            del self._open[identity]
            self.poster.questions.pop(identity, None)
            if not self._open:
                self.waited += time.monotonic() - self._since
        return None if decided["approved"] else f"{wish.tool} was not run: {_refused(decided)}"

    async def _decided(self, identity: str, wish: Wish) -> Mapping[str, Any]:
        """The answer, after the question was posted unless it stands; or that there was none in time."""
        asked, decided = await self._past(identity)
        if asked is None and decided is not None:  # they were quicker than the note that they were asked
            return decided
        question = wish.question()
        ids = await self._post(identity, wish, question) if asked is None else tuple(asked["ids"])
        if decided is None:
            self.job.step_aside()
            decided = await self._answer(identity, wish.seconds)
        await self._show_decision(ids, question, decided)  # also where a process that died has not come to that
        return decided

    async def _answer(self, identity: str, seconds: float) -> Mapping[str, Any]:
        """Wait for an answer; that there is none in time is written down as one is."""
        answer = self._open[identity].answer
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(answer)
        except TimeoutError:
            async with self._deciding:
                if answer.done():  # who decides at this very moment has decided
                    return answer.result()
                await self._write(DECIDED, decided := _undecided(identity))
                answer.cancel()
                return decided

    async def _post(self, identity: str, wish: Wish, question: Reply) -> tuple[str, ...]:
        """Post a question; the id of the message that has the buttons, where it has one."""
        buttons = (
            Button(APPROVE, "Approve", identity, "good"),
            Button(DENY, "Deny", identity, "danger", asks=WHY, counts="when sent"),
        )
        platform = self.poster.platform(self.waiting)
        post = Post(self.waiting.event, replace(question, buttons=buttons), interim=True)
        ids = (await platform.post(post)).message_ids
        # Whoever decides may have a conversation of their own where they press: the question tells which one is meant.
        await self.job.posted(Posting(identity, ids, identity, self.waiting.scope, done=False))
        # A file that the platform did not take may be told in a message of its own, behind the one with the buttons.
        count = len(platform.parts(question.text)) if isinstance(platform, CanEdit) else len(ids)
        ids = ids[:count][-1:]
        await self._write(ASKED, {"id": identity, "tool": wish.tool, "who": wish.who, "ids": list(ids)})
        return ids

    async def _show_decision(self, ids: tuple[str, ...], question: Reply, decided: Mapping[str, Any]) -> None:
        """Let the question say what became of it; it has no buttons any more."""
        platform = self.poster.platform(self.waiting)
        if isinstance(platform, CanEdit) and ids:
            try:
                *_, last = platform.parts(f"{question.text}\n\n*{_said(decided)}*")
                await platform.edit(self.waiting.event, ids[-1], last)
            except PlatformError as error:
                logger.info("A question in %s still has its buttons: %s", self.job.hold.key, error)

    async def decide(self, waiting: Waiting) -> None:
        """Take a button in that was pressed; a turn that waits for it goes on.

        After a restart people may be quicker than the agent: then the answer is there when it asks.
        """
        assert isinstance(waiting.event, Action)
        action = await named(self.poster.platform(waiting), waiting.event)
        assert isinstance(action.deed, Press)
        identity = action.deed.about
        async with self._deciding:
            refusal = await self._refusal(identity, action)
            if refusal is None:
                decided = _decision(identity, action, action.deed)
                await self._write(DECIDED, decided, Settled(action.event_id, received=True), author=action.user)
                self._tell(identity, decided)
                return
        await self.poster.answer_beside(waiting, self.job, Reply(refusal, private=True))

    async def _refusal(self, identity: str, action: Action) -> str | None:
        """Why somebody does not decide, in one line for them; None when they do."""
        asked, decided = await self._past(identity)
        if decided is not None:
            self._tell(identity, decided)  # it may have been written though that seemed to fail
            return DECIDED_ALREADY
        if identity in self._open:  # people can be quicker than the note that they were asked
            return self._open[identity].denial(action, self.access)
        return DECIDED_ALREADY if asked is None else may_decide(asked["who"], self.waiting.event, action, self.access)

    def _tell(self, identity: str, decided: Mapping[str, Any]) -> None:
        """Let a turn that waits for an answer go on."""
        if identity in self._open and not self._open[identity].answer.done():
            self._open[identity].answer.set_result(decided)

    async def _past(self, identity: str) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
        """The question and its answer, as far as there were any before a restart."""
        found: dict[str, Mapping[str, Any]] = {}
        async for entry in self.poster.conversations.store.entries(self.job.hold.key):
            body = _body(entry)
            if body is not None and body.get("id") == identity:
                found[entry.kind] = body
        return found.get(ASKED), found.get(DECIDED)

    async def _write(
        self, kind: str, body: Mapping[str, Any], settled: Settled | None = None, *, author: str = ""
    ) -> None:
        # Whoever is cancelled in the midst of this would not know how long the journal is.
        await unbroken(self._write_now(kind, body, settled, author))

    async def _write_now(self, kind: str, body: Mapping[str, Any], settled: Settled | None, author: str) -> None:
        hold, conversations = self.job.hold, self.poster.conversations
        async with hold.writing:
            await conversations.holds.ready(hold)
            change = journal.note(kind, body, hold.known, conversations.clock(), author=author)
            await conversations.write(hold, change, (), settled)


def _decision(identity: str, action: Action, press: Press) -> dict[str, Any]:
    approved = press.button == APPROVE
    decided = {"id": identity, "approved": approved, "by": action.user, "name": clean_line(action.author.name)}
    reason = "" if approved else clean_line(redact(press.text), LONGEST_ANSWER)
    return decided | ({"reason": reason} if reason else {})


def _undecided(identity: str) -> dict[str, Any]:
    return {"id": identity, "approved": False, "late": True}


def _said(decided: Mapping[str, Any]) -> str:
    """What became of a question, for people, as Markdown."""
    if decided.get("late"):
        return "nobody decided in time"
    said = f"{'approved' if decided['approved'] else 'denied'} by {as_text(decided['name'])}"
    reason = decided.get("reason")
    return f"{said}: {as_text(reason, LONGEST_REASON)}" if reason else said


def _refused(decided: Mapping[str, Any]) -> str:
    """Who denied it and why, for the agent: the reason is theirs, and stands in quotes that it cannot close."""
    if decided.get("late"):
        return "nobody approved it in time."
    said = f"{decided['name'] or 'somebody'} denied it"
    reason = decided.get("reason")
    return f"{said}: {json.dumps(reason, ensure_ascii=False)}" if reason else f"{said}."


def _body(entry: Entry) -> dict[str, Any] | None:
    if entry.kind not in (ASKED, DECIDED):
        return None
    body = json.loads(entry.body)
    return body if isinstance(body, dict) else None
