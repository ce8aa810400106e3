"""Makes sentencepiece.json: a tiny SentencePiece BPE tokenizer as a GGUF file describes it, with
texts and the ids that SentencePiece itself gives them.

Run: pip install sentencepiece==0.2.3
     python tests/python/make_sentencepiece_golden.py
"""

import io
import json
import sys
from pathlib import Path

import sentencepiece

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "hf"))

from prompt_texts import TEXTS  # noqa: E402

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # tokenizer.ggml.token_type
MORE_TEXTS = ["", " ", "  two spaces", "trailing  ", "tab\tand\nline", "12345", "naïve ☕ 漢字", "🙂"]


def train():
    """Settings of Llama's tokenizer, but for the size."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        model_type="bpe",
        vocab_size=480,
        character_coverage=0.99,
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def token_type(processor, index):
    if processor.is_unknown(index):
        return UNKNOWN
    if processor.is_control(index):
        return CONTROL
    return BYTE if processor.is_byte(index) else NORMAL


def describe(processor):
    """The keys that llama.cpp's converter writes for it."""
    indices = range(processor.vocab_size())
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [processor.id_to_piece(index) for index in indices],
        "tokenizer.ggml.scores": [processor.get_score(index) for index in indices],
        "tokenizer.ggml.token_type": [token_type(processor, index) for index in indices],
        "tokenizer.ggml.bos_token_id": processor.bos_id(),
        "tokenizer.ggml.eos_token_id": processor.eos_id(),
        "tokenizer.ggml.unknown_token_id": processor.unk_id(),
    }


def main():
    processor = train()
    cases = [{"text": text, "ids": processor.encode(text)} for text in TEXTS + MORE_TEXTS]
    golden = {"metadata": describe(processor), "cases": cases}
    text = json.dumps(golden, ensure_ascii=False, indent=0, separators=(",", ":"))
    (HERE / "sentencepiece.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
