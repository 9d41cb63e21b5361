"""A small HTTP(S) server for a few read-only pages: metrics, health, a page for people.

Here: sockets, connections, request and answer. What the pages say is their own modules' matter; certificates are ``tls``'s.

A connection carries one request. Nothing that a client does or omits holds up another: the TLS handshake runs in the connection's
own thread, every connection has a deadline, and of too many the oldest is closed.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from observer.model.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from observer.sinks.tls import Certificates

CONNECTIONS = 64
"""Connections served at once; one more closes the oldest."""

DEADLINE = 10.0
"""Seconds from accepting a connection to the end of its answer; Prometheus itself gives up after as long by default."""

LOOK = 0.5
"""Seconds between two looks at the deadlines, while there are connections."""

TEXT = "text/plain; charset=utf-8"

METRICS = "text/plain; version=0.0.4; charset=utf-8"
"""The text format that every Prometheus reads."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every answer; an answer may replace them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says."""

    body: bytes
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A page: from the request's Accept header to an answer, asked in the connection's own thread."""

    answer: Callable[[str], Answer]
    public: bool = False
    """Answered without a client certificate too: the kubelet's probes have none to show."""


def exposition(registry: CollectorRegistry) -> Callable[[str], Answer]:
    """/metrics: OpenMetrics for who asks for it, with exemplars, else the text format."""

    def answer(accept: str) -> Answer:
        kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
        if "application/openmetrics-text" in kinds:
            body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # the library gives it no types
            return Answer(body, openmetrics.CONTENT_TYPE_LATEST)
        return Answer(generate_latest(registry), METRICS)

    return answer


class Server:
    """Serves routes at an address until closed, in threads that do not keep the process alive."""

    def __init__(
        self,
        host: str,
        port: int,
        routes: Mapping[str, Route],
        certificates: Certificates | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """Listen at ``host``, on all addresses of both families when it is empty. Raises SourceError."""
        self._server = _listening(host, port, routes, certificates, deadline)
        self._thread = threading.Thread(target=self._server.work, name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens: the kernel's choice for port 0."""
        return int(self._server.socket.getsockname()[1])

    def close(self) -> None:
        """Stop listening; answers under way are finished."""
        self._server.closing = True
        # Which wakes the thread that waits for somebody to ask.
        self._server.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.server_close()


def _listening(
    host: str, port: int, routes: Mapping[str, Route], certificates: Certificates | None, deadline: float
) -> _Listener:
    hosts = [host] if host else ["::", "0.0.0.0"]  # noqa: S104 - the operator did not name an address
    where = f"listen {f'[{host}]' if ':' in host else host}:{port}"
    for candidate in hosts:
        try:
            return _Listener(candidate, port, routes, certificates, deadline)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SourceError(f"{where}: the port is in use; choose another with --listen") from error
            if candidate == hosts[-1]:
                raise SourceError(f"{where}: {error.strerror or error}") from error
    raise AssertionError(hosts)


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, host: str, port: int, routes: Mapping[str, Route], certificates: Certificates | None, deadline: float
    ) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        self.routes = routes
        self.deadline = deadline
        self.closing = False
        self._certificates = certificates
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)  # type: ignore[arg-type]  # IPv6 addresses have four parts

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept, and never wait for what the client says first."""
        connection, address = super().get_request()
        connection.settimeout(self.deadline)
        if self._certificates is not None:
            try:
                connection = self._certificates.context().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            except OSError:
                # It is gone already. handle_request takes an OSError for a client that left before it was accepted.
                connection.close()
                raise
        with self._lock:
            self._open[connection] = time.monotonic()
            if len(self._open) > CONNECTIONS:
                _break(next(iter(self._open)))
        return connection, address

    def work(self) -> None:
        """Serve until ``closing``. Where nobody is connected it sleeps: to wake for nothing all day long costs the node."""
        while not self.closing:
            self.timeout = LOOK if self._open else None
            self.handle_request()
            self._hang_up()

    def _hang_up(self) -> None:
        """Break connections that are past their deadline, however slowly they still talk."""
        begun = time.monotonic() - self.deadline
        with self._lock:
            for connection, since in self._open.items():
                if since < begun:
                    _break(connection)

    def close_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a connection that broke is its client's matter, and must not fill the log."""


def _break(connection: socket.socket) -> None:
    """Let the thread that reads or writes find the connection closed; past TLS, whose own shutdown is for that thread only."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    server_version = "vrrp-observer"
    sys_version = ""

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse in our own words, not in the library's HTML; it says 501 for every method without a handler."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self._send(_refusal(status, ("Allow", "GET, HEAD") if status is HTTPStatus.METHOD_NOT_ALLOWED else None))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is http.server's
        """Nothing: clients' addresses are not written anywhere."""

    def _serve(self) -> None:
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            self._send(_refusal(HTTPStatus.NOT_FOUND))
        elif not route.public and isinstance(self.request, ssl.SSLSocket) and self._anonymous(self.request):
            self._send(_refusal(HTTPStatus.FORBIDDEN))
        else:
            self._send(route.answer(self.headers.get("Accept", "")))

    @staticmethod
    def _anonymous(connection: ssl.SSLSocket) -> bool:
        """Whether a client certificate was asked for and none was shown; a wrong one has not come as far as this."""
        return connection.context.verify_mode != ssl.CERT_NONE and connection.getpeercert(binary_form=True) is None

    def _send(self, answer: Answer) -> None:
        body = answer.body
        headers = {**HEADERS, "Content-Type": answer.content_type, **dict(answer.headers)}
        # A request that could not be parsed has no headers.
        if "gzip" in getattr(self, "headers", {}).get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept, Accept-Encoding"}
        self.close_connection = True
        self.send_response(answer.status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _refusal(status: HTTPStatus, header: tuple[str, str] | None = None) -> Answer:
    return Answer(f"{status.value} {status.phrase}\n".encode(), status=status, headers=() if header is None else (header,))
