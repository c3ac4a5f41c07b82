"""The thirteen examples that this package began with, as their readers would run them.

The model here answers from what it reads: it knows a name, a place or a colleague only if the prompt says so.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import (
    Session,
    SessionState,
    Turn,
    get_child_l1_ledger,
    get_current_history,
    get_execution_trace,
    get_node_memory,
    get_outer_history,
    sessionify,
    with_memory,
)
from tests.stub_lm import Prompt, StubModel


def answer(prompt: Prompt) -> dict[str, Any]:
    """What a model with nothing but the prompt in its head would say."""
    asked = " ".join(value for name, value in prompt.inputs.items() if name != "context")
    known = re.findall(r"(?:my name is|I'm|I am) ([A-Z]\w+)", prompt.text, re.IGNORECASE)
    capitals = {"France": "Paris", "Germany": "Berlin"}
    if "name?" in asked:
        said = f"Your name is {known[0]}." if known else "I do not know your name."
    elif land := next((land for land in capitals if land in asked), None):
        of = "capital" in prompt.text
        said = f"The capital of {land} is {capitals[land]}." if of else f"What about {land}?"
    elif "pack" in asked:
        said = "Layers, for Japan in April." if "Japan in April" in prompt.text else "Where to?"
    elif "CSV" in asked or "age > 30" in asked or "really large" in asked:
        said = "import csv" if "CSV" in prompt.text else "Which file?"
    else:
        said = f"I heard: {asked[:60]}"
    return dict.fromkeys(prompt.outputs, said) | {"next_tool_name": "finish", "next_tool_args": {}}


@pytest.fixture
def model() -> Iterator[StubModel]:
    model = StubModel(answer)
    dspy.configure(lm=model.lm)
    yield model
    dspy.configure(lm=None)


pytestmark = pytest.mark.usefixtures("model")


def test_01_a_multi_turn_agent(model: StubModel) -> None:
    def exec_code(code_str: str) -> Any:
        """Execute arbitrary Python code string and return the result."""
        return ast.literal_eval(code_str)

    chat = sessionify(dspy.ReAct("user -> assistant", tools=[exec_code]))
    chat(user="Hi! My name is Max")
    assert chat(user="What is my name?").assistant == "Your name is Max."

    first, second = chat.turns
    assert (first.index, first.inputs, first.score) == (0, {"user": "Hi! My name is Max"}, None)
    assert first.history_snapshot == dspy.History(messages=[])
    assert (second.index, second.inputs) == (1, {"user": "What is my name?"})
    assert second.outputs["assistant"] == "Your name is Max."
    [message] = second.history_snapshot.messages
    assert message["user"] == "Hi! My name is Max"
    assert [message["user"] for message in chat.session_history.messages] == ["Hi! My name is Max", "What is my name?"]
    assert "None" not in model.prompts[-1].text


def test_02_a_composed_module(model: StubModel) -> None:
    sig = dspy.Signature("question -> travel_advice")
    sig.instructions = "Give helpful and extremely brief travel advice."

    class TravelAgent(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.advisor = dspy.Predict(sig)

        def forward(self, question: str) -> Any:
            return self.advisor(question=question).travel_advice

    travel = sessionify(TravelAgent())
    assert repr(travel) == "Session(TravelAgent, turns=0, history_field='history')"

    first = travel(question="I'm planning a 2-week trip to Japan in April.")
    assert travel(question="What should I pack for the weather?") == "Layers, for Japan in April."
    assert [(turn.inputs, turn.outputs) for turn in travel.turns] == [
        ({"question": "I'm planning a 2-week trip to Japan in April."}, {"output": first}),
        ({"question": "What should I pack for the weather?"}, {"output": "Layers, for Japan in April."}),
    ]
    assert travel.turns[1].history_snapshot.messages == [
        {"question": "I'm planning a 2-week trip to Japan in April.", "output": first}
    ]
    assert first in model.prompts[-1].text


def test_03_a_lean_history_for_retrieval(model: StubModel) -> None:
    class RAGAnswer(dspy.Signature):
        """Answer the question using the provided context."""

        question: str = dspy.InputField()
        context: str = dspy.InputField(desc="Retrieved documents")
        answer: str = dspy.OutputField()

    for lean in ({"exclude_fields": {"context"}, "max_turns": 10}, {"history_input_fields": {"question"}}):
        session = sessionify(dspy.Predict(RAGAnswer), **lean)
        session(question="What are Python decorators?", context="[PEP 318] A decorator is a callable ...")
        session(question="Can you show me an example?", context="[RealPython] @login_required is ...")
        assert [list(message) for message in session.session_history.messages] == [["question", "answer"]] * 2
        assert list(session.turns[0].inputs) == ["question", "context"]
        assert "PEP 318" not in model.prompts[-1].text
        assert "What are Python decorators?" in model.prompts[-1].text


class MathTutor(dspy.Signature):
    """You are a patient math tutor. Explain step by step."""

    question: str = dspy.InputField()
    explanation: str = dspy.OutputField()


def test_04_training_data_from_conversations(capsys: pytest.CaptureFixture[str], model: StubModel) -> None:
    session = sessionify(dspy.Predict(MathTutor))
    session(question="What is a derivative?")
    session(question="Can you give me an example with f(x) = x²?")
    session(question="What about the chain rule?")
    session(question="Apply the chain rule to f(x) = sin(x²)")

    examples = session.to_examples()
    assert len(examples) == 4
    assert (examples[0].question, len(examples[0].history.messages)) == ("What is a derivative?", 0)
    assert examples[0].explanation == session.turns[0].outputs["explanation"]
    assert (examples[2].question, len(examples[2].history.messages)) == ("What about the chain rule?", 2)

    optimized = dspy.BootstrapFewShot().compile(session, trainset=examples)
    assert optimized(question="What's the derivative of x³?").explanation.startswith("I heard")
    prompt = model.prompts[-1]
    assert "What about the chain rule?" in prompt.text
    assert len(prompt.messages) > 1
    assert (len(session), len(optimized)) == (4, 1)


def test_05_quality_filtering() -> None:
    class CodeHelp(dspy.Signature):
        """Help the user with their coding question. Include a code example."""

        question: str = dspy.InputField()
        answer: str = dspy.OutputField()

    session = sessionify(dspy.Predict(CodeHelp))
    session(question="Hello")
    session(question="How do I read a CSV file in Python?")
    session(question="What if the file is really large?")
    session(question="How do I filter rows where age > 30?")

    def has_code_example(example: dspy.Example, pred: dspy.Prediction, trace: Any = None) -> float:
        return 1.0 if "```" in pred.answer or "import " in pred.answer else 0.0

    good_examples = session.to_examples(metric=has_code_example, min_score=0.5)
    assert len(good_examples) == 3
    assert len(session.turns) == 4
    assert session.to_examples(metric=has_code_example, min_score=0.5, strict_trajectory=True) == []

    session_alice = sessionify(dspy.Predict(CodeHelp))
    session_alice(question="How do I sort a list?")
    session_alice(question="What about sorting by a custom key?")
    session_bob = sessionify(dspy.Predict(CodeHelp))
    session_bob(question="How do I connect to a Postgres database?")
    session_bob(question="How do I run a parameterized query?")
    assert len(Session.merge_examples(session_alice, session_bob)) == 4


class Therapist(dspy.Signature):
    """You are a supportive therapist. Be empathetic and ask follow-up questions."""

    message: str = dspy.InputField()
    response: str = dspy.OutputField()


def test_06_save_load_and_resume(tmp_path: Path, model: StubModel) -> None:
    path = tmp_path / "therapy_session.json"
    session = sessionify(dspy.Predict(Therapist))
    session(message="I've been feeling overwhelmed at work lately.")
    session(message="My manager keeps adding tasks without checking my bandwidth.")
    session.save(path)

    restored = Session.load_from(path, dspy.Predict(Therapist))
    assert len(restored.turns) == 2
    restored(message="I tried setting boundaries like you suggested.")
    assert "without checking my bandwidth" in model.prompts[-1].text

    saved = json.loads(path.read_text(encoding="utf-8"))
    options = "history_field max_turns max_stored_turns copy_mode exclude_fields history_input_fields history_policy"
    assert {"version", *options.split(), "turns", "initial_history"} <= set(saved)
    assert saved["version"] == 2
    assert [list(turn)[:4] for turn in saved["turns"]] == [["index", "inputs", "outputs", "score"]] * 2


def test_06_seed_history() -> None:
    seed = dspy.History(
        messages=[
            {"message": "I have anxiety about public speaking.", "response": "That's very common..."},
            {"message": "I have a presentation next week.", "response": "Let's work on some strategies..."},
        ]
    )
    session = sessionify(dspy.Predict(Therapist), initial_history=seed)
    session(message="I tried the breathing exercises. They helped a little.")
    assert len(session.turns) == 1
    assert len(session.session_history.messages) == 3


def test_07_forks() -> None:
    class StoryWriter(dspy.Signature):
        """Continue the collaborative story."""

        prompt: str = dspy.InputField()
        continuation: str = dspy.OutputField()

    session = sessionify(dspy.Predict(StoryWriter))
    session(prompt="A detective arrives at an abandoned mansion on a rainy night.")
    session(prompt="She finds a locked room on the second floor.")

    branch_a = session.fork()
    branch_b = session.fork()
    branch_a(prompt="She picks the lock and finds a hidden laboratory.")
    branch_b(prompt="She hears footsteps coming from inside the room.")
    assert (len(session.turns), len(branch_a.turns), len(branch_b.turns)) == (2, 3, 3)


class QA(dspy.Signature):
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


def test_08_editing_by_hand() -> None:
    session = sessionify(dspy.Predict(QA))
    session.add_turn(
        inputs={"question": "What is the capital of France?"},
        outputs={"answer": "The capital of France is Paris."},
    )
    assert session(question="What about Germany?").answer == "The capital of Germany is Berlin."
    session.pop_turn()
    assert len(session.turns) == 1
    session.undo(steps=1)
    assert len(session.turns) == 0


def test_09_a_better_module_in_mid_conversation(model: StubModel) -> None:
    class Support(dspy.Signature):
        """You are a customer support agent for a SaaS product."""

        question: str = dspy.InputField()
        reply: str = dspy.OutputField()

    session = sessionify(dspy.Predict(Support))
    session(question="I can't log in to my account.")
    session(question="I've already tried resetting my password.")

    def dummy_metric(example: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> bool:
        return len(pred.reply) > 10

    trainset = session.to_examples()
    optimized_module = dspy.GEPA(
        metric=dummy_metric, max_metric_calls=10, reflection_lm=StubModel(lambda _: "```\nBe kind.\n```").lm
    ).compile(dspy.Predict(Support), trainset=trainset)

    session.update_module(optimized_module)
    out = session(question="The reset email never arrived.")
    assert out.reply
    assert len(session.turns) == 3
    assert "I can't log in to my account." in model.prompts[-1].text


async def test_10_async_conversations() -> None:
    class Chat(dspy.Signature):
        """A friendly conversational assistant."""

        message: str = dspy.InputField()
        reply: str = dspy.OutputField()

    session = sessionify(dspy.Predict(Chat), lock="async")
    await session.acall(message="Hey! I'm Ada. What's a good beginner programming language?")
    assert (await session.acall(message="By the way: what is my name?")).reply == "Your name is Ada."
    assert len(session.turns) == 2


def test_11_history_policies() -> None:
    given = dspy.History(messages=[{"question": "Hi!", "answer": "Hello!"}])
    session = sessionify(dspy.Predict(QA), history_policy="override")
    session(question="Hi!")
    session(question="Follow-up", history=given)
    assert len(session.turns) == 1

    session2 = sessionify(dspy.Predict(QA), history_policy="use_if_provided")
    session2(question="Follow-up", history=given)
    assert len(session2.turns) == 1

    session3 = sessionify(dspy.Predict(QA), history_policy="replace_session")
    session3(question="Turn 1")
    session3(question="Turn 2")
    assert len(session3.turns) == 2
    session3(question="Fresh start", history=dspy.History(messages=[{"question": "Seed", "answer": "Context"}]))
    assert len(session3.turns) == 1


def test_12_turn_callbacks() -> None:
    lines: list[str] = []

    def log_turn(session: Session, turn: Turn) -> None:
        lines.append(f"[Turn {turn.index}] Q: {turn.inputs['question']} → A: {turn.outputs['answer']}")
        lines.append(f"  History depth: {len(turn.history_snapshot.messages)}")

    session = sessionify(dspy.Predict(QA), on_turn=log_turn)
    session(question="What is the capital of France?")
    session(question="And of Germany?")
    assert lines == [
        "[Turn 0] Q: What is the capital of France? → A: The capital of France is Paris.",
        "  History depth: 0",
        "[Turn 1] Q: And of Germany? → A: The capital of Germany is Berlin.",
        "  History depth: 1",
    ]
    session(question="?", history=dspy.History(messages=[]))
    assert len(lines) == 4
    assert session.fork().on_turn is log_turn


async def test_13_a_shared_blueprint_with_external_state(tmp_path: Path) -> None:
    chat = with_memory(dspy.Predict("question -> answer"))
    alice = chat.new_state()
    bob = chat.new_state()
    with chat.use_state(alice):
        chat(question="Hi, I'm Alice")
    with chat.use_state(bob):
        chat(question="Hi, I'm Bob")
    assert (len(alice.turns), len(bob.turns), len(chat.turns)) == (1, 1, 0)

    database: dict[str, str] = {"alice": json.dumps(alice.to_dict())}
    for user, said in (("alice", "Your name is Alice."), ("carol", "I do not know your name.")):
        data = database.get(user)
        state = SessionState.from_dict(json.loads(data)) if data else chat.new_state()
        async with chat.use_state(state):
            assert (await chat.acall(question="What is my name?")).answer == said
        database[user] = json.dumps(state.to_dict())
    assert len(SessionState.from_dict(json.loads(database["alice"]))) == 2


def test_13_policies_for_each_node() -> None:
    class MyAgent(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query_generator = dspy.ChainOfThought("question -> query")
            self.retriever = dspy.Predict("query -> passages")
            self.critic = dspy.Predict("question, passages -> answer")

        def forward(self, question: str) -> Any:
            query = self.query_generator(question=question).query
            return self.critic(question=question, passages=self.retriever(query=query).passages)

    def my_consolidator(past_memory: str, episode_transcript: str) -> str:
        return f"{past_memory}{episode_transcript.count('- turn:')}"

    app = with_memory(
        MyAgent(),
        child_configs={
            "query_generator": {"lifespan": "episodic", "consolidator": my_consolidator},
            "retriever": {"lifespan": "stateless"},
            "critic": {"isolation": "shared"},
        },
    )
    state = app.new_state()
    with app.use_state(state):
        app(question="Hi, my name is Max")
        assert app(question="What is my name?").answer == "Your name is Max."
    assert {path: (len(node), node.l2_memory) for path, node in state.node_states.items()} == {
        "query_generator.predict": (0, "11")
    }


def test_the_api_reference() -> None:
    session = sessionify(dspy.Predict(QA))
    assert (get_current_history(), get_outer_history()) == (None, None)
    assert (get_node_memory(), get_child_l1_ledger("worker"), get_execution_trace()) == ("", "", "")
    session(question="a")
    assert len(session) == 1
    assert session.score(lambda example, pred, trace=None: 1) == [1.0]
    assert len(session.to_trainset()) == 1
    assert SessionState.from_dict(session.state.to_dict()) == session.state
    session.reset()
    assert session.session_history == dspy.History(messages=[])
