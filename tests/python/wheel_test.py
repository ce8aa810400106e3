"""Checks that an installed wheel needs none of the Debian libraries that it was built with.

    PYTHONPATH=FOLDER python tests/python/wheel_test.py

A script, not a pytest module: it imports the fallow that is first on the path twice, in new
processes, once as the machine is and once with Debian's libraries hidden in a mount namespace of
its own. That takes root, or a kernel that lets users have namespaces.
"""

import os
import subprocess
import sys

HIDDEN_PACKAGES = (
    "libgrpc29 libgrpc++1.51 libabsl20220623 libprotobuf32 libsodium23 libc-ares2 libre2-9"
)

# Binds an empty file over each library, checks that this hides them, then becomes "$@".
HIDE = f"""
set -eu
for package in {HIDDEN_PACKAGES}; do
  for file in $(dpkg -L $package | grep '\\.so\\.'); do
    [ -L "$file" ] || mount --bind /dev/null "$file"
  done
done
exec "$@"
"""

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


def run_python(code: str, hidden: bool) -> subprocess.CompletedProcess:
    namespace = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "-r"]
    before = [*namespace, "sh", "-c", HIDE, "sh"] if hidden else []
    command = [*before, sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


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
