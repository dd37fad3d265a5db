#!/usr/bin/env bash
# setup.sh: make the environments of the peers, and compile the benchmark's programs.
#
# What is there already is left alone. A peer that cannot be had is no reason to stop:
# the reason goes to build/bench/missing.txt, and from there into the table.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv-bench
out=build/bench
python=$venv/bin/python
turbodbc=4.9.0 # newer ones want simdutf, which Debian 12 does not have
digitalhub=0.10.0 # the last that runs by itself and does all that its document says

say() { printf '== %s\n' "$*"; }

install_packages() {
  local missing="" root=""
  command -v g++ >/dev/null || missing+=" g++"
  command -v odbcinst >/dev/null || missing+=" odbcinst"
  [ -e /usr/include/sql.h ] || missing+=" unixodbc-dev"
  [ -e /usr/include/boost/version.hpp ] || missing+=" libboost-dev"
  odbcinst -q -d -n SQLite3 >/dev/null 2>&1 || missing+=" libsqliteodbc"
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null && root=sudo || {
      echo "ODBC peers: run: sudo apt-get install$missing" | tee -a $out/missing.txt
      return 0
    }
  fi
  say "installing Debian packages:$missing"
  $root apt-get update -q || true
  # shellcheck disable=SC2086 # words on purpose
  $root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends $missing ||
    echo "ODBC peers: apt-get could not install$missing" | tee -a $out/missing.txt
}

# One by one where they do not come together, so that one does not cost the others.
install_peers() {
  [ $venv/.stamp -nt benchmarks/requirements.txt ] && return
  say "installing the peers into $venv"
  [ -x $python ] || .venv/bin/python -c \
    'import subprocess, sys; subprocess.run([sys._base_executable, "-m", "venv", sys.argv[1]], check=True)' $venv
  if ! $python -m pip install -q -r benchmarks/requirements.txt; then
    grep -v '^#' benchmarks/requirements.txt | while read -r peer; do
      $python -m pip install -q "$peer" ||
        echo "${peer%%>*}: pip could not install it" | tee -a $out/missing.txt
    done
  fi
  touch $venv/.stamp
}

# pyarrow's headers want C++20, and the rest of turbodbc does not compile with it.
install_turbodbc() {
  [ -e $venv/.stamp-turbodbc ] && return
  say "building turbodbc $turbodbc (some minutes, once)"
  cat >$out/c++ <<'SH'
#!/bin/sh
case "$*" in *turbodbc_arrow*) exec g++ "$@" -g0 -std=c++20 ;; esac
exec g++ "$@" -g0
SH
  chmod +x $out/c++
  $python -m pip install -q setuptools wheel pybind11
  if ! CC=$PWD/$out/c++ CXX=$PWD/$out/c++ $python -m pip install -q --no-deps \
    --no-build-isolation "turbodbc==$turbodbc" >$out/turbodbc.log 2>&1; then
    echo "turbodbc: $turbodbc did not build, see $out/turbodbc.log" |
      tee -a $out/missing.txt
  fi
  touch $venv/.stamp-turbodbc
}

# It wants a pandas of its own, older than the peers'; uv is ten times as fast as pip.
install_digitalhub() {
  local venv=.venv-bench-digitalhub
  [ -x $venv/bin/python ] && $venv/bin/python -c 'import digitalhub, moto' 2>/dev/null && return
  say "installing digitalhub $digitalhub into $venv (a minute, once)"
  if ! { .venv/bin/uv venv -q --clear --python 3.11 $venv &&
    .venv/bin/uv pip install -q --compile-bytecode --python $venv/bin/python "digitalhub==$digitalhub" \
      "digitalhub-runtime-python==$digitalhub" 'pandas<3' 'moto[server]'; } \
    >$out/digitalhub.log 2>&1; then
    echo "digitalhub: $digitalhub could not be installed, see $out/digitalhub.log" |
      tee -a $out/missing.txt
  fi
}

compile_programs() {
  local flags embed
  flags=$(.venv/bin/python -m pybridge config --cflags --libs)
  embed=$(.venv/bin/python - <<'PYTHON'
import sysconfig as s
var = s.get_config_var
print(f"-I{s.get_path('include')} -L{var('LIBDIR')} -Wl,-rpath,{var('LIBDIR')} "
      f"-lpython{var('LDVERSION')}")
PYTHON
  )
  gcc -std=gnu11 -O2 -Wall -Wextra -Werror benchmarks/host.c -lsqlite3 -o $out/host
  # shellcheck disable=SC2086 # words on purpose
  gcc -std=gnu11 -O2 -Wall -Wextra -Werror benchmarks/calls.c $flags $embed \
    -lsqlite3 -lpthread -o $out/calls
}

mkdir -p $out
[ -e $venv/.stamp ] && [ -e $venv/.stamp-turbodbc ] || rm -f $out/missing.txt
install_packages
install_peers
install_turbodbc
install_digitalhub
compile_programs
