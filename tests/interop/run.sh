#!/bin/sh
# Round trips with every PyTorch that is installed: run.sh PROGRAM
# Exit code 77, "skipped" for Meson, where no Python has one.
set -eu
here=$(dirname "$0")
found=
for python in python3 /usr/bin/python3; do
  path=$(command -v "$python") || continue
  [ "$path" != "$found" ] || continue
  "$path" -c 'import torch' 2>/dev/null || continue
  echo "with $path"
  "$path" "$here/round_trip.py" "$1"
  found=$path
done
if [ -z "$found" ]; then
  echo "skipped: no Python here has torch"
  exit 77
fi
