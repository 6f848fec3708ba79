"""Short Paillier keys, for tests that look at noise and ask for thousands of values."""

from collections.abc import Iterator
from functools import partial

import pytest

from fedsql.crypto import paillier
from fedsql.executors.roles import analyst

BITS = 512


@pytest.fixture(scope="module")
def short_keys() -> Iterator[None]:
    """Let analysts' keys have 512 bits: integers and their noise are the same under them, at a tenth of the cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paillier, "KEY_BITS", (BITS,))
        patch.setattr(analyst, "generate", partial(paillier.generate, BITS))
        yield
