# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References between the items of a declaration: names that must exist, quotas that must fit, contradictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from .. import flavors, quota, units
from .declared import Declaration, Item
from .fields import Checker, did_you_mean
from .known import Known


def check(checker: Checker, declaration: Declaration, known: Known) -> None:
    """Add the mistakes of the whole declaration."""
    names = _Names(declaration, known)
    for host in declaration.hosts:
        if host["state"] != "absent":
            names.need(checker, host, "endpoint", names.endpoints, "EndpointNotFound")
            names.need(checker, host, "zone", names.zones, "AvailabilityZoneNotFound")
    for datastore in declaration.datastores:
        names.need(checker, datastore, "endpoint", names.endpoints, "EndpointNotFound")
    for zone in declaration.zones:
        for index, tenant in enumerate(zone["dedicated_tenants"] or []):
            path = f"{zone['path']}.dedicated_tenants[{index}]"
            _need(checker, path, "tenant", tenant, names.tenants, "TenantNotFound")
    _check_vms(checker, declaration, names)
    _check_disks(checker, declaration, names)
    _check_containers(checker, declaration)
    _check_quotas(checker, declaration, known)


def check_project_quota(checker: Checker, project: Item) -> None:
    """A project has limits of its own or a part of its tenant's, not both."""
    if project["quota"] is not None and project["quota_percent"] is not None:
        checker.add(f"{project['path']}.quota_percent", "cannot be combined with quota: remove one of the two")
    _check_exclude(checker, project)


def warnings(declaration: Declaration) -> list[str]:
    """Warn of limits on keys that no flavor is charged for: most are typing errors."""
    charged = set(quota.KEYS)
    for _kind, _name, cost in flavors.shipped():
        charged.update(cost)
    for flavor in declaration.flavors:
        charged.update(flavor["cost"] or ())
    return [
        f"{item['path']}.quota.{key}: no flavor of this declaration is charged for {key}, so it limits nothing"
        f"{did_you_mean(key, charged, '; ')}"
        for item in [*declaration.tenants, *declaration.projects]
        for key in item["quota"] or ()
        if key not in charged and ".flavor." not in key
    ]


class _Names:
    """What may be referred to: declared (and not absent) or known."""

    def __init__(self, declaration: Declaration, known: Known) -> None:
        self.endpoints = _merge(known.endpoints, declaration.endpoints)
        self.zones = _merge(known.zones, declaration.zones)
        self.tenants = _merge(known.tenants, declaration.tenants)
        self.flavors: dict[str, set[str]] = {kind: set() for kind in flavors.KINDS}
        gone = {(f["kind"], f["name"]) for f in declaration.flavors if f["state"] == "absent"}
        for kind, name in known.flavors | {(f["kind"], f["name"]) for f in declaration.flavors}:
            if kind in self.flavors and name and (kind, name) not in gone:
                self.flavors[kind].add(name)
        self.images: dict[tuple[str, str], set[str]] = defaultdict(set)
        for tenant, project, name in known.images:
            self.images[tenant, project].add(name)
        self.vms: dict[tuple[str, str], set[str]] = defaultdict(set)
        for tenant, project, name in known.vms:
            self.vms[tenant, project].add(name)
        for table, items in ((self.images, declaration.images), (self.vms, declaration.vms)):
            for item in items:
                here = table[item["tenant"], item["project"]]
                (here.discard if item["state"] == "absent" else here.add)(item["name"])

    @staticmethod
    def need(checker: Checker, item: Item, key: str, known: Collection[str], code: str) -> None:
        if item[key] is not None:
            _need(checker, f"{item['path']}.{key}", key, item[key], known, code)

    def need_flavor(self, checker: Checker, path: str, name: str | None, kind: str) -> None:
        if name is None or name in self.flavors[kind]:
            return
        others = [other for other, names in self.flavors.items() if name in names]
        if others:
            message = f"{name!r} is a flavor of kind {others[0]}; here it takes one of kind {kind}"
            hint = did_you_mean(name, self.flavors[kind], "; ")
            checker.add(path, message + (hint or f": {_listed(self.flavors[kind])}"), "FlavorNotFound")
        else:
            _need(checker, path, "flavor", name, self.flavors[kind], "FlavorNotFound")


def _need(checker: Checker, path: str, what: str, name: str, known: Collection[str], code: str) -> None:
    if name not in known:
        hint = did_you_mean(name, known) or f"; known: {_listed(known)}"
        checker.add(path, f"no {what} is named {name!r}{hint}", code)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(filter(None, names))[:10]) or "none"


def _merge(known: set[str], items: list[Item]) -> set[str]:
    names = known | {item["name"] for item in items if item["name"]}
    return names - {item["name"] for item in items if item["state"] == "absent"}


def _check_vms(checker: Checker, declaration: Declaration, names: _Names) -> None:
    dedicated = {z["name"]: z["dedicated_tenants"] for z in declaration.zones if z["dedicated_tenants"]}
    path = None
    for vm in declaration.vms:
        if vm["path"] == path or vm["state"] == "absent":
            continue  # the members of a range share everything but the name
        path = vm["path"]
        names.need_flavor(checker, f"{path}.flavor", vm["flavor"], flavors.VM)
        boot = "boot_disk.flavor" if (vm["boot_disk"] or {}).get("flavor") else "boot_disk_flavor"
        names.need_flavor(checker, f"{path}.{boot}", vm["boot_disk_flavor"], flavors.EPHEMERAL_DISK)
        for index, disk in enumerate(vm["disks"] or []):
            names.need_flavor(checker, f"{path}.disks[{index}].flavor", disk["flavor"], flavors.EPHEMERAL_DISK)
        images = names.images["", ""] | names.images[vm["tenant"], vm["project"]]
        names.need(checker, vm, "image", images, "ImageNotFound")
        names.need(checker, vm, "zone", names.zones, "AvailabilityZoneNotFound")
        if vm["zone"] in dedicated and vm["tenant"] not in dedicated[vm["zone"]]:
            checker.add(
                f"{path}.zone",
                f"zone {vm['zone']} is dedicated to {', '.join(dedicated[vm['zone']])}",
                "UnfullfillableAffinities",
            )


def _check_disks(checker: Checker, declaration: Declaration, names: _Names) -> None:
    path = None
    for disk in declaration.disks:
        if disk["state"] == "absent":
            continue
        vms = names.vms[disk["tenant"], disk["project"]]
        if disk["attached_to"]:
            names.need(checker, disk, "attached_to", vms, "VmNotFound")
        if disk["path"] == path:
            continue  # the members of a range share everything but the name and the VM
        path = disk["path"]
        names.need(checker, disk, "flavor", names.flavors[flavors.PERSISTENT_DISK], "FlavorNotFound")
        for index, name in enumerate(disk["affinity"] or []):
            _need(checker, f"{path}.affinity[{index}]", "vm", name, vms, "VmNotFound")


def _check_containers(checker: Checker, declaration: Declaration) -> None:
    """Nothing may be declared in what is declared absent."""
    absent_tenants = {t["name"] for t in declaration.tenants if t["state"] == "absent"}
    absent_projects = {(p["tenant"], p["name"]) for p in declaration.projects if p["state"] == "absent"}
    reported: set[str] = set()
    for project in declaration.projects:
        if project["tenant"] in absent_tenants and project["state"] != "absent":
            checker.add(
                f"{project['path']}.state",
                f"tenant {project['tenant']} is absent: set state: absent here too",
                "ContainerNotEmpty",
            )
    for item in (*declaration.vms, *declaration.disks):
        path, project = item["path"], (item["tenant"], item["project"])
        if project in absent_projects and item["state"] != "absent" and path not in reported:
            reported.add(path)
            checker.add(
                f"{path}.state", f"project {project[1]} is absent: set state: absent here too", "ContainerNotEmpty"
            )


def _check_quotas(checker: Checker, declaration: Declaration, known: Known) -> None:
    projects: dict[str, list[Item]] = defaultdict(list)
    for project in declaration.projects:
        check_project_quota(checker, project)
        if project["state"] != "absent":
            projects[project["tenant"]].append(project)
    for tenant in declaration.tenants:
        _check_exclude(checker, tenant)
        if tenant["state"] != "absent":
            _check_tenant_quota(checker, tenant, projects[tenant["name"]], known)


def _check_exclude(checker: Checker, owner: Item) -> None:
    for key in set(owner["quota"] or ()) & set(owner["quota_exclude"] or ()):
        checker.add(f"{owner['path']}.quota_exclude", f"{key} is in quota as well: remove it from one of the two")


def _check_tenant_quota(checker: Checker, tenant: Item, projects: list[Item], known: Known) -> None:
    percents = sum(p["quota_percent"] or 0 for p in projects)
    if percents > 100:
        checker.add(
            f"{tenant['path']}.projects",
            f"the projects' quota_percent add up to {percents}; the maximum is 100",
            "QuotaError",
        )
    limits = tenant["quota"]
    if limits is None or tenant["quota_mode"] != "set":
        return
    given: dict[str, int] = defaultdict(int)
    for project in projects:
        if project["quota_percent"] is not None:
            for key, (amount, _unit) in limits.items():
                given[key] += amount * project["quota_percent"] // 100
        elif project["quota"] is not None:
            _check_superset(checker, tenant, project, limits)
            for key, (amount, _unit) in project["quota"].items():
                given[key] += amount
        elif (
            limits
            and (tenant["name"], project["name"]) not in known.projects
            and not any(m.path.startswith(f"{project['path']}.quota") for m in checker.mistakes)
        ):
            checker.add(
                f"{project['path']}.quota",
                f"missing: tenant {tenant['name']} has limits, so its project needs "
                "quota_percent, or a quota with the same keys",
                "InvalidResourceTicketSubdivide",
            )
    for key, (limit, unit) in limits.items():
        if given[key] > limit and percents <= 100:
            checker.add(
                f"{tenant['path']}.quota.{key}",
                f"the projects' limits add up to "
                f"{units.show(given[key], unit)}, the tenant's is {units.show(limit, unit)}",
                "QuotaError",
            )


def _check_superset(checker: Checker, tenant: Item, project: Item, limits: dict[str, tuple[int, str]]) -> None:
    if project["quota_mode"] != "set":
        return
    lacking = [key for key in limits if key not in project["quota"]]
    if lacking:
        checker.add(
            f"{project['path']}.quota",
            f"must limit every key that tenant {tenant['name']} limits: add {', '.join(lacking)}",
            "InvalidResourceTicketSubdivide",
        )
