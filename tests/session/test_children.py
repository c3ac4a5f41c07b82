"""`with_memory`: every predictor below the root has a memory of its own."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from typing import Any

import dspy
import pytest

from dspy_session import Session, SessionState, sessionify, with_memory
from tests.session.programs import Scripted, Team
from tests.stub_lm import Prompt, StubModel

both = pytest.mark.parametrize("asynchronous", [False, True])


def said(state: SessionState, name: str = "question") -> list[Any]:
    return [turn.inputs[name] for turn in state.turns]


def depths(state: SessionState) -> list[int]:
    """How many messages each turn saw before it."""
    return [len(turn.history_snapshot.messages) for turn in state.turns]


async def call(session: Session, asynchronous: bool, **inputs: Any) -> Any:
    return await session.acall(**inputs) if asynchronous else session(**inputs)


class Nested(dspy.Module):
    """Predictors directly, in a module, in a list and in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("question -> text")
        self.team = Team()
        self.steps = [dspy.Predict("text -> text2"), dspy.ChainOfThought("text -> text3")]
        self.tools = {"sum": dspy.Predict("text -> total")}

    def forward(self, question: str) -> Any:
        text = self.plan(question=question).text
        self.team(question=question)
        for step in (*self.steps, *self.tools.values()):
            step(text=text)
        return text


# --- which predictors become children


ALL = ["plan", "team.draft", "team.edit", "steps[0]", "steps[1].predict", "tools['sum']"]


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        ({}, ALL),
        ({"recursive": False}, []),
        ({"include": ["team"]}, ["team.draft", "team.edit"]),
        ({"include": "team.draft"}, ["team.draft"]),
        ({"include": ["steps", "plan"]}, ["plan", "steps[0]", "steps[1].predict"]),
        ({"include": ["steps[1]"]}, ["steps[1].predict"]),
        ({"include": ["tea", "step"]}, []),
        ({"exclude": ["team", "tools"]}, ["plan", "steps[0]", "steps[1].predict"]),
        ({"include": ["team"], "exclude": ["team.edit"]}, ["team.draft"]),
        ({"where": lambda path, module: "." not in path}, ["plan", "steps[0]", "tools['sum']"]),
        ({"where": lambda path, module: "total" in module.signature.output_fields}, ["tools['sum']"]),
        ({"child_configs": {"plan": {"enabled": False}, "team.draft": {"enabled": True}}}, ALL[1:]),
        ({"child_configs": {"team": {"enabled": False}}}, ["plan", *ALL[3:]]),
    ],
)
def test_which_predictors_become_children(stub: StubModel, rules: dict, paths: list[str]) -> None:
    app = with_memory(Nested(), **rules)
    assert list(app.children) == paths
    app(question="a")
    assert sorted(app.state.node_states) == sorted(paths)
    assert all(len(node) == 1 for node in app.state.node_states.values())


def test_sessionify_gives_no_child_a_memory(stub: StubModel) -> None:
    session = sessionify(Nested())
    session(question="a")
    assert session.children == session.state.node_states == {}


def test_a_predictor_that_is_the_root_is_no_child(stub: StubModel) -> None:
    app = with_memory(dspy.Predict("question -> answer"))
    app(question="a")
    assert app(question="b").answer == "b (after 1 messages)"
    assert app.state.node_states == {}


def test_one_predictor_at_two_places_has_one_memory(stub: StubModel) -> None:
    team = Team()
    team.again = team.draft
    app = with_memory(team)
    app(question="a")
    assert list(app.children) == ["draft", "edit"]


# --- what a child remembers


@both
async def test_each_child_remembers_its_own_turns_and_sees_them(stub: StubModel, asynchronous: bool) -> None:
    app = with_memory(Team())
    await call(app, asynchronous, question="one")
    await call(app, asynchronous, question="two")

    draft, edit = app.state.node_states["draft"], app.state.node_states["edit"]
    assert [turn.inputs for turn in draft.turns] == [{"question": "one"}, {"question": "two"}]
    assert [turn.outputs["text"] for turn in draft.turns] == ["one (after 0 messages)", "two (after 1 messages)"]
    assert said(edit, "text") == [turn.outputs["text"] for turn in draft.turns]
    assert [turn.index for turn in draft.turns] == [0, 1]
    assert depths(draft) == depths(edit) == [0, 1]
    assert draft.turns[1].history_snapshot.messages == [{"question": "one", "text": "one (after 0 messages)"}]
    assert said(app.state) == ["one", "two"]


@both
async def test_a_child_that_is_called_more_than_once_in_a_turn_sees_what_it_said_before(
    stub: StubModel, asynchronous: bool
) -> None:
    class Thrice(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = dspy.Predict("question -> answer")

        def forward(self, question: str) -> str:
            return [self.step(question=question).answer for _ in range(3)][-1]

        async def aforward(self, question: str) -> str:
            return [(await self.step.acall(question=question)).answer for _ in range(3)][-1]

    app = with_memory(Thrice())
    assert await call(app, asynchronous, question="a") == "a (after 2 messages)"
    assert await call(app, asynchronous, question="b") == "b (after 5 messages)"
    assert [turn.index for turn in app.state.node_states["step"].turns] == list(range(6))


def test_children_inherit_the_window_and_the_fields_of_the_root(stub: StubModel) -> None:
    app = with_memory(Team(), max_turns=2, max_stored_turns=3, exclude_fields={"text"})
    for question in "abcde":
        app(question=question)
    draft = app.state.node_states["draft"]
    assert [turn.index for turn in draft.turns] == [2, 3, 4]
    assert depths(draft) == [2, 2, 2]
    assert draft.turns[-1].history_snapshot.messages == [{"question": "c"}, {"question": "d"}]
    only = with_memory(Team(), history_input_fields={"question"})
    only(question="a")
    only(question="b")
    assert only.state.node_states["edit"].turns[1].history_snapshot.messages == [
        {"answer": only.state.node_states["edit"].turns[0].outputs["answer"]}
    ]


def test_child_configs_change_what_children_inherit(stub: StubModel) -> None:
    app = with_memory(
        Team(),
        max_turns=1,
        child_configs={"edit": {"max_turns": None, "max_stored_turns": 2, "exclude_fields": ["text"]}},
    )
    for question in "abcd":
        app(question=question)
    assert depths(app.state.node_states["draft"]) == [0, 1, 1, 1]
    edit = app.state.node_states["edit"]
    assert [turn.index for turn in edit.turns] == [2, 3]
    assert depths(edit) == [2, 2]
    assert set(edit.turns[-1].history_snapshot.messages[0]) == {"answer"}


def test_a_config_counts_for_everything_below_its_path(stub: StubModel) -> None:
    app = with_memory(
        Nested(),
        child_configs={
            "team": {"lifespan": "stateless", "max_turns": 1},
            "team.edit": {"lifespan": "persistent"},
            "steps[1]": {"lifespan": "stateless"},
        },
    )
    app(question="a")
    assert sorted(app.state.node_states) == sorted(["plan", "team.edit", "steps[0]", "tools['sum']"])
    assert app.children["team.edit"].max_turns == app.children["team.draft"].max_turns == 1


def test_a_bound_state_holds_the_ledgers_of_the_children(stub: StubModel) -> None:
    app = with_memory(Team())
    alice, bob = app.new_state(), app.new_state()
    app(question="mine")
    for state, question in ((alice, "a1"), (bob, "b1"), (alice, "a2")):
        with app.use_state(state):
            app(question=question)
    assert said(alice.node_states["draft"]) == ["a1", "a2"]
    assert said(bob.node_states["draft"]) == ["b1"]
    assert said(app.state.node_states["draft"]) == ["mine"]
    assert depths(alice.node_states["draft"]) == [0, 1]


def test_children_are_sessions_over_their_ledgers(stub: StubModel) -> None:
    app = with_memory(Team())
    app(question="a")
    draft = app.children["draft"]
    assert isinstance(draft, Session)
    assert app.children["draft"] is draft
    assert draft.module is app.module.draft
    assert said(draft.state) == ["a"]
    with app.use_state(app.new_state()):
        assert len(draft) == 0
        app(question="b")
        assert said(draft.state) == ["b"]
    draft(question="alone")
    assert said(app.state.node_states["draft"]) == ["a", "alone"]


def test_a_ledger_may_begin_with_a_seed(stub: StubModel) -> None:
    app = with_memory(Team())
    seed = dspy.History(messages=[{"question": "s", "text": "t"}])
    state = SessionState(node_states={"draft": SessionState(initial_history=seed)})
    with app.use_state(state):
        app(question="a")
        app(question="b")
    assert depths(state.node_states["draft"]) == [1, 2]
    assert "after 2 messages" in state.node_states["draft"].turns[1].outputs["text"]


def test_a_child_called_outside_the_app_is_as_it_was(stub: StubModel) -> None:
    team = Team()
    app = with_memory(team)
    app(question="a")
    assert team.draft(question="b").text == "b (after 0 messages)"
    assert team(question="c").answer == "c (after 0 messages) (after 0 messages)"
    assert len(app.state.node_states["draft"]) == 1


@both
async def test_children_under_parallel_keep_every_turn_with_its_own_position(
    stub: StubModel, asynchronous: bool
) -> None:
    class Many(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.draft = dspy.Predict("question -> text")

        def forward(self, question: str) -> None:
            pairs = [(self.draft, {"question": str(number)}) for number in range(8)]
            dspy.Parallel(num_threads=4, disable_progress_bar=True)(pairs)

        async def aforward(self, question: str) -> None:
            await asyncio.gather(*(self.draft.acall(question=str(number)) for number in range(8)))

    app = with_memory(Many())
    await call(app, asynchronous, question="?")
    draft = app.state.node_states["draft"]
    assert sorted(said(draft)) == [str(number) for number in range(8)]
    assert [turn.index for turn in draft.turns] == list(range(8))


def test_long_ledgers_are_not_copied_turn_by_turn(stub: StubModel) -> None:
    app = with_memory(Team())
    for number in range(3):
        app(question=str(number))
    kept = app.state.node_states["draft"].turns
    app(question="more")
    assert all(now is then for now, then in zip(app.state.node_states["draft"].turns, kept, strict=False))


# --- policies


@both
async def test_a_shared_child_sees_the_conversation_and_records_nothing(stub: StubModel, asynchronous: bool) -> None:
    app = with_memory(Team(), child_configs={"edit": {"isolation": "shared"}})
    await call(app, asynchronous, question="My name is Max")
    await call(app, asynchronous, question="What is my name?")
    assert list(app.state.node_states) == ["draft"]
    assert "My name is Max" in stub.prompts[3].text
    assert app.turns[0].outputs["answer"] in stub.prompts[3].text


@both
async def test_a_stateless_child_records_nothing_and_remembers_nothing(stub: StubModel, asynchronous: bool) -> None:
    app = with_memory(Team(), child_configs={"draft": {"lifespan": "stateless"}})
    await call(app, asynchronous, question="one")
    await call(app, asynchronous, question="two")
    assert list(app.state.node_states) == ["edit"]
    assert "one" not in stub.prompts[2].text


class Memorising:
    """A consolidator that keeps what it is given and remembers the last question."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []

    def __call__(self, past_memory: str, episode_transcript: str) -> dict[str, str]:
        self.given.append((past_memory, episode_transcript))
        return {"updated_memory": f"{past_memory}+{len(self.given)}"}


@both
async def test_an_episodic_child_keeps_turns_for_one_call_then_consolidates(
    stub: StubModel, asynchronous: bool
) -> None:
    class Twice(Team):
        def forward(self, question: str) -> dspy.Prediction:
            self.draft(question=f"first {question}")
            return super().forward(question)

        async def aforward(self, question: str) -> dspy.Prediction:
            await self.draft.acall(question=f"first {question}")
            return await super().aforward(question)

    consolidator = Memorising()
    app = with_memory(Twice(), child_configs={"draft": {"lifespan": "episodic", "consolidator": consolidator}})
    await call(app, asynchronous, question="a")
    await call(app, asynchronous, question="b")
    draft = app.state.node_states["draft"]
    assert (len(draft), draft.l2_memory) == (0, "+1+2")
    assert [past for past, _ in consolidator.given] == ["", "+1"]
    assert [re.sub(r"outputs: .*", "outputs", line) for line in consolidator.given[1][1].splitlines()] == [
        "- turn: 0",
        '  inputs: {"question": "first b"}',
        "  outputs",
        "- turn: 1",
        '  inputs: {"question": "b"}',
        "  outputs",
    ]
    assert "+1" in stub.prompts[3].text
    assert "first a" not in stub.prompts[3].text


@both
async def test_an_episode_whose_consolidator_fails_is_kept_for_the_next_try(
    stub: StubModel, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    given: list[str] = []

    def consolidator(past_memory: str, episode_transcript: str) -> str:
        given.append(episode_transcript)
        if len(given) == 1:
            raise ConnectionError("no model")
        return "two episodes"

    app = with_memory(Team(), child_configs={"draft": {"lifespan": "episodic", "consolidator": consolidator}})
    await call(app, asynchronous, question="a")
    draft = app.state.node_states["draft"]
    assert (said(draft), draft.l2_memory) == (["a"], "")
    [record] = [record for record in caplog.records if record.name.startswith("dspy_session")]
    assert record.levelno == logging.WARNING
    assert "The consolidator failed; the episode is kept" in record.getMessage()
    assert "ConnectionError: no model" in caplog.text
    await call(app, asynchronous, question="b")
    assert (len(draft), draft.l2_memory) == (0, "two episodes")
    assert '{"question": "a"}' in given[1]
    assert '{"question": "b"}' in given[1]


def test_an_episodic_child_without_a_consolidator_is_cleared(stub: StubModel) -> None:
    app = with_memory(Team(), child_configs={"draft": {"lifespan": "episodic"}})
    app(question="a")
    app(question="b")
    assert len(app.state.node_states["draft"]) == 0
    assert "(after 0 messages)" in app.state.node_states["edit"].turns[1].inputs["text"]


@both
async def test_the_root_may_be_episodic_too(stub: StubModel, asynchronous: bool) -> None:
    consolidator = Memorising()
    app = with_memory(Team(), lifespan="episodic", consolidator=consolidator, recursive=False)
    await call(app, asynchronous, question="a")
    await call(app, asynchronous, question="b")
    assert (len(app), app.state.l2_memory) == (0, "+1+2")
    assert "+1" in stub.prompts[-1].text


def test_a_stateless_root_records_nothing(stub: StubModel) -> None:
    app = with_memory(Team(), lifespan="stateless")
    app(question="a")
    assert (len(app), app.state.node_states) == (0, {})


# --- sessions that are in the tree already


class Hosting(dspy.Module):
    def __init__(self, inner: dspy.Module) -> None:
        super().__init__()
        self.inner = inner
        self.edit = dspy.Predict("text -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.edit(text=str(self.inner(question=question).text))

    async def aforward(self, question: str) -> dspy.Prediction:
        return await self.edit.acall(text=str((await self.inner.acall(question=question)).text))


@both
async def test_a_session_in_the_tree_is_adopted_with_its_own_policy(stub: StubModel, asynchronous: bool) -> None:
    inner = sessionify(dspy.Predict("question -> text"), max_turns=1, max_stored_turns=2, exclude_fields={"text"})
    app = with_memory(Hosting(inner))
    state = app.new_state()
    with app.use_state(state):
        for question in "abc":
            await call(app, asynchronous, question=question)
    ledger = state.node_states["inner"]
    assert said(ledger) == ["b", "c"]
    assert depths(ledger) == [1, 1]
    assert ledger.turns[-1].history_snapshot.messages == [{"question": "b"}]
    assert len(inner) == 0
    assert depths(state.node_states["edit"]) == [0, 1, 2]
    assert list(app.children) == ["inner", "edit"]


def test_an_adopted_policy_is_overridden_only_where_a_config_says(stub: StubModel) -> None:
    inner = sessionify(dspy.Predict("question -> text"), max_turns=1, max_stored_turns=2)
    app = with_memory(Hosting(inner), child_configs={"inner": {"max_stored_turns": None}})
    for question in "abc":
        app(question=question)
    assert depths(app.state.node_states["inner"]) == [0, 1, 1]
    stateless = with_memory(Hosting(inner), child_configs={"inner": {"lifespan": "stateless"}})
    stateless(question="d")
    assert said(inner.state) == ["a", "b", "c"]
    assert f"d (after {len(inner.session_history.messages)} messages)" in stub.prompts[-1].text


@both
async def test_unbound_an_adopted_session_goes_on_with_its_own_conversation(
    stub: StubModel, asynchronous: bool
) -> None:
    inner = sessionify(dspy.Predict("question -> text"), initial_history=dspy.History(messages=[{"question": "s"}]))
    inner(question="before")
    app = with_memory(Hosting(inner))
    await call(app, asynchronous, question="a")
    assert said(inner.state) == ["before", "a"]
    assert depths(inner.state) == [1, 2]
    assert app.children["inner"].turns == inner.turns
    with app.use_state(app.new_state()) as state:
        await call(app, asynchronous, question="b")
        assert said(app.children["inner"].state) == ["b"]
    assert depths(state.node_states["inner"]) == [1]
    inner(question="alone")
    assert said(inner.state) == ["before", "a", "alone"]
    for fork in (app.fork(), app.deepcopy()):
        fork(question="forked")
        assert said(fork.children["inner"].state) == ["before", "a", "alone", "forked"]
        assert said(inner.state) == ["before", "a", "alone"]


@both
async def test_an_adopted_app_keeps_its_own_children(stub: StubModel, asynchronous: bool) -> None:
    class Whole(Team):
        def forward(self, question: str) -> dict[str, Any]:
            return {"text": super().forward(question).answer}

        async def aforward(self, question: str) -> dict[str, Any]:
            return {"text": (await super().aforward(question)).answer}

    class Unpacking(Hosting):
        def forward(self, question: str) -> dspy.Prediction:
            return self.edit(text=self.inner(question=question)["text"])

        async def aforward(self, question: str) -> dspy.Prediction:
            return await self.edit.acall(text=(await self.inner.acall(question=question))["text"])

    consolidator = Memorising()
    inner = with_memory(Whole(), child_configs={"edit": {"lifespan": "episodic", "consolidator": consolidator}})
    app = with_memory(Unpacking(inner))
    state = app.new_state()
    with app.use_state(state):
        await call(app, asynchronous, question="a")
        await call(app, asynchronous, question="b")
    ledger = state.node_states["inner"]
    assert said(ledger) == ["a", "b"]
    assert said(ledger.node_states["draft"]) == ["a", "b"]
    assert depths(ledger.node_states["draft"]) == [0, 1]
    assert (len(ledger.node_states["edit"]), ledger.node_states["edit"].l2_memory) == (0, "+1+2")
    assert SessionState.from_dict(state.to_dict()) == state
    with app.use_state(state):
        app.reset()
    assert (len(ledger), len(ledger.node_states["draft"])) == (0, 0)


def test_an_explicit_history_for_an_adopted_session_follows_its_policy(stub: StubModel) -> None:
    class Bringing(Hosting):
        def forward(self, question: str) -> str:
            given = dspy.History(messages=[{"question": "s", "text": "t"}])
            return str(self.inner(question=question, history=given).text)

    for policy, kept in (("override", []), ("use_if_provided", ["a"])):
        app = with_memory(Bringing(sessionify(dspy.Predict("question -> text"), history_policy=policy)))
        assert app(question="a") == "a (after 1 messages)"
        assert said(app.children["inner"].state) == kept


def test_the_hooks_and_locks_of_an_adopted_session_rest(stub: StubModel) -> None:
    told: list[Any] = []
    inner = sessionify(dspy.Predict("question -> text"), on_turn=lambda *_: told.append(1), lock="thread")
    app = with_memory(Hosting(inner), lock="thread")
    app(question="a")
    assert told == []
    assert not inner.state.lock.locked()


# --- tools, threads, tasks


@both
async def test_a_tool_reaches_a_child(stub: StubModel, asynchronous: bool) -> None:
    class Agent(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lookup = dspy.Predict("question -> text")
            self.react = dspy.ReAct("question -> answer", tools=[self.search], max_iters=2)

        def search(self, query: str) -> str:
            """Search."""
            return str(self.lookup(question=query).text)

        def forward(self, question: str) -> dspy.Prediction:
            return self.react(question=question)

        async def aforward(self, question: str) -> dspy.Prediction:
            return await self.react.acall(question=question)

    def reply(prompt: Prompt) -> dict[str, Any]:
        if "next_tool_name" in prompt.outputs:
            done = "observation_0" in prompt.text
            return {
                "next_tool_name": "finish" if done else "search",
                "next_tool_args": {} if done else {"query": "capital"},
            }
        return {}

    app = with_memory(Agent())
    app.set_lm(StubModel(reply).lm)
    await call(app, asynchronous, question="a")
    await call(app, asynchronous, question="b")
    assert said(app.state.node_states["lookup"]) == ["capital", "capital"]
    assert [turn.outputs["text"] for turn in app.state.node_states["lookup"].turns] == [
        "capital (after 0 messages)",
        "capital (after 1 messages)",
    ]


def test_ledgers_of_concurrent_conversations_stay_apart(stub: StubModel) -> None:
    app = with_memory(Team())
    states = [app.new_state() for _ in range(6)]
    together = threading.Barrier(len(states))

    def chat(number: int) -> None:
        with app.use_state(states[number]):
            for turn in range(3):
                together.wait()
                app(question=f"{number}.{turn}")

    threads = [threading.Thread(target=chat, args=(number,)) for number in range(len(states))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, state in enumerate(states):
        assert said(state.node_states["draft"]) == [f"{number}.{turn}" for turn in range(3)]
        assert depths(state.node_states["draft"]) == [0, 1, 2]
    assert app.state.node_states == {}


@both
async def test_a_copy_that_a_program_makes_of_a_child_reads_its_memory_and_adds_nothing(
    stub: StubModel, asynchronous: bool
) -> None:
    class Trying(Team):
        def forward(self, question: str) -> str:
            self.draft(question=question)
            return str(self.draft.deepcopy()(question=f"try {question}").text)

        async def aforward(self, question: str) -> str:
            await self.draft.acall(question=question)
            return str((await self.draft.deepcopy().acall(question=f"try {question}")).text)

    app = with_memory(Trying())
    assert await call(app, asynchronous, question="a") == "try a (after 1 messages)"
    assert await call(app, asynchronous, question="b") == "try b (after 2 messages)"
    assert said(app.state.node_states["draft"]) == ["a", "b"]


def test_a_predictor_added_later_works_without_a_memory(stub: StubModel) -> None:
    class Growing(Team):
        def forward(self, question: str) -> dspy.Prediction:
            return dspy.Predict("question -> answer")(question=question)

    app = with_memory(Growing())
    assert app(question="a").answer == "a (after 0 messages)"


def test_a_scripted_root_has_no_children() -> None:
    app = with_memory(Scripted())
    assert app(question="a").answer == "a after 0"
    assert app(question="b").answer == "b after 1"
    assert app.children == {}
