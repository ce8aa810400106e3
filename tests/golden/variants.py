"""The table of tiny checkpoints."""

from dataclasses import dataclass, field

from gguf import GGMLQuantizationType as GgmlType

import tiny_tokenizer

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": tiny_tokenizer.BOS,
    "eos_token_id": tiny_tokenizer.EOS,
}

BLOOM = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "torch_dtype": "bfloat16",
    "vocab_size": 256,
    "hidden_size": 64,
    "n_layer": 3,
    "n_head": 2,
    "layer_norm_epsilon": 1e-5,
    "apply_residual_connection_post_layernorm": False,
    "bos_token_id": tiny_tokenizer.BOS,
    "eos_token_id": tiny_tokenizer.EOS,
}


@dataclass(frozen=True)
class Variant:
    """A safetensors checkpoint, bf16, with a classic config.json."""

    name: str
    config: dict
    ablation: dict = field(default_factory=dict)  # config changes that must move the logits
    shard_size: str = "100MB"
    without_prefix: bool = False  # tensor names as the base model saves them
    stepwise_differs: bool = False  # logits depend on how the prompt is cut into forwards
    with_tokenizer: bool = False


def rope_variant(name, scaling, stepwise_differs=False, **config):
    return Variant(
        name,
        LLAMA | {"num_hidden_layers": 1, "rope_scaling": scaling} | config,
        ablation={"rope_scaling": None},
        stepwise_differs=stepwise_differs,
    )


VARIANTS = [
    Variant(
        "llama",
        LLAMA
        | {
            "vocab_size": tiny_tokenizer.VOCAB,
            "hidden_size": 128,
            "intermediate_size": 192,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
        with_tokenizer=True,
    ),
    Variant(
        "llama-untied",
        LLAMA | {"tie_word_embeddings": False, "head_dim": 64, "num_key_value_heads": 2},
    ),
    Variant("llama-sharded", LLAMA, shard_size="60KB"),
    Variant("llama-bias", LLAMA | {"attention_bias": True, "mlp_bias": True}),
    Variant(
        "mistral",
        LLAMA
        | {
            "architectures": ["MistralForCausalLM"],
            "model_type": "mistral",
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "sliding_window": 12,
        },
        ablation={"sliding_window": None},
    ),
    # Older configs say `type` where later ones say `rope_type`.
    rope_variant("llama-rope-linear", {"type": "linear", "factor": 4.0}),
    # The frequencies follow from the longest position of the *current forward*, so they change
    # with each decoded token past max_position_embeddings, while the keys in the cache stay as
    # they were rotated. Hence `logits` (one forward of the prompt: every position with the
    # frequencies of 40) differs from `stepwise_logits` (position p with those of p + 1), and
    # `greedy`, decoded a token at a time from 8 < 16 tokens, agrees with the latter. (A model
    # object used again for a shorter prompt may keep the larger scale: each reference has a new
    # one.)
    rope_variant(
        "llama-rope-dynamic",
        {"rope_type": "dynamic", "factor": 4.0},
        stepwise_differs=True,
        max_position_embeddings=16,
    ),
    # All three regimes lie within 16 frequencies: kept, blended, scaled.
    rope_variant(
        "llama-rope-llama3",
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
    # With theta 1000 the ramp between the regimes goes from frequency 3 to 12 of 16.
    rope_variant(
        "llama-rope-yarn",
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024},
        rope_theta=1000.0,
        max_position_embeddings=4096,
    ),
    # transformers 5 writes `rope_parameters` in place of `rope_theta` and `rope_scaling`.
    Variant(
        "llama-rope-parameters",
        {key: value for key, value in LLAMA.items() if key not in ("rope_theta", "torch_dtype")}
        | {
            "num_hidden_layers": 1,
            "dtype": "bfloat16",
            "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
        },
        ablation={"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    ),
    Variant("bloom", BLOOM),
    # Published BLOOM checkpoints lack the prefix `transformer.`; three heads take ALiBi's branch
    # for counts that are no power of two.
    Variant(
        "bloom-published",
        BLOOM | {"hidden_size": 96, "n_layer": 1, "n_head": 3},
        without_prefix=True,
    ),
]

SMALL = {"vocab_size": 128, "num_hidden_layers": 1}
# K-quants need rows of 256; matrices with shorter ones fall back to Q8_0, as real files do.
FFN_DOWN_ONLY = SMALL | {"intermediate_size": 256}
ALL_BUT_ATTENTION_OUTPUT = SMALL | {"hidden_size": 256, "intermediate_size": 256}
REAL_LIKE = {
    "vocab_size": tiny_tokenizer.VOCAB,
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@dataclass(frozen=True)
class GgufVariant:
    """A GGUF checkpoint whose matrices have one type (the embedding perhaps another)."""

    type: GgmlType
    config: dict
    label: str = ""
    embedding_type: GgmlType | None = None
    with_tokenizer: bool = False

    @property
    def name(self):
        return f"gguf-{self.label or self.type.name}"


GGUF_VARIANTS = [
    GgufVariant(GgmlType.F32, SMALL),
    GgufVariant(GgmlType.F16, SMALL | {"tie_word_embeddings": False}),
    GgufVariant(GgmlType.BF16, SMALL),
    GgufVariant(GgmlType.Q8_0, SMALL | {"tie_word_embeddings": False}),
    GgufVariant(GgmlType.Q4_0, SMALL),
    GgufVariant(GgmlType.Q4_1, SMALL | {"tie_word_embeddings": False}),
    GgufVariant(GgmlType.Q5_0, SMALL),
    GgufVariant(GgmlType.Q5_1, SMALL),
    GgufVariant(GgmlType.Q2_K, FFN_DOWN_ONLY),
    GgufVariant(GgmlType.Q3_K, FFN_DOWN_ONLY),
    GgufVariant(GgmlType.Q4_K, ALL_BUT_ATTENTION_OUTPUT, embedding_type=GgmlType.Q6_K),
    GgufVariant(GgmlType.Q5_K, FFN_DOWN_ONLY),
    GgufVariant(GgmlType.Q6_K, FFN_DOWN_ONLY),
    GgufVariant(GgmlType.IQ4_NL, SMALL),
    # The mix of SmolLM2-135M-Instruct.Q4_1.gguf: no output matrix, the Q8_0 embedding is the head.
    GgufVariant(
        GgmlType.Q4_1,
        REAL_LIKE,
        label="mixed",
        embedding_type=GgmlType.Q8_0,
        with_tokenizer=True,
    ),
]
