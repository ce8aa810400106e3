"""When text is certain enough to be shown."""

import fallow
import pytest


@pytest.fixture
def shown(tokenizer):
    """A streamer, and what it has shown, piece by piece."""
    pieces = []

    class Recorder(fallow.TextStreamer):
        def on_finalized_text(self, text, stream_end=False):
            pieces.append(text)

    streamer = Recorder(tokenizer)
    streamer.pieces = pieces
    return streamer


@pytest.mark.parametrize("text", ["a 🙂 b", "naïve\n\n  x\ny", "漢字 12", " leading"])
def test_pieces_are_whole_characters_and_make_the_text(shown, tokenizer, text):
    for token in tokenizer.encode(text):
        shown.put([token])
    shown.end()
    assert "".join(shown.pieces) == text
    assert "\ufffd" not in "".join(shown.pieces)
    assert len(shown.pieces) > 2


def test_rest_of_a_broken_character_is_shown_at_the_end(shown, tokenizer):
    for token in tokenizer.encode("🙂")[:-1]:
        shown.put([token])
    assert shown.pieces == []
    shown.end()
    assert "\ufffd" in "".join(shown.pieces)


def test_streamer_can_be_used_again(shown, tokenizer):
    for _ in range(2):
        shown.put([tokenizer.encode("ab")])
        shown.end()
    assert "".join(shown.pieces) == "abab"


def test_several_prompts_are_refused(shown):
    with pytest.raises(ValueError, match="one prompt"):
        shown.put([[1], [2]])
