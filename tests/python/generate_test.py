"""generate() and forward(), in this process."""

import json
import pathlib
import shutil
import threading
import time

import fallow
import numpy
import pytest

from conftest import LLAMA

PROMPT = [20, 21, 22, 23, 24]
LONGER = [40, 41, 42, 43, 44, 45, 46, 47]
PAD = 2  # of generation_config.json


@pytest.fixture(scope="module")
def answer(model):
    """What the model says after PROMPT, on and on."""
    return model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True)[len(PROMPT) :]


def test_tokens_are_those_of_hugging_face(model, expected):
    prompt = expected["input_ids"][:8].tolist()
    output = model.generate(prompt, max_new_tokens=64)
    assert output == prompt + expected["greedy"].tolist()


def test_logits_are_those_of_hugging_face(model, expected):
    logits = model(expected["input_ids"][None]).logits
    assert logits.shape == (1, *expected["logits"].shape) and logits.dtype == numpy.float32
    assert numpy.abs(logits[0] - expected["logits"]).max() < 1e-3


def test_logits_of_tensors_are_tensors(model, torch):
    logits = model(torch.tensor([PROMPT, PROMPT])).logits
    assert logits.shape == (2, len(PROMPT), model.spec.vocab_size)
    assert torch.equal(logits[0], logits[1])


def test_logits_need_rows_of_one_length(model):
    with pytest.raises(ValueError, match="different lengths"):
        model.forward([PROMPT, LONGER])


def test_lists_come_back_as_lists(model, answer):
    assert model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True) == PROMPT + answer
    output = model.generate(input_ids=[PROMPT], max_new_tokens=12, ignore_end_tokens=True)
    assert output == [PROMPT + answer]


def test_arrays_come_back_as_arrays(model, answer):
    output = model.generate(numpy.array([PROMPT]), max_new_tokens=12, ignore_end_tokens=True)
    assert output.dtype == numpy.int64 and output.tolist() == [PROMPT + answer]


def test_tensors_come_back_as_tensors(model, answer, torch):
    output = model.generate(torch.tensor([PROMPT]), max_new_tokens=12, ignore_end_tokens=True)
    assert output.dtype == torch.long and output.tolist() == [PROMPT + answer]


def test_rows_of_any_lengths_answer_as_if_alone(model):
    options = dict(max_new_tokens=6, ignore_end_tokens=True)
    alone = [model.generate(row, **options) for row in (PROMPT, LONGER)]
    together = model.generate([PROMPT, LONGER], **options)
    width = len(LONGER) + 6
    assert together == [alone[0] + [PAD] * (width - len(alone[0])), alone[1]]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_under_a_mask_changes_no_answer(model, side):
    options = dict(max_new_tokens=6, ignore_end_tokens=True)
    alone = model.generate(PROMPT, **options)[len(PROMPT) :]
    padding = [PAD] * 3
    row = padding + PROMPT if side == "left" else PROMPT + padding
    mask = [int(token in PROMPT) for token in row]
    output = model.generate(
        numpy.array([row, LONGER]), attention_mask=numpy.array([mask, [1] * 8]), **options
    )
    assert output[0].tolist() == row + alone


def test_generation_ends_after_an_end_token(model, answer):
    end = answer[3]
    first = answer.index(end)
    output = model.generate(PROMPT, max_new_tokens=12, eos_token_id=end)
    assert output == PROMPT + answer[: first + 1]
    assert model.last_generation().finish == ["stop_token"]
    several = model.generate([PROMPT], max_new_tokens=12, eos_token_id=[end, 0])
    assert several[0][: len(output)] == output


def test_rows_that_end_early_are_padded(model, answer):
    end = answer[0]
    rows = model.generate([PROMPT, LONGER], max_new_tokens=4, eos_token_id=end, pad_token_id=7)
    assert rows[0][len(PROMPT)] == end
    assert set(rows[0][len(PROMPT) + 1 :]) == {7}


def test_length_is_counted_with_or_without_the_prompt(model):
    assert len(model.generate(PROMPT, max_new_tokens=3, ignore_end_tokens=True)) == 8
    assert len(model.generate(PROMPT, max_length=7, ignore_end_tokens=True)) == 7
    assert model.last_generation().finish == ["length"]


def test_sampling_repeats_with_a_seed_and_varies_without(model):
    options = dict(do_sample=True, temperature=2.0, top_k=0, max_new_tokens=16)
    assert model.generate(PROMPT, seed=5, **options) == model.generate(PROMPT, seed=5, **options)
    assert model.generate(PROMPT, seed=5, **options) != model.generate(PROMPT, seed=6, **options)
    assert model.generate(PROMPT, **options) != model.generate(PROMPT, **options)


def test_several_answers_to_each_prompt_differ(model):
    rows = model.generate(
        [PROMPT, LONGER], do_sample=True, temperature=2.0, top_k=0, seed=1, max_new_tokens=8,
        num_return_sequences=3, ignore_end_tokens=True,
    )
    assert [row[:5] for row in rows] == [PROMPT] * 3 + [LONGER[:5]] * 3
    assert len({tuple(row) for row in rows}) == 6


def test_bad_words_do_not_occur(model, answer):
    output = model.generate(PROMPT, max_new_tokens=12, bad_words_ids=[[answer[0]]])
    assert answer[0] not in output[len(PROMPT) :]


def test_configuration_of_the_checkpoint_gives_defaults(tmp_path, answer):
    folder = tmp_path / "model"
    shutil.copytree(LLAMA, folder)
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 3}))
    with fallow.AutoModelForCausalLM.from_pretrained(
        str(folder), numeric_class="fp32", threads=1, kv_memory=64 << 20
    ) as model:
        assert model.generate(PROMPT, ignore_end_tokens=True) == PROMPT + answer[:3]


# ---- callbacks


def test_callback_sees_each_token_and_may_end(model, answer):
    seen = []
    output = model.generate(
        [PROMPT], max_new_tokens=12, ignore_end_tokens=True, on_token=seen.append)
    assert seen == answer and output == [PROMPT + answer]

    seen.clear()
    output = model.generate(
        PROMPT, max_new_tokens=12, ignore_end_tokens=True,
        on_token=lambda token: (seen.append(token), len(seen) < 4)[1],
    )
    assert seen == answer[:4] and output == PROMPT + answer[:4]
    assert model.last_generation().finish == ["callback"]


def test_callback_may_ask_for_the_route(model):
    routes = []
    model.generate(PROMPT, max_new_tokens=40, ignore_end_tokens=True,
                   on_token=lambda token: routes.append(model.live_route()))
    assert {(hop["address"], hop["begin"]) for route in routes for hop in route} == {("in process", 0)}
    assert [len(route) for route in routes] == [1] * 40


def test_callback_of_several_prompts_gets_their_index(model):
    seen = {0: [], 1: []}

    def on_token(prompt, token):
        seen[prompt].append(token)
        return prompt == 1 or len(seen[0]) < 2

    rows = model.generate(
        [PROMPT, LONGER], max_new_tokens=5, ignore_end_tokens=True, on_token=on_token)
    assert len(seen[0]) == 2 and len(seen[1]) == 5
    assert rows[0][5:7] == seen[0] and rows[1][8:] == seen[1]
    assert model.last_generation().finish == ["callback", "length"]


def test_exception_of_a_callback_comes_out(model, answer):
    class Mine(Exception):
        pass

    seen = []

    def on_token(token):
        seen.append(token)
        if len(seen) == 3:
            raise Mine("at three")

    with pytest.raises(Mine, match="at three"):
        model.generate(PROMPT, max_new_tokens=12, on_token=on_token, ignore_end_tokens=True)
    assert seen == answer[:3]
    again = model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True)
    assert again == PROMPT + answer


def test_other_threads_run_while_one_generates(model):
    """The GIL is free: this thread counts on while the other one's tokens come."""
    counts = []
    done = threading.Event()

    def generate():
        model.generate(PROMPT, max_new_tokens=200, ignore_end_tokens=True,
                       on_token=lambda token: counts.append(count))
        done.set()

    count = 0
    thread = threading.Thread(target=generate)
    thread.start()
    while not done.is_set():
        count += 1
        time.sleep(0)
    thread.join()
    assert len(counts) == 200
    assert len(set(counts)) > 20


def test_several_threads_generate_at_once(model, answer):
    results = [None] * 4

    def generate(index):
        results[index] = model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True)

    threads = [threading.Thread(target=generate, args=[index]) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [PROMPT + answer] * 4


# ---- streamers and stop strings


class TensorStreamer:
    """Treats what it gets as Hugging Face's TextStreamer does."""

    def __init__(self):
        self.prompt, self.ids, self.ended = None, [], 0

    def put(self, value):
        if len(value.shape) > 1:
            assert value.shape[0] == 1
            value = value[0]
        if self.prompt is None:
            self.prompt = value.tolist()
        else:
            self.ids.extend(value.tolist())

    def end(self):
        self.ended += 1


def test_streamer_gets_prompt_tokens_and_end(model, answer):
    streamer = TensorStreamer()
    model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True, streamer=streamer)
    assert (streamer.prompt, streamer.ids, streamer.ended) == (PROMPT, answer, 1)


def test_streamer_gets_tensors_if_tensors_came_in(model, torch):
    class Strict(TensorStreamer):
        def put(self, value):
            assert isinstance(value, torch.Tensor)
            super().put(value)

    streamer = Strict()
    model.generate(torch.tensor([PROMPT]), max_new_tokens=2, streamer=streamer)
    assert streamer.prompt == PROMPT


def test_streamer_hears_of_the_end_after_an_error_too(model):
    def fail(token):
        raise RuntimeError

    streamer = TensorStreamer()
    with pytest.raises(RuntimeError):
        model.generate(PROMPT, streamer=streamer, on_token=fail)
    assert streamer.ended == 1


def test_streamer_takes_one_prompt(model):
    with pytest.raises(ValueError, match="streamer"):
        model.generate([PROMPT, LONGER], streamer=TensorStreamer())


def test_text_streamer_prints_the_text(model, tokenizer, answer, capsys):
    model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True,
                   streamer=fallow.TextStreamer(tokenizer, skip_prompt=True))
    assert capsys.readouterr().out == tokenizer.decode(answer) + "\n"
    model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True,
                   streamer=fallow.TextStreamer(tokenizer))
    assert capsys.readouterr().out == tokenizer.decode(PROMPT + answer) + "\n"


def test_stop_string_ends_with_the_token_that_completes_it(model, tokenizer, answer):
    text = tokenizer.decode(answer[:6])
    # Begins in one token and ends in another.
    stop = text[len(tokenizer.decode(answer[:4])) - 1 : len(tokenizer.decode(answer[:5]))]
    output = model.generate(PROMPT, max_new_tokens=12, ignore_end_tokens=True,
                            stop_strings=[stop, "never there"], tokenizer=tokenizer)
    new = output[len(PROMPT) :]
    assert stop in tokenizer.decode(new) and stop not in tokenizer.decode(new[:-1])
    assert new == answer[: len(new)]
    assert model.last_generation().finish == ["stop_string"]


def test_stop_strings_need_a_tokenizer_and_text(model, tokenizer):
    with pytest.raises(ValueError, match="tokenizer="):
        model.generate(PROMPT, stop_strings="x")
    with pytest.raises(ValueError, match="stop_strings"):
        model.generate(PROMPT, stop_strings=[""], tokenizer=tokenizer)


# ---- errors


@pytest.mark.parametrize(
    "arguments, word",
    [
        (dict(inputs=PROMPT, num_beams=2), "num_beams"),
        (dict(inputs=PROMPT, stopping_criteria=[object()]), "on_token"),
        (dict(inputs=PROMPT, martian=1), "martian"),
        (dict(inputs=PROMPT, max_new_tokens=0), "max_new_tokens"),
        (dict(inputs=PROMPT, do_sample=True, temperature=0.0), "temperature"),
        (dict(inputs=PROMPT, do_sample=True, top_p=1.5), "top_p"),
        (dict(inputs=PROMPT, end_mode="loose"), "end_mode"),
        (dict(inputs=[[]]), "prompt"),
        (dict(inputs=[10**6]), "1000000"),
        (dict(inputs=[5] * 600), "600"),
        (dict(), "inputs"),
        (dict(inputs=PROMPT, input_ids=PROMPT), "inputs"),
    ],
)
def test_bad_arguments_are_value_errors_that_name_them(model, arguments, word):
    with pytest.raises(ValueError, match=word):
        model.generate(**arguments)


@pytest.mark.parametrize(
    "options, error, word",
    [
        (dict(numeric_class="fp33"), ValueError, "fp33"),
        (dict(weights="q99"), ValueError, "q99"),
        (dict(peers=["nonsense"]), ValueError, "nonsense"),
        (dict(peers="10.0.0.5:1#x"), ValueError, "list of addresses"),
    ],
)
def test_bad_options_are_value_errors(options, error, word):
    with pytest.raises(error, match=word):
        fallow.AutoDistributedModelForCausalLM.from_pretrained(LLAMA, **options)


def test_missing_and_damaged_checkpoints_are_checkpoint_errors(tmp_path):
    load = fallow.AutoDistributedModelForCausalLM.from_pretrained
    with pytest.raises(fallow.CheckpointError, match="config.json"):
        load(str(tmp_path))
    with pytest.raises(fallow.CheckpointError, match="not a hub id"):
        load("nowhere at all")
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(pathlib.Path(LLAMA, "config.json").read_bytes())
    with pytest.raises(fallow.CheckpointError, match="damaged.gguf"):
        load(str(damaged))


def test_closed_model_says_so(tmp_path):
    model = fallow.AutoDistributedModelForCausalLM.from_pretrained(
        LLAMA, threads=1, kv_memory=64 << 20)
    model.close()
    model.close()
    with pytest.raises(ValueError, match="closed"):
        model.generate(PROMPT)


def test_closing_ends_a_generation_of_another_thread():
    model = fallow.AutoDistributedModelForCausalLM.from_pretrained(
        LLAMA, threads=1, kv_memory=64 << 20)
    begun = threading.Event()
    outputs = []
    thread = threading.Thread(target=lambda: outputs.append(model.generate(
        PROMPT, max_new_tokens=500, ignore_end_tokens=True,
        on_token=lambda token: (begun.set(), time.sleep(0.01)) and None)))
    thread.start()
    assert begun.wait(10)
    model.close()
    thread.join(10)
    assert len(PROMPT) < len(outputs[0]) < 400


def test_a_generation_tells_how_it_went(model):
    model.generate(PROMPT, max_new_tokens=5, ignore_end_tokens=True)
    (hop,) = model.route()
    assert set(hop) == {"peer", "address", "begin", "end", "milliseconds_per_token"}
    assert (hop["address"], hop["begin"], hop["end"]) == ("in process", 0, 6)
    assert model.recoveries() == []
    generation = model.last_generation()
    assert generation.prefill_tokens_per_second > 0 and generation.decode_tokens_per_second > 0
    assert model.numeric_class() == "fp32"
    assert model.spec.num_blocks == 6 and model.spec.rope_scaling["kind"] == "none"
