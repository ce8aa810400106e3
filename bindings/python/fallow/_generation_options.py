"""From the keywords of Hugging Face's generate() to the library's options.

Each keyword is looked for, in this order, among the arguments, in `generation_config`, in the
checkpoint's generation_config.json, in Hugging Face's defaults. None means "not given".
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import secrets
from typing import Any, TypedDict

from fallow import _core


class GenerationKeywords(TypedDict, total=False):
    """Keywords of generate(), with the names, meanings and defaults of Hugging Face's.

    What differs: without max_new_tokens and max_length at most 256 tokens are made (not 20 in all),
    and `seed` repeats a draw (without one each call draws anew).
    """

    max_new_tokens: int  # per prompt
    max_length: int  # with the prompt; max_new_tokens goes before
    do_sample: bool  # else greedy
    temperature: float
    top_k: int  # 50 if nobody says; 0: all
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    bad_words_ids: list[list[int]]
    seed: int  # [0, 2**64)
    eos_token_id: int | list[int]  # instead of the model's own
    pad_token_id: int
    ignore_end_tokens: bool  # go on after the model's own end tokens
    stop_strings: str | list[str]  # needs tokenizer=
    num_return_sequences: int  # answers to each prompt; more than one needs do_sample
    end_mode: str  # "ring", or "private": servers never see tokens


SUPPORTED = frozenset(GenerationKeywords.__annotations__)

# Keywords of Hugging Face's that this library does not have, with the values that ask for nothing.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "assistant_model": (),
    "begin_suppress_tokens": ([],),
    "constraints": ([],),
    "decoder_input_ids": (),
    "diversity_penalty": (0,),
    "do_early_stopping": (False,),
    "early_stopping": (False,),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "exponential_decay_length_penalty": (),
    "force_words_ids": ([],),
    "forced_bos_token_id": (),
    "forced_decoder_ids": ([],),
    "forced_eos_token_id": (),
    "guidance_scale": (1,),
    "length_penalty": (1,),
    "logits_processor": ([],),
    "max_time": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "negative_prompt_ids": (),
    "no_repeat_ngram_size": (0,),
    "num_beam_groups": (1,),
    "num_beams": (1,),
    "output_attentions": (False,),
    "output_hidden_states": (False,),
    "output_logits": (False,),
    "output_scores": (False,),
    "penalty_alpha": (0,),
    "prefix_allowed_tokens_fn": (),
    "prompt_lookup_num_tokens": (0,),
    "remove_invalid_values": (False,),
    "renormalize_logits": (False,),
    "return_dict_in_generate": (False,),
    "sequence_bias": ({}, []),
    "stopping_criteria": ([],),
    "suppress_tokens": ([],),
    "synced_gpus": (False,),
    "token_healing": (False,),
    "top_h": (),
    "use_cache": (True,),
    "watermarking_config": (),
}
INSTEAD = {"stopping_criteria": "on_token, which ends a generation by returning False"}

LENGTHS = ("max_new_tokens", "max_length")
HF_TOP_K = 50


@dataclasses.dataclass(frozen=True)
class Plan:
    """A generation as it will be asked for."""

    options: dict[str, Any]  # of _core
    pad_id: int
    stop_strings: str | list[str] | None
    num_return_sequences: int


def read_generation_config(checkpoint: str) -> dict[str, Any]:
    """generation_config.json of a directory; empty if there is none, as in a .gguf file."""
    file = pathlib.Path(checkpoint) / "generation_config.json"
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _core.CheckpointError(f"{file}: {error}") from None


def make_plan(
    keywords: dict[str, Any],
    generation_config: Any,
    checkpoint_config: dict[str, Any],
    *,
    spec: Any,
    prompt_length: int,
) -> Plan:
    """ValueError names a keyword that is unknown, or asks for what the library does not have."""
    for name in keywords:
        if name not in SUPPORTED and name not in NEUTRAL:
            raise ValueError(f"generate() has no argument {name}")
    merged: dict[str, Any] = {}
    _override(merged, checkpoint_config)
    merged.pop("eos_token_id", None)  # one of spec.end_tokens
    _override(merged, _as_dict(generation_config))
    _override(merged, keywords)
    options = {
        name: merged[name]
        for name in _core.generate_defaults()
        if name in merged and name not in LENGTHS
    }
    options["max_new_tokens"] = _max_new_tokens(merged, prompt_length)
    options.setdefault("top_k", HF_TOP_K)
    if "bad_words_ids" in merged:
        options["bad_words"] = merged["bad_words_ids"]
    if "seed" not in merged:
        options["seed"] = secrets.randbits(64)
    end_tokens = _end_tokens(merged, options, spec)
    return Plan(
        options=options,
        pad_id=_pad_id(merged, end_tokens, spec),
        stop_strings=merged.get("stop_strings"),
        num_return_sequences=_num_return_sequences(merged),
    )


def _as_dict(generation_config: Any) -> dict[str, Any]:
    """A dict, or an object like Hugging Face's GenerationConfig."""
    if generation_config is None:
        return {}
    if isinstance(generation_config, dict):
        return generation_config
    if not hasattr(generation_config, "to_diff_dict"):
        raise ValueError("generation_config: expected a dict or a GenerationConfig")
    # What its maker set: its other fields are defaults, and must not override the checkpoint's.
    return generation_config.to_diff_dict()


def _override(merged: dict[str, Any], values: dict[str, Any]) -> None:
    """Adds `values`. Unknown names are left to those who wrote them, as Hugging Face does."""
    given = {name: value for name, value in values.items() if value is not None}
    if any(name in given for name in LENGTHS):
        for name in LENGTHS:
            merged.pop(name, None)
    for name, value in given.items():
        if name in SUPPORTED:
            merged[name] = value
        elif name in NEUTRAL and value not in NEUTRAL[name]:
            instead = f"; use {INSTEAD[name]}" if name in INSTEAD else ""
            raise ValueError(f"{name} = {value!r} is not supported{instead}")


def _max_new_tokens(merged: dict[str, Any], prompt_length: int) -> int:
    if "max_new_tokens" in merged:
        return merged["max_new_tokens"]
    if "max_length" not in merged:
        return _core.generate_defaults()["max_new_tokens"]
    rest = merged["max_length"] - prompt_length
    if rest < 1:
        raise ValueError(
            f"max_length = {merged['max_length']}: the prompt has {prompt_length} tokens already"
        )
    return rest


def _end_tokens(merged: dict[str, Any], options: dict[str, Any], spec: Any) -> list[int]:
    """The tokens that end a sequence; sets the options that say so."""
    if "eos_token_id" not in merged:
        return [] if merged.get("ignore_end_tokens") else spec.end_tokens
    given = merged["eos_token_id"]
    end_tokens = [given] if isinstance(given, int) else list(given)
    options["stop_tokens"] = end_tokens
    options["ignore_end_tokens"] = True
    return end_tokens


def _pad_id(merged: dict[str, Any], end_tokens: list[int], spec: Any) -> int:
    if "pad_token_id" in merged:
        return merged["pad_token_id"]
    if spec.pad_token >= 0:
        return spec.pad_token
    return next(iter(end_tokens or spec.end_tokens), 0)


def _num_return_sequences(merged: dict[str, Any]) -> int:
    number = merged.get("num_return_sequences", 1)
    if number < 1:
        raise ValueError(f"num_return_sequences = {number}, expected at least 1")
    if number > 1 and not merged.get("do_sample", False):
        raise ValueError(f"num_return_sequences = {number} needs do_sample: greedy answers are equal")
    return number
