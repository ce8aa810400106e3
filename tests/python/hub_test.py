"""Checkpoints by hub id, from a hub of our own that serves the golden files."""

import hashlib
import http.server
import json
import os
import threading

import pytest

from conftest import GOLDEN, LLAMA, run_python

COMMIT = "c" * 40
REPOSITORIES = {
    "tiny/llama": GOLDEN / "llama",
    "tiny/sharded": GOLDEN / "llama-sharded",
    "tiny/gguf": GOLDEN / "gguf-mixed",
}


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD of /OWNER/NAME/resolve/REVISION/FILE as the real one does."""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        owner, name, _, revision, file = self.path.lstrip("/").split("/", 4)
        folder = REPOSITORIES.get(f"{owner}/{name}")
        if folder is None or revision not in ("main", COMMIT):
            return self.refuse("RepoNotFound" if folder is None else "RevisionNotFound")
        if not (folder / file).is_file():
            return self.refuse("EntryNotFound")
        body = (folder / file).read_bytes()
        if with_body:
            self.server.fetched.append(file)
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def refuse(self, code):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        """Silent."""


@pytest.fixture
def hub(tmp_path):
    """Runs code in a process that knows no other hub; .fetched lists the files that went out."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.fetched = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }

    def run(code, **variables):
        result = run_python("import fallow\n" + code, env={**environment, **variables})
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    run.fetched = server.fetched
    yield run
    server.shutdown()
    server.server_close()


def test_unsharded_model_is_fetched_once_and_generates(hub):
    code = """
model = fallow.AutoDistributedModelForCausalLM.from_pretrained("tiny/llama", threads=1)
tokenizer = fallow.AutoTokenizer.from_pretrained("tiny/llama")
print(model.generate(tokenizer.encode("Once"), max_new_tokens=4))
"""
    first = hub(code)
    assert sorted(hub.fetched) == ["config.json", "generation_config.json", "model.safetensors",
                                   "tokenizer.json", "tokenizer_config.json"]
    assert hub(code.replace("tiny/llama", LLAMA)) == first
    hub.fetched.clear()
    assert hub(code) == first
    assert hub.fetched == []


def test_tokenizer_needs_no_weights(hub):
    assert hub('print(len(fallow.AutoTokenizer.from_pretrained("tiny/llama")))') == "320"
    assert not any("safetensors" in file for file in hub.fetched)


def shards_of(tensors_with):
    weight_map = json.loads(
        (GOLDEN / "llama-sharded" / "model.safetensors.index.json").read_text())["weight_map"]
    return sorted({file for tensor, file in weight_map.items() if tensors_with(tensor)})


def test_server_fetches_the_shards_of_its_blocks_only(hub):
    hub("""
with fallow.BlockServer("tiny/sharded", blocks="1:2", listen="127.0.0.1:0", threads=1) as server:
    print(server.spec.num_blocks)
""")
    fetched = sorted(file for file in hub.fetched if file.endswith(".safetensors"))
    # The second of two blocks is the last: final norm and head, here the embedding, come with it.
    assert fetched == shards_of(lambda tensor: "layers.0." not in tensor)


def test_shards_follow_from_the_names_of_tensors(hub):
    code = """
from fallow import _hub
import os
folder = _hub.fetch_config("tiny/sharded")
print(sorted(file for file in os.listdir(folder) if file.endswith(".safetensors")))
_hub.fetch_blocks("tiny/sharded", (0, 0))
print(sorted(file for file in os.listdir(folder) if file.endswith(".safetensors")))
print([_hub.block_of(name) for name in (
    "model.layers.12.mlp.up_proj.weight", "transformer.h.3.mlp.experts.2.w", "lm_head.weight")])
"""
    nothing, ends, blocks = hub(code).splitlines()
    assert nothing == "[]"
    assert ends == str(shards_of(lambda tensor: "layers." not in tensor))
    assert blocks == "[12, 3, None]"


def test_client_of_peers_fetches_weights_for_private_ends_only(hub):
    output = hub("""
with fallow.BlockServer("tiny/sharded", listen="127.0.0.1:0", threads=1) as server:
    pass
""")
    assert output == ""
    hub.fetched.clear()
    code = f"""
import sys
with fallow.BlockServer({str(GOLDEN / "llama-sharded")!r}, listen="127.0.0.1:0", threads=1) as s:
    model = fallow.AutoDistributedModelForCausalLM.from_pretrained("tiny/sharded", peers=[s.address])
    ring = model.generate([20, 21], max_new_tokens=4)
    import glob, os
    files = glob.glob(os.environ["HF_HOME"] + "/**/*.safetensors", recursive=True)
    print(len(files))
    private = model.generate([20, 21], max_new_tokens=4, end_mode="private")
    print(ring == private)
"""
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        files, same = hub(code, HF_HOME=home).splitlines()
    assert (files, same) == ("0", "True")
    assert sorted(f for f in hub.fetched if f.endswith(".safetensors")) == shards_of(
        lambda tensor: "layers." not in tensor)


def test_gguf_file_is_named_after_its_repository(hub):
    code = 'print(fallow.AutoTokenizer.from_pretrained("tiny/gguf/model.gguf").eos_token)'
    assert hub(code) == "<|im_end|>"
    assert hub.fetched == ["model.gguf"]


@pytest.mark.parametrize(
    "name, words",
    [
        ("tiny/nothing", "tiny/nothing"),
        ("tiny/gguf/other.gguf", "no file other.gguf"),
        ("tiny/sharded", "no file tokenizer.json"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, name, words):
    message = hub(f"""
try:
    fallow.AutoTokenizer.from_pretrained({name!r})
except fallow.CheckpointError as error:
    print(error)
""")
    assert words in message


def test_revision_is_respected(hub):
    code = 'print(len(fallow.AutoTokenizer.from_pretrained("tiny/llama", revision={!r})))'
    assert hub(code.format(COMMIT)) == "320"
    message = hub("try:\n  " + code.format("v9") + "\nexcept fallow.CheckpointError as e: print(e)")
    assert "v9" in message


def test_cached_files_do_without_the_hub(hub):
    code = 'print(len(fallow.AutoTokenizer.from_pretrained("tiny/llama")))'
    assert hub(code) == "320"
    assert hub(code, HF_HUB_OFFLINE="1") == "320"
