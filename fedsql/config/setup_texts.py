"""The texts that `fedsql init --parties` writes beside the keys: the shared file, and a README of the next steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

PARTIES, ANALYSTS = "parties", "analysts"


def entry_text(kind: str, name: str, public_key: str) -> str:
    """Return the lines of the shared file that pin the key of a participant; ``kind`` is PARTIES or ANALYSTS."""
    return f'[{kind}.{name}]\npublic_key = "{public_key}"\n'


def shared_text(
    name: str, address: str, public_key: str, ca: str, parties: Mapping[str, str], analysts: Mapping[str, str]
) -> str:
    """Return the text of a federation.toml over the network; ``name`` is printable, the others are name -> public key."""
    head = (
        "# Who takes part, and by which keys they are known. The same file for everybody; it holds no secret.\n"
        "# `fedsql enroll` adds a party or an analyst.\n"
        f"name = {json.dumps(name, ensure_ascii=False)}\n\n"
        "# Parties and analysts dial the coordinator; ca is what its TLS certificate must hang on.\n"
        f'[coordinator]\naddress = "{address}"\npublic_key = "{public_key}"\nca = """\n{ca}"""\n'
    )
    entries = [entry_text(PARTIES, *each) for each in parties.items()]
    entries += [entry_text(ANALYSTS, *each) for each in analysts.items()]
    return "\n".join([head, *entries])


def readme_text(name: str, address: str, parties: Sequence[str], analyst: str, *, local: bool, sql: str | None) -> str:
    """Return the README of a new federation. ``local``: it is reached on this machine alone; ``sql``: ask this first."""
    first = parties[0]
    lines = [
        f"# {name}",
        "",
        f"A federation of {_listed(parties)}, asked by {analyst} through a coordinator at",
        f"`{address}`. `fedsql init` wrote these files.",
        "",
        "## Try it on this machine",
        "",
        "In this folder, each in a terminal of its own:",
        "",
        "    fedsql coordinator federation.toml",
        *(f"    fedsql party {party}/{party}.toml" for party in parties),
        f"    fedsql shell federation.toml --analyst {analyst}",
        "",
        "The order does not matter: a party dials until it is answered, and again when the",
        "connection is lost. At the prompt, `SHOW PARTIES;` says who is there.",
        *(_with_example(sql) if sql else _without_example(first)),
        "",
        "## Who gets what",
        "",
        "| | for | |",
        "|---|---|---|",
        "| `federation.toml` | everybody, the same file | not secret |",
        "| `coordinator/` | the machine of the coordinator | **secret** |",
        *(f"| `{party}/` | {party} alone | **secret** |" for party in parties),
        f"| `{analyst}/` | {analyst} alone | **secret** |",
        "| `ca/` | nobody: offline, where no process needs it | **secret** |",
        "",
        "Each puts its folder beside `federation.toml` and runs its line from above. Hand the",
        "folders over in a safe way, then delete them here: `identity.pem` is the private key",
        "of its owner, and who has it can pose as the owner. `ca/ca.key` signs certificates of",
        "coordinators; it is needed again only for a new one.",
        "",
        "Whoever ran `fedsql init` has held everybody's private keys. A party that wants nobody",
        "to have held its own makes a new one on its own machine and sends the line that is",
        "printed, which takes the place of its `public_key` in `federation.toml`:",
        "",
        f"    rm {first}/.fedsql/{first}/identity.pem",
        f"    fedsql keygen {first}/.fedsql/{first}/identity.pem",
        "",
        "## Machines of their own",
        "",
        *(_local() if local else _reached(address)),
        "",
        "## Who joins later",
        "",
        "    fedsql enroll federation.toml --party NAME",
        "    fedsql enroll federation.toml --analyst NAME",
        "",
        "This makes a key and adds its public half to `federation.toml`, which then goes to",
        "everybody again. Best run by who joins, on their own machine; or let them send the",
        "line that `fedsql keygen` prints, and give it with `--public-key`.",
    ]
    return "\n".join([*lines, ""])


def _with_example(sql: str) -> list[str]:
    return [
        "Then ask what the example can answer at once:",
        "",
        *(f"    {line}" for line in f"{sql};".splitlines()),
        "",
        "The tables are real: an extract of the RAND Health Insurance Experiment, dealt out to",
        "the parties person by person (see NOTICE.md beside them). To go on with your own data,",
        "change the tables in the party files, and look at them with `fedsql check`.",
    ]


def _without_example(first: str) -> list[str]:
    return [
        "",
        "As written nothing may be asked. Each party says in its own file, such as",
        f"`{first}/{first}.toml`, which of its tables and columns it offers, and checks it:",
        "",
        f"    fedsql check {first}/{first}.toml",
        "",
        "A party that runs reads its file again when it changes.",
    ]


def _local() -> list[str]:
    return [
        "These files are for one machine: the coordinator is dialled at `localhost`. For a",
        "federation over a network, begin again in another folder and say how its machine is",
        "called there: `fedsql init DIR --parties ... --host NAME`.",
    ]


def _reached(address: str) -> list[str]:
    return [
        f"Only the coordinator listens, at port {address.rpartition(':')[2]}; that port must be reachable from the",
        "parties and the analysts. They dial out, and nothing needs to reach them.",
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
