# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data centre that the VM benchmarks share: a simulated vCenter, a declared site, playbooks, and raw pyvmomi."""

from __future__ import annotations

import json
import pathlib
import statistics
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import yaml
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_site
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from lab import Lab
from lab.images import make_ova
from tests.benchmarks.harness import IN_MEMORY, file_system

THREADS = 8
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc1",
            "kind": "vcenter",
            "datacenter": "dc1",
            "clusters": [{"name": "cluster1", "hosts": [{"name": "esx[01:16].lab", "cores": 64, "memory": "1024 GB"}]}],
            "datastores": [{"name": "shared1", "capacity": "500 TB"}],
            "port_groups": [{"name": "VM Network"}, {"name": "lan", "vlan": 10}],
        }
    ]
}
SITE: dict[str, Any] = {
    "photon_site": "bench",
    "photon_zones": [{"name": "a"}],
    "photon_hosts": [{"name": "esx[01:16].lab", "endpoint": "vc1", "zone": "a"}],
    "photon_images": [{"name": "debian", "file": "debian.ova", "replication": "ON_DEMAND"}],
    "photon_image_datastores": ["shared1"],
    "photon_default_port_group": "VM Network",
    "photon_tenants": [
        {
            "name": "acme",
            "quota": {"vm.count": 10000, "vm.memory": "100 TB"},
            "projects": [{"name": "web", "quota_percent": 100, "vms": []}],
        }
    ],
}
FLOOR = "floor.yml"
# One module that imports the two libraries and returns: what every run of a module like ours costs at least.
FLOOR_MODULE = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
import pyVmomi
from pyVmomi import vim, vmodl
import sqlalchemy

AnsibleModule(argument_spec={}, supports_check_mode=True).exit_json(changed=False)
"""


class Cloud:
    """A lab with one vCenter of 16 hosts and a site on it whose project acme/web has no VM. A context manager."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.folder: pathlib.Path = context.work / "site"

    def __enter__(self) -> Cloud:
        self.folder.mkdir()
        if file_system(self.folder) in IN_MEMORY:
            raise RuntimeError(f"{self.folder} lies in memory: the CloudStore has to be on a disk")
        self.lab = Lab.start(TOPOLOGY)
        try:
            self.endpoint = self.lab.endpoints["vc1"]
            make_ova(self.folder / "debian.ova", size_mib=16)
            self.store = self.folder / "cloud.db"
            self.url = f"sqlite:///{self.store}"
            self._write_inventory([])
            self._write_playbooks()
            # One VM that comes and goes: the image's copy and the project's folder are there from then on.
            first = {**self.vm("first"), "state": "present"}
            self.apply([first])
            self.apply([{**first, "state": "absent"}])
            self.image = self._image_disk()
            self.empty = {path: path.read_bytes() for path in self.folder.glob("cloud.db*")}
        except BaseException:
            self.lab.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lab.stop()

    @staticmethod
    def vm(name: str) -> dict[str, Any]:
        """One item of the declaration, or a range of them, running."""
        return {
            "name": name,
            "flavor": "core-100",
            "image": "debian",
            "boot_disk_flavor": "core-100",
            "state": "started",
            "metadata": {"user_data": "#cloud-config\nruncmd: [true]\n"},
        }

    def declare(self, vms: list[dict[str, Any]]) -> None:
        """The VMs that the inventory (site.yml's) and the playbook vm.yml declare."""
        self._write_inventory(vms)
        tasks = [
            {
                "name": "VMs",
                "photon.platform.vm": {
                    "cloudstore_url": self.url,
                    "cloudstore_allow_ephemeral": True,
                    "credentials": self.credentials,
                    "base_directory": str(self.folder),
                    "tenant": "acme",
                    "project": "web",
                    "default_port_group": "VM Network",
                    "site": "bench",
                    "vms": vms,
                },
            }
        ]
        self.playbook("vm.yml", tasks)

    def playbook(self, name: str, tasks: list[dict[str, Any]]) -> None:
        """Write a playbook of these tasks for this machine."""
        play = {
            "name": "Measured",
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "tasks": tasks,
        }
        (self.folder / name).write_text(yaml.safe_dump([play], sort_keys=False))

    def run(self, name: str = "vm.yml", *, repeat: int = 1, setup: Callable[[], Any] | None = None, **more: Any) -> Any:
        """Whole ansible-playbook runs of one of the playbooks here, or of a path."""
        where = name if pathlib.Path(name).is_absolute() else self.folder / name
        return self.context.playbook(where, *more.pop("arguments", ()), repeat=repeat, setup=setup, **more)

    def running(self) -> int:
        """How many VMs run."""
        with RawSession(self.endpoint) as raw:
            rows = raw.read({"VirtualMachine": ["runtime.powerState"]})
        return sum(row.propSet[0].val == "poweredOn" for row in rows)

    def clear(self) -> None:
        """No VM any more in the data centre, and the CloudStore as it was at the start."""
        with RawSession(self.endpoint) as raw:
            raw.destroy_all()
        for path in self.folder.glob("cloud.db*"):
            path.unlink()
        for path, content in self.empty.items():
            path.write_bytes(content)
        self.lab.control.calls("vc1", reset=True)

    def calls(self) -> dict[str, int]:
        """Calls by method since the last time, by the simulator's own count."""
        return self.lab.control.calls("vc1", reset=True)

    def apply(self, vms: list[dict[str, Any]]) -> None:
        """Apply the site with these VMs in this process."""
        request = Request(whole=True, options=Options(base_directory=str(self.folder)))
        outcome = run_site(self.tree(vms), request)
        if outcome["failures"]:
            raise RuntimeError(f"the site could not be made: {outcome['failures']}")

    @property
    def credentials(self) -> dict[str, dict[str, str]]:
        """What the modules take as ``credentials``."""
        return {"vc1": self._secret()}

    def tree(self, vms: list[dict[str, Any]]) -> dict[str, Any]:
        """The site's variables with these VMs."""
        tree = json.loads(json.dumps(SITE))
        tree["photon_cloudstore_url"] = self.url
        tree["photon_cloudstore_allow_ephemeral"] = True
        tree["photon_credentials"] = self.credentials
        tree["photon_wait_for_addresses"] = 0  # the floor does not wait either
        tree["photon_endpoints"] = [
            {
                "name": "vc1",
                "address": self.endpoint.address,
                "port": self.endpoint.port,
                "tls": {"ca_file": self.endpoint.ca_file},
            }
        ]
        tree["photon_tenants"][0]["projects"][0]["vms"] = vms
        return tree

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _secret(self) -> dict[str, str]:
        return {"username": self.endpoint.username, "password": self.endpoint.password}

    def _write_inventory(self, vms: list[dict[str, Any]]) -> None:
        group = self.folder / "inventory" / "group_vars" / "all"
        group.mkdir(parents=True, exist_ok=True)
        (self.folder / "inventory" / "hosts.yml").write_text("all: {hosts: {localhost: {}}}\n")
        tree = self.tree(vms)
        tree["base_directory"] = str(self.folder)
        (group / "site.yml").write_text(yaml.safe_dump(tree, sort_keys=False))

    def _write_playbooks(self) -> None:
        library = self.folder / "library"
        library.mkdir()
        (library / "bench_floor.py").write_text(FLOOR_MODULE)
        self.playbook(FLOOR, [{"name": "Two imports", "bench_floor": {}}])
        self.playbook("ping.yml", [{"name": "Ping", "ansible.builtin.ping": {}}])

    def _image_disk(self) -> str:
        from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store

        with open_store(self.url, allow_ephemeral=True) as store:
            copied = next(d for d in store.snapshot(kinds=["image-copy"]).documents)
        return str(copied.observed["path"])


class RawSession:
    """Plain pyvmomi in one session, the fastest way there is: the yardstick."""

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint

    def __enter__(self) -> RawSession:
        self.service = SmartConnect(**self.endpoint.pyvmomi(), connectionPoolTimeout=60)
        self.content = self.service.RetrieveContent()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Disconnect(self.service)

    def read(self, kinds: dict[str, list[str]]) -> list[Any]:
        """One RetrievePropertiesEx over a view of everything, its pages followed: the objects' contents."""
        collector = vmodl.query.PropertyCollector
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [vim.ManagedEntity], True)
        walk = collector.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
        start = collector.ObjectSpec(obj=view, skip=True, selectSet=[walk])
        properties = [collector.PropertySpec(type=_type(kind), pathSet=paths) for kind, paths in kinds.items()]
        return self._retrieve(collector.FilterSpec(objectSet=[start], propSet=properties))

    def create(self, names: Iterable[str], image: str) -> list[str]:
        """Create and start VMs as ours are (child disk, NIC, instanceUuid, guestinfo): moids in order."""
        rows = self.read({"HostSystem": ["parent"], "Datacenter": ["vmFolder"]})
        values = {row.obj: {each.name: each.val for each in row.propSet} for row in rows}
        hosts = [each for each in values if isinstance(each, vim.HostSystem)]
        folder = next(values[each]["vmFolder"] for each in values if isinstance(each, vim.Datacenter))
        pool = values[hosts[0]]["parent"].resourcePool
        specs = [(vm_spec(name, image), hosts[at % len(hosts)]) for at, name in enumerate(names)]
        with ThreadPoolExecutor(THREADS) as threads:
            tasks = list(threads.map(lambda each: folder.CreateVM_Task(each[0], pool, each[1]), specs))
            vms = self.wait(tasks)
            self.wait(list(threads.map(lambda vm: vm.PowerOnVM_Task(), vms)))
        return [vm._moId for vm in vms]

    def destroy_all(self) -> None:
        """Power off and destroy all VMs but the image's, which is a template."""
        rows = self.read({"VirtualMachine": ["config.template", "runtime.powerState"]})
        vms = [(r.obj, {p.name: p.val for p in r.propSet}) for r in rows if isinstance(r.obj, vim.VirtualMachine)]
        vms = [(vm, values) for vm, values in vms if values.get("config.template") is False]
        with ThreadPoolExecutor(THREADS) as threads:
            running = [vm for vm, values in vms if values["runtime.powerState"] != "poweredOff"]
            self.wait(list(threads.map(lambda vm: vm.PowerOffVM_Task(), running)))
            self.wait(list(threads.map(lambda vm: vm.Destroy_Task(), [vm for vm, _values in vms])))

    def find(self, name: str) -> Any:
        """A VM by its name."""
        rows = self.read({"VirtualMachine": ["name"]})
        return next(r.obj for r in rows if any(p.val == name for p in r.propSet))

    def reconfigure(self, machine: Any, spec: Any) -> None:
        self.wait([machine.ReconfigVM_Task(spec)])

    def wait(self, tasks: list[Any]) -> list[Any]:
        """Results in order; all open tasks are read by one call a round. Raises the first task's error."""
        collector = vmodl.query.PropertyCollector
        properties = [collector.PropertySpec(type=vim.Task, pathSet=["info.state", "info.result", "info.error"])]
        results: dict[str, Any] = {}
        missing = {task._moId: task for task in tasks}
        while missing:
            objects = [collector.ObjectSpec(obj=task) for task in missing.values()]
            for row in self._retrieve(collector.FilterSpec(objectSet=objects, propSet=properties)):
                values = {each.name: each.val for each in row.propSet}
                if values["info.state"] == "error":
                    raise values["info.error"]
                if values["info.state"] == "success":
                    results[row.obj._moId] = values.get("info.result")
                    del missing[row.obj._moId]
        return [results[task._moId] for task in tasks]

    def _retrieve(self, spec: Any) -> list[Any]:
        collector = self.content.propertyCollector
        page = collector.RetrievePropertiesEx([spec], vmodl.query.PropertyCollector.RetrieveOptions())
        rows: list[Any] = []
        while page is not None:
            rows += page.objects
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return rows


def vm_spec(name: str, image: str) -> Any:
    """The same hardware as a VM of flavor core-100 with one boot disk and one NIC."""
    change, flat = vim.vm.device.VirtualDeviceSpec, vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    folder = f"[shared1] {name}-{uuid.uuid4().hex[:8]}"
    disk = vim.vm.device.VirtualDisk(
        key=-10,
        controllerKey=-1,
        unitNumber=0,
        capacityInKB=16 << 10,
        backing=flat(
            fileName=f"{folder}/boot.vmdk",
            diskMode="persistent",
            parent=flat(fileName=image, diskMode="persistent"),
        ),
    )
    card = vim.vm.device.VirtualVmxnet3(
        key=-100,
        addressType="generated",
        backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network"),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=True, allowGuestControl=True, connected=True
        ),
    )
    identity = str(uuid.uuid4())
    extra = {
        "guestinfo.userdata": "I2Nsb3VkLWNvbmZpZwo=",
        "guestinfo.userdata.encoding": "base64",
        "guestinfo.metadata": "e30=",
        "guestinfo.metadata.encoding": "base64",
        "photon.id": identity,
        "photon.site": "bench",
    }
    return vim.vm.ConfigSpec(
        name=name,
        instanceUuid=identity,
        numCPUs=1,
        memoryMB=2048,
        guestId="otherGuest64",
        files=vim.vm.FileInfo(vmPathName=f"{folder}/{name}.vmx"),
        extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in extra.items()],
        deviceChange=[
            change(
                operation="add",
                device=vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing"),
            ),
            change(operation="add", fileOperation="create", device=disk),
            change(operation="add", device=card),
        ],
    )


def interleaved(repeat: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Seconds of each side, measured in turns, so that a machine that others use slows both alike."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(repeat):
        for at, side in enumerate(sides):
            seconds[at].append(side())
    return seconds


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _type(kind: str) -> Any:
    from pyVmomi import VmomiSupport

    return VmomiSupport.GetWsdlType("urn:vim25", kind)
