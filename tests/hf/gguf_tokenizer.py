"""The byte-level BPE tokenizer that a GGUF file of SmolLM2's kind carries."""

import jinja2
from gguf import TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers


def load_tokenizer(checkpoint):
    """tokenizers.Tokenizer of a gguf_llama.LlamaGguf."""
    kind = checkpoint.field("tokenizer.ggml.model"), checkpoint.field("tokenizer.ggml.pre")
    if kind != ("gpt2", "smollm"):
        raise ValueError(f"tokenizer is {kind}, expected ('gpt2', 'smollm')")
    tokens = checkpoint.field("tokenizer.ggml.tokens")
    types = checkpoint.field("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in checkpoint.field("tokenizer.ggml.merges")]

    tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, type in zip(tokens, types) if type == TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in control])
    return tokenizer


def apply_chat_template(checkpoint, messages):
    """The text of a conversation, up to where the assistant is to go on."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(checkpoint.field("tokenizer.chat_template"))
    return template.render(messages=messages, add_generation_prompt=True)
