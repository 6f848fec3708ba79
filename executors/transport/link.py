"""One connection of a participant to the hub, from dialing to its end. A node makes one after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pyarrow.flight as flight

import fedsql
from fedsql.executors.transport.connection import pump
from fedsql.executors.transport.frames import (
    CONTROL,
    HEADER,
    PART,
    VERSION,
    Frame,
    Malformed,
    WrongVersion,
    control,
    control_record,
    parse,
)
from fedsql.executors.transport.login import ParticipantSide, Refused, new_challenge
from fedsql.executors.transport.outbox import Outbox
from fedsql.executors.transport.settings import Settings
from fedsql.executors.transport.traffic import Traffic

_GRACE = 1.0  # seconds for a goodbye
_OFTENEST = 0.01  # seconds: who must speak more often than this has no time for anything else
_LONGEST_REASON = 1000
_DIALING = 0.2  # seconds between looks at the clock before the hub has said how often it wants to hear


class Link:
    """One connection. Once `run` has returned, ``reason`` says why it ended; ``final``, that the hub wants no other."""

    def __init__(
        self, location: str, side: ParticipantSide, tls_root_certs: bytes | None, settings: Settings, traffic: Traffic
    ) -> None:
        self.outbox = Outbox(settings.room)
        self.reason = "the connection to the coordinator was lost"
        self.final = False
        self._location = location
        self._root_certs = tls_root_certs
        self._side = side
        self._settings = settings
        self._traffic = traffic
        self._ping = settings.ping
        self._heard = time.monotonic()
        self._logged_in = False
        self._over = Event()

    def stop(self) -> None:
        """Make `run` return soon."""
        self.reason = "the connection was closed here"
        self._over.set()

    def run(self, on_login: Callable[[Link], None], on_frame: Callable[[Frame], None]) -> None:
        """Connect, log in and stay connected; return when the connection has ended, whatever ended it.

        ``on_login`` is called once, then ``on_frame`` with every frame but the login's, both in the thread that reads.
        """
        try:
            with flight.FlightClient(self._location, tls_root_certs=self._root_certs) as client:
                writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b"fedsql"))
                self._exchange(writer, reader, on_login, on_frame)
        except Exception as error:
            self.reason = f"the coordinator cannot be reached: {_first_line(error)}"

    def _exchange(
        self, writer: Any, reader: Any, on_login: Callable[[Link], None], on_frame: Callable[[Frame], None]
    ) -> None:
        name = self._side.name
        reading = Thread(target=self._read, args=(reader, on_login, on_frame), name=f"fedsql-read-{name}", daemon=True)
        write = self._traffic.sending(writer.write_metadata)
        writing = Thread(target=pump, args=(self.outbox, write), name=f"fedsql-write-{name}", daemon=True)
        reading.start()
        writing.start()
        while not self._over.wait(self._ping if self._logged_in else min(self._ping, _DIALING)):
            patience = self._settings.silent if self._logged_in else self._settings.login
            if time.monotonic() - self._heard > patience:
                self.reason = "the coordinator does not answer"
                break
            if self._logged_in:
                self.outbox.urge("ping", control("ping"))
        self.outbox.close(control("bye"))
        writing.join(_GRACE)
        if not writing.is_alive():
            with contextlib.suppress(Exception):
                writer.done_writing()
            reading.join(_GRACE)
        reader.cancel()
        writing.join()
        reading.join()
        with contextlib.suppress(Exception):  # it raises again what broke the connection
            writer.close()

    def _read(self, reader: Any, on_login: Callable[[Link], None], on_frame: Callable[[Frame], None]) -> None:
        try:
            self._login(reader)
            on_login(self)
            while True:
                frame = self._receive(reader)
                if frame.query != CONTROL or frame.message.kind != "pong":
                    on_frame(frame)
        except Refused as refused:
            self.reason = str(refused)
        except WrongVersion as wrong:
            self.reason = (
                f"the coordinator speaks version {wrong.version} of the protocol, fedsql {fedsql.__version__} here"
                f" version {VERSION}: everybody needs the same fedsql"
            )
        except Malformed:
            self.reason = "the coordinator sent a malformed frame"
        except StopIteration:
            pass
        except Exception as error:  # whatever Flight calls a broken connection, or one that cannot be made
            if not self._logged_in and not self._over.is_set():
                self.reason = f"the coordinator cannot be reached: {_first_line(error)}"
        finally:
            self._over.set()

    def _login(self, reader: Any) -> None:
        ours = new_challenge()
        self.outbox.urge("login", control("dial", {"challenge": ours}))
        self.outbox.urge("login", self._side.login(self._receive(reader), ours))
        welcome = control_record(self._receive(reader), "welcome")
        ping = welcome.get("ping") if isinstance(welcome, dict) else None
        if not isinstance(ping, float) or not ping >= _OFTENEST:
            raise Malformed
        self._ping = min(self._ping, ping)
        self._logged_in = True

    def _receive(self, reader: Any) -> Frame:
        """Return the next frame. Raises Refused when it is the hub's goodbye, with its reason."""
        metadata = reader.read_chunk().app_metadata
        if metadata is None:
            raise Malformed
        most = PART + HEADER if self._logged_in else HEADER
        frame = parse(self._traffic.received(metadata.to_pybytes()), most)
        self._heard = time.monotonic()
        if frame.query == CONTROL and frame.message.kind == "bye":
            record = control_record(frame, "bye")
            if not isinstance(record, dict) or not isinstance(record.get("reason"), str):
                raise Malformed
            self.final = record.get("final") is True
            did = "closed the connection" if self._logged_in else "refused the login"
            told = ascii(record["reason"][:_LONGEST_REASON])[1:-1]
            raise Refused(f"the coordinator {did}: {told}" if told else self.reason)
        return frame


def _first_line(error: Exception) -> str:
    """Return what of an Arrow error a person can use."""
    text = str(error).splitlines()[0].split(". gRPC client debug context")[0]
    return text.partition("with message: ")[2] or text
