"""Makes a Hugging Face model out of a GGUF file, for the peers that read or convert only such.

    python make_hf_model.py MODEL.gguf FOLDER     the weights dequantised to fp32, and the tokenizer
"""

import sys
from pathlib import Path

from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests/golden"), str(ROOT / "tests/hf")]

from gguf_llama import LlamaGguf  # noqa: E402
from gguf_tokenizer import load_tokenizer  # noqa: E402


def main(model, folder):
    checkpoint = LlamaGguf(Path(model))
    checkpoint.hf_model().save_pretrained(folder)
    tokens = checkpoint.field("tokenizer.ggml.tokens")
    special = {f"{name}_token": tokens[checkpoint.field(f"tokenizer.ggml.{name}_token_id")]
               for name in ("bos", "eos")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=load_tokenizer(checkpoint), **special)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
