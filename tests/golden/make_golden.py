"""Makes the tiny checkpoints of this folder and what Hugging Face computes from them.

Run: pip install torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate
     python tests/golden/make_golden.py [name ...]      (all without a name)
"""

import argparse
import json
import shutil
import zlib
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as GgmlType
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

import tiny_tokenizer
from gguf_llama import (
    LlamaGguf,
    check_against_transformers_reader,
    gguf_name,
    permute,
    rope_heads,
    write_gguf,
)
from random_blocks import LAYOUTS, random_blocks
from random_weights import deviation, randomise
from reference import (
    Unsuitable,
    check_ablation,
    check_attention_focus,
    check_reference,
    make_reference,
)
from tiny_tokenizer import write_json
from variants import GGUF_VARIANTS, LLAMA, VARIANTS

HERE = Path(__file__).parent
PROMPT_TOKENS = 40
MOST_ATTEMPTS = 100
FIRST_ORDINARY_TOKEN = len(tiny_tokenizer.SPECIAL_TOKENS)


def random_prompt(vocab_size, generator):
    return torch.randint(FIRST_ORDINARY_TOKEN, vocab_size, (PROMPT_TOKENS,), generator=generator)


def write_expected(folder, reference, extra=None):
    tensors = {
        "input_ids": reference.input_ids,
        "logits": reference.logits,
        "greedy": reference.greedy,
    }
    save_file(tensors | (extra or {}), folder / "expected.safetensors")


def load_fp32(folder, config_changes=None):
    """The checkpoint as written, read by transformers."""
    config = json.loads((folder / "config.json").read_text()) | (config_changes or {})
    return AutoModelForCausalLM.from_pretrained(
        folder,
        config=AutoConfig.for_model(**config),
        dtype=torch.float32,
        attn_implementation="eager",
    ).eval()


def write_checkpoint(variant, folder, generator):
    write_json(folder / "config.json", variant.config)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    randomise(model, generator)
    saved = model.base_model if variant.without_prefix else model
    saved.to(torch.bfloat16).save_pretrained(folder, max_shard_size=variant.shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_json(folder / "config.json", variant.config)  # save_pretrained wrote its own
    if variant.with_tokenizer:
        tiny_tokenizer.write_tokenizer(folder)


def make_checkpoint(variant, folder, seed):
    generator = torch.Generator().manual_seed(seed)
    write_checkpoint(variant, folder, generator)
    reference = make_reference(
        lambda: load_fp32(folder), random_prompt(variant.config["vocab_size"], generator)
    )
    check_reference(reference, stepwise_differs=variant.stepwise_differs)
    check_attention_focus(load_fp32(folder), reference.input_ids)
    if variant.ablation:
        check_ablation(reference, load_fp32(folder, variant.ablation))
    stepwise = {"stepwise_logits": reference.stepwise_logits} if variant.stepwise_differs else {}
    write_expected(folder, reference, stepwise)
    return reference


def encode_matrix(rng, tensor_type, values, spread):
    """A matrix as stored; where gguf-py cannot quantise, random blocks take the values' place."""
    if tensor_type in LAYOUTS:
        return random_blocks(rng, tensor_type, values.shape, spread)
    return gguf.quantize(values, tensor_type)


def matrix_type(variant, name, columns):
    if name == "token_embd.weight" and variant.embedding_type is not None:
        return variant.embedding_type
    row_multiple = gguf.GGML_QUANT_SIZES[variant.type][0]
    return variant.type if columns % row_multiple == 0 else GgmlType.Q8_0


def gguf_tensors(variant, config, seed):
    """name -> (stored array, type) of a random checkpoint."""
    model = LlamaForCausalLM(config)
    randomise(model, torch.Generator().manual_seed(seed))
    rng = np.random.default_rng(seed)
    counts = {
        "head_count": config.num_attention_heads,
        "head_count_kv": config.num_key_value_heads,
    }
    tensors = {}
    for hf_name, parameter in model.named_parameters():
        name, values = gguf_name(hf_name), parameter.detach().numpy()
        if values.ndim == 1:
            tensors[name] = (values, GgmlType.F32)
            continue
        if heads := rope_heads(name, counts):
            values = permute(values, heads)
        stored_type = matrix_type(variant, name, values.shape[1])
        spread = deviation(hf_name, values.shape)
        tensors[name] = (encode_matrix(rng, stored_type, values, spread), stored_type)
    return tensors


def add_tokenizer_fields(writer):
    tokens, merges = tiny_tokenizer.tokens_and_merges(tiny_tokenizer.make_tokenizer())
    special = len(tiny_tokenizer.SPECIAL_TOKENS)
    types = [gguf.TokenType.CONTROL] * special
    types += [gguf.TokenType.NORMAL] * (len(tokens) - special)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tiny_tokenizer.BOS)
    writer.add_eos_token_id(tiny_tokenizer.EOS)
    writer.add_pad_token_id(tiny_tokenizer.PAD)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tiny_tokenizer.CHAT_TEMPLATE)


def make_gguf(variant, folder, seed):
    dropped = ("architectures", "model_type", "torch_dtype")
    common = {key: value for key, value in LLAMA.items() if key not in dropped}
    config = LlamaConfig(**common | variant.config)
    path = folder / "model.gguf"
    write_gguf(
        path,
        config,
        gguf_tensors(variant, config, seed),
        add_tokenizer_fields if variant.with_tokenizer else None,
    )
    checkpoint = LlamaGguf(path)
    check_against_transformers_reader(path, checkpoint.hf_model())
    reference = make_reference(
        checkpoint.hf_model,
        random_prompt(config.vocab_size, torch.Generator().manual_seed(seed)),
    )
    check_reference(reference)
    check_attention_focus(checkpoint.hf_model(), reference.input_ids)
    ffn_down = torch.from_numpy(checkpoint.dequantized("blk.0.ffn_down.weight").copy())
    write_expected(folder, reference, {"dequantized.blk.0.ffn_down": ffn_down})
    return reference


def make_until_suitable(variant, make):
    folder = HERE / variant.name
    first_seed = zlib.crc32(variant.name.encode())
    for attempt in range(MOST_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            reference = make(variant, folder, first_seed + attempt)
        except Unsuitable as reason:
            print(f"{variant.name}: attempt {attempt}: {reason}", flush=True)
            continue
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(
            f"{variant.name}: attempt {attempt}, {size // 1000} kB, "
            f"margin {reference.margin:.3f}, fp32 rounding {reference.rounding:.1e}",
            flush=True,
        )
        return
    raise RuntimeError(f"{variant.name}: no suitable weights in {MOST_ATTEMPTS} attempts")


def main():
    makers = {variant.name: (variant, make_checkpoint) for variant in VARIANTS}
    makers |= {variant.name: (variant, make_gguf) for variant in GGUF_VARIANTS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(makers))
    names = parser.parse_args().names
    if unknown := set(names) - set(makers):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    torch.set_num_threads(2)
    logging.disable_progress_bar()
    for name in names or makers:
        make_until_suitable(*makers[name])


if __name__ == "__main__":
    main()
