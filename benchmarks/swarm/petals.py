"""Three servers of ten blocks, as Petals was measured: speed, cost, memory, start, faults.

    python petals.py MODEL [--json]

The figures of Petals 2.2.0.post1 were taken with the same model (dequantised to fp32), three servers
of one torch thread on loopback, 64 greedy tokens after a prompt of 7, on another machine of two
cores: the better of its two batches of runs. They stand in PETALS; all else is measured here and
now.
"""

import os
import signal
import statistics
import sys
import time

import fallow
from processes import cpu_seconds, num_blocks, proportional_bytes, serving, split
from report import Report

HOPS = 3
TOKENS = 64
PROMPT = "Write one sentence about the sea."
ROUNDS = 7
KV_BYTES = 64 << 20
PETALS = "Petals 2.2, better batch"
PETALS_TOKENS_PER_SECOND = 11.6
PETALS_HOP_MS = 31 / HOPS
PETALS_OVERHEAD_MIB = 850 - 135
PETALS_START_SECONDS = 4.0

load = fallow.AutoDistributedModelForCausalLM.from_pretrained


def serve(path, parts, threads, numeric_class):
    return serving(path, parts, "--threads", str(threads), "--numeric-class", numeric_class,
                   "--kv-memory", str(KV_BYTES))


def connect(path, servers):
    return load(path, peers=[server.address for server in servers], threads=1)


def generate(model, prompt, on_token=None):
    """The new tokens, and the seconds from the call to its return."""
    start = time.monotonic()
    tokens = model.generate(prompt, max_new_tokens=TOKENS, ignore_end_tokens=True,
                            on_token=on_token)
    return tokens[len(prompt):], time.monotonic() - start


def measure_speed(report, path, prompt, threads, numeric_class):
    """Tokens a second with sessions and prefill, and the processor time that hops add."""
    with load(path, threads=threads, numeric_class=numeric_class) as alone, \
            serve(path, split(num_blocks(path), HOPS), threads, numeric_class) as servers, \
            connect(path, servers) as model:
        processes = [os.getpid()] + [server.process.pid for server in servers]

        def run(subject):
            before = sum(map(cpu_seconds, processes))
            tokens, seconds = generate(subject, prompt)
            time.sleep(0.02)  # threads that still spin for more work are this run's
            return tokens, seconds, sum(map(cpu_seconds, processes)) - before

        expected = run(alone)[0]
        run(model)
        times, more = [], []
        for _ in range(ROUNDS):
            _, _, alone_cpu = run(alone)
            tokens, seconds, cpu = run(model)
            if tokens != expected:
                raise SystemExit(f"{numeric_class}: three servers give other tokens than one process")
            times.append(seconds)
            more.append(1e3 * (cpu - alone_cpu) / TOKENS / HOPS)
        name = f"{numeric_class} {threads}T"
        report.add(f"{name} with session and prefill", TOKENS / statistics.median(times), "tokens/s",
                   PETALS_TOKENS_PER_SECOND, PETALS)
        report.add(f"{name} processor time a hop and token", statistics.median(more), "ms",
                   PETALS_HOP_MS, PETALS)
        if numeric_class == "auto":
            measure_memory(report, servers, threads)


def measure_memory(report, servers, threads):
    for hop, server in enumerate(servers):
        used = proportional_bytes(server.process.pid) - server.weight_bytes
        report.add(f"hop {hop} {threads}T memory over packed weights", used / 2**20, "MiB",
                   PETALS_OVERHEAD_MIB, PETALS)
        report.add(f"hop {hop} {threads}T start", server.seconds_to_start, "s",
                   PETALS_START_SECONDS, PETALS)


def strike(path, prompt, expected, hop, token, number):
    """Kills or stops a hop of the live route after a token: the longest pause, or None if the answer
    is not whole."""
    with serve(path, split(num_blocks(path), HOPS) * 2, 1, "auto") as servers, \
            connect(path, servers) as model, model.inference_session() as session:
        session.generate(prompt, max_new_tokens=1, ignore_end_tokens=True)
        peer = model.route()[hop]["peer"]  # a session stays on its route
        session.rewind(len(prompt) - 1)
        victim = next(server for server in servers if server.peer == peer)
        seen = []

        def on_token(id):
            seen.append(id)
            if len(seen) == token:
                victim.send(number)

        session.generate(prompt[-1:], max_new_tokens=TOKENS, ignore_end_tokens=True,
                         on_token=on_token)
        struck = any(recovery["blamed"] == peer for recovery in model.recoveries())
        whole = session.tokens[len(prompt):] == expected
        return sum(r["pause_seconds"] for r in model.recoveries()) if struck and whole else None


def measure_faults(report, path, prompt, expected):
    pauses = {signal.SIGKILL: [], signal.SIGSTOP: []}
    cases = [(hop, token, number) for hop in range(HOPS)
             for token, number in ((20, signal.SIGKILL), (20, signal.SIGSTOP), (50, signal.SIGKILL))]
    for hop, token, number in cases:
        pause = strike(path, prompt, expected, hop, token, number)
        if pause is not None:
            pauses[number].append(pause)
    report.add("kills and stops survived", sum(map(len, pauses.values())), "cases", len(cases),
               "all; Petals: 0 of 4")
    for number, survived in pauses.items():
        if survived:
            report.add(f"longest pause after {number.name}", max(survived), "s",
                       1.0 if number == signal.SIGSTOP else 0.21,
                       "detection" if number == signal.SIGSTOP else "Petals with a mended client")


def measure_dead_peer(report, path, prompt):
    """How much later a new client's first token comes when a server listed by it has died."""

    def seconds_to_first_token(servers):
        start = time.monotonic()
        with connect(path, servers) as model:
            model.generate(prompt, max_new_tokens=1)
            return time.monotonic() - start

    with serve(path, split(num_blocks(path), HOPS) * 2, 1, "auto") as servers:
        normal = statistics.median(seconds_to_first_token(servers) for _ in range(5))
        for number in (signal.SIGSTOP, signal.SIGKILL):
            servers[1].send(number)
            later = statistics.median(seconds_to_first_token(servers) for _ in range(3)) - normal
            report.add(f"first token beside a peer after {number.name}", later, "s later", 1.0,
                       "promised; Petals: 3 of 6 stuck for 25 s")


def main(path, *options):
    report = Report("--json" in options)
    prompt = fallow.AutoTokenizer.from_pretrained(path).encode(PROMPT)
    for threads in (1, 2):
        measure_speed(report, path, prompt, threads, "auto")
    measure_speed(report, path, prompt, 1, "fp32")
    with load(path) as alone:
        expected = generate(alone, prompt)[0]
    measure_faults(report, path, prompt, expected)
    measure_dead_peer(report, path, prompt)


if __name__ == "__main__":
    main(*sys.argv[1:])
