"""pyproject.toml agrees with the folders and with the imports; nothing is built or fetched here."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.packaging.project import EXTRAS, PACKAGES, PYPROJECT, ROOT, distribution, modules

ROOMS = {
    "dspy_session": ["postgres", "crypto"],
    "dspy_session_chat": ["bots", "discord", "slack"],  # on demand only, and each of them brings all of it
    "dspy_session_discord": ["discord"],
    "dspy_session_slack": ["slack"],
    "dspy_session_webhook": ["webhook"],
    "dspy_session_bots": ["bots", "local", "slack"],  # Slack's only once --slack asks for it
}
"""The extras that bring what a package imports besides DSPy."""

COMES_WITH = {
    "aiohttp": {"multidict", "yarl"},
    # regex: DSPy and tiktoken both stand on it; cachetools: what DSPy's own cache is made of
    "dspy": {"anyio", "cachetools", "litellm", "pydantic", "pydantic-core", "regex"},
    "pydantic-settings": {"pydantic"},
}
"""Distributions that a declared one brings as a part of its API, so that they need no line of their own."""

OWN = {path.name for path in PACKAGES}


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_every_package_is_listed() -> None:
    """A package that is forgotten here imports in development and is missing from the wheel."""
    roots = [ROOT, ROOT / "integrations", ROOT / "bots"]
    found = {init.parent for root in roots for init in root.glob("dspy_session*/__init__.py")}
    assert found == set(PACKAGES)
    assert set(ROOMS) == OWN
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == OWN


def test_every_package_is_typed() -> None:
    assert [path.name for path in PACKAGES if not (path / "py.typed").is_file()] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_what_is_imported_is_declared(package: Path) -> None:
    undeclared = not_in(ROOMS[package.name], package)
    assert not undeclared, f"add these to the extras {ROOMS[package.name]} in pyproject.toml: {undeclared}"


@pytest.mark.parametrize("extra", ["bots", "discord", "slack"])
def test_what_platforms_share_comes_with_each_of_them(extra: str) -> None:
    [package] = [path for path in PACKAGES if path.name == "dspy_session_chat"]
    undeclared = not_in([extra], package)
    assert not undeclared, f"add these to the extra {extra} in pyproject.toml: {undeclared}"


def not_in(extras: list[str], package: Path) -> dict[str, list[str]]:
    """What a package imports and ``extras`` do not bring, with the files that import it."""
    declared = {"dspy"} | {distribution(line) for extra in extras for line in EXTRAS[extra]}
    declared |= {name for known in declared for name in COMES_WITH.get(known, ())}
    providers = packages_distributions()
    undeclared: dict[str, list[str]] = {}
    for path in package.rglob("*.py"):
        for name in imported(path) - sys.stdlib_module_names - OWN:
            if declared.isdisjoint(map(distribution, providers.get(name, [name]))):
                undeclared.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return undeclared


def test_all_is_every_extra() -> None:
    named = EXTRAS["all"][0].partition("[")[2].partition("]")[0].split(",")
    assert sorted(named) == sorted(set(EXTRAS) - {"all"})


@pytest.mark.parametrize("package", ["dspy_session", "dspy_session_chat"])
def test_importing_the_core_imports_no_extra(package: str) -> None:
    """Every module of the lower floors is imported; nothing that this brings on top of DSPy belongs to an extra.

    All but the one store that is imported when its URL is used.
    """
    [folder] = [path for path in PACKAGES if path.name == package]
    program = f"""
import importlib, json, sys
import dspy
before = set(sys.modules)
for name in {[name for name in modules(folder) if not name.startswith("dspy_session.stores.postgres")]}:
    importlib.import_module(name)
print(json.dumps(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    brought = set(json.loads(result.stdout))
    assert "litellm" not in brought  # it takes seconds to import and asks the network: only where it is used
    extras = {distribution(line) for lines in EXTRAS.values() for line in lines} - COMES_WITH["dspy"]
    providers = packages_distributions()
    assert [name for name in brought - OWN if extras & set(map(distribution, providers.get(name, [])))] == []
    assert brought & OWN <= {"dspy_session", package}
