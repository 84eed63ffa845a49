#!/bin/sh
# Every public header has a test of its name in the same place below tests/. $1: the project
set -eu
cd "$1"
status=0
for library in engine nn sparsity; do
  for header in $(cd "$library/include/coppice/$library" && find . -name '*.h'); do
    test=tests/$library/${header#./}
    [ -e "${test%.h}_test.cpp" ] || { echo "$library/${header#./} has no test ${test%.h}_test.cpp"; status=1; }
  done
done
[ "$status" = 0 ] && echo "every public header has its test"
exit "$status"
