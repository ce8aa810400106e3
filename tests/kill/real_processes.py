"""Kills and stops real servers of a real model: not one token may change.

    python tests/kill/real_processes.py MODEL.gguf SERVER_LOG

Six processes `fallow serve` hold three spans twice. Each case opens a session, which fixes its
route, generates through it, strikes one hop of it before or after some token, and demands the
tokens of a model in one process. Then the victim is started anew or continued.

The longest pause that fallow promises is printed beside each pause, but not demanded: the machine
may be busy.
"""

import contextlib
import dataclasses
import itertools
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import fallow

SPANS = ["0:10", "10:20", "20:30"]
REPLICAS = 2
NEW_TOKENS = 64
PROMPT = "The lighthouse keeper climbed the stairs every evening. When he reached the lamp room he"
GREEDY = {}
SAMPLED = {"do_sample": True, "temperature": 0.9, "top_k": 40, "seed": 7}
STRIKES = [(0, GREEDY), (1, GREEDY), (20, SAMPLED), (28, GREEDY), (44, GREEDY)]  # after this token
LONGEST_PAUSE = 20.0  # seconds; far above what is promised
LONGEST_CASE = 120.0


@dataclasses.dataclass(frozen=True)
class Case:
    end_mode: str
    signal: signal.Signals
    hop: int
    token: int  # tokens seen before the strike
    sampling: dict

    def __str__(self):
        draw = "sampled" if self.sampling else "greedy"
        return (f"{self.end_mode:7} {self.signal.name}  hop {self.hop}  "
                f"token {self.token:2}  {draw:7}")


class Server:
    """A process `fallow serve`."""

    def __init__(self, model, blocks, log):
        command = [sys.executable, "-m", "fallow", "serve", model, "--blocks", blocks,
                   "--listen", "127.0.0.1:0", "--threads", "1", "--numeric-class", "exact",
                   "--kv-memory", str(64 << 20)]
        self.blocks = blocks
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.address = None
        self.struck_by = None

    def wait_for_address(self):
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            raise RuntimeError(f"the server of blocks {self.blocks} did not start")

    def strike(self, number):
        self.struck_by = number
        self.process.send_signal(number)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Swarm:
    """All servers; a context manager."""

    def __init__(self, model, log):
        self._model = model
        self._log = log
        self._servers = [Server(model, blocks, log) for blocks in SPANS * REPLICAS]

    def __enter__(self):
        for server in self._servers:
            server.wait_for_address()
        return self

    def __exit__(self, *error):
        for server in self._servers:
            server.end()

    def connect(self):
        return fallow.AutoDistributedModelForCausalLM.from_pretrained(
            self._model, peers=[server.address for server in self._servers], threads=1)

    def server_of(self, hop):
        """The server behind one hop of a route."""
        address = f"{hop['address']}#{hop['peer']}"
        return next(server for server in self._servers if server.address == address)

    def mend(self, server):
        """Continues a stopped server, and starts a killed one anew, as another peer."""
        if server.struck_by == signal.SIGSTOP:
            server.process.send_signal(signal.SIGCONT)
            return
        server.end()
        self._servers[self._servers.index(server)] = fresh = Server(
            self._model, server.blocks, self._log)
        fresh.wait_for_address()

    @contextlib.contextmanager
    def deadline(self, what):
        """Ends everything if the block takes too long: the library waits for its peers."""

        def give_up():
            print(f"FAILED: {what}: no end after {LONGEST_CASE:.0f} s", flush=True)
            self.__exit__()
            os._exit(1)

        timer = threading.Timer(LONGEST_CASE, give_up)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def options_of(end_mode, sampling):
    return dict(end_mode=end_mode, ignore_end_tokens=True, **sampling)


def fix_route(model, session, prompt, options):
    """Takes the session through its prompt and back to before its last token. The next generation
    goes on along the route returned."""
    session.generate(prompt, max_new_tokens=1, **options)
    session.rewind(len(prompt) - 1)
    return model.route()


@dataclasses.dataclass(frozen=True)
class Outcome:
    pause: float  # seconds; of all recoveries
    promised: float  # the longest pause
    reason: str
    faults: list[str]


def strike(swarm, case, prompt, expected):
    """Runs one case, but for mending what it broke; returns the victim and the outcome."""
    options = options_of(case.end_mode, case.sampling)
    with swarm.connect() as model, model.inference_session() as session:
        route = fix_route(model, session, prompt, options)
        row_seconds = 1 / model.last_generation().prefill_tokens_per_second
        victim = swarm.server_of(route[case.hop])
        times = [time.monotonic()]

        def on_token(_):
            times.append(time.monotonic())
            if len(times) - 1 == case.token:
                victim.strike(case.signal)

        if case.token == 0:
            victim.strike(case.signal)
        session.generate(prompt[-1:], max_new_tokens=NEW_TOKENS, on_token=on_token, **options)
        steps = [after - before for before, after in itertools.pairwise(times)]
        detection = max(1.0, 8 * statistics.median(steps)) if case.signal == signal.SIGSTOP else 0.0
        replay = row_seconds * (len(prompt) + case.token)
        recoveries = model.recoveries()
        return victim, Outcome(
            pause=sum(recovery["pause_seconds"] for recovery in recoveries),
            promised=detection + replay + 1.0,
            reason="; ".join(recovery["reason"] for recovery in recoveries),
            faults=list(find_faults(case, session.tokens[len(prompt):], expected, route,
                                    model.route(), recoveries)))


def find_faults(case, tokens, expected, route, final_route, recoveries):
    """What is wrong with a case, in words."""
    struck = route[case.hop]["peer"]
    if tokens != expected:
        yield f"tokens {tokens}, expected {expected}"
    if [f"{hop['begin']}:{hop['end']}" for hop in route] != SPANS:
        yield f"not the route of three hops: {route}"
    if not recoveries:
        yield "no recovery, so the hop was not on the live route"
    for recovery in recoveries:
        if recovery["blamed"] not in ("", struck):
            yield f"blamed {recovery['blamed']}, struck {struck}"
        if recovery["pause_seconds"] > LONGEST_PAUSE:
            yield f"paused for {recovery['pause_seconds']:.1f} s"
    for index, (before, after) in enumerate(zip(route, final_route)):
        if (before["peer"] == after["peer"]) != (index != case.hop):
            yield f"hop {index} was {before['peer']}, is {after['peer']}"


def expect(model, prompt, sampling):
    """The tokens of all blocks in this process."""
    tokens = model.generate(prompt, max_new_tokens=NEW_TOKENS, **options_of("ring", sampling))
    return tokens[len(prompt):]


def all_cases():
    signals = (signal.SIGKILL, signal.SIGSTOP)
    for end_mode, number, hop in itertools.product(("ring", "private"), signals, range(len(SPANS))):
        for token, sampling in STRIKES:
            yield Case(end_mode, number, hop, token, sampling)


def show_summary(outcomes):
    print(f"\n{'ends':7} {'signal':7} {'cases':>5} {'median':>8} {'longest':>8} {'as promised':>12}")
    for (end_mode, number), group in itertools.groupby(
            outcomes, key=lambda item: (item[0].end_mode, item[0].signal)):
        group = [outcome for _, outcome in group]
        pauses = [outcome.pause for outcome in group]
        kept = sum(outcome.pause <= outcome.promised for outcome in group)
        print(f"{end_mode:7} {number.name:7} {len(group):5} {statistics.median(pauses):6.2f} s "
              f"{max(pauses):6.2f} s {kept:5} of {len(group):3}")
    failed = sum(bool(outcome.faults) for _, outcome in outcomes)
    print(f"{len(outcomes)} cases, {failed} failed")
    return failed


def main(path, log_path):
    prompt = fallow.AutoTokenizer.from_pretrained(path).encode(PROMPT)
    with fallow.AutoDistributedModelForCausalLM.from_pretrained(
            path, numeric_class="exact", kv_memory=64 << 20) as model:
        expected = {bool(sampling): expect(model, prompt, sampling)
                    for sampling in (GREEDY, SAMPLED)}
    outcomes = []
    with open(log_path, "w", encoding="utf-8") as log, Swarm(path, log) as swarm:
        for case in all_cases():
            with swarm.deadline(case):
                victim, outcome = strike(swarm, case, prompt, expected[bool(case.sampling)])
                swarm.mend(victim)
            outcomes.append((case, outcome))
            print(f"{case}  pause {outcome.pause:5.2f} s of {outcome.promised:5.2f} s  "
                  f"{outcome.reason}", flush=True)
            for fault in outcome.faults:
                print(f"FAILED: {fault}", flush=True)
    return 1 if show_summary(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
