"""``dspy-bots conversations import``: what was exported is in another store, whole, and once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from dotenv import dotenv_values

from dspy_session.errors import ConfigurationError
from dspy_session.stores import Arrival, Commit, Kept, SealedStore, SealingKey, SqliteStore
from dspy_session.testing.store_contract import chain, opened
from dspy_session_bots.exported import read_lines
from dspy_session_bots.exporting import lines_of
from dspy_session_bots.importing import BATCH, Taken, take_in
from dspy_session_bots.moving_commands import key
from dspy_session_bots.tables import json_line
from tests.bots.command_line import Line, Result, run_lines
from tests.bots.kept import DISCORD, SLACK, Writer, fill, rate

FORK = f"{SLACK}2"
SEALED = "sqlite:///sealed.db"


def conversations(*arguments: str, said: str = "", keys: str = "") -> Line:
    return Line(["conversations", *arguments], said=said, variables={"STORE_KEYS": keys})


def moved(folder: Path) -> Result:
    """What ``import`` says of all that is in ``bot.db``."""
    _, result = run_lines(
        [
            conversations("export", "--output", "all.jsonl"),
            conversations("import", "all.jsonl", "--store", "sqlite:///new.db"),
        ],
        folder,
    )
    return result


def test_from_a_plain_store_to_an_encrypted_one_to_postgresql(tmp_path: Path, postgres_url: str) -> None:
    rate(tmp_path)  # scores, an undo, an edit, a fork, a reset
    made, exported, plain = run_lines(
        [conversations("key"), conversations("export"), conversations("list", "--json")], tmp_path
    )
    (tmp_path / "plain.jsonl").write_text(exported.out, encoding="utf-8")
    name, _, keys = made.out.rstrip("\n").partition("=")
    assert name == "STORE_KEYS"
    other = SealingKey.generate().reveal()
    same, first, again, sealed = run_lines(
        [
            conversations("export", keys=keys),  # which are for another store
            conversations("import", "plain.jsonl", "--store", SEALED, keys=keys),
            conversations("import", "plain.jsonl", "--store", SEALED, keys=keys),
            conversations("export", "--store", SEALED, keys=keys),
        ],
        tmp_path,
    )
    brought, back, listed = run_lines(
        [
            conversations("import", "-", "--store", postgres_url, said=sealed.out, keys=other),
            conversations("export", "--store", postgres_url, keys=other),
            conversations("list", "--json", "--store", postgres_url, keys=other),
        ],
        tmp_path,
    )
    assert [each.err for each in (first, again, sealed, brought, back, listed)] == [""] * 6
    assert same == exported
    lines = sorted(exported.out.splitlines())
    assert first.out == f"{SEALED}: {len(lines)} entries of 3 conversations\n"
    assert again.out == f"{SEALED}: 0 entries of 0 conversations; 3 conversations there already\n"
    assert brought.out.endswith(f": {len(lines)} entries of 3 conversations\n")
    assert sorted(sealed.out.splitlines()) == sorted(back.out.splitlines()) == lines
    assert sorted(listed.out.splitlines()) == sorted(plain.out.splitlines())  # with when each of them began
    assert b"lunch?" in (tmp_path / "bot.db").read_bytes()
    assert b"lunch?" not in (tmp_path / "sealed.db").read_bytes()


def test_a_key_that_is_added_to_a_file_is_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = tmp_path / ".env"
    env.write_text("BOT_PER_USER=20/m", encoding="utf-8")
    with env.open("a", encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdout", file)
        key()
    read = dotenv_values(env)
    assert read["BOT_PER_USER"] == "20/m"
    assert read["STORE_KEYS"]


async def test_what_was_answered_is_known_and_what_is_new_follows(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    async with writer.chats:
        await writer.take(DISCORD, "hi", event="m0")
        await writer.take(SLACK, "one", event="m1")
        await writer.chats.fork(SLACK, FORK)
        await writer.take(FORK, "two", event="m2")
        await asyncio.to_thread(moved, tmp_path)
        await writer.take(SLACK, "three", event="m3")
        later = await asyncio.to_thread(moved, tmp_path)
    assert later == Result(0, "sqlite:///new.db: 1 entry of 1 conversation; 2 conversations there already\n", "")
    async with opened(lambda: SqliteStore(tmp_path / "new.db")) as store:
        found = [list(await store.received_in(f"m{number}")) for number in range(5)]
        await store.receive(Arrival(SLACK, "m5", "{}", 1.0, 1.0))
    assert found == [[DISCORD], [SLACK], [FORK], [SLACK], []]  # a fork holds what was answered elsewhere
    [once_more] = await asyncio.to_thread(
        run_lines, [conversations("export", "--store", "sqlite:///new.db", "--output", "new.jsonl")], tmp_path
    )
    assert once_more.code == 0
    assert once_more.complaint.startswith("messages wait in 1 conversation, and are not exported")
    writer = Writer(tmp_path, store=f"sqlite:///{tmp_path / 'new.db'}")
    async with writer.chats as chats:
        assert (await writer.take(SLACK, "four", event="m4")).outputs == {"reply": "four after 2"}
        assert [turn.inputs["message"] for turn in (await chats.state(FORK)).turns] == ["one", "two"]


async def test_stopped_anywhere_it_goes_on_from_there(tmp_path: Path) -> None:
    """Nothing is seen of a conversation that is not whole."""
    count = 2 * BATCH + 7
    async with opened(lambda: SqliteStore(tmp_path / "old.db")) as old:
        await old.commit(Commit(key="k", expected=0, entries=chain(count), marks={"turn:": count - 1}))
        lines = [f"{json_line(line)}\n".encode() async for line in lines_of(old, "k")]

    def until(stop: int) -> Iterator[bytes]:
        yield from islice(lines, stop)
        raise KeyboardInterrupt

    async def begin(stop: int) -> Taken:
        async with opened(lambda: SqliteStore(tmp_path / "new.db")) as new:
            return await take_in(new, new, read_lines(until(stop), "file", lambda: None))

    for stop, written in ((0, 0), (BATCH - 1, 0), (BATCH, BATCH), (BATCH + 9, BATCH), (count - 1, 2 * BATCH)):
        with pytest.raises(KeyboardInterrupt):
            await begin(stop)
        async with opened(lambda: SqliteStore(tmp_path / "new.db")) as new:
            journal = await new.read("k")
            assert (journal.length, journal.marks) == (written, {})
    async with opened(lambda: SqliteStore(tmp_path / "new.db")) as new:
        taken = await take_in(new, new, read_lines(lines, "file", lambda: None))
        assert taken == Taken(conversations=1, entries=7)
        assert [f"{json_line(line)}\n".encode() async for line in lines_of(new, "k")] == lines


def test_a_conversation_that_became_another_one_is_left_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path)
    moved(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    [third] = [line for line in lines if (line["key"], line["number"]) == (SLACK, 2)]
    third["body"]["inputs"] = {"message": "something else"}
    text = "".join(f"{json_line(line)}\n" for line in lines)
    before, result, after = run_lines(
        [
            conversations("export", "--store", "sqlite:///new.db"),
            conversations("import", "-", "--store", "sqlite:///new.db", said=text),
            conversations("export", "--store", "sqlite:///new.db"),
        ],
        tmp_path,
    )
    assert result.code == 1
    assert result.out == "sqlite:///new.db: 0 entries of 0 conversations; 1 conversation there already\n"
    assert result.complaint == f"left out: the store has another conversation {SLACK!r}, from entry 2 on"
    assert after == before


def edited(line: str, **values: object) -> str:
    return json_line({**json.loads(line), **values}) + "\n"


def test_what_is_damaged_is_refused_with_its_line(tmp_path: Path) -> None:
    fill(tmp_path)
    keys = SealingKey.generate().reveal()
    [exported] = run_lines([conversations("export")], tmp_path)
    one, *two = exported.out.splitlines(keepends=True)  # a conversation of one entry, and one of six
    export_again = "export again"
    damaged = {
        one + "no JSON": ("line 2: this is no line that dspy-bots conversations export wrote", export_again),
        one[:-9]: ("line 1: this is no line that", "or half of one"),
        "[" * 100_000: ("line 1: this is no line that",),
        one + "\n": ("line 2: this is no line that",),
        one + "".join(two[:-1]): (f"line 6: {SLACK!r} ends after 5 of 6 entries: the export was cut off",),
        "".join(two[:-1]) + one: (f"line 5: {SLACK!r} ends after 5 of 6 entries",),
        one + two[0] + "".join(two[2:]): ("line 3: entry 2 of 6", "where entry 1 of 6 should: lines are missing"),
        one + one: ("line 2: entry 0 of 1", "where entry 1 of 1 should", "or doubled"),
        edited(one, at="now"): ("line 1: at does not fit",),
        edited(one, marks=[7]): ("line 1: marks.0 does not fit",),
        edited(one, previous=0): (f"line 1: entry 0 of {DISCORD!r} points at none before it",),
        edited(one, body={"told": 7}): ("line 1: body does not say which message was answered",),
        edited(one, body={"told": {"event": 7, "events": ["m"]}}): ("line 1: body does not say",),
        edited(one, at=float("nan")): ("line 1: this is no line",),
        edited(one, body=None, text="{"): ("was damaged before it was exported", f"leave out all lines of {DISCORD!r}"),
        edited(one, body=None, text="sealed1:k:A"): ("it is encrypted: export again with STORE_KEYS set",),
    }
    for text, said in damaged.items():
        with pytest.raises(ConfigurationError) as refused:
            list(read_lines(text.encode().splitlines(keepends=True), "stdin", lambda: None))
        assert [words for words in ("stdin, ", *said) if words not in str(refused.value)] == []
        assert "hi" not in str(refused.value).split()
    mistakes = run_lines(
        [
            conversations("import", "none.jsonl", "--store", "sqlite:///new.db"),
            conversations("import", "-", "--store", "memory://"),
            conversations("import", "-", "--store", "sqlite:///bot.db", keys=keys),
            conversations("import", "-"),
            conversations("import", "-", "--store", "sqlite:///new.db"),
            conversations("import", "-", "--store", SEALED, keys=keys, said=exported.out),
            conversations("import", "-", "--store", SEALED, keys=keys, said=f"{exported.out}[]"),
            conversations("import", "-", "--store", SEALED, said=exported.out),
        ],
        tmp_path,
    )
    assert [each.code for each in mistakes] == [1, 1, 1, 2, 0, 0, 1, 1]
    assert mistakes[0].complaint == "cannot read none.jsonl: No such file or directory"
    assert "name a store that lasts" in mistakes[1].complaint
    assert "dspy-bots conversations export" in mistakes[2].complaint
    assert "--store" in mistakes[3].complaint
    assert mistakes[4].out == "sqlite:///new.db: 0 entries of 0 conversations\n"
    assert mistakes[6].complaint.startswith("stdin, line 8: this is no line that dspy-bots conversations export wrote")
    assert "the store is encrypted: give its keys" in mistakes[7].complaint


async def test_tokens_come_along_from_store_to_store(tmp_path: Path) -> None:
    old_keys, new_keys = SealingKey.generate().reveal(), SealingKey.generate().reveal()
    kept = [Kept("slack:app:bot:T1:", "xoxb-1"), Kept("slack:app:bot:T2:", "xoxb-2"), Kept("slack:state:1", "", 9e9)]

    def store(name: str, keys: str) -> SealedStore:
        return SealedStore(SqliteStore(tmp_path / f"{name}.db"), keys)

    async with opened(lambda: store("old", old_keys)) as old, opened(lambda: store("new", new_keys)) as new:
        for each in kept:
            await old.put(each)
        await new.put(Kept(kept[1].name, "xoxb-newer"))
    command = "import", "-", "--store", "sqlite:///new.db", "--tokens-from", "sqlite:///old.db"
    lines = [conversations(*command, keys=f"{new_keys},{old_keys}")] * 2
    without_keys = conversations("import", "-", "--store", "sqlite:///plain.db", "--tokens-from", "sqlite:///old.db")
    *results, refused, plain = await asyncio.to_thread(
        run_lines, [*lines, without_keys, conversations("import", "-", "--store", "sqlite:///plain.db")], tmp_path
    )
    assert "sqlite:///old.db is encrypted, and so are its tokens: set STORE_KEYS to its keys" in refused.complaint
    assert plain.code == 0  # it was not marked as an encrypted one
    assert [result.out for result in results] == [
        "sqlite:///new.db: 0 entries of 0 conversations; 1 token\n",
        "sqlite:///new.db: 0 entries of 0 conversations\n",
    ]
    async with opened(lambda: store("new", new_keys)) as new:  # and with its own keys alone
        assert [await new.get(each.name) for each in kept] == [kept[0], Kept(kept[1].name, "xoxb-newer"), None]


async def test_no_bot_may_serve_the_file_meanwhile(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    async with writer.chats:
        await writer.take(DISCORD, "hi")
        command = conversations("import", "-", "--store", "sqlite:///bot.db")
        [result] = await asyncio.to_thread(run_lines, [command], tmp_path)
    assert result.code == 1
    assert "bot.db" in result.complaint
