"""Secrets and addresses, from the environment or an ``.env`` file."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import dotenv
from pydantic import HttpUrl, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dspy_session import ConfigurationError

ENV_FILE = Path(".env")


class Settings(BaseSettings):
    """What must not stand on a command line; each is read from the variable of its name.

    Args:
        slack_bot_token: Slack's bot token, ``xoxb-…``.
        slack_app_token: Slack's app-level token, ``xapp-…``.
        slack_signing_secret: What Slack signs its requests with, where it reaches the bot over HTTP.
        slack_client_id: The app's client id, where many workspaces install it.
        slack_client_secret: Its client secret, likewise.
        slack_api_url: Where Slack's Web API is, for GovSlack or a gateway of one's own.
        discord_token: Discord's bot token.
        discord_shards: Which of Discord's shards this process hears, ``0,1/4``; ``auto`` for as many as it recommends.
        webhook_secret: The signing key that a webhook's receiver knows, ``whsec_…``; several, with spaces between
            them, while keys are rotated.
        store_keys: Keys that encrypt what people say in the store, ``id:base64``; several, with commas between them,
            the first encrypts.
    """

    # An error must not repeat what it complains about: it is a secret.
    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, hide_input_in_errors=True, frozen=True)

    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: HttpUrl | None = None
    discord_token: SecretStr | None = None
    discord_shards: str | None = None
    webhook_secret: SecretStr | None = None
    store_keys: SecretStr | None = None

    def keys(self) -> str | None:
        """The store's keys as a store takes them; None where nothing is encrypted."""
        return None if self.store_keys is None else self.store_keys.get_secret_value()


def read_settings(env_file: Path | None) -> Settings:
    """The settings; what the file says becomes part of the environment, where providers' keys are looked for as well.

    The environment goes before the file.

    Args:
        env_file: The file; ``.env`` in the working directory, if there is one, when it is None.

    Raises:
        ConfigurationError: The file cannot be read, or a setting has a value that it cannot have.
    """
    path = env_file or ENV_FILE
    if env_file is not None or path.is_file():
        try:
            dotenv.load_dotenv(stream=StringIO(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigurationError(f"cannot read {path}: {reason}") from None
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]).upper()
        raise ConfigurationError(f"{name} in the environment or in {path} does not fit: {first['msg']}") from None
