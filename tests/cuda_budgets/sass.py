"""Counts machine instructions of a cubin, without nvdisasm.

Since sm_70 an instruction has 16 bytes, whose lowest 12 bits are the opcode. NVIDIA documents no
encoding: the codes below were found by compiling kernels whose PTX has known numbers of each, and
budgets_test.py does so again with the nvcc at hand.
"""

import collections
import pathlib
import struct
from collections.abc import Iterator

OPCODES = {
    0x23c: "tensor core", 0x237: "tensor core",  # HMMA, IMMA
    0x83b: "ldmatrix",
    0xfae: "cp.async",
    0xb1d: "barrier",
    0x589: "shuffle", 0x989: "shuffle", 0xf89: "shuffle",
    0x981: "global load", 0x986: "global store",
    0x381: "global load", 0x386: "global store",  # of sm_75
    0x984: "shared load", 0x388: "shared store",
    0x983: "local load", 0x387: "local store",
    0x226: "dp4a", 0x826: "dp4a",
}
WIDTH_BIT = 73  # of three bits
WIDTH_128 = 6


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


def mix(code: bytes) -> collections.Counter:
    """How often each kind of OPCODES stands in the code, and "128-bit load" among global loads."""
    counts = collections.Counter()
    for at in range(0, len(code) - 15, 16):
        word = int.from_bytes(code[at:at + 16], "little")
        if kind := OPCODES.get(word & 0xfff):
            counts[kind] += 1
        if kind == "global load" and word >> WIDTH_BIT & 7 == WIDTH_128:
            counts["128-bit load"] += 1
    return counts


def mixes(path: pathlib.Path) -> dict[str, collections.Counter]:
    return {name: mix(code) for name, code in functions(path.read_bytes())}
