"""What is said of figures: the lines of benchmarks/report.h with the spread of rounds, and rows."""

import json

from engines import BASE


def pair_of(name, entries):
    """(over, under) of the ratio that tells how fallow stands to `name`; None for BASE alone.

    A name that is not among the entries is a limit, or another way to drive BASE.
    """
    entry = entries.get(name)
    if entry is None:
        return BASE, name
    if entry.family != "fallow":
        return entry.beside, name
    return (name, BASE) if name != BASE and BASE in entries else None


def rows(figures, entries):
    """One dictionary for each engine of each figure. entries: Entry by model and name."""
    for subject, engines in figures.values.items():
        for name, rounds in engines.items():
            summary = figures.summary(subject, name)
            pair = pair_of(name, entries[subject.model])
            yield {
                "name": str(subject), "model": subject.model, "what": subject.what,
                "size": subject.size, "threads": subject.threads, "engine": name,
                "unit": figures.units[subject.what],
                "median": summary and summary.median, "least": summary and summary.least,
                "most": summary and summary.most, "rounds": rounds,
                "over": pair and pair[0], "under": pair and pair[1],
                "ratio": pair and figures.ratio(subject, *pair),
            }


def line(row, medians):
    """medians: by name and engine."""
    if row["ratio"] is None:
        return (f"{row['name'] + ', ' + row['engine']:<50} {row['median']:10.2f} {row['unit']:<9} "
                f"({row['least']:.2f} to {row['most']:.2f})")
    # The spread is that of the engine whose row it is; fallow's variants beside BASE are `over`.
    over = medians[row["name"], row["over"]]
    under = medians[row["name"], row["under"]]
    return (f"{row['name'] + ', ' + row['over']:<50} {over:10.2f} {row['unit']:<9} of "
            f"{under:10.2f} = {row['ratio']:5.2f}  ({row['under']}; "
            f"{row['least']:.2f} to {row['most']:.2f})")


def print_rows(rows, as_json):
    medians = {(row["name"], row["engine"]): row["median"] for row in rows}
    for row in rows:
        if as_json:
            print(json.dumps(row))
        elif row["median"] is not None:
            print(line(row, medians))


def print_absent(absent, as_json):
    for engine, reason in absent:
        print(json.dumps({"absent": engine, "reason": reason}) if as_json
              else f"not measured: {engine}: {reason}")
