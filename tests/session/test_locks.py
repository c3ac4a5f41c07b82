"""One turn at a time on a state: over tasks, threads and event loops, in order of arrival."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import dspy
import pytest

from dspy_session import Session, SessionError, SessionState, Turn, sessionify
from dspy_session.locks import TurnLock
from tests.session.programs import Scripted
from tests.stub_lm import StubModel

PATIENCE = 30
"""Seconds until a test that would hang fails instead."""


def said(of: Session | SessionState) -> list[str]:
    return [turn.inputs["question"] for turn in of.turns]


class Overlap:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._guard = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._guard:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            yield
        finally:
            with self._guard:
                self.now -= 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # what other threads do sets no event of ours
            await asyncio.sleep(0)


def spin_until(condition: Callable[[], bool]) -> None:
    asyncio.run(until(condition))


def queued(lock: TurnLock, number: int) -> Callable[[], bool]:
    return lambda: lock.waiting() == number


# --- the lock itself


async def test_tasks_are_admitted_in_order_of_arrival() -> None:
    lock, order, overlap = TurnLock(), [], Overlap()

    async def call(name: int) -> None:
        async with lock.ahold():
            with overlap():
                order.append(name)
                await asyncio.sleep(0)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(call(name) for name in range(50)))
    assert (order, overlap.most) == (list(range(50)), 1)
    assert not lock.locked()


async def test_tasks_threads_and_other_loops_queue_together() -> None:
    lock, order, overlap = TurnLock(), [], Overlap()

    async def task(name: str) -> None:
        async with lock.ahold():
            with overlap():
                order.append(name)
                await asyncio.sleep(0)

    def thread(name: str) -> None:
        with lock.hold(), overlap():
            order.append(name)

    def loop(name: str) -> None:
        asyncio.run(task(name))

    arrivals: list[Any] = []
    with ThreadPoolExecutor(12) as pool:
        async with lock.ahold():
            for number in range(8):
                arrivals.append(asyncio.create_task(task(f"task {number}")))
                await until(queued(lock, len(arrivals)))
                arrivals.append(asyncio.get_running_loop().run_in_executor(pool, thread, f"thread {number}"))
                await until(queued(lock, len(arrivals)))
                if number < 4:
                    arrivals.append(asyncio.get_running_loop().run_in_executor(pool, loop, f"loop {number}"))
                    await until(queued(lock, len(arrivals)))
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*arrivals)
    expected = [
        f"{kind} {number}" for number in range(8) for kind in ("task", "thread", "loop")[: 3 if number < 4 else 2]
    ]
    assert (order, overlap.most) == (expected, 1)


async def test_waiters_that_give_up_leave_the_others_in_order() -> None:
    lock, order = TurnLock(), []

    async def call(name: int) -> None:
        async with lock.ahold():
            order.append(name)

    async with lock.ahold():
        tasks = [asyncio.create_task(call(name)) for name in range(6)]
        await until(queued(lock, 6))
        for name in (0, 3, 5):
            tasks[name].cancel()
        await until(queued(lock, 3))
        assert order == []
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1, 2, 4]
    assert not lock.locked()


async def test_a_waiter_cancelled_just_when_its_turn_comes_passes_it_on() -> None:
    lock, order = TurnLock(), []

    async def call(name: int) -> None:
        async with lock.ahold():
            order.append(name)

    async with contextlib.AsyncExitStack() as held:
        await held.enter_async_context(lock.ahold())
        first, second = (asyncio.create_task(call(name)) for name in range(2))
        await until(queued(lock, 2))
        await held.aclose()  # the first is granted the lock, and has not run yet
        first.cancel()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(first, second, return_exceptions=True)
    assert (first.cancelled(), order, lock.locked()) == (True, [1], False)


def test_a_waiting_thread_that_is_interrupted_leaves_the_queue() -> None:
    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    lock = TurnLock()
    with lock.hold(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "Event", Interrupted)
        with pytest.raises(KeyboardInterrupt), lock.hold():
            pytest.fail("two hold the lock")
    with lock.hold():
        assert lock.waiting() == 0
    assert not lock.locked()


def test_a_waiter_whose_loop_is_gone_is_passed_over_for_good() -> None:
    lock, order = TurnLock(), []

    async def begin_to_wait() -> Any:
        waiting = lock.ahold().__aenter__()
        waiting.send(None)
        return waiting

    def call(name: str) -> None:
        with lock.hold():
            order.append(name)
            if name == "first":
                forgotten.close()  # as the interpreter does with a task that nobody runs any more
                assert lock.waiting() == 1

    with ThreadPoolExecutor(2) as pool:
        with lock.hold():
            loop = asyncio.new_event_loop()
            forgotten = loop.run_until_complete(begin_to_wait())
            loop.close()
            first = pool.submit(call, "first")
            spin_until(queued(lock, 2))
            last = pool.submit(call, "last")
            spin_until(queued(lock, 3))
        first.result(PATIENCE)
        last.result(PATIENCE)
    assert order == ["first", "last"]
    assert not lock.locked()


async def test_a_sync_call_that_would_wait_for_its_own_loop_says_so() -> None:
    lock = TurnLock()
    async with lock.ahold():
        with pytest.raises(SessionError, match=r"use `await session\.acall\(\.\.\.\)`"), lock.hold():
            pytest.fail("two hold the lock")
    with lock.hold():
        assert lock.locked()


async def test_a_sync_call_says_so_too_when_a_task_of_its_loop_waits_before_it() -> None:
    lock = TurnLock()
    inside, leave = threading.Event(), threading.Event()

    def thread() -> None:
        with lock.hold():
            inside.set()
            leave.wait(PATIENCE)

    holder = asyncio.get_running_loop().run_in_executor(None, thread)
    await until(inside.is_set)

    async def call() -> None:
        async with lock.ahold():
            pass

    waiting = asyncio.create_task(call())
    await until(queued(lock, 1))
    with pytest.raises(SessionError, match="same event loop"), lock.hold():
        pytest.fail("two hold the lock")
    leave.set()
    await holder
    await waiting


# --- sessions that lock


@pytest.mark.parametrize("lock", ["async", "thread"])
async def test_calls_on_one_state_never_overlap_and_keep_their_order(lock: str) -> None:
    overlap = Overlap()

    async def slow(question: str, history: dspy.History) -> str:
        with overlap():
            for _ in range(3):
                await asyncio.sleep(0)
        return f"after {len(history.messages)}"

    session = sessionify(Scripted(slow), lock=lock)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(session.acall(question=str(number)) for number in range(10)))
    assert overlap.most == 1
    assert said(session) == [str(number) for number in range(10)]
    assert [turn.outputs["output"] for turn in session.turns] == [f"after {number}" for number in range(10)]
    assert [turn.index for turn in session.turns] == list(range(10))


async def test_without_a_lock_they_overlap() -> None:
    overlap = Overlap()

    async def slow(question: str, history: dspy.History) -> str:
        with overlap():
            await until(lambda: overlap.most == 10)
        return question

    session = sessionify(Scripted(slow))
    await asyncio.gather(*(session.acall(question=str(number)) for number in range(10)))
    assert overlap.most == 10


async def test_the_lock_belongs_to_the_state_not_to_the_session() -> None:
    overlap = Overlap()

    async def slow(question: str, history: dspy.History) -> str:
        with overlap():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return question

    state = SessionState()
    sessions = [sessionify(Scripted(slow), lock="async") for _ in range(5)]

    async def call(session: Session) -> None:
        with session.use_state(state):
            await session.acall(question="?")

    await asyncio.gather(*map(call, sessions))
    assert (overlap.most, len(state)) == (1, 5)


async def test_a_hundred_conversations_take_the_time_of_one() -> None:
    waiting, everybody = 0, asyncio.Event()

    async def reply(prompt: Any) -> dict[str, str]:
        nonlocal waiting
        waiting += 1
        if waiting == 100:  # no model call ends before all have begun
            everybody.set()
        async with asyncio.timeout(PATIENCE):
            await everybody.wait()
        return {"answer": prompt.inputs["question"]}

    session = sessionify(dspy.Predict("question -> answer"), lock="async")
    session.set_lm(StubModel(reply).lm)
    states = [session.new_state() for _ in range(100)]

    async def chat(number: int) -> None:
        async with session.use_state(states[number]):
            await session.acall(question=str(number))

    await asyncio.gather(*map(chat, range(100)))
    assert [said(state) for state in states] == [[str(number)] for number in range(100)]


def test_threads_never_overlap_on_one_state() -> None:
    overlap, two = Overlap(), threading.Barrier(2)

    def slow(question: str, history: dspy.History) -> str:
        with overlap(), contextlib.suppress(threading.BrokenBarrierError):
            two.wait(0.01)  # it would be passed if two were ever inside
        return question

    session = sessionify(Scripted(slow), lock="thread")
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda number: session(question=str(number)), range(10)))
    assert overlap.most == 1
    assert sorted(said(session)) == [str(number) for number in range(10)]
    assert [turn.index for turn in session.turns] == list(range(10))


async def test_sync_calls_from_threads_wait_for_tasks_and_other_loops() -> None:
    overlap = Overlap()

    async def slow(question: str, history: dspy.History) -> str:
        with overlap():
            await asyncio.sleep(0)
        return question

    def quick(question: str, history: dspy.History) -> Any:
        if question.startswith("thread"):
            with overlap():
                return question
        return slow(question, history)

    session = sessionify(Scripted(quick), lock="async")

    def other_loop(number: int) -> None:
        async def chat() -> None:
            await session.acall(question=f"loop {number}")

        asyncio.run(chat())

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(
            *(session.acall(question=f"task {number}") for number in range(5)),
            *(asyncio.to_thread(lambda number=number: session(question=f"thread {number}")) for number in range(5)),
            *(asyncio.to_thread(other_loop, number) for number in range(5)),
        )
    assert (overlap.most, len(session)) == (1, 15)
    assert [turn.index for turn in session.turns] == list(range(15))


async def test_a_sync_call_on_a_busy_loop_raises_instead_of_hanging() -> None:
    go = asyncio.Event()

    async def slow(question: str, history: dspy.History) -> str:
        await go.wait()
        return question

    session = sessionify(Scripted(slow), lock="async")
    task = asyncio.create_task(session.acall(question="slow"))
    await until(session.state.lock.locked)
    with pytest.raises(SessionError, match="use `await"):
        session(question="at once")
    go.set()
    await task
    assert said(session) == ["slow"]


async def test_a_cancelled_waiter_records_nothing_and_leaves_the_others_in_order() -> None:
    go = asyncio.Event()

    async def slow(question: str, history: dspy.History) -> str:
        await go.wait()
        return question

    session = sessionify(Scripted(slow), lock="async")
    tasks = [asyncio.create_task(session.acall(question=str(number))) for number in range(5)]
    await until(queued(session.state.lock, 4))
    tasks[2].cancel()
    await until(queued(session.state.lock, 3))
    go.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert said(session) == ["0", "1", "3", "4"]


async def test_a_failed_or_cancelled_call_lets_the_next_one_in() -> None:
    async def answer(question: str, history: dspy.History) -> str:
        if question == "hang":
            await asyncio.Event().wait()
        if question == "fail":
            raise ValueError(question)
        return question

    session = sessionify(Scripted(answer), lock="async")
    hanging = asyncio.create_task(session.acall(question="hang"))
    await until(session.state.lock.locked)
    hanging.cancel()
    with pytest.raises(ValueError, match="fail"):
        await session.acall(question="fail")
    await session.acall(question="fine")
    assert said(session) == ["fine"]


# --- re-entry


@pytest.mark.parametrize("lock", ["async", "thread"])
async def test_a_call_from_inside_a_turn_does_not_deadlock(lock: str) -> None:
    async def again(question: str, history: dspy.History) -> str:
        if question == "outer":
            await session.acall(question="inner, from a task")
            await asyncio.create_task(session.acall(question="inner, from a new task"))
            session(question="inner, sync")
            await dspy.asyncify(session)(question="inner, asyncify")
        return f"{question} after {len(history.messages)}"

    def nested(question: str, history: dspy.History) -> Any:
        return question if "sync" in question or "asyncify" in question else again(question, history)

    session = sessionify(Scripted(nested), lock=lock, copy_mode="none")
    async with asyncio.timeout(PATIENCE):
        await session.acall(question="outer")
        await session.acall(question="next")
    assert said(session) == [
        "inner, from a task",
        "inner, from a new task",
        "inner, sync",
        "inner, asyncify",
        "outer",
        "next",
    ]
    assert [turn.index for turn in session.turns] == list(range(6))


@pytest.mark.parametrize("lock", ["async", "thread"])
def test_parallel_inside_a_turn_belongs_to_the_turn(lock: str) -> None:
    def many(question: str, history: dspy.History) -> str:
        if question == "outer":
            pairs = [(session, {"question": str(number)}) for number in range(4)]
            dspy.Parallel(num_threads=4, disable_progress_bar=True)(pairs)
        return question

    session = sessionify(Scripted(many), lock=lock, copy_mode="none")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(session, question="outer").result(PATIENCE)
    assert sorted(said(session)) == ["0", "1", "2", "3", "outer"]


@pytest.mark.parametrize("lock", ["async", "thread"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_hooks_that_call_the_session_do_not_deadlock(lock: str, asynchronous: bool) -> None:
    async def after(session: Session, turn: Turn) -> None:
        if turn.inputs["question"] == "outer":
            await session.acall(question="async hook")

    def afterwards(session: Session, turn: Turn) -> None:
        if turn.inputs["question"] == "outer":
            session(question="sync hook")

    def before(session: Session, inputs: dict[str, Any]) -> None:
        if inputs["question"] == "outer":
            session(question="pre-turn hook")

    session = sessionify(Scripted(), lock=lock, on_turn=[after, afterwards], before_turn=before)
    async with asyncio.timeout(PATIENCE):
        await (session.acall(question="outer") if asynchronous else asyncio.to_thread(session, question="outer"))
        await session.acall(question="next")
    assert said(session) == ["pre-turn hook", "outer", "async hook", "sync hook", "next"]


async def test_what_outlives_its_turn_waits_like_everybody_else() -> None:
    overlap, go = Overlap(), asyncio.Event()
    left_behind: list[asyncio.Task[Any]] = []

    async def slow(question: str, history: dspy.History) -> str:
        if question == "starts a task":
            left_behind.append(asyncio.create_task(later()))
            return question
        with overlap():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return question

    async def later() -> None:
        await go.wait()
        await session.acall(question="later")

    session = sessionify(Scripted(slow), lock="async", copy_mode="none")
    await session.acall(question="starts a task")
    others = [asyncio.create_task(session.acall(question=str(number))) for number in range(3)]
    go.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*others, *left_behind)
    assert overlap.most == 1
    assert sorted(said(session)) == ["0", "1", "2", "later", "starts a task"]
