"""CTranslate2. It keeps no sequence between calls, so each decode computes its prompt anew."""

import json
import time
from pathlib import Path

import ctranslate2


class Engine:
    def __init__(self, model, *, threads, context, sequences, sequence_context, compute_type):
        del context, sequences, sequence_context  # caches grow as they need
        self._generator = ctranslate2.Generator(model, device="cpu", compute_type=compute_type,
                                                inter_threads=1, intra_threads=threads)
        self._vocabulary = json.loads((Path(model) / "vocabulary.json").read_text())

    def prefill(self, prompt):
        start = time.perf_counter()
        self._generate([prompt], 1)
        return time.perf_counter() - start

    def decode(self, prompt, warm_up, tokens):
        answers, times = self._generate([prompt], 1 + warm_up + tokens)
        return answers[0], (times[-1] - times[warm_up]) / tokens

    def batch(self, prompts, warm_up, tokens):
        _, times = self._generate(prompts, 1 + warm_up + tokens)
        return (times[-1] - times[warm_up]) / tokens

    def _generate(self, prompts, tokens):
        """The new ids of each prompt, and when each step was done."""
        times = []

        def note(step):
            if step.batch_id == 0:
                times.append(time.perf_counter())
            return False

        results = self._generator.generate_batch(
            [[self._vocabulary[id] for id in prompt] for prompt in prompts],
            max_length=tokens, min_length=tokens, include_prompt_in_result=False, callback=note)
        return [result.sequences_ids[0] for result in results], times


def version():
    return ctranslate2.__version__
