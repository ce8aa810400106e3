"""Counts machine instructions of a cubin, without nvdisasm.

Since sm_70 an instruction has 16 bytes, whose lowest 12 bits are the opcode. NVIDIA documents no
encoding: the codes below were found by compiling kernels whose PTX has known numbers of each, and
budgets_test.py does so again with the nvcc at hand.
"""

import collections
import dataclasses
import pathlib
import struct
from collections.abc import Iterator

OPCODES = {
    0x23c: "tensor core", 0x237: "tensor core",  # HMMA, IMMA
    0x83b: "ldmatrix",
    0xfae: "cp.async", 0x9af: "cp.async group", 0x91a: "cp.async wait",
    0x947: "branch", 0x547: "branch",
    0xb1d: "barrier",
    0x589: "shuffle", 0x989: "shuffle", 0xf89: "shuffle",
    0x981: "global load", 0x986: "global store",
    0x381: "global load", 0x386: "global store",  # of sm_75
    0x984: "shared load", 0x388: "shared store",
    0x983: "local load", 0x387: "local store",
    0x226: "dp4a", 0x826: "dp4a",
}
WIDTH_BIT = 73  # of three bits
BYTES_OF_WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 8, 6: 16}
BYTES_OF_COPY = {0: 4, 2: 8, 4: 16}  # of cp.async, from sm_100 on
NO_SCOREBOARD = 7


def functions(cubin: bytes) -> Iterator[tuple[str, bytes]]:
    """Mangled name and code of each function of an ELF file."""
    if cubin[:5] != b"\x7fELF\x02":
        raise ValueError("no ELF file of 64 bits")
    table, = struct.unpack_from("<Q", cubin, 40)
    entry_bytes, entries, names_index = struct.unpack_from("<HHH", cubin, 58)
    sections = [struct.unpack_from("<IIQQQQ", cubin, table + i * entry_bytes)
                for i in range(entries)]
    names = sections[names_index][4]
    for name, _, _, _, offset, size in sections:
        text = cubin[names + name:cubin.index(b"\0", names + name)].decode()
        if text.startswith(".text."):
            yield text.removeprefix(".text."), cubin[offset:offset + size]


@dataclasses.dataclass(frozen=True)
class Instruction:
    """What the encoding says of one; a scoreboard counts results that are still to come."""

    kind: str  # of OPCODES, else ""
    bytes: int = 0  # that a lane loads
    sets: int | None = None  # the scoreboard that its result is awaited on
    awaits: tuple[int, ...] = ()  # scoreboards that are empty before it issues
    groups: int = 0  # of copies, that a "cp.async wait" leaves on their way
    target: int | None = None  # of a branch: an index


def decode(word: int, at: int, architecture: int) -> Instruction:
    """The instruction of 128 bits that is the at-th of its function."""
    kind = OPCODES.get(word & 0xfff, "")
    sets = word >> 110 & 7
    target = None
    if kind == "branch":  # relative to the next one, in fours of bytes
        target = at + 1 + branch_offset(word, architecture) * 4 // 16
    widths = BYTES_OF_COPY if kind == "cp.async" and architecture >= 100 else BYTES_OF_WIDTH
    return Instruction(kind, widths.get(word >> WIDTH_BIT & 7, 0),
                       None if sets == NO_SCOREBOARD else sets,
                       tuple(i for i in range(6) if word >> 116 + i & 1), word >> 38 & 63, target)


def branch_offset(word: int, architecture: int) -> int:
    bits = 48
    offset = word >> 34 & (1 << bits) - 1
    if architecture >= 90:
        bits += 8
        offset = offset << 8 | word >> 16 & 0xff
    return offset - (1 << bits) if offset >> bits - 1 else offset


def decode_all(code: bytes, architecture: int) -> list[Instruction]:
    return [decode(int.from_bytes(code[at:at + 16], "little"), at // 16, architecture)
            for at in range(0, len(code) - 15, 16)]


def loops(instructions: list[Instruction]) -> list[range]:
    """What lies between a branch and its target further up; a branch to itself is padding."""
    return [range(branch.target, at + 1) for at, branch in enumerate(instructions)
            if branch.target is not None and branch.target < at]


def mix(instructions: list[Instruction]) -> collections.Counter:
    """How often each kind of OPCODES is there, and "128-bit load" among global loads."""
    counts = collections.Counter(each.kind for each in instructions if each.kind)
    counts["128-bit load"] = sum(each.kind == "global load" and each.bytes == 16
                                 for each in instructions)
    return counts


def programs(path: pathlib.Path, architecture: int) -> dict[str, list[Instruction]]:
    """The instructions of each function by its mangled name."""
    return {name: decode_all(code, architecture)
            for name, code in functions(path.read_bytes())}
