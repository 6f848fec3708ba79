"""A slow link: passes TCP connections on to a port of this machine, every byte some time later, in both directions.

    python benchmarks/delay.py PORT TARGET SECONDS

Listens at PORT. What goes through is not looked at, so TLS holds from end to end. Only the time under way is longer:
order and speed stay, as on a long line that is not full. Ctrl-C or SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK = 1 << 16


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Write whatever is read, each piece ``seconds`` after it came; then the end."""
    loop, line = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

    async def receive() -> None:
        data = b" "
        while data:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data = b""
            line.put_nowait((loop.time() + seconds, data))

    receiving = asyncio.create_task(receive())
    with contextlib.suppress(OSError):
        while (piece := await line.get())[1]:
            await asyncio.sleep(piece[0] - loop.time())
            writer.write(piece[1])
            await writer.drain()
    receiving.cancel()
    writer.close()


async def serve(port: int, target: int, seconds: float) -> None:
    """Listen until cancelled."""
    open_now = set[asyncio.Task[None]]()  # the loop itself would forget them

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        for ends in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(carry(*ends, seconds))
            open_now.add(task)
            task.add_done_callback(open_now.discard)

    # localhost is both of these to some clients
    server = await asyncio.start_server(connected, ["127.0.0.1"], port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
