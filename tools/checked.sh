#!/usr/bin/env bash
# checked.sh asan|faults|valgrind|soak: run tests that look for faults of memory.
#
# asan: the C tests and the SQLite tests, on a library that was built with the address
# and undefined-behaviour sanitizers, and in which each allocation is made to fail.
# faults PART...: of that some parts: names of programs in tests/c, or "sqlite".
# valgrind: the C tests, on the library as it is.
# soak [CALLS]: many mixed calls, after which nothing is live and memory has not grown;
# the C tests that count, with their large numbers; and long runs of what is by chance.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/.venv/bin/python
strict=(-std=gnu11 -g -Wall -Wextra -Werror)

# Build $tests with the given flags into $folder and run each by "$@".
tests=(tests/c/test_*.c examples/c/mean.c)
run_c_tests() {
  local source program
  for source in "${tests[@]}"; do
    program=$folder/$(basename "$source" .c)
    gcc "${strict[@]}" "$source" "${flags[@]}" -ldl -lpthread -o "$program"
    printf '== %s\n' "$source"
    "$@" "$program" || {
      echo "checked.sh: $source ended with exit code $?" >&2
      exit 1
    }
  done
}

# Build the library into $folder with sanitizers, and with allocations that can fail.
build_with_sanitizers() {
  local library=$folder/pybridge/libpybridge.so
  export PYBRIDGE_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1 -DPYB_TEST"
  read -ra flags <<<"$PYBRIDGE_CFLAGS"
  flags+=(-Ic/include -L$folder/pybridge "-Wl,-rpath,$PWD/$folder/pybridge" -lpybridge)
  mkdir -p $folder
  exec {lock}<$folder
  flock "$lock" # two parts may begin at once, and only one of them builds
  if [ ! -e "$library" ] || [ -n "$(find c setup.py -newer "$library" -type f -print -quit)" ]; then
    "$python" setup.py -q build_ext --build-lib $folder --build-temp $folder/objects
  fi
  exec {lock}<&-
  # Python keeps memory at its end by design, so leaks are valgrind's and pyb_live's.
  export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
  export PYB_CHECKED=1
}

# The sqlite3 shell and Python have no sanitizer of their own: it comes before them.
run_sqlite_tests() {
  LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    PYBRIDGE_TEST_LIBRARY=$PWD/$folder/pybridge/libpybridge.so \
    "$python" -m pytest "$@"
}

case ${1:-} in
asan)
  folder=build/asan
  build_with_sanitizers
  tests+=(tests/c/faults.c tests/c/gtm_faults.c)
  run_c_tests env
  run_sqlite_tests tests/sqlite "${@:2}"
  ;;
faults)
  folder=build/asan
  build_with_sanitizers
  for part in "${@:2}"; do
    if [ "$part" = sqlite ]; then
      run_sqlite_tests -q tests/sqlite/test_memory.py
    else
      tests=("tests/c/$part.c")
      run_c_tests env
    fi
  done
  ;;
valgrind)
  folder=build/valgrind
  mkdir -p $folder
  read -ra flags < <("$python" -m pybridge config --cflags --libs)
  export PYTHONMALLOC=malloc PYB_CHECKED=1
  # The child of a fork has lost the threads that own what they have allocated; and the
  # 100 ms of a deadline are nothing to a machine that is thirty times slower.
  memcheck=(valgrind -q --error-exitcode=9 --num-callers=60
    --suppressions=tests/valgrind.supp)
  tests=(tests/c/test_fork.c)
  run_c_tests "${memcheck[@]}"
  mapfile -t tests < <(printf '%s\n' tests/c/test_*.c examples/c/mean.c | grep -v 'fork\|deadline')
  run_c_tests "${memcheck[@]}" --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite
  ;;
soak)
  folder=build/soak
  mkdir -p $folder
  read -ra flags < <("$python" -m pybridge config --cflags --libs)
  gcc "${strict[@]}" -O1 tests/c/soak.c "${flags[@]}" -o $folder/soak
  $folder/soak "${@:2}"
  tests=(tests/c/test_leak.c tests/c/test_reset.c tests/c/test_threads.c)
  run_c_tests env PYB_SOAK=1
  PYB_SOAK=1 "$python" -m pytest -q tests/sqlite/pages/test_pages_fuzz.py \
    -k 'another_process or sanitizers'
  ;;
*)
  echo "checked.sh: name one of asan, faults, valgrind, soak" >&2
  exit 2
  ;;
esac
