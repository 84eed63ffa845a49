#!/bin/sh
# Every test that docs/differences.md names exists, and so does every file that docs/parity.md names; code that a page
# shows is compiled. $1: the project
set -eu
cd "$1"
status=0
for name in $(grep -o '`[a-z_/*]*_test`' docs/differences.md | tr -d '`' | sort -u); do
  # A star stands for several files.
  ls tests/$name.cpp >/dev/null 2>&1 || { echo "docs/differences.md names tests/$name.cpp, which is not there"; status=1; }
done
for name in $(grep -o '`tests/[a-z_/]*\.[a-z]*`' docs/*.md README.md CONTRIBUTING.md | sed 's/.*:`//; s/`//' | sort -u); do
  [ -e "$name" ] || { echo "a page names $name, which is not there"; status=1; }
done
for name in $(grep -o '`\(engine\|nn\|sparsity\|ops\|io\|prune\)/[a-z_/]*\.h`' docs/parity.md | tr -d '`' | sort -u); do
  ls engine/include/coppice/$name engine/include/coppice/engine/$name nn/include/coppice/$name \
    sparsity/include/coppice/$name sparsity/include/coppice/sparsity/$name 2>/dev/null | grep -q . ||
    { echo "docs/parity.md names $name, which is not there"; status=1; }
done
# The sparsifiers in CONTRIBUTING.md are those that tests compile. $1: the class, $2: its test, $3: what the page indents
# it by
compiled() { sed "s/^$3//" "$2" | sed -n "/^class $1 /,/^};/p"; }
same() {
  own=$(compiled "$1" "$2" "")
  [ -n "$own" ] && [ "$(compiled "$1" CONTRIBUTING.md "$3")" = "$own" ] ||
    { echo "CONTRIBUTING.md shows another $1 than $2 compiles"; status=1; }
}
same RowNormSparsifier tests/sparsity/sparsifier/own_sparsifier_test.cpp '   '
same LowestRows tests/sparsity/data/base_data_sparsifier_test.cpp ''
[ "$status" = 0 ] && echo "all files that the pages name are there"
exit "$status"
