"""A pair of real balancers in a lab, two web servers behind them and a client: for tests and measures of the role.

Needs root (the lab's driver nspawn).
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lab.hosts import HostSpec, Lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEB = """
global
    maxconn 2000
defaults
    mode http
    timeout client 1m
    timeout server 1m
    timeout connect 1s
frontend web
    bind :8000
    http-request return status 200 content-type text/plain string NAME
"""
# In the client's network only: one new connection at a time, the time of every answer on a line.
PROBE = """
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.2) as s:
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            if s.recv(12).endswith(b"200"):
                print(time.monotonic(), flush=True)
    except OSError:
        pass
    time.sleep(0.01)
"""


class Pair:
    """lb1 and lb2 with a VIP, web1 and web2, client: a context manager. ``variables`` are for the role's next run."""

    def __init__(self, name: str, folder: pathlib.Path, suite: str = "bookworm", disk: str | None = None) -> None:
        self.lab = Lab(name, "nspawn", os.getpid())
        self.folder = folder
        groups = {
            "lb1": ("load_balancers",),
            "lb2": ("load_balancers",),
            "web1": ("web",),
            "web2": ("web",),
            "client": (),
        }
        self.specs = [
            HostSpec(host, suite, groups=member, number=number, disk=disk if host.startswith("lb") else None)
            for number, (host, member) in enumerate(groups.items(), 21)
        ]
        self.variables: dict[str, Any] = {}

    def __enter__(self) -> Pair:
        self.lab.destroy()
        self.lab.create(self.specs, {"haproxy_address": "{{ lab_ip }}"})
        self.vip = self.lab.subnet.replace(".0/24", ".200")
        certificate, key = self.certificate("web")
        self.variables = {
            "haproxy_max_connections": 4000,
            "haproxy_drain_seconds": 20,
            "haproxy_vips": [{"name": "public", "address": f"{self.vip}/24"}],
            "haproxy_certificates": [{"name": "web", "certificate": certificate, "key": key}],
            "haproxy_services": [
                self.service("web", 8080),
                self.service("secure", 8443, certificates=["web"]),
            ],
        }
        for web in ("web1", "web2"):
            self.shell(web, "apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install haproxy >/dev/null")
            self.shell(web, "systemctl disable -q --now haproxy; cat > /etc/web.cfg", input=WEB.replace("NAME", web))
            self.start_web(web)
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.destroy()

    def service(self, name: str, port: int, **more: Any) -> dict[str, Any]:
        """A service on the VIP with the web servers behind it."""
        health = {"type": "http", "path": "/", "status": "200", "interval": "500ms"}
        bind = [{"vip": "public", "port": port}]
        return {"name": name, "bind": bind, "group": "web", "port": 8000, "health": health, **more}

    def certificate(self, name: str, days: int = 30) -> tuple[str, str]:
        """A new self-signed certificate and its key, as files."""
        paths = [str(self.folder / f"{name}.{kind}") for kind in ("pem", "key")]
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days"]
        command += [str(days), "-subj", f"/CN={name}.example", "-keyout", paths[1], "-out", paths[0]]
        subprocess.run(command, check=True, capture_output=True)
        return paths[0], paths[1]

    def start_web(self, web: str) -> None:
        """Start a web server that was not started or was killed."""
        self.shell(web, "systemd-run -q --unit=web --collect haproxy -db -f /etc/web.cfg")

    def play(
        self, playbook: str = "load_balancer", *options: str, check: bool = True, **extra: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the collection's playbooks with Ansible's options, the variables and ``extra``."""
        return self.finish(self.start_play(playbook, *options, **extra), check)

    def start_play(self, playbook: str = "load_balancer", *options: str, **extra: Any) -> subprocess.Popen[str]:
        """Start a playbook and return at once."""
        variables = self.folder / "variables.json"
        variables.write_text(json.dumps(self.variables | extra))
        return self.run_ansible(f"photon.platform.{playbook}", "-e", f"@{variables}", *options)

    def run_ansible(self, *words: str) -> subprocess.Popen[str]:
        """ansible-playbook on the lab's inventory, in a process group of its own."""
        binary = pathlib.Path(sys.executable).parent / "ansible-playbook"
        environment = os.environ | {"ANSIBLE_HOST_KEY_CHECKING": "false", "ANSIBLE_CACHE_PLUGIN": "memory"}
        return subprocess.Popen(
            [str(binary), "-i", str(self.lab.inventory_file), *words],
            cwd=ROOT, env=environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @staticmethod
    def finish(process: subprocess.Popen[str], check: bool = True) -> subprocess.CompletedProcess[str]:
        """Wait for a run; with ``check`` a failure raises with what it printed."""
        output, _ = process.communicate(timeout=300)
        if check and process.returncode:
            raise RuntimeError(f"ansible-playbook returned {process.returncode}:\n{output[-4000:]}")
        return subprocess.CompletedProcess(process.args, process.returncode, output, "")

    @staticmethod
    def changed(run: subprocess.CompletedProcess[str]) -> list[str]:
        """The balancers that a run changed, by its recap."""
        return sorted(re.findall(r"^(lb\d) +: ok=\d+ +changed=[1-9]", run.stdout, re.MULTILINE))

    def shell(self, host: str, script: str, check: bool = True, **options: Any) -> str:
        """What a script prints on a host."""
        options.setdefault("input", "")
        return self.lab.run(host, ["sh", "-c", script], check=check, **options).stdout

    def in_client(self, *words: str) -> list[str]:
        """A command line that runs this machine's program in the client's network."""
        return ["ip", "netns", "exec", f"lab-{self.lab.name}-client", *words]

    def holders(self) -> list[str]:
        """The balancers that have the VIP on an interface."""
        return [host for host in ("lb1", "lb2") if f" {self.vip}/" in self.shell(host, "ip -brief address")]

    def settle(self, seconds: float = 20) -> str:
        """Wait until both balancers run whole and one holds the VIP; returns the holder."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            active = [
                self.shell(lb, "systemctl is-active haproxy keepalived", check=False).split() for lb in ("lb1", "lb2")
            ]
            holders = self.holders()
            if active == [["active", "active"]] * 2 and len(holders) == 1:
                return holders[0]
            time.sleep(0.1)
        raise RuntimeError(f"the pair did not settle: VIP at {self.holders()}, services {active}")

    def answers(self, port: int = 8080) -> str:
        """What the VIP answers a client."""
        return self.shell(
            "client", f"curl -skS --max-time 3 {'https' if port == 8443 else 'http'}://{self.vip}:{port}/"
        )

    def longest_gap(self, event: Iterator[float]) -> float:
        """The longest time without an answer (s) that a client saw while ``event`` ran; it yields seconds to wait."""
        command = self.in_client(sys.executable, "-c", PROBE, self.vip, "8080")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
            time.sleep(0.5)
            for seconds in event:
                time.sleep(seconds)
            probe.terminate()
            end = time.monotonic()
            moments = [float(line) for line in probe.communicate()[0].split()] + [end]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def load(self, seconds: int, keep_alive: bool, port: int = 8080, rate: int = 300) -> Load:
        """Start a constant load on the VIP."""
        return Load(self, seconds, keep_alive, port, rate)


class Load:
    """Requests at a constant rate from the client, never retried: a POST may not be sent twice. ``done`` waits."""

    def __init__(self, pair: Pair, seconds: int, keep_alive: bool, port: int, rate: int) -> None:
        scheme = "https" if port == 8443 else "http"
        words = [generator(), "attack", f"-rate={rate}", f"-duration={seconds}s", "-timeout=2s", "-insecure"]
        words += [f"-keepalive={str(keep_alive).lower()}", "-max-workers=400", "-redirects=-1"]
        # Through files: a pipe that nobody reads for a minute would hold the generator up.
        name = f"load-{port}-{keep_alive}"
        self._results = pair.folder / f"{name}.bin"
        targets = pair.folder / f"{name}.txt"
        targets.write_text(f"POST {scheme}://{pair.vip}:{port}/\n")
        words += [f"-targets={targets}", f"-output={self._results}"]
        self._process = subprocess.Popen(pair.in_client(*words))

    def running(self) -> bool:
        """Are requests still being sent?"""
        return self._process.poll() is None

    def done(self) -> dict[str, Any]:
        """``requests``, ``lost`` (no 2xx within 2 s), ``failures`` (time in s since the epoch of each), ``errors``."""
        if self._process.wait(timeout=300) != 0:
            raise RuntimeError("the load generator failed")
        encoded = subprocess.run([generator(), "encode", "-to=json", self._results], capture_output=True, check=True)
        rows = [json.loads(line) for line in encoded.stdout.splitlines()]
        failed = [row for row in rows if not 200 <= row["code"] < 300 or row["latency"] > 2e9]
        return {
            "requests": len(rows),
            "lost": len(failed),
            "failures": sorted(row["timestamp"] for row in failed),
            "errors": sorted({f"{row['code']} {row['error']}" for row in failed}),
        }


def generator() -> str:
    """The load generator's path; built once with Go."""
    target = ROOT / ".build" / "bin" / "vegeta"
    if not target.exists():
        go = shutil.which("go")
        if not go:
            raise RuntimeError("the load generator is built with Go: install Go first")
        environment = os.environ | {"GOBIN": str(target.parent), "GOFLAGS": "-mod=mod"}
        subprocess.run([go, "install", "github.com/tsenart/vegeta/v12@v12.13.0"], env=environment, check=True)
    return str(target)


def killed(pair: Pair, unit: str, whom: str = "main") -> Iterator[float]:
    """Kill a service of the VIP's holder hard: its main process, or all of them at once."""
    pair.shell(pair.settle(), f"systemctl kill --signal=KILL --kill-whom={whom} {unit}")
    yield 3


def cut_off(pair: Pair, after: Mapping[str, float] | None = None) -> Iterator[float]:
    """Cut the holder off for 3 s, let it back, and see that within 3 s one alone holds the VIP."""
    holder = pair.settle()
    pair.lab.cut(holder)
    try:
        yield 3
    finally:
        pair.lab.heal(holder)
    yield 3
    if len(pair.holders()) != 1:
        raise RuntimeError(f"split brain after {holder} came back: the VIP is at {pair.holders()}")
