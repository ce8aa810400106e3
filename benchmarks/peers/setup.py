"""Where engines and models are, and how an engine is started."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

import process

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "build/peers"
PATIENCE = 300  # seconds that a call may take
CONTEXT = 8192
SEQUENCES = 32
SEQUENCE_CONTEXT = 128  # most tokens of each of them
LLAMA_BUILDS = {"OpenMP": PEERS / "llama-openmp-ON/bin",
                "threads of its own": PEERS / "llama-openmp-OFF/bin"}


@dataclass
class Setup:
    real_model: str
    llama_library: Path = LLAMA_BUILDS["OpenMP"]
    versions: dict = field(default_factory=dict)  # by family; learnt as engines start

    def start(self, entry, threads, context=CONTEXT):
        """context: room for as many tokens. process.Failed if it does not load."""
        model = str(PEERS / "models" / entry.model) if entry.model else self.real_model
        options = {"model": model, "threads": threads, "context": context, "sequences": SEQUENCES,
                   "sequence_context": SEQUENCE_CONTEXT, **entry.options}
        engine = process.Engine(
            ROOT / "build" / entry.venv / "bin/python", entry.module, options,
            environment={"LLAMA_CPP_LIB_PATH": str(self.llama_library)},
            log=PEERS / "logs" / f"{entry.family}.log", patience=PATIENCE)
        self.versions[entry.family] = engine.cost["version"]
        return engine


def reasons_for_absence():
    """By family, why peers.sh could not prepare it."""
    return {path.name: path.read_text().strip() for path in (PEERS / "failed").glob("*")}


def pick_llama_build(setup, entry, rounds):
    """Sets the library with which the entry decodes faster in 2 threads; the rates of both."""
    rates = {name: [] for name in LLAMA_BUILDS}
    for _ in range(rounds):
        for name, library in LLAMA_BUILDS.items():
            setup.llama_library = library
            try:
                with setup.start(entry, threads=2) as engine:
                    _, seconds = engine.call("decode", prompt=list(range(1000, 1032)), warm_up=8,
                                             tokens=32)
                rates[name].append(1 / seconds)
            except process.Failed:
                rates[name].append(0.0)  # if neither works, that will be told of the engine
    best = max(rates, key=lambda name: statistics.median(rates[name]))
    setup.llama_library = LLAMA_BUILDS[best]
    return {"picked": best, "tokens_per_second": rates}
