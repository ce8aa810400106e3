"""What cutting a model costs: one process against 1, 2 and 3 server processes over TLS on loopback.

    python split.py MODEL [--json]

All in turn, so that a busy machine slows each alike; medians of rounds. The processor time and the
wake-ups of a hop are those of all processes together over those of the model in one process.
Only the client that is measured is there: gRPC lets the threads of several read each other's
sockets, and wake each other.
"""

import contextlib
import functools
import os
import statistics
import sys
import time

import fallow
from processes import (cpu_seconds, num_blocks, serving, socket_trip_cpu_seconds, split,
                       wake_ups)
from report import Report

ROUNDS = 15
TOKENS = 64
PROMPT = list(range(1000, 1016))


class Run:
    """One way to run the model, and what its generations took."""

    def __init__(self, connect, servers):
        self.connect = connect  # a model, to be closed
        self.processes = [os.getpid()] + [server.process.pid for server in servers]
        self.steps, self.cpu, self.wakes = [], [], []

    def measure(self):
        with self.connect() as model:
            model.generate(PROMPT, max_new_tokens=2, ignore_end_tokens=True)
            cpu = sum(map(cpu_seconds, self.processes))
            wakes = sum(map(wake_ups, self.processes))
            model.generate(PROMPT, max_new_tokens=TOKENS, ignore_end_tokens=True)
            generation = model.last_generation()
            assert len(generation.tokens[0]) == TOKENS
            self.steps.append(1e3 / generation.decode_tokens_per_second)
            time.sleep(0.02)  # threads that still spin for more work are this run's
            self.cpu.append(1e3 * (sum(map(cpu_seconds, self.processes)) - cpu) / TOKENS)
            self.wakes.append((sum(map(wake_ups, self.processes)) - wakes) / TOKENS)


def compare(report, path, threads):
    load = fallow.AutoDistributedModelForCausalLM.from_pretrained
    blocks = num_blocks(path)
    option = ["--threads", str(threads)]
    with load(path, threads=threads) as alone_model, \
            serving(path, split(blocks, 1), *option) as one, \
            serving(path, split(blocks, 2), *option) as two, \
            serving(path, split(blocks, 3), *option) as three:
        alone = Run(lambda: contextlib.nullcontext(alone_model), [])
        runs = [Run(functools.partial(load, path, threads=1,
                                      peers=[server.address for server in servers]), servers)
                for servers in (one, two, three)]
        for _ in range(ROUNDS):
            for run in (alone, *runs):
                run.measure()
        trip = 1e3 * socket_trip_cpu_seconds()
        report.add(f"one process {threads}T step", statistics.median(alone.steps), "ms",
                   statistics.median(alone.steps), "itself")
        for hops, run in enumerate(runs, 1):
            name = f"{hops} server{'s' * (hops > 1)} {threads}T"
            report.add(f"{name} step", statistics.median(run.steps), "ms",
                       statistics.median(alone.steps), "one process")
            more = statistics.median(r - a for r, a in zip(run.cpu, alone.cpu))
            report.add(f"{name} processor time a hop and token", more / hops, "ms", trip,
                       "a message to a bare socket and back")
            wakes = statistics.median(r - a for r, a in zip(run.wakes, alone.wakes))
            report.add(f"{name} wake-ups a hop and token", wakes / hops, "times", 1,
                       "a hop sleeps until its input comes")


def main(path, *options):
    report = Report("--json" in options)
    for threads in (1, 2):
        compare(report, path, threads)


if __name__ == "__main__":
    main(*sys.argv[1:])
