#!/usr/bin/env bash
# safetensors 0.8.0 saves a column-ordered NumPy array with its values in the wrong places, without an error or a warning.
#
# What one would expect: `safetensors.numpy.save` writes the array that it is given, whatever its memory order, or refuses
# it, as `safetensors.torch.save` refuses a tensor that is not contiguous. (The docstring of 0.8.0 asks for contiguous arrays;
# nothing checks it.)
# What happens: the bytes are written in the order of memory under the array's own shape, so that [[0 1 2] [3 4 5]] in
# column order comes back as [[0 3 1] [4 2 5]]. Version 0.7.0 writes the right values. So an array is made contiguous
# (`numpy.ascontiguousarray`) before it is saved: arrays of `.T`, of `numpy.asfortranarray`, and of BLAS wrappers are not.
# Seen with Python 3.11, numpy 2.4.6, on x86-64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/run.py" <<'PY'
import numpy as np
from safetensors.numpy import load, save

columns = np.asfortranarray(np.arange(6.0).reshape(2, 3))
print(load(save({"a": columns}))["a"].tolist(), load(save({"a": np.ascontiguousarray(columns)}))["a"].tolist())
PY
try() { # version, expected line
    python3 -m venv "$folder/$1"
    "$folder/$1/bin/pip" install -q --disable-pip-version-check "safetensors==$1" numpy==2.4.6
    found=$("$folder/$1/bin/python" "$folder/run.py")
    echo "safetensors $1: $found"
    [ "$found" = "$2" ] || { echo "changed; expected $2" >&2; exit 1; }
}
right='[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]'
try 0.7.0 "$right $right"
try 0.8.0 "[[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]] $right"
