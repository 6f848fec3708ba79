"""What stands in `federation.toml` and in a party's file: every key, its type, its default, its limits.

A party's file is its word on what others may ask: a key that nobody knows, or a value that means nothing, is an error
and never a default. Periods are in seconds here, bounds exact decimals or dates, public values texts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from fedsql.config.values import (
    AGGREGATES,
    MONTH,
    UNLISTED_AGGREGATES,
    USES,
    Address,
    Bounds,
    ColumnName,
    Count,
    Flag,
    Identifier,
    Memory,
    Names,
    Natural,
    Number,
    PartyName,
    Period,
    Positive,
    PublicKey,
    Text,
    Values,
    distinct,
    expand,
    one_of,
    some_of,
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ColumnConfig(_Model):
    """One listed column. ``values`` are texts as written; what they mean in the column's type is decided at load."""

    use: Annotated[tuple[str, ...], BeforeValidator(some_of(*USES))] | None = None
    bounds: Bounds | None = None
    scale: Natural | None = None
    values: Values | None = None
    required: Flag = False
    join_with: Names | None = None

    @model_validator(mode="after")
    def _joinable(self) -> ColumnConfig:
        if self.join_with is not None and "join" not in (self.use or ()):
            raise ValueError('join_with has no meaning here; write use = ["join"] too, or remove it')
        return self


class TableConfig(_Model):
    """One listed table. ``source`` is a path, a glob, a URI, or from Python an Arrow table, a reader or a data frame."""

    source: Any = Field(repr=False)
    sql: Text | None = None
    privacy_unit: Text | None = None
    unit_scope: Annotated[str, BeforeValidator(one_of("party", "global"))] = "party"
    max_rows_per_unit: Count = 1
    max_groups_per_unit: Count = 1
    references: dict[ColumnName, str] = {}
    analysts: Names = ("*",)
    public: Flag = False
    unique: tuple[Names, ...] = ()
    columns: Annotated[dict[ColumnName, ColumnConfig], AfterValidator(distinct)] = {}

    @field_validator("source")
    @classmethod
    def _known_source(cls, source: Any) -> Any:
        if isinstance(source, os.PathLike):
            source = os.fspath(source)
        if isinstance(source, str) and source.strip():
            expand(source)  # kept as written, for what a variable holds may be a password
        elif isinstance(source, str) or not hasattr(source, "__arrow_c_stream__"):
            raise ValueError("expected a path or a URI (from Python also an Arrow table, a reader or a data frame)")
        return source

    @field_validator("references")
    @classmethod
    def _reference_targets(cls, references: dict[str, str]) -> dict[str, str]:
        for column, target in references.items():
            if not re.fullmatch(r"[^.]+\.[^.]+", target):
                raise ValueError(f'{column} = {target!r}: write "table.column"')
        return references

    @model_validator(mode="after")
    def _nobody_in_public(self) -> TableConfig:
        if self.public and self.privacy_unit:
            raise ValueError("public = true promises that nobody is protected here; remove it, or privacy_unit")
        if self.unique and not self.public:
            raise ValueError("unique tells joins of a public table's keys; write public = true, or remove unique")
        if not all(self.unique):
            raise ValueError('unique lists the columns of each key: unique = [["a", "b"]]')
        return self


class BudgetConfig(_Model):
    """[release.budget]. ``period`` in seconds; ``total_epsilon`` None: the same as ``epsilon``."""

    epsilon: Positive = 10.0
    total_epsilon: Positive | None = None
    delta: Annotated[Number, Field(gt=0, lt=1)] = 1e-6
    period: Period = MONTH


class QuotaConfig(_Model):
    """[release.quota]. ``period`` in seconds."""

    queries: Count = 1000
    period: Period = MONTH


class ReleaseConfig(_Model):
    """[release]: what must hold for a result to leave."""

    noise: Annotated[str, BeforeValidator(one_of("none", "required"))] = "none"
    noise_colluders: Natural = 1
    min_group_size: Count = 10
    min_parties: Count = 2
    allow_alone: Flag = False
    join_both_sides: Flag = True
    aggregates: Annotated[tuple[str, ...], BeforeValidator(some_of(*AGGREGATES, *UNLISTED_AGGREGATES))] = AGGREGATES
    budget: BudgetConfig = BudgetConfig()
    quota: QuotaConfig = QuotaConfig()


class LimitsConfig(_Model):
    """[limits]: what one fragment may take. ``time`` in seconds; ``queries``: how many run at once, the others wait."""

    memory: Memory | None = None
    threads: Count | None = None
    time: Period = 300
    groups: Count = 1_000_000
    rows: Count = 10_000_000
    queries: Count = 4


class PartyConfig(_Model):
    """A party's file. Where it came from (`base`, `line`) is set by `fedsql.config.loading`."""

    name: PartyName
    state: Text | None = None
    federation: Text | None = None
    limits: LimitsConfig = LimitsConfig()
    tables: Annotated[dict[Identifier, TableConfig], AfterValidator(distinct)] = {}
    release: ReleaseConfig = ReleaseConfig()

    _base: Path = PrivateAttr(default_factory=Path)
    _where: str = PrivateAttr(default="")
    _durable: bool = PrivateAttr(default=False)

    @property
    def base(self) -> Path:
        """The folder that relative paths start from."""
        return self._base

    @property
    def state_directory(self) -> Path | None:
        """Where ledger, audit log and keys live; None for a party made in Python that names no ``state``."""
        if self.state is not None:
            return self._base / Path(self.state).expanduser()
        return self._base / ".fedsql" / self.name if self._durable else None

    def line(self, where: str, message: str) -> str:
        """Return the line that reports a mistake at the key ``where`` of this party's file."""
        return f"{self._where or self.name + ': '}{where}: {message}"


class PartyEntry(_Model):
    """[parties.<name>]: ``config`` (a path, from Python also a mapping) or ``public_key``."""

    config: Any = Field(default=None, repr=False)
    public_key: PublicKey | None = None
    operator: Text | None = None

    @field_validator("config")
    @classmethod
    def _path_or_mapping(cls, config: Any) -> Any:
        if not isinstance(config, str | os.PathLike | Mapping) or not config:
            raise ValueError('expected the path of a party file, such as "north.toml"')
        return config

    @model_validator(mode="after")
    def _one_way(self) -> PartyEntry:
        if (self.config is None) == (self.public_key is None):
            raise ValueError("write either config (it runs here) or public_key (it is reached through the coordinator)")
        return self


class CoordinatorConfig(_Model):
    """coordinator = {...}: where it listens, its pinned key, who runs it, and which TLS root its certificate hangs on.

    ``ca`` is the root in PEM, or the path of a file with it; None: the roots of the system.
    """

    address: Address
    public_key: PublicKey
    operator: Text | None = None
    ca: Text | None = None


class AnalystConfig(_Model):
    """[analysts.<name>]: who may ask."""

    public_key: PublicKey
    operator: Text | None = None


class FederationConfig(_Model):
    """`federation.toml`. ``embedded`` holds the files of the parties that run in this process, by name."""

    name: Text
    coordinator: CoordinatorConfig | None = None
    parties: Annotated[dict[PartyName, PartyEntry], AfterValidator(distinct)] = {}
    analysts: Annotated[dict[Identifier, AnalystConfig], AfterValidator(distinct)] = {}

    _embedded: dict[str, PartyConfig] = PrivateAttr(default_factory=dict)
    _roots: bytes | None = PrivateAttr(default=None)

    @property
    def root_certificates(self) -> bytes | None:
        """The TLS roots (PEM) that the coordinator's certificate hangs on; None: those of the system."""
        return self._roots

    @property
    def embedded(self) -> Mapping[str, PartyConfig]:
        """The parties that run inside this process, in the order of the file."""
        return self._embedded

    @property
    def remote(self) -> tuple[str, ...]:
        """The names of the parties that are reached through the coordinator."""
        return tuple(name for name, entry in self.parties.items() if entry.public_key is not None)
