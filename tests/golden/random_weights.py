"""Random weights that make a demanding test: attention has a focus, logits are well apart."""

import math

import torch

EMBEDDING_DEVIATION = 0.3  # small against the blocks, or a tied head repeats the last token
HEAD_DEVIATION = 3.0  # of the logits, with an output matrix of its own
QK_GAIN = 1.6  # attention scores get about the square of it as standard deviation
GAIN = 2.0
NORM_DEVIATION = 0.1  # around 1
BIAS_DEVIATION = 0.1


def deviation(name, shape):
    """Standard deviation of a matrix's random values, so that activations stay near one."""
    if "embed" in name:
        return EMBEDDING_DEVIATION
    if "lm_head" in name:
        return HEAD_DEVIATION / math.sqrt(shape[1])
    qk = any(part in name for part in ("q_proj", "k_proj", "query_key_value"))
    return (QK_GAIN if qk else GAIN) / math.sqrt(shape[1])


@torch.no_grad()
def randomise(model, generator):
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            values *= BIAS_DEVIATION
        elif values.dim() == 1:
            values = 1 + NORM_DEVIATION * values
            if "embed" in name:
                values *= EMBEDDING_DEVIATION
        else:
            values *= deviation(name, values.shape)
            if "4h_to_h" in name:  # else GELU's positive mean drives every token the same way
                values -= values.mean(dim=1, keepdim=True)
        parameter.copy_(values)
