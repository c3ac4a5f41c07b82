"""``dspy-bots`` by itself: its help, its version, and an installation that something is wrong with."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from dspy_session_bots.install import pip_install
from tests.bots.command_line import Line, Result, dspy_bots, environment, run_lines

ECHO = """
import dspy
class Echo(dspy.Module):
    def forward(self, message: str):
        return message
agent = Echo()
"""


def test_help_and_version(tmp_path: Path) -> None:
    lines = [["--version"], [], ["--help"], ["demo", "--help"], ["chat", "--help"], ["run", "--help"]]
    version, nothing, *helps = run_lines([Line(line) for line in lines], tmp_path)
    said = [f"{name} {metadata.version(name)}" for name in ("dspy-session-kit", "dspy")]
    assert version == Result(0, ", ".join(said) + "\n", "")
    assert nothing == helps[0]
    assert [(each.code, each.err) for each in helps] == [(0, "")] * 4
    assert all(command in nothing.out for command in ("demo", "chat", "run"))
    for command, each in zip(("demo", "chat", "run"), helps[1:], strict=True):
        assert f"Examples:\n    dspy-bots {command}" in each.out  # each in a line of its own


def python(program: str, folder: Path, **variables: str) -> Result:
    child = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(**variables),
        timeout=30,
        check=False,
    )
    return Result(child.returncode, child.stdout, child.stderr)


def test_help_does_not_import_dspy(tmp_path: Path) -> None:
    program = (
        "import sys; from dspy_session_bots.cli import run; run(['run', '--help']); assert 'dspy' not in sys.modules"
    )
    assert python(program, tmp_path).code == 0


def test_without_the_extra(tmp_path: Path) -> None:
    program = "import sys; sys.modules['typer'] = None; from dspy_session_bots.cli import main; main()"
    result = python(program, tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.complaint == f"typer is not installed: {pip_install('bots')}"


def test_with_another_package_over_ours(tmp_path: Path) -> None:
    """What is left when something else that brings dspy_session was installed last."""
    (tmp_path / "dspy_session").mkdir()
    (tmp_path / "dspy_session" / "__init__.py").write_text("class Session: ...\n", encoding="utf-8")
    program = "import sys; sys.argv[1:] = ['demo']; from dspy_session_bots.cli import main; main()"
    result = python(program, tmp_path, PYTHONPATH=str(tmp_path))
    assert (result.code, result.out) == (1, "")
    assert "dspy_session is not the one of dspy-session-kit" in result.complaint
    assert f"pip uninstall dspy-session, then {pip_install(options='--force-reinstall --no-deps')}" in result.complaint


async def test_with_a_rival_beside_us(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    installed = tmp_path / "site" / "dspy_session-0.1.2.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: dspy-session\nVersion: 0.1.2\n", encoding="utf-8")
    variables = {"PYTHONPATH": str(installed.parent)}
    result = await dspy_bots("chat", "echo", folder=tmp_path, said="hello\n", anew=True, **variables)
    assert (result.code, result.out) == (0, "hello\n")
    assert result.complaint.startswith("warning: dspy-session 0.1.2 is installed beside dspy-session-kit")
