#!/bin/sh
# Every program that a page prints is a file of the folder, in order, and prints what the page shows below it. With
# COPPICE_REWRITE set, the page gets the programs and outputs as they are now.
# $1: the page, $2: the folder of the sources, then the built programs in the same order
set -eu
page=$1 sources=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk -v dir="$work" '
  /^```cpp$/ { n++; kind = "cpp"; next }
  /^```text$/ { kind = "txt"; next }
  /^```$/ { kind = ""; next }
  kind != "" { print > (dir "/" n "." kind) }' "$page"
n=0
for source in "$sources"/*.cpp; do
  n=$((n + 1))
  [ $# -gt 0 ] || { echo "no built program for $source"; exit 1; }
  program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
  (cd "$work" && "$program") >"$work/output" || { echo "$1 failed"; exit 1; }
  if [ -n "${COPPICE_REWRITE:-}" ]; then
    cp "$source" "$work/$n.cpp"
    mv "$work/output" "$work/$n.txt"
  else
    diff "$work/$n.cpp" "$source" || { echo "program $n of $page differs from $source"; exit 1; }
    diff "$work/$n.txt" "$work/output" || { echo "what $1 prints differs from $page"; exit 1; }
  fi
  shift
done
[ ! -e "$work/$((n + 1)).cpp" ] || { echo "$page prints more programs than $sources holds"; exit 1; }
if [ -n "${COPPICE_REWRITE:-}" ]; then
  awk -v dir="$work" '
    function put(file, line) { while ((getline line < file) > 0) print line; close(file); held = 1 }
    /^```cpp$/ { n++; print; put(dir "/" n ".cpp"); next }
    /^```text$/ { print; put(dir "/" n ".txt"); next }
    /^```$/ { held = 0 }
    !held' "$page" >"$work/page"
  cat "$work/page" >"$page"
fi
echo "$n programs"
