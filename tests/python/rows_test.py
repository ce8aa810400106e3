"""Rows of ids in and out of lists and arrays."""

import numpy
import pytest
from fallow import _rows


def back(source, answers, mask=None, pad_id=9):
    prompts = _rows.Prompts.read(source, mask)
    return prompts.ids, prompts.with_answers(answers, pad_id)


def test_flat_list_comes_back_flat():
    assert back([1, 2], [[3]]) == ([[1, 2]], [1, 2, 3])


def test_rows_come_back_padded_on_the_right():
    assert back([[1, 2], (3,)], [[4, 5], [6]]) == ([[1, 2], [3]], [[1, 2, 4, 5], [3, 6, 9, 9]])


@pytest.mark.parametrize("dtype", [numpy.int32, numpy.int64])
def test_arrays_come_back_as_arrays_of_their_type(dtype):
    ids, result = back(numpy.array([[1, 2], [3, 4]], dtype), [[5], [6]])
    assert ids == [[1, 2], [3, 4]]
    assert result.dtype == dtype and result.tolist() == [[1, 2, 5], [3, 4, 6]]
    assert back(numpy.array([1, 2], dtype), [[3]])[1].tolist() == [1, 2, 3]


def test_tensors_come_back_as_tensors(torch):
    ids, result = back(torch.tensor([[1, 2]]), [[3]])
    assert ids == [[1, 2]]
    assert result.dtype == torch.long and result.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "mask, ids",
    [
        ([[1, 1, 1], [1, 1, 1]], [[1, 2, 3], [4, 5, 6]]),
        ([[0, 1, 1], [1, 1, 0]], [[2, 3], [4, 5]]),
        ([[0, 1, 0], [0, 0, 1]], [[2], [6]]),
    ],
)
def test_masked_tokens_do_not_count_but_come_back(mask, ids):
    given = [[1, 2, 3], [4, 5, 6]]
    expected = [row + [7] for row in given]
    assert back(given, [[7], [7]], mask) == (ids, expected)
    counted, result = back(numpy.array(given), [[7], [7]], numpy.array(mask, bool))
    assert counted == ids and result.tolist() == expected


def test_flat_list_may_have_a_flat_mask():
    assert back([1, 2], [[3]], [0, 1]) == ([[2]], [1, 2, 3])


@pytest.mark.parametrize(
    "source, mask, message",
    [
        ([], None, "at least one token"),
        ("text", None, "token ids"),
        (5, None, "at least one token"),
        ([1.5], None, "token ids"),
        (numpy.array([[1.0]]), None, "token ids"),
        ([[1], 2], None, "a row of token ids, or rows"),
        ([[[1]]], None, "a row of token ids, or rows"),
        ([[1, 2]], [[1]], "shape"),
        ([[1, 2]], [[0, 0]], "without any token"),
        ([[1, 2, 3]], [[1, 0, 1]], "in one piece"),
    ],
)
def test_what_is_neither_row_nor_rows_is_refused(source, mask, message):
    with pytest.raises(ValueError, match=message):
        _rows.Prompts.read(source, mask)
