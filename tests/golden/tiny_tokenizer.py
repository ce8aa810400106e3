"""A byte-level BPE of 320 tokens, built like SmolLM2's, with its chat template."""

import json

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB = 320
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 0, 1, 2
BOS, EOS, PAD = 1, 2, 2

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

CORPUS = """\
The user asks a question and the assistant answers it. The answer is short, and then there is
another question. In the morning the ship left the harbour; in the evening the wind turned, and
the sailors were singing on the deck. What is the name of the river that runs through the town?
She was reading the letter that he had sent her, and he was waiting at the station with the others.
for (int i = 0; i < n; ++i) { sum += value[i]; }
def area(width, height): return width * height
"""


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    if tokenizer.get_vocab_size() != VOCAB:
        raise RuntimeError(f"tokenizer has {tokenizer.get_vocab_size()} tokens, expected {VOCAB}")
    return tokenizer


def tokens_and_merges(tokenizer):
    """Tokens in the order of their ids, and merges as GGUF writes them ("left right")."""
    model = json.loads(tokenizer.to_str())["model"]
    vocab = {token: id for token, id in tokenizer.get_vocab().items()}
    return sorted(vocab, key=vocab.get), [" ".join(pair) for pair in model["merges"]]


def write_tokenizer(folder):
    """Writes tokenizer.json, tokenizer_config.json and generation_config.json."""
    make_tokenizer().save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL_TOKENS[BOS],
            "eos_token": SPECIAL_TOKENS[EOS],
            "pad_token": SPECIAL_TOKENS[PAD],
            "unk_token": SPECIAL_TOKENS[0],
            "add_bos_token": False,
            "model_max_length": 512,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    write_json(
        folder / "generation_config.json",
        {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD},
    )


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")
