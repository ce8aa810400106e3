"""What hears of each token while the library generates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallow import _rows
from fallow._stop_strings import StopStrings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallow._generation_options import Plan
    from fallow._lifetime import Calls


class Listener:
    """Called as listener(prompt_index, token); false ends that sequence.

    Serves the streamer, stop strings and on_token, in this order. Within a `with`, the streamer has
    got the prompt; at its end the streamer's end() is called, also if generation failed, so that
    readers of it do not wait for ever.
    """

    def __init__(
        self,
        prompts: _rows.Prompts,
        plan: Plan,
        calls: Calls,
        streamer: Any,
        on_token: Callable[..., Any] | None,
        tokenizer: Any,
    ):
        self._is_single = len(prompts.ids) == 1
        if streamer is not None and not self._is_single:
            raise ValueError("streamer: takes one prompt, expected no more")
        self._prompts = prompts
        self._calls = calls
        self._streamer = streamer
        self._on_token = on_token
        self._stops = None
        if plan.stop_strings is not None:
            self._stops = StopStrings(plan.stop_strings, tokenizer)
        self._stopped_by_string: set[int] = set()

    def __enter__(self) -> Listener:
        if self._streamer is not None:
            self._streamer.put(self._streamed(self._prompts.ids))
        return self

    def __exit__(self, *error: object) -> None:
        if self._streamer is not None:
            self._streamer.end()

    def __call__(self, prompt: int, token: int) -> bool:
        if self._streamer is not None:
            self._streamer.put(self._streamed([token]))
        goes_on = not self._calls.is_closed
        if self._stops is not None and self._stops.completed_by(prompt, token):
            self._stopped_by_string.add(prompt)
            goes_on = False
        if self._on_token is not None:
            answer = self._on_token(token) if self._is_single else self._on_token(prompt, token)
            goes_on = goes_on and (answer is None or bool(answer))
        return goes_on

    def finish(self, prompt: int, reason: str) -> str:
        """Why a sequence ended, given what the library says."""
        if reason == "callback" and prompt in self._stopped_by_string:
            return "stop_string"
        return reason

    def _streamed(self, ids: list) -> Any:
        """Streamers of Hugging Face's expect tensors, but take numpy arrays as well."""
        kind = _rows.kind_of(self._prompts.source)
        like = self._prompts.source if kind == "torch" else None
        return _rows.make_array("torch" if kind == "torch" else "numpy", ids, like=like)
