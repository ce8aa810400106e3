"""Checks that an installed wheel needs none of the Debian libraries that it was built with.

    PYTHONPATH=FOLDER python tests/python/wheel_test.py

A script, not a pytest module: it imports the fallow that is first on the path in new processes, as
the machine is and with Debian's libraries hidden: the loader meets empty files of their names first.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HIDDEN_PACKAGES = [
    "libabsl20220623",
    "libc-ares2",
    "libgrpc++1.51",
    "libgrpc29",
    "libprotobuf32",
    "libre2-9",
    "libsodium23",
]

WORKS = "works"
USE = f"""
import fallow
print(fallow.__file__, fallow.__version__, "{WORKS}")
"""

LOAD_DEBIAN_GRPC = """
import ctypes
ctypes.CDLL("libgrpc++.so.1.51")
"""


# What, the code to run, whether with Debian's libraries hidden, what it should say.
CHECKS = [
    ("fallow", USE, False, WORKS),
    # Shows that they are hidden indeed: else the next check would prove nothing.
    ("Debian's gRPC, hidden", LOAD_DEBIAN_GRPC, True, "file too short"),
    ("fallow, Debian's libraries hidden", USE, True, WORKS),
    # Two gRPCs in one process share no state, in either order.
    ("Debian's gRPC, then fallow", LOAD_DEBIAN_GRPC + USE, False, WORKS),
    ("fallow, then Debian's gRPC", USE + LOAD_DEBIAN_GRPC, False, WORKS),
]


def make_empty_libraries(folder: str) -> None:
    listing = subprocess.run(
        ["dpkg", "-L", *HIDDEN_PACKAGES], capture_output=True, text=True, check=True
    )
    for path in map(Path, listing.stdout.split()):
        if ".so." in path.name:
            Path(folder, path.name).touch()


def run_python(code: str, hidden: bool) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if hidden:
            make_empty_libraries(folder)
            environment["LD_LIBRARY_PATH"] = folder
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
        )


def main() -> int:
    failures = 0
    for what, code, hidden, expected in CHECKS:
        result = run_python(code, hidden)
        output = (result.stdout + result.stderr).strip()
        good = expected in output and (result.returncode == 0) == (expected == WORKS)
        failures += not good
        print(f"{'ok    ' if good else 'FAILED'} {what}: {output}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
