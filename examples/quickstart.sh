#!/usr/bin/env bash
# From a bare Debian 12 to text from a real model: installs what is missing, builds, starts three block
# servers and a replica, generates through them, and kills one of the route on the way.
set -euo pipefail
cd "$(dirname "$0")/.."
bash cmake/install_dependencies.sh
venv=build/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet .
model=$(PYTHON="$venv/bin/python" bash examples/fetch_model.sh)
exec "$venv/bin/python" examples/quickstart.py "$model"
