"""Measures fallow and its peers in turn; benchmarks/peers.sh prepares all that this needs.

    python compare.py MODEL [--quick] [--only FAMILY,...] [--json]

Each engine is a process of its own, stopped while another is measured. Greedy, end tokens ignored,
no prompt known before. Threads are not pinned.
"""

import argparse
import datetime
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import accuracy
import chart
import cpp_loop
import fallow
import machine
import report
from contestants import Contestants
from engines import BASE, FAMILIES, RANDOM_MODELS, REAL_MODEL
from figures import Figures, Subject
from measure import measure_rates, measure_starts
from setup import CONTEXT, PEERS, ROOT, Setup, pick_llama_build, reasons_for_absence

THREADS = (1, 2)
CHARTED = [("decode at", 512), ("prefill of", 512)]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    tokens: int  # a round of decoding
    sizes: dict  # by what is measured
    cases: int  # prompts whose logits are compared
    context: int  # most tokens of a sequence


def make_plans(quick, context):
    """Those of the real model and of random weights."""
    if quick:
        real = Plan(rounds=2, tokens=16, cases=3, context=context, sizes={
            "decode at": [32, 512], "prefill of": [128, 512], "batch of": [8]})
        return real, replace(real, sizes={"decode at": [32], "prefill of": [128]})
    real = Plan(rounds=5, tokens=32, cases=32, context=context, sizes={
        "decode at": [32, 512, 2048, 8192], "prefill of": [128, 512, 4096], "batch of": [8, 32]})
    return real, replace(real, sizes={
        "decode at": [32, 512], "prefill of": [128, 512], "batch of": [8]})


class Comparison:
    def __init__(self, options):
        self.options = options
        self.setup = Setup(options.model)
        self.figures = Figures()
        self.absent = []  # (engine, reason)
        self.notes = {}
        context = fallow.inspect(options.model, digests=False)["spec"]["max_positions"]
        self.plan, self.random_plan = make_plans(options.quick, min(CONTEXT, context))
        reasons = reasons_for_absence()
        asked = {"fallow", *(options.only or FAMILIES)}
        self.absent += [(family, reason) for family, reason in reasons.items() if family in asked]
        families = {"fallow"} | (asked - reasons.keys())
        self.real = [entry for entry in REAL_MODEL if entry.family in families]
        self.random = {model: [entry for entry in entries if entry.family in families]
                       for model, entries in RANDOM_MODELS.items()}
        self.started = datetime.datetime.now(datetime.timezone.utc)
        self.machine = machine.describe()

    def run(self):
        self._pick_llama_build()
        for threads in THREADS:
            with self._contestants(self.real, threads) as contestants:
                measure_rates(self.figures, contestants, "", self.plan)
                if threads == THREADS[-1]:
                    self._measure_accuracy(contestants)
        with self._contestants(self.real, THREADS[-1]) as contestants:
            measure_starts(self.figures, contestants, "", self.plan)
        self._measure_loop()
        for model, entries in self.random.items():
            for threads in THREADS:
                with self._contestants(entries, threads) as contestants:
                    measure_rates(self.figures, contestants, model, self.random_plan)

    def rows(self):
        entries = {"": self.real, **self.random}
        return list(report.rows(self.figures, {model: {entry.name: entry for entry in of_model}
                                               for model, of_model in entries.items()}))

    def result(self):
        return {
            "command": shlex.join(["benchmarks/peers.sh", *sys.argv[2:]]),
            "date": self.started.isoformat(timespec="seconds"), "machine": self.machine,
            "versions": self.setup.versions, "notes": self.notes,
            "absent": [{"engine": engine, "reason": reason} for engine, reason in self.absent],
            "figures": self.rows(),
        }

    def panels(self):
        """Of the chart: what is charted, with each number of threads."""
        for threads in THREADS:
            for what, size in CHARTED:
                subject = Subject("", what, size, threads)
                bars = [(entry.name, summary.median, entry.family == "fallow")
                        for entry in self.real
                        if (summary := self.figures.summary(subject, entry.name))]
                plural = "s" * (threads > 1)
                yield f"{what} {size}, tokens/s, {threads} thread{plural}", bars

    def _contestants(self, entries, threads):
        return Contestants(self.setup, entries, threads, self.absent)

    def _pick_llama_build(self):
        entry = next((entry for entry in self.real if entry.family == "llama.cpp"), None)
        if entry:
            self.notes["llama.cpp build"] = pick_llama_build(self.setup, entry, self.plan.rounds)

    def _measure_accuracy(self, contestants):
        golden = accuracy.read_safetensors(ROOT / "tests/hf/smollm2.safetensors")
        cases = [accuracy.Case(golden, index) for index in range(self.plan.cases)]
        accuracy.measure_agreement(self.figures, contestants, cases)
        try:
            accuracy.measure_divergence(self.figures, contestants, cases, PEERS / "logits.npy")
        except LookupError as error:
            self.absent.append(("KL from fp32", str(error)))

    def _measure_loop(self):
        program = ROOT / "build/release/benchmarks/model_bench"
        base = [entry for entry in self.real if entry.name == BASE]
        with self._contestants(base, 1) as one, self._contestants(base, 2) as two:
            try:
                cpp_loop.measure_loop(self.figures, {1: one, 2: two}, program, self.options.model,
                                      self.plan.rounds)
            except (OSError, subprocess.SubprocessError) as error:
                self.absent.append((cpp_loop.LOOP, str(error)))


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", type=lambda names: names.split(","))
    options = parser.parse_args()
    unknown = set(options.only or []) - set(FAMILIES)
    if unknown:
        parser.error(f"--only {','.join(sorted(unknown))}: expected some of {','.join(FAMILIES)}")
    return options


def main():
    options = read_options()
    comparison = Comparison(options)
    comparison.run()
    report.print_rows(comparison.rows(), options.json)
    report.print_absent(comparison.absent, options.json)
    whole = not (options.quick or options.only)
    folder = ROOT / "benchmarks/results" if whole else PEERS / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"peers-{machine.short_name()}"
    file.with_suffix(".json").write_text(json.dumps(comparison.result(), indent=1) + "\n")
    file.with_suffix(".svg").write_text(chart.draw(list(comparison.panels())))
    print(f"written: {file}.json, {file}.svg", file=sys.stderr)


if __name__ == "__main__":
    main()
