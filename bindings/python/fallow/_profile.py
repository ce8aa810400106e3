"""Where a model's time goes."""

from __future__ import annotations

from typing import Any

from fallow import _core, _hub
from fallow._server import parse_blocks


def profile(
    checkpoint: str,
    *,
    blocks: str | tuple[int, int] | None = None,
    numeric_class: str = "auto",
    weights: str = "auto",
    threads: int = 0,
    prompt_tokens: int = 512,
    new_tokens: int = 64,
    revision: str | None = None,
) -> dict[str, Any]:
    """Runs tokens through a model and times each kernel beside what this machine allows.

    blocks: "begin:end" or (begin, end), half-open; None: all, with embedding, head and sampling
    numeric_class: auto, fp32, bf16, exact, or a whole class string
    weights: auto, fp32, bf16, q8, q4
    threads: of the computation; 0: all cores
    prompt_tokens: of one sequence, in passes of 128
    new_tokens: after that, one a pass

    device, numeric_class, threads, memory_bytes_per_second and cache_bytes_per_second (measured
    first, by the same threads), prefill and decode: {seconds, tokens_per_second, kernels}. kernels,
    the longest first: [{kernel, calls, seconds, bytes, multiply_adds, least_seconds}], where
    least_seconds is what the machine needs at least for these bytes or these products.

    ValueError (options), CheckpointError, MemoryError.
    """
    span = parse_blocks(blocks)
    options: dict[str, Any] = {
        "checkpoint": _hub.fetch_blocks(checkpoint, span, revision=revision),
        "numeric_class": numeric_class,
        "weights": weights,
        "threads": threads,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
    }
    if span is not None:
        options["blocks"] = span
    return _core.profile(options)
