# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One session with one endpoint: log in, call, count, log out."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers.expat import ExpatError

from ..model.errors import PhotonError
from . import api, faults, tls
from .rows import EndpointSpec

CONVERSATION_ERRORS = (OSError, http.client.HTTPException, ExpatError)
_BUSY_WAITS = (0.2, 0.5, 1.0, 2.0)
_LAST_WAIT = 5.0  # seconds for the logout from an endpoint that stopped answering


def connect(spec: EndpointSpec) -> Session:
    """Log in: two SOAP calls. Use the session as a context manager; it always logs out.

    Raises EndpointUnreachable, EndpointCertificateError, InvalidLoginCredentials or MissingLibrary.
    """
    session = Session(spec)
    try:
        session.login()
    except BaseException:
        session.drop()
        raise
    return session


class Session:
    """``calls`` counts SOAP calls, ``content`` is the ServiceContent, ``stub`` pyvmomi's adapter (thread-safe).

    ``guard`` is called before every call that is not a read, and before every piece of an upload; it stops the run by
    raising. It is called by several threads.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        self.spec = spec
        self.guard: Callable[[], None] | None = None
        self.stopped = False  # the guard raised
        self.interruption: Any = None  # its level: 1, begin nothing more; 2, do not wait for what is under way either
        self.calls = 0
        self.content: Any = None
        self.view: Any = None  # the container view over everything, made by the first bulk read
        self.policies: Any = None  # the storage policies, read by the first that asks for them
        self.datacenter_paths: dict[str, str] = {}  # by moid, as URLs of files name them
        self._silence = ""  # why the endpoint counts as not answering; nothing is sent to it from then on
        self._logged_in = False
        self._logins = 0
        self._logging_in = threading.Lock()
        self._counting = threading.Lock()
        self._context = tls.context_for(spec)
        self._thumbprint = tls.normalize(spec.thumbprint)
        self.stub = _stub(self, api.load().version)
        self._newer: Any = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def is_vcenter(self) -> bool:
        return self.content.about.apiType == "VirtualCenter"

    def reference(self, kind: str, moid: str) -> Any:
        """Return a managed object of this endpoint: ``reference("VirtualMachine", "vm-12")``."""
        return api.reference(kind, moid, self.stub)

    @property
    def first_class_disks(self) -> Any:
        """The manager of first-class disks, asked in the API version that knows their metadata."""
        if self._newer is None:
            self._newer = _stub(self, api.load().support.versionMap[api.METADATA_VERSION], shared=True)
        return api.reference("VcenterVStorageObjectManager", self.content.vStorageObjectManager._moId, self._newer)

    def login(self) -> None:
        """Log in."""
        vim = api.load().vim
        where = f"endpoint {self.spec.where}"
        with self.stub.new_cookie():
            if self.content is None:
                instance = vim.ServiceInstance("ServiceInstance", self.stub)
                try:
                    self.content = self.call(where, instance.RetrieveContent, read=True)
                except PhotonError as error:
                    if error.data.get("fault") not in ("InvalidRequest", "NotSupported"):
                        raise
                    self._negotiate(where, error)
                    self.content = self.call(where, instance.RetrieveContent, read=True)
            self.call(
                f"{where}: login of {self.spec.username!r}",
                self.content.sessionManager.Login,
                self.spec.username,
                self.spec.password,
                read=True,
            )
        self._logged_in = True

    def call(self, what: str, function: Callable[..., Any], *args: Any, read: bool = False) -> Any:
        """Invoke a method of a managed object. ``what`` names the item in errors.

        A read is repeated once when the connection drops. A write is not: its error carries ``unknown: true`` in
        ``data``, and the caller looks before it does it again. A call that the server refused as busy is repeated
        (0.2 to 2 s apart), and once after a new login when the session had ended: neither had any effect. After a call
        that got no answer within the endpoint's timeout, all later calls of the session fail at once.
        """
        waits = iter(_BUSY_WAITS)
        fresh_logins = 0 if self.stub.login_thread == threading.get_ident() else 1
        fresh_connections = 1 if read else 0
        while True:
            generation = self._logins
            if self._silence:
                raise self._not_sent(what)
            if not read:
                self.check_guard()
            try:
                return self._guarded(what, read, function, args)
            except PhotonError as error:
                if error.data.get("fault") == "NotAuthenticated" and fresh_logins and self._logged_in:
                    fresh_logins -= 1
                    self._login_again(generation)
                elif error.data.get("dropped") and fresh_connections and not self._silence:
                    fresh_connections -= 1
                elif error.data.get("fault") in faults.BUSY and (wait := next(waits, None)) is not None:
                    time.sleep(wait)
                else:
                    raise

    def check_guard(self) -> None:
        """Call the guard before something is changed; notes in ``stopped`` that it raised."""
        if self.guard is not None:
            try:
                self.guard()
            except BaseException:
                self.stopped = True
                raise

    def interrupted(self) -> int:
        """Return the level of the interruption; 0 without one."""
        return self.interruption.level if self.interruption is not None else 0

    def connection(self, host: str = "", port: int = 0, thumbprint: str = "") -> tls.Connection:
        """Open an HTTPS connection to the endpoint, or to a host of it by the certificate that the endpoint names."""
        same = not host or host == self.spec.address
        context, pin = self._context, self._thumbprint
        if not same and thumbprint and self.spec.verify:
            pin = tls.normalize(thumbprint)
            context = tls.unverified()
        longest = _LAST_WAIT if self._silence else float("inf")
        return tls.Connection(
            host or self.spec.address,
            port or self.spec.port,
            context=context,
            thumbprint=pin,
            connect_timeout=min(self.spec.connect_timeout, longest),
            read_timeout=min(self.spec.timeout, longest),
        )

    @property
    def cookie(self) -> str:
        """The session cookie as the datastores' HTTP access takes it."""
        return self.stub.cookie.split(";")[0]

    def count(self) -> None:
        with self._counting:
            self.calls += 1

    def give_up(self, reason: str) -> None:
        """Send nothing more: the endpoint does not answer, and each further call would wait as long again."""
        self._silence = reason

    def close(self) -> None:
        """Log out. An endpoint that stopped answering gets a few seconds for it: it ends idle sessions itself."""
        if self._logged_in:
            self._logged_in = False
            if self._silence:
                self.drop()
            with contextlib.suppress(PhotonError):
                self._guarded(f"endpoint {self.spec.where}: logout", True, self.content.sessionManager.Logout)
        self.drop()

    def drop(self) -> None:
        for stub in (self.stub, self._newer):
            if stub is not None:
                stub.DropConnections()

    def _negotiate(self, where: str, refused: PhotonError) -> None:
        """Use the newest API version that both sides know: this server does not speak the one asked for."""
        connection = self.connection()
        try:
            connection.request("GET", "/sdk/vimServiceVersions.xml")
            text = connection.getresponse().read().decode("utf-8", "replace")
        except CONVERSATION_ERRORS as error:
            raise tls.failure(self.spec.where, error, {"endpoint": self.spec.name}) from error
        finally:
            connection.close()
        version = api.newest_common(re.findall(r"<version>([\d.]+)</version>", text))
        if version is None:
            raise PhotonError(
                "EndpointUnreachable",
                f"{where}: pyvmomi knows none of its API versions from "
                "6.7 on; install a newer pyvmomi, or upgrade the endpoint to vSphere 6.7 or later",
                {"endpoint": self.spec.name},
            ) from refused
        self.stub.ComputeVersionInfo(version)

    def _login_again(self, generation: int) -> None:
        """Log in once, however many threads met the end of the old session."""
        with self._logging_in:
            if self._logins == generation:
                self.login()
                self._logins += 1

    def _guarded(self, what: str, read: bool, function: Callable[..., Any], args: tuple[Any, ...] = ()) -> Any:
        vmodl = api.load().vmodl
        try:
            return function(*args)
        except vmodl.MethodFault as fault:
            raise faults.from_exception(what, fault) from fault
        except http.client.HTTPException as error:
            if str(error).startswith("503"):  # refused by the proxy in front of the service: nothing was done
                raise faults.from_name(what, "ServiceUnavailable", faults.Details(str(error))) from error
            raise self._dropped(what, read, error) from error
        except (OSError, ExpatError) as error:
            raise self._dropped(what, read, error) from error

    def _dropped(self, what: str, read: bool, error: Exception) -> PhotonError:
        reason = str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            reason = f"no answer within {self.spec.timeout:g} s"
            self.give_up(reason)
        after = "run again" if read else "it may have been done: run again, and it is found by its uuid"
        return PhotonError(
            "EndpointUnreachable",
            f"{what}: the connection to {self.spec.where} broke before the answer came ({reason}); {after}",
            {"reason": reason, "dropped": True, "unknown": not read, "what": what},
        )

    def _not_sent(self, what: str) -> PhotonError:
        return PhotonError(
            "EndpointUnreachable",
            f"{what}: not started, because {self.spec.where} stopped answering "
            f"({self._silence}); check the endpoint, then run again",
            {"reason": self._silence, "unknown": False, "what": what},
        )


def _stub(session: Session, version: str, *, shared: bool = False) -> Any:
    """Build pyvmomi's SOAP adapter with our connection and counter; connecting fails before anything was sent.

    ``shared``: a second one, on the login of the session's own.
    """
    loaded = api.load()

    class Stub(loaded.soap.SoapStubAdapter):
        login_thread: int | None = None
        _cookie = ""

        @property
        def cookie(self) -> str:
            return session.stub.cookie if shared else self._cookie

        @cookie.setter
        def cookie(self, value: str) -> None:
            # A late answer to a call of an ended session carries a cookie too: only a login may set one.
            if self.login_thread == threading.get_ident():
                self._cookie = value

        @contextlib.contextmanager
        def new_cookie(self) -> Iterator[None]:
            """Let this thread log in. It starts without a cookie: a login on an ended session would be refused."""
            self.login_thread, self._cookie = threading.get_ident(), ""
            try:
                yield
            finally:
                self.login_thread = None

        def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:  # noqa: N802, N803
            session.count()
            return super().InvokeMethod(mo, info, args, outerStub)

        def GetConnection(self) -> Any:  # noqa: N802
            try:
                return super().GetConnection()
            except CONVERSATION_ERRORS as error:
                if isinstance(error, TimeoutError):
                    session.give_up(f"no connection within {session.spec.connect_timeout:g} s")
                raise tls.failure(session.spec.where, error, {"endpoint": session.spec.name}) from error

    stub = Stub(
        host=session.spec.address,
        port=session.spec.port,
        version=version,
        poolSize=10,
        connectionPoolTimeout=30,
    )
    stub.scheme = session.connection
    return stub
