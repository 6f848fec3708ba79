"""One side of SecretFlow SPU's private set intersection (RR22), as benchmarks/join.py runs it beside ours.

    python benchmarks/spu_psi.py RANK PORT PORT IDS.csv OUT.csv

It needs ``spu`` alone, in an environment of its own; written for 0.9.5. It prints its CPU seconds, reading and writing of
its files included, imports not.
"""

import sys
import time

import spu.libspu.link as link
import spu.psi as psi


def main() -> None:
    rank, *ports, read, write = sys.argv[1:]
    desc = link.Desc()
    for at, port in enumerate(ports):
        desc.add_party(str(at), f"127.0.0.1:{port}")
    start = time.process_time()
    context = link.create_brpc(desc, int(rank))
    config = psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(protocol=psi.PsiProtocol.PROTOCOL_RR22, broadcast_result=True),
        input_params=psi.InputParams(path=read, selected_keys=["id"], keys_unique=True),
        output_params=psi.OutputParams(path=write, disable_alignment=True),
    )
    psi.psi_execute(config, context)
    print(f"CPU seconds: {time.process_time() - start}", flush=True)
    context.stop_link()


if __name__ == "__main__":
    main()
