/* environment.c: which Python environment to start, and whether it will do. */
#include "bridge.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The python program that built the library: setup.py says so. */
#ifndef PYB_BUILD_PYTHON
#define PYB_BUILD_PYTHON ""
#endif

#define ROOM PYB__PATH_ROOM

static bool exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

static bool is_program(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0 &&
         strchr(path, '/') != NULL;
}

/* path = format(...); false = it does not fit. */
static bool PYB__PRINTF(2, 3) put(char path[ROOM], const char *format, ...) {
  va_list arguments;
  int size;

  va_start(arguments, format);
  size = vsnprintf(path, ROOM, format, arguments);
  va_end(arguments);
  return size >= 0 && size < ROOM;
}

/* Cut the last n components off a path. */
static void cut(char *path, int n) {
  while (n-- > 0) {
    char *slash = strrchr(path, '/');
    if (slash == NULL)
      return;
    *slash = '\0';
  }
}

/* The environment that the library was installed into, by the library's own place:
 * <prefix>/lib/python3.x/site-packages/pybridge/libpybridge.so. */
static bool find_installed(char path[ROOM]) {
  static const char *const folders[] = {"site-packages", "dist-packages"};
  static const char *const programs[] = {"python" PYB__PYTHON, "python3", "python"};
  const char *library = pyb__library_path((const void *)pyb_version);
  char prefix[PATH_MAX], tail[128];

  if (library == NULL || realpath(library, prefix) == NULL)
    return false;
  cut(prefix, 2);
  for (size_t i = 0; i < 2; i++) {
    size_t size = (size_t)snprintf(tail, sizeof tail, "/lib/python" PYB__PYTHON "/%s",
                                   folders[i]);
    size_t whole = strlen(prefix);
    if (whole <= size || strcmp(prefix + whole - size, tail) != 0)
      continue;
    prefix[whole - size] = '\0';
    for (size_t j = 0; j < 3; j++)
      if (put(path, "%.*s/bin/%s", ROOM - 64, prefix, programs[j]) &&
          access(path, X_OK) == 0)
        return true;
  }
  return false;
}

/* Read the text of `key` in a pyvenv.cfg; "" where it has none. Returns errno, 0 = the
 * file can be read. */
static int read_setting(const char *file, const char *key, char text[ROOM]) {
  FILE *settings = fopen(file, "re");
  char line[ROOM], *value, *end;

  text[0] = '\0';
  if (settings == NULL)
    return errno;
  while (fgets(line, sizeof line, settings) != NULL) {
    value = strchr(line, '=');
    if (value == NULL || strncmp(line, key, strlen(key)) != 0)
      continue;
    if (line[strlen(key)] != ' ' && line[strlen(key)] != '=')
      continue;
    for (value++; *value == ' '; value++)
      ;
    for (end = value + strlen(value); end > value && (unsigned char)end[-1] <= ' ';)
      *--end = '\0';
    put(text, "%s", value);
    break;
  }
  fclose(settings);
  return 0;
}

/* The minor version of the standard library below `prefix`, "" = none there. */
static void library_version(const char *prefix, char version[16]) {
  char path[ROOM];

  version[0] = '\0';
  for (int minor = 40; minor >= 0; minor--) {
    /* Ours first: several may lie side by side, as in /usr. */
    int this = minor == 40 ? PY_MINOR_VERSION : minor;
    if (put(path, "%s/lib/python3.%d/os.py", prefix, this) && exists(path)) {
      snprintf(version, 16, "3.%d", this);
      return;
    }
  }
}

static pyb_status wrong_version(const char *path, const char *version,
                                pyb_error *error) {
  return pyb__fail(error, PYB_START,
                   "\"%s\" is Python %s, this library was built for " PYB__PYTHON
                   "; choose a " PYB__PYTHON " environment with PYBRIDGE_PYTHON, or "
                   "install pybridge with that python",
                   path, version);
}

/* Is this a virtual environment of our version, and is what it was made from there? */
static pyb_status check_venv(const char *path, const char *settings, pyb_error *error) {
  char version[ROOM], home[ROOM], base[ROOM + 32];
  int unread = read_setting(settings, "version", version);
  char *dot;

  if (unread != 0)
    return pyb__fail(error, PYB_START, "\"%s\" cannot be read: %s", settings,
                     strerror(unread));
  if (version[0] == '\0')
    (void)read_setting(settings, "version_info", version);
  dot = strchr(version, '.');
  dot = dot == NULL ? NULL : strchr(dot + 1, '.');
  if (dot != NULL)
    *dot = '\0';
  if (version[0] != '\0' && strcmp(version, PYB__PYTHON) != 0)
    return wrong_version(path, version, error);
  (void)read_setting(settings, "home", home);
  if (home[0] == '\0')
    return pyb__fail(error, PYB_START,
                     "\"%s\" is broken: \"%s\" has no \"home\"; make the environment "
                     "anew with python" PYB__PYTHON " -m venv",
                     path, settings);
  put(base, "%.*s/python" PYB__PYTHON, ROOM - 32, home);
  if (!exists(base))
    put(base, "%.*s/python3", ROOM - 32, home);
  if (!exists(base))
    return pyb__fail(
        error, PYB_START,
        "\"%s\" is broken: it was made from the Python in \"%s\", which is "
        "gone; make the environment anew with python" PYB__PYTHON " -m venv",
        path, home);
  return PYB_OK;
}

static pyb_status check_base(const char *path, pyb_error *error) {
  char real[PATH_MAX], version[16];

  if (realpath(path, real) == NULL)
    put(real, "%.*s", ROOM - 1, path);
  cut(real, 2);
  library_version(real, version);
  if (version[0] == '\0')
    return pyb__fail(error, PYB_START,
                     "\"%s\" has no standard library in \"%s/lib\"; name the python "
                     "program of an environment (\".../bin/python\"), not a wrapper",
                     path, real);
  if (strcmp(version, PYB__PYTHON) != 0)
    return wrong_version(path, version, error);
  return PYB_OK;
}

static pyb_status check(const char *path, const char *source, pyb_error *error) {
  char settings[ROOM + 32], real[ROOM];

  if (!exists(path))
    return pyb__fail(error, PYB_START,
                     "there is no python at \"%s\" (%s); set PYBRIDGE_PYTHON to the "
                     "python program of an environment, \".../bin/python\"",
                     path, source);
  if (!is_program(path))
    return pyb__fail(error, PYB_START,
                     "\"%s\" (%s) is not a program; name \".../bin/python\"", path,
                     source);
  put(real, "%s", path);
  cut(real, 2);
  put(settings, "%.*s/pyvenv.cfg", ROOM - 32, real);
  return exists(settings) ? check_venv(path, settings, error) : check_base(path, error);
}

/* A PYTHONHOME that does not fit would end the start with "no module encodings". */
static pyb_status check_home(pyb_error *error) {
  const char *home = getenv("PYTHONHOME");
  char version[16];

  if (home == NULL || home[0] == '\0')
    return PYB_OK;
  library_version(home, version);
  if (strcmp(version, PYB__PYTHON) != 0)
    return pyb__fail(error, PYB_START,
                     "PYTHONHOME is \"%s\", where there is no Python " PYB__PYTHON
                     "; unset PYTHONHOME",
                     home);
  return PYB_OK;
}

pyb_status pyb__environment_find(const char *wanted, char path[ROOM],
                                 pyb_error *error) {
  const char *named = wanted == NULL ? getenv("PYBRIDGE_PYTHON") : wanted;
  const char *source = "from pyb_config";
  pyb_status status = check_home(error);

  path[0] = '\0';
  if (status != PYB_OK)
    return status;
  if (named != NULL && named[0] != '\0') {
    put(path, "%s", named);
    if (wanted == NULL)
      source = "from PYBRIDGE_PYTHON";
  } else if (find_installed(path)) {
    source = "where the library is installed";
  } else if (PYB_BUILD_PYTHON[0] != '\0') {
    put(path, "%s", PYB_BUILD_PYTHON);
    source = "which built the library";
  } else {
    return pyb__fail(
        error, PYB_START,
        "no Python environment is known; set PYBRIDGE_PYTHON to the python "
        "program of one, \".../bin/python\"");
  }
  return check(path, source, error);
}
