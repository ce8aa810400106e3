"""The cache of packed weights: options, processes that share it, disks that are full, the command."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

import fallow
import pytest

from conftest import LLAMA, run_python

SMALL = dict(threads=1, kv_memory=64 << 20)
PROMPT = [3, 4, 5, 6]
FILES = 6 + 2  # of LLAMA: blocks, embedding, head


def generate(cache, checkpoint=LLAMA, **options):
    with fallow.AutoDistributedModelForCausalLM.from_pretrained(
        checkpoint, cache=str(cache), **SMALL, **options
    ) as model:
        return model.generate(PROMPT, max_new_tokens=8, ignore_end_tokens=True)


def weights_in(folder):
    return sorted(path.name for path in pathlib.Path(folder).glob("*.weights"))


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "fallow", "cache", *map(str, arguments)],
                          capture_output=True, text=True, timeout=120)


@pytest.fixture
def filled(tmp_path):
    generate(tmp_path / "cache")
    return tmp_path / "cache"


def test_models_and_servers_share_a_cache(tmp_path):
    expected = generate("")
    assert not list(tmp_path.iterdir())
    assert generate(tmp_path) == expected
    made = {path: path.stat().st_ino for path in tmp_path.glob("*.weights")}
    assert len(made) == FILES
    assert generate(tmp_path) == expected
    common = dict(listen="127.0.0.1:0", cache=str(tmp_path), insecure=True, **SMALL)
    with fallow.BlockServer(LLAMA, blocks="0:3", **common) as first:
        with fallow.BlockServer(LLAMA, blocks="3:6", **common) as second:
            with fallow.AutoDistributedModelForCausalLM.from_pretrained(
                LLAMA, peers=[first.address, second.address], insecure=True
            ) as model:
                assert model.generate(
                    PROMPT, max_new_tokens=8, ignore_end_tokens=True) == expected
    assert {path: path.stat().st_ino for path in tmp_path.glob("*.weights")} == made


def test_auto_is_where_the_environment_says(tmp_path):
    code = """
import sys, fallow
fallow.AutoDistributedModelForCausalLM.from_pretrained(
    sys.argv[1], cache="auto", threads=1, kv_memory=64 << 20)
"""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("FALLOW_CACHE", "XDG_CACHE_HOME", "HOME")}
    result = run_python(code, LLAMA, env=environment)
    assert "FALLOW_CACHE" in result.stderr and "ValueError" in result.stderr
    assert run_python(code, LLAMA, env={**environment, "HOME": str(tmp_path)}).returncode == 0
    assert len(weights_in(tmp_path / ".cache" / "fallow")) == FILES


def test_processes_may_fill_one_cache_at_once(tmp_path):
    code = """
import sys, fallow
model = fallow.AutoDistributedModelForCausalLM.from_pretrained(
    sys.argv[1], cache=sys.argv[2], threads=1, kv_memory=64 << 20)
print(model.generate([3, 4, 5, 6], max_new_tokens=8, ignore_end_tokens=True))
"""
    arguments = [sys.executable, "-c", code, LLAMA, str(tmp_path)]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate(timeout=120)[0] for process in processes}
    assert answers == {f"{generate('')}\n"}
    assert len(weights_in(tmp_path)) == FILES
    assert not [path for path in tmp_path.iterdir() if path.name.count(".") > 1]
    assert command("verify", "--cache", tmp_path).returncode == 0


def test_a_full_disk_is_one_line_and_no_file(tmp_path):
    code = """
import resource, sys, fallow
from fallow import _core
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as if the disk were full beyond
_core.log_to_stderr()
model = fallow.AutoDistributedModelForCausalLM.from_pretrained(
    sys.argv[1], cache=sys.argv[2], threads=1, kv_memory=64 << 20)
print(model.generate([3, 4, 5, 6], max_new_tokens=8, ignore_end_tokens=True))
"""
    result = run_python(code, LLAMA, str(tmp_path))
    assert result.stdout == f"{generate('')}\n", result.stderr
    assert result.stderr.count("\n") == 1 and "cache" in result.stderr, result.stderr
    assert weights_in(tmp_path) == []
    assert not [path for path in tmp_path.iterdir() if path.name.count(".") > 1]


def test_two_processes_share_the_pages(filled):
    code = """
import sys, fallow
model = fallow.AutoDistributedModelForCausalLM.from_pretrained(
    sys.argv[1], cache=sys.argv[2], threads=1, kv_memory=64 << 20)
model.generate([3, 4, 5, 6], max_new_tokens=8, ignore_end_tokens=True)
print("ready", flush=True)
sys.stdin.readline()
shared = private = 0
ours = False
for line in open("/proc/self/smaps"):
    field, *rest = line.split()
    if "-" in field:
        ours = line.rstrip().endswith(".weights")
    elif ours and field.startswith("Shared_"):
        shared += int(rest[0])
    elif ours and field.startswith("Private_"):
        private += int(rest[0])
print(shared, private, flush=True)
sys.stdin.readline()
"""
    arguments = [sys.executable, "-c", code, LLAMA, str(filled)]
    processes = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    counts = [tuple(map(int, process.stdout.readline().split())) for process in processes]
    for process in processes:
        process.communicate("\n", timeout=60)
    print("KiB shared and private:", counts)
    assert all(shared > 4 * private for shared, private in counts)


def test_ls_tells_what_is_there(filled, tmp_path):
    listed = [json.loads(line) for line in
              command("ls", "--cache", filled, "--json").stdout.splitlines()]
    assert [entry["part"] for entry in listed] == [
        "head", *(f"block {i}" for i in range(6)), "embedding"]
    assert all(entry["checkpoint"] == "llama" and entry["problem"] == "" for entry in listed)
    assert {entry["type"] for entry in listed} == {"", "bf16"}  # the head is but a norm
    assert all(time.time() - 600 < entry["last_used"] <= time.time() for entry in listed)
    text = command("ls", "--cache", filled).stdout
    assert text.count("block") == 6 and listed[0]["key"][:12] in text
    assert f"{FILES} files, {sum(e['bytes'] for e in listed):,} bytes" in text
    empty = command("ls", "--cache", tmp_path / "none")
    assert (empty.returncode, empty.stdout) == (0, "0 files, 0 bytes\n")


def test_verify_names_what_is_damaged(filled):
    whole = command("verify", "--cache", filled)
    assert whole.returncode == 0, whole.stderr
    victim = sorted(filled.glob("*.weights"))[2]
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    result = command("verify", "--cache", filled)
    assert result.returncode == 1
    assert victim.stem in result.stdout and "fallow cache rm" in result.stdout
    advice = re.search(r"fallow cache (rm .*)", result.stdout)[1].split()
    assert command(*advice).returncode == 0
    assert not victim.exists() and len(weights_in(filled)) == FILES - 1


def test_rm_removes_what_is_named(filled):
    other = filled / "somebody's"
    other.write_text("kept")
    listed = [json.loads(line) for line in
              command("ls", "--cache", filled, "--json").stdout.splitlines()]
    assert command("rm", "--cache", filled).returncode == 1
    assert command("rm", "feed", "--cache", filled).returncode == 1
    assert command("rm", "--all", "--unused", "1", "--cache", filled).returncode == 1
    assert len(weights_in(filled)) == FILES
    removed = command("rm", listed[0]["key"][:12], "--cache", filled)
    assert removed.stdout.startswith("removed 1 files")
    old = time.time() - 10 * 24 * 3600
    os.utime(filled / f"{listed[1]['key']}.weights", (old, old))
    assert command("rm", "--unused", "11", "--cache", filled).stdout.startswith("removed 0")
    assert command("rm", "--unused", "9", "--cache", filled).stdout.startswith("removed 1")
    assert len(weights_in(filled)) == FILES - 2
    generate(filled)
    assert command("rm", listed[0]["model"][:8], "--cache", filled).stdout.startswith("removed 8")
    generate(filled)
    assert command("rm", "--all", "--cache", filled).returncode == 0
    assert [path.name for path in filled.iterdir()] == [other.name]
