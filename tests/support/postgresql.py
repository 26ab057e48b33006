"""A PostgreSQL server of one's own for tests and benchmarks: Debian's binaries, a free port, a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

BINARIES = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
USER = "photon"
START_ATTEMPTS = 5
START_SECONDS = 60


class Server:
    """A running server. `url(database)` is a CloudStore's URL, `port` its port on 127.0.0.1."""

    def __init__(
        self, folder: pathlib.Path, port: int, process: subprocess.Popen[bytes], account: pwd.struct_passwd | None
    ) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self._account = account

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{port or self.port}/{database}"

    def restart(self) -> None:
        """Kill the server as a power loss would, and start it again on its port."""
        self.process.kill()
        self.process.wait()
        self.process, self.port = _start(self._account, self.folder, self.port)

    def create(self, database: str) -> str:
        """Make an empty database; returns its URL."""
        self.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> list[tuple]:
        """One statement outside of a transaction; its rows, if it has any."""
        import psycopg

        address = self.url(database).replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if not BINARIES:
        return "PostgreSQL is not installed: apt-get install postgresql (no server under /usr/lib/postgresql/*/bin)"
    return None


@contextlib.contextmanager
def running(parent: str | os.PathLike[str] | None = None, *, fsync: bool = False) -> Iterator[Server]:
    """Start a server, stop it and remove its folder at the end. RuntimeError where it does not start.

    `parent`: where the folder is made (benchmarks: on a disk); /var/tmp instead where the server's account cannot get
    there. Without `fsync` it is fast and forgets on power loss.
    """
    reason = missing()
    if reason:
        raise RuntimeError(reason)
    account = _account()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="photon-pg-", dir=_reachable(parent, account)))
    try:
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        _run(
            account,
            folder,
            "initdb",
            "-D",
            str(folder / "data"),
            "-U",
            USER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write(_settings(folder, fsync))
        process, port = _start(account, folder)
        try:
            server = Server(folder, port, process, account)
            yield server
        finally:
            _stop(server.process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: pathlib.Path, fsync: bool) -> str:
    safe = "on" if fsync else "off"
    return (
        f"listen_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\nmax_connections = 100\n"
        f"dynamic_shared_memory_type = mmap\nfsync = {safe}\nsynchronous_commit = {safe}\n"
        f"full_page_writes = {safe}\nshared_buffers = 128MB\n"
        "max_wal_size = 2GB\nlogging_collector = off\n"
    )


def _start(
    account: pwd.struct_passwd | None, folder: pathlib.Path, wanted: int = 0
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server, on a free port or on the wanted one; returns its process and port."""
    log = folder / "server.log"
    for _ in range(START_ATTEMPTS):  # another process may take the free port first
        port = wanted or _free_port()
        with log.open("wb") as output:
            words = [str(BINARIES[-1] / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
            process = subprocess.Popen(
                words,
                cwd=folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=_environment(),
                **_as(account),
            )
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if _answers(port):
                return process, port
            time.sleep(0.05)
        _stop(process)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _answers(port: int) -> bool:
    ready = subprocess.run(
        [str(BINARIES[-1] / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", USER], check=False
    )
    return ready.returncode == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """A fast shutdown; an immediate one when sessions do not let go."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)


def _run(account: pwd.struct_passwd | None, folder: pathlib.Path, program: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(BINARIES[-1] / program), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
        **_as(account),
    )
    if done.returncode:
        raise RuntimeError(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: its own account then, or nobody."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("running as root, and there is neither the account postgres nor nobody for the server")


def _reachable(parent: str | os.PathLike[str] | None, account: pwd.struct_passwd | None) -> pathlib.Path:
    """The folder, or /var/tmp when the account may not pass through one of the folders above it."""
    folder = pathlib.Path(parent or tempfile.gettempdir()).resolve()
    closed = account and any(not path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
    return pathlib.Path("/var/tmp") if closed else folder


def _as(account: pwd.struct_passwd | None) -> dict[str, object]:
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def _environment() -> dict[str, str]:
    """Without the caller's own PG* settings, in English."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**kept, "LC_ALL": "C", "HOME": "/nonexistent"}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
