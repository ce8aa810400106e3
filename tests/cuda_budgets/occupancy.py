"""How many blocks of a kernel a multiprocessor holds at once, by what ptxas says of the kernel.

The limits are those of the CUDA C++ Programming Guide's table of compute capabilities; the rule is
that of cuda_occupancy.h. A bound on what can run side by side, not a promise of speed.
"""

import dataclasses

WARP = 32
REGISTERS = 65536  # of a multiprocessor
REGISTER_UNIT = 256  # in which a warp's are handed out
WARP_UNIT = 4


@dataclasses.dataclass(frozen=True)
class Limits:
    threads: int
    blocks: int
    shared: int  # bytes
    shared_of_block: int
    shared_reserved: int  # of each block, by the system
    shared_unit: int


KIB = 1024
LIMITS = {
    75: Limits(1024, 16, 64 * KIB, 64 * KIB, 0, 256),
    80: Limits(2048, 32, 164 * KIB, 163 * KIB, KIB, 128),
    86: Limits(1536, 16, 100 * KIB, 99 * KIB, KIB, 128),
    89: Limits(1536, 24, 100 * KIB, 99 * KIB, KIB, 128),
    90: Limits(2048, 32, 228 * KIB, 227 * KIB, KIB, 128),
    100: Limits(2048, 32, 228 * KIB, 227 * KIB, KIB, 128),
    120: Limits(1536, 24, 100 * KIB, 99 * KIB, KIB, 128),
}


def round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def blocks_by_limit(architecture: int, threads: int, registers: int, shared: int) -> dict[str, int]:
    """For each limit the number of blocks that it alone admits. `shared` is static and dynamic."""
    limits = LIMITS[architecture]
    warps = round_up(threads, WARP) // WARP
    registers_of_warp = round_up(max(registers, 1) * WARP, REGISTER_UNIT)
    warps_by_registers = REGISTERS // registers_of_warp // WARP_UNIT * WARP_UNIT
    taken = round_up(shared + limits.shared_reserved, limits.shared_unit)
    fits = shared <= limits.shared_of_block
    return {
        "blocks": limits.blocks,
        "threads": limits.threads // (warps * WARP),
        "registers": warps_by_registers // warps,
        "shared memory": (limits.shared // taken if taken else limits.blocks) if fits else 0,
    }


def blocks_per_multiprocessor(architecture: int, threads: int, registers: int,
                              shared: int) -> tuple[int, str]:
    """The number of blocks, and what keeps it from being higher."""
    by_limit = blocks_by_limit(architecture, threads, registers, shared)
    limit = min(by_limit, key=by_limit.get)
    return by_limit[limit], limit
