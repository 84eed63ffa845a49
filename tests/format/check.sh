#!/bin/sh
# Every C++ file is as clang-format 14 writes it, and no line is above 120 columns. $1: the project
set -eu
cd "$1"
format=$(command -v clang-format-14) || { echo "clang-format-14 is not installed: nothing was checked"; exit 77; }
files=$(find engine nn sparsity tests bench -name '*.h' -o -name '*.cpp')
status=0
# Those that differ are named once each.
$format --dry-run $files 2>&1 | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: warning:.*/\1/p' | sort -u | {
  found=0
  while read -r file; do echo "$file is not as clang-format-14 -i writes it"; found=1; done
  exit $found
} || status=1
if LC_ALL=C.UTF-8 grep -nE '^.{121,}' $files; then
  echo "these lines are longer than 120 columns"
  status=1
fi
[ "$status" = 0 ] && echo "all C++ files are formatted"
exit "$status"
