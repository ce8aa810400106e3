"""The parts of benchmarks/peers that need no engine."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks" / "peers"))

import process  # noqa: E402


def test_an_engine_that_cannot_load_says_why(tmp_path):
    with pytest.raises(process.Failed, match="ModuleNotFoundError: .*no_such_engine"):
        process.Engine(sys.executable, "no_such_engine", {}, environment={},
                       log=tmp_path / "log", patience=60)
