"""Ends a generation once its text contains a given string."""

from __future__ import annotations

from typing import Any


class StopStrings:
    """Watches the new tokens of several sequences.

    A string may span tokens, and end within one: Hugging Face's rule, under which the token that
    completes it is the last. What the prompt says does not count.
    """

    def __init__(self, strings: str | list[str], tokenizer: Any):
        self._strings = [strings] if isinstance(strings, str) else list(strings)
        if not self._strings or not all(isinstance(s, str) and s for s in self._strings):
            raise ValueError("stop_strings: expected a string or strings that are not empty")
        if tokenizer is None:
            raise ValueError("stop_strings needs tokenizer=, to know the text of tokens")
        self._tokenizer = tokenizer
        # A token is a byte of text at least, and a first character may lack 3 bytes before it.
        self._window = max(len(s.encode()) for s in self._strings) + 4
        self._tails: dict[int, list[int]] = {}

    def completed_by(self, sequence: int, token: int) -> bool:
        """True if `token`, the next of `sequence`, completes one of the strings."""
        tail = self._tails.setdefault(sequence, [])
        tail.append(token)
        del tail[: -self._window]
        text = self._tokenizer.decode(tail, skip_special_tokens=False)
        return any(string in text for string in self._strings)
