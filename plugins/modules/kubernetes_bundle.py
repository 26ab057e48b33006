# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_bundle: write and install offline bundles (entry point to module_utils/kubernetes)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_bundle
short_description: Write a bundle for clusters without internet access, and install a host's part of it
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - With I(state=written) it runs on the controller and writes one tar file from folders. Its manifest has the SHA-256
    of every file. The bundle is reproducible, and an up-to-date one is not written again.
  - With I(state=present) it runs on a host. The bundle stays on the controller. The host receives only the files that
    it lacks, and verifies each file's SHA-256 before it is used. Packages become a local apt repository in
    C(/var/lib/photon/bundle), images go into containerd's namespace of Kubernetes.
  - Images are pinned, so that kubelet does not remove images that cannot be pulled again. Images of versions that the
    cluster no longer runs are unpinned.
attributes:
  check_mode:
    support: full
    description: Returns the same list of changes.
  diff_mode:
    support: full
    description: Shows files with their digests.
options:
  state:
    description:
      - C(written) writes the bundle to I(path) on the controller.
      - C(present) installs a host's part of the bundle.
      - C(absent) removes the packages from a host and unpins the images.
    type: str
    choices: [written, present, absent]
    required: true
  path:
    description: The bundle's file on the controller.
    type: path
  versions:
    description:
      - For C(written), versions of Kubernetes that the bundle must be complete for. By default, all versions of which
        there is kubeadm.
    type: list
    elements: str
    default: []
  packages:
    description: For C(written), Debian packages, and folders with packages.
    type: list
    elements: path
    default: []
  images:
    description: For C(written), image archives, and folders with archives.
    type: list
    elements: path
    default: []
  manifests:
    description: For C(written), files with additional Kubernetes objects, and folders with such files.
    type: list
    elements: path
    default: []
  image_repository:
    description: For C(written), the repository of the control plane's images in the archives, if not upstream.
    type: str
    default: ""
  version:
    description: For C(present), the version of Kubernetes that the host runs or will run.
    type: str
  role:
    description: For C(present), the role of the host in its cluster. Workers get no images of the control plane.
    type: str
    choices: [control_plane, worker]
    default: control_plane
  runtime_required:
    description: For C(present), fail when containerd does not answer. Otherwise images are deferred to the next run.
    type: bool
    default: false
  parts:
    description: Set by the action plugin from the bundle's manifest.
    type: dict
  incoming:
    description: Set by the action plugin to the folder on the host with the files that it sent.
    type: path
"""
EXAMPLES = r"""
- name: Write a bundle
  photon.platform.kubernetes_bundle:
    state: written
    path: /srv/bundles/kubernetes-1.37.2.tar
    versions: [1.37.2]
    packages: [/srv/collected/packages]
    images: [/srv/collected/images]
  delegate_to: localhost

- name: Install a worker's part of the bundle
  photon.platform.kubernetes_bundle:
    state: present
    path: /srv/bundles/kubernetes-1.37.2.tar
    version: 1.37.2
    role: worker
"""
RETURN = r"""
changes:
  description: The changes that were applied, or in check mode would be applied.
  returned: for present and absent
  type: list
  elements: dict
  contains:
    kind: {description: "C(package) or C(image).", type: str}
    name: {description: "The name of the file in the bundle, or of the image.", type: str}
    before: {description: The value before the change., type: str}
    after: {description: The value after the change., type: str}
missing:
  description: Files of the bundle that the host lacked, or in check mode lacks.
  returned: for present
  type: list
  elements: str
waiting:
  description: Whether images were deferred because containerd did not answer.
  returned: for present
  type: bool
sent_bytes:
  description: The number of bytes sent to the host.
  returned: for present
  type: int
manifest:
  description: C(versions), C(files) with their SHA-256, C(packages), C(images) and C(kubeadm_images) of the bundle.
  returned: for written
  type: dict
error_code:
  description:
    - The reason of the failure, such as C(ManifestNotFound) (no valid bundle), C(PackageNotFound) or C(ImageNotFound)
      (a version is incomplete), C(DiskFull) or C(UnitFailed).
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.kubernetes import bundle_sources
from ..module_utils.kubernetes.hosts import bundle
from ..module_utils.model.errors import PhotonError
from ..module_utils.services import host_lock

SPEC = {
    "state": {"choices": ["written", "present", "absent"], "required": True},
    "path": {"type": "path"},
    "versions": {"type": "list", "elements": "str", "default": []},
    "packages": {"type": "list", "elements": "path", "default": []},
    "images": {"type": "list", "elements": "path", "default": []},
    "manifests": {"type": "list", "elements": "path", "default": []},
    "image_repository": {"type": "str", "default": ""},
    "version": {"type": "str"},
    "role": {"type": "str", "choices": ["control_plane", "worker"], "default": "control_plane"},
    "runtime_required": {"type": "bool", "default": False},
    "parts": {"type": "dict"},
    "incoming": {"type": "path"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[("state", "written", ("path", "packages", "images")), ("state", "present", ("parts",))],
        supports_check_mode=True,
    )
    given = module.params
    shown = {key: value for key, value in given.items() if key != "parts"}
    try:
        answer = _answer(given, module.check_mode)
    except PhotonError as error:
        module.fail_json(
            msg=error.message,
            error_code=error.code,
            error_data=error.data,
            changed=False,
            invocation={"module_args": shown},
        )
    module.exit_json(**answer, invocation={"module_args": shown})


def _answer(given: dict[str, Any], check: bool) -> dict[str, Any]:
    if given["state"] != "written":
        with host_lock.held(change=not check):
            return _on_host(given, check)
    contents = bundle_sources.collect(
        given["versions"], given["packages"], given["images"], given["manifests"], given["image_repository"]
    )
    return bundle_sources.make(given["path"], contents, check)


def _on_host(given: dict[str, Any], check: bool) -> dict[str, Any]:
    if given["state"] == "absent":
        return bundle.remove(check)
    return bundle.visit(given["parts"], given["incoming"] or "", given["runtime_required"], check)


if __name__ == "__main__":
    main()
