"""What the stores are given to keep: the commits of a conversation of turns of 800 characters."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from measure import loop

CHARACTERS = 800
WINDOW = 20
SINK = "webhook:bench"


class _Maker:
    """Records the entries and the deliveries of a conversation that is held, and keeps nothing anywhere."""

    def __init__(self) -> None:
        from programs import Parrot

        from dspy_session import Session, SessionState
        from dspy_session.conversation.restoring import Restored

        self._session = Session(Parrot(), max_turns=WINDOW)
        self._known = Restored(SessionState())
        self.made: list[tuple[Any, Any]] = []

    async def make(self, count: int) -> None:
        from programs import question

        for place in range(len(self.made), count):
            with self._session.use_state(self._known.state, commit=self._keep):
                await self._session.acall(question=question(place, CHARACTERS // 2))

    async def _keep(self, outcome: Any) -> None:
        from dspy_session.conversation.envelope import Selection, delivery
        from dspy_session.conversation.journal import as_written, call_change
        from dspy_session.conversation.taking import turn_event

        at = time.time()
        told = {"author": "U1", "name": "Ada", "event": f"C1:{at:.6f}", "took": 1.234}
        change = call_change(outcome, self._known, at, author="slack:T1:U1", told=told)
        event = turn_event("slack:T1:C1", as_written(outcome.turns[-1], at), told, at)
        self.made.append((change.entries[-1], delivery(SINK, event, Selection.of())))
        self._known.grow(change.entries, change.marks)


@lru_cache
def _maker() -> _Maker:
    return _Maker()


def commit(key: str, start: int, count: int = 1, *, deliver: bool = False) -> Any:
    """The commit of ``count`` turns of a conversation that has ``start``, with what a sink is told of them."""
    from dspy_session.stores import Commit

    maker = _maker()
    if len(maker.made) < start + count:
        loop().run(maker.make(start + count))
    made = maker.made[start : start + count]
    return Commit(
        key=key,
        expected=start,
        entries=[entry for entry, _ in made],
        marks={"turn:": start + count - 1},
        deliveries=[told for _, told in made] if deliver else (),
    )
