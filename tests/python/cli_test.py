"""The command line, run as users run it."""

import json
import os
import signal
import subprocess

import fallow
import pytest

from conftest import FALLOW, LLAMA, SMALL


def run(*arguments, **keywords):
    return subprocess.run([*FALLOW, *arguments], capture_output=True, text=True, timeout=120,
                          **keywords)


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_its_address_and_stops_cleanly(serve, stop_signal):
    process, line = serve("--blocks", "0:3")
    host_port, _, peer = line.strip().partition("#")
    assert host_port.startswith("127.0.0.1:") and len(peer) == 64
    process.send_signal(stop_signal)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, ""), errors


def test_serve_prints_an_object_a_line(serve):
    _, line = serve("--blocks", "2:4", "--json", "--numeric-class", "fp32")
    described = json.loads(line)
    assert described["blocks"] == [2, 4] and described["numeric_class"] == "fp32"
    assert described["address"].endswith(described["peer"]) and described["weight_bytes"] > 0


def test_generate_through_served_processes(serve, tokenizer):
    addresses = [serve("--blocks", blocks)[1].strip() for blocks in ("0:2", "2:4", "4:6")]
    shared = ["generate", LLAMA, "Once upon a time", "--max-new-tokens", "12", "--json"]
    through_peers = run(*shared, "--peers", ",".join(addresses))
    assert through_peers.returncode == 0, through_peers.stderr
    here = json.loads(run(*shared, *SMALL).stdout)
    result = json.loads(through_peers.stdout)
    assert through_peers.stdout.count("\n") == 1
    assert set(result) == {
        "text", "prompt_ids", "token_ids", "finish_reason", "prefill_tokens_per_second",
        "decode_tokens_per_second", "numeric_class", "route", "recoveries"}
    assert result["prompt_ids"] == tokenizer.encode("Once upon a time")
    assert result["text"] == tokenizer.decode(result["token_ids"], skip_special_tokens=True)
    assert len(result["token_ids"]) == 12 or result["finish_reason"] == "stop_token"
    assert result["token_ids"] == here["token_ids"]
    assert result["numeric_class"] == here["numeric_class"] == "bf16"
    assert result["decode_tokens_per_second"] > 0 and result["recoveries"] == []
    hops = [f"{hop['address']}#{hop['peer']}" for hop in result["route"]]
    assert hops == addresses
    assert [(hop["begin"], hop["end"]) for hop in result["route"]] == [(0, 2), (2, 4), (4, 6)]
    assert all(hop["milliseconds_per_token"] > 0 for hop in result["route"])


def test_generate_prints_the_answer_alone(tokenizer):
    result = run("generate", LLAMA, "Once", "--max-new-tokens", "8", "--ignore-end-tokens",
                 "--numeric-class", "fp32", *SMALL)
    with fallow.AutoModelForCausalLM.from_pretrained(
        LLAMA, numeric_class="fp32", threads=1, kv_memory=64 << 20
    ) as model:
        prompt = tokenizer.encode("Once")
        output = model.generate(prompt, max_new_tokens=8, ignore_end_tokens=True)
    assert result.stdout == tokenizer.decode(output[len(prompt) :], skip_special_tokens=True) + "\n"
    assert "tokens/s" in result.stderr and "in process" in result.stderr


def test_generate_takes_chats_stops_and_sampling(tokenizer):
    shared = ["generate", LLAMA, "Hi", "--json", *SMALL, "--max-new-tokens", "16",
              "--ignore-end-tokens"]
    chat = json.loads(run(*shared, "--chat").stdout)
    assert chat["prompt_ids"] == tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    letter = chat["text"].strip()[-1]
    stopped = json.loads(run(*shared, "--chat", "--stop", letter).stdout)
    assert stopped["finish_reason"] == "stop_string" and letter in stopped["text"]
    drawn = [json.loads(run(*shared, "--do-sample", "--temperature", "2", "--seed", seed).stdout)
             for seed in ("1", "1", "2")]
    assert drawn[0]["token_ids"] == drawn[1]["token_ids"] != drawn[2]["token_ids"]


def test_chat_answers_line_by_line(tokenizer):
    result = run("chat", LLAMA, "--max-new-tokens", "5", "--system", "Be brief.", *SMALL,
                 input="Hello\n\nAnd now?\n")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("5 tokens") + result.stderr.count("(stop_token)") >= 2
    assert result.stdout.strip()


@pytest.mark.parametrize("flag", ["--digests", "--no-digests"])
def test_inspect_tells_what_a_checkpoint_holds(flag):
    found = json.loads(run("inspect", LLAMA, "--json", flag).stdout)
    assert found["spec"]["num_blocks"] == 6 and found["numeric_class"] == "bf16"
    names = [tensor["name"] for tensor in found["tensors"]]
    assert "model.embed_tokens.weight" in names
    assert found["tensors"][0]["shape"] and found["tensors"][0]["bytes"] > 0
    assert ("digests" in found) == (flag == "--digests")
    if "digests" in found:
        assert len(set(found["digests"]["blocks"])) == 6
    text = run("inspect", LLAMA, flag).stdout
    assert "num_blocks" in text and all(name in text for name in names)
    assert ("manifest" in text) == (flag == "--digests")


def test_profile_shows_each_kernel_beside_its_limit():
    options = ["--prompt-tokens", "9", "--new-tokens", "3", "--threads", "1"]
    found = json.loads(run("profile", LLAMA, "--json", *options).stdout)
    assert found["threads"] == 1 and found["numeric_class"] == "bf16"
    kernels = {kernel["kernel"]: kernel for kernel in found["decode"]["kernels"]}
    assert kernels["attention"]["calls"] == 3 * 6 and kernels["sample"]["calls"] == 3
    assert all(kernel["least_seconds"] > 0 for kernel in kernels.values())
    text = run("profile", LLAMA, *options).stdout
    assert "of limit" in text and "prefill" in text and all(name in text for name in kernels)


@pytest.mark.parametrize(
    "arguments, code, word",
    [
        (["generate", "/nowhere/model", "x"], 1, "nowhere"),
        (["generate", LLAMA, "x", "--numeric-class", "martian"], 1, "martian"),
        (["serve", LLAMA, "--blocks", "9"], 1, "blocks"),
        (["inspect", "/nowhere.gguf"], 1, "nowhere.gguf"),
        (["profile", LLAMA, "--new-tokens", "0"], 1, "new ones"),
        (["generate", LLAMA, "x", "--martian"], 2, "martian"),
        (["serve", LLAMA, "--threads", "two"], 2, "--threads"),
    ],
)
def test_errors_are_one_line_on_stderr(arguments, code, word):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert word in result.stderr and "Traceback" not in result.stderr


def test_version_and_help():
    assert run("--version").stdout == f"{fallow.__version__}\n"
    text = run("--help").stdout
    assert all(command in text for command in ("serve", "generate", "chat", "inspect", "profile"))
    assert "--numeric-class" in run("serve", "--help", env=dict(os.environ, COLUMNS="120")).stdout
