"""A causal language model whose blocks run on other machines, or in this process."""

from __future__ import annotations

import dataclasses
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fallow import _core, _generation_options, _hub, _lifetime, _rows
from fallow._listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Unpack

    from fallow._generation_options import GenerationKeywords


class ModelSpec(SimpleNamespace):
    """What a model is: family, num_blocks, hidden_size, num_heads, num_kv_heads, head_dim,
    intermediate_size, vocab_size, max_positions, end_tokens, begin_token, pad_token, ..."""


@dataclasses.dataclass(frozen=True)
class Generation:
    """How a generation went."""

    tokens: list[list[int]]  # new ones, by prompt, with the end token if one came
    finish: list[str]  # by prompt: "stop_token", "stop_string", "length" or "callback"
    prefill_tokens_per_second: float
    decode_tokens_per_second: float  # summed over prompts
    route: list[dict[str, Any]]
    recoveries: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class CausalLMOutput:
    """logits [prompts, tokens, vocab_size], floats of the kind that was passed in."""

    logits: Any


class AutoDistributedModelForCausalLM:
    """Generates like a Hugging Face model, through peers that hold its blocks.

    Several threads may use one at once. Ctrl-C ends a generation at its next token. A context
    manager; at the latest closed when Python exits.
    """

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str,
        *,
        peers: Sequence[str] = (),
        identity: str = "",
        insecure: bool = False,
        numeric_class: str = "auto",
        weights: str = "auto",
        threads: int = 0,
        device: str = "auto",
        kv_memory: int = 0,
        cache: str = "",
        connect_timeout: float = 5.0,
        revision: str | None = None,
    ) -> AutoDistributedModelForCausalLM:
        """Reads the configuration and, without peers, the weights.

        checkpoint: a directory, a .gguf file, or a hub id (fetches only the files that are needed)
        peers: addresses "host:port#peer-id"; may overlap; none: run in this process
        identity: a key file, made if absent; "": a new key each time
        insecure: plaintext, to servers that were started so
        numeric_class: auto, fp32, bf16, exact, or a whole class string; with peers auto is theirs
        weights: auto, fp32, bf16, q8, q4; without peers only
        threads: of the computation in this process; 0: all cores
        device: as BlockServer's; without peers only
        kv_memory: bytes for keys and values in this process; 0: a quarter of the memory
        cache: of packed weights, for quick starts: a directory, or auto; "": none; without peers
        connect_timeout: seconds
        revision: of a hub id

        ValueError (options), CheckpointError, Unsupported, MemoryError.
        """
        if isinstance(peers, str):
            raise ValueError("peers: expected a list of addresses, got one string")
        fetch = _hub.fetch_config if peers else _hub.fetch_blocks
        options = {
            "checkpoint": fetch(checkpoint, revision=revision),
            "peers": list(peers),
            "identity": identity,
            "insecure": insecure,
            "numeric_class": numeric_class,
            "weights": weights,
            "threads": threads,
            "device": device,
            "kv_memory": kv_memory,
            "cache": cache,
            "connect_timeout": connect_timeout,
        }
        return cls(checkpoint, options, revision)

    def __init__(self, checkpoint: str, options: dict[str, Any], revision: str | None):
        """Use from_pretrained."""
        self._checkpoint = checkpoint
        self._revision = revision
        self._has_ends = _hub.is_local(checkpoint) or not options["peers"]
        self._model: Any = _core.Model(options)
        self._spec = ModelSpec(**self._model.spec())
        self._generation_config = _generation_options.read_generation_config(options["checkpoint"])
        self._calls = _lifetime.Calls("the model")
        self._last: Generation | None = None
        _lifetime.close_at_exit(self)

    @property
    def spec(self) -> ModelSpec:
        return self._spec

    def numeric_class(self) -> str:
        """The class that generations run in; asks the peers if need be."""
        with self._calls:
            return self._model.numeric_class()

    def generate(
        self,
        inputs: Any = None,
        *,
        input_ids: Any = None,
        attention_mask: Any = None,
        generation_config: Any = None,
        streamer: Any = None,
        on_token: Callable[..., Any] | None = None,
        tokenizer: Any = None,
        **keywords: Unpack[GenerationKeywords],
    ) -> Any:
        """Prompts and their answers, as the kind that came in: lists, numpy arrays, torch tensors.

        inputs (or input_ids): [prompts, length], rows of any lengths if lists, or one flat row. Each
            row comes back followed by its new tokens (the end token among them), padded on the right
            to one length; new tokens of row i of an array begin at inputs.shape[1].
        attention_mask: like inputs; zeros mark padding, on either side. Without one all counts.
        generation_config: a dict or a GenerationConfig of Hugging Face's
        streamer: gets put(prompt), put(token) for each token, end(); one prompt only
        on_token: called as on_token(token), or on_token(prompt_index, token) with several prompts;
            what is false but None ends that sequence. An exception ends all and is raised here.
        tokenizer: for stop_strings
        Further keywords: see GenerationKeywords.

        ValueError (arguments), PeerUnavailable (names the blocks that nobody serves), Halted,
        MemoryError, Error.
        """
        prompts = _rows.Prompts.read(_one_of(inputs, input_ids), attention_mask)
        plan = self._plan(keywords, generation_config, prompts)
        prompts = prompts.repeated(plan.num_return_sequences)
        self._fetch_ends(plan.options)
        listener = Listener(prompts, plan, self._calls, streamer, on_token, tokenizer)
        with self._calls, listener:
            result = self._model.generate(prompts.ids, plan.options, listener)
        answers = self._keep(result, listener).tokens
        return prompts.with_answers(answers, plan.pad_id)

    def forward(self, input_ids: Any) -> CausalLMOutput:
        """Logits after each token of prompts [prompts, tokens] of one length, or of one flat row.

        Private ends: reads the embedding and the head of the model in this process.
        """
        import numpy

        prompts = _rows.Prompts.read(input_ids)
        if len({len(row) for row in prompts.ids}) > 1:
            raise ValueError("input_ids: rows of different lengths; pass them one by one")
        self._fetch_ends({"end_mode": "private"})
        with self._calls:
            logits = [self._model.logits(row) for row in prompts.ids]
        stacked = logits[0][numpy.newaxis] if len(logits) == 1 else numpy.stack(logits)
        if _rows.kind_of(input_ids) != "torch":
            return CausalLMOutput(logits=stacked)
        import torch

        return CausalLMOutput(logits=torch.from_numpy(stacked).to(input_ids.device))

    __call__ = forward

    def inference_session(self) -> InferenceSession:
        """A conversation whose tokens stay on the peers; a context manager."""
        with self._calls:
            return InferenceSession(self, self._model.open_session())

    def last_generation(self) -> Generation | None:
        """How the last generation went that ended, in whichever thread."""
        return self._last

    def route(self) -> list[dict[str, Any]]:
        """The hops of the last generation: [{peer, address, begin, end, milliseconds_per_token}]."""
        return self._last.route if self._last else []

    def live_route(self) -> list[dict[str, Any]]:
        """The same of the generation under way, with the times so far; may be called from its
        callback. The times are told every 32 tokens."""
        with self._calls:
            return self._model.route()

    def recoveries(self) -> list[dict[str, Any]]:
        """The hops that the last generation lost: [{blamed, reason, pause_seconds}]."""
        return self._last.recoveries if self._last else []

    def close(self) -> None:
        """Ends generations of other threads at their next token, and leaves the peers."""
        self._calls.close()
        self._model = None

    def __enter__(self) -> AutoDistributedModelForCausalLM:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _plan(
        self, keywords: Any, generation_config: Any, prompts: _rows.Prompts, held: int = 0
    ) -> _generation_options.Plan:
        return _generation_options.make_plan(
            keywords,
            generation_config,
            self._generation_config,
            spec=self._spec,
            prompt_length=held + max(len(row) for row in prompts.ids),
        )

    def _fetch_ends(self, options: dict[str, Any]) -> None:
        """Private ends need weights that a client of peers does not fetch at first."""
        if options.get("end_mode") == "private" and not self._has_ends:
            _hub.fetch_blocks(self._checkpoint, (0, 0), self._revision)
            self._has_ends = True

    def _keep(self, result: dict[str, Any], listener: Listener) -> Generation:
        finish = [listener.finish(index, reason) for index, reason in enumerate(result["finish"])]
        self._last = Generation(**{**result, "finish": finish})
        return self._last


AutoModelForCausalLM = AutoDistributedModelForCausalLM


class InferenceSession:
    """One sequence that grows: prompt, answer, prompt, ...; made by model.inference_session().

    What was said stays on the peers, only new tokens travel. One thread at a time. A context manager.
    """

    def __init__(self, model: AutoDistributedModelForCausalLM, session: Any):
        """Use model.inference_session()."""
        self._model = model
        self._session: Any = session
        self._tokens: list[int] = session.tokens()
        self._lock = threading.Lock()
        _lifetime.close_at_exit(self)

    @property
    def tokens(self) -> list[int]:
        """The tokens so far, prompts and answers."""
        return list(self._tokens)

    def generate(
        self,
        inputs: Any = None,
        *,
        input_ids: Any = None,
        generation_config: Any = None,
        streamer: Any = None,
        on_token: Callable[[int], Any] | None = None,
        tokenizer: Any = None,
        **keywords: Unpack[GenerationKeywords],
    ) -> Any:
        """Appends one prompt, then generates: returns the prompt and the answer.

        Takes what the model's generate() takes; max_length counts all tokens of the session.
        """
        prompts = _rows.Prompts.read(_one_of(inputs, input_ids))
        if len(prompts.ids) > 1:
            raise ValueError("a session takes one prompt at a time")
        with _Exclusive(self):
            plan = self._model._plan(keywords, generation_config, prompts, held=len(self._tokens))
            if plan.num_return_sequences > 1:
                raise ValueError("num_return_sequences: fork() the session instead")
            self._model._fetch_ends(plan.options)
            calls = self._model._calls
            listener = Listener(prompts, plan, calls, streamer, on_token, tokenizer)
            session = self._session  # close() may come from another thread
            try:
                with calls, listener:
                    result = session.generate(prompts.ids[0], plan.options, listener)
            finally:
                self._tokens = session.tokens()
            answers = self._model._keep(result, listener).tokens
        return prompts.with_answers(answers, plan.pad_id)

    def rewind(self, length: int) -> None:
        """Forgets all tokens from `length` on. ValueError if there are fewer."""
        with _Exclusive(self):
            self._session.rewind(length)
            self._tokens = self._session.tokens()

    def fork(self) -> InferenceSession:
        """A session with the same tokens so far; what the peers hold of it is shared."""
        with _Exclusive(self):
            return InferenceSession(self._model, self._session.fork())

    def close(self) -> None:
        """Gives back what the peers hold for it; tokens stay readable."""
        self._session = None

    def __enter__(self) -> InferenceSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Exclusive:
    """Holds a session for one call, and refuses a second one at the same time."""

    def __init__(self, session: InferenceSession):
        self._session = session

    def __enter__(self) -> None:
        if not self._session._lock.acquire(blocking=False):
            raise RuntimeError("this session is in use: by another thread, or from a callback")
        if self._session._session is None:
            self._session._lock.release()
            raise ValueError("this session is closed")

    def __exit__(self, *error: object) -> None:
        self._session._lock.release()


def _one_of(inputs: Any, input_ids: Any) -> Any:
    if (inputs is None) == (input_ids is None):
        raise ValueError("expected either inputs or input_ids")
    return input_ids if inputs is None else inputs
