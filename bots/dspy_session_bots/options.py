"""What the commands of ``dspy-bots`` share: options, and how their help is laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dspy_session_bots.console import PROGRAM

STORES = "sqlite:///FILE, postgresql://… or memory://"
BOT_STORE = "sqlite:///bot.db"


class Misused(typer.TyperException):
    """The words of a command line do not go together.

    Args:
        message: What does not fit, and how to mend it.
        command: The command that was given, whose help says more: ``"run"``.
    """

    exit_code = 2

    def __init__(self, message: str, command: str) -> None:
        super().__init__(message)
        self.command_path = f"{PROGRAM} {command}"


def _read(env_file: Path | None) -> Path | None:
    from dspy_session_bots.config import read_settings  # with DSPy behind it: too much for --help

    read_settings(env_file)
    return env_file


ENV_FILE_HELP = "Where keys and tokens are, besides the environment; else .env, if there is one."

EnvFileOption = Annotated[Path | None, typer.Option(metavar="FILE", help=ENV_FILE_HELP, show_default=False)]
EarlyEnvFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help=ENV_FILE_HELP, show_default=False, is_eager=True, callback=_read)
]
"""The same, read before the other options are: they may stand in it."""
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more, and where errors come from.")]
StoreOption = Annotated[
    str, typer.Option(metavar="URL", help="Where the bot keeps its conversations; it may be running meanwhile.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: a JSON object on each line.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OutputOption = Annotated[
    Path, typer.Option(metavar="FILE", help="Where to; the file is written whole or not at all. - is stdout.")
]
PrefixOption = Annotated[str, typer.Option(metavar="TEXT", help="Only those whose keys begin so.", show_default=False)]
SecretOption = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="The signing key, whsec_…; else WEBHOOK_SECRET.", show_default=False),
]


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)  # \b keeps the lines as they are


def group(about: str, *commands: str) -> typer.Typer:
    """Commands that belong together; without one of them the group says which there are.

    Args:
        about: What they are for.
        commands: Examples.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.callback(invoke_without_command=True, help=about, epilog=examples(*commands))
    def start(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return app
