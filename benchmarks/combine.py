"""The secure combine against python-paillier: CPU time of all roles, and bytes a value, measured in one run.

    python benchmarks/combine.py [--values 40000] [--parties 5] [--bits 2048] [--exponent 1024] [--sample 60]

Every party packs, masks and encrypts ``--values`` int64; the coordinator validates and adds; the analyst decrypts,
unpacks and verifies every sum. The peers do the same sums with phe alone: *naive*, one value a ciphertext through phe's
public interface, as most Python projects do; *packed*, phe's own encryption, addition and decryption of the very
plaintexts of our run. Both are measured on a sample (``--sample`` ciphertexts a party) and scaled: all of the naive run
would take most of an hour. Serialisation counts for us and not for the peers. Key generation is outside, and reported.
A table goes to stderr, one line of JSON to stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from phe.paillier import EncryptedNumber, PaillierPrivateKey, PaillierPublicKey, generate_paillier_keypair

from fedsql.crypto.keys import QueryKey
from fedsql.crypto.masks import mask_columns
from fedsql.crypto.packing import Layout, add_columns, from_int64, to_ints
from fedsql.crypto.paillier import Encryptor, SecretKey, add, generate


@dataclass
class Clock:
    """CPU seconds of this process, all threads, by name of the step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start

    def total(self) -> float:
        return sum(self.seconds.values())


def ours(values: list[np.ndarray], key: SecretKey, exponent: int) -> tuple[Clock, list[list[int]], int]:
    """Return the clock, the plaintexts of every party, and the bytes that one party sends. Exits on a wrong sum."""
    clock, rows = Clock(), len(values[0])
    layout = Layout([8], rows, key.public.plaintext_bytes)
    keys = {f"party{i}": QueryKey() for i in range(len(values))}
    plaintexts, sent = [], []
    for (me, mine), own in zip(keys.items(), values, strict=True):
        with clock.step("mask"):
            shared = {peer: mine.shared(k.public, b"benchmark") for peer, k in keys.items() if peer != me}
            (mask,), words = mask_columns(shared, me, layout.widths, rows, layout.plaintexts)
            masked = add_columns(from_int64(own, 8), mask)
        with clock.step("pack"):
            plaintexts.append(layout.pack([masked], words + np.uint64(1)))
        with clock.step("encrypt"):
            ciphertexts = Encryptor(key.public, exponent, expected=layout.plaintexts).encrypt(plaintexts[-1])
            sent.append(key.public.to_bytes(ciphertexts))
    with clock.step("add"):
        total = key.public.to_bytes(add(key.public, [key.public.from_bytes(data) for data in sent]))
    with clock.step("decrypt"):
        opened = key.decrypt(key.public.from_bytes(total))
    with clock.step("unpack"):
        (column,), checks = layout.unpack(opened)
        sums = to_ints(column)
    if sums != np.sum(values, axis=0).tolist() or set(checks.tolist()) != {len(values)}:
        sys.exit("the sums are wrong")
    return clock, plaintexts, len(sent[0])


def naive(values: list[np.ndarray], public: PaillierPublicKey, private: PaillierPrivateKey) -> Clock:
    """phe as documented: encrypt each value, add with +, decrypt. ``values`` is the sample."""
    clock = Clock()
    with clock.step("encrypt"):
        encrypted = [[public.encrypt(v) for v in own.tolist()] for own in values]
    with clock.step("add"):
        total = encrypted[0]
        for more in encrypted[1:]:
            total = [a + b for a, b in zip(total, more, strict=True)]
    with clock.step("decrypt"):
        sums = [private.decrypt(c) for c in total]
    if sums != np.sum(values, axis=0).tolist():
        sys.exit("naive: the sums are wrong")
    return clock


def packed(plaintexts: list[list[int]], key: SecretKey) -> Clock:
    """phe's own encryption, addition and decryption of packed plaintexts. ``plaintexts`` is the sample."""
    clock, public = Clock(), key.public.phe
    with clock.step("encrypt"):
        encrypted = [[EncryptedNumber(public, public.raw_encrypt(m)) for m in own] for own in plaintexts]
    with clock.step("add"):
        total = encrypted[0]
        for more in encrypted[1:]:
            total = [a + b for a, b in zip(total, more, strict=True)]
    with clock.step("decrypt"):
        sums = [key.phe.raw_decrypt(c.ciphertext(be_secure=False)) for c in total]
    if sums != [sum(each) for each in zip(*plaintexts, strict=True)]:
        sys.exit("packed: the sums are wrong")
    return clock


def scaled(clock: Clock, factor: float) -> Clock:
    return Clock({name: seconds * factor for name, seconds in clock.seconds.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values", type=int, default=40_000, help="int64 values of each party")
    parser.add_argument("--parties", type=int, default=5)
    parser.add_argument("--bits", type=int, default=2048, choices=(2048, 3072), help="length of the Paillier modulus")
    parser.add_argument("--exponent", type=int, help="bits of the random exponents (default: half the modulus)")
    parser.add_argument("--sample", type=int, default=60, help="ciphertexts of each party that the peers are timed on")
    options = parser.parse_args()
    exponent = options.exponent or options.bits // 2

    setup = Clock()
    with setup.step("our key"):
        key = generate(options.bits)
    with setup.step("phe's key"):
        public, private = generate_paillier_keypair(n_length=options.bits)
    generator = np.random.default_rng(1)
    bound = (1 << 62) // options.parties
    values = [generator.integers(-bound, bound, options.values) for _ in range(options.parties)]

    fast, plaintexts, sent = ours(values, key, exponent)
    sample = min(options.sample, options.values)
    slow = scaled(naive([own[:sample] for own in values], public, private), options.values / sample)
    few = [own[:sample] for own in plaintexts]
    medium = scaled(packed(few, key), len(plaintexts[0]) / len(few[0]))

    show = {"fedsql": fast, "phe packed": medium, "phe naive": slow}
    steps = ["mask", "pack", "encrypt", "add", "decrypt", "unpack"]
    print(
        f"{options.parties} parties x {options.values} int64, {options.bits}-bit key, {exponent}-bit exponents;",
        end=" ",
        file=sys.stderr,
    )
    print(f"phe's figures scaled from {sample} ciphertexts a party. CPU seconds of all roles:", file=sys.stderr)
    print(f"{'':12}" + "".join(f"{name:>10}" for name in [*steps, "total", "ratio"]), file=sys.stderr)
    for name, clock in show.items():
        cells = [clock.seconds.get(step, 0.0) for step in steps]
        line = "".join(f"{cell:10.3f}" for cell in [*cells, clock.total()])
        print(f"{name:12}{line}{clock.total() / fast.total():9.1f}x", file=sys.stderr)
    print(f"{sent / options.values:.2f} bytes a value and party; keys: {setup.seconds}", file=sys.stderr)
    figures = {
        "benchmark": "combine",
        "parties": options.parties,
        "values": options.values,
        "key_bits": options.bits,
        "exponent_bits": exponent,
        "cpu_s": {name: round(clock.total(), 3) for name, clock in show.items()},
        "steps_cpu_s": {step: round(seconds, 3) for step, seconds in fast.seconds.items()},
        "ratio_to_phe_naive": round(slow.total() / fast.total(), 1),
        "ratio_to_phe_packed": round(medium.total() / fast.total(), 1),
        "phe_sample_ciphertexts_per_party": sample,
        "bytes_per_value": round(sent / options.values, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
