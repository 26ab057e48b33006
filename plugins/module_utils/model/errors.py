# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error codes of the platform and the one exception that carries them.

The codes are those of the original API (version 1.2); the few that the original did not need are listed apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BY_STATUS = {
    400: (
        "ClusterTypeAlreadyConfigured ConcurrentTask ContainerNotEmpty DeploymentAlreadyExist DeploymentFailed "
        "DuplicateHost FlavorInUse FloatingIpAlreadyAcquired FloatingIpNotAcquired HostAvailabilityZoneAlreadySet "
        "HostHasVms ImageUploadError InsufficientCapacity InvalidAuthConfig InvalidAvailabilityZoneState "
        "InvalidConfigKey InvalidDeploymentDesiredState InvalidEntity InvalidFlavor InvalidFlavorSpecification "
        "InvalidFlavorState InvalidHostState InvalidImageDatastoreSet InvalidImageReplicationType InvalidImageState "
        "InvalidJson InvalidLoginCredentials InvalidNetworkConfig InvalidNetworkState InvalidOperation InvalidOva "
        "InvalidPageSize InvalidQueryParams InvalidReservedStaticIpSize InvalidResourceTicketSubdivide "
        "InvalidSecurityGroupFormat InvalidStatsConfig InvalidVmState InvalidVmdkFormat IpAddressInUse "
        "IsoAlreadyAttached IsoUploadError MalformedAuthToken MoreThanOneHostAffinity MoreThanOneIsoAttached "
        "NameTaken NoConstraintMatchingDatastore NoIsoAttached NoManagementHostConfigured NoSuchResource "
        "NotEnoughCpuResource NotEnoughDatastoreCapacity NotEnoughMemoryResource OpenStackRequestError "
        "PersistentDiskAttached PlaceVmError PortGroupAlreadyAddedToSubnet PortGroupsDoNotExist QuotaError "
        "SecurityGroupsAlreadyInherited SpecInvalid StateError UnfullfillableAffinities UnfullfillableDiskAffinities "
        "UnsupportedDiskController UnsupportedImageFileType UnsupportedImageUploadParameter UpdateNotSupported "
        "VCenterRequestError YamlParseError"
    ),
    401: "ExpiredAuthToken InvalidAuthToken MissingAuthToken",
    403: "AccessForbidden SystemPaused",
    404: (
        "AvailabilityZoneNotFound ClusterNotFound ClusterTypeNotConfigured ConfigPairNotFound ConfigurationNotFound "
        "DatastoreNotFound DeploymentFlavorNotFound DeploymentNotFound DiskNotFound FlavorNotFound "
        "HostDatastoreNotFound HostNotFound HostSpecNotFound ImageNotFound ManifestNotFound NetworkNotFound "
        "NetworkSpecNotFound NotFound PageExpired PluginNotFound PortGroupNotFound ResourceTicketNotFound "
        "StepNotFound StorageSpecNotFound VmNotFound"
    ),
    429: "TooManyRequests",
    500: (
        "DeploymentTriggerFailure HostDeprovisionFailed HostProvisionFailed HostSetAvailabilityZoneFailed "
        "InternalError OpenStackImportError StepNotCompleted TaskNotCompleted VCenterImportError"
    ),
    503: "AuthInitializationFailure OutOfThreadPoolWorker",
}

# Codes that the original had no need for, or answered with a bare 404.
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
    "CloudStoreNotFound": 503,  # a read of a database that no apply has made yet
    "EphemeralCloudStore": 400,  # a database file that would be lost with the job
    "StaleVersion": 409,  # somebody else changed the document in between
    "LeaseLost": 409,  # another controller took this run over
    "PlanChanged": 409,  # a saved plan no longer describes what apply would do
    "DeletionProtected": 400,
    "TooManyDeletes": 400,
    "DependencyFailed": 400,  # something this item needs failed in the same run
    "MissingLibrary": 500,
    # A Linux host that is prepared (module linux_host).
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

    def to_dict(self) -> dict[str, Any]:
        """The wire form ``{code, message, data}``."""
        return {"code": self.code, "message": self.message, "data": self.data}
