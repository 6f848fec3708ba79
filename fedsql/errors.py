"""The errors that fedsql raises: PEP 249's tree, with the privacy refusals below it.

Exception
|-- Warning
`-- Error
    |-- InterfaceError
    `-- DatabaseError
        |-- DataError               a value or a type cannot be used
        |-- OperationalError        a party is offline, a time-out
        |   |-- Cancelled           the query was cancelled
        |   |-- ConfigError         a federation or party file is wrong
        |   |-- LoginFailed         a wrong name, password or token
        |   |-- PartyUnreachable    a party is not connected, or does not answer
        |   |-- ProtocolError       a message failed its check: no answer is better than a wrong one
        |   `-- TooComplex          reading the statement takes too much time or memory
        |-- IntegrityError
        |-- InternalError
        |-- ProgrammingError        syntax, unknown names, bad parameters
        |-- NotSupportedError       SQL that fedsql does not answer (yet)
        `-- PrivacyError            refused by policy or by what is left to spend
            |-- PolicyDenied
            `-- BudgetExhausted     epsilon or the quota of queries is used up
"""

from __future__ import annotations

import builtins


class Warning(builtins.Warning):
    """PEP 249's Warning."""


class Error(Exception):
    """Base of all errors of fedsql.

    ``message`` is the one-line reason. ``hint`` says what would work. ``position`` is (line, column),
    1-based, in the SQL text where known. ``sqlstate`` is the five-character SQLSTATE (ISO/IEC 9075, or PostgreSQL's where
    it has none): that of the class where nothing narrower is certain.
    ``query_id`` is the hexadecimal id under which the parties logged the attempt, where one was made.
    """

    sqlstate = "HY000"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        position: tuple[int, int] | None = None,
        query_id: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.position = position
        self.query_id = query_id
        self.sqlstate = sqlstate or type(self).sqlstate

    def __str__(self) -> str:
        return self.message if not self.hint else f"{self.message}\nHINT: {self.hint}"


class InterfaceError(Error):
    """Misuse of the DB-API itself, for example of a closed cursor."""


class DatabaseError(Error):
    """Base of all errors that concern the federation."""


class DataError(DatabaseError):
    """A value or a type cannot be used."""

    sqlstate = "22000"


class OperationalError(DatabaseError):
    """Something outside the program: a party is offline, a deadline passed, a cancel."""

    sqlstate = "08000"


class ConfigError(OperationalError):
    """A federation or party file is wrong. One line: file, key, and what is valid.

    ``problems`` holds one such line for each mistake found.
    """

    sqlstate = "F0000"

    def __init__(self, *problems: str, hint: str | None = None) -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = tuple(problems)


class Cancelled(OperationalError):
    """The query was cancelled by who asked it."""

    sqlstate = "57014"


class LoginFailed(OperationalError):
    """Who connects did not prove who they are, or their session has ended."""

    sqlstate = "28000"


class PartyUnreachable(OperationalError):
    """A party that the query needs is not connected, or does not answer in time. ``party`` is its name."""

    sqlstate = "08006"
    party = ""


class ProtocolError(OperationalError):
    """A message failed its check (signature, replay, check slot): there is no answer."""

    sqlstate = "08P01"


class TooComplex(OperationalError):
    """Reading the statement takes more time or memory than it may: asked again, it would again."""

    sqlstate = "54001"


class IntegrityError(DatabaseError):
    """PEP 249's IntegrityError: of local tables, and of an audit log whose chain is broken."""

    sqlstate = "23000"


class InternalError(DatabaseError):
    """A bug in fedsql."""

    sqlstate = "XX000"


class ProgrammingError(DatabaseError):
    """Syntax, unknown names, wrong parameters."""

    sqlstate = "42000"


class NotSupportedError(DatabaseError):
    """SQL that is valid but that fedsql does not answer."""

    sqlstate = "0A000"


class PrivacyError(DatabaseError):
    """Refused to protect somebody."""

    sqlstate = "42501"


class PolicyDenied(PrivacyError):
    """A party's policy, or a promise of fedsql, does not allow this."""


class BudgetExhausted(PrivacyError):
    """The quota of queries or the epsilon of a period is used up."""

    sqlstate = "53400"
