# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage packages with the host's package manager: apt (dpkg) or dnf (rpm).

A version is exact (``1.37.2-1.1``), a pattern (``1.37.2-*``) or ``present``.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from ..model.errors import PhotonError
from .commands import available, last_words, must, run
from .document import File, Repository

LOCK_SECONDS = 300
_INSTALL_SECONDS = 1800
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none"}
APT = (
    "-o",
    f"DPkg::Lock::Timeout={LOCK_SECONDS}",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Acquire::Retries=2",
)
_FULL = re.compile(r"No space left on device|enough free space|needs \d+\w+ (more space )?on the")


class PackageState(NamedTuple):
    """A package's state. ``version`` None: not installed. ``whole``: completely unpacked and configured."""

    version: str | None
    held: bool = False
    whole: bool = True


NOT_INSTALLED = PackageState(None)


def matches(version: str | None, wanted: str) -> bool:
    """Return whether the installed version satisfies the desired one."""
    if wanted == "absent":
        return version is None
    return version is not None and (wanted == "present" or fnmatch.fnmatchcase(version, wanted))


class Manager(Protocol):
    """The interface of both package managers."""

    name: str

    def read(self, names: Iterable[str]) -> dict[str, PackageState]:
        """Return the state of each package with one query of the package database."""

    def repository_files(self, repositories: Sequence[Repository], held: Sequence[str]) -> list[File]:
        """Return the configuration files of the repositories."""

    def install(self, wanted: Mapping[str, str], only: Sequence[Repository] | None, refresh: bool) -> None:
        """Install packages; fetch the package lists again when ``refresh`` is set or a package is not in them.

        ``only``: use no other repositories. PhotonError PackageNotFound, PackageInstallFailed or DiskFull.
        """

    def remove(self, names: Sequence[str]) -> None:
        """Remove packages, but not dependencies that are no longer needed."""

    def hold(self, names: Sequence[str]) -> None:
        """Hold packages at their versions during an upgrade of the whole host."""

    def repair(self) -> None:
        """Finish an installation that was interrupted."""


class Apt(Manager):
    """apt on Debian and its derivatives."""

    name = "apt"

    def read(self, names: Iterable[str]) -> dict[str, PackageState]:
        """Return the state of each package with one call of dpkg-query."""
        names = list(names)
        if not names:
            return {}
        shown = run("dpkg-query", "--show", "--showformat=${Package}\t${Version}\t${Status}\n", *names).stdout
        return {name: parse_dpkg(shown).get(name, NOT_INSTALLED) for name in names}

    def repository_files(self, repositories: Sequence[Repository], held: Sequence[str]) -> list[File]:
        """Return the configuration files of the repositories."""
        made = []
        for one in repositories:
            key = f"/etc/apt/keyrings/{one.name}.asc"
            lines = [f"URIs: {one.url}", f"Suites: {one.suite}"]
            lines += [f"Components: {' '.join(one.components)}"] if one.components else []
            lines += [f"Signed-By: {key}"] if one.key else ["Trusted: yes"]
            if one.key:
                made.append(_file(key, one.key.strip() + "\n"))
            made.append(_file(f"/etc/apt/sources.list.d/{one.name}.sources", "\n".join(["Types: deb", *lines, ""])))
        return made

    def install(self, wanted: Mapping[str, str], only: Sequence[Repository] | None, refresh: bool) -> None:
        """Install packages; fetch the package lists again when ``refresh`` is set or a package is not in them.

        ``only``: use no other repositories. PhotonError PackageNotFound, PackageInstallFailed or DiskFull.
        """
        with _only_these(only) as options:
            said = self._update(options) if refresh else ""
            chosen = self._choose(wanted, options)
            if not refresh and None in chosen.values():
                said, refresh = self._update(options), True
                chosen = self._choose(wanted, options)
            if None in chosen.values():
                raise self._not_found(wanted, chosen, options, said)
            words = [f"{name}={version}" if version else name for name, version in chosen.items()]
            result = self._get(options, words)
            if result.returncode != 0 and not refresh and re.search(r"Failed to fetch|404 ", result.stderr):
                self._update(options)
                result = self._get(options, words)
            if result.returncode != 0:
                raise install_failure(words, result)

    def remove(self, names: Sequence[str]) -> None:
        """Remove packages, but not dependencies that are no longer needed."""
        must(
            "apt-get",
            "remove",
            "--yes",
            "--allow-change-held-packages",
            *APT,
            *names,
            environment=QUIET,
            timeout=_INSTALL_SECONDS,
            code="PackageInstallFailed",
        )

    def hold(self, names: Sequence[str]) -> None:
        """Hold packages at their versions during an upgrade of the whole host."""
        deadline = time.monotonic() + LOCK_SECONDS
        while (
            result := run("apt-mark", "hold", *names)
        ).returncode != 0:  # apt-mark does not wait for dpkg's lock itself
            if "lock" not in result.stderr or time.monotonic() > deadline:
                raise PhotonError(
                    "PackageInstallFailed", f"apt-mark hold {' '.join(names)} failed: {last_words(result)}"
                )
            time.sleep(1)

    def repair(self) -> None:
        """Finish an installation that dpkg did not complete."""
        if os.path.isdir("/var/lib/dpkg/updates") and os.listdir("/var/lib/dpkg/updates"):
            run("dpkg", "--configure", "-a", environment=QUIET, timeout=_INSTALL_SECONDS)

    def _update(self, options: Sequence[str]) -> str:
        """Fetch the package lists and return apt's complaints, which matter only if a package is then not found."""
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            result = run("apt-get", "update", *APT, *options, environment=QUIET, timeout=900)
            if "Could not get lock" not in result.stderr or time.monotonic() > deadline:
                return "; ".join(line for line in result.stderr.splitlines() if line.startswith(("E:", "W:")))
            time.sleep(1)

    def _get(self, options: Sequence[str], words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.repair()
        return run(
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
            "--allow-downgrades",
            "--allow-change-held-packages",
            *APT,
            *options,
            *words,
            environment=QUIET,
            timeout=_INSTALL_SECONDS,
        )

    def _choose(self, wanted: Mapping[str, str], options: Sequence[str]) -> dict[str, str | None]:
        """Return package -> newest matching version, "" to leave the choice to apt, None when there is no match."""
        offered = self._offered(wanted, options)
        return {name: choose(offered.get(name, []), version) for name, version in wanted.items()}

    def _offered(self, names: Iterable[str], options: Sequence[str]) -> dict[str, list[str]]:
        result = run("apt-cache", *options, "madison", *names)
        if _FULL.search(result.stderr):
            raise _full("The package lists", result)
        return parse_madison(result.stdout)

    def _not_found(
        self, wanted: Mapping[str, str], chosen: Mapping[str, str | None], options: Sequence[str], said: str
    ) -> PhotonError:
        offered = self._offered(wanted, options)
        lacking = [name for name, version in chosen.items() if version is None]
        return not_found({name: wanted[name] for name in lacking}, offered, said)


class Dnf(Manager):
    """dnf on Fedora, Enterprise Linux and derivatives. Holds are the repositories' ``excludepkgs``."""

    name = "dnf"

    def read(self, names: Iterable[str]) -> dict[str, PackageState]:
        """Return the state of each package with one call of rpm."""
        names = list(names)
        if not names:
            return {}
        shown = run("rpm", "--query", "--queryformat=%{NAME}\t%{VERSION}-%{RELEASE}\n", *names).stdout
        found = dict(line.split("\t") for line in shown.splitlines() if "\t" in line)
        return {name: PackageState(found[name], held=True) if name in found else NOT_INSTALLED for name in names}

    def repository_files(self, repositories: Sequence[Repository], held: Sequence[str]) -> list[File]:
        """Return the configuration files of the repositories, which also hold packages."""
        if held and not repositories:
            raise PhotonError("SpecInvalid", "hold: requires repositories in the document on a host with dnf")
        made = []
        for one in repositories:
            key = f"/etc/pki/rpm-gpg/RPM-GPG-KEY-{one.name}"
            lines = [f"[{one.name}]", f"name={one.name}", f"baseurl={one.url}", "enabled=1"]
            lines += ["gpgcheck=1", f"gpgkey=file://{key}"] if one.key else ["gpgcheck=0"]
            lines += [f"excludepkgs={' '.join(held)}"] if held else []
            if one.key:
                made.append(_file(key, one.key.strip() + "\n"))
            made.append(_file(f"/etc/yum.repos.d/{one.name}.repo", "\n".join([*lines, ""])))
        return made

    def install(self, wanted: Mapping[str, str], only: Sequence[Repository] | None, refresh: bool) -> None:
        """Install packages, as Apt.install does."""
        words = [name if version == "present" else f"{name}-{version}" for name, version in wanted.items()]
        options = ["--setopt=disable_excludes=*", "--setopt=install_weak_deps=False"]
        options += ["--refresh"] if refresh else []
        if only is not None:
            options += ["--disablerepo=*", *(f"--enablerepo={one.name}" for one in only)]
        result = run("dnf", "--assumeyes", *options, "install", *words, timeout=_INSTALL_SECONDS)
        if result.returncode == 0:
            return
        if re.search(r"No match for argument|Unable to find a match", result.stderr + result.stdout):
            raise not_found(wanted, {}, last_words(result))
        raise install_failure(words, result)

    def remove(self, names: Sequence[str]) -> None:
        """Remove packages."""
        must(
            "dnf",
            "--assumeyes",
            "--setopt=disable_excludes=*",
            "remove",
            *names,
            timeout=_INSTALL_SECONDS,
            code="PackageInstallFailed",
        )

    def hold(self, names: Sequence[str]) -> None:
        """Do nothing: the repositories' files hold the packages."""

    def repair(self) -> None:
        """Do nothing: rpm's transactions are complete or absent."""


def manager() -> Manager:
    """Return this host's package manager; PhotonError InvalidHostState when it is not supported."""
    if available("apt-get") and available("dpkg-query"):
        return Apt()
    if available("dnf") and available("rpm"):
        return Dnf()
    raise PhotonError("InvalidHostState", "this host has neither apt nor dnf. Use a supported distribution.")


def parse_dpkg(shown: str) -> dict[str, PackageState]:
    """Parse tab-separated lines of package, version and status; an installed architecture takes precedence."""
    states: dict[str, PackageState] = {}
    for line in shown.splitlines():
        name, version, status = (*line.split("\t"), "", "")[:3]
        want, _error, unpacked = (*status.split(), "", "", "")[:3]
        if unpacked in ("", "not-installed", "config-files"):
            states.setdefault(name, PackageState(None, want == "hold"))
        else:
            states[name] = PackageState(version, want == "hold", unpacked == "installed")
    return states


def parse_madison(shown: str) -> dict[str, list[str]]:
    """Parse the output of ``apt-cache madison`` into package -> versions, newest first."""
    offered: dict[str, list[str]] = {}
    for line in shown.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 3 and fields[2].endswith("Packages"):
            versions = offered.setdefault(fields[0], [])
            if fields[1] not in versions:
                versions.append(fields[1])
    return offered


def choose(offered: Sequence[str], wanted: str) -> str | None:
    """Return the first matching version, "" when any version matches, None when there is no match."""
    if wanted == "present":
        return "" if offered else None
    return next((version for version in offered if matches(version, wanted)), None)


def not_found(lacking: Mapping[str, str], offered: Mapping[str, Sequence[str]], said: str) -> PhotonError:
    """Return the error for packages that no repository offers, listing the available versions."""
    words = []
    for name, version in lacking.items():
        there = ", ".join(list(offered.get(name, ()))[:5])
        asked = name if version == "present" else f"{name} {version}"
        words.append(f"{asked} (available: {there})" if there else f"{asked} (available: none)")
    return PhotonError(
        "PackageNotFound",
        f"the repositories of this host do not offer {', '.join(words)}. Correct the version or the repository."
        + (f" Fetching the package lists failed: {said}" if said else ""),
        {"packages": dict(lacking)},
    )


def install_failure(words: Sequence[str], result: subprocess.CompletedProcess[str]) -> PhotonError:
    """Return the error of a failed installation of ``words``: PackageInstallFailed or DiskFull."""
    said = "; ".join([*failed_packages(result.stderr + result.stdout), last_words(result)])
    if _FULL.search(result.stderr + result.stdout):
        return _full(", ".join(words), result)
    return PhotonError(
        "PackageInstallFailed", f"{', '.join(words)} could not be installed: {said}", {"packages": list(words)}
    )


def failed_packages(said: str) -> list[str]:
    """Name the packages that dpkg could not process, which apt's own errors leave out (pure)."""
    names = dict.fromkeys(re.findall(r"dpkg: error processing (?:package|archive) (\S+)", said))
    return [f"dpkg failed for {', '.join(names)}"] if names else []


def _full(what: str, result: subprocess.CompletedProcess[str]) -> PhotonError:
    return PhotonError(
        "DiskFull", f"{what} did not fit on the disk of this host. Free some space and run again. {last_words(result)}"
    )


@contextlib.contextmanager
def _only_these(only: Sequence[Repository] | None) -> Iterator[list[str]]:
    """Yield apt's options that restrict it to these repositories."""
    if only is None:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="photon-apt-") as folder:
        for one in only:
            os.symlink(f"/etc/apt/sources.list.d/{one.name}.sources", f"{folder}/{one.name}.sources")
        os.chmod(folder, 0o755)  # apt reads lists as user _apt
        yield [
            "-o",
            "Dir::Etc::sourcelist=/dev/null",
            "-o",
            f"Dir::Etc::sourceparts={folder}",
            "-o",
            "APT::Get::List-Cleanup=false",
            "-o",
            "Dir::Cache::pkgcache=",
            "-o",
            "Dir::Cache::srcpkgcache=",
        ]


def _file(path: str, content: str) -> File:
    return File(path, content, 0o644, "root", "root", (), False)
