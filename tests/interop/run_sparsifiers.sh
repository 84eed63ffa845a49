#!/bin/sh
# docs/sparsifiers.md, "Back into PyTorch": its program writes files, its Python loads them and says what the page shows.
# run_sparsifiers.sh EXAMPLE
# COPPICE_TORCH_PYTHON names one more Python, which is tried first.
# Exit code 77, "skipped" for Meson, where no Python has a PyTorch with torch.ao.pruning.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
example=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
between() { awk -v from="^\`\`\`$1\$" '$0 ~ from { on = 1; next } /^```$/ { on = 0 } on' "$here/../../docs/sparsifiers.md"; }
between console >shown
between python | diff - "$here/sparsifiers.py" || { echo "docs/sparsifiers.md shows another Python"; exit 1; }
"$example" >/dev/null
for python in ${COPPICE_TORCH_PYTHON:+"$COPPICE_TORCH_PYTHON"} python3 /usr/bin/python3; do
  "$python" -c 'import torch.ao.pruning' 2>/dev/null || continue
  echo "with $(command -v "$python")"
  "$python" "$here/sparsifiers.py" >said
  diff shown said || { echo "what PyTorch says differs from docs/sparsifiers.md"; exit 1; }
  exit 0
done
echo "skipped: no Python here has torch.ao.pruning"
exit 77
