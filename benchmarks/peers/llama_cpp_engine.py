"""llama.cpp, by the C functions that llama-cpp-python declares. Only llama_decode is timed.

LLAMA_CPP_LIB_PATH names the folder of the library to measure.
"""

import ctypes
import time

import llama_cpp
import numpy as np


class Engine:
    def __init__(self, model, *, threads, context, sequences, sequence_context):
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            model.encode(), llama_cpp.llama_model_default_params())
        if not self._model:
            raise RuntimeError(f"llama.cpp does not load {model}")
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self._model))
        self._threads = threads
        self._batch_size = (sequences, sequence_context)
        self._alone = self._make_context(context, 1)
        self._together = None  # made when first needed, or it would count as memory of one sequence
        self._held = []  # the prompt that decode() left in the cache

    def prefill(self, prompt):
        self._held = []
        clear(self._alone)
        seconds, _ = self._run(self._alone, prompt)
        return seconds

    def decode(self, prompt, warm_up, tokens):
        if self._held != prompt:
            clear(self._alone)
            if len(prompt) > 1:
                self._run(self._alone, prompt[:-1])
            self._held = prompt
        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(self._alone), 0,
                                      len(prompt) - 1, -1)
        answer, times = [prompt[-1]], []
        for step in range(warm_up + tokens):
            seconds, logits = self._run(self._alone, answer[-1:], len(prompt) - 1 + step)
            answer.append(int(logits[-1].argmax()))
            times.append(seconds)
        return answer[1:], sum(times[warm_up:]) / tokens

    def batch(self, prompts, warm_up, tokens):
        self._together = self._together or self._make_context(
            self._batch_size[0] * self._batch_size[1], self._batch_size[0])
        clear(self._together)
        last = []
        for sequence, prompt in enumerate(prompts):
            batch = make_batch(prompt, range(len(prompt)), [sequence] * len(prompt), last_only=True)
            _, logits = self._decode(self._together, batch, 1)
            last.append(int(logits[0].argmax()))
        times = []
        for step in range(warm_up + tokens):
            positions = [len(prompt) + step for prompt in prompts]
            batch = make_batch(last, positions, range(len(prompts)), last_only=False)
            seconds, logits = self._decode(self._together, batch, len(prompts))
            last = logits.argmax(axis=1).tolist()
            times.append(seconds)
        return sum(times[warm_up:]) / tokens

    def logits(self, ids):
        clear(self._alone)
        self._held = []
        batch = make_batch(ids, range(len(ids)), [0] * len(ids), last_only=False)
        return self._decode(self._alone, batch, len(ids))[1].copy()

    def _make_context(self, tokens, sequences):
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = tokens
        parameters.n_batch = tokens  # a prompt is one call, which cuts it into parts of n_ubatch
        parameters.n_seq_max = sequences
        parameters.n_threads = parameters.n_threads_batch = self._threads
        return llama_cpp.llama_init_from_model(self._model, parameters)

    def _run(self, context, ids, begin=0):
        """Seconds, and the logits after the last id."""
        batch = make_batch(ids, range(begin, begin + len(ids)), [0] * len(ids), last_only=True)
        return self._decode(context, batch, 1)

    def _decode(self, context, batch, outputs):
        start = time.perf_counter()
        status = llama_cpp.llama_decode(context, batch)
        llama_cpp.llama_synchronize(context)
        seconds = time.perf_counter() - start
        llama_cpp.llama_batch_free(batch)
        if status != 0:
            raise RuntimeError(f"llama_decode: {status}")
        logits = llama_cpp.llama_get_logits(context)
        return seconds, np.ctypeslib.as_array(logits, (outputs, self._vocabulary))


def clear(context):
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), False)


def make_batch(ids, positions, sequences, *, last_only):
    """A llama_batch; last_only: logits after the last id, not after all."""
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, (id, position, sequence) in enumerate(zip(ids, positions, sequences)):
        batch.token[i], batch.pos[i] = id, position
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        batch.logits[i] = not last_only or i == len(ids) - 1
    return batch


def version():
    features = ctypes.c_char_p(llama_cpp.llama_print_system_info()).value.decode()
    return f"in llama-cpp-python {llama_cpp.__version__}; {features}"
