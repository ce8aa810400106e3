"""A server that holds consecutive blocks of a model."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

from fallow import _core, _hub, _lifetime

_SIGNAL_CHECK_SECONDS = 0.1


class BlockServer:
    """Holds blocks of a model and runs them for whoever opens a session.

    Serves from the start until stop(), close() or the end of a `with`; at the latest until Python
    exits. Its threads are its own, so nothing has to be called for it to go on.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        blocks: str | tuple[int, int] | None = None,
        listen: str = "0.0.0.0:31330",
        identity: str = "",
        insecure: bool = False,
        numeric_class: str = "auto",
        weights: str = "auto",
        threads: int = 0,
        device: str = "auto",
        max_sessions: int = 64,
        kv_memory: int = 0,
        cache: str = "",
        max_outbox: int = 64 << 20,
        announce: str = "",
        grace: float = 30.0,
        idle_timeout: float = 600.0,
        revision: str | None = None,
    ):
        """Loads the blocks and listens.

        checkpoint: a directory, a .gguf file, or a hub id (fetches the shards of its blocks only)
        blocks: "begin:end" or (begin, end), half-open; None: all
        listen: host:port; port 0 takes a free one
        identity: a key file, made if absent; "": a new key each start
        insecure: plaintext, peers not identified: for closed networks only
        numeric_class: auto, fp32, bf16, exact, or a whole class string
        weights: auto, fp32, bf16, q8, q4
        threads: of the computation; 0: all cores
        device: auto (all GPUs, and the CPU for what they have no room for), cpu, cuda, cuda:1 (the
            second), cuda-emulated (slowly), or several, filled in order: "cuda:0,cuda:1,cpu"
        max_sessions: open at once
        kv_memory: bytes for keys and values; 0: a quarter of the memory
        cache: of packed weights, for quick starts: a directory, or auto; "": none
        max_outbox: bytes kept per session for replays
        announce: host put into the address; "": that of `listen`
        grace: seconds that a session without its client is kept
        idle_timeout: seconds after which a session without a step is closed

        ValueError (options), CheckpointError, PeerUnavailable (address in use), MemoryError.
        """
        span = parse_blocks(blocks)
        self._server: Any = _core.Server(
            {
                "checkpoint": _hub.fetch_blocks(checkpoint, span, revision),
                "blocks": span or (0, 0),
                "listen": listen,
                "identity": identity,
                "insecure": insecure,
                "numeric_class": numeric_class,
                "weights": weights,
                "threads": threads,
                "device": device,
                "max_sessions": max_sessions,
                "kv_memory": kv_memory,
                "cache": cache,
                "max_outbox": max_outbox,
                "announce": announce,
                "grace": grace,
                "idle_timeout": idle_timeout,
            }
        )
        self._stopping = threading.Lock()
        _lifetime.close_at_exit(self)

    @property
    def address(self) -> str:
        """host:port#peer-id, as clients name it."""
        return self._server.address()

    @property
    def peer(self) -> str:
        """The peer id: 64 hexadecimal digits."""
        return self._server.peer()

    @property
    def blocks(self) -> tuple[int, int]:
        """(begin, end), half-open."""
        return self._server.blocks()

    @property
    def numeric_class(self) -> str:
        return self._server.numeric_class()

    @property
    def spec(self) -> SimpleNamespace:
        """The model: num_blocks, hidden_size, vocab_size, ..."""
        return SimpleNamespace(**self._server.spec())

    def stats(self) -> dict[str, Any]:
        """sessions, weight_bytes, kv_tokens_reserved, kv_tokens_capacity, passes, rows,
        computing_seconds, draining (takes no new session: it is stopping, or its device failed)."""
        return self._server.stats()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until stop() is called from another thread, or `timeout` seconds have passed; true
        if stopped. Ctrl-C ends it."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            rest = _SIGNAL_CHECK_SECONDS if end is None else end - time.monotonic()
            if self._server.wait(max(0.0, min(rest, _SIGNAL_CHECK_SECONDS))):
                return True
            if end is not None and time.monotonic() >= end:
                return False

    def stop(self, deadline: float = 5.0) -> None:
        """Tells sessions to move away, waits until they have or `deadline` seconds have passed, then
        stops. A second call awaits the first."""
        with self._stopping:
            self._server.stop(deadline)

    def close(self) -> None:
        """stop() with its usual deadline."""
        self.stop()

    def __enter__(self) -> BlockServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def parse_blocks(blocks: str | tuple[int, int] | None) -> tuple[int, int] | None:
    """"10:20" as (10, 20). ValueError unless it is a range that is not empty."""
    if blocks is None or blocks == "":
        return None
    try:
        begin, end = (int(part) for part in (blocks.split(":") if isinstance(blocks, str) else blocks))
    except (TypeError, ValueError):
        raise ValueError(f"blocks = {blocks!r}, expected begin:end") from None
    if not 0 <= begin < end:
        raise ValueError(f"blocks = {blocks!r}, expected 0 <= begin < end")
    return begin, end
