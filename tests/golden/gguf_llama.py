"""Llama checkpoints in GGUF: written as llama.cpp's converter does, read back for transformers."""

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

ROPE_PERMUTED = {"attn_q": "head_count", "attn_k": "head_count_kv"}

HF_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
GGUF_NAMES = {hf: name for name, hf in HF_NAMES.items()}


def gguf_name(hf_name):
    """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
    stem = hf_name.removesuffix(".weight")
    if not stem.startswith("model.layers."):
        return GGUF_NAMES[stem] + ".weight"
    block, part = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{block}.{GGUF_NAMES[part]}.weight"


def hf_name(name):
    """blk.3.ffn_up.weight -> model.layers.3.mlp.up_proj.weight"""
    stem = name.removesuffix(".weight")
    if not stem.startswith("blk."):
        return HF_NAMES[stem] + ".weight"
    _, block, part = stem.split(".")
    return f"model.layers.{block}.{HF_NAMES[part]}.weight"


def permute(rows, heads):
    """Within each head, from RoPE pairs (i, i + head_dim / 2) to pairs (2i, 2i + 1)."""
    return rows.reshape(heads, 2, -1, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows, heads):
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def rope_heads(name, counts):
    """How many heads' rows the tensor permutes; 0 if it does not. `counts` has head_count(_kv)."""
    part = name.removesuffix(".weight").split(".")[-1]
    return counts[ROPE_PERMUTED[part]] if part in ROPE_PERMUTED else 0


class LlamaGguf:
    """A GGUF file of architecture llama."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}

    def field(self, key, default=None):
        field = self.reader.get_field(key)
        return default if field is None else field.contents()

    def dequantized(self, name):
        """The tensor's values [rows, columns] in fp32, rows in the file's order."""
        tensor = self.tensors[name]
        return gguf.dequantize(tensor.data, tensor.tensor_type)

    def config(self):
        heads = self.field("llama.attention.head_count")
        hidden = self.field("llama.embedding_length")
        return LlamaConfig(
            vocab_size=int(self.tensors["token_embd.weight"].shape[1]),
            hidden_size=hidden,
            intermediate_size=self.field("llama.feed_forward_length"),
            num_hidden_layers=self.field("llama.block_count"),
            num_attention_heads=heads,
            num_key_value_heads=self.field("llama.attention.head_count_kv"),
            head_dim=self.field("llama.attention.key_length", hidden // heads),
            max_position_embeddings=self.field("llama.context_length"),
            rms_norm_eps=self.field("llama.attention.layer_norm_rms_epsilon"),
            rope_theta=self.field("llama.rope.freq_base", 10000.0),
            tie_word_embeddings="output.weight" not in self.tensors,
            bos_token_id=self.field("tokenizer.ggml.bos_token_id"),
            eos_token_id=self.field("tokenizer.ggml.eos_token_id"),
            attn_implementation="eager",
        )

    def state_dict(self):
        config = self.config()
        counts = {
            "head_count": config.num_attention_heads,
            "head_count_kv": config.num_key_value_heads,
        }
        state = {}
        for name in self.tensors:
            values = np.array(self.dequantized(name), dtype=np.float32)
            heads = rope_heads(name, counts)
            state[hf_name(name)] = torch.from_numpy(unpermute(values, heads) if heads else values)
        if config.tie_word_embeddings:
            state["lm_head.weight"] = state["model.embed_tokens.weight"]
        return state

    def hf_model(self):
        """The whole checkpoint as transformers' fp32 model with eager attention."""
        model = LlamaForCausalLM(self.config()).float().eval()
        model.load_state_dict(self.state_dict(), strict=True)
        return model


def check_against_transformers_reader(path, model):
    """transformers' own GGUF reader must give the same weights as LlamaGguf."""
    theirs = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name).state_dict()
    for name, values in model.state_dict().items():
        if not torch.equal(values, theirs[name].float()):
            raise RuntimeError(f"{path}: {name} differs from transformers' reader")


def write_gguf(path, config, tensors, tokenizer_fields=None):
    """Writes a GGUF v3 of architecture llama.

    tensors: name -> (numpy array as stored, GGMLQuantizationType), q and k already permuted.
    tokenizer_fields: called with the writer to add the tokenizer's metadata.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.parent.name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    if config.head_dim * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if tokenizer_fields:
        tokenizer_fields(writer)
    for name, (values, tensor_type) in tensors.items():
        writer.add_tensor(name, values, raw_dtype=tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
