"""Servers whose device is a GPU, emulated, as processes."""

import fallow
import pytest

from conftest import LLAMA

CLASS = dict(numeric_class="exact", weights="q8")
ARGUMENTS = ["--numeric-class", "exact", "--weights", "q8"]
NEW_TOKENS = 64  # a ring runs ahead by 32


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


@pytest.mark.parametrize("device, other", [("cpu", "cuda-emulated"), ("cuda-emulated", "cpu")])
def test_a_server_of_either_kind_takes_the_place_of_the_other(
    serve, tokens, tmp_path, device, other
):
    def serve_end(device, name, address="127.0.0.1:0"):
        return serve(*ARGUMENTS, "--blocks", "3:6", "--device", device,
                     "--identity", str(tmp_path / name), "--listen", address)

    _, begin = serve(*ARGUMENTS, "--blocks", "0:3", "--device", "cpu")
    first, end = serve_end(device, "first")
    second, replica = serve_end(other, "second")
    second.kill()  # so that the route goes through the first
    second.wait()
    peers = [line.strip() for line in (begin, end, replica)]
    made = []

    def replace(token):
        made.append(token)
        if len(made) == 16:
            _, again = serve_end(other, "second", peers[2].split("#")[0])
            assert again.strip() == peers[2]
            first.kill()

    with fallow.AutoModelForCausalLM.from_pretrained(LLAMA, peers=peers) as model:
        assert generate(model, on_token=replace) == tokens
        assert "{address}#{peer}".format(**model.route()[1]) == peers[2]
    assert len(made) == NEW_TOKENS
