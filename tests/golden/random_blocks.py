"""Random but valid blocks of GGUF types that gguf-py can only dequantise."""

from dataclasses import dataclass

import gguf
import numpy as np
from gguf import GGMLQuantizationType as GgmlType


@dataclass
class BlockLayout:
    scale_at: int  # byte offset of the fp16 scale
    minimum_at: int | None = None  # byte offset of the fp16 scale of the minima
    minimum_ratio: float = 0.0  # minimum / scale that centres the values on zero


LAYOUTS = {
    GgmlType.Q2_K: BlockLayout(scale_at=80, minimum_at=82, minimum_ratio=1.5),
    GgmlType.Q3_K: BlockLayout(scale_at=108),
    GgmlType.Q4_K: BlockLayout(scale_at=0, minimum_at=2, minimum_ratio=7.5),
    GgmlType.Q5_K: BlockLayout(scale_at=0, minimum_at=2, minimum_ratio=15.5),
    GgmlType.Q6_K: BlockLayout(scale_at=208),
    GgmlType.IQ4_NL: BlockLayout(scale_at=0),
}


def random_blocks(rng, tensor_type, shape, deviation):
    """Bytes [rows, bytes a row] whose values have about the standard deviation asked for."""
    rows, columns = shape
    block_size, block_bytes = gguf.GGML_QUANT_SIZES[tensor_type]
    if columns % block_size:
        raise ValueError(f"{tensor_type.name}: {columns} columns, expected n * {block_size}")
    layout = LAYOUTS[tensor_type]
    blocks = rng.integers(0, 256, (rows * columns // block_size, block_bytes), dtype=np.uint8)

    spread = rng.uniform(0.7, 1.3, (2, len(blocks)))
    set_scales(blocks, layout, spread)
    unit = gguf.dequantize(blocks, tensor_type).std()
    set_scales(blocks, layout, spread * deviation / unit)
    return blocks.reshape(rows, -1)


def set_scales(blocks, layout, scales):
    """scales [2, blocks]: the scale, and the minima's before its ratio."""
    put_half(blocks, layout.scale_at, scales[0])
    if layout.minimum_at is not None:
        put_half(blocks, layout.minimum_at, scales[1] * layout.minimum_ratio)


def put_half(blocks, offset, values):
    blocks[:, offset : offset + 2] = values.astype("<f2")[:, None].view(np.uint8)
