"""An error, a cancellation or an interrupt leaves a state exactly as it was."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import dspy
import pytest

from dspy_session import Session, SessionState, sessionify, with_memory
from tests.session.programs import Scripted, Team
from tests.stub_lm import Prompt, StubModel

PATIENCE = 30
GIVEN = dspy.History(messages=[{"question": "x", "answer": "y"}])


class Ending(BaseException):
    """Neither an error nor a cancellation."""


def said(of: Session | SessionState) -> list[str]:
    return [turn.inputs["question"] for turn in of.turns]


def raising(error: BaseException) -> Callable[[str, dspy.History], str]:
    def answer(question: str, history: dspy.History) -> str:
        if question == "fail":
            raise error
        return question

    return answer


# --- one session


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError(), KeyboardInterrupt(), Ending()])
@pytest.mark.parametrize("policy", ["override", "use_if_provided", "replace_session"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_failed_call_changes_nothing(error: BaseException, policy: str, asynchronous: bool) -> None:
    session = sessionify(
        Scripted(raising(error)), initial_history=GIVEN, history_policy=policy, max_stored_turns=2, lock="async"
    )
    state = session.new_state(l2_memory="m")
    with session.use_state(state):
        await session.acall(question="a")
        await session.acall(question="b")
        before = state.to_dict()
        for more in ({}, {"history": dspy.History(messages=[])}):
            # As its own coroutine would raise it: a task would not let a KeyboardInterrupt pass.
            with pytest.raises(type(error)):
                session(question="fail", **more) if not asynchronous else await session.acall(question="fail", **more)
        assert state.to_dict() == before
        await session.acall(question="c")
    assert said(state) == ["b", "c"]


async def test_a_cancelled_call_changes_nothing(stub: StubModel) -> None:
    never, asked = asyncio.Event(), asyncio.Event()

    async def reply(prompt: Prompt) -> Any:
        if prompt.inputs["question"] == "hang":
            asked.set()
            await never.wait()
        return {"answer": "fine"}

    session = sessionify(dspy.Predict("question -> answer"), history_policy="replace_session")
    session.set_lm(StubModel(reply).lm)
    await session.acall(question="a")
    before = session.save_state()
    for more in ({}, {"history": GIVEN}):
        asked.clear()
        task = asyncio.create_task(session.acall(question="hang", **more))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.save_state() == before


class Threaded(dspy.Module):
    """A program without ``aforward``: under ``acall`` it runs in a thread, which a cancellation cannot stop."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, question: str) -> Any:
        return self.answer(question)


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), Ending()])
@pytest.mark.parametrize("policy", ["override", "replace_session"])
async def test_a_program_that_fails_in_a_thread_changes_nothing(error: BaseException, policy: str) -> None:
    def fails(question: str) -> str:
        if question == "fail":
            raise error
        return question

    session = sessionify(Threaded(fails), history_policy=policy, initial_history=GIVEN, lock="async")
    await session.acall(question="a")
    before = session.save_state()
    more = {"history": dspy.History(messages=[])} if policy == "replace_session" else {}
    with pytest.raises(type(error)):
        await session.acall(question="fail", **more)
    assert session.save_state() == before
    assert not session.state.lock.locked()


async def cancelled_in_a_thread(session: Session, inside: threading.Event, **inputs: Any) -> None:
    task = asyncio.create_task(session.acall(**inputs))
    await asyncio.to_thread(inside.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("policy", ["override", "replace_session"])
async def test_a_turn_cancelled_while_it_ran_in_a_thread_is_never_recorded_later(policy: str) -> None:
    inside, go, over = threading.Event(), threading.Event(), threading.Event()
    told: list[Any] = []

    def slow(question: str) -> str:
        if question == "slow":
            inside.set()
            if go.wait(PATIENCE):
                over.set()
        return question

    session = sessionify(
        Threaded(slow), history_policy=policy, on_turn=lambda *_: told.append(1), initial_history=GIVEN
    )
    await session.acall(question="a")
    before = session.save_state()
    more = {"history": dspy.History(messages=[])} if policy == "replace_session" else {}
    await cancelled_in_a_thread(session, inside, question="slow", **more)
    go.set()
    assert await asyncio.to_thread(over.wait, PATIENCE)
    await session.acall(question="b")
    assert said(session) == ["a", "b"]
    session.undo()
    assert session.save_state() == before
    assert len(told) == 2


async def test_nothing_of_a_cancelled_thread_is_recorded_later_in_sessions_inside(stub: StubModel) -> None:
    inside, go, over = threading.Event(), threading.Event(), threading.Event()

    class Program(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = sessionify(Scripted())
            self.draft = dspy.Predict("question -> text")

        def forward(self, question: str) -> str:
            self.inner(question=f"{question}, before")
            self.draft(question=f"{question}, before")
            if question == "slow":
                inside.set()
                assert go.wait(PATIENCE)
            self.inner(question=f"{question}, after")
            self.draft(question=f"{question}, after")
            session(question=f"{question}, again") if question == "slow" else None
            if question == "slow":
                over.set()
            return question

    for wrap in (sessionify, with_memory):
        for event in (inside, go, over):
            event.clear()
        session = wrap(Program(), copy_mode="none")
        await cancelled_in_a_thread(session, inside, question="slow")
        go.set()
        assert await asyncio.to_thread(over.wait, PATIENCE)
        assert len(session) == 0
        assert [len(node) for node in session.state.node_states.values()] in ([], [0])
        await session.acall(question="a")
        assert said(session) == ["a"]
        if wrap is with_memory:
            assert said(session.state.node_states["draft"]) == ["a, before", "a, after"]
            assert said(session.state.node_states["inner"]) == ["a, before", "a, after"]
        else:  # a session of its own: what it had recorded before the cancellation was no failed call
            assert said(session.module.inner) == ["slow, before", "a, before", "a, after"]


# --- inside one another


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [ValueError("outer"), KeyboardInterrupt()])
async def test_what_was_recorded_inside_a_failed_turn_goes_with_it(asynchronous: bool, error: BaseException) -> None:
    def nested(question: str, history: dspy.History) -> str:
        if question in ("outer", "fail"):
            session(question=f"inside {question}")
            session(question="replaced", history=GIVEN)
        if question == "fail":
            raise error
        return question

    session = sessionify(Scripted(nested), copy_mode="none", history_policy="replace_session")
    await session.acall(question="a")
    before = session.save_state()
    with pytest.raises(type(error)):
        await session.acall(question="fail") if asynchronous else session(question="fail")
    assert session.save_state() == before
    await session.acall(question="outer")
    assert said(session) == ["replaced", "outer"]


def test_whoever_holds_a_childs_state_goes_on_holding_it(stub: StubModel) -> None:
    class Again(Team):
        def forward(self, question: str) -> dspy.Prediction:
            if question == "fail":
                app(question="inside")
                raise ValueError(question)
            return super().forward(question)

    app = with_memory(Again())
    app(question="a")
    held = app.state.node_states["draft"]
    with pytest.raises(ValueError, match="fail"):
        app(question="fail")
    assert app.state.node_states["draft"] is held
    assert said(held) == ["a"]
    app(question="b")
    assert said(held) == ["a", "b"]


def test_a_failed_call_inside_a_turn_takes_only_itself_away() -> None:
    def nested(question: str, history: dspy.History) -> str:
        if question == "outer":
            session(question="fine")
            with contextlib.suppress(ValueError):
                session(question="fail")
        if question == "fail":
            session(question="deep inside")
            raise ValueError(question)
        return question

    session = sessionify(Scripted(nested), copy_mode="none")
    session(question="outer")
    assert said(session) == ["fine", "outer"]


def test_a_child_that_fails_and_is_forgiven_keeps_no_turn(stub: StubModel) -> None:
    class Forgiving(Team):
        def forward(self, question: str) -> dspy.Prediction:
            with contextlib.suppress(dspy.LMError):
                self.draft(question="fail")
            return super().forward(question)

    def reply(prompt: Prompt) -> Any:
        return ValueError("no answer") if prompt.inputs.get("question") == "fail" else {"text": "t", "answer": "a"}

    app = with_memory(Forgiving())
    app.set_lm(StubModel(reply).lm)
    app(question="a")
    assert said(app.state.node_states["draft"]) == ["a"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_failed_turn_leaves_the_children_as_they_were(stub: StubModel, asynchronous: bool) -> None:
    def reply(prompt: Prompt) -> Any:
        return ValueError("no answer") if prompt.inputs.get("text") == "fail" else {"text": prompt.inputs["question"]}

    def replying(prompt: Prompt) -> Any:
        return {"answer": "a"} if "answer" in prompt.outputs and prompt.inputs["text"] != "fail" else reply(prompt)

    app = with_memory(Team(), child_configs={"draft": {"lifespan": "episodic", "consolidator": lambda **_: "m"}})
    app.set_lm(StubModel(replying).lm)
    state = app.new_state()
    with app.use_state(state):
        app(question="fine")
        before = state.to_dict()
        with pytest.raises(dspy.LMError):
            await app.acall(question="fail") if asynchronous else app(question="fail")
    assert state.to_dict() == before


def test_a_failed_turn_in_dspys_threads_leaves_no_trace(stub: StubModel) -> None:
    class Many(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.draft = dspy.Predict("question -> text")

        def forward(self, question: str) -> str:
            pairs = [(self.draft, {"question": f"{question}{number}"}) for number in range(4)]
            dspy.Parallel(num_threads=4, disable_progress_bar=True)(pairs)
            return str(int(question))

    app = with_memory(Many())
    app(question="1")
    before = app.state.to_dict()
    with pytest.raises(ValueError, match="invalid literal"):
        app(question="not a number")
    assert app.state.to_dict() == before
    assert sorted(said(app.state.node_states["draft"])) == ["10", "11", "12", "13"]
    assert [turn.index for turn in app.state.node_states["draft"].turns] == [0, 1, 2, 3]
