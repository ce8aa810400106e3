"""Tokenizers from GGUF metadata."""

import json

import fallow
import pytest
from fallow import _gguf_tokenizer
from tokenizers import Regex, pre_tokenizers

from conftest import GOLDEN, LLAMA, ROOT

SENTENCEPIECE = json.loads((ROOT / "tests/python/sentencepiece.json").read_text(encoding="utf-8"))

# Where each style of pre-tokenizer cuts; by hand, from the expressions' definitions.
PIECES = [
    ("gpt-2", "Don't 12345 x", ["Don", "'t", "Ġ12345", "Ġx"]),
    ("smollm", "Don't 12345", ["Don", "'t", "Ġ", "1", "2", "3", "4", "5"]),
    ("llama-bpe", "DON'T 12345  x\n\ny", ["DON", "'T", "Ġ", "123", "45", "Ġ", "Ġx", "ĊĊ", "y"]),
    ("llama-bpe", "(word) !?\n", ["(word", ")", "Ġ!?Ċ"]),
    ("qwen2", "DON'T 123", ["DON", "'T", "Ġ", "1", "2", "3"]),
    ("tekken", "camelCase HTTPServer 12", ["camel", "Case", "ĠHTTPServer", "Ġ", "1", "2"]),
    ("bloom", "one, two.(x)", ["one", ",", "Ġtwo", ".(", "x", ")"]),
]


def byte_level_metadata(**changes):
    metadata = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": ["a", "b", "ab", "<|end|>", "<think>"],
        "token_type": [1, 1, 1, 3, 4],
        "merges": ["a b"],
        "eos_token_id": 3,
        **changes,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in metadata.items() if value is not None}


@pytest.mark.parametrize("case", SENTENCEPIECE["cases"], ids=lambda case: case["text"][:20])
def test_scores_give_the_ids_of_sentencepiece(case):
    backend = _gguf_tokenizer.build(SENTENCEPIECE["metadata"]).backend
    ids = backend.encode(case["text"], add_special_tokens=False).ids
    assert ids == case["ids"]
    assert backend.decode(ids) == case["text"]


def test_sentencepiece_begins_with_bos_unless_the_file_says_no():
    assert _gguf_tokenizer.build(SENTENCEPIECE["metadata"]).add_bos
    silent = {**SENTENCEPIECE["metadata"], "tokenizer.ggml.add_bos_token": False}
    assert not _gguf_tokenizer.build(silent).add_bos


@pytest.mark.parametrize("name, text, pieces", PIECES)
def test_text_is_cut_as_the_named_pre_tokenizer_does(name, text, pieces):
    backend = _gguf_tokenizer.build(byte_level_metadata(pre=name)).backend
    assert [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text)] == pieces


def test_each_expression_compiles():
    for pre in set(_gguf_tokenizer.PRE_TOKENIZERS.values()):
        if pre.regex is not None:
            pre_tokenizers.Split(Regex(pre.regex), behavior="isolated").pre_tokenize_str("a 1\n")


def test_control_and_user_defined_tokens_are_found_whole():
    backend = _gguf_tokenizer.build(byte_level_metadata()).backend
    assert backend.encode("ab<|end|>a<think>b").ids == [2, 3, 0, 4, 1]
    assert backend.decode([2, 3, 4], skip_special_tokens=True) == "ab<think>"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"pre": "martian"}, ["tokenizer.ggml.pre", "martian", "smollm"]),
        ({"pre": None}, ["no tokenizer.ggml.pre"]),
        ({"model": "bert"}, ["tokenizer.ggml.model", "bert"]),
        ({"merges": None}, ["no tokenizer.ggml.merges"]),
    ],
)
def test_what_is_unknown_or_missing_is_named(changes, words):
    with pytest.raises(ValueError) as error:
        _gguf_tokenizer.build(byte_level_metadata(**changes))
    assert all(word in str(error.value) for word in words)


def test_a_gguf_file_without_a_tokenizer_is_named():
    path = str(GOLDEN / "gguf-F32" / "model.gguf")
    with pytest.raises(ValueError, match="gguf-F32/model.gguf: the file has no tokenizer"):
        fallow.AutoTokenizer.from_pretrained(path)


def test_golden_gguf_file_has_the_tokenizer_of_the_golden_directory():
    from_gguf = fallow.AutoTokenizer.from_pretrained(str(GOLDEN / "gguf-mixed" / "model.gguf"))
    from_json = fallow.AutoTokenizer.from_pretrained(LLAMA)
    messages = [{"role": "user", "content": "Hello there, 42 times!"}]
    for text in ("Once upon a time", "naïve ☕\n\n  x", "12345 <|im_end|>"):
        assert from_gguf.encode(text) == from_json.encode(text)
    assert from_gguf.apply_chat_template(messages) == from_json.apply_chat_template(messages)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(from_gguf, name) == getattr(from_json, name)


def test_real_model_gives_the_reference_ids(real_model):
    tokenizer = fallow.AutoTokenizer.from_pretrained(real_model)
    prompts = json.loads((ROOT / "tests/hf/prompts.json").read_text(encoding="utf-8"))
    assert len(prompts) >= 32
    for prompt in prompts:
        assert tokenizer.encode(prompt["text"]) == prompt["ids"]
        assert tokenizer.decode(prompt["ids"]) == prompt["text"]


def test_real_model_renders_chats_as_the_reference_does(real_model):
    tokenizer = fallow.AutoTokenizer.from_pretrained(real_model)
    prompts = json.loads((ROOT / "tests/hf/prompts.json").read_text(encoding="utf-8"))
    question = "What is the boiling point of water at sea level?"
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True
    )
    (expected,) = (p["ids"] for p in prompts if question in p["text"])
    assert ids == expected
