"""A second run of 1,000 VMs declared as one range: time, calls, memory, and that it sees changes by hand."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.vsphere import inventory
from pyVmomi import vim

from tests.benchmarks.cloud import FLOOR, Cloud, RawSession, interleaved, median

VMS, REPEAT = 1000, 5
# What a second run has to say of the VMs that hand_changes changed.
EXPECTED = {"web-0001": "vcpus", "web-0002": "disk data", "web-0003": "port_groups", "web-0004": "guestinfo.userdata"}
# Runs the module's Python and notes the peak memory of that process alone: not of ansible-playbook, which forks.
INTERPRETER = """#!{python} -IS
import resource, subprocess, sys
code = subprocess.call([{python!r}, *sys.argv[1:]])
with open({report!r}, "a") as stream:
    stream.write(f"{{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}}\\n")
sys.exit(code)
"""


def run(context: Any) -> dict[str, float]:
    """Figures: calls, whole time against the floor, site.yml against a ping, and the module's peak memory."""
    with Cloud(context) as cloud:
        disks = [{"name": "data", "flavor": "core-100", "capacity": "1 GB"}]
        cloud.declare([{**cloud.vm(f"web-[0001:{VMS}]"), "disks": disks}])
        cloud.clear()
        creating, created = memory_of(cloud)
        if (running := cloud.running()) != VMS:
            raise RuntimeError(f"{running} VMs run instead of {VMS}")
        keeping, _seconds = memory_of(cloud)
        calls: list[int] = []

        def ours() -> float:
            cloud.calls()
            done = cloud.run(arguments=["-v"])
            calls.append(sum(cloud.calls().values()))
            _expect_nothing(done.output)
            return done.seconds

        kept, read, floor = interleaved(REPEAT, ours, lambda: _read(cloud), lambda: cloud.run(FLOOR).seconds)
        site, ping = interleaved(REPEAT, lambda: _site(cloud), lambda: cloud.run("ping.yml").seconds)
        seen = hand_changes(cloud)
    rows = [
        [f"vm: create {VMS}", created, creating],
        [f"vm: keep {VMS}", median(kept), keeping],
        [f"plain pyvmomi: one read of the same paths of {VMS} VMs", median(read), ""],
        ["playbook, one module of two imports", median(floor), ""],
        [f"site.yml: keep {VMS}", median(site), ""],
        ["playbook, one ping", median(ping), ""],
    ]
    context.table(["work", "seconds", "MiB of the module"], rows)
    print(f"calls to the endpoint of one second run: {calls}")
    print("seen by a second run: " + ", ".join(f"{name} ({fields})" for name, fields in seen.items()))
    return {
        "noop_1000_s": median(kept),
        "noop_1000_calls_per_endpoint": max(calls),
        "noop_1000_over_floor": median(kept) / (median(read) + median(floor)),
        "noop_1000_seen_changes": len(seen),
        "site_noop_1000_s": median(site),
        "site_noop_1000_over_ping": median(site) / median(ping),
        "controller_mb_1000_vms": max(creating, keeping),
    }


def memory_of(cloud: Cloud) -> tuple[float, float]:
    """Peak MiB of the module's own process, and seconds, of one run of vm.yml."""
    report, wrapper = cloud.folder / "memory", cloud.folder / "measured-python"
    report.unlink(missing_ok=True)
    wrapper.write_text(INTERPRETER.format(python=sys.executable, report=str(report)))
    wrapper.chmod(0o700)
    done = cloud.run(arguments=["-e", json.dumps({"ansible_python_interpreter": str(wrapper)})])
    return max(map(float, report.read_text().split())), done.seconds


def hand_changes(cloud: Cloud) -> dict[str, str]:
    """Change four VMs behind the platform's back: what a second run in check mode says of each."""
    with RawSession(cloud.endpoint) as raw:
        machines = {name: raw.find(name) for name in EXPECTED}
        for name, machine in machines.items():
            raw.reconfigure(machine, change(name, machine))
    text = cloud.run(arguments=["--check", "-v"], check=False).output
    seen = {}
    for name, words in EXPECTED.items():
        found = re.search(rf"acme/web/{name}\b[^\n]*{words}", text)
        if not found:
            raise RuntimeError(f"the second run did not see what was changed of {name} ({words}):\n{text[-3000:]}")
        seen[name] = words
    return seen


def change(name: str, machine: Any) -> Any:
    """Another number of CPUs, a larger disk, another network, another value of a guestinfo key."""
    spec, device = vim.vm.ConfigSpec(), vim.vm.device.VirtualDeviceSpec
    if name == "web-0001":
        spec.numCPUs = 3
    elif name == "web-0002":
        disk = [d for d in machine.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)][-1]
        disk.capacityInKB, disk.capacityInBytes = 2 << 20, 2 << 30
        spec.deviceChange = [device(operation="edit", device=disk)]
    elif name == "web-0003":
        card = next(d for d in machine.config.hardware.device if isinstance(d, vim.vm.device.VirtualEthernetCard))
        card.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="lan")
        spec.deviceChange = [device(operation="edit", device=card)]
    else:
        spec.extraConfig = [vim.option.OptionValue(key="guestinfo.userdata", value="c3Bvb2ZlZA==")]
    return spec


def _read(cloud: Cloud) -> float:
    """Seconds of one read of everything that the product reads, without login and logout."""
    with RawSession(cloud.endpoint) as raw:
        started = time.perf_counter()
        rows = raw.read(inventory.PATHS)
        seconds = time.perf_counter() - started
    if sum(isinstance(row.obj, vim.VirtualMachine) for row in rows) < VMS:
        raise RuntimeError(f"the plain read saw only {len(rows)} objects")
    return seconds


def _site(cloud: Cloud) -> float:
    playbook = cloud.context.root / "playbooks" / "site.yml"
    done = cloud.run(str(playbook), arguments=["-v", "-i", str(cloud.folder / "inventory")])
    _expect_nothing(done.output)
    return done.seconds


def _expect_nothing(output: str) -> None:
    if "changed: false" not in output or f"keep: {VMS}" not in output:
        raise RuntimeError(f"this was no second run of {VMS} VMs:\n{output[-3000:]}")
