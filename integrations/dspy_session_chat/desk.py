"""What the bot does with each event that it takes out of the inbox."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets

from cachetools import LRUCache

from dspy_session import SessionError
from dspy_session.conversation.runtime import Job, TryLaterError
from dspy_session.errors import StoreError
from dspy_session.stores import Settled
from dspy_session_chat.action import Action, Command, Deletion, Edit, Press, Reaction
from dspy_session_chat.answering import ATTEMPTS, Answering
from dspy_session_chat.asking import APPROVE, DECIDED_ALREADY, DENY
from dspy_session_chat.commands import Asked
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.means import Means
from dspy_session_chat.opinions import Opinions
from dspy_session_chat.posting import in_words
from dspy_session_chat.reply import Reply, sayable
from dspy_session_chat.revising import Revising
from dspy_session_chat.rules.gate import Refused
from dspy_session_chat.rules.manners import is_place
from dspy_session_chat.standard import StandardCommands
from dspy_session_chat.waiting import Waiting

logger = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Conversations in which it is known how many messages of bots were answered in a row."""
PATIENCE = 6
"""How often an event is taken up that cannot be read: about half a minute, for a process with a newer version."""


class Desk:
    """Handles events, one at a time in each conversation.

    Args:
        means: What the bot works with. Its commands get the standard ones.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._answering = Answering(means)
        self._revising = Revising(means, self._answering)
        self._opinions = Opinions(means)
        self._in_a_row: LRUCache[str, int] = LRUCache(REMEMBERED)
        for command in StandardCommands(means, self._answering).all():
            means.commands.add(command)

    async def handle(self, job: Job) -> None:
        """Handle an event, or post the answer to one that was committed before."""
        try:
            waiting = Waiting.from_json(job.work.arrival.payload)
        except SessionError as error:
            await self._give_up(job, str(error))
            return
        if job.work.reply:
            await self._means.poster.post(waiting, job, job.work.reply, job.work.shown)
            return
        try:
            if isinstance(waiting.event, Inbound):
                await self._message(waiting, waiting.event, job)
            else:
                await self._action(waiting, waiting.event, job)
        except (StoreError, TryLaterError):
            raise
        # Whatever it is, one event must not hold up its conversation for ever.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
            _see_that_we_go_on(error)
            await self._fail(waiting, job, error)

    async def _fail(self, waiting: Waiting, job: Job, error: BaseException) -> None:
        """Be done with an event that goes wrong each time, and say so to whoever waits for an answer.

        Raises:
            TryLaterError: It did not go wrong often enough yet.
        """
        event = waiting.event
        if job.work.attempts < ATTEMPTS:
            logger.warning("%s went wrong", in_words(event), exc_info=error)
            raise TryLaterError(f"{event.event_id} went wrong: {type(error).__name__}") from error
        reference = secrets.token_hex(4)
        logger.error("%s is given up (reference %s)", in_words(event), reference, exc_info=error)
        expects_words = event.addressed in ("direct", "mention") if isinstance(event, Inbound) else _is_order(event)
        said = Reply(f"Sorry, something went wrong on my side (reference {reference}).", private=True)
        await self._means.poster.settle(waiting, job, said if expects_words else None)

    async def _give_up(self, job: Job, reason: str) -> None:
        """Be done with an event that cannot be read: it must not hold up the others for ever.

        Raises:
            TryLaterError: A newer version of the bot may be able to.
        """
        if job.work.attempts < PATIENCE:
            raise TryLaterError(reason)
        logger.error("%s in %s is left out: %s", job.work.arrival.event_id, job.hold.key, reason)
        settled = Settled(job.work.arrival.event_id, received=True)
        await (await job.changing(settled)).settle()

    # --- messages -----------------------------------------------------------------------------------------------------

    async def _message(self, waiting: Waiting, message: Inbound, job: Job) -> None:
        command = self._means.commands.in_message(message)
        if command is not None:
            await self._command(waiting, command, job)
        elif not await self._is_for_us(message, job):
            await self._means.poster.settle(waiting, job)
        elif (question := self._misspelt(message)) and self._means.access.denial(message) is None:
            refused = await self._refused(waiting, job)
            line = question if refused is None else refused.news
            await self._means.poster.settle(waiting, job, Reply(line, private=True) if line else None)
        else:
            await self._answering.answer(waiting, job)

    def _misspelt(self, message: Inbound) -> str:
        """What somebody is asked who seems to have misspelt a command; empty where nobody has."""
        meant = self._means.commands.meant_by(message)
        if meant is None or (meant.admin and not self._means.access.is_admin(message)):
            return ""
        return f"I know no command {message.text.split()[0]}; did you mean /{meant.name}?"

    async def _is_for_us(self, message: Inbound, job: Job) -> bool:
        """Whether a message is to be answered, as its conversation stands."""
        if message.author.is_bot:
            answered = self._in_a_row.get(job.hold.key, 0)
            self._in_a_row[job.hold.key] = answered + 1
            if answered >= self._means.manners.bot_turns:
                logger.info("%s is not answered: bots have talked for long enough", in_words(message))
                return False
        else:
            self._in_a_row.pop(job.hold.key, None)
        if message.addressed in ("direct", "mention"):
            return True
        changing, alone = await job.changing(), is_place(message, self._means.manners)
        if message.mentions_others:
            if alone and message.addressed == "thread" and job.hold.known.length:
                await changing.set_aside()
            return False
        return not (alone and changing.is_aside) and not self._is_idle(job)

    def _is_idle(self, job: Job) -> bool:
        """Whether a thread was left alone for so long that it waits for a mention."""
        idle, turns = self._means.manners.idle_seconds, job.hold.known.state.turns
        if idle is None or not turns or turns[-1].created_at is None:
            return False
        return self._means.conversations.clock() - turns[-1].created_at.timestamp() > idle

    # --- what else people do ------------------------------------------------------------------------------------------

    async def _action(self, waiting: Waiting, action: Action, job: Job) -> None:
        match action.deed:
            case Command() as command:
                await self._command(waiting, command, job)
            case Press() as press:
                await self._press(waiting, action, press, job)
            case Reaction() as reaction:
                await self._opinions.reaction(waiting, action, reaction, job)
            case Edit() as edit:
                await self._revising.edit(waiting, action, edit, job)
            case Deletion() as deletion:
                await self._revising.deletion(waiting, deletion, job)

    async def _command(self, waiting: Waiting, command: Command, job: Job) -> None:
        """Carry a command out."""
        means, known = self._means, self._means.commands.named(command.name)
        asked = Asked(means.conversations, means.poster.platform(waiting), waiting, command.text, job)
        reply: Reply | str | None
        denial = means.access.denial(waiting.event)
        if denial is not None:
            reply = Reply(denial, private=True) if denial else None
        elif known is None:
            reply = Reply(f"I know no command {command.name!r}; `/help` says what there is.", private=True)
        elif known.admin and not means.access.is_admin(waiting.event):
            reply = Reply("Only admins may tell me that.", private=True)
        elif (refused := await self._refused(waiting, job)) is not None:
            reply = Reply(refused.news, private=True) if refused.news else None
        else:
            try:
                reply = sayable(await known.handler(asked))
                if known.private and isinstance(reply, str):
                    reply = Reply(reply, private=True)
            except StoreError:  # whether it was done is not known: it is given again
                raise
            except SessionError as error:
                logger.warning("The command %s in %s failed: %s", command.name, job.hold.key, error)
                asked.settled, reply = None, Reply(f"That did not work: {error}", private=True)
            except (Exception, asyncio.CancelledError) as error:
                _see_that_we_go_on(error)
                logger.exception("The command %s in %s failed", command.name, job.hold.key)
                sorry = "Sorry, that did not work: something went wrong on my side."
                asked.settled, reply = None, Reply(sorry, private=True)
        await self._finish(asked, reply)

    async def _refused(self, waiting: Waiting, job: Job) -> Refused | None:
        """Count what needs no turn as a message, once; whoever may ask no more at the moment is refused."""
        if job.work.attempts > 1:
            return None
        counted = await self._means.gate.count(waiting.event)
        return counted if isinstance(counted, Refused) else None

    async def _finish(self, asked: Asked, reply: Reply | str | None) -> None:
        """Commit what is said, unless that was done with what the command changed; then say it."""
        if await self._is_open(asked):
            said = Reply(reply) if isinstance(reply, str) else reply
            if asked.settled is None:
                asked.settled = "" if said is None else json.dumps(said.to_json())
            settled = Settled(asked.event.event_id, asked.settled, received=True)
            await (await asked.job.changing(settled)).settle()
        if asked.settled is not None:
            await self._means.poster.post(asked.waiting, asked.job, asked.settled, asked.job.work.shown)

    async def _is_open(self, asked: Asked) -> bool:
        """Whether the event still waits: one that asks for an answer is settled by that."""
        return await asked.job.is_open()

    async def _press(self, waiting: Waiting, action: Action, press: Press, job: Job) -> None:
        score = self._means.ratings.of_press(press)
        if score is not None:
            await self._opinions.press(waiting, action, press, score, job)
        elif press.button in (APPROVE, DENY):
            await self._means.poster.settle(waiting, job, Reply(DECIDED_ALREADY, private=True))
        else:
            await self._command(waiting, Command(press.button, press.text or waiting.turn or press.about), job)


def _is_order(action: Action) -> bool:
    """Whether an action is one that people expect an answer to."""
    return isinstance(action.deed, Command | Press)


def _see_that_we_go_on(error: BaseException) -> None:
    """Raise what cancels our own work again, as against what was cancelled of somebody else's that we waited for.

    Raises:
        CancelledError: It is we who are to end.
    """
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
        raise error
