# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What photon-plan and photon-apply share: they run a playbook of the collection and print its outcome, no noise."""

from __future__ import annotations

import argparse
import configparser
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def find_python(script: str) -> None:
    """Go on with the project's own Python where there is one and none was chosen: it has what the playbooks need."""
    python = ROOT / ".build" / "venv" / "bin" / "python"
    if sys.prefix == sys.base_prefix and python.exists() and not os.environ.get("PHOTON_PYTHON"):
        os.environ["PHOTON_PYTHON"] = "1"
        os.execv(python, [str(python), script, *sys.argv[1:]])


def parser(name: str, what: str) -> argparse.ArgumentParser:
    """The arguments that both commands take; what is ansible-playbook's is handed on."""
    made = argparse.ArgumentParser(prog=name, description=what)
    made.add_argument("-i", "--inventory", action="append", default=[], help="inventory of the site; may be repeated")
    made.add_argument("-e", "--extra-vars", action="append", default=[], help="further variables")
    made.add_argument("-l", "--limit", help="handed on; the playbooks run on localhost")
    made.add_argument("--vault-id", action="append", default=[], help="handed on")
    made.add_argument("--vault-password-file", action="append", default=[], help="handed on")
    made.add_argument("-J", "--ask-vault-pass", action="store_true", help="handed on")
    made.add_argument("--json", action="store_true", help="print JSON instead of text")
    return made


def handed_on(options: argparse.Namespace) -> list[str]:
    """The options of ansible-playbook among ours."""
    words: list[str] = []
    for flag in ("inventory", "extra_vars", "vault_id", "vault_password_file"):
        for value in getattr(options, flag):
            words += [f"--{flag.replace('_', '-')}", value]
    words += ["--limit", options.limit] if options.limit else []
    return [*words, "--ask-vault-pass"] if options.ask_vault_pass else words


def play(playbook: str, options: argparse.Namespace, **variables: Any) -> dict[str, Any] | None:
    """Run a playbook; the result of its module of ours, or None when there was none (the reason is on standard error).

    Ansible's own scratch files live in a folder that is removed, and no facts are kept.
    """
    with tempfile.TemporaryDirectory(prefix="photon-") as scratch:
        extra = ["--extra-vars", json.dumps(variables)] if variables else []
        ansible = [sys.executable, "-m", "ansible", "playbook"]
        done = subprocess.run(
            [*ansible, *handed_on(options), *extra, str(ROOT / "playbooks" / playbook)],
            stdout=subprocess.PIPE,
            env=_environment(scratch),
            text=True,
            check=False,
        )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        print(done.stdout, end="", file=sys.stderr)
        return None
    for failure in answer["failures"]:
        print(f"error: {failure}", file=sys.stderr)
    return answer["results"][0] if answer["results"] and not answer["failures"] else None


def text(name: str = "plan_text") -> Any:
    """A module of the collection that turns results into lines: plan_text or tables."""
    sys.path.insert(0, str(ROOT / "collections"))
    return importlib.import_module(f"ansible_collections.photon.platform.plugins.module_utils.{name}")


def _environment(scratch: str) -> dict[str, str]:
    environment = dict(os.environ)
    if not environment.get("ANSIBLE_CONFIG") and not Path("ansible.cfg").exists():
        environment["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    if not Path(environment.get("ANSIBLE_HOME") or "~/.ansible").expanduser().exists():
        environment["ANSIBLE_HOME"] = scratch  # Ansible would make it; there is nothing in it to be found
    environment.update(
        ANSIBLE_COLLECTIONS_PATH=os.pathsep.join([str(ROOT / "collections"), _collections(environment)]),
        ANSIBLE_STDOUT_CALLBACK="photon.platform.outcome",
        ANSIBLE_LOCALHOST_WARNING="False",
        ANSIBLE_CACHE_PLUGIN="memory",
        ANSIBLE_LOCAL_TEMP=scratch,
        ANSIBLE_REMOTE_TEMP=scratch,
        PYTHONDONTWRITEBYTECODE="1",
    )
    return environment


def _collections(environment: dict[str, str]) -> str:
    """Where the user's other collections are, as the environment or ansible.cfg says."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(OSError, configparser.Error):
        config.read(environment.get("ANSIBLE_CONFIG") or "ansible.cfg")
    found = environment.get("ANSIBLE_COLLECTIONS_PATH") or config.get("defaults", "collections_path", fallback="")
    return found or f"~/.ansible/collections{os.pathsep}/usr/share/ansible/collections"
