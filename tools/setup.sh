#!/usr/bin/env bash
# setup.sh GOAL: bring a machine to where GOAL can run: packages, .venv, the library.
#
# GOAL is build, demo, demo-functions, demo-gtm, test, dev, bench or valgrind. What is
# there already is left alone, so that a second run takes no time.
# BASE_PYTHON=/path/to/python3 names the Python that .venv is made from; otherwise the
# first suitable one is taken.
set -euo pipefail
cd "$(dirname "$0")/.."

goal=${1:?"name a goal: build, demo, demo-functions, demo-gtm, test, dev, bench or valgrind"}

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '== %s\n' "$*"; }

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# What pip installs for the goal, and the goals for which at least that is installed.
case $goal in
build) extra= done_by="build demo demo-functions demo-gtm test dev bench valgrind" ;;
demo) extra="[demo]" done_by="demo demo-functions demo-gtm test dev bench valgrind" ;;
demo-functions) extra="[demo,functions]" done_by="demo-functions test dev bench valgrind" ;;
demo-gtm) extra="[demo,duckdb]" done_by="demo-gtm test dev bench valgrind" ;;
test | valgrind) extra="[test]" done_by="test dev bench valgrind" ;;
bench) extra="[test,bench]" done_by="bench dev" ;;
dev) extra="[dev]" done_by=dev ;;
*) fail "goal '$goal' is unknown; known: build, demo, demo-functions, demo-gtm, test, dev, bench, valgrind" ;;
esac

# A Python is suitable when a library can be linked to it and a venv made from it.
suitable() {
  "$1" - 2>/dev/null <<'PYTHON'
import sys, sysconfig as s
assert (3, 11) <= sys.version_info[:2] <= (3, 14)
import ensurepip, os, venv
var = s.get_config_var
assert var("Py_ENABLE_SHARED") and not var("Py_GIL_DISABLED")
assert any(os.path.exists(os.path.join(d, var("LDLIBRARY")))
           for d in (var("LIBDIR"), var("LIBPL"), "/usr/lib/" + (var("MULTIARCH") or "")))
assert os.path.exists(os.path.join(s.get_path("include"), "Python.h"))
PYTHON
}

find_python() {
  local candidate
  for candidate in ${BASE_PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 \
    "$HOME"/.pyenv/versions/3.1[1-4].*/bin/python3 /usr/bin/python3}; do
    if command -v "$candidate" >/dev/null && suitable "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

usable_venv() {
  [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1 &&
    suitable .venv/bin/python
}

# The databases that tests read: ODBC drivers, and the servers that they start.
database_packages() {
  local lib=/usr/lib
  compgen -G "$lib/*/libodbc.so.2" >/dev/null || echo libodbc2
  compgen -G "$lib/*/odbc/libsqlite3odbc.so" >/dev/null || echo libsqliteodbc
  compgen -G "$lib/*/odbc/psqlodbcw.so" >/dev/null || echo odbc-postgresql
  compgen -G "$lib/*/odbc/libmaodbc.so" >/dev/null || echo odbc-mariadb
  compgen -G "$lib/postgresql/*/bin/postgres" >/dev/null || echo postgresql
  [ -x /usr/sbin/mariadbd ] || echo mariadb-server
  # The ODBC drivers for servers put themselves into odbcinst.ini with it.
  compgen -G "/usr/bin/odbcinst" >/dev/null || echo odbcinst
}

# Print the Debian packages that GOAL needs and that are not there.
missing_packages() {
  command -v make >/dev/null || echo make
  command -v gcc >/dev/null || echo gcc
  command -v nm >/dev/null || echo binutils
  command -v sqlite3 >/dev/null || echo sqlite3
  command -v pkg-config >/dev/null || echo pkg-config
  [ -e /usr/include/stdio.h ] || echo libc6-dev
  [ -e /usr/include/sqlite3ext.h ] || echo libsqlite3-dev
  [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  if ! usable_venv && ! find_python >/dev/null; then
    echo python3 python3-dev python3-venv
  fi
  case $goal in
  demo-gtm | test | dev | bench | valgrind)
    compgen -G '/usr/lib/x86_64-linux-gnu/fis-gtm/*/mumps' >/dev/null || echo fis-gtm
    ;;
  esac
  case $goal in test | dev | bench | valgrind) database_packages ;; esac
  case $goal in valgrind) command -v valgrind >/dev/null || echo valgrind ;; esac
}

install_packages() {
  local missing root
  missing=$(missing_packages)
  missing=${missing//$'\n'/ }
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    fail "the equivalents of these Debian packages are missing: $missing"
  elif [ "$(id -u)" = 0 ]; then
    root=
  elif sudo -n true 2>/dev/null; then
    root=sudo
  else
    fail "packages are missing; run: sudo apt-get install $missing"
  fi
  say "installing Debian packages: $missing"
  # A source that cannot be reached need not be the one that these come from.
  $root apt-get update -qq || true
  # shellcheck disable=SC2086 # words on purpose
  $root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends $missing
}

make_venv() {
  local python
  usable_venv && return
  python=$(find_python) || fail "no Python 3.11 to 3.14 with a shared libpython and" \
    "headers was found; name one with BASE_PYTHON=/path/to/python3"
  say "making .venv from $python ($("$python" -V))"
  rm -rf .venv
  "$python" -m venv .venv
}

# Run pip install. On a terminal one line says what it does, and the rest is in a file,
# of which the end is shown where pip fails.
pip_install() {
  local log=.venv/setup.log columns line
  if [ ! -t 1 ]; then
    .venv/bin/python -m pip install "$@"
    return
  fi
  columns=$(tput cols 2>/dev/null || echo 80)
  if .venv/bin/python -m pip install "$@" 2>&1 | tee -a "$log" |
    while IFS= read -r line; do
      case $line in
      *Collecting* | *Downloading* | *Building* | *Installing*)
        printf '\r\033[K   %.*s' $((columns - 4)) "${line#"${line%%[! ]*}"}"
        ;;
      esac
    done; then
    printf '\r\033[K'
  else
    printf '\n'
    tail -n 8 "$log" >&2
    fail "pip failed; all that it said is in $log"
  fi
}

# The stamp is older than pyproject.toml when what GOAL needs may have changed.
install_python_packages() {
  local other
  for other in $done_by; do
    [ ".venv/.stamp-$other" -nt pyproject.toml ] && return
  done
  say "installing Python packages for '$goal', building the library"
  # An old pip wants wheel for packages that know only of setup.py, and may find no set of
  # versions where there is one.
  pip_install --upgrade pip
  local requires
  mapfile -t requires < <(.venv/bin/python - <<'PYTHON'
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")
PYTHON
  )
  pip_install wheel "${requires[@]}"
  touch .venv/.stamp-begun
  # As a line in a .pth file: setuptools' import hook would double Python's start-up.
  pip_install --no-build-isolation \
    --config-settings editable_mode=compat -e ".$extra"
  touch ".venv/.stamp-$goal"
  mv .venv/.stamp-begun .venv/.stamp-build
}

# Compile again only when a source is newer than the last build.
build_library() {
  local stamp=.venv/.stamp-build
  if [ -e "$stamp" ] && [ -e pybridge/libpybridge.so ] &&
    [ -z "$(find c setup.py -newer "$stamp" \( -name '*.[ch]' -o -name '*.py' -o -name '*.cdef' -o -name '*.map' \) \
      -print -quit)" ]; then
    return
  fi
  say "building the library"
  touch .venv/.stamp-begun
  .venv/bin/python setup.py -q build_ext --inplace
  mv .venv/.stamp-begun "$stamp"
}

# Where PYTHONDONTWRITEBYTECODE is set every start would compile the package anew.
compile_package() {
  .venv/bin/python -m compileall -q pybridge
}

install_packages
make_venv
install_python_packages
build_library
compile_package
