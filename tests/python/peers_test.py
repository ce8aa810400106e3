"""The parts of benchmarks/peers that need no engine."""

import pathlib
import sys
import xml.etree.ElementTree

import numpy
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks" / "peers"))

import accuracy  # noqa: E402
import chart  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
from engines import BASE, RANDOM_MODELS, REAL_MODEL  # noqa: E402
from figures import Figures, Subject, Summary  # noqa: E402

SUBJECT = Subject("", "decode at", 32, 1)
PEER = "OpenVINO int4"


@pytest.fixture
def figures():
    """Of three rounds; the peer failed in the second."""
    figures = Figures()
    for ours, theirs in ((100, 50), (90, None), (60, 20)):
        figures.add(SUBJECT, BASE, "tokens/s", ours)
        figures.add(SUBJECT, PEER, "tokens/s", theirs)
    return figures


def test_a_ratio_is_the_median_of_the_rounds_that_both_have(figures):
    assert figures.ratio(SUBJECT, BASE, PEER) == 2.5
    assert figures.ratio(SUBJECT, BASE, "nobody") is None


def test_a_summary_leaves_out_failed_rounds(figures):
    assert figures.summary(SUBJECT, PEER) == Summary(35, 20, 50)
    figures.add(SUBJECT, "failed", "tokens/s", None)
    assert figures.summary(SUBJECT, "failed") is None


def test_each_engine_is_compared_with_one_on_the_same_model():
    for entries in (REAL_MODEL, *RANDOM_MODELS.values()):
        assert {entry.beside for entry in entries} <= {entry.name for entry in entries}


def test_a_line_tells_how_many_times_faster_fallow_is(figures, capsys):
    entries = {"": {entry.name: entry for entry in REAL_MODEL}}
    rows = list(report.rows(figures, entries))
    report.print_rows(rows, as_json=False)
    ours, theirs = capsys.readouterr().out.splitlines()
    assert ours.split() == "decode at 32 1T, fallow q4_1 90.00 tokens/s (60.00 to 100.00)".split()
    assert theirs.split() == ("decode at 32 1T, fallow q4_1 90.00 tokens/s of 35.00 = 2.50 "
                              "(OpenVINO int4; 20.00 to 50.00)").split()


def test_a_limit_is_compared_with_fallow_as_it_comes():
    assert report.pair_of("a limit", {BASE: REAL_MODEL[0]}) == (BASE, "a limit")


def test_a_failed_engine_has_a_row_and_no_line(figures, capsys):
    figures.add(SUBJECT, "CTranslate2 int8", "tokens/s", None)
    rows = list(report.rows(figures, {"": {entry.name: entry for entry in REAL_MODEL}}))
    assert rows[-1]["rounds"] == [None] and rows[-1]["median"] is None
    report.print_rows(rows, as_json=False)
    assert "CTranslate2" not in capsys.readouterr().out


def test_a_chart_has_a_bar_for_each_engine_in_proportion():
    svg = xml.etree.ElementTree.fromstring(chart.draw(
        [("decode <1 thread>", [("fallow", 200.0, True), ("other", 50.0, False)]), ("empty", [])]))
    bars = [e for e in svg.iter() if e.tag.endswith("rect")]
    assert [(e.get("class"), int(e.get("width"))) for e in bars] == [
        ("ours", chart.BAR_WIDTH), ("peer", chart.BAR_WIDTH // 4)]
    texts = [e.text for e in svg.iter() if e.tag.endswith("text")]
    assert texts == ["decode <1 thread>", "fallow", "200", "other", "50"]


def test_divergence_is_that_of_the_whole_distribution():
    logits = numpy.log(numpy.array([[0.5, 0.5], [0.25, 0.75]])) + 3
    expected = accuracy.log_softmax(logits)
    assert numpy.allclose(accuracy.divergence(expected, expected), 0)
    assert numpy.allclose(accuracy.divergence(expected, expected[::-1]),
                          [0.5 * numpy.log(4 / 3), 0.25 * numpy.log(0.5) + 0.75 * numpy.log(1.5)])


def test_cases_are_prompts_with_their_continuation():
    golden = accuracy.read_safetensors(ROOT / "tests" / "hf" / "smollm2.safetensors")
    case = accuracy.Case(golden, 0)
    assert len(case.prompt) > 0 and len(case.answer) == 64
    best = golden["sampled_ids"][0, :, 0]
    assert case.answer == best.tolist()
    logits = numpy.zeros((64, 49152), numpy.float32)
    numpy.put_along_axis(logits, golden["sampled_ids"][0], golden["sampled_logits"][0], axis=1)
    assert case.error_of(logits) == 0
    logits[5, best[5]] += 1
    assert case.error_of(logits) == 1


def test_an_engine_that_cannot_load_says_why(tmp_path):
    with pytest.raises(process.Failed, match="ModuleNotFoundError: .*no_such_engine"):
        process.Engine(sys.executable, "no_such_engine", {}, environment={},
                       log=tmp_path / "log", patience=60)
