# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import pyvmomi, and only when it is needed: a module that uses no vSphere does not pay for it."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

from ..model.libraries import missing_library

# The oldest API that has everything used here. A newer server answers an older client in the client's own terms, so
# types and enumeration values that a later release added cannot break the reading of an answer.
API_VERSION = "vim25/6.7"
METADATA_VERSION = "vim25/7.0.2.0"  # the first that knows the metadata of first-class disks

_loaded: SimpleNamespace | None = None


def load() -> SimpleNamespace:
    """Return pyvmomi's modules: ``vim``, ``vmodl``, ``pbm``, ``soap`` (with the SOAP adapter) and ``support``.

    Raises MissingLibrary with what this interpreter lacks.
    """
    global _loaded  # noqa: PLW0603 - imported once per process
    if _loaded is None:
        try:
            from pyVmomi import SoapAdapter, VmomiSupport, pbm, vim, vmodl
        except ImportError as error:
            raise missing_library("pyVmomi", error) from error
        _loaded = SimpleNamespace(
            vim=vim,
            vmodl=vmodl,
            pbm=pbm,
            soap=SoapAdapter,
            support=VmomiSupport,
            version=VmomiSupport.versionMap[API_VERSION],
        )
    return _loaded


def reference(kind: str, moid: str, stub: object | None = None) -> object:
    """Return the managed object of a type name (``VirtualMachine``) and moid."""
    return load().support.GetWsdlType("urn:vim25", kind)(moid, stub)


def newest_common(versions: Iterable[str]) -> str | None:
    """Return pyvmomi's name of the newest of these versions (``8.0.3.0``), API_VERSION or later, that it knows."""
    known = load().support.versionMap
    oldest = _numbers(API_VERSION.removeprefix("vim25/"))
    usable = [version for version in versions if f"vim25/{version}" in known and _numbers(version) >= oldest]
    newest = max(usable, key=_numbers, default=None)
    return known[f"vim25/{newest}"] if newest else None


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
