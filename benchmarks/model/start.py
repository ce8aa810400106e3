"""Seconds from a C++ program's start to its first token, and its memory, with and without a cache.

    start.py PROGRAM MODEL [--json]      PROGRAM: start_once; files are in the system's page cache

Three kinds of start, in turn: without a cache, with an empty one that is then filled, with a full
one. Then two programs at once, of which each is charged half of what they share.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 7


class Program:
    """A start that has come to its first token, and decoded."""

    def __init__(self, program, model, cache):
        began = time.monotonic()
        self._process = subprocess.Popen([program, model, cache], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "first token\n"
        self.seconds = time.monotonic() - began
        self.tokens_per_second = float(self._process.stdout.readline())

    def memory(self):
        """Resident, and with what is shared divided by those who share it; MiB."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        resident, proportional = self._process.stdout.readline().split()
        return float(resident), float(proportional)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()


def main():
    program, model = sys.argv[1:3]
    as_json = sys.argv[3:] == ["--json"]
    starts = {"no cache": [], "cold cache": [], "warm cache": []}
    with tempfile.TemporaryDirectory() as folder:
        warm = pathlib.Path(folder) / "warm"
        Program(program, model, str(warm)).__exit__()
        for i in range(ROUNDS):
            caches = ["", str(pathlib.Path(folder) / f"cold-{i}"), str(warm)]
            for name, cache in zip(starts, caches):
                with Program(program, model, cache) as run:
                    starts[name].append((run.seconds, run.tokens_per_second, *run.memory()))
        for name, runs in starts.items():
            seconds, rate, resident, _ = (statistics.median(column) for column in zip(*runs))
            report(as_json, f"{name}: to the first token", seconds, "s",
                   min(run[0] for run in runs), max(run[0] for run in runs))
            report(as_json, f"{name}: decode", rate, "tokens/s",
                   min(run[1] for run in runs), max(run[1] for run in runs))
            report(as_json, f"{name}: resident", resident, "MiB",
                   min(run[2] for run in runs), max(run[2] for run in runs))
        packed = sum(file.stat().st_size for file in warm.glob("*.weights")) / 2**20
        report(as_json, "packed weights", packed, "MiB", packed, packed)
        for name, cache in [("no cache", ""), ("warm cache", str(warm))]:
            with Program(program, model, cache) as one, Program(program, model, cache) as other:
                charged = [one.memory()[1], other.memory()[1]]
            report(as_json, f"{name}: two at once, each charged", max(charged), "MiB",
                   min(charged), max(charged))


def report(as_json, name, value, unit, low, high):
    if as_json:
        print(json.dumps({"name": name, "value": value, "unit": unit, "from": low, "to": high}))
    else:
        print(f"{name:44} {value:10.3f} {unit:9} ({low:.3f} to {high:.3f})", flush=True)


if __name__ == "__main__":
    main()
