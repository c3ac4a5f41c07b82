"""How a bot is to behave, how much it may do and for whom, as options: ``Manners``, ``Limits``, ``Access``, and what
Slack alone has, and Discord alone.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

# What DSPy stands behind is imported by the function that needs it, so that help is there at once.
if TYPE_CHECKING:
    from dspy_session_chat import Access, Limits, Manners

F = TypeVar("F", bound=Callable[..., Any])

MANNERS, LIMITS, ACCESS, SLACK, DISCORD = "Manners", "Limits", "Access", "Slack", "Discord"
PREFIX = "BOT_"
"""Begins the names of the environment's variables: ``BOT_PER_USER=20/m``."""

NONE = "none"
"""What stands on the command line for an option that is None."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An option of the command line that is an option of one of these classes.

    Args:
        of: The class, ``MANNERS``, ``LIMITS``, ``ACCESS``, ``SLACK`` or ``DISCORD``; the help has a part for each.
        name: The option's name there.
        kind: What it is on the command line: a text, a number, a switch, or a list, whose option may be repeated.
        metavar: What the help shows for its value.
        help: What the help says.
        flag: Its name on the command line; that of the class, with hyphens, if empty.
    """

    of: str
    name: str
    kind: type
    metavar: str
    help: str
    flag: str = ""

    @property
    def variable(self) -> str:
        """The environment's variable."""
        return f"{PREFIX}{self.name.upper()}"

    @property
    def option(self) -> str:
        """What stands on the command line."""
        return self.flag or f"--{self.name.replace('_', '-')}"

    @property
    def parameter(self) -> inspect.Parameter:
        """What typer makes an option of."""
        option = typer.Option(
            self.option,
            metavar=self.metavar or None,
            help=self.help,
            envvar=self.variable,
            show_envvar=False,
            show_default=False,
            rich_help_panel=self.of,
        )
        kind = list[str] if self.kind is list else self.kind
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
        )


RULES = (
    Rule(MANNERS, "respond", str, "mention|thread|always", "Where no mention is needed, besides DMs."),
    Rule(MANNERS, "idle", str, "TIME", "How long after its last answer a thread needs a mention again: 12h."),
    Rule(MANNERS, "scope", str, "thread|channel|user|user-in-channel|reply-chain", "What is one conversation."),
    Rule(MANNERS, "dms", str, "thread|whole", "The same in DMs: each thread, or all of a DM."),
    Rule(
        MANNERS,
        "busy",
        str,
        "queue|merge|interrupt|reject",
        "What becomes of messages that come while it is at work.",
    ),
    Rule(MANNERS, "speakers", str, "field|prefix", "How the agent learns who spoke."),
    Rule(MANNERS, "read_back", int, "NUMBER", "How many messages from before it was called it reads."),
    Rule(MANNERS, "buttons", bool, "", "Answers with buttons, or without.", "--buttons/--no-buttons"),
    Rule(MANNERS, "show_reasoning", bool, "", "Post what the agent thought, hidden.", "--show-reasoning"),
    Rule(MANNERS, "show_fields", bool, "", "Post the other outputs as a small table.", "--show-fields"),
    Rule(LIMITS, "per_user", str, "RATE", "Messages of each user: 20/m, 100/h, 500/d."),
    Rule(LIMITS, "per_channel", str, "RATE", "Messages in each channel."),
    Rule(LIMITS, "per_workspace", str, "RATE", "Messages in each workspace or server."),
    Rule(LIMITS, "tokens_a_day", int, "NUMBER", "Tokens that it may use in a day (UTC)."),
    Rule(LIMITS, "money_a_day", float, "DOLLARS", "Dollars that it may use in a day."),
    Rule(LIMITS, "user_tokens_a_day", int, "NUMBER", "Tokens for each user in a day."),
    Rule(LIMITS, "user_money_a_day", float, "DOLLARS", "Dollars for each user in a day."),
    Rule(LIMITS, "input_characters", int, "NUMBER", "Characters in a message."),
    Rule(LIMITS, "reply_characters", int, "NUMBER", "Characters in an answer; what is longer is cut."),
    Rule(LIMITS, "history_turns", int, "NUMBER", "Earlier turns that the model sees."),
    Rule(LIMITS, "tool_steps", int, "NUMBER", "Tools that the agent may use for one message."),
    Rule(LIMITS, "seconds", float, "NUMBER", "How long it may take for one message."),
    Rule(ACCESS, "admins", list, "ID", "A user who may give an admin's commands: U1, slack:T1:U1.", "--admin"),
    Rule(ACCESS, "allow_users", list, "ID", "A user who may talk to it; the others may not.", "--allow-user"),
    Rule(ACCESS, "deny_users", list, "ID", "A user who may not.", "--deny-user"),
    Rule(ACCESS, "allow_roles", list, "ID", "A role (Discord) that may; who has none may not.", "--allow-role"),
    Rule(ACCESS, "deny_roles", list, "ID", "A role that may not.", "--deny-role"),
    Rule(ACCESS, "allow_channels", list, "ID", "A channel where it talks; nowhere else.", "--allow-channel"),
    Rule(ACCESS, "deny_channels", list, "ID", "A channel where it does not.", "--deny-channel"),
    Rule(
        ACCESS,
        "allow_workspaces",
        list,
        "ID",
        "A workspace or server where it talks; nowhere else. 'dms' for Discord's DMs.",
        "--allow-workspace",
    ),
    Rule(ACCESS, "deny_workspaces", list, "ID", "A workspace or server where it does not.", "--deny-workspace"),
    Rule(SLACK, "greeting", str, "TEXT", "What people are greeted with who open it in the view for agents."),
    Rule(SLACK, "prompts", str, "TEXT|TEXT", "What they may ask by a click, four at most: 'Open today?|Any bells?'."),
    Rule(SLACK, "streams", str, "dms|everywhere|nowhere", "Where answers are shown by Slack's own streams."),
    Rule(
        DISCORD,
        "threads",
        list,
        "[CHANNEL=]open|reply",
        "A mention opens a thread, or is replied to; for one channel: support=open. May be repeated.",
    ),
    Rule(DISCORD, "activity", str, "TEXT", "What stands beneath the bot's name; none for nothing."),
    Rule(DISCORD, "catch_up", str, "TIME", "How old what it missed may be to be answered: 1h; none for not at all."),
)
"""What needs more than a word, such as prices or what single channels are like, is code: a ``Bot`` of one's own."""

SLACK_OPTIONS, DISCORD_OPTIONS = (
    frozenset(rule.option for rule in RULES if rule.of == platform) for platform in (SLACK, DISCORD)
)

HEADINGS = {
    MANNERS: "How it behaves",
    LIMITS: "How much it may do",
    ACCESS: "Who may talk to it (each may be repeated)",
    SLACK: "In Slack",
    DISCORD: "In Discord",
}


def ruled(function: F) -> F:
    """Give a command an option for each rule; it takes them as ``**rules``."""
    signature = inspect.signature(function, eval_str=True)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *(rule.parameter for rule in RULES)])  # type: ignore[attr-defined]
    return function


class InParts(TyperCommand):
    """A command whose help has a part for each group of options."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what there is, one part after the other."""
        parts: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            heading = HEADINGS.get(getattr(parameter, "rich_help_panel", None) or "", kind)
            if record is not None:
                parts.setdefault(heading, []).append(record)
        for heading, records in sorted(parts.items(), key=lambda part: part[0] in HEADINGS.values()):
            with formatter.section(heading):
                formatter.write_dl(records)


def given_in(context: typer.Context, *, besides: tuple[str, ...]) -> Iterator[str]:
    """The names of the options that were given, or of the variables that hold them.

    Args:
        context: The command line.
        besides: Parameters that are left out.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in besides or source is None:
            continue
        if source.name == "COMMANDLINE":
            yield (parameter.secondary_opts if context.params.get(parameter.name or "") is False else parameter.opts)[0]
        elif source.name == "ENVIRONMENT":
            yield str(parameter.envvar)


def unknown_variables(environ: Collection[str]) -> Iterator[str]:
    """What to say of variables that look like a bot's and are none: each in one line.

    Args:
        environ: The names of the variables that are set.
    """
    known = [rule.variable for rule in RULES]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            said = f": did you mean {close[0]}?" if close else ", and does nothing"
            yield f"{name} is no variable of a bot{said}"


def rules_of(given: Mapping[str, Any]) -> tuple[Manners, Limits, Access]:
    """The rules that were given; the others are a bot's where nobody says anything.

    Raises:
        ConfigurationError: One has a value that it cannot have.
    """
    from dspy_session_chat import Access, Manners
    from dspy_session_chat.bot import DEFAULT_LIMITS

    limits = replace(DEFAULT_LIMITS, **_of(LIMITS, given))
    return Manners(**_of(MANNERS, given)), limits, Access(**_of(ACCESS, given))


def slack_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``Slack`` that were given, and those of its ``Assistant``."""
    said = _of(SLACK, given)
    if "prompts" in said:
        said["prompts"] = [prompt.strip() for prompt in said["prompts"].split("|")]
    return said


def discord_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``Discord`` that were given."""
    said = _of(DISCORD, given)
    if "threads" in said:
        wishes = (each.rpartition("=") for each in said["threads"])
        said["threads"] = {channel or "*": wish for channel, _, wish in wishes}
    return {name: None if value == NONE else value for name, value in said.items()}


def _of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {rule.name: given[rule.name] for rule in RULES if rule.of == name and given[rule.name] not in (None, [])}
