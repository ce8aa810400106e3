"""Checks that code for one instruction set cannot be run by a processor without it.

    python3 tests/lint/isa_symbols.py BUILD_FOLDER

Where several objects hold the same inline function or template instance, the linker keeps one copy
for all callers: perhaps the one compiled for AVX-512. So the objects of fallow_isa_sources may hold
such functions only in the namespace of their instruction set.
"""

import pathlib
import re
import subprocess
import sys

# As fallow_isa.cmake names the object libraries: fallow_<folder>_<isa>. `generic` runs everywhere,
# and so does the emulator of CUDA.
PART = re.compile(r"^fallow_[a-z]+_(?!tests|generic|emulated|checked)(?P<isa>\w+)\.dir$")
# nm's letter for a function that other objects may hold too.
WEAK_FUNCTION = re.compile(r"^[0-9a-f]+ W (?P<name>.*)$", re.MULTILINE)


def shared_functions(item: pathlib.Path, isa: str) -> list[str]:
    """The functions of an object that the linker may give to others, by demangled name."""
    table = subprocess.run(["nm", "--demangle", "--defined-only", str(item)],
                           check=True, capture_output=True, text=True).stdout
    names = WEAK_FUNCTION.findall(table)
    return [name for name in names if f"::{isa}::" not in name]


def main() -> int:
    checked = found = 0
    for folder in sorted(pathlib.Path(sys.argv[1], "library").rglob("*.dir")):
        part = PART.match(folder.name)
        if not part:
            continue
        for item in sorted(folder.rglob("*.o")):
            checked += 1
            for name in shared_functions(item, part["isa"]):
                found += 1
                print(f"{item}: shared with other objects: {name}")
    print(f"isa_symbols: {checked} objects, {found} shared functions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
