#!/usr/bin/env bash
# Builds main.cpp as an outside project would, in three ways, and runs each: run.sh SOURCE BUILD PROGRAM
#   1. pkg-config, shared and static libraries, against a staged install of BUILD
#   2. CMake's find_package against the same install
#   3. Meson subproject, with coppice inside the executable: once with the system's C and C++ libraries, once
#      without any shared library; the sizes are printed
# A way whose tool is missing says so and is skipped. The last line reads "N passed, N failed".
set -euo pipefail
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
program=$3
here=$source/tests/consumer
read -ra cxx <<<"${CXX:-c++}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# way NAME COMMAND...: runs the command; its output is shown when it fails.
way() {
  local name=$1 status
  shift
  # Not as a condition: that would switch `set -e` off inside.
  set +e
  (set -e; "$@") >"$work/log" 2>&1
  status=$?
  set -e
  if [[ $status == 0 ]]; then
    passed=$((passed + 1))
    printf 'ok    %s\n' "$name"
  else
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$name"
    cat "$work/log"
  fi
}
have() { command -v "$1" >/dev/null || { printf 'skip  %s: %s is not installed\n' "$2" "$1"; return 1; }; }

# What the program makes of a checkpoint is the model that every way must load, with one and the same result.
{
  data=$source/tests/data
  "$program" import "$data/mlp_digits.pt" --arch "$data/mlp_digits.arch.json" -o "$work/dense.safetensors"
  "$program" prune "$work/dense.safetensors" -o "$work/pruned.safetensors" --method global_l1 --amount 0.9
  "$program" pack "$work/pruned.safetensors" -o "$work/packed.safetensors"
} >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
# What the program itself makes of main.cpp's input, ones of (1, 64), is what every consumer must print.
{
  {
    printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 64), }"
    for _ in {1..64}; do printf '\000\000\200\077'; done
  } >"$work/ones.npy"
  "$program" run "$work/packed.safetensors" "$work/ones.npy" -o "$work/logits.npy"
} >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
expected=$(od -A n -v -t f4 -j 128 "$work/logits.npy" | tr '\n' ' ')
check() {
  local result
  result=$("$@" "$work/packed.safetensors" | tr -c '0-9.e+-' ' ' | tr -s ' ' '\n' | grep '[0-9]' | tr '\n' ' ')
  # main.cpp prints four digits.
  awk -v a="$expected" -v b="$result" 'BEGIN {
    n = split(a, x, " ")
    if (n != 10 || split(b, y, " ") != n) exit 1
    for (i = 1; i <= n; i++) if (x[i] - y[i] > 1e-3 || y[i] - x[i] > 1e-3) exit 1
  }' || { printf 'expected %s\ngot      %s\n' "$expected" "$result"; return 1; }
}

stage() { meson install -C "$build" --no-rebuild --quiet --destdir "$work/stage"; }
stage >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
config=$(find "$work/stage" -name coppiceConfig.cmake)
libdir=$(dirname "$(dirname "$(dirname "$config")")")
prefix=$(dirname "$(dirname "$(find "$work/stage" -type d -path '*/include/coppice')")")
export PKG_CONFIG_PATH=$libdir/pkgconfig

with_pkg_config() { # shared | static
  local query=(pkg-config --define-variable=prefix="$prefix" --cflags --libs coppice-nn) flags
  if [[ $1 == shared ]]; then
    read -ra flags <<<"$("${query[@]}")"
  else
    # Of two libraries of one name the linker takes the shared one, unless it is told the file.
    read -ra flags <<<"$("${query[@]}" --static | sed -E 's/-l(coppice-[a-z]+)/-l:lib\1.a/g')"
  fi
  "${cxx[@]}" -std=c++20 "$here/main.cpp" -o "$work/by-pkg-config" "${flags[@]}"
  LD_LIBRARY_PATH=$libdir check "$work/by-pkg-config"
}
if have pkg-config 'pkg-config'; then
  way 'pkg-config, shared libraries' with_pkg_config shared
  way 'pkg-config, static libraries' with_pkg_config static
fi

with_cmake() { # ON | OFF
  cmake -G Ninja -S "$here" -B "$work/cmake-$1" -DCMAKE_PREFIX_PATH="$libdir/cmake" -Dcoppice_USE_STATIC_LIBS="$1"
  cmake --build "$work/cmake-$1"
  check "$work/cmake-$1/consumer"
}
if have cmake 'CMake find_package'; then
  way 'CMake find_package, shared libraries' with_cmake OFF
  way 'CMake find_package, static libraries' with_cmake ON
fi

with_meson() {
  mkdir -p "$work/outside/subprojects"
  cp "$here/main.cpp" "$work/outside/"
  cp "$here/project.build" "$work/outside/meson.build"
  ln -s "$source" "$work/outside/subprojects/coppice"
  meson setup "$work/outside/build" "$work/outside"
  ninja -C "$work/outside/build" consumer consumer-static
  local name
  for name in consumer consumer-static; do
    strip -o "$work/$name" "$work/outside/build/$name"
    check "$work/$name"
  done
}
way 'Meson subproject, shared and no shared C and C++ library' with_meson

# What the static executable is made of, by the archive each section came from.
if [[ -f $work/consumer-static ]]; then
  printf 'stripped executable: %d bytes with coppice inside, %d with the C and C++ libraries as well, of that:\n' \
    "$(stat -c %s "$work/consumer")" "$(stat -c %s "$work/consumer-static")"
  awk '
    function number(hex,  i, value) {  # of 0x…; not every awk has strtonum
      for (i = 3; i <= length(hex); i++) value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
      return value
    }
    /^Linker script and memory map/ { on = 1 }
    on && /^ \.(text|rodata|data|gcc_except_table|eh_frame|init_array|tdata|data\.rel\.ro)/ {
      line = $0
      if (NF == 1) { getline; line = line " " $0 }
      n = split(line, part, " ")
      for (i = 2; i <= n; i++) if (part[i] ~ /^0x/) break
      size = number(part[i + 1]); file = part[i + 2]
      if (file ~ /libcoppice-engine/) who = "coppice-engine"
      else if (file ~ /libcoppice-nn/) who = "coppice-nn"
      else if (file ~ /libstdc\+\+|libsupc/) who = "C++ library"
      else if (file ~ /libgcc/) who = "compiler support"
      else if (file ~ /libc\.a|libm|libpthread/) who = "C library"
      else if (file ~ /libdeflate/) who = "libdeflate"
      else who = "program and start-up"
      sum[who] += size
    }
    END { for (who in sum) printf "  %-22s %8d\n", who, sum[who] }' "$work/outside/build/consumer.map" | sort -k2
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
