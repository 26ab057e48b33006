"""Which operation is allowed in which state."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import states
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

# The whole table, written out: kind, operation -> the states that allow it, the state afterwards.
ALLOWED = {
    ("vm", "START_VM"): ({"STOPPED"}, "STARTED"),
    ("vm", "STOP_VM"): ({"STARTED", "SUSPENDED"}, "STOPPED"),
    ("vm", "RESTART_VM"): ({"STARTED"}, "STARTED"),
    ("vm", "SUSPEND_VM"): ({"STARTED"}, "SUSPENDED"),
    ("vm", "RESUME_VM"): ({"SUSPENDED"}, "STARTED"),
    ("vm", "DELETE_VM"): ({"STOPPED", "ERROR", "CREATING"}, "DELETED"),
    ("disk", "ATTACH_DISK"): ({"DETACHED"}, "ATTACHED"),
    ("disk", "DETACH_DISK"): ({"CREATING", "DETACHED", "ATTACHED", "ERROR"}, "DETACHED"),
    ("disk", "DELETE_DISK"): ({"CREATING", "DETACHED", "ERROR"}, "DELETED"),
    ("host", "SUSPEND_HOST"): ({"READY", "SUSPENDED"}, "SUSPENDED"),
    ("host", "RESUME_HOST"): ({"SUSPENDED"}, "READY"),
    ("host", "ENTER_MAINTENANCE_MODE"): ({"SUSPENDED", "MAINTENANCE"}, "MAINTENANCE"),
    ("host", "EXIT_MAINTENANCE_MODE"): ({"MAINTENANCE"}, "READY"),
    ("host", "DELETE_HOST"): ({"NOT_PROVISIONED", "MAINTENANCE", "ERROR"}, "DELETED"),
}


@pytest.mark.parametrize(("kind", "operation"), ALLOWED)
def test_operations(kind: str, operation: str) -> None:
    rule = states.OPERATIONS[kind][operation]
    assert (set(rule.sources), rule.target) == ALLOWED[kind, operation]


def test_the_table_has_no_other_operations_and_states() -> None:
    assert {(kind, name) for kind, operations in states.OPERATIONS.items() for name in operations} == set(ALLOWED)
    for kind, operations in states.OPERATIONS.items():
        for operation in operations.values():
            assert {*operation.sources, operation.target} <= set(states.STATES[kind])


@pytest.mark.parametrize("kind", ["flavor", "image", "zone"])
def test_only_what_is_ready_can_be_used(kind: str) -> None:
    states.check_usable(kind, "READY", "x")
    for state in states.STATES[kind]:
        if state != "READY":
            with pytest.raises(PhotonError) as caught:
                states.check_usable(kind, state, "x")
            assert (
                caught.value.code
                == {
                    "flavor": "InvalidFlavorState",
                    "image": "InvalidImageState",
                    "zone": "InvalidAvailabilityZoneState",
                }[kind]
            )


@pytest.mark.parametrize(
    ("kind", "state", "wanted", "operations"),
    [
        ("vm", "STOPPED", "STARTED", ["START_VM"]),
        ("vm", "SUSPENDED", "STARTED", ["RESUME_VM"]),
        ("vm", "STOPPED", "SUSPENDED", ["START_VM", "SUSPEND_VM"]),
        ("vm", "SUSPENDED", "STOPPED", ["STOP_VM"]),
        ("vm", "STARTED", "STARTED", []),
        ("host", "READY", "MAINTENANCE", ["SUSPEND_HOST", "ENTER_MAINTENANCE_MODE"]),
        ("host", "MAINTENANCE", "SUSPENDED", ["EXIT_MAINTENANCE_MODE", "SUSPEND_HOST"]),
    ],
)
def test_routes(kind: str, state: str, wanted: str, operations: list[str]) -> None:
    assert states.route(kind, state, wanted) == operations


def test_error_leads_to_deletion_alone() -> None:
    with pytest.raises(PhotonError) as caught:
        states.route("host", "ERROR", "READY")
    assert caught.value.code == "InvalidHostState"
    assert states.route("vm", "ERROR", "DELETED") == ["DELETE_VM"]


@pytest.mark.parametrize("state", ["CREATING", "ERROR"])
def test_a_vm_that_was_not_created_cannot_start(state: str) -> None:
    with pytest.raises(PhotonError) as caught:
        states.route("vm", state, "STARTED")
    assert caught.value.code == "StateError"
