"""A worker.py process, stopped whenever it is not asked anything: none of its threads may spin."""

import contextlib
import json
import os
import select
import signal
import subprocess
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")


class Failed(Exception):
    """The engine did not answer, or with an error."""


class Engine:
    """Started with the constructor; `cost` is what loading took. A context manager."""

    def __init__(self, python, module, options, *, environment, log, patience):
        """patience: seconds that loading, and each call, may take."""
        self._patience = patience
        command = [python, WORKER, module, json.dumps(options)]
        with open(log, "a") as log_file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log_file, text=True,
                env={**os.environ, **environment}, start_new_session=True)
        try:
            self.cost = self._receive()
        except BaseException:
            self.close()
            raise

    def call(self, name, **arguments):
        """The method's result, and Failed if it does not come."""
        self._send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps({"call": name, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"ended with {self._process.wait()}") from None
        return self._receive()

    def close(self):
        self._send_signal(signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # a call may be left that it never read
            self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _receive(self):
        ready = select.select([self._process.stdout], [], [], self._patience)[0]
        line = self._process.stdout.readline() if ready else None
        if line is None:
            self.close()
            raise Failed(f"no answer within {self._patience} s")
        if not line:
            raise Failed(f"ended with {self._process.wait()}")
        self._send_signal(signal.SIGSTOP)
        reply = json.loads(line)
        if "error" in reply:
            raise Failed(reply["error"])
        return reply["result"]

    def _send_signal(self, number):
        if self._process.poll() is None:
            self._process.send_signal(number)
