#!/bin/sh
# Round trips with every PyTorch that is installed: run.sh PROGRAM
# COPPICE_TORCH_PYTHON names one more Python, which is tried first.
# Exit code 77, "skipped" for Meson, where no Python has one.
set -eu
here=$(dirname "$0")
found=
for python in ${COPPICE_TORCH_PYTHON:+"$COPPICE_TORCH_PYTHON"} python3 /usr/bin/python3; do
  path=$(command -v "$python") || continue
  case " $found " in *" $path "*) continue ;; esac
  "$path" -c 'import torch' 2>/dev/null || continue
  echo "with $path"
  "$path" "$here/round_trip.py" "$1"
  found="$found $path"
done
if [ -z "$found" ]; then
  echo "skipped: no Python here has torch"
  exit 77
fi
