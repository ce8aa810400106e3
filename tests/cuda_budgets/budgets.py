"""Holds kernels to budgets of registers, spills, stack, occupancy and instructions; needs no GPU.

    python3 tests/cuda_budgets/budgets.py [--nvcc NVCC] [--markdown FILE] [--bounds FILE] BUDGETS.json ...

Compiles the sources that a file of budgets names, for each of ARCHITECTURES, prints what became of
each kernel as a table, and ends with 1 if a budget is broken. A file of budgets:

    {"flags": ["-I", "library"],
     "streams": {                            bounds.py says how what is in flight is counted
       "weights": {"bytes": {"32": 128},     that a load of so many bits brings to a warp
                   "with": ["dp4a"],         kinds of instructions of its loop; [] if not given
                   "without": []}},          and none of these
     "sources": {"a.cu": {                     relative to the file; its "//" comments nothing
       "fallow::Gemv<4>": {                    a kernel's demangled name, without arguments
         "threads": 128,                       of a block
         "dynamic_shared": 0,                  bytes of a block; 0 if not given
         "max_registers": 64,
         "max_spills": 0, "max_stack": 0,      bytes; 0 if not given
         "min_blocks": 8,                      that a multiprocessor holds at once
         "at_least": {"tensor core": 1},       instructions by the kinds of sass.py; {} if not given
         "at_most": {"local load": 0},
         "streams": ["weights"],               of each at least 1 x what devices.json's need in flight
         "tensor": {"numbers": "int8",         tensor cores' part of issue slots at least TENSOR_PART
                    "trips": 2},               1 if not given
         "least": {"weights": {"H100 SXM": 0.5},  where these are not reached: what must stay
                   "tensor": {"H100 SXM": 0.3}},
         "label": "q4_0, 1 row",               of its row in the short table of bounds, if it has one
         "only": {"90": {"max_registers": 80}, "75": null}}}}}  other budgets there; null: not there

Every kernel of a source has budgets, and every budget a kernel.
"""

import argparse
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import bounds
import occupancy
import sass

ARCHITECTURES = tuple(occupancy.LIMITS)
FLAGS = ["-std=c++20", "-fmad=false", "-prec-div=true", "-prec-sqrt=true", "-ftz=false"]
COUNTED = ("tensor core", "128-bit load", "barrier", "shuffle", "local load", "local store")
KEYS = {"threads", "dynamic_shared", "max_registers", "max_spills", "max_stack", "min_blocks",
        "at_least", "at_most", "only", "streams", "tensor", "least", "label"}
DEVICES = bounds.load_devices(pathlib.Path(__file__).resolve().parent / "devices.json")

ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


class BudgetError(Exception):
    """Something is wrong with the budgets, the sources or nvcc, rather than with a kernel."""


@dataclasses.dataclass
class Kernel:
    """What became of a kernel on one architecture."""

    name: str
    architecture: int
    registers: int = 0
    shared: int = 0  # static
    stack: int = 0
    spills: int = 0  # bytes stored and loaded
    blocks: int = 0
    limit: str = ""  # of the blocks
    counts: dict = dataclasses.field(default_factory=dict)
    program: list = dataclasses.field(default_factory=list)  # of sass.Instruction
    warps: int = 0  # of `blocks`
    label: str = ""
    bounds: dict = dataclasses.field(default_factory=dict)  # by what it is of, then by device


def find_nvcc() -> str | None:
    script = pathlib.Path(__file__).resolve().parents[2] / "cmake/FindNvcc.cmake"
    return subprocess.run(["cmake", "-P", script], capture_output=True, text=True,
                          check=True).stdout.strip() or None


def parse_log(log: str, architecture: int) -> dict[str, Kernel]:
    """Kernels by mangled name, of what `nvcc -Xptxas -v` prints."""
    kernels = {}
    current = None
    for line in log.splitlines():
        if match := ENTRY.search(line):
            current = kernels[match[1]] = Kernel(match[1], architecture)
        elif current and (match := FRAME.search(line)):
            current.stack = int(match[1])
            current.spills = int(match[2]) + int(match[3])
        elif current and (match := USED.search(line)):
            current.registers = int(match[1])
            current.shared = int(match[1]) if (match := SHARED.search(line)) else 0
            current = None
    return kernels


def demangle(names: list[str]) -> list[str]:
    """Without return types and arguments: fallow::Gemv<4>."""
    if not names:
        return []
    text = subprocess.run(["c++filt", "--no-params", *names], capture_output=True, text=True,
                          check=True).stdout
    return [re.sub(r"^void ", "", line) for line in text.splitlines()]


def compile_kernels(nvcc: str, source: pathlib.Path, architecture: int,
                    flags: list[str]) -> dict[str, Kernel]:
    """The kernels of a source by demangled name."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = pathlib.Path(folder, "kernels.cubin")
        command = [nvcc, "-cubin", f"-arch=sm_{architecture}", "-Xptxas", "-v", *FLAGS, *flags,
                   "-o", str(cubin), str(source)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise BudgetError(f"{source} for sm_{architecture}: {result.stderr}")
        kernels = parse_log(result.stdout + result.stderr, architecture)
        for name, program in sass.programs(cubin, architecture).items():
            if name in kernels:
                kernels[name].counts = dict(sass.mix(program))
                kernels[name].program = program
    for kernel, name in zip(kernels.values(), demangle(list(kernels))):
        kernel.name = name
    return {kernel.name: kernel for kernel in kernels.values()}


def budget_for(budget: dict, architecture: int) -> dict | None:
    """What holds on that architecture; None if the kernel is not there."""
    if unknown := set(budget) - KEYS:
        raise BudgetError(f"unknown keys {sorted(unknown)}")
    special = budget.get("only", {}).get(str(architecture), {})
    return None if special is None else {**budget, **special}


def add_occupancy(kernel: Kernel, budget: dict) -> None:
    shared = kernel.shared + budget.get("dynamic_shared", 0)
    kernel.blocks, kernel.limit = occupancy.blocks_per_multiprocessor(
        kernel.architecture, budget["threads"], kernel.registers, shared)
    warps = occupancy.round_up(budget["threads"], occupancy.WARP) // occupancy.WARP
    kernel.warps = kernel.blocks * warps


def add_bounds(kernel: Kernel, budget: dict, streams: dict, devices=DEVICES) -> None:
    """For devices of the kernel's architecture; occupancy comes first."""
    kernel.label = budget.get("label", "")
    for device in devices:
        if device.architecture != kernel.architecture:
            continue
        for name in budget.get("streams", []):
            body = bounds.main_loop(kernel.program, streams[name])
            found = kernel.warps * bounds.bytes_in_flight(body, streams[name])
            kernel.bounds.setdefault(name, {})[device.name] = found / device.bytes_wanted()
        if tensor := budget.get("tensor"):
            numbers = tensor["numbers"]
            cycles = bounds.MULTIPLY_ADDS[numbers] / device.tensor_rate[numbers]
            part = bounds.tensor_part(kernel.program, cycles, tensor.get("trips", 1))
            kernel.bounds.setdefault("tensor", {})[device.name] = part


def below(kernel: Kernel, budget: dict) -> list[str]:
    """A message for each bound below what is wanted, or below its floor if it has one."""
    messages = []
    for what, of_devices in kernel.bounds.items():
        floors = budget.get("least", {}).get(what, {})
        wanted = bounds.TENSOR_PART if what == "tensor" else 1
        messages += [f"{kernel.name} on {device}: {what} {figure:.3f}, at least {least}"
                     for device, figure in of_devices.items()
                     if figure < (least := floors.get(device, wanted))]
    return messages


def broken(kernel: Kernel, budget: dict) -> list[str]:
    """A message for each figure beyond its budget."""
    most = [("registers", kernel.registers, budget["max_registers"]),
            ("bytes of spills", kernel.spills, budget.get("max_spills", 0)),
            ("bytes of stack", kernel.stack, budget.get("max_stack", 0))]
    most += [(f"instructions '{kind}'", kernel.counts.get(kind, 0), limit)
             for kind, limit in budget.get("at_most", {}).items()]
    least = [("blocks per multiprocessor", kernel.blocks, budget["min_blocks"])]
    least += [(f"instructions '{kind}'", kernel.counts.get(kind, 0), limit)
              for kind, limit in budget.get("at_least", {}).items()]
    where = f"{kernel.name} on sm_{kernel.architecture}"
    messages = [f"{where}: {figure} {what}, budget at most {limit}"
                for what, figure, limit in most if figure > limit]
    messages += [f"{where}: {figure} {what}, budget at least {limit}"
                 for what, figure, limit in least if figure < limit]
    return messages


def check_source(nvcc: str, source: pathlib.Path, budgets: dict, flags: list[str],
                 architectures=ARCHITECTURES, streams=None) -> tuple[list[Kernel], list[str]]:
    """What became of the kernels of one source, and what is wrong with them."""
    rows, messages = [], []
    for architecture in architectures:
        wanted = {name: budget_for(budget, architecture) for name, budget in budgets.items()}
        if all(budget is None for budget in wanted.values()):
            continue
        kernels = compile_kernels(nvcc, source, architecture, flags)
        for name, budget in wanted.items():
            if budget is not None and name not in kernels:
                messages.append(f"{name} on sm_{architecture}: has a budget, but is not in {source}")
        for name, kernel in kernels.items():
            if wanted.get(name) is None:
                messages.append(f"{name} on sm_{architecture}: is in {source}, but has no budget")
                continue
            add_occupancy(kernel, wanted[name])
            try:
                add_bounds(kernel, wanted[name], streams or {})
            except bounds.BoundError as error:
                messages.append(f"{name} on sm_{architecture}: {error}")
            rows.append(kernel)
            messages += broken(kernel, wanted[name]) + below(kernel, wanted[name])
    return rows, messages


def check_file(nvcc: str, path: pathlib.Path) -> tuple[list[Kernel], list[str]]:
    budgets = json.loads(path.read_text())
    rows, messages = [], []
    for name, kernels in budgets["sources"].items():
        found = check_source(nvcc, path.parent / name, kernels, budgets.get("flags", []),
                             streams=budgets.get("streams", {}))
        rows += found[0]
        messages += found[1]
    return rows, messages


def markdown(rows: list[Kernel]) -> str:
    heads = ["kernel", "sm", "registers", "shared", "stack", "spills", "blocks", "limit", *COUNTED]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    for row in sorted(rows, key=lambda row: (row.name, row.architecture)):
        lines.append([f"`{row.name}`", row.architecture, row.registers, row.shared, row.stack,
                      row.spills, row.blocks, row.limit,
                      *(row.counts.get(kind, 0) for kind in COUNTED)])
    return table(lines)


def table(lines: list[list]) -> str:
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def bounds_table(rows: list[Kernel], short: bool, devices=DEVICES) -> str:
    """Each bound by device; `short`: of the kernels with a label, by that."""
    found = {}
    for row in rows:
        name = row.label if short else f"`{row.name}`"
        for what, of_devices in row.bounds.items() if name else ():
            found.setdefault((name, what), {}).update(of_devices)
    lines = [["kernel", "of", *(device.name for device in devices)],
             ["---", "---"] + ["---:"] * len(devices)]
    for (name, what), figures in found.items():
        lines.append([name, what, *(f"{figures[device.name]:.2f}" if device.name in figures else ""
                                    for device in devices)])
    return table(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nvcc", default=find_nvcc())
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table there")
    parser.add_argument("--bounds", type=pathlib.Path, help="write the short table of bounds there")
    parser.add_argument("budgets", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    if not arguments.nvcc:
        parser.error("no nvcc")
    rows, messages = [], []
    try:
        for path in arguments.budgets:
            found = check_file(arguments.nvcc, path)
            rows += found[0]
            messages += found[1]
    except BudgetError as error:
        print(error, file=sys.stderr)
        return 1
    print(markdown(rows))
    print(bounds_table(rows, short=False))
    if arguments.markdown:
        arguments.markdown.write_text(markdown(rows))
    if arguments.bounds:
        arguments.bounds.write_text(bounds_table(rows, short=True))
    for message in messages:
        print(message)
    print(f"{len(rows)} kernels, {len(messages)} broken budgets")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
