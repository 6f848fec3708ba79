"""A hub as a process that a test can stop. It ends when its standard input does."""

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parent))
from toys import FEDERATION, QUICK, coordinator_steps

from fedsql.crypto.keys import IdentityKey
from fedsql.executors.transport.hub import Hub

setup = json.loads(sys.argv[1])
known = {(setup["name"], setup["role"]): bytes.fromhex(setup["public"])}
identity = IdentityKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(setup["identity"])))
hub = Hub("grpc://127.0.0.1:0", FEDERATION, identity, lambda *who: known.get(who), coordinator_steps, settings=QUICK)
print(hub.address, flush=True)
sys.stdin.read()
hub.close()
