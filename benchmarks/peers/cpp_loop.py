"""fallow's generate() in Python beside the same loop in C++, and beside reading the weights."""

import json
import subprocess

from engines import BASE
from figures import Subject
from measure import prompt

TOKENS = 33  # as model_bench has it: 32 steps, after a prompt of 16
PROMPT = 16
LOOP = "C++ loop"
LIMIT = "reading the same bytes"


def run_model_bench(program, model):
    """(tokens a second, limit) by number of threads, of the model's own class."""
    output = subprocess.run([program, "decode", model, "--json"], stdout=subprocess.PIPE,
                            check=True, text=True).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    return {int(words[2].removesuffix("T")): (line["value"], line["limit"])
            for line in lines if (words := line["name"].split())[1] != "fp32"}


def measure_loop(figures, contestants, program, model, rounds):
    """contestants: of one model, by number of threads."""
    for round in range(rounds):
        in_cpp = run_model_bench(program, model)
        for threads, of_threads in contestants.items():
            if not of_threads.entries:
                continue
            (entry,) = of_threads.entries
            for _ in range(2):  # the first one wakes it
                seconds = of_threads.call(entry, "generate()", "steps",
                                          prompt=prompt(PROMPT, round), tokens=TOKENS)
            subject = Subject("", "generate()", None, threads)
            figures.add(subject, BASE, "tokens/s", seconds and 1 / seconds)
            figures.add(subject, LOOP, "tokens/s", in_cpp[threads][0])
            figures.add(subject, LIMIT, "tokens/s", in_cpp[threads][1])
