# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_bundle: what clusters need without internet, in one file (a door to module_utils/kubernetes)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_bundle
short_description: Packages, images and manifests for clusters without internet in one file, and a host's part of it
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - With I(state=written) it runs on the controller and makes one tar out of folders. Every file in it has a SHA-256 in
    its manifest. Equal content makes an equal file, and leaves the one that is there.
  - With I(state=present) it runs on a host. The bundle stays on the controller. The host is asked what it lacks, gets
    that alone, and compares each file's SHA-256 before it is used. Packages become a local apt repository in
    C(/var/lib/photon/bundle), images go into containerd's namespace of Kubernetes.
  - Images are pinned, so that kubelet does not take away what cannot be pulled again. Those of a version that the
    cluster has left are let go of.
attributes:
  check_mode:
    support: full
    description: Gives the same list of changes.
  diff_mode:
    support: full
    description: Shows files with their digests, on a host what it has and gets.
options:
  state:
    description:
      - C(written) makes the bundle at I(path), on the controller.
      - C(present) gives a host what the bundle has for it.
      - C(absent) takes the packages away from a host, and lets go of the images.
    type: str
    choices: [written, present, absent]
    required: true
  path:
    description: The bundle's file on the controller.
    type: path
  versions:
    description:
      - For C(written), versions of Kubernetes that the bundle has to be complete for; all of which there is kubeadm
        when left out.
    type: list
    elements: str
    default: []
  packages:
    description: For C(written), Debian packages, and folders with some.
    type: list
    elements: path
    default: []
  images:
    description: For C(written), image archives, and folders with some.
    type: list
    elements: path
    default: []
  manifests:
    description: For C(written), files with objects of the user's own, and folders with some.
    type: list
    elements: path
    default: []
  image_repository:
    description: For C(written), where the archives' images of the control plane come from, when not from upstream.
    type: str
    default: ""
  version:
    description: For C(present), the version of Kubernetes that the host runs, or is going to.
    type: str
  role:
    description: For C(present), what the host is in its cluster; workers get no images of the control plane.
    type: str
    choices: [control_plane, worker]
    default: control_plane
  runtime_required:
    description: For C(present), fail where containerd does not answer. Otherwise images wait for another visit.
    type: bool
    default: false
  parts:
    description: Set by the action plugin, from the bundle's manifest.
    type: dict
  incoming:
    description: Set by the action plugin, the folder on the host with the files that it sent.
    type: path
"""
EXAMPLES = r"""
- name: Make a bundle
  photon.platform.kubernetes_bundle:
    state: written
    path: /srv/bundles/kubernetes-1.37.2.tar
    versions: [1.37.2]
    packages: [/srv/collected/packages]
    images: [/srv/collected/images]
  delegate_to: localhost

- name: Give a worker its part
  photon.platform.kubernetes_bundle:
    state: present
    path: /srv/bundles/kubernetes-1.37.2.tar
    version: 1.37.2
    role: worker
"""
RETURN = r"""
changes:
  description: What differed on the host, and without check mode was changed.
  returned: for present and absent
  type: list
  elements: dict
  contains:
    kind: {description: "C(package) or C(image).", type: str}
    name: {description: "Of the file within the bundle, or of the image.", type: str}
    before: {description: What it was., type: str}
    after: {description: What it is., type: str}
missing:
  description: Files of the bundle that the host had not, and in check mode has not.
  returned: for present
  type: list
  elements: str
waiting:
  description: Images were left for another visit, as containerd did not answer.
  returned: for present
  type: bool
sent_bytes:
  description: How much was sent to the host.
  returned: for present
  type: int
manifest:
  description: C(versions), C(files) with their SHA-256, C(packages), C(images) and C(kubeadm_images) of the bundle.
  returned: for written
  type: dict
error_code:
  description:
    - Why it failed, such as C(ManifestNotFound) (no bundle, or a damaged one), C(PackageNotFound) or C(ImageNotFound)
      (a version would not be complete), C(DiskFull) or C(UnitFailed).
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
