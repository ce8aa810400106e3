"""What Hugging Face transformers computes in fp32, and whether it is fit to be a golden answer."""

import copy
from dataclasses import dataclass

import torch

GREEDY_TOKENS = 64
GREEDY_PROMPT = 8  # greedy continues the first tokens of the prompt only
EOS_TOKEN = 2

LEAST_MARGIN = 1e-2  # between the best and the second logit of each greedy step
LEAST_DISTINCT = 16  # tokens among the greedy ones: a loop proves little
LEAST_FOCUS = 3.0  # the heaviest attention weight of the last row, in multiples of a uniform one
MOST_STEPWISE_ERROR = 2e-4  # token by token against the whole prompt: rounding only
LEAST_ABLATION = 0.1  # how far the logits move when the feature under test is taken away


class Unsuitable(Exception):
    """The random weights make a poor test; another seed is needed."""


@dataclass
class Reference:
    input_ids: torch.Tensor  # [n]
    logits: torch.Tensor  # [n, vocab], one forward of the whole prompt
    stepwise_logits: torch.Tensor  # [n, vocab], one forward a token, with a KV cache
    greedy: torch.Tensor  # [GREEDY_TOKENS], with a KV cache, never stopped
    margin: float  # least distance of the two best logits among the greedy steps
    rounding: float  # largest distance of `logits` from the same forward in fp64


def top2_margin(logits):
    best = torch.topk(logits, 2, dim=-1).values
    return best[..., 0] - best[..., 1]


@torch.no_grad()
def generate(model, prompt, tokens):
    """Greedy ids [tokens] and the logits [tokens, vocab] they were picked from."""
    ids, logits, cache = [], [], None
    step = prompt
    for _ in range(tokens):
        out = model(input_ids=step[None], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits.append(out.logits[0, -1])
        ids.append(logits[-1].argmax())
        step = ids[-1][None]
    return torch.stack(ids), torch.stack(logits)


@torch.no_grad()
def forward(model, ids):
    return model(input_ids=ids[None], use_cache=False).logits[0]


@torch.no_grad()
def forward_stepwise(model, ids):
    rows, cache = [], None
    for token in ids:
        out = model(input_ids=token[None, None], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        rows.append(out.logits[0, -1])
    return torch.stack(rows)


def make_reference(load, input_ids):
    """Runs each part on a model of its own from `load()`: dynamic RoPE remembers earlier calls."""
    logits = forward(load(), input_ids)
    greedy, greedy_logits = generate(load(), input_ids[:GREEDY_PROMPT], GREEDY_TOKENS)
    exact = forward(copy.deepcopy(load()).double(), input_ids)
    return Reference(
        input_ids=input_ids,
        logits=logits,
        stepwise_logits=forward_stepwise(load(), input_ids),
        greedy=greedy,
        margin=top2_margin(greedy_logits).min().item(),
        rounding=(logits - exact).abs().max().item(),
    )


def check_reference(reference, *, stepwise_differs=False):
    """Raises Unsuitable where another seed may help."""
    if reference.margin < LEAST_MARGIN:
        raise Unsuitable(f"margin {reference.margin:.1e}")
    if EOS_TOKEN in reference.greedy:
        raise Unsuitable("end-of-sequence among the greedy tokens")
    distinct = len(reference.greedy.unique())
    if distinct < LEAST_DISTINCT:
        raise Unsuitable(f"only {distinct} distinct greedy tokens")
    error = (reference.logits - reference.stepwise_logits).abs().max().item()
    if stepwise_differs != (error > MOST_STEPWISE_ERROR):
        raise Unsuitable(f"token by token differs by {error:.1e}")


@torch.no_grad()
def check_attention_focus(model, input_ids):
    """Raises Unsuitable if any block attends almost uniformly."""
    attentions = model(input_ids=input_ids[None], output_attentions=True).attentions
    for block, weights in enumerate(attentions):
        last_rows = weights[0, :, -1]
        visible = (last_rows > 0).sum(dim=-1)
        focus = (last_rows.max(dim=-1).values * visible).mean().item()
        if focus < LEAST_FOCUS:
            raise Unsuitable(f"block {block} attends almost uniformly ({focus:.1f})")


def check_ablation(reference, ablated_model):
    """Raises Unsuitable if the logits would be the same without the feature under test."""
    moved = (forward(ablated_model, reference.input_ids) - reference.logits).abs().max().item()
    if moved < LEAST_ABLATION:
        raise Unsuitable(f"the ablated model differs by {moved:.1e} only")
