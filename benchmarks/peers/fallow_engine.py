"""fallow, through its Python package: whole calls are timed, with all that Python adds."""

import statistics
import time

import fallow

KV_BYTES = 1 << 30


class Engine:
    def __init__(self, model, *, threads, context, sequences, sequence_context, **options):
        del context, sequences, sequence_context  # sessions grow as they need
        self._model = fallow.AutoDistributedModelForCausalLM.from_pretrained(
            model, threads=threads, kv_memory=KV_BYTES, **options)
        self._session = None
        self._held = []  # the prompt that decode() left in the session

    def prefill(self, prompt):
        with self._model.inference_session() as session:
            start = time.perf_counter()
            session.generate(prompt, max_new_tokens=1, ignore_end_tokens=True)
            return time.perf_counter() - start

    def decode(self, prompt, warm_up, tokens):
        if self._held != prompt:
            if self._session:
                self._session.close()
            self._session = self._model.inference_session()
            self._session.generate(prompt, max_new_tokens=1, ignore_end_tokens=True)
            self._held = prompt
        self._continue(len(prompt) - 1, prompt[-1], warm_up)
        start = time.perf_counter()
        self._continue(len(self._session.tokens) - 1, self._session.tokens[-1], tokens)
        seconds = time.perf_counter() - start
        return self._session.tokens[len(prompt):], seconds / tokens

    def batch(self, prompts, warm_up, tokens):
        """Counts from when all have warm_up tokens to when the first has all of its own, which go
        beyond those asked for: the first are ahead by what they made while others' prompts ran."""
        ahead = 4 * len(prompts)
        times = [[] for _ in prompts]
        self._model.generate(prompts, max_new_tokens=warm_up + tokens + ahead,
                             ignore_end_tokens=True,
                             on_token=lambda prompt, _: times[prompt].append(time.perf_counter()))
        begin = max(of_one[warm_up - 1] for of_one in times)
        end = min(of_one[-1] for of_one in times)
        made = sum(begin < moment <= end for of_one in times for moment in of_one)
        return (end - begin) * len(prompts) / made

    def logits(self, ids):
        return self._model.forward([ids]).logits[0]

    def steps(self, prompt, tokens):
        """Median seconds between tokens of generate(), as model_bench takes them."""
        times = []
        self._model.generate(prompt, max_new_tokens=tokens, ignore_end_tokens=True,
                             on_token=lambda _: times.append(time.perf_counter()))
        return statistics.median(after - before for before, after in zip(times, times[1:]))

    def _continue(self, at, token, tokens):
        """Goes on with `token` at position `at`, whatever followed."""
        self._session.rewind(at)
        self._session.generate([token], max_new_tokens=tokens, ignore_end_tokens=True)


def version():
    return fallow.__version__
