/* load_local.c: a careful host: it loads the library with RTLD_LOCAL, without linking
 * anything of Python, runs code, closes the library and goes on.
 *
 *     load_local LIBRARY CODE
 *
 * Exit code: 0 = the code ran, before and after the library was closed and loaded anew.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <pybridge.h>

static int run(void *library, const char *code) {
  __typeof__(&pyb_execute_code) call;
  void *address = dlsym(library, "pyb_execute_code");
  pyb_error error;

  if (address == NULL)
    return 0;
  memcpy(&call, &address, sizeof call);
  if (call(NULL, code, PYB_NTS, NULL, &error) == PYB_OK)
    return 1;
  printf("%s: %s\n", error.type, error.message);
  return 0;
}

static void *on_thread(void *library) {
  return run(library, "import threading; threading.local().x = 1") ? library : NULL;
}

int main(int argc, char **argv) {
  struct timespec pause = {.tv_nsec = 100000000};
  pthread_t thread;
  void *library, *ran = NULL;

  if (argc != 3)
    return 2;
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL || !run(library, argv[2])) {
    printf("%s\n", library == NULL ? dlerror() : "the code failed");
    return 1;
  }
  if (pthread_create(&thread, NULL, on_thread, library) != 0)
    return 1;
  dlclose(library); /* while a thread is in it, and its watch is awake */
  pthread_join(thread, &ran);
  nanosleep(&pause, NULL);
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (ran == NULL || library == NULL || !run(library, argv[2]))
    return 1;
  dlclose(library);
  puts("ran");
  return 0;
}
