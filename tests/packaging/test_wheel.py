"""The wheel as a user gets it: built from the sdist, installed into an empty environment, imported."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.project import PACKAGES, ROOT, modules

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(900)]

CORE = ("dspy_session", "dspy_session_chat")


def say(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command; what it prints."""
    result = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    say(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    [path] = folder.glob("*.whl")
    return path


class Environment:
    """A virtual environment with nothing in it."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "bin" / "python"
        self.uv = shutil.which("uv")
        if self.uv:
            say(self.uv, "venv", "--python", sys.executable, folder)
        else:
            say(sys.executable, "-m", "venv", folder)

    def install(self, requirement: str) -> None:
        pip = [self.uv, "pip"] if self.uv else [self.python, "-m", "pip"]
        python = ["--python", self.python] if self.uv else []
        say(*pip, "install", *python, "--constraint", ROOT / "requirements" / "dev.txt", requirement)
        say(*pip, "check", *python)

    def run(self, program: str) -> str:
        return say(self.python, "-c", program, cwd=self.python.parent)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


def importing(*packages: str, without: str = " ") -> str:
    names = [
        name
        for package in PACKAGES
        if package.name in packages
        for name in modules(package)
        if not name.startswith(without)
    ]
    return f"import importlib\nfor name in {names}: importlib.import_module(name)\n"


def test_wheel_holds_every_file_of_every_package(wheel: Path) -> None:
    expected = {
        path.relative_to(package.parent).as_posix()
        for package in PACKAGES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    held = {name for name in names if ".dist-info/" not in name}
    assert held == expected
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= held
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_core_needs_dspy_alone(wheel: Path, environment: Environment) -> None:
    environment.install(str(wheel))
    version = environment.run(
        importing(*CORE, without="dspy_session.stores.postgres")
        + "import dspy_session; print(dspy_session.__version__)"
    )
    assert version.strip() == wheel.name.split("-")[1]


def test_every_package_imports_with_all_extras(wheel: Path, environment: Environment) -> None:
    environment.install(f"dspy-session-kit[all] @ {wheel.as_uri()}")
    environment.run(importing(*(package.name for package in PACKAGES)))
    assert "demo" in say(environment.python.with_name("dspy-bots"), "--help")
