"""Database servers that tests start: PostgreSQL and MariaDB, for one run.

Each lives in a folder of its own, listens on a Unix socket only, asks for a password,
and ends with the process that has started it, whichever way that ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyodbc
import pytest

from pybridge import host
from pybridge.errors import DatabaseError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LITE", "PASSWORD", "MariaDB", "Postgres", "Server", "error", "table"]

PASSWORD = "s3cret;{d'w}/x"  # noqa: S105 (with all that connection strings escape)
LITE = "Driver=SQLite3;Database="
_SECONDS = 60.0
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def table(sql: str, namespace: object, **options: Any) -> pa.Table:
    """Return the rows of a query as Arrow has them."""
    return host.query(sql, options.pop("params", None), "arrow", namespace, **options)


def error(sql: str, namespace: object, kind: type[Exception] = DatabaseError) -> str:
    """Return the message of a query that must fail."""
    with pytest.raises(kind) as caught:
        table(sql, namespace)
    return str(caught.value)


def braced(text: str) -> str:
    """Return a value as a connection string has it."""
    return "{" + text.replace("}", "}}") + "}"


class Server:
    """A server in a folder of its own."""

    user = ""  # whom it runs as, where the tests run as root
    ending = signal.SIGTERM

    def __init__(self) -> None:
        """Make the folder, fill it, and start the server."""
        self.folder = Path(tempfile.mkdtemp(prefix="pybridge-"))
        self.process: subprocess.Popen[bytes] | None = None
        if self.user and os.getuid() == 0:
            shutil.chown(self.folder, self.user, self.user)
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None:
        """Fill the folder."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return the words that start the server."""
        raise NotImplementedError

    def string(self, password: str | None = PASSWORD) -> str:
        """Return the ODBC connection string, with a password or without."""
        raise NotImplementedError

    def words(self, *words: str) -> list[str]:
        """Return a command as the server's user, which ends with this process."""
        identity = []
        if self.user and os.getuid() == 0:
            identity = [f"--reuid={self.user}", f"--regid={self.user}"]
            identity.append("--clear-groups")
        alone = ["env", "-u", "LD_PRELOAD"]  # the sanitizers are for what is ours
        return [*alone, "setpriv", *identity, "--pdeathsig", "QUIT", *words]

    def run(self, *words: str) -> None:
        """Run a command as the server's user."""
        subprocess.run(
            self.words(*words), check=True, capture_output=True, timeout=_SECONDS
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                self.words(*self.command()), stdout=log, stderr=log
            )
        end = time.monotonic() + _SECONDS
        while True:
            try:
                pyodbc.connect(self.string(), autocommit=True).close()
            except pyodbc.Error as exc:
                said = (self.folder / "log").read_text(errors="replace")[-2000:]
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f"{exc}: {said}") from None
                time.sleep(0.02)
            else:
                return

    def close(self) -> None:
        """End the server and remove its folder."""
        if self.process is not None:
            self.process.send_signal(self.ending)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Server):
    """A PostgreSQL server; its one user is "postgres"."""

    user = "postgres"
    ending = signal.SIGQUIT  # without a word to its clients
    driver = "PostgreSQL Unicode"

    def prepare(self) -> None:
        """Make the cluster, with the password in it."""
        self.folder.chmod(0o700)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.getuid() == 0:
            shutil.chown(secret, self.user)
        self.run(
            self._program("initdb"), "--pgdata", str(self.folder / "data"),
            "--username=postgres", "--auth=md5", f"--pwfile={secret}", "--no-sync",
            "--encoding=UTF8", "--locale=C",
        )  # fmt: skip

    def command(self) -> list[str]:
        """Return the words that start the server, without care for the disk."""
        return [
            self._program("postgres"), "-D", str(self.folder / "data"),
            "-k", str(self.folder), "-c", "listen_addresses=", "-F",
            "-c", "shared_buffers=16MB",
        ]  # fmt: skip

    def string(self, password: str | None = PASSWORD, driver: str = driver) -> str:
        """Return the ODBC connection string, with a password or without."""
        secret = "" if password is None else f";PWD={braced(password)}"
        return (
            f"Driver={{{driver}}};Servername={self.folder};Database=postgres;"
            f"UID=postgres{secret}"
        )

    @staticmethod
    def _program(name: str) -> str:
        assert _POSTGRES, "PostgreSQL is missing; run tools/setup.sh test"
        return str(_POSTGRES[-1] / name)


class MariaDB(Server):
    """A MariaDB server; its user is "reader", its database "d"."""

    password = "m4ria-s3cret"  # noqa: S105 (its driver does not unescape)

    def prepare(self) -> None:
        """Make the system tables, and what makes the user at the first start."""
        self.run(
            "mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal", "--skip-test-db",
            f"--user={'root' if os.getuid() == 0 else ''}", "--skip-name-resolve",
        )  # fmt: skip
        (self.folder / "init.sql").write_text(
            f"create database d;\ncreate user reader identified by '{self.password}';\n"
            "grant all on *.* to reader;\n"
        )

    def command(self) -> list[str]:
        """Return the words that start the server."""
        return [
            "mariadbd", "--no-defaults", *(["--user=root"] * (os.getuid() == 0)),
            f"--datadir={self.folder / 'data'}", f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}", "--skip-networking",
            f"--init-file={self.folder / 'init.sql'}", "--skip-log-bin",
            "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0",
        ]  # fmt: skip

    def string(self, password: str | None = password) -> str:
        """Return the ODBC connection string, with a password or without."""
        secret = "" if password is None else f";PWD={password}"
        return (
            f"Driver={{MariaDB Unicode}};Socket={self.folder / 'socket'};"
            f"Database=d;UID=reader{secret}"
        )
