"""Rows of token ids: from lists, numpy arrays or torch tensors, and back into the same kind.

numpy and torch are imported only by those who pass their objects in.
"""

from __future__ import annotations

import dataclasses
import operator
from typing import Any


def kind_of(value: Any) -> str:
    """"torch", "numpy" or "list"."""
    module = type(value).__module__.partition(".")[0]
    return module if module in ("torch", "numpy") else "list"


def to_list(value: Any) -> Any:
    """Nested lists of Python's own integers. TypeError for anything but integers."""
    if kind_of(value) != "list":
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [to_list(entry) for entry in value]
    return operator.index(value)


def make_array(kind: str, rows: list, like: Any = None) -> Any:
    """`rows`, of equal lengths, as an array of integers: of the type and device of `like`."""
    if kind == "torch":
        import torch

        if like is None:
            return torch.tensor(rows, dtype=torch.long)
        return torch.tensor(rows, dtype=like.dtype, device=like.device)
    if kind == "numpy":
        import numpy

        return numpy.array(rows, dtype=numpy.int64 if like is None else like.dtype)
    return rows


def pad(rows: list[list[int]], pad_id: int, side: str = "right") -> list[list[int]]:
    """Rows of one length."""
    width = max((len(row) for row in rows), default=0)
    if side == "left":
        return [[pad_id] * (width - len(row)) + row for row in rows]
    return [row + [pad_id] * (width - len(row)) for row in rows]


@dataclasses.dataclass(frozen=True)
class Prompts:
    """What a caller passed as prompts."""

    given: list[list[int]]  # row by row as it came, padding included
    ids: list[list[int]]  # the tokens of each row that count
    source: Any  # the caller's object: what goes back is of its kind
    is_flat: bool  # one row without the outer list or dimension

    @staticmethod
    def read(source: Any, attention_mask: Any = None) -> Prompts:
        """ValueError if it is neither a row nor rows of ids, or the mask does not fit."""
        try:
            rows = to_list(source)
        except TypeError as error:
            raise ValueError(f"input_ids: expected token ids: {error}") from None
        if not isinstance(rows, list) or not rows:
            raise ValueError("input_ids: expected at least one token")
        is_flat = not isinstance(rows[0], list)
        given = [rows] if is_flat else rows
        for row in given:
            if not isinstance(row, list) or any(isinstance(entry, list) for entry in row):
                raise ValueError("input_ids: expected a row of token ids, or rows of them")
        ids = given if attention_mask is None else _unmasked(given, attention_mask, is_flat)
        return Prompts(given=given, ids=ids, source=source, is_flat=is_flat)

    def repeated(self, times: int) -> Prompts:
        """Each row `times` times in a row."""
        if times == 1:
            return self
        return Prompts(
            given=[row for row in self.given for _ in range(times)],
            ids=[row for row in self.ids for _ in range(times)],
            source=self.source,
            is_flat=False,
        )

    def with_answers(self, answers: list[list[int]], pad_id: int) -> Any:
        """Each given row and its answer, padded on the right, as the kind that was passed."""
        rows = pad([row + answer for row, answer in zip(self.given, answers)], pad_id)
        result = rows[0] if self.is_flat else rows
        return make_array(kind_of(self.source), result, like=self.source)


def _unmasked(given: list[list[int]], attention_mask: Any, is_flat: bool) -> list[list[int]]:
    masks = to_list(attention_mask)
    masks = [masks] if is_flat and masks and not isinstance(masks[0], list) else masks
    if [len(mask) for mask in masks] != [len(row) for row in given]:
        raise ValueError("attention_mask: its shape is not that of input_ids")
    return [_unmasked_row(row, mask) for row, mask in zip(given, masks)]


def _unmasked_row(row: list[int], mask: list[int]) -> list[int]:
    if 1 not in mask:
        raise ValueError("attention_mask: a row without any token")
    begin = mask.index(1)
    end = len(mask) - mask[::-1].index(1)
    if any(flag != 1 for flag in mask[begin:end]):
        raise ValueError("attention_mask: expected ones in one piece, padding at the sides only")
    return row[begin:end]
