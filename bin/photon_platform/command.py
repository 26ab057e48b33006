# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share: options, the run of a playbook, exit codes. Each prints an outcome and nothing else."""

from __future__ import annotations

import argparse
import contextlib
import functools
import getpass
import io
import json
import locale
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from . import collection
from .collection import Failure

USAGE = 64
PROGRESS = "photon.platform.progress"
_INTERRUPTED = (-signal.SIGTERM, -signal.SIGINT, 99)  # exit codes of Ansible
_REPEATED = ("inventory", "extra_vars", "vault_id", "vault_password_file", "tags", "skip_tags")
_PASSED = "passed through to ansible-playbook"


class Parser(argparse.ArgumentParser):
    """Exits with 64 after a usage error: 2 means that there are changes."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def command(work: Callable[[], int]) -> Callable[[], int]:
    """Turn the failures of a command into a message and an exit code; a closed pipe ends it quietly."""

    @functools.wraps(work)
    def main() -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # names may hold what the terminal's encoding does not
                stream.reconfigure(errors="replace")
        try:
            collection.find_python()
            code = work()
            sys.stdout.flush()
        except Failure as failure:
            print(f"error: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 1
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return code

    return main


def parser(name: str, what: str) -> Parser:
    """Return the options that all commands have."""
    made = Parser(prog=name, description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("-i", "--inventory", action="append", default=[], help="inventory of the site; may be repeated")
    made.add_argument("--json", action="store_true", help="print JSON instead of text")
    passed = made.add_argument_group(_PASSED)
    passed.add_argument("-e", "--extra-vars", action="append", default=[], metavar="VARS", help="further variables")
    passed.add_argument("-l", "--limit", metavar="HOSTS", help="must include localhost, where the playbooks run")
    passed.add_argument("-f", "--forks", metavar="N")
    passed.add_argument("-t", "--tags", action="append", default=[])
    passed.add_argument("--skip-tags", action="append", default=[], metavar="TAGS")
    passed.add_argument("-v", "--verbose", action="count", default=0, help="its output goes to standard error")
    passed.add_argument("-D", "--diff", action="store_true", help="the fields that differ, on standard error")
    passed.add_argument("--vault-id", action="append", default=[], metavar="ID")
    passed.add_argument("--vault-password-file", action="append", default=[], metavar="FILE")
    passed.add_argument("-J", "--ask-vault-pass", action="store_true")
    made.set_defaults(vault_password="")
    return made


def add_targets(made: Parser) -> None:
    """Add the option that limits a command to a part of the site."""
    made.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="only this tenant (acme), project (acme/web), VM or disk (acme/web/db-1) with what it needs; globs and "
        "ranges may be used; may be repeated",
    )


def passed_through(options: argparse.Namespace) -> list[str]:
    """Return the options of ansible-playbook among a command's own."""
    words: list[str] = []
    for name in _REPEATED:
        for value in getattr(options, name):
            words += [f"--{name.replace('_', '-')}", value]
    for name in ("limit", "forks"):
        words += [f"--{name}", getattr(options, name)] if getattr(options, name) else []
    words += [f"-{'v' * options.verbose}"] if options.verbose else []
    return [*words, "--diff"] if options.diff else words


def play(playbook: str, options: argparse.Namespace, **variables: Any) -> dict[str, Any]:
    """Run a playbook and return the result of its module of the collection. Raises Failure.

    Temporary files of Ansible live in a folder that is removed, and no facts are kept.
    """
    if options.ask_vault_pass and not options.vault_password:  # asked for once, whatever number of playbooks
        options.vault_password = getpass.getpass("Vault password: ")
    for inventory in options.inventory:
        if "," not in inventory and not Path(inventory).expanduser().exists():
            raise Failure(f"the inventory {inventory} does not exist: correct -i {inventory}")
    with tempfile.TemporaryDirectory(prefix="photon-") as scratch:
        outcome = Path(scratch) / "outcome.json"
        extra = ["--extra-vars", json.dumps(variables)] if variables else []
        code = _wait(
            [
                *(sys.executable, "-m", "ansible", "playbook"),
                *passed_through(options),
                *_vault(options, scratch),
                *extra,
                str(collection.root() / "playbooks" / playbook),
            ],
            _environment(scratch, outcome),
            Path(scratch) / "pid",
        )
        answer = json.loads(outcome.read_text()) if outcome.exists() else None
    if answer is None:
        if broken := broken_yaml(options.inventory):
            raise Failure("\nerror: ".join(broken))
        raise Failure(_not_run(playbook, code, options))
    if answer["failures"] or not answer["results"]:
        raise Failure("\nerror: ".join(answer["failures"]) or f"{playbook} ran no task; see --limit and --tags")
    return answer["results"][0]


def _not_run(playbook: str, code: int, options: argparse.Namespace) -> str:
    """Why a playbook's module gave no answer, with the next step; what Ansible said of it is above."""
    if code in _INTERRUPTED:
        return f"interrupted before {playbook} gave an answer: run again"
    said = f"ansible-playbook ended with exit code {code} before it ran {playbook}; see above"
    if files := _encrypted(options.inventory):
        return f"{said}. {files[0]} is encrypted: give its password with --vault-password-file or --ask-vault-pass"
    return said


def _encrypted(inventories: list[str]) -> list[str]:
    folders = [Path(inventory) for inventory in inventories if os.path.isdir(inventory)]
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    return [str(file) for file in files if file.open("rb").read(14) == b"$ANSIBLE_VAULT"]


def _wait(words: list[str], environment: dict[str, str], pid_file: Path) -> int:
    """Run Ansible, which does not see an interrupt: it goes to the module that does the work, which ends by itself, and
    Ansible with its outcome. Before a module runs, Ansible is ended.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited
    child = subprocess.Popen(words, stdout=sys.stderr, env={**environment, "PHOTON_PID_FILE": str(pid_file)})

    def interrupt(number: int, _frame: Any) -> None:
        try:
            os.kill(int(pid_file.read_text()), number)
            _say("interrupted: waiting for what is under way; once more: do not wait\n")
        except (OSError, ValueError):  # it has not begun, or has ended
            child.send_signal(signal.SIGTERM)

    for number in before:
        signal.signal(number, interrupt)
    try:
        return child.wait()
    finally:
        _say("")
        for number, handler in before.items():
            signal.signal(number, handler)


def _encoding() -> dict[str, str]:
    """Ansible refuses locales of other encodings than UTF-8: give it one, and the terminal its own characters."""
    try:
        locale.setlocale(locale.LC_ALL, "")
        encoding = locale.getlocale()[1] or ""
    except (locale.Error, ValueError):  # not installed, or unknown
        encoding = ""
    if encoding.lower().replace("-", "") == "utf8":
        return {}
    return {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": f"{sys.stderr.encoding}:replace"}


def _say(text: str) -> None:
    """Print below what is there; on a terminal in place of the bars, which are drawn again below it."""
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    with contextlib.suppress(OSError):
        print(f"\r\x1b[J{text}" if terminal else text, end="", file=sys.stderr, flush=True)


def broken_yaml(inventories: list[str]) -> list[str]:
    """Return the place and the reason of each file of the inventories that is not valid YAML: Ansible may name none."""
    import yaml  # comes with ansible-core

    found = []
    for inventory in filter(os.path.exists, inventories):
        files = sorted(Path(inventory).rglob("*.y*ml")) if os.path.isdir(inventory) else [Path(inventory)]
        for file in files:
            try:
                with open(file, encoding="utf-8") as stream:
                    for _event in yaml.parse(stream):
                        pass
            except yaml.MarkedYAMLError as error:
                mark = error.problem_mark
                found.append(f"{file}:{mark.line + 1}:{mark.column + 1}: {error.problem}: correct the YAML there")
            except (OSError, UnicodeDecodeError) as error:
                found.append(f"{file}: {error}")
    return found


def show(outcome: dict[str, Any], options: argparse.Namespace, lines: list[str]) -> None:
    """Print the outcome as JSON where asked for, as lines otherwise."""
    print(json.dumps(outcome, indent=2) if options.json else "\n".join(lines))


def _vault(options: argparse.Namespace, scratch: str) -> list[str]:
    if not options.vault_password:
        return []
    file = Path(scratch) / "vault"
    with open(file, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        stream.write(options.vault_password)
    return ["--vault-password-file", str(file)]


def _environment(scratch: str, outcome: Path) -> dict[str, str]:
    environment = dict(os.environ)
    path = [collection.collections_path(), *collection.search_path()]
    if collection.configuration() is None:
        environment["ANSIBLE_CONFIG"] = str(collection.root() / "ansible.cfg")
    if not Path(environment.get("ANSIBLE_HOME") or "~/.ansible").expanduser().exists():
        environment["ANSIBLE_HOME"] = scratch  # Ansible would create it although there is nothing to keep
    environment.update(
        _encoding(),
        ANSIBLE_COLLECTIONS_PATH=os.pathsep.join(map(str, path)),
        ANSIBLE_STDOUT_CALLBACK="photon.platform.outcome",
        ANSIBLE_CALLBACKS_ENABLED=",".join(filter(None, (collection.setting("callbacks_enabled")[0], PROGRESS))),
        ANSIBLE_LOCALHOST_WARNING="False",
        ANSIBLE_CACHE_PLUGIN="memory",
        ANSIBLE_LOCAL_TEMP=scratch,
        ANSIBLE_REMOTE_TEMP=scratch,
        PHOTON_OUTCOME=str(outcome),
        PYTHONDONTWRITEBYTECODE="1",
    )
    return environment
