"""Streamers with the protocol of Hugging Face's: put(prompt), put(token) ..., end()."""

from __future__ import annotations

from typing import Any

from fallow import _rows


class TextStreamer:
    """Prints text while it is generated, as soon as its characters are certain.

    skip_prompt: print only what is new. Further keywords go to tokenizer.decode, for instance
    skip_special_tokens=True. A subclass may override on_finalized_text.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_keywords: Any):
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_keywords = decode_keywords
        self._awaits_prompt = True
        self._ids: list[int] = []  # since the last end of line, whose token stays for context
        self._shown = ""  # of their text

    def put(self, value: Any) -> None:
        """Token ids [n] or [1, n]; the first call brings the prompt."""
        ids = _rows.to_list(value)
        if ids and isinstance(ids[0], list):
            if len(ids) > 1:
                raise ValueError("a TextStreamer takes one prompt at a time")
            ids = ids[0]
        is_prompt, self._awaits_prompt = self._awaits_prompt, False
        if is_prompt and self.skip_prompt:
            return
        self._ids.extend(ids)
        self._show(self._decode())

    def end(self) -> None:
        """Prints what was held back, and ends the line."""
        rest = self._decode()[len(self._shown) :]
        self._ids, self._shown, self._awaits_prompt = [], "", True
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        print(text, end="\n" if stream_end else "", flush=True)

    def _decode(self) -> str:
        return self.tokenizer.decode(self._ids, **self.decode_keywords) if self._ids else ""

    def _show(self, text: str) -> None:
        # A character may still lack bytes, or a decoder revise its last word: wait for the next.
        if text.endswith("\ufffd") or not text.startswith(self._shown):
            return
        if text != self._shown:
            self.on_finalized_text(text[len(self._shown) :])
        self._shown = text
        if text.endswith("\n"):
            self._ids = self._ids[-1:]
            self._shown = self._decode()
