"""Journals in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

from dspy_session.errors import StaleJournalError
from dspy_session.stores.chains import see_that_all_is_there
from dspy_session.stores.outgoing import Delivery
from dspy_session.stores.protocol import SHARED, Commit, ConversationInfo, Entry, Forget, Journal, Settled

FORGOTTEN = "forgotten"
"""The kind of an entry that says nothing any more."""

_FIND = "SELECT id, length, marks FROM conversations WHERE key = ?"
_CREATE = """
    INSERT INTO conversations (key, length, marks, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (key) DO NOTHING RETURNING id
"""
_GROW = """
    UPDATE conversations SET length = length + ?, marks = ?, updated_at = ?
    WHERE key = ? AND length = ? RETURNING id
"""
_ADD = """
    INSERT INTO entries (conversation, number, kind, body, at, previous, about, author) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_COLUMNS = "kind, body, at, previous, about, author"
_CHAIN = """
    WITH RECURSIVE chain (number, depth) AS (
        VALUES (?2, 1)
        UNION ALL
        SELECT e.previous, chain.depth + 1 FROM chain JOIN entries e ON e.conversation = ?1 AND e.number = chain.number
        WHERE e.previous IS NOT NULL AND chain.depth < ?3
    )
    SELECT e.number, e.kind, e.body, e.at, e.previous, e.about, e.author
    FROM chain JOIN entries e ON e.conversation = ?1 AND e.number = chain.number
"""
_ABOUT = f"""
    SELECT number, {_COLUMNS} FROM entries
    WHERE conversation = ? AND about BETWEEN ? AND ? AND about IS NOT NULL ORDER BY number
"""  # noqa: S608  # made of constants
_PAGE = f"""
    SELECT number, {_COLUMNS} FROM entries e JOIN conversations c ON c.id = e.conversation
    WHERE c.key = ? AND number > ? ORDER BY number LIMIT ?
"""  # noqa: S608  # as above
_LIST = """
    SELECT key, length, created_at, updated_at FROM conversations
    WHERE length > 0 AND substr(key, 1, length(?1)) = ?1 ORDER BY updated_at DESC, id DESC
"""
_ANSWER = """
    UPDATE arrivals SET state = ?1, reply = ?2, attempts = 0,
        author = CASE ?1 WHEN 'done' THEN '' ELSE author END,
        payload = CASE ?1 WHEN 'done' THEN '' ELSE payload END,
        message_ids = CASE ?5 WHEN '[]' THEN message_ids ELSE ?5 END
    WHERE key = ?3 AND event_id = ?4 AND state = 'waiting'
"""
_KNOW = """
    INSERT INTO arrivals (key, event_id, author, state, payload, reply, sent_at, received_at, attempts, message_ids)
    VALUES (?, ?, '', ?, '', ?, ?, ?, 1, ?) ON CONFLICT (key, event_id) DO NOTHING
"""
_DELIVER = """
    INSERT INTO deliveries (sink, key, delivery_id, body, at, author, first_entry, last_entry)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
# A lane that is opened again has another fence than before: what was claimed from the old one settles nothing.
_OPEN_LANE = """
    INSERT INTO lanes (sink, key, due_at, attempts, parked, reason, fence, leased_until)
    VALUES (?1, ?2, ?3, 0, 0, '', CAST(?3 * 1000000 AS INTEGER), 0) ON CONFLICT (sink, key) DO NOTHING
"""


def read(db: sqlite3.Connection, key: str, depth: int | None) -> Journal:
    """A conversation: its marks, what they lead to, and what is said of that."""
    found = db.execute(_FIND, (key,)).fetchone()
    if found is None:
        return Journal()
    conversation, length, marks_text = found
    marks: dict[str, int] = json.loads(marks_text)
    entries: dict[int, Entry] = {}
    for end in dict.fromkeys(marks.values()):
        for number, *columns in db.execute(_CHAIN, (conversation, end, length if depth is None else depth)):
            entries[number] = Entry(*columns)
    if entries:
        for number, *columns in db.execute(_ABOUT, (conversation, min(entries), max(entries))):
            if columns[4] in entries:
                entries[number] = Entry(*columns)
    journal = Journal(length, marks, entries)
    see_that_all_is_there(key, journal, depth)
    return journal


def commit(db: sqlite3.Connection, change: Commit, now: float) -> None:
    """Write a change."""
    added, marks = len(change.entries), json.dumps(change.marks, separators=(",", ":"))
    if added:
        began, at = change.entries[0].at, change.entries[-1].at
        found = db.execute(_GROW, (added, marks, at, change.key, change.expected)).fetchone()
        if found is None and change.expected == 0:
            found = db.execute(_CREATE, (change.key, added, marks, began, at)).fetchone()
        if found is None:
            raise StaleJournalError
        _blank(db, found[0], change.key, change.forgets)
        _rewrite(db, found[0], change.key, change.rewrites)
        db.executemany(
            _ADD,
            [
                (found[0], change.expected + place, e.kind, e.body, e.at, e.previous, e.about, e.author)
                for place, e in enumerate(change.entries)
            ],
        )
    elif length_of(db, change.key) != change.expected:
        raise StaleJournalError
    author = change.entries[-1].author if added else ""
    if change.settled is not None:
        _settle(db, change.key, change.settled, change.entries[-1].at if added else now)
    for event_id in change.also:
        if not db.execute(_ANSWER, ("done", "", change.key, event_id, "[]")).rowcount:
            raise StaleJournalError(f"the message {event_id!r} is settled already, or was forgotten")
    about = (change.expected, change.expected + added - 1)
    for delivery in change.deliveries:
        enqueue(db, change.key, delivery, now, author, about)


def length_of(db: sqlite3.Connection, key: str) -> int:
    """How many entries a conversation has."""
    found = db.execute(_FIND, (key,)).fetchone()
    return 0 if found is None else int(found[1])


def _settle(db: sqlite3.Connection, key: str, settled: Settled, at: float) -> None:
    state, shown = "answered" if settled.reply else "done", json.dumps(list(settled.shown))
    if db.execute(_ANSWER, (state, settled.reply, key, settled.event_id, shown)).rowcount:
        return
    if settled.received:
        raise StaleJournalError(f"the message {settled.event_id!r} is settled already, or was forgotten")
    if not db.execute(_KNOW, (key, settled.event_id, state, settled.reply, at, at, shown)).rowcount:
        raise StaleJournalError(f"the message {settled.event_id!r} is settled already")


def enqueue(
    db: sqlite3.Connection,
    key: str,
    delivery: Delivery,
    due_at: float,
    author: str = "",
    about: tuple[int | None, int | None] = (None, None),
) -> None:
    """Add a delivery to the end of its lane; a lane that is new is due at ``due_at``.

    Args:
        db: Where.
        key: The conversation.
        delivery: What to deliver.
        due_at: When, in seconds since 1970, UTC.
        author: Who wrote what it tells of.
        about: The first and the last entry that were committed with it; None when nobody knows.
    """
    if db.execute("SELECT 1 FROM sinks WHERE name = ? AND disabled", (delivery.sink,)).fetchone():
        return
    db.execute(_DELIVER, (delivery.sink, key, delivery.id, delivery.body, delivery.at, author, *about))
    db.execute(_OPEN_LANE, (delivery.sink, key, due_at))


def page(db: sqlite3.Connection, key: str, after: int, count: int) -> list[tuple[int, Entry]]:
    """The next entries of a conversation after a number."""
    return [(number, Entry(*columns)) for number, *columns in db.execute(_PAGE, (key, after, count))]


def listed(db: sqlite3.Connection, prefix: str) -> list[ConversationInfo]:
    """The conversations whose keys begin with ``prefix``, the newest first."""
    return [ConversationInfo(*row) for row in db.execute(_LIST, (prefix,))]


# --- forgetting -------------------------------------------------------------------------------------------------------

_BLANK = f"""
    UPDATE entries SET kind = '{FORGOTTEN}', body = '{{}}', author = '', about = NULL
    WHERE conversation = ?1 AND number IN (SELECT value FROM json_each(?2))
"""  # noqa: S608  # made of constants
_REWRITE = "UPDATE entries SET body = ? WHERE conversation = ? AND number = ?"
_NOTE = f"""
    INSERT INTO entries (conversation, number, kind, body, at, author)
    SELECT id, length, '{FORGOTTEN}', '{{}}', updated_at, '' FROM conversations WHERE id = ?
"""  # noqa: S608  # as above
_CLOSE_EMPTY_LANES = """
    DELETE FROM lanes WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.sink = lanes.sink AND d.key = lanes.key)
"""
_IDLE = """
    SELECT key FROM conversations c WHERE updated_at < ?
    AND NOT EXISTS (SELECT 1 FROM arrivals a WHERE a.key = c.key AND a.state <> 'done')
"""
_BY_AUTHOR = f"""
    (e.conversation, e.number) IN (
        SELECT conversation, number FROM entries WHERE author = ?1
        UNION ALL SELECT conversation, about FROM entries WHERE author = ?1 AND kind = '{SHARED}' AND about IS NOT NULL
    )
"""  # noqa: S608  # made of constants
_BY_NUMBER = "c.key = ? AND e.number IN (SELECT value FROM json_each(?))"
_OLD = f"e.at < ? AND e.kind <> '{FORGOTTEN}' AND e.number NOT IN (SELECT value FROM json_each(c.marks))"  # noqa: S608
_WHERE = """
    SELECT c.id, c.key, json_group_array(e.number) FROM entries e JOIN conversations c ON c.id = e.conversation
    WHERE {condition} GROUP BY c.id
"""
_DROP = """
    DELETE FROM deliveries WHERE key = ?1 AND (first_entry IS NULL OR EXISTS (
        SELECT 1 FROM json_each(?2) WHERE value BETWEEN first_entry AND last_entry
    ))
"""
# A message stays known, so that it is not answered when the platform sends it once more.
_BLANK_ARRIVALS = """
    UPDATE arrivals SET state = 'done', payload = '', reply = '', author = '' WHERE author = ? RETURNING key
"""
_ABOUT_THOSE = "SELECT number FROM entries WHERE conversation = ?1 AND about IN (SELECT value FROM json_each(?2))"


def forget(db: sqlite3.Connection, what: Forget, held: Collection[str]) -> list[str]:
    """Delete for good.

    Args:
        db: Where.
        what: What.
        held: The conversations that somebody works on.

    Returns:
        The conversations that changed.
    """
    changed: dict[str, None] = {}
    if what.key is not None and what.numbers:
        changed |= dict.fromkeys(_blank_where(db, _BY_NUMBER, (what.key, json.dumps(list(what.numbers)))))
    elif what.key is not None and _delete(db, what.key):
        changed[what.key] = None
    if what.author is not None:
        changed |= dict.fromkeys(_forget_author(db, what.author))
    if what.before is not None:
        changed |= dict.fromkeys(_forget_before(db, what.before, held))
    return list(changed)


def _delete(db: sqlite3.Connection, key: str) -> bool:
    """Delete a conversation; False when there was nothing of it."""
    db.execute("DELETE FROM entries WHERE conversation IN (SELECT id FROM conversations WHERE key = ?)", (key,))
    tables = ("conversations", "arrivals", "deliveries", "lanes", "posts")
    gone = [db.execute(f"DELETE FROM {table} WHERE key = ?", (key,)).rowcount for table in tables]  # noqa: S608
    return any(gone)


def _forget_author(db: sqlite3.Connection, author: str) -> list[str]:
    changed = _blank_where(db, _BY_AUTHOR, (author,))
    for statement in (_BLANK_ARRIVALS, "DELETE FROM deliveries WHERE author = ? RETURNING key"):
        changed += [key for (key,) in db.execute(statement, (author,)).fetchall()]
    db.execute("DELETE FROM accounts WHERE owner = ?", (author,))
    db.execute(_CLOSE_EMPTY_LANES)
    return changed


def _forget_before(db: sqlite3.Connection, before: float, held: Collection[str]) -> list[str]:
    idle = [key for (key,) in db.execute(_IDLE, (before,)) if key not in held]
    for key in idle:
        _delete(db, key)
    db.execute("DELETE FROM arrivals WHERE state = 'done' AND received_at < ?", (before,))
    db.execute("DELETE FROM posts WHERE at < ?", (before,))
    db.execute("DELETE FROM accounts WHERE expires_at < ?", (before,))
    changed = idle + _blank_where(db, _OLD, (before,), held)
    db.execute(_CLOSE_EMPTY_LANES)
    return changed


def _blank_where(
    db: sqlite3.Connection, condition: str, values: tuple[str | float, ...], but: Collection[str] = ()
) -> list[str]:
    """Blank the entries that meet a condition, those about them, and what sinks were to be told of either.

    Returns:
        The conversations that they are of; none of ``but``.
    """
    found = [row for row in db.execute(_WHERE.format(condition=condition), values).fetchall() if row[1] not in but]
    for conversation, key, numbers in found:
        _blank(db, conversation, key, json.loads(numbers))
        # One entry more, so that whoever knows the conversation by heart notices that it has changed.
        db.execute(_NOTE, (conversation,))
        db.execute("UPDATE conversations SET length = length + 1 WHERE id = ?", (conversation,))
    return [key for _, key, _ in found]


def _blank(db: sqlite3.Connection, conversation: int, key: str, numbers: Collection[int]) -> None:
    """Blank entries, those about them, and what sinks were to be told of either."""
    if not numbers:
        return
    those = json.dumps(list(numbers))
    about = json.dumps([number for (number,) in db.execute(_ABOUT_THOSE, (conversation, those))])
    for going in (those, about):
        db.execute(_BLANK, (conversation, going))
        db.execute(_DROP, (key, going))


def _rewrite(db: sqlite3.Connection, conversation: int, key: str, entries: Mapping[int, Entry]) -> None:
    """Give entries other bodies, and drop what sinks were to be told of them."""
    if not entries:
        return
    db.executemany(_REWRITE, [(entry.body, conversation, number) for number, entry in entries.items()])
    db.execute(_DROP, (key, json.dumps(list(entries))))
