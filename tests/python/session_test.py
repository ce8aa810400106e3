"""Conversations whose tokens stay where they were computed."""

import threading

import numpy
import pytest

PROMPT = [20, 21, 22, 23]
MORE = [30, 31]
OPTIONS = dict(max_new_tokens=6, ignore_end_tokens=True)


def test_session_goes_on_where_it_was(model):
    with model.inference_session() as session:
        first = session.generate(PROMPT, **OPTIONS)
        assert first[: len(PROMPT)] == PROMPT and session.tokens == first
        second = session.generate(numpy.array([MORE]), **OPTIONS)
        assert second.shape == (1, len(MORE) + 6)
        assert session.tokens == first + second[0].tolist()
    assert session.tokens == model.generate(first + MORE, **OPTIONS)


def test_rewinding_forgets(model):
    with model.inference_session() as session:
        session.generate(PROMPT, **OPTIONS)
        tokens = session.tokens
        session.rewind(len(PROMPT) + 2)
        assert session.tokens == tokens[: len(PROMPT) + 2]
        session.generate(tokens[len(PROMPT) + 2 :][:1], max_new_tokens=3, ignore_end_tokens=True)
        assert session.tokens == tokens[: len(PROMPT) + 6]
        with pytest.raises(ValueError, match="rewind"):
            session.rewind(1000)


def test_forks_share_the_beginning_and_go_their_ways(model):
    with model.inference_session() as session:
        beginning = session.generate(PROMPT, **OPTIONS)
        with session.fork() as fork:
            assert fork.tokens == beginning
            one = session.generate(MORE, **OPTIONS)
            other = fork.generate([40, 41], **OPTIONS)
            assert session.tokens == beginning + one == model.generate(beginning + MORE, **OPTIONS)
            assert fork.tokens == beginning + other
            assert fork.tokens == model.generate(beginning + [40, 41], **OPTIONS)


def test_session_takes_the_options_of_the_model(model, tokenizer):
    with model.inference_session() as session:
        seen = []
        session.generate(PROMPT, on_token=lambda token: (seen.append(token), False)[1])
        assert session.tokens == PROMPT + seen and len(seen) == 1
        assert model.last_generation().finish == ["callback"]
        session.generate(MORE, max_length=len(session.tokens) + 5, ignore_end_tokens=True)
        assert len(session.tokens) == len(PROMPT) + 1 + 5
        with pytest.raises(ValueError, match="num_return_sequences"):
            session.generate(MORE, num_return_sequences=2, do_sample=True)
        with pytest.raises(ValueError, match="one prompt"):
            session.generate([PROMPT, PROMPT])


def test_exception_of_a_callback_leaves_a_session_that_goes_on(model):
    def fail(token):
        raise KeyError("no")

    with model.inference_session() as session:
        with pytest.raises(KeyError):
            session.generate(PROMPT, on_token=fail, **OPTIONS)
        length = len(session.tokens)
        session.generate(MORE, **OPTIONS)
        assert len(session.tokens) == length + len(MORE) + 6


def test_session_is_used_by_one_call_at_a_time(model):
    with model.inference_session() as session:
        errors = []

        def on_token(token):
            for use in (lambda: session.rewind(0), lambda: session.generate(MORE), session.fork):
                with pytest.raises(RuntimeError, match="in use") as error:
                    use()
                errors.append(error)
            session.tokens  # may be read at any time
            return False

        session.generate(PROMPT, on_token=on_token)
        assert len(errors) == 3


def test_closed_session_says_so(model):
    session = model.inference_session()
    session.generate(PROMPT, **OPTIONS)
    tokens = session.tokens
    session.close()
    assert session.tokens == tokens
    with pytest.raises(ValueError, match="closed"):
        session.generate(MORE)


def test_sessions_of_several_threads_do_not_meet(model):
    results = {}

    def talk(first):
        with model.inference_session() as session:
            session.generate([first, 21], **OPTIONS)
            session.generate(MORE, **OPTIONS)
            results[first] = session.tokens

    threads = [threading.Thread(target=talk, args=[first]) for first in (10, 11, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for first, tokens in results.items():
        beginning = model.generate([first, 21], **OPTIONS)
        assert tokens == model.generate(beginning + MORE, **OPTIONS)
    assert len(results) == 3
