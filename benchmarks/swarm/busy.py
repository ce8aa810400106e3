"""Servers on a machine that others use too: another server, a hog, a long prompt.

    python busy.py MODEL [--json]

The model is served whole. Clients are processes of their own; medians of rounds.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

import fallow
from processes import num_blocks, serving
from report import Report

ROUNDS = 5
TOKENS = 256
PROMPT = 16
LONG_PROMPT = 2000
WAIT = 0.05  # seconds: server/limits.h, kDecodersWait


def decode(path, address, seed, prompt_tokens, tokens):
    """When each token came, by the clock that all processes share."""
    load = fallow.AutoDistributedModelForCausalLM.from_pretrained
    prompt = [1000 + (seed * 7919 + i * 31) % 20000 for i in range(prompt_tokens)]
    times = []
    with load(path, peers=[address], threads=1) as model:
        model.generate(prompt, max_new_tokens=tokens, ignore_end_tokens=True,
                       on_token=lambda _: times.append(time.monotonic()))
    return times


def gaps(times):
    return [after - before for before, after in zip(times, times[1:])]


def rate(times):
    return (len(times) - 1) / (times[-1] - times[0])


def rate_together(all_times):
    """Tokens a second of all clients while all were at work."""
    begin, end = max(times[0] for times in all_times), min(times[-1] for times in all_times)
    if begin >= end:
        raise RuntimeError("the clients were not at work at the same time")
    return sum(begin < moment <= end for times in all_times for moment in times) / (end - begin)


@contextlib.contextmanager
def hog():
    """A process that takes all it gets of one core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Clients:
    def __init__(self, path, executor):
        self._path = path
        self._executor = executor
        self._seed = 0

    def start(self, server, prompt_tokens=PROMPT, tokens=TOKENS):
        self._seed += 1  # no server has seen its prompt before
        return self._executor.submit(decode, self._path, server.address, self._seed, prompt_tokens,
                                     tokens)


def share_cores(report, path, clients):
    cores = str(os.cpu_count())
    whole = [(0, num_blocks(path))]
    alone, together = [], []
    with serving(path, 2 * whole, "--threads", cores) as servers:
        for _ in range(ROUNDS):
            alone.append(rate(clients.start(servers[0]).result()))
            both = [clients.start(server) for server in servers]
            together.append(rate_together([client.result() for client in both]))
    report.add(f"two servers of {cores} threads, together", statistics.median(together), "tokens/s",
               statistics.median(alone), "one of them alone")


def bear_hog(report, path, clients):
    whole = [(0, num_blocks(path))]
    quiet, rates, longest = [], [], []
    with serving(path, whole, "--threads", "1", nice=19) as [one], \
            serving(path, whole, nice=19) as [server]:
        for _ in range(ROUNDS):
            quiet.append(rate(clients.start(one).result()))
            with hog():
                times = clients.start(server).result()
            rates.append(rate(times))
            steps = sorted(gaps(times))
            longest.append((steps[len(steps) * 99 // 100], statistics.median(steps)))
    report.add("server at nice 19 beside a hog", statistics.median(rates), "tokens/s",
               statistics.median(quiet), "one thread without the hog")
    report.add("its 99th of 100 steps", 1e3 * statistics.median(p99 for p99, _ in longest), "ms",
               1e3 * statistics.median(median for _, median in longest), "its median step")


def bear_prompt(report, path, clients):
    alone, beside = [], []
    with serving(path, [(0, num_blocks(path))]) as [server]:
        for _ in range(ROUNDS):
            decoder = clients.start(server, tokens=4 * TOKENS)
            time.sleep(1)
            begin = time.monotonic()
            clients.start(server, LONG_PROMPT, 1).result()
            end = time.monotonic()
            times = decoder.result()
            steps = [(step, begin < moment < end) for step, moment in zip(gaps(times), times)]
            alone.append(statistics.median(step for step, during in steps if not during))
            during_prompt = [step for step, during in steps if during]
            if not during_prompt:
                raise RuntimeError("the decoder did not run while the prompt was computed")
            beside.append(max(during_prompt))
    report.add(f"longest step beside a prompt of {LONG_PROMPT}", 1e3 * statistics.median(beside),
               "ms", 1e3 * (WAIT + statistics.median(alone)), "a step and the wait")


def main(path, *options):
    report = Report("--json" in options)
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max_workers=2, mp_context=spawn) as executor:
        clients = Clients(path, executor)
        with serving(path, [(0, num_blocks(path))]) as [server]:  # both workers begin
            concurrent.futures.wait([clients.start(server) for _ in range(2)])
        for measure in (share_cores, bear_hog, bear_prompt):
            measure(report, path, clients)


if __name__ == "__main__":
    main(*sys.argv[1:])
