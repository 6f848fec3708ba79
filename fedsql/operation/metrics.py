"""What a coordinator, a party or a gateway tells Prometheus: numbers for whoever runs it, without a word of any question or answer.

docs/deploy.md and docs/gateway.md say what each means. The registry is the service's own: two services in one process do not meet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

import fedsql
from fedsql.errors import OperationalError
from fedsql.executors.services.coordinator import CoordinatorService
from fedsql.executors.services.party import PartyService
from fedsql.serving import Gateway

OUTCOMES = ("answered", "refused", "failed", "cancelled", "consulted")
_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)  # seconds


class Metrics:
    """The metrics of one service. ``ended`` and ``reloaded`` are told what happens, all else is read when asked for."""

    def __init__(self, service: PartyService | CoordinatorService | Gateway) -> None:
        self._registry = CollectorRegistry()
        self._now = _Now(service)
        self._registry.register(self._now)
        ProcessCollector(registry=self._registry)
        if isinstance(service, PartyService | CoordinatorService):
            questions = Counter(
                "fedsql_questions", "Questions that ended here, by outcome", ["outcome"], registry=self._registry
            )
            self._questions = {outcome: questions.labels(outcome) for outcome in OUTCOMES}  # there from the start
            self._seconds = Histogram(
                "fedsql_answer_seconds",
                "Seconds that an answered question took here",
                buckets=_BUCKETS,
                registry=self._registry,
            )
            service.observe(self.ended)

    def ended(self, outcome: str, seconds: float) -> None:
        """Count a question that ended; ``outcome`` is one of OUTCOMES."""
        self._questions[outcome].inc()
        if outcome == "answered":
            self._seconds.observe(seconds)

    def reloaded(self, success: bool) -> None:
        """Keep how the last reading of the files went."""
        self._now.reload = success, time.time()

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)


class _Now:
    """Collects how the service stands at the moment of a scrape."""

    def __init__(self, service: PartyService | CoordinatorService | Gateway) -> None:
        self._service = service
        self._start = time.time()
        self.reload = True, self._start

    def collect(self) -> Iterator[Metric]:
        service = self._service
        about = {"role": service.role, "name": service.name, "version": fedsql.__version__}
        yield InfoMetricFamily("fedsql", "Which service this is, of which version", value=about)
        yield _gauge("start_time_seconds", "When it started, in seconds since 1970", self._start)
        yield _gauge("healthy", "1 when /healthz says ok, else 0", service.unhealthy() is None)
        success, when = self.reload
        yield _gauge("last_reload_success", "1 when the files could be used when last read, else 0", success)
        yield _gauge("last_reload_time_seconds", "When the files were last read, in seconds since 1970", when)
        if not isinstance(service, PartyService) and (ends := service.certificate_expiry()) is not None:
            yield _gauge(
                "certificate_expiry_time_seconds", "When the TLS certificate ends, in seconds since 1970", ends
            )
        if not isinstance(service, PartyService | CoordinatorService):
            yield _gauge("sessions", "Sessions of clients that are open now", service.connected())
            return
        received, sent = service.traffic()
        yield _counter("received_bytes", "Bytes of messages received", received)
        yield _counter("sent_bytes", "Bytes of messages sent", sent)
        yield from _connected(service.present())
        running, queued = service.load()
        if isinstance(service, PartyService):
            yield _gauge("fragments_running", "Queries that run in the party's database now", running)
            yield _gauge("fragments_queued", "Queries that wait for their turn there", queued)
            with suppress(OperationalError):  # fedsql_healthy is 0 then
                charges, entries = service.entries()
                yield _counter("ledger_charges", "Attempts of questions that were ever charged", charges)
                yield _counter("audit_entries", "Entries of the audit log", entries)
        else:
            yield _gauge("questions_running", "Questions that are under way now", running)
            yield _gauge("questions_queued", "Questions that wait for their turn", queued)


def _connected(present: Mapping[str, bool]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "fedsql_connected", "1 when this participant is connected, else 0", labels=["participant"]
    )
    for name, there in present.items():
        family.add_metric([name], there)
    yield family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"fedsql_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fedsql_{name}", text, value=value)
