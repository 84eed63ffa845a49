#!/bin/sh
# The program printed in the README is this one, it has at most 25 lines, it runs, and it does what it says.
# $1: the README, $2: the source, $3: the built program, $4: coppice
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk '/^```cpp$/ { take = 1; next } /^```$/ { take = 0 } take' "$1" >"$work/printed.cpp"
if ! cmp -s "$work/printed.cpp" "$2"; then
  echo "the program in the README differs from $2:"
  diff "$work/printed.cpp" "$2" || true
  exit 1
fi
lines=$(wc -l <"$2")
[ "$lines" -le 25 ] || { echo "the program has $lines lines"; exit 1; }
cd "$work"
"$4" demo --data-only --quiet
output=$("$3")
echo "$output"
correct=${output%% of 360 correct}
[ "$correct" -ge 345 ] || { echo "too few correct"; exit 1; }
size=$(wc -c <coppice-demo/mine.safetensors)
[ "$size" -le 366000 ] || { echo "mine.safetensors has $size bytes"; exit 1; }
