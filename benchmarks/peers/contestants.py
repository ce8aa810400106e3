"""The engines of one comparison: processes, started when first needed and again if they fell."""

import process


class Contestants:
    """Engines on one model, with one number of threads. A context manager: ends them all.

    setup: describes where things are; see compare.Setup.
    absent: list of (engine, reason) that failures are added to.
    """

    def __init__(self, setup, entries, threads, absent):
        self.entries = list(entries)
        self.threads = threads
        self._setup = setup
        self._absent = absent
        self._running = {}  # by entry's name

    def start(self, entry, **options):
        """A fresh process, see Setup.start; None, and a line in `absent`, if it does not load."""
        try:
            return self._setup.start(entry, self.threads, **options)
        except process.Failed as failure:
            self._note(entry, "loading", failure)
            if entry in self.entries:
                self.entries.remove(entry)
            return None

    def call(self, entry, purpose, name, **arguments):
        """The result of the engine's method, or None and a line in `absent`."""
        engine = self._running.get(entry.name) or self.start(entry)
        if engine is None:
            return None
        self._running[entry.name] = engine
        try:
            return engine.call(name, **arguments)
        except process.Failed as failure:
            self._note(entry, purpose, failure)
            self._running.pop(entry.name).close()
            return None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for engine in self._running.values():
            engine.close()

    def _note(self, entry, purpose, failure):
        self._absent.append((entry.name, f"{self.threads}T {purpose}: {failure}"))
