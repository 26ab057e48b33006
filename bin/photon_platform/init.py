# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-init: write a first inventory for a vCenter or an ESXi host, from its hosts, datastores and networks.

Nothing is changed there. The plan of the new inventory creates records of the endpoint, its zones and its hosts in the
CloudStore, and nothing else. The password is asked for, or taken from the environment variable PHOTON_PASSWORD; with
--vault-password-file it is kept in a vault, otherwise nowhere.
Exit code: 0, 1 an error, 64 wrong usage.
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import json
import os
import re
import ssl
from pathlib import Path
from typing import Any

from . import collection
from . import command as shared
from .collection import Failure


@shared.command
def main() -> int:
    parser = shared.Parser("photon-init", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="the new inventory, such as inventories/mine")
    parser.add_argument("--address", required=True, help="host name or IP address of the vCenter or ESXi host")
    parser.add_argument("--username", required=True)
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--name", default="vc1", help="name of the endpoint (default: vc1)")
    parser.add_argument("--datacenter", help="needed where a vCenter has several")
    parser.add_argument("--ca-file", metavar="FILE", help="certificates of the authorities to trust, in PEM")
    parser.add_argument("--thumbprint", help="SHA-256 fingerprint of the certificate to trust")
    parser.add_argument("--site", default="site", help="name of the site (default: site)")
    parser.add_argument("--cloudstore", metavar="URL", default="sqlite:////var/lib/photon/cloudstore.db")
    parser.add_argument("--vault-password-file", metavar="FILE", help="encrypt the credential with this password")
    options = parser.parse_args()
    folder = Path(options.folder)
    if folder.exists() and any(folder.iterdir()):
        raise Failure(f"{folder} is not empty: name a new folder")
    _check(options)
    password = os.environ.get("PHOTON_PASSWORD") or getpass.getpass(f"Password of {options.username}: ")
    files = _ask(options, password)
    files["host_vars/localhost/credentials.yml"] = _credentials(options, password)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8", opener=lambda file, flags: os.open(file, flags, 0o600)) as stream:
            stream.write(content)
    print(f"written: {folder}. Read host_vars/localhost/fleet.yml, then: photon-plan -i {folder}{_hint(options)}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Report mistakes in the options before the password is asked for. Raises Failure."""
    names, errors = collection.load("model.names"), collection.load("model.errors")
    try:
        names.check_address(options.address, "--port")
    except errors.PhotonError as error:
        raise Failure(f"--address: {error.message}") from error
    for option in ("ca_file", "vault_password_file"):
        if file := getattr(options, option):
            _read(f"--{option.replace('_', '-')}", file)


def _read(option: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Failure(f"{option} {file} cannot be read ({error.strerror}): give the path of a file") from error


def _ask(options: argparse.Namespace, password: str) -> dict[str, str]:
    discovery, vsphere = collection.load("services.discovery"), collection.load("vsphere")
    error_type = collection.load("model.errors").PhotonError
    spec = vsphere.EndpointSpec(
        id=options.name,
        name=options.name,
        type="vcenter",
        address=options.address,
        port=options.port,
        username=options.username,
        password=password,
        ca_file=os.path.abspath(options.ca_file) if options.ca_file else None,
        thumbprint=options.thumbprint,
        datacenter=options.datacenter,
    )
    try:
        return discovery.first_inventory(spec, options.site, options.cloudstore)
    except error_type as error:
        raise Failure(f"{error}{_fingerprint(error, options)}") from error


def _fingerprint(error: Any, options: argparse.Namespace) -> str:
    """Show the certificate that was refused, so that it can be compared and pinned."""
    if error.code != "EndpointCertificateError" or options.thumbprint:
        return ""
    try:
        shown = ssl.get_server_certificate((options.address, options.port), timeout=15)
    except OSError:  # the error above says what is wrong
        return ""
    certificate = ssl.PEM_cert_to_DER_cert(shown)
    pairs = re.findall("..", hashlib.sha256(certificate).hexdigest().upper())
    return f"\nCompare its fingerprint with the server's own, then run again with --thumbprint {':'.join(pairs)}"


def _variables(options: argparse.Namespace) -> tuple[str, str]:
    stem = re.sub("[^A-Z0-9]", "_", options.name.upper())
    return f"PHOTON_CREDENTIAL_{stem}_USERNAME", f"PHOTON_CREDENTIAL_{stem}_PASSWORD"


def _credentials(options: argparse.Namespace, password: str) -> str:
    if not options.vault_password_file:
        username, secret = _variables(options)
        return (
            f"---\n# The credential is taken from the environment: {username} and {secret}.\n"
            "# Or write it here and run ansible-vault encrypt on this file:\n"
            f'# photon_credentials: {{{options.name}: {{username: {options.username}, password: "..."}}}}\n'
        )
    from ansible.parsing.vault import VaultLib, VaultSecret

    secret = _read("--vault-password-file", options.vault_password_file).strip()
    login = {"username": options.username, "password": password}
    text = json.dumps({"photon_credentials": {options.name: login}}, indent=1)
    return VaultLib([("default", VaultSecret(secret))]).encrypt(text).decode()


def _hint(options: argparse.Namespace) -> str:
    if options.vault_password_file:
        return f" --vault-password-file {options.vault_password_file}"
    return f" (with {' and '.join(_variables(options))} set)"
