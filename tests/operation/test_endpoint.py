"""/healthz and /metrics: what whoever runs a coordinator or a party can watch, and what they cannot."""

import errno
import re
import socket
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from fedsql.cli import app
from fedsql.errors import ConfigError, DatabaseError
from fedsql.executors.roles.releases import Releases
from fedsql.operation.endpoint import Endpoint

SQL = "SELECT health, COUNT(DISTINCT person) AS n FROM patients GROUP BY health"
EVERYBODY = {
    "fedsql_info",
    "fedsql_start_time_seconds",
    "fedsql_healthy",
    "fedsql_questions",
    "fedsql_questions_created",
    "fedsql_answer_seconds",
    "fedsql_answer_seconds_created",
    "fedsql_last_reload_success",
    "fedsql_last_reload_time_seconds",
    "fedsql_received_bytes",
    "fedsql_sent_bytes",
    "fedsql_connected",
}
PARTYS = {"fedsql_fragments_running", "fedsql_fragments_queued", "fedsql_ledger_charges", "fedsql_audit_entries"}
COORDINATORS = {"fedsql_questions_running", "fedsql_questions_queued", "fedsql_certificate_expiry_time_seconds"}


def get(endpoint: Endpoint, path: str, method: str = "GET") -> tuple[HTTPResponse, str]:
    host, _, port = endpoint.address.rpartition(":")
    with closing(HTTPConnection(host.strip("[]"), int(port), timeout=20)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read().decode()


class Metrics:
    """A scrape, by (name, value of its only label)."""

    def __init__(self, endpoint: Endpoint) -> None:
        response, self.text = get(endpoint, "/metrics")
        assert response.status == 200
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}

    def __getitem__(self, key: str | tuple[str, str]) -> float:
        name, label = (key, None) if isinstance(key, str) else key
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and (label is None or label in sample.labels.values())
        ]
        assert len(found) == 1, (key, found)
        return found[0]

    @property
    def own(self) -> set[str]:
        return {name for name in self.families if name.startswith("fedsql_")}


@pytest.fixture
def watching():
    """Watch a service at a free port; everything is closed at the end."""
    opened: list[Endpoint] = []

    def watch(service: object) -> Endpoint:
        opened.append(Endpoint("0"))
        opened[-1].watch(service)
        return opened[-1]

    yield watch
    for endpoint in opened:
        endpoint.close()


def test_what_is_counted(running, watching, monkeypatch):
    hub, north = watching(running.coordinator), watching(running.parties["north"])
    before = Metrics(north)
    assert (before.own, Metrics(hub).own) == (EVERYBODY | PARTYS, EVERYBODY | COORDINATORS)
    assert before["fedsql_questions_total", "answered"] == before["fedsql_ledger_charges_total"] == 0
    with closing(running.session()) as session:
        session.execute(SQL)
        session.execute("SHOW BUDGET")
        session.execute("SELECT SUM(visits) AS v FROM patients")
        with monkeypatch.context() as patch:
            patch.setattr(Releases, "run", lambda self, release: 1 / 0)
            with pytest.raises(DatabaseError):
                session.execute(SQL)
    running.coordinator.drain(20)
    running.parties["north"].drain(20)
    after, at_hub = Metrics(north), Metrics(hub)
    for scrape in (after, at_hub):
        assert scrape["fedsql_questions_total", "answered"] == scrape["fedsql_answer_seconds_count"] == 2
        assert scrape["fedsql_questions_total", "consulted"] == 1
        assert scrape["fedsql_questions_total", "refused"] == 0
        assert scrape["fedsql_received_bytes_total"] > 1_000 < scrape["fedsql_sent_bytes_total"]
    assert after["fedsql_questions_total", "failed"] + after["fedsql_questions_total", "cancelled"] == 1
    assert at_hub["fedsql_questions_total", "cancelled"] == 1
    assert after["fedsql_ledger_charges_total"] == 3
    assert after["fedsql_audit_entries_total"] >= 1 + 2 * 2 + 1
    assert [at_hub["fedsql_connected", name] for name in ("north", "south")] == [1, 1]
    assert at_hub["fedsql_questions_running"] == at_hub["fedsql_questions_queued"] == 0
    assert after["fedsql_fragments_running"] == after["fedsql_fragments_queued"] == 0
    assert at_hub["fedsql_certificate_expiry_time_seconds"] > at_hub["fedsql_start_time_seconds"] + 3e8


def test_nothing_of_questions_answers_or_analysts_is_told(running, watching):
    endpoints = [watching(running.coordinator), watching(running.parties["north"])]
    with closing(running.session()) as session:
        session.execute(SQL)
    text = "".join(Metrics(each).text for each in endpoints)
    for secret in ("health{", "patients", "person", "excellent", "visits", "analyst", "SELECT", "3275"):
        assert secret not in text, secret
    labels = set(re.findall(r'(\w+)="', text))
    assert labels == {"outcome", "le", "participant", "name", "role", "version"}


def test_health_is_503_with_one_line_of_why(running, watching):
    north = running.parties["north"]
    hub, at_north = watching(running.coordinator), watching(north)
    for endpoint in (hub, at_north):
        response, text = get(endpoint, "/healthz")
        assert (response.status, text) == (200, "ok\n")
        assert get(endpoint, "/healthz", "HEAD")[1] == ""
    running.coordinator.drain(0)
    assert (get(hub, "/healthz")[0].status, get(hub, "/healthz")[1]) == (503, "it is ending\n")
    assert Metrics(hub)["fedsql_healthy"] == 0
    north.party.ledger.close()
    response, text = get(at_north, "/healthz")
    assert (response.status, len(text.splitlines())) == (503, 1)
    assert "ledger" in text
    metrics = Metrics(at_north)
    assert metrics["fedsql_healthy"] == 0
    assert "fedsql_ledger_charges" not in metrics.own


def test_a_party_that_is_not_connected_says_why(running, watching):
    lone = running.party("north")
    with closing(lone):
        endpoint = watching(lone)
        assert get(endpoint, "/healthz")[1] == "not connected yet\n"
        assert Metrics(endpoint)["fedsql_connected", "coordinator"] == 0


def test_reloads(running):
    with Endpoint("0") as endpoint:
        on_reload = endpoint.watch(running.coordinator)
        first = Metrics(endpoint)
        assert first["fedsql_last_reload_success"] == 1
        assert first["fedsql_last_reload_time_seconds"] == first["fedsql_start_time_seconds"]
        on_reload(False)
        assert Metrics(endpoint)["fedsql_last_reload_success"] == 0
        on_reload(True)
        assert Metrics(endpoint)["fedsql_last_reload_success"] == 1


def test_other_paths_and_methods(running, watching):
    endpoint = watching(running.coordinator)
    for path in ("/", "/metrics/x", "/../etc/passwd"):
        response, text = get(endpoint, path)
        assert (response.status, text) == (404, "there are /healthz and /metrics\n")
    assert get(endpoint, "/metrics?x=1")[0].status == 200
    assert get(endpoint, "/metrics", "POST")[0].status == 501


def test_a_client_that_goes_away_or_talks_nonsense_is_no_matter(running, watching, capfd):
    endpoint = watching(running.coordinator)
    port = int(endpoint.address.rpartition(":")[2])
    for said in (b"", b"\0\xff\n\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"GET " + b"x" * 70_000):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(said)
    assert get(endpoint, "/healthz")[0].status == 200
    assert capfd.readouterr() == ("", "")


def reaches_itself_by_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as free:
        return free.connect_ex(("::1", 9)) != errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    ("where", "address"),
    [("0", r"127\.0\.0\.1:\d+"), ("localhost:0", r"127\.0\.0\.1:\d+"), ("[::1]:0", r"\[::1\]:\d+")],
)
def test_where_it_listens(where, address):
    if "[" in where and not reaches_itself_by_ipv6():
        pytest.skip("this machine has no IPv6")
    with Endpoint(where) as endpoint:
        assert re.fullmatch(address, endpoint.address)


@pytest.mark.parametrize(
    "where", ["", "nonsense", "here:", ":x", "-1", "70000", "http://127.0.0.1:80", "127.0.0.1:1/x"]
)
def test_an_address_that_is_none(where):
    with pytest.raises(ConfigError, match=r"write HOST:PORT, or a port"):
        Endpoint(where)


def test_a_port_that_is_taken_is_said_before_anything_is_opened(running):
    with Endpoint("0") as first:
        result = CliRunner().invoke(app, ["party", str(running.file("north")), "--operations", first.address])
    assert result.exit_code == 2
    assert f"error: --operations: {first.address}: cannot listen here: Address already in use" in result.stderr


def test_without_prometheus_client_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in [name for name in sys.modules if name == "fedsql.operation.metrics"]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(app, ["coordinator", str(tmp_path / "federation.toml"), "--operations", "0"])
    assert result.exit_code == 2
    assert result.stderr == (
        "error: --operations: needs prometheus_client, which is not installed\nHINT: pip install 'fedsql[operations]'\n"
    )
