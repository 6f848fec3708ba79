"""Conversations of a query's participants without anything else: for tests of single steps."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fedsql.crypto.keys import IdentityKey
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.wire import COORDINATOR


def conversations(names: Sequence[str]) -> dict[str, Conversation]:
    """Return each participant's conversation, the coordinator's too, all of them admitted."""
    context = Context(os.urandom(16), 1, bytes(32), bytes(32), (tuple(names),), bytes(32))
    everyone = (*names, COORDINATOR)
    talks = {name: Conversation(name, context, IdentityKey.generate()) for name in everyone}
    identities = {name: talk.identity.public for name, talk in talks.items()}
    hellos = [talk.hello() for talk in talks.values()]
    for talk in talks.values():
        talk.admit(hellos, identities, everyone)
    return talks
