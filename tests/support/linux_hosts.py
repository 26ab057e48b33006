"""Linux hosts of a lab, seen through Ansible, and a package repository of tiny packages for them. Needs root."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from lab.hosts import HostSpec, Lab

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Hosts:
    """Hosts of a lab of its own, a context manager: modules are called as Ansible calls them."""

    def __init__(self, name: str, specs: list[HostSpec]) -> None:
        self.lab = Lab(name, "nspawn", os.getpid())
        self.specs = specs

    def __enter__(self) -> Hosts:
        self.lab.destroy()
        self.lab.create(self.specs, {})
        return self

    def __exit__(self, *error: object) -> None:
        self.lab.destroy()

    @property
    def gateway(self) -> str:
        """This machine's address in the lab."""
        return self.lab.subnet.replace(".0/24", ".1")

    def module(self, host: str, name: str, arguments: Mapping[str, Any], *options: str) -> dict[str, Any]:
        """What the module answers; beside it ``printed`` and ``warned``, what Ansible said."""
        words = [f"{sys.prefix}/bin/ansible", "-i", str(self.lab.inventory_file), host, *options]
        words += ["-m", f"photon.platform.{name}", "-a", json.dumps(arguments)]
        run = subprocess.run(
            words, capture_output=True, text=True, cwd=ROOT, env=environment(), check=False, timeout=600
        )
        found = re.search(r"^\S+ \| [A-Z]+!? => ", run.stdout, re.MULTILINE)
        assert found, run.stdout + run.stderr
        answer = json.JSONDecoder().raw_decode(run.stdout, found.end())[0]
        assert not answer.get("unreachable"), answer
        return {**answer, "printed": run.stdout, "warned": run.stderr}

    def linux_host(self, host: str, document: Mapping[str, Any], *options: str) -> dict[str, Any]:
        """Module linux_host's answer; ``failed`` is among its keys when it failed."""
        return self.module(host, "linux_host", {"document": document}, *options)

    def shell(self, host: str, command: str, check: bool = True) -> str:
        """What the command prints on the host."""
        return self.lab.run(host, ["sh", "-c", command], check=check).stdout


def environment() -> dict[str, str]:
    """Ansible's settings for a lab."""
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_HOST_KEY_CHECKING": "false",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_FORCE_COLOR": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }


def package(folder: pathlib.Path, name: str, version: str, files: Mapping[str, str], depends: str = "") -> pathlib.Path:
    """A real .deb of text files; those below a bin folder are executable."""
    tree = folder / f"{name}_{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\n"
    control += (f"Depends: {depends}\n" if depends else "") + f"Description: {name} for tests\n"
    (tree / "DEBIAN" / "control").write_text(control)
    for path, text in files.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755 if "bin" in target.parts else 0o644)
    made = folder / f"{name}_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", str(tree), str(made)],
        check=True,
        capture_output=True,
    )
    return made


def index(folder: pathlib.Path) -> None:
    """Make the folder's packages a flat repository."""
    text = ""
    for made in sorted(folder.glob("*.deb")):
        fields = subprocess.run(["dpkg-deb", "--field", str(made)], check=True, capture_output=True, text=True).stdout
        content = made.read_bytes()
        text += f"{fields}Filename: ./{made.name}\nSize: {len(content)}\n"
        text += f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    (folder / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


@contextlib.contextmanager
def served(folder: pathlib.Path, address: str) -> Iterator[str]:
    """The folder by HTTP on this address, at a free port; its URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
