"""What a whole process does: Ctrl-C, its end, and forks."""

import signal
import subprocess
import sys
import time

import pytest

from conftest import LLAMA, run_python

LOAD = f"""
import os, signal, sys, threading, time
import fallow
model = fallow.AutoDistributedModelForCausalLM.from_pretrained(
    {LLAMA!r}, threads=1, kv_memory=64 << 20)
"""


def test_ctrl_c_ends_a_generation_at_the_next_token():
    code = LOAD + """
seen = []
def on_token(token):
    seen.append(token)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGINT)
try:
    model.generate([20, 21], max_new_tokens=400, ignore_end_tokens=True, on_token=on_token)
except KeyboardInterrupt:
    print("interrupted after", len(seen))
print("usable", len(model.generate([20, 21], max_new_tokens=3, ignore_end_tokens=True)))
"""
    lines = run_python(code).stdout.splitlines()
    assert lines[0] in ("interrupted after 3", "interrupted after 4")
    assert lines[1] == "usable 5"


def test_ctrl_c_ends_a_generation_without_a_callback():
    code = LOAD + """
try:
    print("ready", flush=True)
    while True:
        model.generate([20, 21], max_new_tokens=500, ignore_end_tokens=True)
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "interrupted\n"
        assert process.returncode == 0
    finally:
        process.kill()  # it would go on for ever


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "session = model.inference_session(); session.generate([20, 21], max_new_tokens=2)",
        "server = fallow.BlockServer({0!r}, blocks='0:1', listen='127.0.0.1:0', threads=1)",
        "threading.Thread(target=lambda: model.generate([20], max_new_tokens=500,"
        " ignore_end_tokens=True, on_token=lambda t: time.sleep(0.01)), daemon=True).start();"
        " time.sleep(0.3)",
        "raise SystemExit(0)",
    ],
)
def test_python_exits_cleanly_whatever_still_runs(ending):
    result = run_python(LOAD + ending.format(LLAMA))
    assert (result.returncode, result.stderr) == (0, "")


def test_forked_child_is_told_and_exits():
    code = LOAD + """
model.generate([20, 21], max_new_tokens=2)
pid = os.fork()
if pid == 0:
    try:
        model.generate([20, 21], max_new_tokens=2)
    except fallow.Halted as error:
        print("child:", error, flush=True)
    sys.exit(0)
print("status", os.waitpid(pid, 0)[1], flush=True)
print("parent", len(model.generate([20, 21], max_new_tokens=2, ignore_end_tokens=True)))
"""
    lines = run_python(code).stdout.splitlines()
    assert "started before fork" in lines[0]
    assert lines[1:] == ["status 0", "parent 4"]


def test_forked_child_may_load_a_model_of_its_own():
    load = "fallow.AutoDistributedModelForCausalLM.from_pretrained({0!r}, threads=0)".format(LLAMA)
    code = f"""
import os, sys, fallow
model = {load}
session = model.inference_session()
print(session.generate([20, 21], max_new_tokens=3), flush=True)
pid = os.fork()
if pid == 0:
    print({load}.inference_session().generate([20, 21], max_new_tokens=3), flush=True)
    sys.exit(0)
print("status", os.waitpid(pid, 0)[1])
"""
    first, second, status = run_python(code).stdout.splitlines()
    assert first == second and status == "status 0"
