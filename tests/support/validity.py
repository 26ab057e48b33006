"""Is a placement allowed? An answer of its own, from the plain input, that shares no code with the scheduler."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

Row = Mapping[str, Any]


def violations(requests: Sequence[Row], fleet: Row, result: Row) -> list[str]:
    """Every rule that the placements break, in words; an empty list for a valid result."""
    hosts = {host["id"]: host for host in fleet.get("hosts") or ()}
    stores = {store["id"]: store for store in fleet.get("datastores") or ()}
    zones = {zone["name"]: zone for zone in fleet.get("zones") or ()}
    wanted = {request["id"]: request for request in requests}
    problems = _every_vm_once(wanted, result)
    cpu, memory, space = Counter(), Counter(), Counter()
    for row in result["placements"]:
        request, host = wanted[row["request"]], hosts[row["host"]]
        name = f"{row['request']}[{row['index']}] on {host['id']}"
        cpu[host["id"]] += request["vcpus"]
        memory[host["id"]] += request["memory"]
        problems += [f"{name}: {words}" for words in _unfit(request, host, zones)]
        disks = request.get("disks") or ()
        if len(disks) != len(row["datastores"]):
            problems.append(f"{name}: {len(row['datastores'])} datastores for {len(disks)} disks")
        for number, (disk, store) in enumerate(zip(disks, row["datastores"], strict=False)):
            space[store] += disk["capacity"]
            problems += [f"{name}: {words}" for words in _misplaced(request, disk, number, stores[store], host, fleet)]
    problems += _overbooked(hosts, stores, cpu, memory, space)
    problems += _broken_groups(wanted, hosts, fleet, result)
    return problems + _skewed(wanted, hosts, zones, fleet, result)


def _every_vm_once(wanted: Mapping[str, Row], result: Row) -> list[str]:
    answered = Counter((row["request"], row["index"]) for key in ("placements", "unplaced") for row in result[key])
    expected = {(name, index) for name, request in wanted.items() for index in range(request.get("count", 1))}
    problems = [f"{vm} is answered {times} times" for vm, times in answered.items() if times != 1]
    problems += [f"{vm} has no answer" for vm in expected - answered.keys()]
    return problems + [f"{vm} was never asked for" for vm in answered.keys() - expected]


def _unfit(request: Row, host: Row, zones: Mapping[str, Row]) -> list[str]:
    found = []
    if host.get("state", "READY") != "READY":
        found.append(f"the host is {host['state']}")
    if (request.get("usage") or "CLOUD") not in host.get("usage_tags", ["CLOUD"]):
        found.append("wrong usage tag")
    allowed = set(request.get("zones") or ()) | ({request["zone"]} if request.get("zone") else set())
    if allowed and host.get("zone") not in allowed:
        found.append(f"zone {host.get('zone')}")
    zone = zones.get(host.get("zone"), {})
    if zone.get("state", "READY") != "READY":
        found.append("the zone is not READY")
    if zone.get("dedicated_tenants") and request.get("tenant") not in zone["dedicated_tenants"]:
        found.append("the zone is dedicated to others")
    if not set(request.get("host_tags") or ()) <= set(host.get("tags") or ()):
        found.append("host tags are missing")
    if not set(request.get("port_groups") or ()) <= set(host.get("port_groups") or ()):
        found.append("port groups are missing")
    if request.get("host") and request["host"] != host["id"]:
        found.append("another host was asked for")
    return found


def _misplaced(request: Row, disk: Row, number: int, store: Row, host: Row, fleet: Row) -> list[str]:
    found = []
    if store["id"] not in (host.get("datastores") or ()):
        found.append(f"the host does not mount {store['id']}")
    if store.get("usable_for_vms") is False:
        found.append(f"{store['id']} is not for VMs")
    if not set(disk.get("tags") or ()) <= {*(store.get("tags") or ()), store.get("type")}:
        found.append(f"tags of {store['id']}")
    if request.get("datastore") and request["datastore"] != store["id"]:
        found.append("another datastore was asked for")
    boots = [bool(other.get("boot")) for other in request["disks"]]
    boot = boots[number] if any(boots) else number == 0
    needs_image = boot and request.get("image") and request.get("image_must_be_present", True) is not False
    if needs_image and store["id"] not in (fleet.get("images") or {}).get(request["image"], ()):
        found.append(f"the image is not on {store['id']}")
    return found


def _overbooked(
    hosts: Mapping[str, Row], stores: Mapping[str, Row], cpu: Counter, memory: Counter, space: Counter
) -> list[str]:
    problems = []
    for name, used in cpu.items():
        host = hosts[name]
        limit = int(host["vcpus"] * Fraction(str(host.get("cpu_overcommit", 16.0))))
        if used and used + host.get("used_vcpus", 0) + host.get("reserved_vcpus", 0) > limit:
            problems.append(f"{name}: more vCPUs than {limit}")
    for name, used in memory.items():
        host = hosts[name]
        limit = int(host["memory"] * Fraction(str(host.get("memory_overcommit", 1.0))))
        if used and used + host.get("used_memory", 0) + host.get("reserved_memory", 0) > limit:
            problems.append(f"{name}: more memory than {limit}")
    for name, used in space.items():
        if used and used + stores[name].get("used", 0) > stores[name]["capacity"]:
            problems.append(f"{name}: more space than there is")
    return problems


def _value(level: str, host: Row) -> Any:
    return ("own", host["id"]) if level == "host" or host.get(level) is None else host[level]


def _broken_groups(wanted: Mapping[str, Row], hosts: Mapping[str, Row], fleet: Row, result: Row) -> list[str]:
    rules: dict[str, set[tuple[str, str]]] = defaultdict(set)
    old: dict[str, list[Row]] = defaultdict(list)
    new: dict[str, list[Row]] = defaultdict(list)
    for vm in fleet.get("vms") or ():
        for group in {group["name"] for group in vm.get("groups") or ()} if vm.get("host") in hosts else ():
            old[group].append(hosts[vm["host"]])
    for item in [*wanted.values(), *(vm for vm in fleet.get("vms") or () if vm.get("host") in hosts)]:
        for group in item.get("groups") or ():
            if group.get("hard", True):
                rules[group["name"]].add((group["kind"], group.get("level", "host")))
    for row in result["placements"]:
        for group in {group["name"] for group in wanted[row["request"]].get("groups") or ()}:
            new[group].append(hosts[row["host"]])
    problems = []
    for group, kinds in rules.items():
        for kind, level in kinds:
            before = {_value(level, host) for host in old[group]}
            after = Counter(_value(level, host) for host in new[group])
            if kind == "anti-affinity":
                problems += [
                    f"group {group}: two share {level} {value}"
                    for value, n in after.items()
                    if n > 1 or value in before
                ]
            elif len(after.keys() | before) > 1 and (not before or after.keys() - before):
                problems.append(f"group {group}: spread over {level}s {sorted(map(str, after))}")
    return problems


def _skewed(
    wanted: Mapping[str, Row], hosts: Mapping[str, Row], zones: Mapping[str, Row], fleet: Row, result: Row
) -> list[str]:
    """Only for spread groups of one request that no VM was in before: others depend on the order of events."""
    problems = []
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in result["placements"]:
        rows[row["request"]].append(hosts[row["host"]])
    groups = Counter(request.get("spread_group") for request in wanted.values())
    old = {vm.get("spread_group") for vm in fleet.get("vms") or ()}
    for name, request in wanted.items():
        group = request.get("spread_group")
        if request.get("max_skew") is None or (group is not None and (groups[group] > 1 or group in old)):
            continue
        level = request["spread_over"]
        eligible = [
            host for host in hosts.values() if not _unfit(request, host, zones) and not _storeless(request, host, fleet)
        ]
        counts = Counter(_value(level, host) for host in rows[name])
        domains = {_value(level, host) for host in eligible}
        if counts and max(counts.values()) - min(counts[value] for value in domains) > request["max_skew"]:
            problems.append(f"{name}: skew over {level}s {dict(counts)}")
    return problems


def _storeless(request: Row, host: Row, fleet: Row) -> bool:
    stores = [store for store in fleet.get("datastores") or () if store["id"] in (host.get("datastores") or ())]
    return any(
        all(_misplaced(request, disk, number, store, host, fleet) for store in stores)
        for number, disk in enumerate(request.get("disks") or ())
    )


def shared_hosts(requests: Sequence[Row], fleet: Row, result: Row) -> list[str]:
    """VMs on a host with others of their item, though a host that they may use and that holds fewer of them has room.

    Room is what the answer leaves free, so each finding was avoidable. Requests with groups or a host of their own are
    left out: there the user says where VMs go. Under ``spread_over`` the other host must lie in the same zone or rack.
    """
    hosts, zones = {host["id"]: host for host in fleet["hosts"]}, {zone["name"]: zone for zone in fleet["zones"]}
    stores = {store["id"]: store for store in fleet.get("datastores") or ()}
    wanted = {request["id"]: request for request in requests}
    cpu, memory, space = Counter(), Counter(), Counter()
    items: dict[str, Counter] = defaultdict(Counter)
    for vm in fleet.get("vms") or ():
        items[vm.get("spread_group") or ""][vm["host"]] += 1
    for row in result["placements"]:
        request = wanted[row["request"]]
        items[_item(request)][row["host"]] += 1
        cpu[row["host"]] += request["vcpus"]
        memory[row["host"]] += request["memory"]
        for disk, store in zip(request.get("disks") or (), row["datastores"], strict=True):
            space[store] += disk["capacity"]
    found = []
    for row in result["placements"]:
        request, here = wanted[row["request"]], hosts[row["host"]]
        members = items[_item(request)]
        if members[here["id"]] < 2 or request.get("groups") or request.get("host"):
            continue
        if not (request["vcpus"] and request["memory"]):  # what needs nothing is kept off hosts that are over-full
            continue
        level = request.get("spread_over") or "host"
        for host in hosts.values():
            same = level == "host" or _value(level, host) == _value(level, here)
            if not same or members[host["id"]] >= members[here["id"]] - 1 or _unfit(request, host, zones):
                continue
            after = (cpu + Counter({host["id"]: request["vcpus"]}), memory + Counter({host["id"]: request["memory"]}))
            if not _overbooked({host["id"]: host}, {}, *_only(host["id"], *after), Counter()) and _stored(
                request, host, stores, space, fleet
            ):
                found.append(f"{row['request']}[{row['index']}] shares {here['id']}, {host['id']} has room")
                break
    return found


def _item(request: Row) -> str:
    return request.get("spread_group") or f"request:{request['id']}"


def _only(name: str, *counters: Counter) -> list[Counter]:
    return [Counter({name: counter[name]}) for counter in counters]


def _stored(request: Row, host: Row, stores: Mapping[str, Row], space: Counter, fleet: Row) -> bool:
    """Whether all disks fit together on any one datastore each; those of one datastore add up."""
    taken = Counter(space)
    for number, disk in enumerate(request.get("disks") or ()):
        for name in host.get("datastores") or ():
            store, need = stores[name], Counter({name: taken[name] + disk["capacity"]})
            if not _misplaced(request, disk, number, store, host, fleet) and not _overbooked(
                {}, {name: store}, Counter(), Counter(), need
            ):
                taken[name] += disk["capacity"]
                break
        else:
            return False
    return True
