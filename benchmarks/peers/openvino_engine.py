"""OpenVINO GenAI: its paged attention back end. Timed is what it reports as inference alone."""

import time

import numpy as np
import openvino
import openvino_genai

CACHE_GIB = 2


class Engine:
    def __init__(self, model, *, threads, context, sequences, sequence_context):
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = False
        scheduler.cache_size = CACHE_GIB
        scheduler.max_num_seqs = sequences
        # A prompt in one pass is faster than in the default's passes of 256 tokens.
        scheduler.max_num_batched_tokens = max(context, sequences * sequence_context)
        self._pipeline = openvino_genai.LLMPipeline(
            model, "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=threads)

    def prefill(self, prompt):
        start = time.perf_counter()
        self._generate([prompt], 1)
        return time.perf_counter() - start

    def decode(self, prompt, warm_up, tokens):
        result = self._generate([prompt], 1 + warm_up + tokens)
        return result.tokens[0], seconds_per_step(result, 1 + warm_up)

    def batch(self, prompts, warm_up, tokens):
        return seconds_per_step(self._generate(prompts, 1 + warm_up + tokens), 1 + warm_up)

    def _generate(self, prompts, tokens):
        ids = np.array(prompts, np.int64)
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = tokens
        config.ignore_eos = True
        config.do_sample = False
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids),
                                                openvino.Tensor(np.ones_like(ids)))
        return self._pipeline.generate(inputs, config)


def seconds_per_step(result, skipped):
    microseconds = result.perf_metrics.raw_metrics.token_infer_durations[skipped:]
    return 1e-6 * sum(microseconds) / len(microseconds)


def version():
    return openvino_genai.__version__
