"""What becomes of what comes while a turn runs in its conversation. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dspy_session_chat.action import Action, Command, Deletion, Edit, Press
from dspy_session_chat.asking import APPROVE, DENY
from dspy_session_chat.commands import Commands
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.spoken import said
from dspy_session_chat.waiting import Waiting

STOP = "stop"
"""The command and the button that stop an answer."""

Verdict = Literal["later", "stop", "interrupt", "too busy", "too many", "decide"]
"""Is handled in its order, stops the answer, stops it and is answered with it, is turned away, answers a question."""

TOO_BUSY = "I am still at work on the message before; please ask again when it is answered."
TOO_MANY = "There are too many messages waiting already, so I did not read this one; please send it again later."


def verdicts(waiting: Sequence[Waiting], manners: Manners, commands: Commands) -> Iterator[tuple[Waiting, Verdict]]:
    """What becomes of each of the events that wait, by the time they were sent.

    Args:
        waiting: The events, without the messages that are answered just now.
        manners: What the bot does while it is busy.
        commands: What is a command.
    """
    messages, behind_a_command = 0, False
    for each in waiting:
        event = each.event
        if not isinstance(event, Inbound):
            behind_a_command = behind_a_command or isinstance(event.deed, Command)
            verdict = _of_deed(event)
            is_work = verdict == "later" and isinstance(event.deed, Command | Press)
            messages += is_work
            yield each, "too many" if is_work and messages > manners.most_waiting else verdict
            continue
        command = commands.in_message(event)
        if command is not None:
            behind_a_command = True
            messages += command.name != STOP
            too_many = command.name != STOP and messages > manners.most_waiting
            yield each, "stop" if command.name == STOP else "too many" if too_many else "later"
            continue
        if event.mentions_others:  # most likely it is not for us, and what is not answered interrupts nothing
            yield each, "later"
            continue
        messages += 1
        if manners.busy == "reject":
            yield each, "too busy"
        elif messages > manners.most_waiting:
            yield each, "too many"
        else:
            yield each, "interrupt" if manners.busy == "interrupt" and not behind_a_command else "later"


def _of_deed(action: Action) -> Verdict:
    match action.deed:
        case Command(name=name) if name == STOP:
            return "stop"
        case Press(button=button) if button == STOP:
            return "stop"
        case Press(button=button) if button in (APPROVE, DENY):
            return "decide"
    return "later"


@dataclass(frozen=True, slots=True)
class Together:
    """Messages that are answered by one turn.

    Args:
        messages: The messages, as they are now, in order; none when all of them were deleted.
        also: Ids of the events that are done with it, besides the last message.
    """

    messages: tuple[Inbound, ...]
    also: tuple[str, ...]


def together(first: Waiting, waiting: Sequence[Waiting], manners: Manners, commands: Commands) -> Together:
    """The messages that are to be answered with one that is taken up, each as it was last edited.

    Args:
        first: The message that is taken up.
        waiting: What waits in the conversation, by the time it was sent.
        manners: Whether messages are merged.
        commands: What is a command, and no message.
    """
    assert isinstance(first.event, Inbound)
    messages = [first.event]
    if manners.busy in ("merge", "interrupt"):
        after = False
        for each in waiting:
            if each.event.event_id == first.event.event_id:
                after = True
            elif after and isinstance(each.event, Action) and isinstance(each.event.deed, Command):
                break
            elif not isinstance(each.event, Inbound) or each.platform != first.platform:
                continue
            elif after and (commands.in_message(each.event) or commands.meant_by(each.event)) is not None:
                break
            elif after and not each.event.mentions_others:
                messages.append(each.event)
    done: list[str] = []
    for each in waiting:
        deed = each.event.deed if isinstance(each.event, Action) else None
        if not isinstance(deed, Edit | Deletion) or deed.message_id not in [one.event_id for one in messages]:
            continue
        if isinstance(deed, Edit):
            messages = [replace(one, text=deed.text) if one.event_id == deed.message_id else one for one in messages]
        else:
            messages = [one for one in messages if one.event_id != deed.message_id]
            done.append(deed.message_id)
        done.append(each.event.event_id)
    return Together(tuple(messages), (*(one.event_id for one in messages[:-1]), *done))


def as_one(messages: Sequence[Inbound], manners: Manners) -> Inbound:
    """Messages as the one that the agent reads: the last, with the words and the files of all."""
    files = tuple(file for message in messages for file in message.attachments)
    return replace(messages[-1], text=said(messages, manners), attachments=files)
