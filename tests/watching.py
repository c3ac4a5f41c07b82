"""When coverage watches: to be watched makes a test take up to twice as long, so few are."""

from __future__ import annotations

import gc
import importlib
import pkgutil
from collections.abc import Callable, Iterator

import pytest
from coverage import Coverage


class Watching:
    """Lets coverage look away while tests are collected, and while those run that are about something else.

    Args:
        about: Whether a test is to be watched.
    """

    def __init__(self, about: Callable[[pytest.Item], bool]) -> None:
        self._about = about
        self._looks_away: Coverage | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Iterator[None]:
        """Collect with neither coverage nor the garbage collector: nearly all of it stays until the end."""
        if session.config.getoption("numprocesses", None):  # the workers collect
            return (yield)
        gc.disable()
        self._look_away()
        importlib.import_module("dspy")
        self._look_again()
        _import_all("dspy_session")  # what runs on import is to be seen
        self._look_away()
        try:
            return (yield)
        finally:
            self._look_again()
            gc.freeze()
            gc.enable()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        try:
            return (yield)
        finally:
            self._look_again()  # before the figures are gathered

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self._about(item):
            self._look_again()
        else:
            self._look_away()
        return (yield)

    def _look_away(self) -> None:
        if self._looks_away is None and (watching := Coverage.current()):
            watching.stop()
            self._looks_away = watching

    def _look_again(self) -> None:
        if self._looks_away:
            self._looks_away.start()
            self._looks_away = None


def _import_all(package: str) -> None:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)
