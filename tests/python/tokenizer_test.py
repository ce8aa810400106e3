"""Tokenizers from tokenizer.json, and what they all do."""

import json
import shutil

import fallow
import numpy
import pytest

from conftest import LLAMA


@pytest.fixture
def copy(tmp_path):
    """Copies the golden tokenizer, with changes to tokenizer_config.json, and loads it."""

    def make(extra_files=(), **changes):
        folder = tmp_path / "model"
        folder.mkdir()
        shutil.copy(f"{LLAMA}/tokenizer.json", folder)
        with open(f"{LLAMA}/tokenizer_config.json", encoding="utf-8") as file:
            config = json.load(file)
        (folder / "tokenizer_config.json").write_text(json.dumps({**config, **changes}))
        for name, text in extra_files:
            (folder / name).write_text(text)
        return fallow.AutoTokenizer.from_pretrained(str(folder))

    return make


def test_text_survives_a_round_trip(tokenizer):
    text = "Once upon a time, naïve ☕ 🙂\n\n  x = 42"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_ids_are_plain_lists_unless_asked_otherwise(tokenizer):
    single = tokenizer("Once")
    assert isinstance(single["input_ids"], list) and isinstance(single["input_ids"][0], int)
    assert single.attention_mask == [1] * len(single.input_ids)
    several = tokenizer(["Once", "upon"])
    assert several["input_ids"] == [tokenizer.encode("Once"), tokenizer.encode("upon")]


def test_np_gives_arrays_with_a_row_for_each_text(tokenizer):
    ids = tokenizer("Once upon", return_tensors="np")["input_ids"]
    assert ids.dtype == numpy.int64 and ids.tolist() == [tokenizer.encode("Once upon")]


def test_pt_gives_torch_tensors(tokenizer, torch):
    ids = tokenizer("Once upon", return_tensors="pt")["input_ids"]
    assert ids.dtype == torch.long and ids.tolist() == [tokenizer.encode("Once upon")]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_makes_rows_equal_and_marks_what_counts(tokenizer, side):
    texts = ["Once", "Once upon a time"]
    batch = tokenizer(texts, padding=True, padding_side=side, return_tensors="np")
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    for text, ids, mask in zip(texts, batch["input_ids"], batch["attention_mask"]):
        assert ids[mask == 1].tolist() == tokenizer.encode(text)
        assert (ids[mask == 0] == tokenizer.pad_token_id).all()
    assert batch["attention_mask"][0][0 if side == "left" else -1] == 0


def test_unequal_rows_do_not_become_an_array_by_themselves(tokenizer):
    with pytest.raises(ValueError, match="padding=True"):
        tokenizer(["Once", "Once upon a time"], return_tensors="np")


@pytest.mark.parametrize("bad", [{"return_tensors": "tf"}, {"padding": "max_length"},
                                 {"padding": True, "padding_side": "top"}])
def test_options_that_are_not_known_are_refused(tokenizer, bad):
    with pytest.raises(ValueError):
        tokenizer("Once", **bad)


def test_special_tokens_have_ids_and_can_be_left_out(tokenizer):
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    ids = tokenizer.encode("a<|im_end|>")
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a"
    assert tokenizer.batch_decode(numpy.array([ids, ids])) == ["a<|im_end|>"] * 2


@pytest.mark.parametrize("add_bos, add_eos", [(True, False), (True, True), (False, None)])
def test_configuration_says_what_surrounds_a_text(copy, add_bos, add_eos):
    tokenizer = copy(add_bos_token=add_bos, add_eos_token=add_eos)
    plain = tokenizer.encode("Once", add_special_tokens=False)
    assert tokenizer.encode("Once") == [1] * bool(add_bos) + plain + [2] * bool(add_eos)


def test_special_tokens_may_be_objects(copy):
    tokenizer = copy(eos_token={"content": "<|endoftext|>", "lstrip": False})
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|endoftext|>", 0)


def test_chat_template_gives_ids_or_text(tokenizer):
    messages = [{"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    assert ids == tokenizer.encode(text, add_special_tokens=False)
    array = tokenizer.apply_chat_template(messages, return_tensors="np")
    assert array.shape[0] == 1


def test_template_of_its_own_file_goes_first(copy):
    tokenizer = copy(extra_files=[("chat_template.jinja", "file {{ messages[0].content }}")])
    messages = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == "file Hi"


def test_template_has_what_hugging_face_gives_it(tokenizer):
    template = (
        "{%- for m in messages %}{% if m.skip %}{% continue %}{% endif %}{{ m | tojson }}{% endfor %}"
        "{{ bos_token }}{{ extra }}{{ strftime_now('%Y') | length }}{{ tools is none }}"
    )
    text = tokenizer.apply_chat_template(
        [{"skip": True}, {"a": "<é>"}], chat_template=template, tokenize=False, extra="!"
    )
    assert text == '{"a": "<é>"}<|im_start|>!4True'


@pytest.mark.parametrize(
    "template, word",
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages.__class__.__base__.__subclasses__() }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% if %}", "Expected"),
    ],
)
def test_template_that_fails_or_leaves_the_sandbox_is_an_error(tokenizer, template, word):
    with pytest.raises(ValueError, match=f"chat template: .*{word}"):
        tokenizer.apply_chat_template([{"role": "user"}], chat_template=template, tokenize=False)


def test_chat_without_a_template_is_an_error(copy):
    with pytest.raises(ValueError, match="no chat_template"):
        copy(chat_template=None).apply_chat_template([])


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(fallow.CheckpointError, match="tokenizer.json: no such file"):
        fallow.AutoTokenizer.from_pretrained(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(fallow.CheckpointError, match="tokenizer.json: "):
        fallow.AutoTokenizer.from_pretrained(str(tmp_path))
    with pytest.raises(fallow.CheckpointError, match="no such file or directory"):
        fallow.AutoTokenizer.from_pretrained(str(tmp_path / "nothing"))
