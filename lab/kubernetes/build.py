# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole build: programs, images and packages of Kubernetes versions, each made once and published at once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..hosts import base
from ..hosts.paths import LabError, locked, run
from . import cache, packages, programs, versions
from .images import Image

_TABLES = tuple(f"/usr/sbin/{name}" for name in ("iptables", "ip6tables"))
_NETFILTER = ("/usr/sbin/nft", *(f"{name}{suffix}" for name in _TABLES for suffix in ("", "-save", "-restore")))


def build(wanted: Sequence[str], keep: bool = False, judge: bool = False) -> None:
    """Build what is missing of these Kubernetes versions, newest need first; two builds at once take turns.

    ``judge``: also what tests alone use, kube-bench and the vSphere cloud provider.
    ``keep`` leaves the Go caches (13 GB for two versions) for a build that comes soon. Raises LabError.
    """
    for version in wanted:
        if version not in versions.KUBERNETES:
            raise LabError(f"Kubernetes {version} is not pinned; there are {', '.join(versions.KUBERNETES)}")
    with cache.step(f"Kubernetes {', '.join(wanted)} is in {cache.folder()}"), locked("kubernetes-build"):
        for version in wanted:
            _node_packages(version)
            _control_plane_images(version)
        _addon_images()
        _kubelogin()
        if judge:
            kube_bench()
            programs.program(versions.VSPHERE_CLOUD_PROVIDER)
        if not keep:
            shutil.rmtree(programs.build_folder(), ignore_errors=True)


def kube_bench() -> tuple[Path, Path]:
    """kube-bench, and an archive of its folder cfg with the benchmark that clusters are judged by."""
    pinned = versions.KUBE_BENCH
    settings = programs.folder_of(pinned, "cfg", ("config.yaml", versions.CIS_BENCHMARK))
    return programs.program(pinned), settings


def missing(version: str) -> list[str]:
    """What of a version has not been built: images by name, packages by file name."""
    kubeadm = cache.programs("kubernetes", version) / "kubeadm"
    if not kubeadm.exists():
        return [f"Kubernetes {version}"]
    lacking = [name for name in _names(kubeadm, version) if not archive(name).exists()]
    lacking += [name for name in addon_names() if not archive(name).exists()]
    for name in (*versions.NODE_PROGRAMS, "kubelogin"):
        number = versions.KUBELOGIN.version if name == "kubelogin" else version
        full = f"{name}_{number}-{versions.PACKAGE_REVISION}_{packages.architecture()}.deb"
        if not (packages.repository() / full).exists():
            lacking.append(full)
    return lacking


def image_names(version: str) -> list[str]:
    """The images kubeadm wants for a version (which has to be built), under upstream's names, and the add-ons'."""
    return [*_names(cache.programs("kubernetes", version) / "kubeadm", version), *addon_names()]


def addon_names() -> list[str]:
    """The images besides kubeadm's own."""
    return [
        f"registry.k8s.io/metrics-server/metrics-server:v{versions.METRICS_SERVER.version}",
        f"ghcr.io/flannel-io/flannel:v{versions.FLANNEL.version}",
        f"ghcr.io/flannel-io/flannel-cni-plugin:v{versions.FLANNEL_CNI_IMAGE_VERSION}",
        versions.HELLO_IMAGE,
    ]


def archive(name: str) -> Path:
    """Where the archive of an image lies."""
    return cache.folder() / "images" / f"{name.replace('/', '_').replace(':', '_')}.tar"


def _node_packages(version: str) -> None:
    made = programs.kubernetes(version)
    _publish(packages.of_kubernetes(version, versions.PACKAGE_REVISION, made))


def _kubelogin() -> None:
    pinned = versions.KUBELOGIN
    _publish([packages.of_kubelogin(pinned.version, versions.PACKAGE_REVISION, programs.program(pinned))])


def _publish(wanted: list[packages.Package]) -> None:
    made = [package.make() for package in wanted]
    if any(made) or not (packages.repository() / "InRelease").exists():
        packages.publish()


def _control_plane_images(version: str) -> None:
    made = programs.kubernetes(version)
    system = _debian()
    for name in _names(made["kubeadm"], version):
        _make(_kubeadm_image(name, made, system))


def _kubeadm_image(name: str, made: dict[str, Path], system: Path) -> Image:
    """The image that kubeadm asks for under ``name``: in the version its tag says."""
    short, _, tag = name.rpartition("/")[2].partition(":")
    number = tag.removeprefix("v").partition("-")[0]
    if short == "kube-proxy":
        # xt_statistic alone of the plug-ins loads a library that no program here does.
        extensions = f"/usr/lib/{_multiarch(system)}/xtables"
        netfilter = (*_NETFILTER, f"{extensions}/libxt_statistic.so")
        return Image(name, {"usr/local/bin/kube-proxy": made[short]}, "", netfilter, (extensions,), system)
    if short in made:
        return Image(name, {f"usr/local/bin/{short}": made[short]})
    if short == "etcd":
        return Image(name, {f"usr/local/bin/{p.name}": programs.program(p) for p in versions.etcd(number)})
    if short == "coredns":
        return Image(name, {"coredns": programs.program(versions.coredns(number))}, "65534:65534", binds_low_ports=True)
    if short == "pause" and number == versions.PAUSE:
        return Image(name, {"pause": programs.own("pause")}, "65534:65534")
    raise LabError(f"kubeadm wants the image {name}, which the lab cannot build: see lab/kubernetes/versions.py")


def _addon_images() -> None:
    metrics, flannel, plugin, hello = addon_names()
    _make(Image(hello, {"hello": programs.own("hello")}, "65534:65534"))
    system = _debian()
    daemon = {
        "opt/bin/flanneld": programs.program(versions.FLANNEL),
        "opt/bin/install-conf": programs.program(versions.FLANNEL_INSTALL),
    }
    _make(Image(flannel, daemon, "", (*_NETFILTER, "/usr/bin/cp"), (), system))
    _make(Image(plugin, {"flannel": programs.program(versions.FLANNEL_CNI)}, "", ("/usr/bin/cp",), (), system))
    _make(Image(metrics, {"metrics-server": programs.program(versions.METRICS_SERVER)}, "65534:65534"))


def _debian() -> Path:
    with cache.step(f"Debian {versions.SUITE} to take programs from", shortest=1.0):
        return base.layers(versions.SUITE, "plain")[0]


def _make(image: Image) -> None:
    target, recipe = archive(image.name), image.recipe()
    if not cache.is_made(target, recipe):
        with cache.making(target, recipe, f"image {image.name}") as part:
            image.write(part)


def _names(kubeadm: Path, version: str) -> list[str]:
    listed = [str(kubeadm), "config", "images", "list", "--kubernetes-version", f"v{version}"]
    return run(listed).stdout.split()


def _multiarch(system: Path) -> str:
    return next((system / "usr/lib").glob("*-linux-gnu")).name
