"""Optimizers improve a session as they improve the bare program, and learn nothing of what was said in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import dspy
import pytest

from dspy_session import Session, sessionify
from tests.stub_lm import Prompt, StubModel

pytestmark = pytest.mark.unwatched

WORD = "ABRACADABRA"

TRAIN = [dspy.Example(question=f"t{number}", answer=f"{WORD} t{number}").with_inputs("question") for number in range(6)]
DEV = [dspy.Example(question=f"d{number}", answer=f"{WORD} d{number}").with_inputs("question") for number in range(4)]


def exact(example: dspy.Example, prediction: Any, *_: Any) -> float:
    return float(example.answer == prediction.answer)


def knows_the_word(prompt: Prompt) -> dict[str, Any]:
    """Answers well once demos or instructions hold the word."""
    question = prompt.inputs.get("question", "")
    return {"answer": f"{WORD} {question}" if WORD in prompt.text else question}


class Careful(dspy.Module):
    """Composed, with one predictor that matters."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("question -> draft")
        self.answer = dspy.ChainOfThought("question, draft -> answer")

    def forward(self, question: str) -> Any:
        return self.answer(question=question, draft=self.draft(question=question).draft)


PROGRAMS: dict[str, Callable[[], dspy.Module]] = {
    "predict": lambda: dspy.Predict("question -> answer"),
    "composed": Careful,
}


@pytest.fixture
def model() -> Iterator[StubModel]:
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.ERROR)  # optimizers report at length
    stub = StubModel(knows_the_word)
    with dspy.context(lm=stub.lm):
        yield stub
    logger.setLevel(level)


def score(program: dspy.Module) -> float:
    result: float = dspy.Evaluate(devset=DEV, metric=exact, num_threads=2)(program).score
    return result


def talked(program: dspy.Module) -> Session:
    """A session over the program, in which somebody has spoken."""
    session = sessionify(program)
    session(question="PRIVATE")
    session(question="PRIVATE again")
    return session


def demos(program: dspy.Module) -> dict[str, list[dict[str, Any]]]:
    return {name: [dict(demo) for demo in predictor.demos] for name, predictor in program.named_predictors()}


def compiles_as_bare(compiled: Callable[[dspy.Module], Any], program: str, model: StubModel) -> tuple[Any, Any]:
    """Optimize both; check what must hold of any optimizer."""
    bare, session = PROGRAMS[program](), talked(PROGRAMS[program]())
    assert score(session) == score(bare) == 0.0
    model.prompts.clear()
    best_bare = compiled(bare)
    model.prompts.clear()
    best = compiled(session)
    assert isinstance(best, Session)
    assert not any("PRIVATE" in prompt.text for prompt in model.prompts)
    assert score(best) == score(best_bare) == 100.0
    assert (len(best), len(session)) == (0, 2)
    best(question="FIRST USE")
    best(question="SECOND USE")
    assert "FIRST USE" in model.prompts[-1].text
    return best, best_bare


@pytest.mark.parametrize("program", PROGRAMS)
def test_labeled_few_shot(model: StubModel, program: str) -> None:
    def compiled(student: dspy.Module) -> Any:
        return dspy.LabeledFewShot(k=2).compile(student, trainset=TRAIN)

    best, best_bare = compiles_as_bare(compiled, program, model)
    assert demos(best) == demos(best_bare)
    assert any(WORD in str(examples) for examples in demos(best).values())


@pytest.mark.parametrize("program", PROGRAMS)
def test_bootstrap_few_shot(model: StubModel, program: str) -> None:
    def compiled(student: dspy.Module) -> Any:
        optimizer = dspy.BootstrapFewShot(metric=exact, max_bootstrapped_demos=2, max_labeled_demos=2)
        return optimizer.compile(student, trainset=TRAIN)

    best, best_bare = compiles_as_bare(compiled, program, model)
    assert demos(best) == demos(best_bare)
    assert any(demo.get("augmented") for examples in demos(best).values() for demo in examples)
    assert not any("history" in demo for examples in demos(best).values() for demo in examples)


def test_bootstrap_few_shot_with_a_teacher(model: StubModel) -> None:
    teacher = talked(dspy.Predict(dspy.Signature("question -> answer", f"Say {WORD}.")))
    student = talked(dspy.Predict(dspy.Signature("question -> answer", f"Say {WORD}.")))
    optimizer = dspy.BootstrapFewShot(metric=exact, max_bootstrapped_demos=2, max_labeled_demos=0)
    best = optimizer.compile(student, teacher=teacher, trainset=TRAIN)
    assert len(demos(best)["self"]) == 2
    assert "PRIVATE" not in str(demos(best))
    assert [len(student), len(teacher)] == [2, 2]


@pytest.mark.parametrize("program", PROGRAMS)
def test_gepa(model: StubModel, program: str) -> None:
    def feedback(
        gold: dspy.Example, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        return dspy.Prediction(score=exact(gold, pred), feedback=f"say {WORD}")

    reflection = StubModel(lambda _: {"new_instruction": f"Always say {WORD}."})

    def compiled(student: dspy.Module) -> Any:
        optimizer = dspy.GEPA(
            metric=feedback,
            max_metric_calls=30,
            reflection_lm=reflection.lm,
            reflection_minibatch_size=2,
            num_threads=1,
            seed=0,
        )
        return optimizer.compile(student, trainset=TRAIN[:3], valset=DEV[:3])

    best, best_bare = compiles_as_bare(compiled, program, model)
    instructions = {name: predictor.signature.instructions for name, predictor in best.named_predictors()}
    assert instructions == {name: p.signature.instructions for name, p in best_bare.named_predictors()}
    assert any(WORD in text for text in instructions.values())


@pytest.mark.parametrize("program", PROGRAMS)
def test_mipro_v2(model: StubModel, program: str) -> None:
    proposer = StubModel(lambda prompt: {"proposed_instruction": f"Always say {WORD}."})

    def compiled(student: dspy.Module) -> Any:
        optimizer = dspy.MIPROv2(
            metric=exact,
            prompt_model=proposer.lm,
            task_model=model.lm,
            auto=None,
            num_candidates=3,
            max_bootstrapped_demos=1,
            max_labeled_demos=1,
            num_threads=1,
            seed=3,
        )
        return optimizer.compile(student, trainset=TRAIN, valset=DEV, num_trials=4, minibatch=False)

    best, best_bare = compiles_as_bare(compiled, program, model)
    assert [name for name, _ in best.named_predictors()] == [name for name, _ in best_bare.named_predictors()]
    assert WORD in str(demos(best)) + str([predictor.signature.instructions for predictor in best.predictors()])


# --- history in examples and demos ----------------------------------------------------------------------------------


def bootstrapped(session: Session, examples: list[dspy.Example]) -> Session:
    optimizer = dspy.BootstrapFewShot(max_bootstrapped_demos=len(examples), max_labeled_demos=0)
    result: Session = optimizer.compile(session, trainset=examples)
    return result


@pytest.mark.parametrize("reload", [False, True], ids=["as compiled", "saved and loaded"])
def test_demos_keep_a_history_that_is_not_empty_and_it_reaches_the_prompt(stub: StubModel, reload: bool) -> None:
    talk = sessionify(dspy.Predict("question -> answer"))
    for question in ("I am Max", "who am I?"):
        talk(question=question)
    best = bootstrapped(talk, talk.to_examples())
    first, second = demos(best)["self"]
    assert "history" not in first
    assert [message["question"] for message in second["history"].messages] == ["I am Max"]
    if reload:
        state = best.dump_state()
        best = sessionify(dspy.Predict("question -> answer"))
        best.load_state(state)

    stub.prompts.clear()
    best(question="now")
    best(question="later")
    for prompt in stub.prompts:
        demo = next(m["content"] for m in prompt.messages if "who am I?" in m["content"] and m["role"] == "user")
        assert "I am Max" in demo
        assert "messages=[]" not in prompt.text
        assert '{"messages": []}' not in prompt.text
    assert [m["content"].split("\n")[1] for m in stub.prompts[-1].messages if m["role"] == "user"][-2:] == [
        "now",
        "later",
    ]


class Acting(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.agent = dspy.ReAct("question -> answer", tools=[])

    def forward(self, question: str) -> str:
        answer: str = self.agent(question=question).answer
        return answer


def test_demos_of_predictors_that_read_the_conversation_as_text_keep_it() -> None:
    stub = StubModel(lambda _: {"answer": "well", "next_thought": "so", "next_tool_args": {}})
    with dspy.context(lm=stub.lm):
        _text_demos(stub)


def _text_demos(stub: StubModel) -> None:
    talk = sessionify(Acting())
    for question in ("I am Max", "who am I?"):
        talk(question=question)
    best = bootstrapped(talk, talk.to_examples())
    stub.prompts.clear()
    best(question="now")
    best(question="later")
    for prompt in stub.prompts:
        users = [message["content"] for message in prompt.messages if message["role"] == "user"]
        assert any("I am Max" in demo and "who am I?" in demo for demo in users[:-1])
    assert "(nothing yet)" in stub.prompts[0].messages[-1]["content"]
    assert "now" in stub.prompts[-1].messages[-1]["content"]
    assert "(nothing yet)" not in stub.prompts[-1].messages[-1]["content"]


@pytest.mark.parametrize("declared", [False, True])
def test_traces_leave_an_empty_history_out_and_keep_another(stub: StubModel, declared: bool) -> None:
    signature = "question, history: dspy.History -> answer" if declared else "question -> answer"
    session = sessionify(dspy.Predict(signature))
    for adapter in (dspy.ChatAdapter(), Own()):
        session.reset()
        with dspy.context(trace=[], adapter=adapter):
            session(question="one")
            session(question="two")
            (_, first, _), (_, second, _) = dspy.settings.trace
        assert list(first) == ["question"]
        assert sorted(second) == ["history", "question"]
        assert [message["question"] for message in second["history"].messages] == ["one"]


class Own(dspy.ChatAdapter):
    """An adapter of somebody's own."""


# --- Refine ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [True, False], ids=["session of Refine", "Refine of session"])
@pytest.mark.parametrize("program", [*PROGRAMS, "react"])
def test_hints_reach_the_prompt_on_the_first_and_on_later_turns(program: str, inside: bool) -> None:
    advice = "BE BRIEF"

    def reply(prompt: Prompt) -> dict[str, Any]:
        if "advice" in prompt.outputs:
            names = [name for name, _ in (make()).named_predictors()]
            return {"discussion": "d", "advice": dict.fromkeys(names, advice)}
        return {"answer": "brief" if advice in prompt.text else "long"}

    def make() -> dspy.Module:
        return dspy.ReAct("question -> answer", tools=[]) if program == "react" else PROGRAMS[program]()

    def brief(_: Any, prediction: dspy.Prediction) -> float:
        return float(prediction.answer == "brief")

    stub = StubModel(reply)
    with dspy.context(lm=stub.lm, trace=[]):
        if inside:
            asked: Any = sessionify(dspy.Refine(make(), N=2, reward_fn=brief, threshold=1.0))
        else:
            asked = dspy.Refine(sessionify(make()), N=2, reward_fn=brief, threshold=1.0)
        for number in range(3):
            assert asked(question=f"q{number}").answer == "brief"
    assert ("q1" in stub.prompts[-1].text) is inside
