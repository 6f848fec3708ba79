"""Everybody in a network of their own: nobody but the coordinator listens, and one port of it is all that is needed.

A network namespace for each participant, joined by a bridge. It takes root and Linux; where that is not given, it is
skipped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import NAMES, PORT, SQL, Network

ANALYST = "ada"
EVERYBODY = ("coordinator", *NAMES, ANALYST)
HOST = "10.83.7.{}"
VICTIM = "south"
MESSAGE = 6  # of the party, where it waits: it has been asked, and has not said all
ANSWER = "g,n,s\na,20,112\nb,16,80\n"


class Namespaces:
    """A network namespace for each participant, and one that holds the bridge between them."""

    def __init__(self) -> None:
        self._prefix = f"fedsql-{os.getpid()}"
        self._made: list[str] = []
        try:
            self._add("switch")
            self._ip("-n", self.of("switch"), "link", "add", "bridge", "type", "bridge")
            self._ip("-n", self.of("switch"), "link", "set", "bridge", "up")
            for number, name in enumerate(EVERYBODY, 1):
                self._add(name)
                there = self.of("switch")
                self._ip("-n", there, "link", "add", name, "type", "veth", "peer", "eth0", "netns", self.of(name))
                self._ip("-n", there, "link", "set", name, "master", "bridge", "up")
                self._ip("-n", self.of(name), "address", "add", f"{HOST.format(number)}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    self._ip("-n", self.of(name), "link", "set", device, "up")
        except BaseException:
            self.close()
            raise

    def of(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def inside(self, name: str) -> list[str]:
        """Return the command that runs another one in the namespace of ``name``."""
        return ["ip", "netns", "exec", self.of(name)]

    def cut(self, name: str) -> None:
        """Take the cable of ``name`` away: nothing says so to either side."""
        self._ip("-n", self.of("switch"), "link", "set", name, "down")

    def listening(self, name: str) -> list[str]:
        """Return the local address of each TCP socket that listens in a namespace."""
        told = subprocess.run([*self.inside(name), "ss", "-Hltn"], check=True, capture_output=True, text=True).stdout
        return [line.split()[3] for line in told.splitlines()]

    def close(self) -> None:
        for name in self._made:
            self._ip("netns", "delete", name)

    def _add(self, name: str) -> None:
        self._ip("netns", "add", self.of(name))
        self._made.append(self.of(name))

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Namespaces]:
    missing = [tool for tool in ("ip", "ss") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} of iproute2 is not installed")
    try:
        made = Namespaces()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces can be made here: {error.stderr.strip()}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def network(namespaces, tmp_path_factory) -> Iterator[Network]:
    made = Network(tmp_path_factory.mktemp("namespaces"), host=HOST.format(1))
    made.inside = {name: namespaces.inside(name) for name in EVERYBODY}
    made.start("coordinator", *(name for name in NAMES if name != VICTIM))
    made.start(VICTIM, fault=("wait", MESSAGE))
    yield made
    made.close()


def asked(network: Network) -> subprocess.Popen[str]:
    """Ask as an analyst does, in its own namespace."""
    fedsql = Path(sys.executable).with_name("fedsql")
    words = ["shell", "federation.toml", "--analyst", ANALYST, "--format", "csv", "-c", SQL]
    return subprocess.Popen(
        [*network.inside[ANALYST], str(fedsql), *words],
        cwd=network.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_question_is_answered_and_nobody_but_the_coordinator_listens(network, namespaces):
    told, said = asked(network).communicate(timeout=60)
    assert told.replace("\r", "") == ANSWER, said
    network.signal(VICTIM, signal.SIGUSR1)
    assert network.says(VICTIM) == "armed"
    analyst = asked(network)
    assert network.says(VICTIM).startswith("strikes")  # all are in the midst of it
    for name in (*NAMES, ANALYST):
        assert namespaces.listening(name) == [], name
    assert [address.rpartition(":")[2] for address in namespaces.listening("coordinator")] == [str(PORT)]
    namespaces.cut(VICTIM)
    network.signal(VICTIM, signal.SIGUSR2)
    told, said = analyst.communicate(timeout=60)  # the coordinator's deadlines are far shorter
    assert analyst.returncode != 0
    assert told == ""
    assert VICTIM in said
    assert "Traceback" not in said
    assert "Traceback" not in network.log("coordinator")
