"""Servers whose device is a GPU, emulated, as processes."""

import fallow
import pytest

from conftest import LLAMA

CLASS = dict(numeric_class="exact", weights="q8")
ARGUMENTS = ["--numeric-class", "exact", "--weights", "q8"]
NEW_TOKENS = 24


@pytest.fixture(scope="module")
def tokens():
    """Those of the CPU, in this process."""
    with fallow.AutoModelForCausalLM.from_pretrained(
        LLAMA, **CLASS, threads=1, kv_memory=64 << 20, device="cpu"
    ) as model:
        return generate(model)


def generate(model, **keywords):
    return model.generate([5, 6, 7, 8, 9], max_new_tokens=NEW_TOKENS, ignore_end_tokens=True,
                          **keywords)


@pytest.mark.parametrize("devices", [["cuda-emulated"] * 3, ["cuda-emulated", "cpu", "cpu"]])
def test_emulated_servers_give_the_tokens_of_the_cpu(serve, tokens, devices):
    peers = [serve(*ARGUMENTS, "--blocks", blocks, "--device", device)[1].strip()
             for blocks, device in zip(("0:2", "2:4", "4:6"), devices)]
    with fallow.AutoModelForCausalLM.from_pretrained(LLAMA, peers=peers) as model:
        assert generate(model) == tokens


def test_a_cpu_and_an_emulated_gpu_replace_each_other(serve, tokens):
    spans = [("0:3", "cpu"), ("3:6", "cpu"), ("3:6", "cuda-emulated")]
    processes = {}
    for blocks, device in spans:
        process, line = serve(*ARGUMENTS, "--blocks", blocks, "--device", device)
        processes[line.strip()] = process
    with fallow.AutoModelForCausalLM.from_pretrained(LLAMA, peers=list(processes)) as model:
        assert generate(model) == tokens
        used = "{address}#{peer}".format(**model.route()[1])
        made = []

        def stop_what_is_used(token):
            made.append(token)
            if len(made) == NEW_TOKENS // 2:
                processes[used].kill()

        assert generate(model, on_token=stop_what_is_used) == tokens
        other = next(peer for peer in list(processes)[1:] if peer != used)
        assert "{address}#{peer}".format(**model.route()[1]) == other
