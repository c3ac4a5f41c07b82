"""An option as an attribute of its session: read from the checked options, and checked again when it is assigned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspy_session.session import Session

Hooks = Callable[..., Any] | list[Callable[..., Any]] | None


class Option:
    """The attribute of a session that is the option of the same name.

    Args:
        reaches_predictors: True when predictors have to learn of a change.
    """

    def __init__(self, *, reaches_predictors: bool = False) -> None:
        self._reaches_predictors = reaches_predictors
        self.name = ""

    def __set_name__(self, owner: type[Session], name: str) -> None:
        self.name = name

    def __get__(self, session: Session | None, owner: type[Session]) -> Any:
        if session is None:
            return self
        return self.shown(session, getattr(session.engine.options, self.name))

    def __set__(self, session: Session, value: Any) -> None:
        session.engine.options = session.engine.options.with_(**{self.name: value})
        if self._reaches_predictors:
            session.engine.take(session.module)

    def shown(self, session: Session, value: Any) -> Any:
        """The value as people gave it."""
        return value


class HooksOption(Option):
    """A hook, a list of hooks, or None."""

    def shown(self, session: Session, value: tuple[Callable[..., Any], ...]) -> Hooks:
        """The only hook itself, several as a list."""
        return list(value) if len(value) > 1 else next(iter(value), None)


class ExcludedFields(Option):
    """Names of fields that the history leaves out, the history field among them."""

    def shown(self, session: Session, value: Iterable[str]) -> set[str]:
        """As a set of its own."""
        return {*value, session.engine.options.history_field}
