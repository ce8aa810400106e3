# The stages of the Python package. They share the virtual environment build/venv.

# Everything but fallow itself: what pyproject.toml names. Fetched anew only when that changes.
make_venv() {
  [[ -x build/venv/bin/python ]] || python3 -m venv build/venv
  cmp -s pyproject.toml build/venv/pyproject.toml && return
  build/venv/bin/python - >build/venv/requirements.txt <<'PYTHON'
import tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
wanted = project["build-system"]["requires"] + project["project"]["dependencies"]
print(*wanted, *project["project"]["optional-dependencies"]["test"], sep="\n")
PYTHON
  build/venv/bin/pip install --quiet --requirement build/venv/requirements.txt
  cp pyproject.toml build/venv/pyproject.toml
}

install_package() {
  make_venv
  build/venv/bin/pip install --no-build-isolation --no-deps --no-index .
}

stage_python() {
  install_package
  build/venv/bin/python -m pytest tests/python
  build/venv/bin/fallow --help >/dev/null
}

# Installed beside build/venv's fallow, whose other packages it borrows.
stage_wheel() {
  make_venv
  rm -rf build/wheel
  build/venv/bin/python cmake/make_wheel.py build/wheel
  build/venv/bin/pip install --quiet --no-deps --no-index --target build/wheel/site \
    build/wheel/*.whl
  PYTHONPATH=build/wheel/site build/venv/bin/python tests/python/wheel_test.py
}
