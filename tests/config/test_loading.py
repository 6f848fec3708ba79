"""Every mistake in a file is one line that names the file, the key and what is valid; all of them are reported."""

import base64
import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from fedsql.config.loading import federation_from, is_party_file, load_federation, load_party
from fedsql.config.models import BudgetConfig, ReleaseConfig
from fedsql.config.values import AGGREGATES, UNLISTED_AGGREGATES, USES
from fedsql.errors import ConfigError
from fedsql.planner import offer

KEY = "ed25519:" + base64.b64encode(bytes(32)).decode()
FEDERATION = 'name = "hospitals"\n[parties.north]\nconfig = "north.toml"\n'
TABLE = 'name = "north"\n[tables.patients]\nsource = "patients.parquet"\n'
COLUMNS = TABLE + "[tables.patients.columns]\n"


def problems(folder: Path, federation: str = FEDERATION, **parties: str) -> list[str]:
    (folder / "federation.toml").write_text(federation)
    for name, text in parties.items():
        (folder / f"{name}.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_federation(folder / "federation.toml")
    return list(error.value.problems)


def test_the_literal_names_are_the_planner_s():
    assert (USES, AGGREGATES, UNLISTED_AGGREGATES) == (offer.USES, offer.AGGREGATES, offer.UNLISTED_AGGREGATES)


IN_PARTY = [
    ("", "north.toml: name: missing"),
    ("name = 3\n", "north.toml: name: expected text in quotes"),
    (
        'name = "nord 1"\n',
        "north.toml: name: 'nord 1' is not a name: letters, digits and _ (at most 63), no digit first",
    ),
    ('name = "main"\n', "north.toml: name: 'main' is a name that SQL keeps for itself; choose another"),
    ('name = "nord"\n', "north.toml: name: 'nord' is [parties.north] in federation.toml; write one name in both"),
    (
        'name = "north"\ntabels = 1\n',
        "north.toml: tabels: unknown key; did you mean tables? valid: name, state, federation, limits, tables, release",
    ),
    ('name = "north"\ntables = 1\n', "north.toml: tables: expected a table of keys"),
    (
        'name = "north"\n[tables.a-b]\nsource = "x.csv"\n',
        "north.toml: tables.a-b: 'a-b' is not a name: letters, digits and _ (at most 63), no digit first",
    ),
    ('name = "north"\n[tables.visits]\n', "north.toml: tables.visits.source: missing"),
    (
        'name = "north"\n[tables.visits]\nsource = 3\n',
        "north.toml: tables.visits.source: expected a path or a URI (from Python also an Arrow table, a reader or a data frame)",
    ),
    (
        'name = "north"\n[tables.visits]\nsource = "${FEDSQL_NOT_SET}/x.csv"\n',
        "north.toml: tables.visits.source: the environment variable FEDSQL_NOT_SET is not set",
    ),
    (
        'name = "north"\n[tables.visits]\nsource = "x.csv"\n[tables.Visits]\nsource = "x.csv"\n',
        "north.toml: tables: visits and Visits differ in case only; names are the same in any case",
    ),
    (
        TABLE + 'unit_scope = "globl"\n',
        "north.toml: tables.patients.unit_scope: 'globl' is unknown; did you mean global? valid: party, global",
    ),
    (TABLE + "max_rows_per_unit = 0\n", "north.toml: tables.patients.max_rows_per_unit: must be at least 1, not 0"),
    (
        TABLE + "max_groups_per_unit = true\n",
        "north.toml: tables.patients.max_groups_per_unit: expected a whole number",
    ),
    (TABLE + 'analysts = "*"\n', 'north.toml: tables.patients.analysts: expected a list of texts, such as ["a", "b"]'),
    (TABLE + 'public = "yes"\n', "north.toml: tables.patients.public: expected true or false"),
    (
        TABLE + 'public = true\nprivacy_unit = "id"\n',
        "north.toml: tables.patients: public = true promises that nobody is protected here; remove it, or privacy_unit",
    ),
    (
        TABLE + "colums = { }\n",
        "north.toml: tables.patients.colums: unknown key; did you mean columns? valid: source, sql, privacy_unit, "
        "unit_scope, max_rows_per_unit, max_groups_per_unit, references, analysts, public, unique, columns",
    ),
    (
        TABLE + 'unique = [["code", "year"]]\n',
        "north.toml: tables.patients: unique tells joins of a public table's keys; write public = true, or remove unique",
    ),
    (
        TABLE + "public = true\nunique = [[]]\n",
        'north.toml: tables.patients: unique lists the columns of each key: unique = [["a", "b"]]',
    ),
    (
        TABLE + 'public = true\nunique = [["code", "yaer"]]\ncolumns = { code = {}, year = {} }\n',
        "north.toml: tables.patients.unique: yaer is no listed column; did you mean year?",
    ),
    (
        TABLE + 'references = { patient = "patients" }\n',
        "north.toml: tables.patients.references: patient = 'patients': write \"table.column\"",
    ),
    (
        TABLE + 'references = { doctor = "staf.id" }\n[tables.staff]\nsource = "s.csv"\n',
        "north.toml: tables.patients.references.doctor: there is no table staf; did you mean staff? valid: patients, staff",
    ),
    (
        TABLE + 'references = { doctor = "staff.idd" }\n[tables.staff]\nsource = "s.csv"\nprivacy_unit = "id"\n',
        "north.toml: tables.patients.references.doctor: tables.staff lists no column idd (list it, or name its privacy_unit); did you mean id?",
    ),
    (
        TABLE + 'privacy_unit = "staff.id"\n',
        'north.toml: tables.patients.privacy_unit: staff.id is not reached along references; write references = { column = "table.column" }',
    ),
    (
        TABLE
        + 'privacy_unit = "staff.name"\nreferences = { doctor = "staff.id" }\n[tables.staff]\nsource = "s.csv"\nprivacy_unit = "id"\n',
        "north.toml: tables.patients.privacy_unit: staff.name is not reached along references; reached are: staff.id",
    ),
    (
        COLUMNS + "age = { }\n",
        'north.toml: tables.patients.columns.age.use: missing; write use = [...] with some of "group", "filter", "aggregate", "join"',
    ),
    (
        COLUMNS + 'age = { use = ["agregate"] }\n',
        "north.toml: tables.patients.columns.age.use: 'agregate' is unknown; did you mean aggregate? valid: group, filter, aggregate, join",
    ),
    (
        COLUMNS + 'age = { use = "group" }\n',
        'north.toml: tables.patients.columns.age.use: expected a list of texts, such as ["a", "b"]',
    ),
    (
        COLUMNS + 'age = { use = ["group", "group"] }\n',
        "north.toml: tables.patients.columns.age.use: 'group' is there twice",
    ),
    (
        COLUMNS + "age = { use = [], bound = [0, 1] }\n",
        "north.toml: tables.patients.columns.age.bound: unknown key; did you mean bounds? valid: use, bounds, scale, values, required, join_with",
    ),
    (
        COLUMNS + "age = { use = [], bounds = [120, 0] }\n",
        "north.toml: tables.patients.columns.age.bounds: low 120 is above high 0; write [low, high]",
    ),
    (
        COLUMNS + "age = { use = [], bounds = [0] }\n",
        "north.toml: tables.patients.columns.age.bounds: write [low, high]",
    ),
    (
        COLUMNS + "age = { use = [], bounds = [0, inf] }\n",
        "north.toml: tables.patients.columns.age.bounds: Infinity is not finite; write [low, high]",
    ),
    (
        COLUMNS + "age = { use = [], bounds = [false, 1] }\n",
        "north.toml: tables.patients.columns.age.bounds: expected a number; write [low, high]",
    ),
    (
        COLUMNS + 'age = { use = [], bounds = ["low", "high"] }\n',
        "north.toml: tables.patients.columns.age.bounds: 'low' is not a number; write [low, high]",
    ),
    (
        COLUMNS + 'age = { use = [], bounds = ["2020-02-30", "2021-01-01"] }\n',
        "north.toml: tables.patients.columns.age.bounds: '2020-02-30' is no date; write [low, high]",
    ),
    (
        COLUMNS + 'age = { use = [], bounds = [2021-01-01, "2020-01-01"] }\n',
        "north.toml: tables.patients.columns.age.bounds: low 2021-01-01 is above high 2020-01-01; write [low, high]",
    ),
    (
        COLUMNS + 'age = { use = [], bounds = ["2020-01-01", 5] }\n',
        "north.toml: tables.patients.columns.age.bounds: '2020-01-01' is not a number; write [low, high]",
    ),
    (
        COLUMNS + "age = { use = [], scale = -1 }\n",
        "north.toml: tables.patients.columns.age.scale: must be at least 0, not -1",
    ),
    (
        COLUMNS + "age = { use = [], scale = 1.5 }\n",
        "north.toml: tables.patients.columns.age.scale: expected a whole number",
    ),
    (
        COLUMNS + "sex = { use = [], values = [] }\n",
        'north.toml: tables.patients.columns.sex.values: expected a list of single values, such as ["F", "M"]',
    ),
    (
        COLUMNS + 'sex = { use = [], values = [["F"]] }\n',
        'north.toml: tables.patients.columns.sex.values: expected a list of single values, such as ["F", "M"]',
    ),
    (
        COLUMNS + 'sex = { use = [], values = ["F", "F"] }\n',
        "north.toml: tables.patients.columns.sex.values: 'F' is there twice",
    ),
    (
        COLUMNS + 'id = { use = [], join_with = ["registry"] }\n',
        'north.toml: tables.patients.columns.id: join_with has no meaning here; write use = ["join"] too, or remove it',
    ),
    (
        COLUMNS + "id = { use = [] }\nID = { use = [] }\n",
        "north.toml: tables.patients.columns: id and ID differ in case only; names are the same in any case",
    ),
    (
        COLUMNS + '"a\\"b" = { use = [] }\n',
        'north.toml: tables.patients.columns."a"b": a column\'s name is printable text without double quotes',
    ),
    (
        'name = "north"\n[release]\nnoise = "maybe"\n',
        "north.toml: release.noise: 'maybe' is unknown; valid: none, required",
    ),
    (
        'name = "north"\n[release]\nnoise_colluders = -1\n',
        "north.toml: release.noise_colluders: must be at least 0, not -1",
    ),
    (
        'name = "north"\n[release]\nmin_group_size = 0\n',
        "north.toml: release.min_group_size: must be at least 1, not 0",
    ),
    ('name = "north"\n[release]\nmin_parties = 0\n', "north.toml: release.min_parties: must be at least 1, not 0"),
    (
        'name = "north"\n[release]\naggregates = ["media"]\n',
        "north.toml: release.aggregates: 'media' is unknown; valid: " + ", ".join((*AGGREGATES, *UNLISTED_AGGREGATES)),
    ),
    ('name = "north"\n[release.budget]\nepsilon = 0\n', "north.toml: release.budget.epsilon: must be above 0, not 0"),
    ('name = "north"\n[release.budget]\nepsilon = nan\n', "north.toml: release.budget.epsilon: NaN is not finite"),
    ('name = "north"\n[release.budget]\nepsilon = "1"\n', "north.toml: release.budget.epsilon: '1' is not a number"),
    ('name = "north"\n[release.budget]\ndelta = 1\n', "north.toml: release.budget.delta: must be below 1, not 1"),
    (
        'name = "north"\n[release.budget]\nperiod = 30\n',
        'north.toml: release.budget.period: write a number and a unit: s, m, h, d or w, such as "30d"',
    ),
    (
        'name = "north"\n[release.quota]\nperiod = "0d"\n',
        'north.toml: release.quota.period: write a number and a unit: s, m, h, d or w, such as "30d"',
    ),
    ('name = "north"\n[release.quota]\nqueries = 0\n', "north.toml: release.quota.queries: must be at least 1, not 0"),
    ('name = "north"\nname = "x"\n', "north.toml: line 2, column 11: not TOML: cannot overwrite a value"),
    ('name = "north\n', "north.toml: line 1, column 14: not TOML: illegal character '\\n'"),
]


@pytest.mark.parametrize(("text", "line"), IN_PARTY)
def test_a_mistake_in_a_party_file_is_one_line(tmp_path, text, line):
    assert problems(tmp_path, north=text) == [line]


COORDINATOR = f'coordinator = {{ address = "grpc+tls://c.example:31337", public_key = "{KEY}" }}\n'
IN_FEDERATION = [
    ("", ["federation.toml: name: missing"]),
    (
        'name = ""\n[parties.north]\nconfig = "north.toml"\n',
        ["federation.toml: name: must not be empty"],
    ),
    (
        'name = "f"\n',
        [
            'federation.toml: parties: missing; write [parties.<name>] with config = "<name>.toml" for at least one party'
        ],
    ),
    (
        'name = "f"\n[parties.north]\n',
        [
            "federation.toml: parties.north: write either config (it runs here) or public_key (it is reached through the coordinator)"
        ],
    ),
    (
        f'name = "f"\n{COORDINATOR}[parties.north]\nconfig = "north.toml"\npublic_key = "{KEY}"\n',
        [
            "federation.toml: parties.north: write either config (it runs here) or public_key (it is reached through the coordinator)"
        ],
    ),
    (
        'name = "f"\n[parties.north]\nconfig = 3\n',
        ['federation.toml: parties.north.config: expected the path of a party file, such as "north.toml"'],
    ),
    (
        FEDERATION + "port = 3\n",
        ["federation.toml: parties.north.port: unknown key; valid: config, public_key, operator"],
    ),
    (
        FEDERATION + f'[parties.south]\npublic_key = "{KEY}"\n',
        [
            "federation.toml: coordinator: missing; south (public_key) can be reached only through one: write "
            'coordinator = { address = "grpc+tls://host:port", public_key = "ed25519:..." }'
        ],
    ),
    (
        FEDERATION + '[parties.North]\nconfig = "north.toml"\n',
        [
            "north.toml: name: 'north' is [parties.North] in federation.toml, and north has it already; write one name in both",
            "federation.toml: parties: north and North differ in case only; names are the same in any case",
        ],
    ),
    (
        FEDERATION + '[parties.south]\nconfig = "north.toml"\n',
        [
            "north.toml: name: 'north' is [parties.south] in federation.toml, and north has it already; write one name in both"
        ],
    ),
    (FEDERATION + '[parties."a b"]\nconfig = "north.toml"\n', None),
    (
        FEDERATION + '[analysts.ada]\npublic_key = "rsa:AAAA"\n',
        ['federation.toml: analysts.ada.public_key: write "ed25519:" and the 32 bytes of the key in base64'],
    ),
    (
        FEDERATION + '[analysts.ada]\npublic_key = "ed25519:AAAA"\n',
        ['federation.toml: analysts.ada.public_key: write "ed25519:" and the 32 bytes of the key in base64'],
    ),
    (
        f'coordinator = {{ address = "c.example", public_key = "{KEY}" }}\n' + FEDERATION,
        ["federation.toml: coordinator.address: write grpc+tls://host:port"],
    ),
    (
        'coordinator = { address = "grpc://c:1", key = "" }\n' + FEDERATION,
        [
            "federation.toml: coordinator.public_key: missing",
            "federation.toml: coordinator.key: unknown key; valid: address, public_key, operator, ca",
        ],
    ),
]


@pytest.mark.parametrize(("text", "lines"), IN_FEDERATION)
def test_a_mistake_in_the_federation_file_is_one_line(tmp_path, text, lines):
    found = problems(tmp_path, text, north='name = "north"\n')
    if lines is None:
        name = "'a b' is not a name: letters, digits and _ (at most 63), no digit first"
        assert f'federation.toml: parties."a b": {name}' in found
    else:
        assert sorted(found) == sorted(lines)


def test_the_mistakes_of_all_files_are_reported_together(tmp_path):
    federation = (
        FEDERATION + '[parties.south]\nconfig = "sub/south.toml"\n[parties.west]\nconfig = "wst.toml"\nsize = 3\n'
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "west.toml").write_text("")
    (tmp_path / "sub" / "south.toml").write_text('name = "south"\n[release]\nmin_parties = 0\nnoise = "x"\n')
    assert problems(tmp_path, federation, north=COLUMNS + "age = { use = [], bounds = [2, 1], scale = -1 }\n") == [
        "federation.toml: parties.west.size: unknown key; valid: config, public_key, operator",
        "north.toml: tables.patients.columns.age.bounds: low 2 is above high 1; write [low, high]",
        "north.toml: tables.patients.columns.age.scale: must be at least 0, not -1",
        "sub/south.toml: release.noise: 'x' is unknown; valid: none, required",
        "sub/south.toml: release.min_parties: must be at least 1, not 0",
        f"federation.toml: parties.west.config: {tmp_path}/wst.toml: there is no such file; did you mean west.toml?",
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "federation.toml").write_text(FEDERATION)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"\n')
    for path, line in [
        (
            tmp_path / "federaton.toml",
            f"{tmp_path}/federaton.toml: there is no such file; did you mean federation.toml?",
        ),
        (tmp_path, f"{tmp_path}: is a folder; name a file in it"),
        (tmp_path / "no" / "x.toml", f"{tmp_path}/no/x.toml: there is no such file, nor the folder {tmp_path}/no"),
        (tmp_path / "latin.toml", f"{tmp_path}/latin.toml: is not UTF-8 text; save it as UTF-8"),
        (tmp_path / ("x" * 300), f"{tmp_path}/{'x' * 300}: cannot be read: File name too long"),
    ]:
        with pytest.raises(ConfigError) as error:
            load_federation(path)
        assert error.value.problems == (line,)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_named(tmp_path):
    file = tmp_path / "federation.toml"
    file.write_text(FEDERATION)
    file.chmod(0)
    with pytest.raises(ConfigError, match=r"federation.toml: cannot be read: Permission denied"):
        load_federation(file)


def test_everything_that_the_files_can_say_is_read(tmp_path):
    (tmp_path / "federation.toml").write_text(
        f'name = "hospitals"\ncoordinator = {{ address = "grpc+tls://[::1]:31337", public_key = "{KEY}", operator = "neutral" }}\n'
        '[parties.north]\nconfig = "north.toml"\n'
        f'[parties.south]\npublic_key = "{KEY}"\noperator = "south-it"\n'
        f'[analysts.ada]\npublic_key = "{KEY}"\n'
    )
    (tmp_path / "north.toml").write_text(
        '\ufeffname = "north"\nstate = "private"\n'
        '[tables.patients]\nsource = "patients.parquet"\nsql = "SELECT * FROM source"\nprivacy_unit = "patient_id"\n'
        'unit_scope = "global"\nmax_rows_per_unit = 3\nmax_groups_per_unit = 2\nanalysts = ["ada"]\n'
        '[tables.patients.columns]\npatient_id = { use = ["join"], join_with = ["registry"] }\n'
        'born = { use = ["filter"], values = [2024-01-31, 1, 1.50, true, "x", ""] }\n'
        'charges = { use = ["aggregate"], bounds = [0.1, 100000], scale = 2, required = true }\n'
        '[tables.visits]\nsource = "v/*.csv"\nreferences = { patient = "patients.patient_id" }\nprivacy_unit = "patients.patient_id"\n'
        '[tables.stays]\nsource = "s.csv"\nreferences = { visit = "visits.patient" }\nprivacy_unit = "Patients.patient_id"\n'
        '[tables.codes]\nsource = "c.csv"\npublic = true\ncolumns = { code = {} }\n'
        '[release]\nnoise = "required"\nmin_group_size = 5\naggregates = ["count", "min"]\n'
        '[release.budget]\nepsilon = 0.5\ndelta = 1e-9\nperiod = "12h"\n[release.quota]\nqueries = 7\nperiod = "2w"\n'
    )
    federation = load_federation(tmp_path / "federation.toml")
    assert federation.remote == ("south",)
    assert federation.coordinator is not None
    assert federation.coordinator.operator == "neutral"
    assert list(federation.analysts) == ["ada"]
    north = federation.embedded["north"]
    assert north.state_directory == tmp_path / "private"
    columns = north.tables["patients"].columns
    assert columns["born"].values == ("2024-01-31", "1", "1.50", "true", "x", "")
    assert columns["charges"].bounds == (Decimal("0.1"), Decimal(100000))
    assert columns["charges"].scale == 2
    assert (columns["charges"].required, columns["born"].required) == (True, False)
    assert columns["patient_id"].join_with == ("registry",)
    assert north.release == ReleaseConfig(
        noise="required",
        min_group_size=5,
        aggregates=("count", "min"),
        budget={"epsilon": 0.5, "delta": 1e-9, "period": "12h"},
        quota={"queries": 7, "period": "2w"},
    )
    assert (north.release.budget.period, north.release.quota.period) == (12 * 3600, 14 * 86400)
    assert BudgetConfig().period == 30 * 86400
    assert not is_party_file(tmp_path / "federation.toml")
    assert is_party_file(tmp_path / "north.toml")
    assert load_party(tmp_path / "north.toml") == north


def test_state_lies_beside_the_party_file(tmp_path):
    (tmp_path / "federation.toml").write_text('name = "f"\n[parties.north]\nconfig = "n/north.toml"\n')
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "north.toml").write_text('name = "north"\n')
    north = load_federation(tmp_path / "federation.toml").embedded["north"]
    assert north.state_directory == tmp_path / "n" / ".fedsql" / "north"


def test_a_federation_can_be_made_in_python():
    table = pa.table({"age": [1, 2]})
    tables = {"patients": {"source": table, "columns": {"age": {"use": ("filter",), "bounds": (0, 1.5)}}}}
    federation = federation_from({"parties": {"north": {"tables": tables}, "south": {"config": {"tables": tables}}}})
    assert [p.name for p in federation.embedded.values()] == ["north", "south"]
    patients = federation.embedded["south"].tables["patients"]
    assert patients.source is table
    assert patients.columns["age"].bounds == (0, Decimal("1.5"))
    assert federation.embedded["north"].state_directory is None


def test_mistakes_in_python_name_the_place_and_show_no_rows():
    with pytest.raises(ConfigError) as error:
        federation_from(
            {
                "parties": {
                    "north": {"tables": {"patients": {"source": [{"age": 77}], "colums": {}}}},
                    "south": {"name": "x"},
                }
            }
        )
    assert error.value.problems == (
        "federation: parties.north.tables.patients.source: expected a path or a URI (from Python also an Arrow table, "
        "a reader or a data frame)",
        "federation: parties.north.tables.patients.colums: unknown key; did you mean columns? valid: source, sql, "
        "privacy_unit, unit_scope, max_rows_per_unit, max_groups_per_unit, references, analysts, public, unique, columns",
        "federation: parties.south.name: 'x' is [parties.south] in federation; write one name in both",
    )


def test_what_a_variable_holds_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSQL_PASSWORD", "hunter2")
    party = {"tables": {"t": {"source": "postgresql://me:${FEDSQL_PASSWORD}@host/db"}}}
    assert "hunter2" not in repr(federation_from({"parties": {"north": party}}).embedded["north"].model_dump())


def test_a_config_shows_no_rows():
    party = {"tables": {"t": {"source": pa.table({"x": ["zebra"]})}}}
    federation = federation_from({"parties": {"north": party}})
    assert "zebra" not in repr(federation) + repr(federation.embedded["north"])
