/* exit_in_call.c: a host that ends while another of its threads is in Python.
 *
 *     exit_in_call CODE
 *
 * Exit code: 7.
 */
#include <pthread.h>

#include "test.h"

static void *call(void *code) {
  (void)!run(NULL, code);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t thread;

  CHECK(argc == 2);
  OK(run(NULL, "import atexit\natexit.register(print, 'at exit', flush=True)"));
  CHECK(pthread_create(&thread, NULL, call, argv[1]) == 0);
  pause_ms(30);
  return 7;
}
