# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them: a copy of the project, the inventory as data, credentials in the environment, ansible-runner.

An execution environment is a folder with Ansible's commands and one with collections, instead of an image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import rules
from .objects import Objects, Row, mapping_of, now

_PLAYBOOK = re.compile(rb"^\s*?-?\s*?(?:hosts|(?:ansible\.builtin\.)?import_playbook):", re.MULTILINE)
_DONE = {"successful": False, "failed": True, "error": True, "canceled": True}


@dataclass(frozen=True, slots=True)
class Image:
    """What an image has: Ansible's commands, its collections, and the settings that a pod gets."""

    programs: Path
    collections: str
    environment: dict[str, str] = field(default_factory=dict)


class Jobs:
    """Every job is a thread; ``stop`` cancels them and waits."""

    def __init__(self, objects: Objects, directory: Path, images: Mapping[str, Image]) -> None:
        self.objects, self.directory, self.images = objects, directory, dict(images)
        directory.mkdir(exist_ok=True)
        self.sent: list[tuple[str, dict[str, Any]]] = []  # notifications: event and body
        self._threads: list[threading.Thread] = []
        self._canceled: set[int] = set()
        self._output: dict[int, str] = {}

    def stop(self) -> None:
        with self.objects.lock:
            for name in ("jobs", "workflow_jobs", "workflow_approvals"):
                self._canceled |= {row["id"] for row in self.objects.where(name, finished=None)}
        for thread in self._threads:
            thread.join(60)

    def stdout(self, number: int) -> str:
        return self._output.get(number, "")

    def output(self) -> str:
        """What all jobs and updates printed."""
        return "\n".join(self._output.values())

    def folder(self, number: int) -> Path:
        """The private data directory of a job."""
        return self.directory / f"job-{number}"

    def cancel(self, row: Row) -> None:
        self._canceled.add(row["id"])
        for node in self.objects.where("workflow_job_nodes", workflow_job=row["id"]):
            if node["job"] is not None:
                self._canceled.add(node["job"])

    def finish(self, row: Row, status: str, explanation: str = "") -> None:
        with self.objects.lock:
            row |= {"status": status, "failed": _DONE[status], "finished": now(), "job_explanation": explanation}
            row["event_processing_finished"] = True
        self._notify(row, "success" if status == "successful" else "error")

    # -- projects and inventories ----------------------------------------------------------------------------------

    def updating(self, project: Row) -> Row | None:
        return next(iter(self.objects.where("project_updates", project=project["id"], finished=None)), None)

    def update_project(self, project: Row) -> Row:
        """Fetch its repository."""
        update = self._begin("project_updates", project, project=project["id"])
        self._start(update, lambda: self._fetch(project, update))
        return update

    def update_inventory(self, source: Row) -> Row:
        update = self._begin("inventory_updates", source, inventory_source=source["id"])
        self._start(update, lambda: self._sync(source, update))
        return update

    def _fetch(self, project: Row, update: Row) -> None:
        target = self.directory / f"project-{project['id']}"
        shutil.rmtree(target, ignore_errors=True)
        branch = ["--branch", project["scm_branch"]] if project["scm_branch"] else []
        done = _call(
            ["git", "clone", "--quiet", "--depth", "1", *branch, project["scm_url"], str(target)], self.directory
        )
        self._output[update["id"]] = done.stdout + done.stderr
        if done.returncode:
            project["status"] = "failed"
            self.finish(update, "failed", "git clone failed")
            return
        files = [path for path in sorted(target.rglob("*.y*ml")) if _PLAYBOOK.search(path.read_bytes())]
        revision = _call(["git", "rev-parse", "HEAD"], target).stdout.strip()
        project |= {"playbook_files": [str(path.relative_to(target)) for path in files], "status": "successful"}
        project["scm_revision"] = update["scm_revision"] = revision
        self.finish(update, "successful")

    def _sync(self, source: Row, update: Row) -> None:
        """Read the source as AWX does: by ansible-inventory in the execution environment."""
        project = self.objects.get("projects", source["source_project"])
        image = self._image(source["execution_environment"] or project["default_environment"])
        credential = self.objects.rows["credentials"].get(source["credential"])
        root = self.directory / f"project-{project['id']}"
        # AWX gives the collections that the image has, not those that the project's ansible.cfg names.
        words = [
            str(image.programs / "ansible-inventory"),
            "-i",
            str(root / source["source_path"]),
            "--list",
            "--export",
        ]
        done = _call(words, root, self._environment(image, [credential] if credential else []))
        self._output[update["id"]] = done.stdout + done.stderr
        if done.returncode:
            source["status"] = "failed"
            self.finish(update, "failed", done.stderr[-300:])
            return
        (self.directory / f"inventory-{source['inventory']}.json").write_text(done.stdout)
        source["status"] = "successful"
        self.finish(update, "successful")

    # -- jobs ------------------------------------------------------------------------------------------------------

    def launch(self, template: Row, extra: Mapping[str, Any], prompts: Mapping[str, Any], artifacts: Any = ()) -> Row:
        """Start a job of a template, or a workflow."""
        variables = {**mapping_of(template["extra_vars"]), **extra, **dict(artifacts)}
        if template["type"] == "workflow_job_template":
            row = self._begin("workflow_jobs", template, workflow_job_template=template["id"])
            row["extra_vars"] = json.dumps(variables)
            self._start(row, lambda: self._workflow(template, row, variables))
            return row
        row = self._begin(
            "jobs",
            template,
            job_template=template["id"],
            inventory=prompts.get("inventory") or template["inventory"],
            project=template["project"],
            playbook=template["playbook"],
            job_type=prompts.get("job_type") or template["job_type"],
            execution_environment=template["execution_environment"],
            extra_vars=json.dumps(variables),
        )
        self._start(row, lambda: self._job(template, row, variables, prompts))
        return row

    def _job(self, template: Row, row: Row, variables: Mapping[str, Any], prompts: Mapping[str, Any]) -> None:
        import ansible_runner

        project = self.objects.get("projects", row["project"])
        if project["scm_update_on_launch"] and self._wait(self.update_project(project)) != "successful":
            self.finish(row, "failed", "Previous Task Failed: project_update")
            return
        for source in self.objects.where("inventory_sources", inventory=row["inventory"], update_on_launch=True):
            if self._wait(self.update_inventory(source)) != "successful":
                self.finish(row, "failed", "Previous Task Failed: inventory_update")
                return
        image = self._image(row["execution_environment"] or project["default_environment"])
        folder = self.folder(row["id"])
        shutil.copytree(self.directory / f"project-{project['id']}", folder / "project")
        inventory = self.directory / f"inventory-{row['inventory']}.json"
        (folder / "inventory").mkdir()
        script = folder / "inventory" / "hosts"  # AWX's, too, is a script that prints what the database holds
        data = inventory.read_text() if inventory.exists() else "{}"
        script.write_text(f"#!/bin/sh\ncat <<'END-OF-INVENTORY'\n{data}\nEND-OF-INVENTORY\n")
        script.chmod(0o700)
        row |= {"status": "running", "started": now()}
        known = {"awx_job_id": row["id"], "awx_job_template_name": template["name"], "awx_user_name": row["created_by"]}
        check = ["--check"] if row["job_type"] == "check" else []
        words = [*check, *(["--diff"] if template["diff_mode"] else [])]
        words += (
            ["--limit", prompts.get("limit") or template["limit"]] if prompts.get("limit") or template["limit"] else []
        )
        words += ["--tags", template["job_tags"]] if template["job_tags"] else []
        words += ["-" + "v" * template["verbosity"]] if template["verbosity"] else []
        runner = ansible_runner.run(
            private_data_dir=str(folder),
            ident=str(row["id"]),
            playbook=row["playbook"],
            extravars={**variables, **known},
            cmdline=" ".join(words) or None,
            envvars=self._environment(image, self.objects.linked(template, "credentials")),
            event_handler=lambda event: self._event(row, event),
            cancel_callback=lambda: row["id"] in self._canceled,
            quiet=True,
            settings={"pexpect_timeout": 0.2},
            timeout=template["timeout"] or None,
        )
        self._output[row["id"]] = runner.stdout.read()
        status = {"successful": "successful", "canceled": "canceled", "timeout": "failed"}.get(runner.status, "failed")
        self.finish(row, status)

    def _event(self, row: Row, event: Mapping[str, Any]) -> bool:
        if event.get("event") == "playbook_on_stats":
            row["artifacts"] = event["event_data"].get("artifact_data") or {}
        return False

    def _environment(self, image: Image, credentials: list[Row]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        environment = {
            **kept,
            "HOME": str(self.directory),
            "PATH": f"{image.programs}:/usr/bin:/bin",
            "ANSIBLE_COLLECTIONS_PATH": image.collections,
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            **image.environment,
        }
        for credential in credentials:
            kind = self.objects.get("credential_types", credential["credential_type"])
            environment |= rules.injected(kind, credential["inputs"])
        return environment

    def _image(self, number: int | None) -> Image:
        name = self.objects.get("execution_environments", number)["image"] if number else ""
        if name not in self.images:
            raise LookupError(f"the lab has no image {name!r}, only: {', '.join(self.images)}")
        return self.images[name]

    # -- workflows -------------------------------------------------------------------------------------------------

    def _workflow(self, template: Row, row: Row, variables: Mapping[str, Any]) -> None:
        """Run the nodes as their parents end; what no ended parent leads to does not run."""
        objects = self.objects
        with objects.lock:
            row |= {"status": "running", "started": now()}
            nodes = list(objects.nodes(template["id"]))
            steps = {
                node["id"]: objects.create("workflow_job_nodes", {}, {
                    "identifier": node["identifier"],
                    "workflow_job": row["id"],
                    "unified_job_template": node["unified_job_template"],
                })
                for node in nodes
            }  # fmt: skip
            ways = {
                "success_nodes": ("successful",),
                "failure_nodes": ("failed", "error", "canceled"),
                "always_nodes": tuple(_DONE),
            }
            parents: dict[int, list[tuple[Row, tuple[str, ...]]]] = {node["id"]: [] for node in nodes}
            for node in nodes:
                for way, statuses in ways.items():
                    for child in objects.linked(node, way):
                        parents[child["id"]].append((node, statuses))
        ended: dict[int, str] = {}
        passed: dict[int, dict[str, Any]] = {node["id"]: {} for node in nodes}
        running: dict[int, Row] = {}
        failed = False
        while len(ended) < len(nodes):
            for node in nodes:
                number = node["id"]
                if number in ended or number in running or any(p["id"] not in ended for p, _s in parents[number]):
                    continue
                led = [parent for parent, statuses in parents[number] if ended[parent["id"]] in statuses]
                if (parents[number] and not led) or row["id"] in self._canceled:
                    steps[number]["do_not_run"], ended[number] = True, "not run"
                    continue
                for parent in led:
                    passed[number] |= passed[parent["id"]]
                with objects.lock:
                    running[number] = self._node(node, variables, passed[number])
                    steps[number]["job"] = running[number]["id"]
            for number, job in list(running.items()):
                if job["type"] == "workflow_approval":
                    self._approval(job)
                if job["finished"] is not None:
                    ended[number] = job["status"]
                    passed[number] |= job.get("artifacts") or {}
                    [node] = [node for node in nodes if node["id"] == number]
                    handled = objects.linked(node, "failure_nodes") or objects.linked(node, "always_nodes")
                    failed |= _DONE[job["status"]] and not handled
                    del running[number]
            time.sleep(0.05)
        self.finish(row, "canceled" if row["id"] in self._canceled else "failed" if failed else "successful")

    def _node(self, node: Row, variables: Mapping[str, Any], artifacts: Mapping[str, Any]) -> Row:
        template = self.objects.get("unified_job_templates", node["unified_job_template"])
        if template["type"] == "workflow_approval_template":
            job = self._begin("workflow_approvals", template)
            self._notify(job, "approvals")
            return job
        spec = self.objects.surveys.get((self.objects.collection_of(template), template["id"]))
        given = {**node["extra_data"], **variables}
        accepted, _ignored = rules.answers(template, spec, given)
        # What set_stats published reaches later nodes whatever they prompt for.
        return self.launch(template, accepted, {"inventory": node["inventory"]}, artifacts)

    def _approval(self, job: Row) -> None:
        template = self.objects.get("workflow_approval_templates", job["unified_job_template"])
        waited = time.time() - job["began"]
        if job["id"] in self._canceled:
            self.finish(job, "canceled")
        elif template["timeout"] and waited > template["timeout"] and job["finished"] is None:
            job["timed_out"] = True
            self.finish(job, "failed", "The approval node has expired")

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _begin(self, collection: str, template: Row, **fields: Any) -> Row:
        with self.objects.lock:
            fixed = {"name": template["name"], "unified_job_template": template["id"], "created_by": "admin", **fields}
            row = self.objects.create(collection, {"name": template["name"]}, fixed)
            row["began"] = time.time()
            return row

    def _start(self, row: Row, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a job that cannot run is in error, as in AWX
                self.finish(row, "error", f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, name=f"{row['type']}-{row['id']}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _wait(self, row: Row) -> str:
        while row["finished"] is None:
            time.sleep(0.05)
        return str(row["status"])

    def _notify(self, row: Row, event: str) -> None:
        """Send to the templates that are associated with what ran, webhooks really."""
        with self.objects.lock:
            template = next(
                (r for n in self.objects.rows.values() for r in n.values() if r["id"] == row["unified_job_template"]),
                None,
            )
            if template is None:
                return
            names = self.objects.links.get(
                (self.objects.collection_of(template), template["id"], f"notification_templates_{event}"), []
            )
            targets = [self.objects.rows["notification_templates"][number] for number in names]
        for target in targets:
            body = {"id": row["id"], "name": row["name"], "status": row["status"]}
            self.sent.append((event, body))
            if target["notification_type"] == "webhook":
                options = target["notification_configuration"]
                data = json.dumps(body).encode()
                request = urllib.request.Request(
                    options["url"], data, options["headers"], method=options["http_method"]
                )
                try:
                    urllib.request.urlopen(request, timeout=10).close()
                except OSError as error:
                    self._output[row["id"]] = f"{self.stdout(row['id'])}\nnotification failed: {error}"


def _call(
    words: list[str], cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    env = dict(environment) if environment is not None else None
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
