#!/bin/sh
# Makes .venv from requirements.lock (every version and hash) and installs the project itself into it.
# Needs Python >= 3.11 and git; fetches uv when it is not there.
set -eu
PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: $PYTHON is older than 3.11: set PYTHON=/path/to/python3.11 or newer" >&2
    exit 2
}
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
# uv takes torch and torchvision as one pair from the index; pip's own choice may not match.
# Bytecode is compiled once here, which saves dvc three seconds at every start.
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes -r requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps -e .
