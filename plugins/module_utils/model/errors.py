# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error codes of the platform and the one exception that carries them.

The codes are those of the original API (version 1.2), as far as the platform has the feature; its own are listed apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BY_STATUS = {
    400: (
        "ConcurrentTask ContainerNotEmpty DuplicateHost FlavorInUse FloatingIpAlreadyAcquired FloatingIpNotAcquired "
        "HostAvailabilityZoneAlreadySet HostHasVms ImageUploadError InsufficientCapacity InvalidAvailabilityZoneState "
        "InvalidEntity InvalidFlavorSpecification InvalidFlavorState InvalidHostState InvalidImageDatastoreSet "
        "InvalidImageReplicationType InvalidImageState InvalidLoginCredentials InvalidNetworkConfig "
        "InvalidNetworkState InvalidOperation InvalidOva InvalidReservedStaticIpSize InvalidResourceTicketSubdivide "
        "InvalidSecurityGroupFormat InvalidVmState InvalidVmdkFormat IpAddressInUse MalformedAuthToken NameTaken "
        "NoConstraintMatchingDatastore NoSuchResource NotEnoughCpuResource NotEnoughDatastoreCapacity "
        "NotEnoughMemoryResource PersistentDiskAttached PortGroupAlreadyAddedToSubnet PortGroupsDoNotExist QuotaError "
        "SecurityGroupsAlreadyInherited SpecInvalid StateError UnfullfillableAffinities UnfullfillableDiskAffinities "
        "UnsupportedDiskController UnsupportedImageFileType UpdateNotSupported VCenterRequestError"
    ),
    401: "ExpiredAuthToken InvalidAuthToken MissingAuthToken",
    403: "AccessForbidden",
    404: (
        "AvailabilityZoneNotFound ClusterNotFound DatastoreNotFound DeploymentNotFound DiskNotFound FlavorNotFound "
        "HostDatastoreNotFound HostNotFound ImageNotFound ManifestNotFound NetworkNotFound NotFound PortGroupNotFound "
        "VmNotFound"
    ),
    500: "InternalError TaskNotCompleted VCenterImportError",
    503: "AuthInitializationFailure",
}

# Codes that the original did not have, or answered with a bare 404.
_OWN = {
    "TenantNotFound": 404,
    "ProjectNotFound": 404,
    "EndpointNotFound": 404,
    "EndpointUnreachable": 503,  # no TCP or TLS conversation with a vCenter or ESXi host
    "EndpointCertificateError": 503,  # certificate expired, untrusted or not the pinned one
    "EndpointInUse": 400,
    "SchemaTooOld": 503,
    "SchemaTooNew": 503,
    "CloudStoreUnavailable": 503,
    "CloudStoreLost": 503,  # the database was removed, replaced or emptied while vSphere still has our VMs
    "CloudStoreNotFound": 503,  # no apply has created the database yet
    "CloudStoreNotEmpty": 409,  # a rebuild would replace what is recorded
    "EphemeralCloudStore": 400,  # a database file that would be lost with the job
    "StaleVersion": 409,  # the document was changed concurrently
    "LeaseLost": 409,  # another controller took this run over
    "Interrupted": 503,  # a signal ended the run before this was begun
    "PlanChanged": 409,  # a saved plan no longer describes what apply would do
    "PlanNotFound": 404,  # no plan of this id is kept in the CloudStore
    "AddressTimeout": 504,  # a guest did not report its address in time; the VM stays
    "DeletionProtected": 400,
    "TooManyDeletes": 400,
    "TooManyRecreates": 400,  # more VMs are missing in vSphere than one run may create again
    "DependencyFailed": 400,  # a resource that this item needs failed in the same run
    "MissingLibrary": 500,
    # A Linux host that is prepared (module linux_host).
    "RootRequired": 403,  # the task runs as an ordinary user: become is missing
    "PreflightFailed": 409,  # too little disk or memory, or a port is taken: nothing was changed
    "PackageNotFound": 404,  # no repository has the package, or not in this version
    "PackageInstallFailed": 500,
    "DiskFull": 507,
    "KernelModuleMissing": 500,
    "SysctlFailed": 500,
    "UnitFailed": 500,  # a service does not come up
    "HostChangeFailed": 500,  # anything else that could not be changed on the host
    # A balancer.
    "BalancerChangeFailed": 500,  # HAProxy, keepalived or the host did not take what is new; the old one serves on
    "BalancerRefused": 409,  # HAProxy's runtime socket does not answer, or HAProxy said no
    # A member of a Kubernetes cluster.
    "ApiUnreachable": 503,  # no API server of the cluster answers
    "ApiRefused": 409,  # the API server said no; data has its status
    "CertificateRefused": 403,  # a kubelet asks for a certificate with names that are not its node's
    "ClusterNotReady": 503,  # nodes or what runs in the cluster did not become ready in time
    "DrainFailed": 409,  # pods did not leave a node in time
    "EtcdUnreachable": 503,
    "HostUnreachable": 503,
    "HostOfAnotherCluster": 409,  # the host is a member already, elsewhere
    "HostBusy": 409,  # another run, perhaps one that was killed, still changes the host
    "MemberChangeFailed": 500,  # kubeadm or kubelet did not do it; the message has their words
    "QuorumAtRisk": 409,  # etcd would lose its majority
    "RotationNeeded": 409,  # encryption at rest differs from the declaration, and objects may need what is there
    "UpgradeNeeded": 409,  # the cluster runs another version than is declared
}

HTTP_STATUS: dict[str, int] = {code: status for status, codes in _BY_STATUS.items() for code in codes.split()} | _OWN


class PhotonError(Exception):
    """A failure that a user reads: ``code`` (a key of HTTP_STATUS), ``message`` (with the next step), ``data``.

    ``data`` is a flat mapping of JSON values; its key ``path``, where present, is the key path in the declaration
    (``photon_tenants[1].projects[0].vms[3].flavor``).
    """

    def __init__(self, code: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = dict(data or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def http_status(self) -> int:
        return HTTP_STATUS.get(self.code, 500)

    @property
    def ends_run(self) -> bool:
        """Whether the run must stop at once: it has lost its lease or its CloudStore."""
        return self.code in ("LeaseLost", "CloudStoreLost")

    def to_dict(self) -> dict[str, Any]:
        """The wire form ``{code, message, data}``."""
        return {"code": self.code, "message": self.message, "data": self.data}
