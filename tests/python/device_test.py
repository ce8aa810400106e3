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


def test_an_emulated_server_replaces_a_dead_one_on_the_cpu(serve, tokens):
    spans = [("0:3", "cpu"), ("3:6", "cpu"), ("3:6", "cuda-emulated")]
    started = [serve(*ARGUMENTS, "--blocks", blocks, "--device", device)
               for blocks, device in spans]
    peers = [line.strip() for _, line in started]
    with fallow.AutoModelForCausalLM.from_pretrained(LLAMA, peers=peers[:2]) as model:
        generate(model)  # so that the route with both on the CPU is the fast one
    with fallow.AutoModelForCausalLM.from_pretrained(LLAMA, peers=peers) as model:
        used = []

        def stop_one(token):
            used.append(model.route()[1]["peer"])
            if len(used) == NEW_TOKENS // 2:
                process = next(p for p, line in started if line.strip().endswith(used[-1]))
                process.kill()
            return True

        assert generate(model, on_token=stop_one) == tokens
        assert model.route()[1]["peer"] not in used[:NEW_TOKENS // 2]
