/* probe.c: the smallest host, which `python -m pybridge doctor` runs: it loads the
 * library as a careful host does (RTLD_LOCAL, no libpython of its own) and evaluates
 * one expression.
 *
 *     probe LIBRARY EXPRESSION
 *
 * It prints "library VERSION ABI PYTHON", then "result TEXT" or "error TEXT". Exit
 * code: 0 = result, 1 = the call failed, 2 = the library could not be loaded.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "pybridge.h"

static void *library;

/* Copy the address of a function; ISO C has no cast from an object pointer to it. */
static int find(const char *name, void *function) {
  void *address = dlsym(library, name);

  memcpy(function, &address, sizeof address);
  if (address == NULL)
    printf("error %s\n", dlerror());
  return address != NULL;
}

static int evaluate(const char *expression) {
  __typeof__(&pyb_evaluate) call;
  pyb_session session = {0};
  pyb_value result;
  pyb_error error;

  if (!find("pyb_evaluate", &call))
    return 2;
  if (call(&session, expression, PYB_NTS, "str", &result, &error) != PYB_OK) {
    printf("error %s%s%s\n", error.type, error.type[0] ? ": " : "", error.message);
    return 1;
  }
  printf("result %.*s\n", (int)result.size, result.data);
  result.release((void *)result.data);
  return 0;
}

int main(int argc, char **argv) {
  __typeof__(&pyb_version) version, python;
  __typeof__(&pyb_abi) abi;

  if (argc != 3) {
    fprintf(stderr, "usage: probe LIBRARY EXPRESSION\n");
    return 2;
  }
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    printf("error %s\n", dlerror());
    return 2;
  }
  if (!find("pyb_version", &version) || !find("pyb_abi", &abi) ||
      !find("pyb_python_version", &python))
    return 2;
  printf("library %s %d %s\n", version(), abi(), python());
  fflush(stdout);
  return evaluate(argv[2]);
}
