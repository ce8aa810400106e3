"""The values of rounds, and what is said of them."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """What a figure is of."""

    model: str  # "" for the real one
    what: str  # "decode", "prefill", ...
    size: int | None
    threads: int

    def __str__(self):
        words = [self.model, self.what, str(self.size or ""), f"{self.threads}T"]
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Summary:
    median: float
    least: float
    most: float


class Figures:
    """values[subject][engine] is a list, a value a round; None where a round failed."""

    def __init__(self):
        self.values = {}
        self.units = {}  # by `what`

    def add(self, subject, engine, unit, value):
        self.units[subject.what] = unit
        self.values.setdefault(subject, {}).setdefault(engine, []).append(value)

    def summary(self, subject, engine):
        """None if no round gave a value."""
        values = [value for value in self.values[subject].get(engine, []) if value is not None]
        return Summary(statistics.median(values), min(values), max(values)) if values else None

    def ratio(self, subject, engine, other):
        """The median of `engine` over `other` in the same round; None without such a round."""
        rounds = zip(self.values[subject].get(engine, []), self.values[subject].get(other, []))
        ratios = [over / under for over, under in rounds if over is not None and under]
        return statistics.median(ratios) if ratios else None
