"""How `fallow profile` shows what it found."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_profile(found: dict[str, Any]) -> None:
    """One table for the prompt and one for the tokens after it."""
    console = Console()
    console.print(
        f"{found['device']}, {found['threads']} threads, {found['numeric_class']}; "
        f"memory {found['memory_bytes_per_second'] / 1e9:.1f} GB/s, "
        f"own cache {found['cache_bytes_per_second'] / 1e9:.0f} GB/s",
        highlight=False,
    )
    for name in ("prefill", "decode"):
        phase = found[name]
        title = f"{name}: {phase['tokens_per_second']:.1f} tokens/s"
        console.print(_table(title, phase), highlight=False)


def _table(title: str, phase: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("kernel")
    for heading in ("calls", "ms", "share", "GB/s", "GFLOP/s", "of limit"):
        table.add_column(heading, justify="right")
    for kernel in phase["kernels"]:
        table.add_row(*_row(kernel, phase["seconds"]))
    rest = phase["seconds"] - sum(kernel["seconds"] for kernel in phase["kernels"])
    table.add_row("between kernels", "", f"{1e3 * rest:.1f}", f"{rest / phase['seconds']:.1%}")
    return table


def _row(kernel: dict[str, Any], phase_seconds: float) -> list[str]:
    seconds = kernel["seconds"]
    flops = 2 * kernel["multiply_adds"] / seconds / 1e9
    return [
        kernel["kernel"],
        str(kernel["calls"]),
        f"{1e3 * seconds:.1f}",
        f"{seconds / phase_seconds:.1%}",
        f"{kernel['bytes'] / seconds / 1e9:.1f}",
        f"{flops:.0f}" if flops else "",
        f"{kernel['least_seconds'] / seconds:.2f}",
    ]
