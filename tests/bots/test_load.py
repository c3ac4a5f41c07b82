"""Where an agent may be, and what may stand for one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dspy
import pytest

from dspy_session import ConfigurationError, Session
from dspy_session_bots.load import load
from dspy_session_bots.target import Target
from dspy_session_chat import Bot

AGENT = """
import dspy
from dspy_session import Session
from words import GREETING

class Greeter(dspy.Module):
    def forward(self, message: str):
        return dspy.Prediction(reply=GREETING)

class places:
    here = Greeter()

session = Session(Greeter())
made = []

def make():
    made.append(Greeter())
    return made[-1]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes files into the working directory; whatever is imported is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def file(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    yield file
    for name in set(sys.modules) - known:
        del sys.modules[name]


def loaded(target: str) -> dspy.Module | Bot:
    return load(Target.parse(target))


@pytest.mark.parametrize("module", ["greet", "greet.py", "./greet.py"])
def test_a_module_or_a_file(write: Callable[[str, str], None], module: str) -> None:
    write("greet.py", AGENT)
    write("words.py", "GREETING = 'hello'")
    assert loaded(f"{module}:session")(message="?").reply == "hello"
    assert type(loaded(f"{module}:places.here")).__name__ == "Greeter"


def test_a_class_a_factory_and_a_session(write: Callable[[str, str], None]) -> None:
    write("greet.py", AGENT)
    write("words.py", "GREETING = 'hello'")
    assert type(loaded("greet:Greeter")).__name__ == "Greeter"
    assert loaded("greet:make") is sys.modules["greet"].made[0]
    assert len(sys.modules["greet"].made) == 1
    assert isinstance(loaded("greet:session"), Session)


@pytest.mark.parametrize("name", ["agent", "program", "bot"])
def test_usual_names_need_not_be_said(write: Callable[[str, str], None], name: str) -> None:
    write("some.py", f"import dspy\nother = dspy.Predict('a -> b')\n{name} = dspy.Predict('message -> reply')\n")
    assert loaded("some.py") is getattr(sys.modules["some"], name)


def test_a_file_beside_its_own_modules(write: Callable[[str, str], None]) -> None:
    """A file in another folder imports what lies beside it, as when Python runs it."""
    write("deep/down/greet.py", AGENT)
    write("deep/down/words.py", "GREETING = 'from below'")
    assert loaded("deep/down/greet.py:session")(message="?").reply == "from below"


def test_a_file_in_a_package(write: Callable[[str, str], None]) -> None:
    write("src/support/__init__.py", "")
    write("src/support/words.py", "GREETING = 'relative'")
    write("src/support/greet.py", AGENT.replace("from words", "from .words"))
    write("src/support/desk/__init__.py", "from ..greet import session as agent")
    assert loaded("src/support/greet.py:session")(message="?").reply == "relative"
    assert loaded("src/support/desk/__init__.py") is loaded("src/support/greet.py:session")
    assert loaded("support.desk:agent") is loaded("src/support/greet.py:session")


def test_a_file_named_like_a_library(write: Callable[[str, str], None]) -> None:
    write("below/typing.py", "import dspy\nagent = dspy.Predict('message -> reply')\n")
    known = sys.modules["typing"]
    assert isinstance(loaded("below/typing.py"), dspy.Predict)
    assert sys.modules["typing"] is known


def test_an_error_in_the_users_code_names_its_line_and_keeps_its_cause(write: Callable[[str, str], None]) -> None:
    write("greet.py", "import words\n")
    write("words.py", "def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(ConfigurationError, match=r"^words\.py, line 2: ZeroDivisionError") as raised:
        loaded("greet.py")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("text", "module", "attribute"),
    [
        ("a.b:c", "a.b", "c"),
        ("a:b.c", "a", "b.c"),
        ("agent.py", "agent.py", ""),
        ("/x/agent.py:bot", "/x/agent.py", "bot"),
        (r"C:\bots\agent.py", r"C:\bots\agent.py", ""),
        (r"C:\bots\agent.py:bot", r"C:\bots\agent.py", "bot"),
        ("support", "support", ""),
    ],
)
def test_targets(text: str, module: str, attribute: str) -> None:
    assert Target.parse(text) == Target(module, attribute)
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize("text", ["", ":", "a:", ":b", "a b", "a:b c", "a..b", "a:1", "a/b", "a:b:c"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(ConfigurationError, match="names no agent: write MODULE:ATTR"):
        Target.parse(text)
