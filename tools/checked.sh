#!/usr/bin/env bash
# checked.sh asan|valgrind|soak: run tests that look for faults of memory.
#
# asan: the C tests and the SQLite tests, on a library that was built with the address
# and undefined-behaviour sanitizers. valgrind: the C tests, on the library as it is.
# soak [CALLS]: many mixed calls, after which nothing is live and memory has not grown.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/.venv/bin/python
strict=(-std=gnu11 -g -Wall -Wextra -Werror)

# Build each C test with the given flags into $folder and run it by "$@".
run_c_tests() {
  local source program
  for source in tests/c/test_*.c examples/c/mean.c; do
    program=$folder/$(basename "$source" .c)
    gcc "${strict[@]}" "$source" "${flags[@]}" -lpthread -o "$program"
    printf '== %s\n' "$source"
    "$@" "$program" || {
      echo "checked.sh: $source ended with exit code $?" >&2
      exit 1
    }
  done
}

case ${1:-} in
asan)
  folder=build/asan
  export PYBRIDGE_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"
  mkdir -p $folder
  "$python" setup.py -q build_ext --build-lib $folder --build-temp $folder/objects
  read -ra flags <<<"$PYBRIDGE_CFLAGS"
  flags+=(-Ic/include -L$folder/pybridge "-Wl,-rpath,$PWD/$folder/pybridge" -lpybridge)
  # Python keeps memory at its end by design, so leaks are valgrind's and pyb_live's.
  export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
  run_c_tests env
  # The sqlite3 shell and Python have no sanitizer of their own: it comes before them.
  LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    PYBRIDGE_TEST_LIBRARY=$PWD/$folder/pybridge/libpybridge.so \
    "$python" -m pytest tests/sqlite "${@:2}"
  ;;
valgrind)
  folder=build/valgrind
  mkdir -p $folder
  read -ra flags < <("$python" -m pybridge config --cflags --libs)
  export PYTHONMALLOC=malloc
  run_c_tests valgrind -q --error-exitcode=9 --suppressions=tests/valgrind.supp \
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
  ;;
soak)
  folder=build/soak
  mkdir -p $folder
  read -ra flags < <("$python" -m pybridge config --cflags --libs)
  gcc "${strict[@]}" -O1 tests/c/soak.c "${flags[@]}" -o $folder/soak
  $folder/soak "${@:2}"
  ;;
*)
  echo "checked.sh: name one of asan, valgrind, soak" >&2
  exit 2
  ;;
esac
