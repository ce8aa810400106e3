"""Block servers as processes of their own, and what the system knows of their use of the machine."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import fallow


class Server:
    """A `fallow serve` process."""

    def __init__(self, model, begin, end, *options, nice=0):
        command = ["nice", "-n", str(nice), sys.executable, "-m", "fallow", "serve", model,
                   "--blocks", f"{begin}:{end}", "--listen", "127.0.0.1:0", "--json", *options]
        started = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(command)}: ended with {self.process.wait()}")
        description = json.loads(line)
        self.seconds_to_start = time.monotonic() - started
        self.blocks = (begin, end)
        self.address = description["address"]
        self.peer = description["peer"]
        self.weight_bytes = description["weight_bytes"]

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        self.send(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def serving(model, spans, *options, nice=0):
    """Servers of the spans [(begin, end), ...], ended with the block."""
    servers = []
    try:
        for begin, end in spans:
            servers.append(Server(model, begin, end, *options, nice=nice))
        yield servers
    finally:
        for server in servers:
            server.end()


def num_blocks(model):
    return fallow.inspect(model, digests=False)["spec"]["num_blocks"]


def split(blocks, parts):
    """Spans of nearly equal size: split(30, 3) is [(0, 10), (10, 20), (20, 30)]."""
    return [(blocks * i // parts, blocks * (i + 1) // parts) for i in range(parts)]


def cpu_seconds(pid):
    """Processor time of all threads so far, also of those that have ended."""
    process_clock = ~pid << 3 | 2  # clock_getcpuclockid()
    return time.clock_gettime(process_clock)


def wake_ups(pid):
    """How often a thread has gone to sleep, and so was woken."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def proportional_bytes(pid):
    """PSS: private memory, and its share of what several processes map."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss in /proc/{pid}/smaps_rollup")


def socket_trip_cpu_seconds(trips=20000, size=1200):
    """Processor time, of both ends, for a message to a bare socket of another process and back."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        child = os.fork()
        if child == 0:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := connection.recv(size):
                connection.sendall(data)
            os._exit(0)
        with socket.create_connection(listener.getsockname()) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            message = bytes(size)
            mine = time.thread_time()
            theirs = cpu_seconds(child)
            for _ in range(trips):
                connection.sendall(message)
                while connection.recv(size, socket.MSG_WAITALL) != message:
                    pass
            used = time.thread_time() - mine + cpu_seconds(child) - theirs
        os.waitpid(child, 0)
        return used / trips
