"""What the commands show on stderr, so that stdout holds their results alone."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from fallow._streamers import TextStreamer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fallow._model import AutoDistributedModelForCausalLM, Generation


class Display:
    """Progress while it lasts, in one line, if stderr is a terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._status: Any = None
        self._tokens = 0
        self._first_token_at = 0.0
        self._live_route: Callable[[], list[dict[str, Any]]] = list

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Shows `text` until the block ends or end_step() is called."""
        self._tokens = 0
        self._status = self.console.status(text)
        self._status.start()
        try:
            yield
        finally:
            self.end_step()

    def end_step(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def watch(self, model: AutoDistributedModelForCausalLM) -> None:
        """Whose route is shown while tokens come."""
        self._live_route = model.live_route

    def on_token(self, token: int) -> None:
        """For generate()."""
        self._tokens += 1
        if self._tokens == 1:
            self._first_token_at = time.monotonic()
        elif self._status is not None:
            elapsed = time.monotonic() - self._first_token_at
            rate = (self._tokens - 1) / elapsed
            self._status.update(f"{self._tokens} tokens, {rate:.1f} a second through {self._hops()}")

    def _hops(self) -> str:
        """0:10 127.0.0.1:4711 0.93 ms, 10:20 ..."""
        hops = []
        for hop in self._live_route():
            time_a_token = hop["milliseconds_per_token"]
            known = f" {time_a_token:.2f} ms" if time_a_token > 0 else ""
            hops.append(f"{hop['begin']}:{hop['end']} {hop['address']}{known}")
        return ", ".join(hops)

    def give_way(self) -> None:
        """Ends the progress, for an answer that is written to the same terminal."""
        if self._status is not None:
            self.end_step()
            self.console.print(f"through {self._hops()}", style="dim")

    def show(self, generation: Generation) -> None:
        """Speeds, the route with each hop's time, and what was lost on the way."""
        count = sum(len(tokens) for tokens in generation.tokens)
        self.console.print(
            f"{count} tokens ({', '.join(generation.finish)}): "
            f"prefill {generation.prefill_tokens_per_second:.1f} tokens/s, "
            f"decode {generation.decode_tokens_per_second:.1f} tokens/s",
            style="dim",
        )
        table = Table("blocks", "address", "peer", "ms a token", box=None, style="dim")
        for hop in generation.route:
            blocks, time_a_token = f"{hop['begin']}:{hop['end']}", hop["milliseconds_per_token"]
            table.add_row(blocks, hop["address"], hop["peer"][:8], f"{time_a_token:.2f}")
        self.console.print(table)
        for recovery in generation.recoveries:
            self.console.print(
                f"went on after {recovery['pause_seconds']:.2f} s without "
                f"{recovery['blamed'][:8]}: {recovery['reason']}",
                style="yellow",
            )


class StdoutStreamer(TextStreamer):
    """Writes the answer to stdout; on a terminal it takes the place of the progress."""

    def __init__(self, tokenizer: Any, display: Display):
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._display = display

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if sys.stdout.isatty():
            self._display.give_way()
        super().on_finalized_text(text, stream_end)
