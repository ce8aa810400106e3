"""How far engines are from transformers in fp32 on the real model.

The prompts and greedy continuations are those of tests/hf/smollm2.safetensors; so are some logits,
by which the fp32 logits computed here are checked.
"""

import json
import struct

import numpy as np

from figures import Subject

REFERENCE = "transformers fp32"
MOST_LOGIT_ERROR = 0.01  # of fp32 sums in another order
DTYPES = {"I32": np.int32, "F32": np.float32}


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    return {name: np.frombuffer(data[8 + length:][slice(*entry["data_offsets"])],
                                DTYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(expected, actual):
    """KL(expected || actual) of each row, in nats; [rows, vocabulary], logs of probabilities."""
    return (np.exp(expected) * (expected - actual)).sum(axis=-1)


class Case:
    """A prompt and its continuation by transformers in fp32."""

    def __init__(self, golden, index):
        begin, end = golden["prompt_begin"][index:index + 2]
        self.prompt = golden["prompts"][begin:end].tolist()
        self.answer = golden["tokens"][index].tolist()
        self._sampled_ids = golden["sampled_ids"][index]
        self._sampled_logits = golden["sampled_logits"][index]

    def logits(self, contestants, entry, file):
        """[answer's tokens, vocabulary]; None if the engine fails."""
        ids = self.prompt + self.answer[:-1]
        done = contestants.call(entry, "logits", "logits", ids=ids, file=str(file))
        return done and np.load(file)[len(self.prompt) - 1:]

    def error_of(self, logits):
        """The largest distance from the logits that were kept."""
        kept = np.take_along_axis(logits, self._sampled_ids, axis=1)
        return np.abs(kept - self._sampled_logits).max()


def measure_divergence(figures, contestants, cases, file):
    """KL a token, a case a round; of engines that tell their logits."""
    entries = [entry for entry in contestants.entries if entry.family in WITH_LOGITS]
    reference = next((entry for entry in entries if entry.name == REFERENCE), None)
    if reference is None:
        raise LookupError(f"{REFERENCE} is not among the engines that run")
    entries.remove(reference)
    subject = Subject("", "KL per token from fp32", None, contestants.threads)
    for case in cases:
        logits = case.logits(contestants, reference, file)
        if logits is None or case.error_of(logits) > MOST_LOGIT_ERROR:
            raise LookupError(f"{REFERENCE} does not give the logits of tests/hf")
        expected = log_softmax(logits)
        for entry in list(entries):
            logits = case.logits(contestants, entry, file)
            if logits is None:
                entries.remove(entry)
                continue
            figures.add(subject, entry.name, "millinats",
                        1e3 * float(divergence(expected, log_softmax(logits)).mean()))


WITH_LOGITS = {"fallow", "llama.cpp", "transformers"}


def measure_agreement(figures, contestants, cases):
    """How many greedy tokens are those of fp32 before the first other one, a case a round."""
    subject = Subject("", "first tokens as in fp32", None, contestants.threads)
    for case in cases:
        wanted = case.answer[:-1]  # one token less: engines differ in whether warm-up includes it
        for entry in list(contestants.entries):
            result = contestants.call(entry, "agreement", "decode", prompt=case.prompt, warm_up=1,
                                      tokens=len(wanted) - 1)
            if result:
                same = sum(np.cumprod([a == b for a, b in zip(result[0], wanted)]))
                figures.add(subject, entry.name, "tokens", int(same))
