# The stage that only reads the sources.

stage_lint() {
  python3 tests/lint/lint_test.py
  python3 tests/lint/lint.py
}
