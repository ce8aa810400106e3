"""Large language models on machines that stand idle.

Start with AutoDistributedModelForCausalLM and AutoTokenizer; BlockServer serves blocks of a model to
others. Nothing heavy is imported before it is needed: numpy, tokenizers, torch and the like.
"""

from fallow._core import (
    CheckpointError,
    Error,
    Halted,
    PeerUnavailable,
    Unsupported,
    __version__,
)
from fallow._inspect import inspect
from fallow._model import (
    AutoDistributedModelForCausalLM,
    AutoModelForCausalLM,
    Generation,
    InferenceSession,
    ModelSpec,
)
from fallow._profile import profile
from fallow._server import BlockServer
from fallow._streamers import TextStreamer
from fallow._tokenizer import AutoTokenizer, Tokenizer

__all__ = [
    "AutoDistributedModelForCausalLM",
    "AutoModelForCausalLM",
    "AutoTokenizer",
    "BlockServer",
    "CheckpointError",
    "Error",
    "Generation",
    "Halted",
    "InferenceSession",
    "ModelSpec",
    "PeerUnavailable",
    "TextStreamer",
    "Tokenizer",
    "Unsupported",
    "__version__",
    "inspect",
    "profile",
]
