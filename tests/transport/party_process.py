"""One toy party as a process: what a test can kill or stop. It ends when its standard input does."""

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parent))
from toys import FEDERATION, QUICK, Seen, party_steps

from fedsql.crypto.keys import IdentityKey
from fedsql.executors.transport.node import Node


class Loud(Seen):
    def add(self, *event):
        print(*event[:2], flush=True)


setup = json.loads(sys.argv[1])
node = Node(
    setup["address"],
    setup["name"],
    "party",
    IdentityKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(setup["identity"]))),
    bytes.fromhex(setup["coordinator"]),
    FEDERATION,
    on_query=lambda *_: party_steps(setup["name"], setup["value"], Loud()),
    settings=QUICK,
)
node.connect()
print("connected", flush=True)
sys.stdin.read()
node.close()
