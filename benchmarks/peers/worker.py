"""One engine in a process of its own: reads requests, a JSON object a line, and answers each.

    python worker.py ENGINE_MODULE '{"model": ..., "threads": ..., ...}'

The first answer comes when the engine is loaded. A request {"call": METHOD, ...} is a call of the
engine's method with the other entries; its answer {"result": ...}, or {"error": message}. Engines
have these methods, and time their own work only:
  prefill(prompt)                  seconds until the next token is known; nothing of it known before
  decode(prompt, warm_up, tokens)  (ids after the prompt, seconds a token after warm_up of them)
  batch(prompts, warm_up, tokens)  seconds a step of all sequences together, likewise
  logits(ids)                      after each id [ids, vocabulary]; not all engines
`logits` is answered with the name of a file. What libraries print goes to stderr.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

FIRST_PROMPT = list(range(1000, 1016))
PR_SET_PDEATHSIG = 1


def proportional_bytes():
    """PSS: private memory, and its share of what several processes map."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss in /proc/self/smaps_rollup")


def load(module, options):
    """The engine, and what it cost; importing its libraries is not counted."""
    empty = proportional_bytes()
    start = time.perf_counter()
    engine = module.Engine(**options)
    engine.prefill(FIRST_PROMPT)
    seconds = time.perf_counter() - start
    full = proportional_bytes()
    return engine, {"seconds_to_first_token": seconds, "memory": full, "memory_added": full - empty,
                    "version": module.version()}


def answer(engine, request):
    call = request.pop("call")
    if call != "logits":
        return getattr(engine, call)(**request)
    import numpy

    numpy.save(request["file"], engine.logits(request["ids"]).astype(numpy.float32))
    return request["file"]


def main(module_name, options):
    # Stopped, as it mostly is, it would not see that nobody will ever ask again.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**entries):
        print(json.dumps(entries), file=replies, flush=True)

    try:
        engine, cost = load(importlib.import_module(module_name), json.loads(options))
    except Exception as error:  # whatever a library raises is the answer
        reply(error=f"{type(error).__name__}: {error}")
        return
    reply(result=cost)
    for line in sys.stdin:
        try:
            reply(result=answer(engine, json.loads(line)))
        except Exception as error:
            reply(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
