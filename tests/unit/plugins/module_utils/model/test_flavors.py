"""Costs of flavors, and the flavors that are shipped."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import flavors
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

GB = 1 << 30


def invalid(kind: str, cost: object) -> PhotonError:
    with pytest.raises(PhotonError) as caught:
        flavors.check_cost(kind, cost)
    return caught.value


def test_vm_cost_is_parsed() -> None:
    assert flavors.check_cost("vm", {"vm.cpu": 2, "vm.memory": "4 GB", "vm.cost": 1.5, "vm.potrzebie": 3}) == {
        "vm.cpu": (2, "COUNT"),
        "vm.memory": (4 * GB, "GB"),
        "vm.cost": (1500, "COST"),
        "vm.potrzebie": (3, "COUNT"),
    }


@pytest.mark.parametrize(
    "cost",
    [
        {"vm.cpu": 2},
        {"vm.memory": "4 GB"},
        {"vm.cost": 1},
        {"vm.cpu": 0, "vm.memory": "4 GB"},
        {"vm.cpu": 1, "vm.memory": "0 GB"},
    ],
)
def test_vm_flavor_needs_cpu_and_memory(cost: dict) -> None:
    assert invalid("vm", cost).code == "InvalidFlavorSpecification"


@pytest.mark.parametrize("unit", ["B", "KB", "MB", "GB"])
def test_vm_cpu_is_a_count(unit: str) -> None:
    error = invalid("vm", {"vm.cpu": f"2 {unit}", "vm.memory": "4 GB"})
    assert error.code == "InvalidFlavorSpecification"
    assert [key for key, _message in error.data["mistakes"]] == ["vm.cpu"]


@pytest.mark.parametrize("memory", [4, "4 COUNT"])
def test_vm_memory_is_in_bytes(memory: object) -> None:
    assert invalid("vm", {"vm.cpu": 2, "vm.memory": memory}).data["mistakes"][0][0] == "vm.memory"


@pytest.mark.parametrize("memory", ["4294967296 B", "4194304 KB", "4096 MB", "4 GB"])
def test_vm_memory_in_every_unit_of_bytes(memory: str) -> None:
    assert flavors.check_cost("vm", {"vm.cpu": 2, "vm.memory": memory})["vm.memory"][0] == 4 * GB


@pytest.mark.parametrize("memory", ["4095 MB", "2 MB", "4194305 KB"])
def test_vm_memory_is_a_multiple_of_4_mb(memory: str) -> None:
    assert invalid("vm", {"vm.cpu": 2, "vm.memory": memory}).data["mistakes"] == [
        ["vm.memory", "vm.memory must be a multiple of 4 MB"]
    ]


def test_shipped_flavors_keep_the_rules_of_declared_ones() -> None:
    for kind, _name, cost in flavors.shipped():
        texts = {key: amount / 1000 if unit == "COST" else f"{amount} B" if unit in ("MB", "GB") else amount
                 for key, (amount, unit) in cost.items()}  # fmt: skip
        flavors.check_cost(kind, texts)


@pytest.mark.parametrize("kind", ["ephemeral-disk", "persistent-disk"])
def test_disk_flavor_has_no_capacity(kind: str) -> None:
    error = invalid(kind, {f"{kind}.capacity": "10 GB", f"{kind}.cost": 1})
    assert error.code == "InvalidFlavorSpecification"


@pytest.mark.parametrize("kind", flavors.KINDS)
@pytest.mark.parametrize("cost", [{}, None, [], "vm.cpu"])
def test_at_least_one_cost(kind: str, cost: object) -> None:
    assert invalid(kind, cost).code == "InvalidFlavorSpecification"


def test_every_mistake_is_reported() -> None:
    error = invalid("vm", {"vm.cpu": "2 GB", "vm.cost": "x"})
    assert [key for key, _message in error.data["mistakes"]] == ["vm.cpu", "vm.cost", ""]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("vm", "vm"),
        ("ephemeral", "ephemeral-disk"),
        ("persistent", "persistent-disk"),
        ("ephemeral-disk", "ephemeral-disk"),
    ],
)
def test_kinds_and_their_short_forms(text: str, kind: str) -> None:
    assert flavors.check_kind(text) == kind


@pytest.mark.parametrize("text", ["disk", "", None, 3])
def test_unknown_kind(text: object) -> None:
    with pytest.raises(PhotonError) as caught:
        flavors.check_kind(text)
    assert caught.value.code == "InvalidEntity"


def test_storage_key_asks_for_a_type_of_datastore() -> None:
    cost = flavors.check_cost("ephemeral-disk", {"storage.shared_vmfs": 1, "ephemeral-disk.cost": 1})
    assert flavors.datastore_tags(cost) == ("SHARED_VMFS",)
    assert "storage.SHARED_VMFS" not in flavors.disk_cost("ephemeral-disk", "fast", cost, GB)


@pytest.mark.parametrize("kind", ["LOCAL_VMFS", "SHARED_VMFS", "VSAN", "NFS"])
def test_storage_types(kind: str) -> None:
    assert flavors.datastore_tags({f"storage.{kind}": (1, "COUNT")}) == (kind,)


def test_unknown_storage_type_fails_the_placement() -> None:
    cost = flavors.check_cost("ephemeral-disk", {"storage.ext3": 1})
    with pytest.raises(PhotonError) as caught:
        flavors.datastore_tags(cost)
    assert caught.value.code == "NoConstraintMatchingDatastore"


def test_storage_type_twice() -> None:
    error = invalid("ephemeral-disk", {"storage.vsan": 1, "storage.VSAN": 1})
    assert "twice" in error.message


def test_a_vm_is_charged_under_both_names() -> None:
    cost = flavors.vm_cost("core-100", {"vm.cpu": (1, "COUNT"), "vm.memory": (2 * GB, "GB")})
    assert cost == {
        "vm.cpu": (1, "COUNT"),
        "vm.memory": (2 * GB, "GB"),
        "vm": (1, "COUNT"),
        "vm.count": (1, "COUNT"),
        "vm.flavor.core-100": (1, "COUNT"),
    }


@pytest.mark.parametrize("kind", ["ephemeral-disk", "persistent-disk"])
def test_a_disk_is_charged_for_its_size(kind: str) -> None:
    assert flavors.disk_cost(kind, "core-100", {f"{kind}.cost": (1000, "COST")}, 40 * GB) == {
        f"{kind}.cost": (1000, "COST"),
        kind: (1, "COUNT"),
        f"{kind}.count": (1, "COUNT"),
        f"{kind}.flavor.core-100": (1, "COUNT"),
        f"{kind}.capacity": (40 * GB, "GB"),
    }


def test_costs_add_up_in_the_first_unit() -> None:
    total = flavors.add_costs([{"a": (1, "MB")}, {"a": (2, "GB"), "b": (5, "COUNT")}])
    assert total == {"a": (3, "MB"), "b": (5, "COUNT")}


# name: CPUs, MB of memory, price in thousandths
SHIPPED_VM = {
    "core-10": (1, 32, 25),
    "core-100": (1, 2048, 1000),
    "core-110": (1, 4096, 1500),
    "core-200": (2, 4096, 2000),
    "core-220": (2, 8192, 4000),
    "core-240": (4, 16384, 12000),
    "core-245": (4, 32768, 20000),
    "core-280": (8, 32768, 25000),
    "core-285": (8, 65536, 48000),
    "cluster-master-vm": (4, 8192, 1000),
    "cluster-other-vm": (1, 4096, 1000),
}
SHIPPED_DISK = {
    **{
        (kind, name): price
        for kind in ("ephemeral-disk", "persistent-disk")
        for name, price in (("core-100", 1000), ("core-200", 1800), ("core-300", 2800))
    },
    ("ephemeral-disk", "cluster-vm-disk"): 1000,
}


def test_shipped_flavors() -> None:
    shipped = {(kind, name): cost for kind, name, cost in flavors.shipped()}
    vms = {
        name: (cost["vm.cpu"][0], cost["vm.memory"][0] >> 20, cost["vm.cost"][0])
        for (kind, name), cost in shipped.items()
        if kind == "vm"
    }
    disks = {key: cost[f"{key[0]}.cost"][0] for key, cost in shipped.items() if key[0] != "vm"}
    assert vms == SHIPPED_VM
    assert disks == SHIPPED_DISK


def test_shipped_flavors_follow_the_rules() -> None:
    for kind, name, cost in flavors.shipped():
        written = {
            key: amount / 1000 if unit == "COST" else f"{amount} B" if key == "vm.memory" else amount
            for key, (amount, unit) in cost.items()
        }
        parsed = flavors.check_cost(kind, written)
        assert {key: value[0] for key, value in parsed.items()} == {key: value[0] for key, value in cost.items()}, name
