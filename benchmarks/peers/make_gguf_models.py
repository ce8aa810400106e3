"""Makes the GGUF files that the comparison needs besides the real model.

    python make_gguf_models.py MODEL.gguf FOLDER

FOLDER/smollm2-{q4_0,q8_0,bf16}.gguf  the real weights, dequantised and stored anew; as in MODEL the
                                      embedding, also the head, is Q8_0 where the rest is Q4_0
FOLDER/{1b,8b}-{q4_0,q8_0,iq4_nl}.gguf  random weights in the shapes of blocks of Llama 3.2 1B and
                                        Llama 3.1 8B: a few of them, and a smaller vocabulary
A file that exists is left as it is.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from transformers import LlamaConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/golden"))

from gguf_llama import LlamaGguf, write_gguf  # noqa: E402

VOCABULARY = 32000
SHAPES = {
    "1b": LlamaConfig(hidden_size=2048, intermediate_size=8192, num_hidden_layers=4,
                      num_attention_heads=32, num_key_value_heads=8, head_dim=64,
                      vocab_size=VOCABULARY, max_position_embeddings=8192),
    "8b": LlamaConfig(hidden_size=4096, intermediate_size=14336, num_hidden_layers=2,
                      num_attention_heads=32, num_key_value_heads=8, head_dim=128,
                      vocab_size=VOCABULARY, max_position_embeddings=8192),
}
SEED = 1


def add_no_tokenizer(writer):
    writer.add_tokenizer_model("no_vocab")


def write_once(path, config, tensors):
    """tensors: called for write_gguf's, so that they are made only where a file is missing."""
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    write_gguf(partial, config, tensors(), add_no_tokenizer)
    partial.rename(path)


def stored_anew(checkpoint, wanted):
    """All matrices in the type `wanted`, but for the embedding."""
    tensors = {}
    for name, tensor in checkpoint.tensors.items():
        type = wanted if tensor.tensor_type != Type.F32 else Type.F32
        if wanted == Type.Q4_0 and name == "token_embd.weight":
            type = Type.Q8_0
        tensors[name] = (gguf.quantize(checkpoint.dequantized(name), type), type)
    return tensors


def random_matrix(generator, type, rows, columns):
    """Random blocks of a type whose blocks begin with their scale and else may hold any bits."""
    elements, size = gguf.GGML_QUANT_SIZES[type]
    blocks = generator.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    most = 127 if type != Type.Q4_0 else 8
    blocks[:, :2] = np.frombuffer(np.float16(columns**-0.5 / most).tobytes(), np.uint8)
    return blocks.reshape(rows, -1), type


def random_model(config, type):
    generator = np.random.default_rng(SEED)
    hidden, mlp = config.hidden_size, config.intermediate_size
    keys = config.num_key_value_heads * config.head_dim
    matrices = {"attn_q": (hidden, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden),
                "attn_output": (hidden, hidden), "ffn_gate": (mlp, hidden),
                "ffn_up": (mlp, hidden), "ffn_down": (hidden, mlp)}
    ones = np.ones(hidden, np.float32), Type.F32
    tensors = {name: random_matrix(generator, type, config.vocab_size, hidden)
               for name in ("token_embd.weight", "output.weight")}
    tensors["output_norm.weight"] = ones
    for block in range(config.num_hidden_layers):
        for name, shape in matrices.items():
            tensors[f"blk.{block}.{name}.weight"] = random_matrix(generator, type, *shape)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{block}.{name}.weight"] = ones
    return tensors


def main(model, folder):
    folder = Path(folder)
    checkpoint = LlamaGguf(Path(model))
    for type in (Type.Q4_0, Type.Q8_0, Type.BF16):
        write_once(folder / f"smollm2-{type.name.lower()}.gguf", checkpoint.config(),
                   lambda: stored_anew(checkpoint, type))
    for name, config in SHAPES.items():
        for type in (Type.Q4_0, Type.Q8_0, Type.IQ4_NL):
            write_once(folder / f"{name}-{type.name.lower()}.gguf", config,
                       lambda: random_model(config, type))


if __name__ == "__main__":
    main(*sys.argv[1:])
