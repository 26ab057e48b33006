# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything pinned: which modules are built in which version, and which images and packages they become."""

from __future__ import annotations

from dataclasses import dataclass

# Two adjacent minors: the newer is what tests run, the older is where upgrades begin.
NEWER = "1.37.2"
OLDER = "1.36.3"
KUBERNETES = (NEWER, OLDER)

GO = (1, 26, 4)  # the oldest Go that all modules here take
PACKAGE_REVISION = "1.1"
SUITE = "trixie"  # whose programs (nft, iptables, cp) go into images that need some
PAUSE = "3.10.2"


@dataclass(frozen=True)
class Program:
    """One program of a Go module, built with the libraries of the newer Kubernetes.

    ``sums``: lines for go.sum where the public checksum database lacks the module. ``unpinned``: beginnings of the
    paths of modules whose version is the program's own. ``files``: what the main package is copied from, less the
    imports that ``without`` names; empty for the package as it is.
    """

    name: str
    module: str
    package: str
    version: str
    variables: str = ""  # -X settings; {version} is replaced
    sums: tuple[str, ...] = ()
    unpinned: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


NODE_PROGRAMS = ("kubeadm", "kubelet", "kubectl")
CONTROL_PLANE_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


def etcd(version: str) -> tuple[Program, ...]:
    """etcd and its two tools."""
    parts = (("etcd", "server"), ("etcdctl", "etcdctl"), ("etcdutl", "etcdutl"))
    return tuple(
        Program(name, f"go.etcd.io/etcd/{d}/v3", f"go.etcd.io/etcd/{d}/v3", version, unpinned=("go.etcd.io/etcd/",))
        for name, d in parts
    )


def coredns(version: str) -> Program:
    """CoreDNS without the plugins that use clouds and tracing services: their clients take minutes to compile."""
    unwanted = ("azure", "clouddns", "dnssec", "nomad", "route53", "trace")
    return Program(
        "coredns",
        "github.com/coredns/coredns",
        ".",
        version,
        unpinned=("github.com/coredns/",),
        files=("coredns.go", "core/plugin/zplugin.go"),
        without=("core/plugin", *(f"plugin/{name}" for name in unwanted)),
    )


# Debian 13 has containerd 1.7, which kubelet 1.38 no longer supports.
CONTAINERD_VERSION = "2.4.2"
CONTAINERD = tuple(
    Program(
        name,
        "github.com/containerd/containerd/v2",
        f"github.com/containerd/containerd/v2/cmd/{name}",
        CONTAINERD_VERSION,
        "-X github.com/containerd/containerd/v2/version.Version=v{version}",
        unpinned=("github.com/containerd/", "github.com/sirupsen/logrus", "go.opentelemetry.io/"),
    )
    for name in ("containerd", "containerd-shim-runc-v2", "ctr")
)
METRICS_SERVER = Program(
    "metrics-server",
    "sigs.k8s.io/metrics-server",
    "sigs.k8s.io/metrics-server/cmd/metrics-server",
    "0.9.0",
    "-X sigs.k8s.io/metrics-server/pkg/version.gitVersion=v{version}",
)
FLANNEL = Program(
    "flanneld",
    "github.com/flannel-io/flannel",
    ".",
    "0.28.10",
    "-X github.com/flannel-io/flannel/pkg/version.Version=v{version}",
    files=("main.go",),
    # Back ends of clouds and of tunnels that a data centre does without; the clouds' clients cannot be had as modules.
    without=tuple(f"pkg/backend/{name}" for name in ("tencentvpc", "udp", "ipsec", "wireguard", "ipip", "extension")),
)
FLANNEL_INSTALL = Program(
    "install-conf", FLANNEL.module, "github.com/flannel-io/flannel/cmd/install_conf", FLANNEL.version
)
FLANNEL_CNI_IMAGE_VERSION = "1.9.1-flannel3"
# The last release of the standard plugins that still had flannel's: it knows cniVersion up to 0.4.0.
FLANNEL_CNI = Program(
    "flannel",
    "github.com/containernetworking/plugins",
    "github.com/containernetworking/plugins/plugins/meta/flannel",
    "0.9.1",
)
KUBELOGIN = Program(
    "kubelogin",
    "github.com/int128/kubelogin",
    "github.com/int128/kubelogin",
    "1.36.0",
    "-X main.version=v{version}",
    (
        "github.com/int128/kubelogin v1.36.0 h1:rkGZcyEpvmy914GDC+y4jyQMn8lPy5Wd23nqZrW5YVo=",
        "github.com/int128/kubelogin v1.36.0/go.mod h1:rsHeL8/MdHw0bdI9b6cLPo0UYNkKS+qKJctPXWD4gf8=",
    ),
)
# Judges clusters by the CIS benchmark, whose points are files of the module.
KUBE_BENCH = Program(
    "kube-bench",
    "github.com/aquasecurity/kube-bench",
    "github.com/aquasecurity/kube-bench",
    "0.10.4",
    "-X github.com/aquasecurity/kube-bench/cmd.KubeBenchVersion=v{version}",
    (
        "github.com/aquasecurity/kube-bench v0.10.4 h1:CvtNN2ydaHTaSlJBM5JFqCiN4EHDOPgooF8n59yigDw=",
        "github.com/aquasecurity/kube-bench v0.10.4/go.mod h1:lqY6yVYEYEmgs4i6ap6AGF55aVRCbNwuTX/CxWID8nE=",
    ),
)
CIS_BENCHMARK = "cis-1.10"
# Gives nodes the identity of their VMs. The newest release lags behind Kubernetes.
VSPHERE_CLOUD_PROVIDER = Program(
    "vsphere-cloud-controller-manager",
    "k8s.io/cloud-provider-vsphere",
    "k8s.io/cloud-provider-vsphere/cmd/vsphere-cloud-controller-manager",
    "1.34.0",
    sums=(
        "k8s.io/cloud-provider-vsphere v1.34.0 h1:XVn67iOmwld6pQI6DGCxwiA515VsHofIOUIwaVN8VLo=",
        "k8s.io/cloud-provider-vsphere v1.34.0/go.mod h1:W+o/i/LjkiXU3yNt8fXcoY97zroeOUfCk0vWtXfUJAQ=",
    ),
)
HELLO_IMAGE = "example.test/hello:1"
