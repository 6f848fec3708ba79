"""`fedsql init --parties`, `fedsql keygen` and `fedsql enroll`: what is written, for whom, and that it works as it is."""

import os
import re
import socket
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from fedsql.cli import app
from fedsql.config.loading import federation_file, load_federation, load_party
from fedsql.crypto.keys import IdentityKey, format_public
from fedsql.executors.enrolment import enroll
from fedsql.executors.services.coordinator import CoordinatorService
from fedsql.executors.services.party import PartyService
from fedsql.session import Session

RUNNER = CliRunner(env={"COLUMNS": "80"})
POSIX = pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
PARTIES = ("north", "south", "west")
ALL = ["README.md", "analyst", "ca", "coordinator", "federation.toml", *PARTIES]


def run(*arguments: object) -> Result:
    return RUNNER.invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> list[str]:
    """Run what must fail as wrong usage; return its lines without the hints."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return [line for line in result.stderr.splitlines() if line.startswith("error: ")]


def key_of(path: Path) -> str:
    return format_public(IdentityKey.from_file(path).public)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return every path below ``folder`` with its content, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A federation of three that offers nothing yet."""
    result = run("init", tmp_path / "hospitals", "--parties", ",".join(PARTIES))
    assert result.exit_code == 0, result.output
    return tmp_path / "hospitals"


@pytest.mark.parametrize("command", ["init", "keygen", "enroll"])
def test_help_fits_80_columns(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_everybody_s_files_fit_each_other(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == sorted(ALL)
    federation = load_federation(made / "federation.toml")
    assert federation.name == "hospitals"
    assert (federation.remote, tuple(federation.analysts)) == (PARTIES, ("analyst",))
    assert federation.coordinator is not None
    assert federation.coordinator.address == "grpc+tls://localhost:31337"
    assert federation.coordinator.public_key == key_of(made / "coordinator" / "identity.pem")
    assert federation.analysts["analyst"].public_key == key_of(made / "analyst" / "identity.pem")
    assert federation.root_certificates == (made / "ca" / "ca.pem").read_bytes()
    for name in PARTIES:
        party = load_party(made / name / f"{name}.toml")
        assert (party.name, party.tables) == (name, {})
        assert federation_file(party) == made / "federation.toml"
        assert party.state_directory is not None
        assert federation.parties[name].public_key == key_of(party.state_directory / "identity.pem")
        assert run("check", made / name / f"{name}.toml").stdout.endswith("  offers nothing\n\nno problems\n")
    assert run("check", made / "federation.toml").exit_code == 0


@POSIX
def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert run("init", tmp_path / "f", "--parties", "north,south", "--example").exit_code == 0
        assert run("enroll", tmp_path / "f" / "federation.toml", "--party", "west").exit_code == 0
        assert run("enroll", tmp_path / "f" / "federation.toml", "--analyst", "bob").exit_code == 0
        assert run("keygen", tmp_path / "k" / "identity.pem").exit_code == 0
    finally:
        os.umask(before)
    free = {"f", "f/README.md", "f/federation.toml"}
    for path in tmp_path.rglob("*"):
        if path.relative_to(tmp_path).as_posix() not in free:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_nothing_secret_is_shared(made: Path) -> None:
    secrets = [path for path in made.rglob("*") if path.suffix == ".key" or path.name == "identity.pem"]
    assert len(secrets) == 2 + 1 + len(PARTIES) + 1
    for name in ("federation.toml", "README.md"):
        text = (made / name).read_text()
        assert "PRIVATE" not in text
        for path in secrets:
            for line in path.read_text().splitlines()[1:-1]:
                assert line not in text


def test_the_certificate_is_for_all_hosts_and_this_machine(tmp_path: Path) -> None:
    hosts = ["c.example", "10.0.0.7"]
    result = run(
        "init", tmp_path, "--parties", "north", *(part for h in hosts for part in ("--host", h)), "--port", 443
    )
    assert result.exit_code == 0, result.output
    leaf = x509.load_pem_x509_certificate((tmp_path / "coordinator" / "tls.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["c.example", "localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7", "127.0.0.1", "::1"]
    assert 'address = "grpc+tls://c.example:443"' in (tmp_path / "federation.toml").read_text()
    assert "at port 443:" in (tmp_path / "README.md").read_text()
    assert "on its own machine" in result.stderr


def test_an_ipv6_address_stands_in_brackets(tmp_path: Path) -> None:
    assert run("init", tmp_path, "--parties", "north", "--host", "fd00::7").exit_code == 0
    federation = load_federation(tmp_path / "federation.toml")
    assert federation.coordinator is not None
    assert federation.coordinator.address == "grpc+tls://[fd00::7]:31337"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["--parties", ""], ["error: --parties: missing; name them all, such as north,south,west"]),
        (["--parties", "north,,west"], ["error: --parties: a name is missing in 'north,,west'"]),
        (
            ["--parties", "north,South,south"],
            ["error: --parties: South and south are one name; give each party its own"],
        ),
        (
            ["--parties", "a b,main,CA", "--analyst", "coordinator"],
            [
                "error: --parties: 'a b' is not a name: letters, digits and _ (at most 63), no digit first",
                "error: --parties: 'main' is a name that SQL keeps for itself; choose another",
                "error: --parties: 'CA' is the name of a folder of this federation; choose another",
                "error: --analyst: 'coordinator' is the name of a folder of this federation; choose another",
            ],
        ),
        (
            ["--parties", "north", "--host", "c:1"],
            ["error: --host: 'c:1' is neither a host name (letters, digits, - and .) nor an IP address"],
        ),
        (["--parties", "north", "--example"], ["error: --example: is for 2 to 100 parties, not for 1"]),
        (
            ["--parties", "north", "--from", "x.csv"],
            ["error: --parties, --from: give one of them; they write different things"],
        ),
        (["--parties", "north", "--party", "x"], ["error: --party: goes with --from; --parties has all names"]),
        (["--from", "x.csv", "--example", "--port", "1"], ["error: --port, --example: goes with --parties"]),
        ([], ["error: --parties or --from: missing"]),
    ],
)
def test_a_mistake_leaves_nothing(tmp_path: Path, arguments: list[str], lines: list[str]) -> None:
    assert refused("init", tmp_path / "new", *arguments) == lines
    assert list(tmp_path.iterdir()) == []


def test_a_port_is_one() -> None:
    assert run("init", "--parties", "north", "--port", 65536).exit_code == 2


def test_nothing_is_overwritten(made: Path) -> None:
    before = tree(made)
    assert refused("init", made, "--parties", "east") == [
        f"error: {made / 'federation.toml'}: is there already; choose another folder"
    ]
    (made / "federation.toml").unlink()
    (line, *_) = refused("init", made, "--parties", "east")
    assert line == f"error: {made / 'README.md'}: is there already; move it, or choose another folder"
    assert tree(made) == {path: content for path, content in before.items() if path != "federation.toml"}


def test_a_party_that_asks_has_one_folder(tmp_path: Path) -> None:
    assert run("init", tmp_path, "--parties", "north, south", "--analyst", "north").exit_code == 0
    assert key_of(tmp_path / "north" / "identity.pem") != key_of(
        tmp_path / "north" / ".fedsql" / "north" / "identity.pem"
    )
    assert (tmp_path / "README.md").read_text().count("| `north/` |") == 1


def commands(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith((" ", "    ")) and "fedsql" in line]


def test_the_texts_say_the_commands_that_work(made: Path) -> None:
    result = run("init", made.parent / "again", "--parties", ",".join(PARTIES), "--analyst", "ada")
    assert result.stdout.splitlines() == [
        str(made.parent / "again" / name)
        for name in ("README.md", "federation.toml", "ca", "coordinator", *PARTIES, "ada")
    ]
    start = [
        "fedsql coordinator federation.toml",
        *(f"fedsql party {name}/{name}.toml" for name in PARTIES),
        "fedsql shell federation.toml --analyst ada",
    ]
    assert commands(result.stderr) == start
    readme = (made.parent / "again" / "README.md").read_text()
    assert [line for line in commands(readme) if line in start] == start
    assert "fedsql check north/north.toml" in commands(readme)
    assert max(map(len, readme.splitlines())) <= 80
    assert "As written nothing may be asked." in readme


def serve(stack: ExitStack, file: Path) -> PartyService:
    service = stack.enter_context(closing(PartyService(file, federation_file(load_party(file)))))
    service.start()
    assert service.wait_connected(20), service.reason
    return service


def rows(session: Session, sql: str) -> list[dict[str, object]]:
    table = session.execute(sql).table
    assert table is not None
    found: list[dict[str, object]] = table.to_pylist()
    return found


def test_the_example_answers_over_tls_and_who_joins_asks_at_once(tmp_path: Path) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = ("alpha", "beta", "gamma", "delta")
    assert run("init", tmp_path, "--parties", ",".join(names), "--port", port, "--example").exit_code == 0
    shared = tmp_path / "federation.toml"
    question = re.search(r"^    SELECT.*?;$", (tmp_path / "README.md").read_text(), re.M | re.S)
    assert question is not None
    with ExitStack() as stack:
        coordinator = stack.enter_context(closing(CoordinatorService(shared, tmp_path / "coordinator")))
        parties = [serve(stack, tmp_path / name / f"{name}.toml") for name in names]
        with closing(Session.open(shared)) as session:
            answer = rows(session, question[0].removesuffix(";"))
            assert [row["persons"] for row in answer] == [3275, 2088, 457, 92]
        assert run("enroll", shared, "--party", "east").exit_code == 0
        assert run("enroll", shared, "--analyst", "bob").exit_code == 0
        coordinator.reload()
        for party in parties:
            party.reload()
        serve(stack, tmp_path / "east" / "east.toml")
        with closing(Session.open(shared, "bob")) as session:
            assert rows(session, "SELECT COUNT(*) AS n FROM patients") == [{"n": 20190}]
            states = {row["party"]: row["state"] for row in rows(session, "SHOW PARTIES")}
            assert states == dict.fromkeys((*names, "east"), "connected")


def test_keygen_prints_the_public_key_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "ada.pem"
    result = run("keygen", file)
    assert (result.exit_code, result.stdout) == (0, key_of(file) + "\n")
    assert str(file) in result.stderr
    assert "PRIVATE" not in result.output
    before = file.read_bytes()
    assert refused("keygen", file) == [f"error: {file}: exists already; an identity key is never overwritten"]
    assert file.read_bytes() == before
    assert refused("keygen", tmp_path) == [f"error: {tmp_path}: is a folder; name a file in it"]
    assert refused("keygen", file / "x.pem") == [f"error: {file / 'x.pem'}: cannot be written: Not a directory"]


def test_a_party_joins_with_a_key_made_here(made: Path) -> None:
    file = made / "federation.toml"
    before = file.read_bytes()
    result = run("enroll", file, "--party", "east")
    assert result.exit_code == 0, result.output
    key = made / "east" / ".fedsql" / "east" / "identity.pem"
    assert result.stdout.splitlines() == [str(file), str(key), str(made / "east" / "east.toml")]
    assert f"is known by {key_of(key)}" in result.stderr
    assert f"fedsql party {made / 'east' / 'east.toml'}" in result.stderr
    assert file.read_bytes() == before + f'\n[parties.east]\npublic_key = "{key_of(key)}"\n'.encode()
    assert load_federation(file).remote == (*PARTIES, "east")
    assert load_party(made / "east" / "east.toml").tables == {}
    assert [path.name for path in made.glob(".*")] == []  # no draft stays behind


def test_a_key_and_a_party_file_that_are_there_are_taken(made: Path) -> None:
    key = made / "east" / ".fedsql" / "east" / "identity.pem"
    assert run("keygen", key).exit_code == 0
    (made / "east" / "east.toml").write_text('name = "east"\n# mine\n')
    before = tree(made / "east")
    assert run("enroll", made / "federation.toml", "--party", "east").exit_code == 0
    assert tree(made / "east") == before
    assert load_federation(made / "federation.toml").parties["east"].public_key == key_of(key)


def test_who_sends_a_public_key_needs_no_folder_here(made: Path, tmp_path: Path) -> None:
    public = run("keygen", tmp_path / "k.pem").stdout.strip()
    result = run("enroll", made / "federation.toml", "--party", "east", "--public-key", public)
    assert (result.exit_code, result.stdout) == (0, f"{made / 'federation.toml'}\n")
    assert "  east/.fedsql/east/identity.pem" in result.stderr.splitlines()
    assert load_federation(made / "federation.toml").parties["east"].public_key == public
    assert not (made / "east").exists()


def test_an_analyst_joins(made: Path, tmp_path: Path) -> None:
    file = made / "federation.toml"
    result = run("enroll", file, "--analyst", "bob")
    assert result.stdout.splitlines() == [str(file), str(made / "bob" / "identity.pem")]
    assert f"  fedsql shell {file} --analyst bob" in result.stderr.splitlines()
    assert run("keygen", tmp_path / "k.pem").exit_code == 0
    other = run("enroll", file, "--analyst", "eve", "--key", tmp_path / "k.pem")
    assert f"  fedsql shell {file} --analyst eve --key {tmp_path / 'k.pem'}" in other.stderr.splitlines()
    analysts = load_federation(file).analysts
    assert {name: entry.public_key for name, entry in analysts.items() if name != "analyst"} == {
        "bob": key_of(made / "bob" / "identity.pem"),
        "eve": key_of(tmp_path / "k.pem"),
    }


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (lambda text: text.rstrip("\n"), '\n\n[analysts.bob]\npublic_key = "{0}"\n'),
        (lambda text: text + "# the end", '\n\n[analysts.bob]\npublic_key = "{0}"\n'),
        (lambda text: text.replace("\n", "\r\n"), '\r\n[analysts.bob]\r\npublic_key = "{0}"\r\n'),
        (lambda text: "\ufeff" + text, '\n[analysts.bob]\npublic_key = "{0}"\n'),
        (lambda text: text + "\n# größe\t \n\n", '\n[analysts.bob]\npublic_key = "{0}"\n'),
    ],
)
def test_what_stands_there_stays_byte_for_byte(made: Path, change: Callable[[str], str], after: str) -> None:
    file = made / "federation.toml"
    before = change(file.read_text()).encode()
    file.write_bytes(before)
    assert run("enroll", file, "--analyst", "bob").exit_code == 0
    assert file.read_bytes() == before + after.format(key_of(made / "bob" / "identity.pem")).encode()
    assert set(load_federation(file).analysts) == {"analyst", "bob"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--party NAME or --analyst NAME: give one of them: who joins?"),
        (["--party", "a", "--analyst", "b"], "--party NAME or --analyst NAME: give one of them: who joins?"),
        (["--party", "North"], "--party: {0} has north already; choose another name"),
        (["--analyst", "analyst"], "--analyst: {0} has analyst already; choose another name"),
        (["--party", "temp"], "--party: 'temp' is a name that SQL keeps for itself; choose another"),
        (
            ["--analyst", "coordinator"],
            "--analyst: 'coordinator' is the name of a folder of this federation; choose another",
        ),
        (
            ["--party", "east", "--public-key", "x"],
            "--public-key: a public key is written ed25519:<base64 of 32 bytes>",
        ),
        (
            ["--party", "east", "--public-key", "{1}"],
            "the key {1} is that of north already; everybody has a key of their own",
        ),
        (["--party", "east", "--public-key", "{1}", "--key", "k"], "--public-key, --key: give one of them"),
        (
            ["--party", "east", "--key", "{0}"],
            "{0}: the identity key is open to other users",
        ),
        (["--party", "east", "--key", "{0}.pem"], "{0}.pem: cannot read the identity key: No such file or directory"),
    ],
)
def test_what_cannot_join_changes_nothing(made: Path, arguments: list[str], message: str) -> None:
    file = made / "federation.toml"
    north = key_of(made / "north" / ".fedsql" / "north" / "identity.pem")
    before = tree(made)
    filled = [argument.format(file, north) for argument in arguments]
    assert refused("enroll", file, *filled) == [f"error: {message.format(file, north)}"]
    assert tree(made) == before


def test_a_file_that_cannot_be_added_to_says_what_to_write(made: Path) -> None:
    file = made / "federation.toml"
    text = file.read_text()
    cut = text.index("[analysts.analyst]")
    pinned = text[cut:].split("= ")[1].strip()
    inline = f"analysts = {{ analyst = {{ public_key = {pinned} }} }}\n"
    file.write_text(inline + text[:cut])
    before = tree(made)
    result = run("enroll", file, "--analyst", "bob")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: federation.toml: analysts: is written on one line")
    assert "bob = { public_key =" in result.stderr
    assert tree(made) == before


def test_a_party_file_for_data_comes_alone_beside_a_shared_file(made: Path) -> None:
    data = made / "patients.csv"
    data.write_text("age\n1\n")
    result = run("init", made / "east", "--from", data, "--party", "east")
    assert (result.exit_code, result.stdout) == (0, f"{made / 'east' / 'east.toml'}\n")
    assert federation_file(load_party(made / "east" / "east.toml")) == made / "federation.toml"


def test_there_is_nothing_to_join_in_one_process(tmp_path: Path) -> None:
    run("demo", "--into", tmp_path, "-c", "SELECT 1")
    before = (tmp_path / "federation.toml").read_bytes()
    (line,) = refused("enroll", tmp_path / "federation.toml", "--party", "east")
    assert "its parties run in one process" in line
    assert (tmp_path / "federation.toml").read_bytes() == before


@POSIX
def test_a_file_that_cannot_be_replaced_leaves_no_key_behind(made: Path) -> None:
    import resource

    before, limits = tree(made), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))  # bytes: room for a key, not for the shared file
    try:
        (line,) = refused("enroll", made / "federation.toml", "--analyst", "bob")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert line == f"error: {made / 'federation.toml'}: cannot be written: File too large"
    assert tree(made) == before


@POSIX
def test_who_joins_at_the_same_moment_waits(made: Path) -> None:
    file, names = made / "federation.toml", [f"a{i}" for i in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: enroll(file, name, party=False), names))
    assert set(load_federation(file).analysts) == {"analyst", *names}
