# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real cluster on the lab's hosts, declared, changed and broken by tests: the product's playbooks do the work.

Needs root (the lab's driver nspawn) and the lab's builds of Kubernetes.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from lab.hosts import HostSpec, Lab

from .kubernetes_load import ApiLoad, ServiceLoad

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBECONFIG = "/etc/kubernetes/admin.conf"
BALANCERS = ("lb1", "lb2")
NODE_PORT = 30080
_NUMBERS = {"lb": 4, "cp": 10, "w": 20}
# Two replicas that are never gone both, whose pods end when nobody sends them anything any more: an application's part.
WORKLOAD: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {
                "metadata": {"labels": {"app": "hello"}},
                "spec": {
                    "terminationGracePeriodSeconds": 20,
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": {"app": "hello"}},
                        },
                    ],
                    "containers": [
                        {
                            "name": "hello", "image": "example.test/hello:1",
                            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                            "lifecycle": {"preStop": {"sleep": {"seconds": 8}}},
                        },
                    ],
                },
            },
        },
    },
    {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello", "namespace": "default"},
        "spec": {
            "type": "NodePort", "selector": {"app": "hello"},
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}],
        },
    },
    {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "hello"}}},
    },
]  # fmt: skip


class Cluster:
    """A context manager: hosts named cpN, wN and, with more than one control-plane member, lb1 and lb2.

    ``declared`` is what photon_clusters says and may be changed between plays, as may ``groups``.
    """

    def __init__(
        self,
        name: str,
        folder: pathlib.Path,
        control_plane: int = 1,
        workers: int = 1,
        base: str = "kubernetes",
        **declared: Any,
    ) -> None:
        self.lab = Lab(name, "nspawn", os.getpid())
        self.folder = folder
        self.base = base
        self.groups = {
            "prod_control_plane": [f"cp{number + 1}" for number in range(control_plane)],
            "prod_workers": [f"w{number + 1}" for number in range(workers)],
            "prod_balancers": list(BALANCERS) if control_plane > 1 else [],
        }
        self.declared: dict[str, Any] = {"name": "prod", **declared}
        self.services: list[dict[str, Any]] = []  # of the balancers, besides the API
        self._known: dict[str, Any] = {}  # an inventory knows a host although it is gone

    def __enter__(self) -> Cluster:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.make(*(host for hosts in self.groups.values() for host in hosts))
        return self

    def __exit__(self, *_error: object) -> None:
        self.lab.destroy()

    def make(self, *names: str) -> None:
        """Make hosts, empty ones."""
        specs = [
            HostSpec(name, "trixie", self.base, kubelet=not name.startswith("lb"), number=_number(name))
            for name in names
        ]
        self.lab.create(specs)
        self._known |= json.loads(self.lab.inventory_file.read_text(encoding="utf-8"))["all"]["hosts"]

    def wipe(self, *names: str) -> None:
        """Hosts of the same names and addresses with nothing on them."""
        self.lab.destroy(names)
        self.make(*names)

    def play(self, playbook: str, *words: str, fails: bool = False, **variables: Any) -> str:
        """Run a playbook of the product; its output. ``fails``: it has to fail."""
        done = subprocess.run(
            self._command(playbook, words, variables),
            env=self._environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        (self.folder / f"{playbook}.log").write_text(output, encoding="utf-8")
        assert (done.returncode != 0) == fails, f"{playbook} ended with {done.returncode}:\n{output[-6000:]}"
        return output

    def idle(self, playbook: str, **variables: Any) -> bool:
        """Does a run of it change nothing? The failure shows what it changed."""
        said = self.play(playbook, "--diff", **variables)
        assert not re.search(r"changed=[1-9]", said), said[-6000:]
        return True

    def play_killed(self, playbook: str, task: str, seconds: float = 1.0, **variables: Any) -> None:
        """Run a playbook and kill it, and what it runs here, ``seconds`` after a task (the end of its title) began."""
        with subprocess.Popen(
            self._command(playbook, (), variables), env=self._environment(), cwd=ROOT, text=True,
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            seen, found = [], False
            for line in process.stdout or ():
                seen.append(line)
                if re.match(r"(TASK|PLAY) \[", line) and line.partition("]")[0].endswith(task):
                    found = True
                    time.sleep(seconds)
                    os.killpg(process.pid, signal.SIGKILL)
                    break
            process.wait()
        assert found, f"{playbook} has no task {task!r}:\n{''.join(seen)[-3000:]}"

    def kubectl(self, *words: str, member: str = "", stdin: str | None = None, check: bool = True) -> str:
        """kubectl on a control-plane member, by way of the endpoint."""
        command = ["kubectl", f"--kubeconfig={KUBECONFIG}", "--request-timeout=10s", *words]
        done = self.lab.run(member or self.groups["prod_control_plane"][0], command, check=False, input=stdin)
        assert done.returncode == 0 or not check, done.stderr or done.stdout
        return done.stdout

    def on(self, host: str, script: str) -> str:
        """A shell script on a host."""
        return self.lab.run(host, ["sh", "-ec", script]).stdout

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """kubectl apply."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def nodes(self, member: str = "") -> dict[str, tuple[bool, str]]:
        """Node -> (is it Ready, the version of its kubelet)."""
        items = json.loads(self.kubectl("get", "nodes", "-o", "json", member=member))["items"]
        return {
            item["metadata"]["name"]: (
                any(one["type"] == "Ready" and one["status"] == "True" for one in item["status"]["conditions"]),
                item["status"]["nodeInfo"]["kubeletVersion"].lstrip("v"),
            )
            for item in items
        }

    def whole(self, member: str = "") -> bool:
        """Are exactly the declared members nodes, and all Ready? The failure shows what each node said."""
        found = self.nodes(member)
        declared = {*self.groups["prod_control_plane"], *self.groups["prod_workers"]}
        if set(found) == declared and all(ready for ready, _version in found.values()):
            return True
        print(f"declared: {sorted(declared)}\n{self.kubectl('describe', 'nodes', member=member)}")
        return False

    def etcd(self, member: str = "") -> list[str]:
        """The names of etcd's voting members that answer, by etcd's own program."""
        members = json.loads(self.etcdctl("member", "list", "-w", "json", member=member))["members"]
        voters = {url: one["name"] for one in members if not one.get("isLearner") for url in one["clientURLs"]}
        said = self.etcdctl("endpoint", "health", "--cluster", "-w", "json", member=member, check=False)
        healthy = {one["endpoint"] for one in json.loads(said) if one["health"]}
        return sorted(name for url, name in voters.items() if url in healthy)

    def etcdctl(self, *words: str, member: str = "", check: bool = True) -> str:
        """etcd's own program, in the container of a member."""
        pki = "/etc/kubernetes/pki/etcd"
        keys = ["--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key"]
        exec_ = ["-n", "kube-system", "exec", f"etcd-{member or self.groups['prod_control_plane'][0]}", "--"]
        return self.kubectl(*exec_, "etcdctl", *keys, *words, member=member, check=check)

    def keep(self, word: str, member: str = "") -> None:
        """Write a ConfigMap and a Secret that later has to be there."""
        for kind in ("configmap", "secret"):
            words = ["generic"] if kind == "secret" else []
            self.kubectl("create", kind, *words, f"kept-{word}", f"--from-literal=word={word}", member=member)

    def kept(self, word: str, member: str = "") -> bool:
        """Are they there, with what was written?"""
        plain = self.kubectl("get", "configmap", f"kept-{word}", "-o", "jsonpath={.data.word}", member=member)
        secret = self.kubectl("get", "secret", f"kept-{word}", "-o", "jsonpath={.data.word}", member=member)
        return plain == word and base64.b64decode(secret).decode() == word

    def api_load(self) -> ApiLoad:
        """Requests to the API through the endpoint."""
        text = self.on(self.groups["prod_control_plane"][0], f"cat {KUBECONFIG}")
        found = dict(re.findall(r"(certificate-authority-data|client-certificate-data|client-key-data): (\S+)", text))
        certificate, authority = self.folder / "admin.pem", self.folder / "ca.pem"
        with open(os.open(certificate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
            handle.write(
                base64.b64decode(found["client-certificate-data"]) + base64.b64decode(found["client-key-data"])
            )
        authority.write_bytes(base64.b64decode(found["certificate-authority-data"]))
        return ApiLoad(self.endpoint, 6443, certificate, authority)

    def service_load(self) -> ServiceLoad:
        """Requests to the workload's Service at every node's port."""
        hosts = [*self.groups["prod_control_plane"], *self.groups["prod_workers"]]
        return ServiceLoad([self.address(host) for host in hosts], NODE_PORT)

    def settle(self, host: str) -> None:
        """Wait until a host answers and its node is Ready: what a killed run began there has ended."""
        until(lambda: self.lab.run(host, ["systemctl", "is-active", "kubelet"], check=False).returncode == 0)
        until(lambda: self.nodes()[host][0], 300)

    def address(self, host: str) -> str:
        """A host's address."""
        return self.lab.hosts()[host]["address"]

    @property
    def endpoint(self) -> str:
        """The address of the API."""
        if self.groups["prod_balancers"]:
            return re.sub(r"\.0/24$", ".200", self.lab.subnet)
        return self.address(self.groups["prod_control_plane"][0])

    def _command(self, playbook: str, words: Sequence[str], variables: dict[str, Any]) -> list[str]:
        self._write_inventory()
        command = [str(pathlib.Path(sys.executable).with_name("ansible-playbook"))]
        command += ["-i", str(self.lab.inventory_file), "-i", str(self.folder / "inventory")]
        command += ["-e", "@lab/kubernetes/cluster.yml", "-e", json.dumps(variables), *words]
        return [*command, f"playbooks/{playbook}.yml"]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_CACHE_PLUGIN": "memory",
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOG_PATH": str(self.folder / "ansible.log"),  # with the time of day
        }

    def _write_inventory(self) -> None:
        folder = self.folder / "inventory"
        (folder / "group_vars").mkdir(parents=True, exist_ok=True)
        groups = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in self.groups.items() if hosts}
        lab = json.loads(self.lab.inventory_file.read_text(encoding="utf-8"))["all"]
        self._known |= lab["hosts"]
        hosts = {name: self._known[name] for names in self.groups.values() for name in names if name in self._known}
        inventory = {"all": {"hosts": hosts, "children": groups}}
        (folder / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")
        declared = {**self.declared, "endpoint": {"address": self.endpoint}}
        variables: dict[str, Any] = {
            "prod": declared,
            "photon_clusters": ["{{ lab_cluster | ansible.builtin.combine(prod, recursive=true) }}"],
        }
        if self.groups["prod_balancers"]:
            variables |= {
                "haproxy_address": "{{ lab_ip }}",
                "haproxy_max_connections": 4000,
                "haproxy_vips": [{"name": "api", "address": f"{self.endpoint}/24"}],
                "haproxy_services": [
                    {
                        "name": "api", "mode": "tcp", "bind": [{"vip": "api", "port": 6443}],
                        "group": "prod_control_plane", "port": 6443, "health": {"type": "kubernetes"},
                        "timeouts": {"client": "4h", "server": "4h"},
                    },
                    *self.services,
                ],
            }  # fmt: skip
        (folder / "group_vars" / "all.yml").write_text(json.dumps(variables, indent=1), encoding="utf-8")


def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    """Wait for it to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(1)


def _number(name: str) -> int:
    stem = name.rstrip("0123456789")
    return _NUMBERS[stem] + int(name[len(stem) :])
