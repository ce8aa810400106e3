"""The measurements, in rounds: each engine in turn, all others stopped."""

import random
import sys

from figures import Subject

WARM_UP = 8  # steps that are not counted; a prompt's part computed late falls into them
BATCH_PROMPT = 16
WAKING_PROMPT = 32  # computed before each prompt that counts, so that threads are awake
START_CONTEXT = 512  # some engines take all the memory for it at once
IDS = range(1000, 30000)  # ordinary tokens in every model that is measured


def prompt(length, seed):
    return random.Random(f"{length} {seed}").choices(IDS, k=length)


def decode_rate(call, plan, size, round):
    del round  # goes on after the same prompt, which those that can keep it need not compute again
    context = min(size, plan.context - WARM_UP - plan.tokens - 1)
    result = call("decode", prompt=prompt(context, 0), warm_up=WARM_UP, tokens=plan.tokens)
    return result and 1 / result[1]


def prefill_rate(call, plan, size, round):
    del plan
    if call("prefill", prompt=prompt(WAKING_PROMPT, f"waking {round}")) is None:
        return None
    seconds = call("prefill", prompt=prompt(size, f"prefill {round}"))
    return seconds and size / seconds


def batch_rate(call, plan, size, round):
    prompts = [prompt(BATCH_PROMPT, f"{round} {sequence}") for sequence in range(size)]
    seconds = call("batch", prompts=prompts, warm_up=WARM_UP, tokens=plan.tokens)
    return seconds and size / seconds


RATES = {"decode at": decode_rate, "prefill of": prefill_rate, "batch of": batch_rate}


def measure_rates(figures, contestants, model, plan):
    """Tokens a second; an engine that fails once is not asked for the same again."""
    for what, sizes in plan.sizes.items():
        for size in sizes:
            subject = Subject(model, what, size, contestants.threads)
            print("measuring:", subject, file=sys.stderr)
            entries = list(contestants.entries)
            for round in range(plan.rounds):
                for entry in list(entries):
                    def call(name, **arguments):
                        return contestants.call(entry, f"{what} {size}", name, **arguments)

                    rate = RATES[what](call, plan, size, round)
                    if rate is None:
                        entries.remove(entry)
                    figures.add(subject, entry.name, "tokens/s", rate)


def measure_starts(figures, contestants, model, plan):
    """From a process that has its libraries to the first token, the file in the page cache; and
    the memory then, of the whole process and without what those libraries took before."""
    for round in range(-1, plan.rounds):
        for entry in list(contestants.entries):
            engine = contestants.start(entry, context=START_CONTEXT)
            if engine is None:
                continue
            engine.close()
            if round < 0:
                continue  # only reads the file
            values = {"load": ("s", engine.cost["seconds_to_first_token"]),
                      "memory": ("MiB", engine.cost["memory"] / 2**20),
                      "memory without libraries": ("MiB", engine.cost["memory_added"] / 2**20)}
            for what, (unit, value) in values.items():
                figures.add(Subject(model, what, None, contestants.threads), entry.name, unit,
                            value)
