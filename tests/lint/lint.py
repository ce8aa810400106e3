"""Checks rules of this repository that no compiler knows.

    python3 tests/lint/lint.py [FOLDER]

Prints what breaks a rule as file:line: message, and then ends with 1. A rule is a function from the
repository's root to messages; RULES names them all, and lint_test.py breaks each once.
"""

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

# What each folder of library/ may include, besides itself and the public headers.
MAY_INCLUDE = {
    "base": set(),
    "tensor": {"base"},
    "kernels": {"base", "tensor"},
    "model": {"base", "tensor", "kernels"},
    "wire": {"base", "tensor"},
    "swarm": {"base", "tensor", "wire"},
    "server": {"base", "tensor", "kernels", "model", "wire", "swarm"},
    "client": {"base", "tensor", "kernels", "model", "wire", "swarm", "server"},
    "economy": {"base", "wire", "swarm"},
    "governance": {"base", "wire", "swarm"},
    "idle": {"base", "wire", "swarm"},
}
PUBLIC_HEADERS = "library/include/fallow"

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
COMMENT = re.compile(r"//.*")
FOREIGN_NAME = re.compile(
    r"\b(grpc(::|_)|google::protobuf|nlohmann::|pybind11|PyObject|cuda[A-Z]\w*|cublas\w*)"
)
LOOSE_MATH = re.compile(
    r"-(ffast-math|Ofast|funsafe-math-optimizations|ffinite-math-only|-?use_fast_math)\b"
    r'|"(fast-math|Ofast)"'
)
SKIP = re.compile(
    r"\bSKIP\s*\(|\[\.[\w\]]|\[!(mayfail|shouldfail)\]|\bunittest\.skip"
    r"|\bpytest\.(skip|xfail|importorskip|mark\.(skip|skipif|xfail))\b"
)
CPP_SUFFIXES = {".cc", ".h", ".cu", ".cuh"}
BUILD_NAMES = {"CMakeLists.txt", "CMakePresets.json", "pyproject.toml", "run"}
BUILD_SUFFIXES = {".cmake", ".sh", ".in"}
SKIP_LIST = "tests/skips.txt"
CLANG_FORMAT = "clang-format-14"


def files(root: pathlib.Path, *folders: str) -> Iterator[pathlib.Path]:
    """The files below `folders` of the repository, or all, in order; no build outputs."""
    for folder in folders or (".",):
        for at, subfolders, names in os.walk(root / folder):
            subfolders[:] = sorted(
                name for name in subfolders
                if name not in {"build", "dist", "__pycache__"}
                and (name == ".ci" or not name.startswith("."))
            )
            yield from (pathlib.Path(at, name) for name in sorted(names))


def lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    yield from enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)


def includes(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    for number, line in lines(path):
        if match := INCLUDE.match(line):
            yield number, match[2]


def cpp_files(root: pathlib.Path, *folders: str) -> Iterator[pathlib.Path]:
    return (path for path in files(root, *folders) if path.suffix in CPP_SUFFIXES)


def check_include_order(root: pathlib.Path) -> Iterator[str]:
    """Folders of library/ include only what stands below them."""
    for folder, allowed in MAY_INCLUDE.items():
        for path in cpp_files(root, f"library/{folder}"):
            for number, include in includes(path):
                other = include.split("/")[0]
                if other in MAY_INCLUDE and other != folder and other not in allowed:
                    yield f"{path}:{number}: {folder} must not include {include}"


def check_unknown_folders(root: pathlib.Path) -> Iterator[str]:
    """Each folder of library/ has its place in MAY_INCLUDE."""
    if not (root / "library").is_dir():
        return
    for path in sorted((root / "library").iterdir()):
        if path.is_dir() and path.name != "include" and path.name not in MAY_INCLUDE:
            yield f"{path}:1: not in MAY_INCLUDE of tests/lint/lint.py"


def check_public_headers(root: pathlib.Path) -> Iterator[str]:
    """Public headers name only the standard library, Abseil and each other."""
    for path in cpp_files(root, PUBLIC_HEADERS):
        for number, line in lines(path):
            include = INCLUDE.match(line)
            if include and "/" in include[2] and not include[2].startswith(("absl/", "fallow/")):
                yield f"{path}:{number}: a public header must not include {include[2]}"
            elif include and include[1] == '"' and "/" not in include[2]:
                yield f"{path}:{number}: a public header must not include {include[2]}"
            elif foreign := FOREIGN_NAME.search(COMMENT.sub("", line)):
                yield f"{path}:{number}: a public header must not name {foreign[0]}"


def check_public_headers_alone(root: pathlib.Path) -> Iterator[str]:
    """Each public header compiles without another include before it."""
    for path in cpp_files(root, PUBLIC_HEADERS):
        result = subprocess.run(
            ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
             "-I", str(root / "library/include"), "-x", "c++", "-"],
            input=f'#include "fallow/{path.name}"\n', capture_output=True, text=True)
        if result.returncode != 0:
            yield f"{path}:1: does not compile alone\n{result.stderr}"


def check_own_header_first(root: pathlib.Path) -> Iterator[str]:
    """x.cc includes its own x.h before anything else, so that each x.h is seen to compile alone."""
    library = root / "library"
    for path in cpp_files(root, "library"):
        if path.suffix not in {".cc", ".cu"}:
            continue
        own = path.relative_to(library).with_suffix(".h").as_posix()
        candidates = {own: library / own,
                      f"fallow/{path.stem}.h": root / PUBLIC_HEADERS / f"{path.stem}.h"}
        existing = [name for name, header in candidates.items() if header.exists()]
        first = next(includes(path), (1, "nothing"))
        if existing and first[1] not in existing:
            yield f"{path}:{first[0]}: includes {first[1]} before {existing[0]}"


def check_loose_math(root: pathlib.Path) -> Iterator[str]:
    """No flag or pragma lets a compiler reorder or drop floating-point operations."""
    for path in files(root):
        if path.name not in BUILD_NAMES and path.suffix not in BUILD_SUFFIXES | CPP_SUFFIXES:
            continue
        for number, line in lines(path):
            if match := LOOSE_MATH.search(COMMENT.sub("", line)):
                yield f"{path}:{number}: {match[0]} changes results"


def check_format(root: pathlib.Path) -> Iterator[str]:
    """C++ and CUDA are formatted as .clang-format says."""
    sources = [str(path) for path in cpp_files(root)]
    if not sources:
        return
    result = subprocess.run([CLANG_FORMAT, "--dry-run", "--Werror", "--style=file", *sources],
                            capture_output=True, text=True)
    unformatted = re.findall(r"^(.*?):(\d+):\d+: error:", result.stderr, re.MULTILINE)
    first_line = dict(reversed(unformatted))  # the first of many in each file
    for name in sorted(first_line):
        yield f"{name}:{first_line[name]}: run {CLANG_FORMAT} -i on it"
    if result.returncode != 0 and not first_line:
        yield f"{CLANG_FORMAT}: {result.stderr}"


def check_skips(root: pathlib.Path) -> Iterator[str]:
    """A test that may not run is on the list, with the reason; the list has nothing else."""
    listed = {}
    skip_list = root / SKIP_LIST
    for number, line in lines(skip_list) if skip_list.exists() else ():
        if line.strip() and not line.startswith("#"):
            parts = [part.strip() for part in line.split(" | ")]
            if len(parts) != 3:
                yield f"{skip_list}:{number}: want 'file | line of code | reason'"
                continue
            listed[parts[0], parts[1]] = number
    used = set()
    for path in files(root, "tests"):
        if path.suffix not in CPP_SUFFIXES | {".py"} or path.parent == root / "tests/lint":
            continue
        for number, line in lines(path):
            key = path.relative_to(root).as_posix(), line.strip()
            if SKIP.search(line) and key not in listed:
                yield f"{path}:{number}: a skip that {SKIP_LIST} does not list: {line.strip()}"
            elif SKIP.search(line):
                used.add(key)
    for key, number in listed.items():
        if key not in used:
            yield f"{skip_list}:{number}: no such skip"


RULES = [
    check_include_order,
    check_unknown_folders,
    check_public_headers,
    check_public_headers_alone,
    check_own_header_first,
    check_loose_math,
    check_format,
    check_skips,
]


def main() -> int:
    default_root = pathlib.Path(__file__).resolve().parents[2]
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else default_root
    messages = [message for rule in RULES for message in rule(root)]
    for message in messages:
        print(message.replace(f"{root}/", "", 1))
    print(f"lint: {len(RULES)} rules, {len(messages)} messages")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
