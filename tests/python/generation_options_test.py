"""From keywords and configuration files to the library's options."""

import json
from types import SimpleNamespace

import fallow
import pytest
from fallow import _core, _generation_options

SPEC = SimpleNamespace(end_tokens=[2], pad_token=-1)


def plan(generation_config=None, checkpoint_config=None, prompt_length=5, spec=SPEC, **keywords):
    return _generation_options.make_plan(
        keywords, generation_config, checkpoint_config or {}, spec=spec, prompt_length=prompt_length
    )


def effective(**arguments):
    """All options that the library will see."""
    return {**_core.generate_defaults(), **plan(**arguments).options}


def test_nothing_given_means_the_library_s_defaults_and_hugging_face_s_top_k():
    options = effective()
    defaults = _core.generate_defaults()
    assert options.pop("top_k") == 50 and defaults.pop("top_k") == 0
    seed = options.pop("seed")
    assert defaults.pop("seed") == 0 and seed != plan().options["seed"]  # anew each time
    assert options == defaults


def test_arguments_go_before_configurations():
    options = effective(
        checkpoint_config={"temperature": 0.1, "top_p": 0.2, "min_p": 0.3, "top_k": None},
        generation_config={"temperature": 0.4, "top_p": 0.5},
        temperature=0.6,
    )
    assert [options[name] for name in ("temperature", "top_p", "min_p", "top_k")] == [
        0.6, 0.5, 0.3, 50]


@pytest.mark.parametrize(
    "arguments, tokens",
    [
        ({}, 256),
        ({"max_length": 20}, 15),
        ({"max_new_tokens": 7, "max_length": 20}, 7),
        ({"checkpoint_config": {"max_length": 20}}, 15),
        ({"checkpoint_config": {"max_length": 20}, "max_new_tokens": 7}, 7),
        ({"checkpoint_config": {"max_new_tokens": 7}, "max_length": 20}, 15),
        ({"checkpoint_config": {"max_new_tokens": 7}, "generation_config": {"max_length": 6}}, 1),
    ],
)
def test_length_is_the_one_that_was_named_last(arguments, tokens):
    assert effective(**arguments)["max_new_tokens"] == tokens


def test_prompt_longer_than_max_length_is_refused():
    with pytest.raises(ValueError, match="max_length = 5: the prompt has 5 tokens"):
        plan(max_length=5)


@pytest.mark.parametrize(
    "arguments, stop_tokens, ignores",
    [
        ({}, [], False),
        ({"eos_token_id": 7}, [7], True),
        ({"eos_token_id": [7, 8]}, [7, 8], True),
        ({"ignore_end_tokens": True}, [], True),
        ({"checkpoint_config": {"eos_token_id": 2}, "ignore_end_tokens": True}, [], True),
        ({"generation_config": {"eos_token_id": 7}}, [7], True),
    ],
)
def test_given_end_tokens_replace_those_of_the_model(arguments, stop_tokens, ignores):
    options = effective(**arguments)
    assert (options["stop_tokens"], options["ignore_end_tokens"]) == (stop_tokens, ignores)


@pytest.mark.parametrize(
    "arguments, spec, pad_id",
    [
        ({"pad_token_id": 4}, SPEC, 4),
        ({}, SimpleNamespace(end_tokens=[2], pad_token=3), 3),
        ({}, SPEC, 2),
        ({"eos_token_id": [7, 8]}, SPEC, 7),
        ({}, SimpleNamespace(end_tokens=[], pad_token=-1), 0),
    ],
)
def test_rows_are_padded_with_the_pad_token_else_the_end_token(arguments, spec, pad_id):
    assert plan(spec=spec, **arguments).pad_id == pad_id


@pytest.mark.parametrize("name", sorted(_generation_options.NEUTRAL))
def test_what_is_not_supported_is_refused_by_name_but_may_ask_for_nothing(name):
    for nothing in (None, *_generation_options.NEUTRAL[name]):
        plan(**{name: nothing})
    for source in ("keyword", "generation_config", "checkpoint_config"):
        value = {name: "something"}
        with pytest.raises(ValueError, match=rf"^{name} = 'something' is not supported"):
            plan(**value if source == "keyword" else {source: value})


def test_unknown_arguments_are_refused_and_unknown_configuration_is_not():
    with pytest.raises(ValueError, match="no argument martian"):
        plan(martian=1)
    plan(checkpoint_config={"transformers_version": "5", "chat_format": "chatml"})


def test_bad_words_and_stop_strings_are_handed_over():
    given = plan(bad_words_ids=[[1, 2]], stop_strings=["end"], seed=3)
    assert given.options["bad_words"] == [[1, 2]]
    assert given.options["seed"] == 3
    assert given.stop_strings == ["end"]


def test_several_answers_need_sampling():
    assert plan(num_return_sequences=3, do_sample=True).num_return_sequences == 3
    with pytest.raises(ValueError, match="needs do_sample"):
        plan(num_return_sequences=3)
    with pytest.raises(ValueError, match="at least 1"):
        plan(num_return_sequences=0)


def test_hugging_face_s_object_says_what_its_maker_set():
    class GenerationConfig:
        def to_diff_dict(self):
            return {"temperature": 0.4, "transformers_version": "5"}

    assert effective(generation_config=GenerationConfig())["temperature"] == 0.4
    with pytest.raises(ValueError, match="generation_config: expected"):
        plan(generation_config=object())


def test_configuration_is_read_from_a_directory(tmp_path):
    assert _generation_options.read_generation_config(str(tmp_path)) == {}
    file = tmp_path / "generation_config.json"
    file.write_text(json.dumps({"temperature": 0.5}))
    assert _generation_options.read_generation_config(str(tmp_path)) == {"temperature": 0.5}
    file.write_text("{")
    with pytest.raises(fallow.CheckpointError, match="generation_config.json"):
        _generation_options.read_generation_config(str(tmp_path))
