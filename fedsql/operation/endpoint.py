"""The opt-in port of a coordinator, a party or a gateway for whoever runs it: /healthz, and /metrics for Prometheus.

Plain HTTP without a password: it tells nothing of questions or data, but who is connected and how busy it is. So it is
on this machine alone unless another address is given.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fedsql.errors import ConfigError
from fedsql.executors.transport.address import Address

if TYPE_CHECKING:
    from fedsql.executors.services.coordinator import CoordinatorService
    from fedsql.executors.services.party import PartyService
    from fedsql.operation.metrics import Metrics
    from fedsql.serving import Gateway

_log = logging.getLogger("fedsql.service")
_HERE = "127.0.0.1"
_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus's text format
_SLOW = 10.0  # seconds that a client may take


class Endpoint:
    """Listens at ``where`` (HOST:PORT, or a port of this machine alone; 0 takes a free one) until it is closed.

    Raises ConfigError when it cannot, or when prometheus_client is not installed.
    """

    def __init__(self, where: str) -> None:
        try:
            from fedsql.operation.metrics import Metrics
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "prometheus_client":
                raise
            raise ConfigError(
                "--operations: needs prometheus_client, which is not installed",
                hint="pip install 'fedsql[operations]'",
            ) from None
        self._metrics_of = Metrics
        host, port = _parse(where)
        try:
            self._server = _Server(host, port)
        except OSError as error:
            raise ConfigError(f"--operations: {where}: cannot listen here: {error.strerror or error}") from None
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="fedsql-operations", daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT where it listens."""
        host, port = self._server.server_address[:2]
        shown = str(host)
        return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"

    def watch(self, service: PartyService | CoordinatorService | Gateway) -> Callable[[bool], None]:
        """Begin to answer for ``service``; return what wants to know whether its files could be read again."""
        self._server.service, self._server.metrics = service, self._metrics_of(service)
        self._thread.start()
        _log.info("http://%s/healthz and /metrics are served", self.address)
        return self._server.metrics.reloaded

    def close(self) -> None:
        """Stop listening."""
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Server(ThreadingMixIn, TCPServer):
    """One thread for each request, none of which keeps the process alive."""

    daemon_threads = True
    allow_reuse_address = True
    service: PartyService | CoordinatorService | Gateway
    metrics: Metrics

    def __init__(self, host: str, port: int) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell the log, not standard error, what went wrong in a request."""
        _log.debug("a request for /healthz or /metrics failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of the two paths."""

    server: _Server
    timeout = _SLOW

    def do_GET(self) -> None:
        """Answer with the whole."""
        path = self.path.partition("?")[0]
        if path == "/healthz":
            reason = self.server.service.unhealthy()
            self._answer(200 if reason is None else 503, reason or "ok")
        elif path == "/metrics":
            self._answer(200, self.server.metrics.text(), _METRICS)
        else:
            self._answer(404, "there are /healthz and /metrics")

    do_HEAD = do_GET

    def version_string(self) -> str:
        """Say no versions."""
        return "fedsql"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a scrape every few seconds is no event."""

    def _answer(self, status: int, body: str | bytes, kind: str = _TEXT) -> None:
        data = body if isinstance(body, bytes) else f"{' '.join(body.split())}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _parse(where: str) -> tuple[str, int]:
    try:
        address = Address.parse(f"grpc+tls://{_HERE}:{where}" if where.isdecimal() else f"grpc+tls://{where}")
    except ConfigError:
        raise ConfigError(
            f"--operations: {where}: write HOST:PORT, or a port for this machine alone, such as 9464"
        ) from None
    return address.host, address.port
