"""Builds the tokenizer that a GGUF file describes in its metadata.

Names of pre-tokenizers and their expressions follow llama.cpp (src/llama-vocab.cpp), which defines
the format, and the tokenizer.json files that these vocabularies came from.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tokenizers

# tokenizer.ggml.token_type
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4

SPACE = "\u2581"  # how SentencePiece writes a space

_CASED_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    _CASED_CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES
)
_QWEN2 = (
    _CASED_CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + _SPACES
)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"


@dataclasses.dataclass(frozen=True)
class PreTokenizer:
    """How text is cut before merges apply."""

    regex: str | None = None  # None: GPT-2's
    single_digits: bool = False  # each digit alone, before the regex
    whole_words_first: bool = False  # a piece that is a token needs no merges
    add_bos: bool = False  # unless the file says


_GPT2_STYLE = PreTokenizer()
_STARCODER_STYLE = PreTokenizer(single_digits=True)
_LLAMA3_STYLE = PreTokenizer(_LLAMA3, whole_words_first=True, add_bos=True)

PRE_TOKENIZERS = {
    **dict.fromkeys(["gpt-2", "phi-2", "mpt", "olmo", "trillion"], _GPT2_STYLE),
    **dict.fromkeys(
        ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        _STARCODER_STYLE,
    ),
    **dict.fromkeys(["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"], _LLAMA3_STYLE),
    **dict.fromkeys(["dbrx", "smaug-bpe"], PreTokenizer(_LLAMA3)),
    **dict.fromkeys(["qwen2", "stablelm2", "deepseek-r1-qwen", "megrez"], PreTokenizer(_QWEN2)),
    "tekken": PreTokenizer(_TEKKEN, whole_words_first=True, add_bos=True),
    **dict.fromkeys(["bloom", "poro-chat", "gpt3-finnish"], PreTokenizer(_BLOOM)),
}


@dataclasses.dataclass(frozen=True)
class GgufTokenizer:
    """What AutoTokenizer makes of a file's metadata."""

    backend: tokenizers.Tokenizer
    special_tokens: dict[str, str | None]  # bos_token, eos_token, unk_token, pad_token
    add_bos: bool
    add_eos: bool
    chat_template: str | None


def build(metadata: dict[str, Any]) -> GgufTokenizer:
    """From all keys of a GGUF file that begin with "tokenizer.".

    ValueError names a tokenizer model or pre-tokenizer that is not known, or a key that is missing.
    """
    kind = _required(metadata, "model")
    if kind == "gpt2":
        pre = _find_pre_tokenizer(metadata)
        backend, add_bos = _byte_level_bpe(metadata, pre), pre.add_bos
    elif kind == "llama":
        backend, add_bos = _sentencepiece_bpe(metadata), True
    else:
        raise ValueError(f"tokenizer.ggml.model = {kind!r}, known are 'gpt2' and 'llama'")
    _add_whole_tokens(backend, metadata)
    return GgufTokenizer(
        backend=backend,
        special_tokens={
            "bos_token": _token_named(metadata, "bos_token_id"),
            "eos_token": _token_named(metadata, "eos_token_id"),
            "unk_token": _token_named(metadata, "unknown_token_id"),
            "pad_token": _token_named(metadata, "padding_token_id"),
        },
        add_bos=metadata.get("tokenizer.ggml.add_bos_token", add_bos),
        add_eos=metadata.get("tokenizer.ggml.add_eos_token", False),
        chat_template=metadata.get("tokenizer.chat_template"),
    )


def _required(metadata: dict[str, Any], key: str) -> Any:
    name = f"tokenizer.ggml.{key}"
    if name not in metadata:
        raise ValueError(f"the file has no {name}")
    return metadata[name]


def _find_pre_tokenizer(metadata: dict[str, Any]) -> PreTokenizer:
    name = _required(metadata, "pre")
    if name not in PRE_TOKENIZERS:
        known = ", ".join(sorted(PRE_TOKENIZERS))
        raise ValueError(f"tokenizer.ggml.pre = {name!r}, known are {known}")
    return PRE_TOKENIZERS[name]


def _token_named(metadata: dict[str, Any], key: str) -> str | None:
    token_id = metadata.get(f"tokenizer.ggml.{key}")
    tokens = _required(metadata, "tokens")
    return tokens[token_id] if token_id is not None and token_id < len(tokens) else None


def _byte_level_bpe(metadata: dict[str, Any], pre: PreTokenizer) -> tokenizers.Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: index for index, token in enumerate(_required(metadata, "tokens"))}
    merges = [tuple(merge.split(" ")) for merge in _required(metadata, "merges")]
    backend = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre.whole_words_first))
    steps = []
    if pre.single_digits:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    if pre.regex is not None:
        steps.append(pre_tokenizers.Split(Regex(pre.regex), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre.regex is None))
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    backend.decoder = decoders.ByteLevel()
    return backend


def _sentencepiece_bpe(metadata: dict[str, Any]) -> tokenizers.Tokenizer:
    """SentencePiece's BPE merges the neighbours whose union scores best, so scores rank merges."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    tokens = _required(metadata, "tokens")
    unknown = metadata.get("tokenizer.ggml.unknown_token_id", 0)
    backend = Tokenizer(
        models.BPE(
            {token: index for index, token in enumerate(tokens)},
            _merges_by_score(tokens, _required(metadata, "scores")),
            unk_token=tokens[unknown],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
    steps = [normalizers.Prepend(SPACE)] if prefix else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])
    decoding = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        decoding.append(decoders.Strip(content=" ", left=1, right=0))
    backend.decoder = decoders.Sequence(decoding)
    return backend


def _merges_by_score(tokens: list[str], scores: list[float]) -> list[tuple[str, str]]:
    """All pairs of tokens whose union is a token, the best union first."""
    ids = {token: index for index, token in enumerate(tokens)}
    merges = []
    for index, token in enumerate(tokens):
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                merges.append((-scores[index], ids[left], ids[right], left, right))
    merges.sort()
    return [(left, right) for *_, left, right in merges]


def _add_whole_tokens(backend: tokenizers.Tokenizer, metadata: dict[str, Any]) -> None:
    """Tokens that are found in text as they stand, never built by merges."""
    from tokenizers import AddedToken

    tokens = _required(metadata, "tokens")
    types = metadata.get("tokenizer.ggml.token_type", [])

    def of_type(wanted: int) -> list[AddedToken]:
        return [
            AddedToken(token, normalized=False)
            for token, token_type in zip(tokens, types)
            if token_type == wanted
        ]

    backend.add_special_tokens(of_type(CONTROL))
    backend.add_tokens(of_type(USER_DEFINED))
