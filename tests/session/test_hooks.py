"""`on_turn` and `before_turn`."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from typing import Any

import dspy
import pytest

from dspy_session import Outcome, Session, Turn, get_current_history, sessionify, with_memory
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel


class Log:
    """A hook that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Session, Turn]] = []

    def __call__(self, session: Session, turn: Turn) -> None:
        assert session.turns[-1] is turn  # the turn stands when the hook runs
        self.told.append((session, turn))


async def call(session: Session, asynchronous: bool, **inputs: Any) -> Any:
    return await session.acall(**inputs) if asynchronous else session(**inputs)


both = pytest.mark.parametrize("asynchronous", [False, True])


@both
async def test_every_recorded_turn_is_told_in_order(asynchronous: bool) -> None:
    log = Log()
    session = sessionify(Scripted(), on_turn=log)
    for question in "abc":
        await call(session, asynchronous, question=question)
    assert [teller for teller, _ in log.told] == [session] * 3
    assert [turn for _, turn in log.told] == session.turns
    assert session.on_turn is log


@both
async def test_hooks_may_be_coroutine_functions_and_lists(asynchronous: bool) -> None:
    order: list[str] = []

    async def slow(session: Session, turn: Turn) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        order.append("slow")

    class Callable:
        async def __call__(self, session: Session, turn: Turn) -> None:
            order.append("object")

    def quick(session: Session, turn: Turn) -> None:
        order.append("quick")

    hooks = [slow, quick, Callable()]
    session = sessionify(Scripted(), on_turn=hooks)
    await call(session, asynchronous, question="a")
    assert order == ["slow", "quick", "object"]
    assert session.on_turn == hooks
    session.on_turn = None
    await call(session, asynchronous, question="b")
    assert len(order) == 3


def test_a_sync_call_without_a_loop_runs_an_async_hook_to_completion() -> None:
    finished = []

    async def hook(session: Session, turn: Turn) -> None:
        await asyncio.sleep(0)
        finished.append(turn.index)

    session = sessionify(Scripted(), on_turn=hook)
    session(question="a")
    assert finished == [0]


def test_an_async_hook_of_a_sync_call_sees_the_context() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    async def hook(session: Session, turn: Turn) -> None:
        seen.append((variable.get(), dspy.settings.get("flavour"), session.state is state))

    session = sessionify(Scripted(), on_turn=hook)
    state = session.new_state()
    variable.set("set")
    with dspy.context(flavour="mint"), session.use_state(state):
        session(question="a")
    assert seen == [("set", "mint", True)]


@both
async def test_an_error_is_a_warning_with_its_traceback_and_breaks_nothing(
    asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()

    def fails(session: Session, turn: Turn) -> None:
        raise ZeroDivisionError("in the hook")

    async def fails_later(session: Session, turn: Turn) -> None:
        await asyncio.sleep(0)
        raise LookupError("in the async hook")

    session = sessionify(Scripted(), on_turn=[fails, fails_later, log])
    assert (await call(session, asynchronous, question="a")).answer == "a after 0"
    assert len(log.told) == len(session) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "An on_turn hook failed; the turn stands." in caplog.text
    assert "ZeroDivisionError: in the hook" in caplog.text
    assert "LookupError: in the async hook" in caplog.text
    assert "in fails_later" in caplog.text


async def test_cancelling_a_hook_never_removes_the_turn() -> None:
    running = asyncio.Event()

    async def endless(session: Session, turn: Turn) -> None:
        running.set()
        await asyncio.Event().wait()

    session = sessionify(Scripted(), on_turn=endless, lock="async")
    task = asyncio.create_task(session.acall(question="a"))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [turn.inputs["question"] for turn in session.turns] == ["a"]
    session.on_turn = None
    await session.acall(question="b")
    assert len(session) == 2


def test_interrupting_a_hook_never_removes_the_turn() -> None:
    def interrupted(session: Session, turn: Turn) -> None:
        raise KeyboardInterrupt

    session = sessionify(Scripted(), on_turn=interrupted)
    with pytest.raises(KeyboardInterrupt):
        session(question="a")
    assert len(session) == 1


async def test_hooks_run_in_turn_order_under_the_lock() -> None:
    order: list[tuple[str, int]] = []

    async def answer(question: str, history: dspy.History) -> str:
        order.append(("program", int(question)))
        await asyncio.sleep(0)
        return question

    async def hook(session: Session, turn: Turn) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append(("hook", turn.index))

    session = sessionify(Scripted(answer), on_turn=hook, lock="async")
    await asyncio.gather(*(session.acall(question=str(number)) for number in range(4)))
    assert order == [(who, number) for number in range(4) for who in ("program", "hook")]


@both
async def test_hooks_run_once_the_turn_is_committed(asynchronous: bool) -> None:
    order: list[str] = []

    async def commit(outcome: Outcome) -> None:
        await asyncio.sleep(0)
        order.append("committed")

    session = sessionify(Scripted(), on_turn=lambda *_: order.append("told"))
    with session.use_state(session.new_state(), commit=commit):
        await call(session, asynchronous, question="a")
    assert order == ["committed", "told"]


def test_nobody_is_told_of_what_is_not_recorded() -> None:
    log = Log()
    session = sessionify(Scripted(lambda question, _: {"answer": 1 / len(question)}), on_turn=log)
    session(question="override", history=dspy.History(messages=[]))
    with pytest.raises(ZeroDivisionError):
        session(question="")
    session.add_turn({"question": "by hand"}, {"answer": "!"})
    stateless = sessionify(Scripted(), on_turn=log, lifespan="stateless")
    stateless(question="a")
    assert log.told == []
    assert len(stateless) == 0


def test_the_turns_of_children_are_not_told(stub: StubModel) -> None:
    log, inner = Log(), Log()
    team = Team()
    team.draft = sessionify(dspy.Predict("question -> text"), on_turn=inner)
    app = with_memory(team, on_turn=log)
    app(question="a")
    assert [teller for teller, _ in log.told] == [app]
    assert inner.told == []


def test_a_hook_stands_outside_the_call() -> None:
    seen: list[Any] = []
    session = sessionify(
        Scripted(lambda *_: seen.append(get_current_history())), on_turn=lambda *_: seen.append(get_current_history())
    )
    session(question="a")
    assert seen == [dspy.History(messages=[]), None]


# --- before a turn


@both
async def test_pre_turn_hooks_may_change_the_inputs_one_after_the_other(asynchronous: bool) -> None:
    def shout(session: Session, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"question": inputs["question"].upper()}

    async def greet(session: Session, inputs: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {**inputs, "question": f"Hello, {inputs['question']}"}

    def watch(session: Session, inputs: dict[str, Any]) -> None:
        inputs.clear()

    session = sessionify(Scripted(), before_turn=[shout, greet, watch])
    assert (await call(session, asynchronous, question="max")).answer == "Hello, MAX after 0"
    assert session.turns[0].inputs == {"question": "Hello, MAX"}


@both
async def test_a_pre_turn_hook_that_raises_stops_the_turn(asynchronous: bool) -> None:
    asked: list[str] = []

    def refuse(session: Session, inputs: dict[str, Any]) -> None:
        raise PermissionError("budget spent")

    session = sessionify(Scripted(lambda question, _: asked.append(question)), before_turn=refuse, lock="async")
    with pytest.raises(PermissionError, match="budget spent"):
        await (session.acall(question="a") if asynchronous else asyncio.to_thread(session, question="a"))
    assert (asked, len(session), session.state.lock.locked()) == ([], 0, False)


def test_a_pre_turn_hook_returns_inputs_or_nothing() -> None:
    session = sessionify(Scripted(), before_turn=lambda *_: "no inputs")
    with pytest.raises(TypeError, match="a before_turn hook returns the inputs, or None; got str"):
        session(question="a")


def test_a_pre_turn_hook_may_bring_a_history() -> None:
    given = dspy.History(messages=[{"question": "x", "answer": "y"}])
    session = sessionify(
        Scripted(), before_turn=lambda _, inputs: {**inputs, "history": given}, history_policy="use_if_provided"
    )
    assert session(question="a").answer == "a after 1"
    assert session.turns[0].history_snapshot == given


def test_hooks_of_a_sync_call_run_in_its_thread() -> None:
    threads: list[Any] = []
    session = sessionify(
        Scripted(),
        on_turn=lambda *_: threads.append(threading.current_thread()),
        before_turn=lambda *_: threads.append(threading.current_thread()),
    )
    session(question="a")
    assert threads == [threading.current_thread()] * 2
