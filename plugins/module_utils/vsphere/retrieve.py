# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bulk reads: RetrievePropertiesEx with explicit paths, its pages followed, the answer parsed as it arrives.

pyvmomi builds a typed object for every value, which costs more than the server's work: 1,000 VMs with 15 paths take
0.6 s with it and 0.3 s with the parser below. Requests and faults still go through pyvmomi.
"""

from __future__ import annotations

import functools
import gzip
import http.client
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

from ..model.errors import PhotonError
from . import api, faults
from .session import CONVERSATION_ERRORS, Session

_NS = "{urn:vim25}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_SIMPLE = frozenset({"", "ManagedObjectReference", "string", "int", "long", "short", "byte", "boolean", "anyURI"})
Row = tuple[str, str, dict[str, Any]]


def from_view(session: Session, paths: Mapping[str, list[str]]) -> list[Row]:
    """Read everything of these types below the root folder: ``[(type, moid, {path: value})]``; one call per page.

    A value is a string, a list, or an Element (a data object, see ``text`` and ``children``); unset paths are absent.
    The first read of a session makes the container view (one more call).
    """
    try:
        return _from_view(session, paths)
    except PhotonError as error:
        if error.data.get("fault") != "ManagedObjectNotFound" or session.view is None:
            raise
        session.view = None  # it ended with a session that the server closed
        return _from_view(session, paths)


def from_objects(session: Session, kind: str, moids: Iterable[str], paths: list[str]) -> list[Row]:
    """Read the paths of these objects of one type in one call; objects that do not exist are omitted."""
    collector = api.load().vmodl.query.PropertyCollector
    objects = [collector.ObjectSpec(obj=session.reference(kind, moid)) for moid in moids]
    if not objects:
        return []
    return _retrieve(
        session,
        f"read of {len(objects)} objects of type {kind} on {session.spec.where}",
        objects,
        {kind: paths},
        missing_allowed=True,
    )


def text(element: Any, path: str, default: str = "") -> str:
    """Return the text at ``path`` (``backing/fileName``) inside a data object."""
    found = child(element, path)
    return default if found is None else found.text or default


def child(element: Any, path: str) -> Any:
    """Return the data object at ``path`` inside another, or None."""
    return element.find(_qualified(path))


def children(element: Any, tag: str) -> list[Any]:
    """Return the entries of a list inside a data object."""
    return element.findall(_NS + tag)


def is_object(value: Any) -> bool:
    """Return whether a value is a data object; an unset one is None or an empty string."""
    return isinstance(value, ElementTree.Element)


def type_of(element: Any) -> str:
    """Return the data object's type name (``VirtualDisk``)."""
    return element.get(_TYPE, "").rsplit(":", 1)[-1]


def fault(what: str, element: Any, name: str, message: str = "") -> PhotonError:
    """Translate a fault's element; ``name`` and ``message`` count where it has none itself."""
    gone, target = child(element, "obj"), child(element, "object")
    return faults.from_name(
        what,
        type_of(element) or name,
        faults.Details(
            message=message or text(element, "reason"),
            item=next((text(element, tag) for tag in faults.ITEM_FIELDS if text(element, tag)), ""),
            gone="" if gone is None else gone.get("type", ""),
            state=text(element, "existingState"),
            privilege=text(element, "privilegeId"),
            target="" if target is None else f"{target.get('type', '')} {target.text}",
        ),
    )


@functools.cache
def _qualified(path: str) -> str:
    return "/".join(_NS + part for part in path.split("/"))


def _from_view(session: Session, paths: Mapping[str, list[str]]) -> list[Row]:
    loaded = api.load()
    collector = loaded.vmodl.query.PropertyCollector
    what = f"read of endpoint {session.spec.where}"
    if session.view is None:
        session.view = session.call(
            what,
            session.content.viewManager.CreateContainerView,
            session.content.rootFolder,
            [loaded.vim.ManagedEntity],
            True,
            read=True,
        )
    walk = collector.TraversalSpec(name="view", path="view", skip=False, type=loaded.vim.view.ContainerView)
    start = collector.ObjectSpec(obj=session.view, skip=True, selectSet=[walk])
    return _retrieve(session, what, [start], paths)


def _retrieve(
    session: Session, what: str, objects: list[Any], paths: Mapping[str, list[str]], missing_allowed: bool | None = None
) -> list[Row]:
    loaded = api.load()
    collector = loaded.vmodl.query.PropertyCollector
    properties = [
        collector.PropertySpec(type=loaded.support.GetWsdlType("urn:vim25", kind), pathSet=list(each))
        for kind, each in paths.items()
    ]
    spec = collector.FilterSpec(objectSet=objects, propSet=properties, reportMissingObjectsInResults=missing_allowed)
    rows, token = _page(session, what, "RetrievePropertiesEx", [[spec], collector.RetrieveOptions()])
    while token:
        more, token = _page(session, what, "ContinueRetrievePropertiesEx", [token])
        rows += more
    return rows


def _page(session: Session, what: str, method: str, args: list[Any]) -> tuple[list[Row], str]:
    return session.call(what, lambda: _ask(session, what, method, args), read=True)


def _ask(session: Session, what: str, method: str, args: list[Any]) -> tuple[list[Row], str]:
    """Make one call and parse its answer. The connection returns to the pool only when the answer was read whole."""
    stub = session.stub
    collector = session.content.propertyCollector
    info = type(collector)._GetMethodInfo(method)  # pylint: disable=protected-access
    request = stub.SerializeRequest(collector, info, args)
    session.count()
    connection = stub.GetConnection()
    try:
        connection.request(
            "POST",
            "/sdk",
            request,
            {
                "Cookie": stub.cookie,
                "SOAPAction": stub.versionId,
                "Content-Type": "text/xml; charset=UTF-8",
                "Accept-Encoding": "gzip",
            },
        )
        response = connection.getresponse()
        body = gzip.GzipFile(fileobj=response) if response.getheader("Content-Encoding") == "gzip" else response
        if response.status != 200:
            raise _refusal(what, response.status, body.read())
        rows, token = _parse(body)
        response.read()
    except ElementTree.ParseError as error:
        connection.close()
        raise OSError(f"the answer is incomplete: {error}") from error
    except (PhotonError, *CONVERSATION_ERRORS):
        connection.close()
        raise
    stub.ReturnConnection(connection)
    return rows, token


def _refusal(what: str, status: int, body: bytes) -> Exception:
    """Return the SOAP fault of a refused call, or an HTTPException that begins with the status."""
    try:
        found = next(each for each in ElementTree.fromstring(body).iter("detail"))[0]
    except (ElementTree.ParseError, StopIteration, IndexError):
        return http.client.HTTPException(f"{status} {body[:200].decode(errors='replace')}")
    return fault(what, found, found.tag.rsplit("}", 1)[-1].removesuffix("Fault"))


def _parse(body: Any) -> tuple[list[Row], str]:
    """Return rows and the continuation token of a RetrieveResult; each object's elements are freed once it is read."""
    rows: list[Row] = []
    token = ""
    for _event, element in ElementTree.iterparse(body):
        if element.tag == _NS + "objects":
            reference = element[0]
            values = {}
            for each in element[1:]:
                if each.tag == _NS + "propSet" and len(each) > 1:  # the name, and the value where there is one
                    values[each[0].text] = _value(each[1])
            rows.append((reference.get("type", ""), reference.text or "", values))
            element.clear()
        elif element.tag == _NS + "token":
            token = element.text or ""
    return rows, token


def _value(element: Any) -> Any:
    kind = element.get(_TYPE, "")
    if "ArrayOf" in kind:
        return [each if len(each) or type_of(each) not in _SIMPLE else each.text or "" for each in element]
    return element if len(element) else element.text or ""
