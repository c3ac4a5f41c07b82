"""Copies: what is set on one is in the prompts of that one, and no copy carries what was said into a file."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import dspy
import pytest
from dspy.utils.callback import BaseCallback

from dspy_session import Session, sessionify
from tests.stub_lm import Prompt, StubModel


class Travel(dspy.Module):
    """Predictors in every place that DSPy looks into."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.ChainOfThought("question -> plan")
        self.steps = [dspy.Predict("plan -> step"), dspy.Predict("step -> advice")]
        self.named = {"last": dspy.Predict("advice -> answer")}

    def forward(self, question: str) -> dspy.Prediction:
        advice = self.steps[1](step=self.steps[0](plan=self.plan(question=question).plan).step).advice
        return self.named["last"](advice=advice)


class Counting(BaseCallback):
    def __init__(self) -> None:
        self.calls = 0

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.calls += 1


def saved(session: Session, directory: Path) -> Session:
    session.save(directory / "program", save_program=True)
    loaded: Session = dspy.load(str(directory / "program"), allow_pickle=True)
    return loaded


COPIES: dict[str, Callable[[Session, Path], Session]] = {
    "deepcopy": lambda session, _: copy.deepcopy(session),
    "deepcopy method": lambda session, _: session.deepcopy(),
    "reset_copy": lambda session, _: session.reset_copy(),
    "fork": lambda session, _: session.fork(),
    "copy": lambda session, _: copy.copy(session),
    "cloudpickle": lambda session, _: cloudpickle.loads(cloudpickle.dumps(session)),
    "save and load": saved,
}


def says(stub: StubModel, number: int, word: str) -> list[bool]:
    """Which of the last prompts have the word."""
    return [word in prompt.text for prompt in stub.prompts[-number:]]


@pytest.mark.unwatched
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("program", [lambda: dspy.Predict("question -> answer"), Travel], ids=["predict", "composed"])
def test_a_copy_runs_its_own_predictors(
    stub: StubModel, how: str, program: Callable[[], dspy.Module], tmp_path: Path
) -> None:
    original = sessionify(program())
    original(question="what was said before")
    twin = COPIES[how](original, tmp_path)
    own = StubModel()
    assert [name for name, _ in twin.named_predictors()] == [name for name, _ in original.named_predictors()]
    for number, (_, predictor) in enumerate(twin.named_predictors()):
        fields = {name: f"DEMO{number} {name}" for name in predictor.signature.fields if name != "history"}
        predictor.demos = [dspy.Example(**fields)]
        predictor.signature = predictor.signature.with_instructions(f"RULE{number}")
        predictor.lm = own.lm.copy(rollout_id=40 + number, temperature=1.0)
        predictor.update_config(max_tokens=100 + number)

    twin(question="second")
    count = len(twin.predictors())
    assert len(own.prompts) == count
    for number, prompt in enumerate(own.prompts):
        assert f"RULE{number}" in prompt.system
        assert f"DEMO{number}" in prompt.text
        assert prompt.request.config.max_tokens == 100 + number
    assert [len(predictor.lm.history) for predictor in twin.predictors()] == [1] * count
    assert [predictor.lm.kwargs["rollout_id"] for predictor in twin.predictors()] == list(range(40, 40 + count))

    stub.prompts.clear()
    original(question="third")
    assert len(stub.prompts) == count
    assert not any("DEMO" in prompt.text or "RULE" in prompt.text or "second" in prompt.text for prompt in stub.prompts)
    assert "what was said before" in stub.prompts[0].text
    assert [turn.inputs["question"] for turn in original.turns] == ["what was said before", "third"]


@pytest.mark.parametrize(
    ("how", "remembers"),
    [
        ("deepcopy", True),
        ("deepcopy method", True),
        ("fork", True),
        ("copy", True),
        ("reset_copy", False),
        ("cloudpickle", False),
        ("save and load", False),
    ],
)
def test_which_copies_remember(stub: StubModel, how: str, remembers: bool, tmp_path: Path) -> None:
    seed = dspy.History(messages=[{"question": "seed", "answer": "grain"}])
    original = sessionify(dspy.Predict("question -> answer"), initial_history=seed, max_turns=5)
    original(question="I am Max")
    twin = COPIES[how](original, tmp_path)
    assert len(twin) == (1 if remembers else 0)
    assert twin.max_turns == 5
    twin(question="who am I?")
    assert says(stub, 1, "grain") == [True]
    assert says(stub, 1, "I am Max") == [remembers]
    assert len(original) == 1


def test_a_copy_of_a_copy_is_reached_once(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question -> answer"))
    for number in range(5):
        session = copy.deepcopy(session) if number % 2 else session.fork()
        session(question=f"q{number}")
    assert len(stub.prompts) == 5
    assert [len(prompt.messages) for prompt in stub.prompts] == [1, 3, 5, 7, 9]
    held = [value for value in vars(session.module).values() if isinstance(value, dict) and value]
    assert [len(bindings) for bindings in held] == [1]


def test_files_hold_no_turns(stub: StubModel, tmp_path: Path) -> None:
    program = Travel()
    program.nested = sessionify(dspy.Predict("question -> answer"))
    session = sessionify(program)
    model = dspy.LM("stub/logged")  # its log is all that it holds; the stub itself keeps prompts for the tests
    model.history.append({"prompt": "PRIVATE"})
    session.set_lm(model)
    session.module.judges = {"strict": [model], "lenient": (model, 1)}
    with dspy.context(lm=stub.lm):
        session.add_turn({"question": "PRIVATE"}, {"answer": "PRIVATE"})
        session.module.nested.add_turn({"question": "PRIVATE"}, {"answer": "PRIVATE"})

    assert b"PRIVATE" not in cloudpickle.dumps(session)
    session.save(tmp_path / "program", save_program=True)
    assert b"PRIVATE" not in (tmp_path / "program" / "program.pkl").read_bytes()
    session.save(tmp_path / "state.json", save_program=False)
    assert "PRIVATE" not in (tmp_path / "state.json").read_text()

    loaded = dspy.load(str(tmp_path / "program"), allow_pickle=True)
    assert loaded.get_lm() is loaded.module.judges["strict"][0], "what was one model is one"
    assert session.get_lm() is model
    assert model.history, "saving makes nobody else forget"
    assert len(session) == len(session.module.nested) == 1


@pytest.mark.parametrize("copy_mode", ["deep", "shallow"])
def test_callbacks_of_inner_modules_survive(stub: StubModel, copy_mode: str) -> None:
    counting = Counting()
    program = Travel()
    program.named["last"].callbacks.append(counting)
    program.plan.callbacks.append(counting)
    session = sessionify(program, copy_mode=copy_mode)
    for number, one in enumerate([session, session.fork(), copy.deepcopy(session), session.reset_copy()]):
        one(question="?")
        assert counting.calls == 2 * (number + 1)


@pytest.mark.parametrize("copy_mode", ["deep", "shallow"])
def test_the_users_module_is_never_changed(stub: StubModel, copy_mode: str) -> None:
    program = Travel()
    before = [(name, type(predictor), dict(vars(predictor))) for name, predictor in program.named_predictors()]
    session = sessionify(program, copy_mode=copy_mode)
    session(question="?")
    session.set_lm(stub.lm)
    for _, predictor in session.named_predictors():
        predictor.signature = predictor.signature.with_instructions("Other")
        predictor.demos.append(dspy.Example(question="?"))
    after = [(name, type(predictor), dict(vars(predictor))) for name, predictor in program.named_predictors()]
    assert [(name, kind) for name, kind, _ in after] == [(name, kind) for name, kind, _ in before]
    for (_, _, own), (_, _, owned) in zip(after, before, strict=True):
        own.pop("history")
        owned.pop("history")
        assert own == owned


# --- copy_mode "none" -----------------------------------------------------------------------------------------------


class Chatty(dspy.Signature):
    """Answer."""

    question: str = dspy.InputField()
    talk: dspy.History | None = dspy.InputField(default=None)
    answer: str = dspy.OutputField()


class Insistent(dspy.Predict):
    """A predictor of somebody's own, with a ``forward`` that names what it takes."""

    def forward(self, question: str) -> Any:
        return super().forward(question=question.upper())


PREDICTORS: dict[str, Callable[[], dspy.Module]] = {
    "predict": lambda: dspy.Predict("question -> answer"),
    "declared": lambda: dspy.Predict("question, history: dspy.History -> answer"),
    "optional": lambda: dspy.Predict(Chatty),
    "named forward": lambda: Insistent("question -> answer"),
    "composed": Travel,
    "react": lambda: dspy.ReAct("question -> answer", tools=[]),
}


@pytest.mark.unwatched
@pytest.mark.parametrize("kind", PREDICTORS)
def test_outside_a_session_the_module_is_as_it_was(stub: StubModel, kind: str) -> None:
    bare, shared = PREDICTORS[kind](), PREDICTORS[kind]()
    demo = dspy.Example(question="d", plan="p", answer="a", reasoning="r")
    for module in (bare, shared):
        for _, predictor in module.named_predictors():
            predictor.demos = [demo]

    def prompts(module: dspy.Module) -> list[tuple[str, Any]]:
        stub.prompts.clear()
        with dspy.context(trace=[]):
            module(question="first")
            module(question="second")
            traced = [sorted(inputs) for _, inputs, _ in dspy.settings.trace]
        return [(prompt.system, prompt.messages) for prompt in stub.prompts] + [("trace", traced)]

    expected = prompts(bare)
    kinds = [type(predictor) for predictor in shared.predictors()]
    one = sessionify(shared, copy_mode="none")
    assert one.module is shared
    assert prompts(shared) == expected
    one(question="in a session")
    one(question="again")
    assert "in a session" in stub.prompts[-1].text
    other = sessionify(shared, copy_mode="none", history_field="elsewhere")
    other(question="in another")
    assert prompts(shared) == expected
    assert len(one) == 2
    assert len(other) == 1
    del one, other
    gc.collect()
    assert prompts(shared) == expected
    assert [type(predictor) for predictor in shared.predictors()] == kinds


async def test_outside_a_session_a_shared_predictor_is_awaited_as_it_was(stub: StubModel) -> None:
    shared = dspy.Predict("question -> answer")
    session = sessionify(shared, copy_mode="none")
    await session.acall(question="in a session")
    await dspy.Predict("question -> answer").acall(question="outside")
    await shared.acall(question="outside")
    bare, outside = stub.prompts[-2:]
    assert outside.text == bare.text


def test_outside_a_session_a_history_that_the_caller_brings_is_shown(stub: StubModel) -> None:
    shared = dspy.Predict("question -> answer")
    keeper = sessionify(shared, copy_mode="none")
    keeper(question="in a session")
    shared(question="outside", history=dspy.History(messages=[{"question": "brought", "answer": "along"}]))
    assert [message["role"] for message in stub.prompts[-1].messages] == ["user", "assistant", "user"]
    assert "brought" in stub.prompts[-1].text
    assert "in a session" not in stub.prompts[-1].text


def test_two_sessions_over_one_predictor_keep_their_own_names_and_histories(stub: StubModel) -> None:
    seen: list[dict[str, Any]] = []
    predictor = dspy.Predict("question -> answer")

    def forward(**kwargs: Any) -> dspy.Prediction:
        seen.append(kwargs)
        return dspy.Prediction(answer=f"re {kwargs['question']}")

    predictor.forward = forward
    red = sessionify(predictor, copy_mode="none", history_field="red")
    blue = sessionify(predictor, copy_mode="none", history_field="blue")
    for session, question in ((red, "r1"), (blue, "b1"), (red, "r2"), (blue, "b2")):
        session(question=question)
    assert [sorted(kwargs) for kwargs in seen] == [["question", "red"], ["blue", "question"]] * 2
    assert [message["question"] for message in seen[2]["red"].messages] == ["r1"]
    assert [message["question"] for message in seen[3]["blue"].messages] == ["b1"]


def test_a_shared_module_is_saved_as_it_was(stub: StubModel, tmp_path: Path) -> None:
    shared = Travel()
    session = sessionify(shared, copy_mode="none")
    session(question="PRIVATE")
    written = cloudpickle.dumps(shared)
    assert b"dspy_session" not in written
    assert b"PRIVATE" not in written
    shared.save(tmp_path / "program", save_program=True)
    loaded = dspy.load(str(tmp_path / "program"), allow_pickle=True)
    assert [type(predictor) for predictor in loaded.predictors()] == [dspy.Predict] * 4
    assert not any("history" in predictor.signature.fields for predictor in loaded.predictors())
    loaded(question="loaded")
    session(question="still here")
    assert "PRIVATE" in stub.prompts[-1].text


def test_a_shallow_copy_of_a_predictor_shares_what_it_holds(stub: StubModel) -> None:
    predictor = sessionify(dspy.Predict("question -> answer")).predictors()[0]
    predictor.demos = [dspy.Example(question="d", answer="a")]
    twin = copy.copy(predictor)
    assert twin is not predictor
    assert twin.demos is predictor.demos
    assert type(twin) is type(predictor)


def test_a_shared_predictor_does_not_collect_the_claims_of_sessions_that_are_gone(stub: StubModel) -> None:
    predictor = dspy.Predict("question -> answer")
    keeper = sessionify(predictor, copy_mode="none")
    size = len(vars(predictor))
    for number in range(50):
        sessionify(predictor, copy_mode="none")(question=f"q{number}")
    gc.collect()
    [bindings] = [value for value in vars(predictor).values() if isinstance(value, dict) and value]
    assert len(bindings) == 1
    assert len(vars(predictor)) == size
    keeper(question="still")
    keeper(question="here")
    assert len(stub.prompts[-1].messages) == 3


def test_fork_of_a_shared_module_shares_it(stub: StubModel) -> None:
    predictor = dspy.Predict("question -> answer")
    session = sessionify(predictor, copy_mode="none")
    session(question="one")
    fork = session.fork()
    fork(question="two")
    assert fork.module is session.module is predictor
    assert [len(session), len(fork)] == [1, 2]
    session(question="three")
    assert not says(stub, 1, "two")[0]


def test_replies_depend_on_the_copys_own_demos(stub: StubModel) -> None:
    def reply(prompt: Prompt) -> dict[str, Any]:
        return {"answer": "taught" if "LESSON" in prompt.text else "untaught"}

    with dspy.context(lm=StubModel(reply).lm):
        session = sessionify(dspy.Predict("question -> answer"))
        twin = copy.deepcopy(session)
        twin.predictors()[0].demos = [dspy.Example(question="LESSON", answer="yes")]
        assert [twin(question="?").answer, session(question="?").answer] == ["taught", "untaught"]
