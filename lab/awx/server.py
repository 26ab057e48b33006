# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: tokens, list and detail views, associations, launches, cancels and approvals."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from . import rules
from .errors import Refused, missing
from .jobs import Image, Jobs
from .objects import Objects, Row, mapping_of
from .resources import RESOURCES, UNIONS

VERSION = "24.6.1"
API = "/api/v2/"
_SUBLISTS = {  # of objects that refer to this one: (collection, sub-list) -> (collection, field)
    ("job_templates", "jobs"): ("jobs", "job_template"),
    ("job_templates", "schedules"): ("schedules", "unified_job_template"),
    ("workflow_job_templates", "schedules"): ("schedules", "unified_job_template"),
    ("workflow_job_templates", "workflow_jobs"): ("workflow_jobs", "workflow_job_template"),
    ("workflow_job_templates", "workflow_nodes"): ("workflow_job_template_nodes", "workflow_job_template"),
    ("workflow_jobs", "workflow_nodes"): ("workflow_job_nodes", "workflow_job"),
    ("inventories", "inventory_sources"): ("inventory_sources", "inventory"),
}
_VERBS = {
    "job_templates": ("launch", "survey_spec"),
    "workflow_job_templates": ("launch", "survey_spec"),
    "projects": ("update", "playbooks"),
    "inventory_sources": ("update",),
    "jobs": ("cancel", "stdout"),
    "workflow_jobs": ("cancel",),
    "workflow_approvals": ("approve", "deny"),
    "workflow_job_template_nodes": ("create_approval_template",),
}
Answer = tuple[int, Any]


class Awx:
    """A server on loopback, a context manager. ``images`` are the execution environments that its jobs may use."""

    def __init__(self, directory: Path, images: Mapping[str, Image], username: str = "admin") -> None:
        self.username, self.password = username, secrets.token_hex(8)
        self.objects = Objects()
        self.jobs = Jobs(self.objects, directory, images)
        self.requests: list[tuple[str, str]] = []  # method and path of each request that changed something
        self._tokens: dict[str, int] = {}
        self._numbers = itertools.count(1)
        with self.objects.lock:
            self.objects.create("instance_groups", {"name": "default"})
            self.objects.create("users", {"username": username, "is_superuser": True})
            _managed(self.objects)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="awx", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.jobs.stop()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What the clients read."""
        return {
            "CONTROLLER_HOST": self.url,
            "CONTROLLER_USERNAME": self.username,
            "CONTROLLER_PASSWORD": self.password,
            "CONTROLLER_VERIFY_SSL": "false",
        }

    def token(self) -> str:
        text = secrets.token_hex(16)
        self._tokens[text] = next(self._numbers)
        return text

    # -- requests --------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], data: Any, authorization: str) -> Answer:
        """Answer one request. Raises Refused."""
        if path in ("/api/", "/api"):
            return 200, {"current_version": API, "available_versions": {"v2": API}, "description": "AWX REST API"}
        if not path.startswith(API):
            raise missing()
        if path == f"{API}ping/":
            return 200, {"version": VERSION, "active_node": "lab"}
        self._authenticate(authorization)
        words = [word for word in path.removeprefix(API).split("/") if word]
        with self.objects.lock:
            if method in ("POST", "PATCH", "PUT", "DELETE") and words[:1] != ["tokens"]:
                self.requests.append((method, path))
            return self._route(method, words, query, data if data is not None else {})

    def _authenticate(self, authorization: str) -> None:
        kind, _blank, value = authorization.partition(" ")
        if kind == "Bearer" and value in self._tokens:
            return
        if kind == "Basic" and base64.b64decode(value).decode() == f"{self.username}:{self.password}":
            return
        raise Refused({"detail": "Authentication credentials were not provided or are not valid."}, 401)

    def _route(self, method: str, words: list[str], query: Mapping[str, str], data: Any) -> Answer:
        if not words:
            return 200, {name: f"{API}{name}/" for name in (*RESOURCES, *UNIONS, "config", "me", "tokens", "ping")}
        collection, *rest = words
        if collection == "tokens":
            return self._token(method, rest)
        if collection == "config":
            return 200, {"version": VERSION, "license_info": {"license_type": "open"}}
        if collection == "me":
            return self._page(self.objects.rows["users"].values(), query, "me/")
        if collection not in RESOURCES and collection not in UNIONS:
            raise missing()
        if not rest:
            return self._collection(method, collection, query, data)
        if not rest[0].isdigit():
            raise missing()
        row = self.objects.get(collection, int(rest[0]))
        collection = self.objects.collection_of(row)
        return (
            self._sub(method, collection, row, rest[1], query, data)
            if rest[1:]
            else self._detail(method, collection, row, data)
        )

    def _token(self, method: str, rest: list[str]) -> Answer:
        if method == "POST" and not rest:
            text = self.token()
            return 201, {"id": self._tokens[text], "type": "o_auth2_access_token", "token": text}
        if method == "DELETE" and rest:
            self._tokens = {text: number for text, number in self._tokens.items() if str(number) != rest[0]}
            return 204, None
        raise Refused({"detail": f'Method "{method}" not allowed.'}, 405)

    def _collection(self, method: str, collection: str, query: Mapping[str, str], data: Any) -> Answer:
        if method == "GET":
            return self._page(self.objects.search(collection, query), query, f"{collection}/")
        if method != "POST" or collection in UNIONS or RESOURCES[collection].read_only:
            raise Refused({"detail": f'Method "{method}" not allowed.'}, 405)
        if collection == "workflow_approval_templates":
            raise Refused({"detail": f'Method "{method}" not allowed.'}, 405)
        row = self.objects.create(collection, data)
        if collection == "projects" and row["scm_type"]:
            self.jobs.update_project(row)
        return 201, self._shown(row)

    def _detail(self, method: str, collection: str, row: Row, data: Any) -> Answer:
        if method == "GET":
            return 200, self._shown(row)
        if method in ("PATCH", "PUT") and not RESOURCES[collection].read_only:
            before = dict(row)
            self.objects.change(collection, row, data)
            moved = any(before[key] != row[key] for key in ("scm_url", "scm_branch") if key in row)
            if collection == "projects" and row["scm_type"] and moved:
                self.jobs.update_project(row)
            return 200, self._shown(row)
        if method == "DELETE" and collection not in ("users", "instance_groups"):
            self.objects.delete(collection, row)
            return 204, None
        raise Refused({"detail": f'Method "{method}" not allowed.'}, 405)

    def _sub(self, method: str, collection: str, row: Row, name: str, query: Mapping[str, str], data: Any) -> Answer:
        if name in RESOURCES[collection].associations:
            if method == "GET":
                return self._page(self.objects.linked(row, name), query, f"{collection}/{row['id']}/{name}/")
            self.objects.link(row, name, data)
            return 204, None
        if (collection, name) in _SUBLISTS:
            other, field = _SUBLISTS[collection, name]
            rows = [each for each in self.objects.search(other, query) if each[field] == row["id"]]
            return self._page(rows, query, f"{collection}/{row['id']}/{name}/")
        if name not in _VERBS.get(collection, ()):
            raise missing()
        verb: Callable[[str, Row, Any], Answer] = getattr(self, f"_{name}")
        return verb(method, row, data)

    # -- verbs -----------------------------------------------------------------------------------------------------

    def _survey_spec(self, method: str, row: Row, data: Any) -> Answer:
        key = (self.objects.collection_of(row), row["id"])
        if method == "POST":
            rules.check_survey(data)
            self.objects.surveys[key] = data
        elif method == "DELETE":
            self.objects.surveys.pop(key, None)
        return 200, self.objects.surveys.get(key, {}) if method == "GET" else {}

    def _launch(self, method: str, row: Row, data: Any) -> Answer:
        collection = self.objects.collection_of(row)
        spec = self.objects.surveys.get((collection, row["id"]))
        if method == "GET":
            return 200, {
                "survey_enabled": row["survey_enabled"],
                "can_start_without_user_input": not row["survey_enabled"],
            }
        known = {
            "extra_vars",
            "inventory",
            "limit",
            "job_tags",
            "skip_tags",
            "scm_branch",
            "job_type",
            "verbosity",
            "diff_mode",
        }
        if unknown := set(data) - known:
            raise Refused({name: ["no such prompt"] for name in unknown})
        for name in set(data) - {"extra_vars"}:
            ask = f"ask_{'tags' if name == 'job_tags' else name}_on_launch"
            if not row.get(ask):
                raise Refused({name: ["Field is not configured to prompt on launch."]})
        given = data.get("extra_vars") or {}
        accepted, ignored = rules.answers(row, spec, mapping_of(given) if isinstance(given, str) else given)
        prompts = {name: value for name, value in data.items() if name != "extra_vars"}
        started = self.jobs.launch(row, accepted, prompts)
        answer = {
            **self._shown(started),
            "ignored_fields": {"extra_vars": {n: given[n] for n in ignored}} if ignored else {},
        }
        return 201, {**answer, "job" if collection == "job_templates" else "workflow_job": started["id"]}

    def _update(self, method: str, row: Row, _data: Any) -> Answer:
        if method == "GET":
            return 200, {"can_update": True}
        update = self.jobs.update_project(row) if row["type"] == "project" else self.jobs.update_inventory(row)
        return 202, self._shown(update)

    def _playbooks(self, _method: str, row: Row, _data: Any) -> Answer:
        return 200, row.get("playbook_files", [])

    def _cancel(self, method: str, row: Row, _data: Any) -> Answer:
        if method == "GET":
            return 200, {"can_cancel": row["finished"] is None}
        if row["finished"] is not None:
            raise Refused({"detail": 'Method "POST" not allowed.'}, 405)
        self.jobs.cancel(row)
        return 202, {}

    def _stdout(self, _method: str, row: Row, _data: Any) -> Answer:
        return 200, {"content": self.jobs.stdout(row["id"]), "range": {}}

    def _approve(self, method: str, row: Row, _data: Any) -> Answer:
        return self._decide(method, row, "successful")

    def _deny(self, method: str, row: Row, _data: Any) -> Answer:
        return self._decide(method, row, "failed")

    def _decide(self, method: str, row: Row, status: str) -> Answer:
        if method != "POST" or row["finished"] is not None:
            raise Refused({"error": "This workflow step has already been approved or denied."})
        row["approved_or_denied_by"] = self.username
        self.jobs.finish(row, status)
        return 204, None

    def _create_approval_template(self, method: str, row: Row, data: Any) -> Answer:
        if method != "POST" or row["unified_job_template"] is not None:
            raise Refused({"detail": "the node has a template already"})
        template = self.objects.create("workflow_approval_templates", data)
        row["unified_job_template"] = template["id"]
        return 201, self._shown(template)

    # -- views -----------------------------------------------------------------------------------------------------

    def _page(self, rows: Any, query: Mapping[str, str], path: str) -> Answer:
        rows, size, number = list(rows), min(int(query.get("page_size", 25)), 200), int(query.get("page", 1))
        if number > 1 and (number - 1) * size >= len(rows):
            raise Refused({"detail": "Invalid page."}, 404)
        more = number * size < len(rows)
        rest = "".join(f"&{key}={value}" for key, value in query.items() if key != "page")
        return 200, {
            "count": len(rows),
            "next": f"{API}{path}?page={number + 1}{rest}" if more else None,
            "previous": f"{API}{path}?page={number - 1}{rest}" if number > 1 else None,
            "results": [self._shown(row) for row in rows[(number - 1) * size : number * size]],
        }

    def _shown(self, row: Row) -> Row:
        collection = self.objects.collection_of(row)
        url = f"{API}{collection}/{row['id']}/"
        related, summary = {}, {}
        for name, field in RESOURCES[collection].fields.items():
            for target in field.to:
                if row[name] in self.objects.rows[target]:
                    other = self.objects.rows[target][row[name]]
                    related[name] = f"{API}{target}/{other['id']}/"
                    summary[name] = {
                        key: other[key] for key in ("id", "name", "type", "status", "kind") if key in other
                    }
        names = (
            *RESOURCES[collection].associations,
            *_VERBS.get(collection, ()),
            *(s for c, s in _SUBLISTS if c == collection),
        )
        related |= {name: f"{url}{name}/" for name in names}
        if collection == "projects" and (update := self.jobs.updating(row)):
            summary["current_update"] = {"id": update["id"], "status": update["status"]}
        shown = self.objects.hidden(row)
        shown.pop("playbook_files", None)
        return {**shown, "url": url, "related": related, "summary_fields": summary}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        awx = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _respond(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                try:
                    data = json.loads(body) if body else None
                    query = dict(parse_qsl(parts.query, keep_blank_values=True))
                    authorization = self.headers.get("Authorization", "")
                    status, answer = awx.answer(self.command, parts.path, query, data, authorization)
                except Refused as refused:
                    status, answer = refused.status, refused.body
                except ValueError as error:
                    status, answer = 400, {"detail": f"JSON parse error - {error}"}
                text = b"" if status == 204 else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("X-API-Product-Name", "AWX")
                self.send_header("X-API-Product-Version", VERSION)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _respond  # noqa: N815 - the base class's names

            def log_message(self, *_arguments: object) -> None:
                """Nothing: clients see every answer."""

        return Handler


def _managed(objects: Objects) -> None:
    """The credential types that come with AWX, as far as the playbook uses them."""
    password = {"id": "password", "label": "Password", "type": "string", "secret": True}
    username = {"id": "username", "label": "Username", "type": "string"}
    controller = [
        {"id": "host", "label": "Red Hat Ansible Automation Platform", "type": "string"}, username, password,
        {"id": "oauth_token", "label": "OAuth Token", "type": "string", "secret": True},
        {"id": "verify_ssl", "label": "Verify SSL", "type": "boolean"},
    ]  # fmt: skip
    names = {"HOST": "host", "USERNAME": "username", "PASSWORD": "password", "OAUTH_TOKEN": "oauth_token",
             "VERIFY_SSL": "verify_ssl"}  # fmt: skip
    variables = {f"CONTROLLER_{name}": f"{{{{ {field} }}}}" for name, field in names.items()}
    rows = {
        "Source Control": ("net", [username, password], {}),
        "Container Registry": ("net", [{"id": "host", "label": "Authentication URL"}, username, password], {}),
        "Red Hat Ansible Automation Platform": ("cloud", controller, variables),
    }
    for name, (kind, fields, env) in rows.items():
        data = {"name": name, "kind": kind, "inputs": {"fields": fields}, "injectors": {"env": env}}
        objects.create("credential_types", data, {"managed": True})
