"""Which operation is allowed in which state."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import states
from ansible_collections.photon.platform.plugins.module_utils.model.errors import HTTP_STATUS, PhotonError

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
CASES = [(kind, operation, state) for kind, operation in ALLOWED for state in states.STATES[kind]]


@pytest.mark.parametrize(("kind", "operation", "state"), CASES)
def test_operations(kind: str, operation: str, state: str) -> None:
    allowed, target = ALLOWED[kind, operation]
    if state in allowed:
        assert states.check(kind, operation, state) == target
        return
    with pytest.raises(PhotonError) as caught:
        states.check(kind, operation, state, "web-01")
    assert caught.value.code == {"host": "InvalidHostState"}.get(
        kind, "InvalidVmState" if operation == "DELETE_VM" else "StateError"
    )
    assert f"Unsupported operation {operation} for {kind}/web-01 in state {state}" in caught.value.message


def test_a_new_vm_is_stopped() -> None:
    assert states.check("vm", "CREATE_VM", None) == "STOPPED"


def test_tables_name_states_and_codes_that_there_are() -> None:
    for kind, operations in states.OPERATIONS.items():
        for operation in operations.values():
            assert {*operation.sources, operation.target} <= {*states.STATES[kind], None}
            assert operation.code in HTTP_STATUS


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


def test_no_way_out_of_error_but_deletion() -> None:
    with pytest.raises(PhotonError) as caught:
        states.route("host", "ERROR", "READY")
    assert caught.value.code == "InvalidHostState"
    assert states.route("vm", "ERROR", "DELETED") == ["DELETE_VM"]
