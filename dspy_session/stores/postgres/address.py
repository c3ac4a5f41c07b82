"""Which database, and how it may be named where anybody may read it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from dspy_session.errors import ConfigurationError

SCHEMA = "dspy_session"
"""Where the tables are when the URL does not say: beside the tables of others their names would be too plain."""
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,62}")
_USE = "use postgresql://USER:PASSWORD@HOST:5432/DATABASE, with what is special in the password as %XX"


@dataclass(frozen=True, slots=True)
class Address:
    """A database and the schema in it.

    Args:
        dsn: What asyncpg connects to; holds the password.
        schema: The schema that the tables are in.
        name: The database as messages name it; holds no secret.
    """

    dsn: str = field(repr=False)
    schema: str
    name: str

    @property
    def quoted_schema(self) -> str:
        """The schema as it stands in SQL."""
        return f'"{self.schema}"'


def address(url: str) -> Address:
    """Read a URL.

    Args:
        url: ``postgresql://user:password@host:5432/database``, with ``?schema=name`` for another schema than
            ``dspy_session``; what else stands behind the ``?`` (``sslmode=require``, …) is for the connection.

    Raises:
        ConfigurationError: It is no such URL. The message does not repeat it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError(f"the PostgreSQL URL cannot be read: {_USE}") from error
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"that is no PostgreSQL URL: {_USE}")
    query = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(query).get("schema", SCHEMA)
    if not _NAME.fullmatch(schema):
        raise ConfigurationError("the schema= of a PostgreSQL URL is 1 to 63 of a-z, A-Z, 0-9 and _, no digit first")
    rest = [(name, value) for name, value in query if name != "schema"]
    user = f"{parts.username}@" if parts.username else ""
    place = f"[{host}]" if ":" in host else host
    name = f"postgresql://{user}{place}{f':{port}' if port else ''}{parts.path}"
    dsn = url if len(rest) == len(query) else urlunsplit(parts._replace(query=urlencode(rest)))
    return Address(dsn, schema, name)
