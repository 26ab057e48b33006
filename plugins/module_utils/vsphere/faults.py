# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Translate vSphere's faults into the platform's error codes, by one table."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.errors import PhotonError
from . import api

# fault: (code, what to do next). A fault without a row uses that of its nearest ancestor.
TABLE: dict[str, tuple[str, str]] = {
    "InvalidLogin": ("InvalidLoginCredentials", "check the user name and password of the endpoint's credential"),
    "NotAuthenticated": ("InvalidLoginCredentials", "the server ended the session; run again"),
    "NoPermission": ("AccessForbidden", "give the account this privilege there; docs/vsphere.md lists all it needs"),
    "RestrictedVersion": ("AccessForbidden", "the licence of this host forbids changes through the API"),
    "DuplicateName": ("NameTaken", "choose another name or remove the object that has it"),
    "AlreadyExists": ("NameTaken", "choose another name or remove the object that has it"),
    "FileAlreadyExists": (
        "NameTaken",
        "files of a VM exist there: 'register: true' on the VM registers them again, or choose another name",
    ),
    "NoDiskSpace": ("NotEnoughDatastoreCapacity", "free space on the datastore or place the disk on another one"),
    "InsufficientStorageSpace": ("NotEnoughDatastoreCapacity", "free space on the datastore"),
    "InsufficientCpuResourcesFault": ("NotEnoughCpuResource", "stop other VMs on the host or place the VM on another"),
    "InsufficientMemoryResourcesFault": (
        "NotEnoughMemoryResource",
        "stop other VMs on the host or place the VM on another",
    ),
    "InsufficientResourcesFault": ("InsufficientCapacity", "stop other VMs on the host or place the VM on another"),
    "FileNotFound": ("NotFound", "the file is missing from the datastore; check whether it was deleted or renamed"),
    "FileLocked": ("StateError", "another VM or host holds the file; stop it first"),
    "ManagedObjectNotFound": ("NotFound", "it was removed concurrently; run again to see the current state"),
    "NotFound": ("NotFound", "it was removed concurrently; run again to see the current state"),
    "InvalidDatastore": ("HostDatastoreNotFound", "check that the datastore exists and is mounted on the host"),
    "InvalidDatastorePath": ("HostDatastoreNotFound", "check that the datastore exists and is mounted on the host"),
    "InaccessibleDatastore": ("HostDatastoreNotFound", "the host cannot reach the datastore; check its storage"),
    "DatastoreNotWritableOnHost": ("HostDatastoreNotFound", "the datastore is mounted read-only on the host"),
    "CannotAccessNetwork": ("PortGroupNotFound", "the host does not have this port group"),
    "CpuHotPlugNotSupported": ("InvalidVmState", "'force: true' stops the VM for it, or stop it first"),
    "MemoryHotPlugNotSupported": ("InvalidVmState", "'force: true' stops the VM for it, or stop it first"),
    "MethodDisabled": ("StateError", "another product manages this object and does not allow it"),
    "HostAccessRestrictedToManagementServer": ("AccessForbidden", "a vCenter manages this host; declare that endpoint"),
    "InvalidPowerState": ("InvalidVmState", "bring the VM into the other power state first"),
    "InvalidHostState": ("InvalidHostState", "the host must be connected and not in maintenance mode"),
    "HostNotConnected": ("InvalidHostState", "the host must be connected and not in maintenance mode"),
    "HostNotReachable": ("InvalidHostState", "the host must be connected and not in maintenance mode"),
    "HostCommunication": ("InvalidHostState", "vCenter cannot reach the host; check its network and state"),
    "InvalidState": ("StateError", "the object's state does not allow this; check it, then run again"),
    "TaskInProgress": ("ConcurrentTask", "another task works on the object; run again when it has ended"),
    "ConcurrentAccess": ("ConcurrentTask", "the object was changed concurrently; run again"),
    "ResourceInUse": ("ConcurrentTask", "the object is in use; run again when it is free"),
    "RequestCanceled": ("TaskNotCompleted", "the task was cancelled; run again"),
    "Timedout": ("TaskNotCompleted", "vSphere stopped waiting; run again"),
    "OvfImport": ("VCenterImportError", "check the image's descriptor"),
    "MethodFault": ("VCenterRequestError", "see the event log of the endpoint"),
    "RuntimeFault": ("VCenterRequestError", "see the event log of the endpoint"),
}
_GONE = {
    "VirtualMachine": "VmNotFound",
    "HostSystem": "HostNotFound",
    "Datastore": "DatastoreNotFound",
    "Network": "PortGroupNotFound",
    "DistributedVirtualPortgroup": "PortGroupNotFound",
    "OpaqueNetwork": "PortGroupNotFound",
}
# Fields of faults that name their subject, the most specific first.
ITEM_FIELDS = ("file", "datastore", "name", "property", "argument", "invalidProperty")
# The call was refused before anything was done, and the same call succeeds a moment later.
BUSY = frozenset({"TaskInProgress", "TooManyTasks", "ServiceUnavailable"})


@dataclass(slots=True)
class Details:
    """Fields of a fault. ``item`` is its subject, ``gone`` the type of a missing object, ``state`` the power state that
    a VM is in; ``privilege`` is missing on ``target`` (``Folder group-v3``).
    """

    message: str = ""
    item: str = ""
    gone: str = ""
    state: str = ""
    privilege: str = ""
    target: str = ""


def from_exception(what: str, fault: Exception) -> PhotonError:
    """Translate a pyvmomi fault that a call about ``what`` raised."""
    gone, target = getattr(fault, "obj", None), getattr(fault, "object", None)
    named = (getattr(fault, each, None) for each in ITEM_FIELDS)
    return from_name(
        what,
        type_name(type(fault)),
        Details(
            message=getattr(fault, "msg", "") or getattr(fault, "reason", "") or "",
            item=next((each for each in named if isinstance(each, str) and each), ""),
            gone="" if gone is None else type_name(type(gone)),
            state=str(getattr(fault, "existingState", None) or ""),
            privilege=getattr(fault, "privilegeId", None) or "",
            target="" if target is None else f"{type_name(type(target))} {target._moId}",
        ),
    )


def from_name(what: str, name: str, details: Details | None = None) -> PhotonError:
    """Translate a fault by its type's name. ``data`` has ``fault``, ``what``, ``item``, ``existing_state``, and for a
    missing privilege ``privilege`` and ``object``.
    """
    given = details or Details()
    code, hint = next((TABLE[each] for each in lineage(name) if each in TABLE), TABLE["MethodFault"])
    code = _GONE.get(given.gone, code) if code == "NotFound" else code
    missing = f"privilege {given.privilege} on {given.target or 'the object'}" if given.privilege else ""
    said = ": ".join(part for part in (name, missing, given.item, given.message) if part)
    data = {"fault": name, "what": what, "item": given.item, "existing_state": given.state}
    if given.privilege:
        data |= {"privilege": given.privilege, "object": given.target}
    return PhotonError(code, f"{what}: vSphere answered {said}; {hint}", data)


def lineage(name: str) -> list[str]:
    """Return the fault's type name and those of its ancestors, the nearest first."""
    try:
        cls = api.load().support.GetWsdlType("urn:vim25", name)
    except KeyError:
        return [name]
    return [name, *(type_name(each) for each in cls.__mro__[1:] if issubclass(each, Exception))]


def type_name(cls: type) -> str:
    """Return the API's name of a pyvmomi class (``vim.fault.NoDiskSpace`` -> ``NoDiskSpace``)."""
    return getattr(cls, "_wsdlName", None) or cls.__name__.rsplit(".", 1)[-1]
