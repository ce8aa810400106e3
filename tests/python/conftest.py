"""What the tests share: the golden checkpoints, and a model and tokenizer of the smallest."""

import json
import os
import pathlib
import signal
import struct
import subprocess
import sys

import fallow
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
LLAMA = str(GOLDEN / "llama")
FALLOW = [sys.executable, "-m", "fallow"]
SMALL = ["--threads", "1", "--kv-memory", str(64 << 20)]

# Whoever runs the tests in the background has Ctrl-C ignored, by all children too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def model():
    with fallow.AutoDistributedModelForCausalLM.from_pretrained(
        LLAMA, numeric_class="fp32", threads=1, kv_memory=64 << 20
    ) as model:
        yield model


@pytest.fixture(scope="session")
def tokenizer():
    return fallow.AutoTokenizer.from_pretrained(LLAMA)


@pytest.fixture(scope="session")
def expected():
    """input_ids, logits and greedy of Hugging Face transformers, as numpy arrays."""
    return read_safetensors(GOLDEN / "llama" / "expected.safetensors")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="session")
def real_model():
    """The path of SmolLM2-135M-Instruct.Q4_1.gguf; fetched if need be."""
    script = ROOT / "examples" / "fetch_model.sh"
    environment = dict(os.environ, PYTHON=sys.executable)
    fetched = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True,
                             env=environment)
    return fetched.stdout.strip()


@pytest.fixture(scope="session")
def servers():
    """Addresses of two servers that hold halves of the small model."""
    common = dict(listen="127.0.0.1:0", numeric_class="fp32", threads=1, kv_memory=64 << 20)
    with fallow.BlockServer(LLAMA, blocks="0:3", **common) as first:
        with fallow.BlockServer(LLAMA, blocks="3:6", **common) as second:
            yield [first.address, second.address]


@pytest.fixture
def serve():
    """Starts `fallow serve` and returns the process and its first line."""
    processes = []

    def start(*arguments):
        command = [*FALLOW, "serve", LLAMA, "--listen", "127.0.0.1:0", *SMALL, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=dict(os.environ, COLUMNS="40"))
        processes.append(process)
        return process, process.stdout.readline()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def read_safetensors(path):
    import numpy

    dtypes = {"F32": numpy.float32, "I64": numpy.int64, "I32": numpy.int32}
    data = pathlib.Path(path).read_bytes()
    (header_size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + header_size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + header_size + offset for offset in entry["data_offsets"])
            array = numpy.frombuffer(data[begin:end], dtypes[entry["dtype"]])
            tensors[name] = array.reshape(entry["shape"])
    return tensors


def run_python(code, *arguments, **keywords):
    """Runs `code` in a process of its own."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True,
                          timeout=120, **keywords)
