"""Finds the agent that a target names: imports its module, takes the attribute, calls it where it is a factory."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import dspy

from dspy_session import ConfigurationError
from dspy_session_bots.console import explained
from dspy_session_bots.fault import where
from dspy_session_bots.target import Target
from dspy_session_chat import Bot

USUAL_NAMES = ("agent", "program", "bot")
"""The attributes that are tried when nobody said which one it is."""


def load(target: Target) -> dspy.Module | Bot:
    """The agent, or the bot, that ``target`` names.

    The working directory can be imported from, as with ``python -m``; for a ``.py`` file, its own folder as well.

    Raises:
        ConfigurationError: There is no such thing, or the user's code raises; the message says where.
    """
    module = _module(target)
    target = _complete(target, module)
    value = _attribute(module, target)
    if isinstance(value, dspy.Module | Bot):
        return value
    found = _made(value, target) if callable(value) else value
    if isinstance(found, dspy.Module | Bot):
        return found
    if inspect.isclass(value) and issubclass(value, dspy.Signature):
        raise ConfigurationError(
            f"{target} is a signature, which cannot run: make it a module, {target.attribute} = "
            f"dspy.Predict({value.__name__})"
        )
    if inspect.isclass(value):
        what = f"is the class {value.__name__}"
    else:
        what = f"{'is' if found is value else 'returns something'} of type {type(found).__name__}"
    raise ConfigurationError(f"{target} {what}, not a dspy.Module{_hint(module, target)}")


# --- the module -------------------------------------------------------------------------------------------------------


def _module(target: Target) -> ModuleType:
    _importable_from(Path.cwd())
    if target.file is None:
        return _by_name(target.module)
    path = target.file.resolve()
    if not path.is_file():
        raise ConfigurationError(f"there is no file {target.file}{_similar_file(target.file)}")
    packages: list[str] = []
    folder = path.parent
    while (folder / "__init__.py").is_file():  # inside a package, whose modules import one another
        packages.insert(0, folder.name)
        folder = folder.parent
    _importable_from(folder)
    if not packages:
        return _by_path(path, target)
    return _by_name(".".join(packages if path.stem == "__init__" else [*packages, path.stem]))


def _importable_from(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _by_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None or not f"{name}.".startswith(f"{missing}."):
            raise _blamed(name, error) from error
        raise ConfigurationError(
            f"there is no module {missing}, neither in {Path.cwd()} nor installed{_similar_module(name)}"
        ) from None


def _by_path(path: Path, target: Target) -> ModuleType:
    # Not by its name: a file may be called as a library is.
    name = path.stem if path.stem not in sys.modules else f"_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _blamed(target.module, error) from error
    return module


def _similar_file(path: Path) -> str:
    there = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, there, n=1)
    return f": did you mean {path.with_name(close[0])}?" if close else f" in {path.parent.resolve()}"


def _similar_module(name: str) -> str:
    files, packages = Path.cwd().glob("*.py"), Path.cwd().glob("*/__init__.py")
    there = [*(file.stem for file in files), *(init.parent.name for init in packages)]
    close = difflib.get_close_matches(name.partition(".")[0], there, n=1)
    return f": did you mean {close[0]}?" if close else ""


# --- the attribute ----------------------------------------------------------------------------------------------------


def _complete(target: Target, module: ModuleType) -> Target:
    """The target with the attribute that is meant."""
    if target.attribute:
        return target
    for name in USUAL_NAMES:
        if hasattr(module, name):
            return replace(target, attribute=name)
    names = [f"{target.module}:{name}" for name in _candidates(module)]
    which = _either(names) if names else f"{target.module}:NAME (no name in it holds a dspy.Module)"
    raise ConfigurationError(f"{target.module} has no {_either(USUAL_NAMES)}: say which it is, {which}")


def _attribute(module: ModuleType, target: Target) -> Any:
    value: Any = module
    for name in target.attribute.split("."):
        if not hasattr(value, name):
            raise ConfigurationError(f"{target.module} has no {target.attribute}{_hint(module, target)}")
        value = getattr(value, name)
    return value


def _made(value: Callable[..., Any], target: Target) -> Any:
    """What a factory or a class makes."""
    if inspect.isclass(value) and not issubclass(value, dspy.Module):
        return value
    if inspect.iscoroutinefunction(value):
        raise ConfigurationError(f"{target} is a coroutine function: a factory must be a plain function")
    needed = _needed(value)
    if needed:
        raise ConfigurationError(
            f"{target} needs arguments ({', '.join(needed)}), which nobody gives it: name a finished agent, or a "
            "function without arguments that makes it"
        )
    try:
        return value()
    except (Exception, SystemExit) as error:
        raise _blamed(str(target), error) from error


def _needed(value: Callable[..., Any]) -> list[str]:
    """The names of the arguments that a factory cannot do without, as far as it tells."""
    # A DSPy class says of itself that it takes anything; its __init__ knows.
    made_by = functools.partial(value.__init__, None) if inspect.isclass(value) else value
    try:
        parameters = inspect.signature(made_by).parameters.values()
    except ValueError:  # some functions that are written in C
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in optional]


def _candidates(module: ModuleType) -> list[str]:
    """The names in a module that hold an agent."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (
            isinstance(value, dspy.Module | Bot)
            or (inspect.isclass(value) and issubclass(value, dspy.Module) and value.__module__ == module.__name__)
        )
    ]


def _hint(module: ModuleType, target: Target) -> str:
    candidates = _candidates(module)
    public = [name for name in vars(module) if not name.startswith("_") and callable(getattr(module, name))]
    close = difflib.get_close_matches(target.attribute, candidates, n=1) or difflib.get_close_matches(
        target.attribute, public, n=1
    )
    if close and close[0] != target.attribute:
        return f": did you mean {target.module}:{close[0]}?"
    return f": it has {_either(candidates)}" if candidates else ": no name in it holds one"


def _either(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _blamed(what: str, error: BaseException) -> ConfigurationError:
    """What to say when the user's code raises."""
    place = where(error)
    return ConfigurationError(f"{place}: {explained(error)}" if place else f"{what}: {explained(error)}")
