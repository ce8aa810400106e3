"""Hugging Face transformers, eager, with its default attention. Only the forward is timed."""

import time

import torch
import transformers


class Engine:
    def __init__(self, model, *, threads, context, sequences, sequence_context, dtype):
        del context, sequences, sequence_context  # caches grow as they need
        torch.set_num_threads(threads)
        self._model = transformers.AutoModelForCausalLM.from_pretrained(
            model, dtype=getattr(torch, dtype)).eval()
        self._cache = None
        self._held = []  # the prompt that decode() left in the cache

    def prefill(self, prompt):
        return self._run([prompt], None)[0]

    def decode(self, prompt, warm_up, tokens):
        if self._held != prompt:
            self._cache = self._run([prompt], None)[2]
            self._held = prompt
        self._cache.crop(len(prompt) - 1 - self._cache.get_seq_length())  # as many tokens less
        return self._steps([prompt[-1:]], self._cache, warm_up, tokens)

    def batch(self, prompts, warm_up, tokens):
        _, last, cache = self._run(prompts, None)
        return self._steps(last, cache, warm_up, tokens)[1]

    @torch.inference_mode()
    def logits(self, ids):
        return self._model(torch.tensor([ids])).logits[0].float().numpy()

    def _steps(self, last, cache, warm_up, tokens):
        """The first sequence's new ids, and the seconds of a step."""
        answer, times = [], []
        for _ in range(warm_up + tokens):
            seconds, last, cache = self._run(last, cache)
            answer.append(last[0][0])
            times.append(seconds)
        return answer, sum(times[warm_up:]) / tokens

    @torch.inference_mode()
    def _run(self, prompts, cache):
        """Seconds, the next id of each sequence [sequences, 1], and the cache."""
        ids = torch.tensor(prompts)
        start = time.perf_counter()
        out = self._model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        seconds = time.perf_counter() - start
        return seconds, out.logits[:, -1].argmax(-1, keepdim=True).tolist(), out.past_key_values


def version():
    return f"{transformers.__version__}, torch {torch.__version__}"
