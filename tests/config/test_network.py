"""What the two files say of a federation over the network: TLS roots, where the shared file is, and limits."""

import base64

import pytest

from fedsql.config.loading import federation_file, federation_from, is_party_file, load_federation, load_party
from fedsql.config.models import LimitsConfig
from fedsql.crypto.certificates import make_authority
from fedsql.errors import ConfigError

KEY, OTHER = ("ed25519:" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
PARTIES = f'[parties.north]\npublic_key = "{KEY}"\n[parties.south]\npublic_key = "{OTHER}"\n'
ADDRESS = f'address = "grpc+tls://c.example:31337"\npublic_key = "{KEY}"\n'
ROOT, ROOT_KEY = make_authority("hospitals")


def shared(folder, coordinator="", more=PARTIES):
    file = folder / "federation.toml"
    file.write_text(f'name = "hospitals"\n[coordinator]\n{ADDRESS}{coordinator}\n{more}')
    return file


def problem(call, *arguments):
    with pytest.raises(ConfigError) as error:
        call(*arguments)
    (line,) = error.value.problems
    return line


def test_a_federation_of_parties_elsewhere_alone(tmp_path):
    federation = load_federation(shared(tmp_path))
    assert federation.remote == ("north", "south")
    assert not federation.embedded
    assert federation.root_certificates is None


def test_roots_stand_in_the_file_or_beside_it(tmp_path):
    (tmp_path / "ca.pem").write_bytes(ROOT)
    assert load_federation(shared(tmp_path, 'ca = "ca.pem"')).root_certificates == ROOT
    inline = load_federation(shared(tmp_path, f'ca = """\n{ROOT.decode()}"""'))
    assert inline.root_certificates == ROOT


@pytest.mark.parametrize(
    ("ca", "message"),
    [
        ("", "must not be empty"),
        ("nowhere.pem", "{0}/nowhere.pem: cannot be read: No such file or directory"),
        (".", "{0}: cannot be read: Is a directory"),
        ("federation.toml", "{0}/federation.toml is no certificate in PEM (-----BEGIN CERTIFICATE-----)"),
        ("ca.key", "{0}/ca.key holds a private key, which stays with its owner: name the certificate alone"),
        (
            "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----",
            "the text is no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        ),
    ],
)
def test_roots_that_are_none_name_file_and_key(tmp_path, ca, message):
    (tmp_path / "ca.key").write_bytes(ROOT_KEY)
    file = shared(tmp_path, f'ca = "{ca}"')
    assert problem(load_federation, file) == f"federation.toml: coordinator.ca: {message.format(tmp_path)}"


@pytest.mark.parametrize("place", ['ca = """\n{0}"""', '# {0}"', "key = '''{0}'''"])
def test_a_private_key_in_the_shared_file_is_refused_wherever_it_stands(tmp_path, place):
    file = shared(tmp_path, place.format(ROOT_KEY.decode().replace("\n", "\n# ")))
    line = problem(load_federation, file)
    assert line.startswith("federation.toml: line ")
    assert line.endswith(": a private key; this file is for everybody: take the key out")
    number = int(line.split()[2].rstrip(":"))
    assert "PRIVATE KEY" in file.read_text().splitlines()[number - 1]


def test_a_private_key_from_python_is_refused():
    coordinator = {"address": "grpc://localhost:1", "public_key": KEY, "ca": ROOT_KEY.decode()}
    parties = {"north": {"public_key": OTHER}}
    assert problem(federation_from, {"coordinator": coordinator, "parties": parties}) == (
        "federation: coordinator.ca: the text holds a private key, which stays with its owner: name the certificate alone"
    )


def test_a_change_can_be_checked_before_it_is_made(tmp_path):
    file = shared(tmp_path)
    text = file.read_text()
    assert load_federation(file, text + f'[parties.west]\npublic_key = "{KEY}"\n').remote == ("north", "south", "west")
    assert problem(load_federation, file, text + "[parties.west]\n").startswith("federation.toml: parties.west: write ")
    assert file.read_text() == text


def test_one_spelling_of_a_key_alone_is_taken(tmp_path):
    other = KEY[:-2] + chr(ord(KEY[-2]) + 1) + "="  # its last two bits are not of the key
    assert base64.b64decode(other[8:]) == base64.b64decode(KEY[8:])
    assert "32 bytes" in problem(load_federation, shared(tmp_path, more=PARTIES.replace(KEY, other)))


def party(folder, text=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "north.toml").write_text(f'name = "north"\n{text}')
    return load_party(folder / "north.toml")


def test_the_shared_file_is_named_or_beside_or_above(tmp_path, monkeypatch):
    above, beside = tmp_path / "federation.toml", tmp_path / "north" / "federation.toml"
    north = party(tmp_path / "north")
    line = problem(federation_file, north)
    assert line == (
        f'north.toml: federation: there is neither {beside} nor {above}; write federation = "path/to/federation.toml"'
    )
    above.touch()
    assert federation_file(north) == above
    beside.touch()
    assert federation_file(north) == beside
    beside.unlink()
    monkeypatch.chdir(tmp_path / "north")
    assert federation_file(load_party("north.toml")) == above
    assert federation_file(party(tmp_path / "north", 'federation = "../f.toml"')) == tmp_path / "north" / "../f.toml"


def test_limits_and_their_defaults(tmp_path):
    assert party(tmp_path).limits == LimitsConfig(time="5m", groups=1_000_000, rows=10_000_000, queries=4)
    assert (LimitsConfig().memory, LimitsConfig().threads, LimitsConfig().time) == (None, None, 300)
    limits = party(
        tmp_path, '[limits]\nmemory = "1.5 GiB"\nthreads = 2\ntime = "90s"\ngroups = 10\nrows = 20\nqueries = 1\n'
    ).limits
    assert limits.model_dump() == {
        "memory": "1.5 GiB",
        "threads": 2,
        "time": 90,
        "groups": 10,
        "rows": 20,
        "queries": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('memory = "much"', 'memory: write a size such as "4GB"'),
        ('memory = "0GB"', 'memory: write a size such as "4GB"'),
        ("memory = 4", "memory: expected text in quotes"),
        ("threads = 0", "threads: must be at least 1, not 0"),
        ("time = 300", 'time: write a number and a unit: s, m, h, d or w, such as "30d"'),
        ("groups = 0", "groups: must be at least 1, not 0"),
        ("queries = true", "queries: expected a whole number"),
        (
            "query = 3",
            "query: unknown key; did you mean queries? valid: memory, threads, time, groups, rows, queries",
        ),
    ],
)
def test_a_wrong_limit_is_one_line(tmp_path, text, message):
    assert problem(party, tmp_path, f"[limits]\n{text}\n") == f"north.toml: limits.{message}"


@pytest.mark.parametrize(
    ("name", "text", "party"),
    [
        ("north.toml", 'name = "north"\n', True),
        ("north.toml", '[limits]\ntime = "1m"\n', True),
        ("north.toml", '[tables.t]\nsource = "t.csv"\n[partys]\n', True),
        ("federation.toml", 'name = "hospitals"\n', False),
        ("hospitals.toml", f'name = "hospitals"\n{PARTIES}', False),
        ("hospitals.toml", 'name = "hospitals"\n[partys.north]\n', False),
    ],
)
def test_which_of_the_two_files_it_is(tmp_path, name, text, party):
    (tmp_path / name).write_text(text)
    assert is_party_file(tmp_path / name) == party
