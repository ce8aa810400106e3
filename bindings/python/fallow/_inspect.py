"""What a checkpoint holds."""

from __future__ import annotations

from typing import Any

from fallow import _core, _hub


def inspect(
    checkpoint: str, *, digests: bool = True, revision: str | None = None
) -> dict[str, Any]:
    """spec, numeric_class (the one that "auto" stands for), tensors and digests of a checkpoint.

    tensors: [{name, type, shape, bytes}]. digests: {manifest, ends, blocks: [...]}, BLAKE2b-256 in
    hexadecimal, for which all weights are read; digests=False leaves them out.
    """
    return _core.inspect(_hub.fetch_blocks(checkpoint, revision=revision), digests)
