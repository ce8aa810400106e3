"""What machine code allows on a device: loads in flight, and the tensor cores' part of its slots.

Bounds, never speeds: a kernel that reaches them may still be slow, one that does not is.

In flight. By Little's law a memory is busy only while bandwidth x latency bytes are on their way. Of
a kernel we count those of a warp's main loop, times the warps that a multiprocessor holds:
  - Only loads of what a stream names count, those of weights or pages; of each as many bytes as it
    brings from memory, which the budget states by width, since lanes may read the same.
  - Warps issue in order. A streamed load returns one latency after it was issued; all else takes no
    time: other loads, which caches serve, arithmetic, barriers.
  - An instruction issues when the scoreboards that its encoding awaits are empty: nvcc's own word on
    what depends on what. cp.async counts from its issue until a wait for its group.
  - The loop repeats; branches out of it and over parts of it are not taken.
  - In flight is then, as an average over time, the bytes of the turns over the latencies they took.
The latency is that of an idle memory. A busy one's is higher: LOADED says how much we ask for.

Tensor slots. A quarter of a multiprocessor issues one instruction a cycle, and its tensor core is
busy for some cycles with each product. The bound is these cycles over the slots of the main loop, at
most 1: what the tensor cores can reach when nothing else is in the way.
"""

import collections
import dataclasses
import json
import pathlib

import sass

LOADED = 2
TENSOR_PART = 0.7
WARM_UP, TURNS = 16, 64  # of a loop
MULTIPLY_ADDS = {"bf16": 16 * 8 * 16, "int8": 16 * 8 * 32}  # of an instruction


class BoundError(Exception):
    """The code has no such loop as the budget describes."""


@dataclasses.dataclass(frozen=True)
class Device:
    name: str
    architecture: int
    gigabytes_per_second: float
    multiprocessors: int
    gigahertz: float
    latency_cycles: float
    tensor_rate: dict

    def bytes_wanted(self) -> float:
        """In flight, of a multiprocessor."""
        nanoseconds = self.latency_cycles / self.gigahertz
        return LOADED * self.gigabytes_per_second * nanoseconds / self.multiprocessors


def load_devices(path: pathlib.Path) -> list[Device]:
    return [Device(name, **figures) for name, figures in json.loads(path.read_text()).items()
            if name != "//"]


def brought(instruction: sass.Instruction, stream: dict) -> int:
    """Bytes that it brings for a warp, if it belongs to the stream."""
    if instruction.kind not in ("global load", "cp.async"):
        return 0
    return stream["bytes"].get(str(8 * instruction.bytes), 0)


def innermost(loops: list[range]) -> list[range]:
    return [loop for loop in loops
            if not any(other != loop and other[0] >= loop[0] and other[-1] <= loop[-1]
                       for other in loops)]


def main_loop(program: list[sass.Instruction], stream: dict) -> list[sass.Instruction]:
    """The innermost loop that brings most a turn, of those that have what the stream's do."""
    found = []
    for loop in innermost(sass.loops(program)):
        body = [program[at] for at in loop]
        kinds = {each.kind for each in body}
        if kinds.issuperset(stream.get("with", [])) and kinds.isdisjoint(stream.get("without", [])):
            found.append((sum(brought(each, stream) for each in body), body))
    most, body = max(found, key=lambda each: each[0], default=(0, []))
    if most == 0:
        raise BoundError(f"no loop of the stream {stream}")
    return body


def bytes_in_flight(body: list[sass.Instruction], stream: dict) -> float:
    """Of one warp that repeats `body`."""
    now = begin = 0
    total = 0
    pending = collections.defaultdict(int)  # by scoreboard: when the last load is there
    group = 0  # when the last copy of the open group is there
    groups = []
    for turn in range(WARM_UP + TURNS):
        if turn == WARM_UP:
            begin = now
        for each in body:
            for scoreboard in each.awaits:
                now = max(now, pending[scoreboard])
            if each.kind == "cp.async group":
                groups.append(group)
            if each.kind == "cp.async wait":
                now = max([now, *groups[:len(groups) - each.groups]])
            if streamed := brought(each, stream):
                total += streamed if turn >= WARM_UP else 0
                if each.kind == "cp.async":
                    group = now + 1
                else:
                    pending[each.sets] = now + 1
    if now == begin:
        raise BoundError("nothing waits for the stream")
    return total / (now - begin)


def tensor_part(program: list[sass.Instruction], cycles: float, trips: int) -> float:
    """The bound on the tensor cores' part of the time.

    The loop is the outermost around tensor instructions. If `trips` is more than 1, that is how often
    its inner loop of them turns; other loops in it are counted once.
    """
    def has_tensor(loop):
        return sum(program[at].kind == "tensor core" for at in loop)

    around = sorted(filter(has_tensor, sass.loops(program)), key=len)
    if not around:
        raise BoundError("no loop of tensor instructions")
    inner, outer = around[0], around[-1]
    repeated = trips - 1
    slots = len(outer) + repeated * len(inner)
    return min(1.0, (has_tensor(outer) + repeated * has_tensor(inner)) * cycles / slots)
