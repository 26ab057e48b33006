# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vSphere's faults in the platform's words, by one table."""

from __future__ import annotations

from typing import Any

from ..model.errors import PhotonError
from . import api

# fault: (code, what to do next). A fault without a row of its own takes that of its nearest ancestor.
TABLE: dict[str, tuple[str, str]] = {
    "InvalidLogin": ("InvalidLoginCredentials", "check the user name and password of the endpoint's credential"),
    "NotAuthenticated": ("InvalidLoginCredentials", "the session was ended by the server: run again"),
    "NoPermission": ("AccessForbidden", "give the account the rights listed in docs/vsphere.md"),
    "RestrictedVersion": ("AccessForbidden", "the licence of this host forbids changes through the API"),
    "DuplicateName": ("NameTaken", "choose another name or remove the object that has it"),
    "AlreadyExists": ("NameTaken", "choose another name or remove the object that has it"),
    "FileAlreadyExists": ("NameTaken", "remove the file or choose another name"),
    "NoDiskSpace": ("NotEnoughDatastoreCapacity", "free space on the datastore or place the disk elsewhere"),
    "InsufficientStorageSpace": ("NotEnoughDatastoreCapacity", "free space on the datastore"),
    "InsufficientCpuResourcesFault": ("NotEnoughCpuResource", "stop other VMs on the host or place the VM elsewhere"),
    "InsufficientMemoryResourcesFault": ("NotEnoughMemoryResource",
                                         "stop other VMs on the host or place the VM elsewhere"),
    "InsufficientResourcesFault": ("InsufficientCapacity", "stop other VMs on the host or place the VM elsewhere"),
    "FileNotFound": ("NotFound", "the file is missing from the datastore: was it deleted or renamed by hand?"),
    "FileLocked": ("StateError", "another VM or host holds the file: stop it first"),
    "ManagedObjectNotFound": ("NotFound", "it was removed meanwhile: run again to see the present state"),
    "NotFound": ("NotFound", "it was removed meanwhile: run again to see the present state"),
    "InvalidDatastore": ("HostDatastoreNotFound", "check that the datastore exists and is mounted on the host"),
    "InvalidDatastorePath": ("HostDatastoreNotFound", "check that the datastore exists and is mounted on the host"),
    "InaccessibleDatastore": ("HostDatastoreNotFound", "the host cannot reach the datastore: check its storage"),
    "DatastoreNotWritableOnHost": ("HostDatastoreNotFound", "the datastore is mounted read-only on the host"),
    "CannotAccessNetwork": ("PortGroupNotFound", "the host does not have this port group"),
    "InvalidPowerState": ("InvalidVmState", "bring the VM into the other power state first"),
    "InvalidHostState": ("InvalidHostState", "the host must be connected and out of maintenance mode"),
    "HostNotConnected": ("InvalidHostState", "the host must be connected and out of maintenance mode"),
    "HostNotReachable": ("InvalidHostState", "the host must be connected and out of maintenance mode"),
    "HostCommunication": ("InvalidHostState", "vCenter cannot reach the host"),
    "InvalidState": ("StateError", "the object's state does not allow it now: run again when it does"),
    "TaskInProgress": ("ConcurrentTask", "another task works on the object: run again when it has ended"),
    "ConcurrentAccess": ("ConcurrentTask", "somebody else changed the object in between: run again"),
    "ResourceInUse": ("ConcurrentTask", "the object is in use: run again when it is free"),
    "RequestCanceled": ("TaskNotCompleted", "the task was cancelled: run again"),
    "Timedout": ("TaskNotCompleted", "vSphere gave up waiting: run again"),
    "OvfImport": ("VCenterImportError", "check the image's descriptor"),
    "MethodFault": ("VCenterRequestError", "see the event log of the endpoint"),
    "RuntimeFault": ("VCenterRequestError", "see the event log of the endpoint"),
}
_GONE = {"VirtualMachine": "VmNotFound", "HostSystem": "HostNotFound", "Datastore": "DatastoreNotFound",
         "Network": "PortGroupNotFound", "DistributedVirtualPortgroup": "PortGroupNotFound",
         "OpaqueNetwork": "PortGroupNotFound"}
# Fields of faults that name what they are about, the most telling first.
ITEM_FIELDS = ("file", "datastore", "name", "property", "argument", "invalidProperty")
# The call was refused before anything was done, and the same call succeeds a moment later.
BUSY = frozenset({"TaskInProgress", "TooManyTasks", "ServiceUnavailable"})


def from_exception(what: str, fault: Exception) -> PhotonError:
    """A pyvmomi fault, raised by a call or carried by a task, as PhotonError about ``what``."""
    name = type_name(type(fault))
    obj = getattr(fault, "obj", None)
    state = str(getattr(fault, "existingState", None) or "")
    gone = type_name(type(obj)) if obj is not None else ""
    named = (getattr(fault, each, None) for each in ITEM_FIELDS)
    item = next((each for each in named if isinstance(each, str) and each), "")
    return from_name(what, name, getattr(fault, "msg", "") or getattr(fault, "reason", "") or "",
                     item=item, gone=gone, state=state)


def from_name(what: str, name: str, message: str = "", item: str = "", gone: str = "", state: str = "") -> PhotonError:
    """A fault known by its type's name; ``item`` is what it is about, ``gone`` the type of what is missing, ``state``
    the power state that a VM is in (``data["existing_state"]``).
    """
    code, hint = next((TABLE[each] for each in lineage(name) if each in TABLE), TABLE["MethodFault"])
    code = _GONE.get(gone, code) if code == "NotFound" else code
    said = ": ".join(part for part in (name, item, message) if part)
    return PhotonError(code, f"{what}: vSphere answered {said}; {hint}",
                       {"fault": name, "what": what, "item": item, "existing_state": state})


def lineage(name: str) -> list[str]:
    """The fault's type name and those of its ancestors, nearest first."""
    try:
        cls = api.load().support.GetWsdlType("urn:vim25", name)
    except KeyError:
        return [name]
    return [name, *(type_name(each) for each in cls.__mro__[1:] if issubclass(each, Exception))]


def type_name(cls: type) -> str:
    """The name on the wire of a pyvmomi class (``vim.fault.NoDiskSpace`` -> ``NoDiskSpace``)."""
    return getattr(cls, "_wsdlName", None) or cls.__name__.rsplit(".", 1)[-1]


def is_unknown(outcome: Any) -> bool:
    """True for an error after which nobody knows whether the server acted: look before doing it again."""
    return isinstance(outcome, PhotonError) and bool(outcome.data.get("unknown"))
