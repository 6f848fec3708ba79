"""The texts that `fedsql init --parties` writes beside the keys: the shared file, and a README of the next steps."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence

PARTIES, ANALYSTS = "parties", "analysts"
_WIDTH = 80
_LOCAL = (
    "These files are for one machine, where the coordinator is dialled at localhost. For a federation over a network"
    " begin again, in another folder, and say what its machine is called there:"
    " `fedsql init DIR --parties ... --host NAME`."
)
_REACHED = (
    "Only the coordinator listens, at port {port}: it must be reachable for the parties and the analysts. They dial out,"
    " and nothing needs to reach them."
)


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
    own_key = f"{first}/.fedsql/{first}/identity.pem"
    blocks = [
        f"# {name}",
        _text(
            f"A federation of {_listed(parties)}, asked by {analyst} through a coordinator at {address}."
            " `fedsql init` wrote these files."
        ),
        "## Try it on this machine" if local else "## Start it",
        _text(
            "In this folder, each in a terminal of its own:"
            if local
            else "Each on its own machine, where `federation.toml` is and its folder beside it (see below):"
        ),
        _code(
            "fedsql coordinator federation.toml",
            *(f"fedsql party {party}/{party}.toml" for party in parties),
            f"fedsql shell federation.toml --analyst {analyst}",
        ),
        _text(
            "The order does not matter: a party dials until it is answered, and again when the connection is lost."
            " `SHOW PARTIES;` at the prompt says who is there."
        ),
        *(_with_example(sql) if sql else _without_example(first)),
        "## Who gets what",
        "\n".join(
            [
                "| | for | |",
                "|---|---|---|",
                "| `federation.toml` | everybody, the same file | not secret |",
                "| `coordinator/` | the machine of the coordinator | **secret** |",
                *(f"| `{each}/` | {each} alone | **secret** |" for each in dict.fromkeys((*parties, analyst))),
                "| `ca/` | nobody: keep it offline | **secret** |",
            ]
        ),
        _text(
            "Each puts its folder beside `federation.toml`. Hand the folders over in a safe way, then delete them here: an `identity.pem` is the private key of its owner, and who has it can pose as"
            " the owner. `ca/ca.key` signs TLS certificates of coordinators: it is needed for the next one alone (`fedsql certificate federation.toml`)."
        ),
        _text(
            "Whoever ran `fedsql init` has held everybody's private keys. Who wants nobody to have held theirs makes a"
            " new one on their own machine, before the first question:"
        ),
        _code(f"rm {own_key}", f"fedsql keygen {own_key}"),
        _text(
            "The line that this prints takes the place of their `public_key` in `federation.toml`, which goes to"
            " everybody again."
        ),
        "## On machines of their own",
        _text(_LOCAL if local else _REACHED.format(port=address.rpartition(":")[2])),
        "## Who joins later",
        _code("fedsql enroll federation.toml --party NAME", "fedsql enroll federation.toml --analyst NAME"),
        _text(
            "This makes a key and adds its public half to `federation.toml`, which goes to everybody again. Who joins"
            " runs it best on their own machine; or they send the line that `fedsql keygen` prints, to be given with"
            " `--public-key`."
        ),
    ]
    return "\n\n".join(blocks) + "\n"


def _with_example(sql: str) -> list[str]:
    return [
        _text("The example answers at once:"),
        _code(*f"{sql};".splitlines()),
        _text(
            "The tables are real: an extract of the RAND Health Insurance Experiment, dealt out to the parties person by"
            " person (`data/NOTICE.md` beside each). To go on with your own, change the tables in the party files."
        ),
    ]


def _without_example(first: str) -> list[str]:
    return [
        _text(
            f"As written nothing may be asked. Each party says in its own file, such as `{first}/{first}.toml`, which of"
            " its tables and columns others may use, and checks it:"
        ),
        _code(f"fedsql check {first}/{first}.toml"),
        _text("A party that runs reads its file again when it changes."),
    ]


def _text(paragraph: str) -> str:
    return textwrap.fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _code(*lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
