"""What a result must say of the machine that it was taken on."""

import os
import platform
import re
from pathlib import Path

FLAGS = re.compile(r"avx|amx|fma|f16c|gfni|asimd|sve|i8mm|bf16")


def cpu_info():
    """The first processor's entries of /proc/cpuinfo."""
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    entries = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in entries}


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def describe():
    info = cpu_info()
    return {
        "cpu": info.get("model name", platform.machine()),
        "family_model_stepping": [info.get(key) for key in ("cpu family", "model", "stepping")],
        "flags": sorted(filter(FLAGS.match, info.get("flags", "").split())),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "system": platform.platform(),
        "load_average": os.getloadavg(),
    }


def short_name():
    """Of the processor, for a file's name."""
    name = cpu_info().get("model name", platform.machine()).lower()
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\(\w+\)|@.*", "", name)).strip("-")
