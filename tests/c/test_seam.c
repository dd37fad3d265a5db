/* test_seam.c: the first crossing comes while its caller is told to stop. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "test.h"

static pyb_session session;
static atomic_bool crossing;

/* Tell the outer call to stop, for as long as the inner one loads cffi's half. */
static void *pester(void *unused) {
  (void)unused;
  while (atomic_load(&crossing)) {
    pyb_interrupt(&session);
    usleep(200);
  }
  return NULL;
}

static pyb_status cross(void *host, const char *sql, size_t size,
                        const pyb_value *params, const char *const *names, size_t n,
                        int64_t *changes, pyb_error *failure) {
  pthread_t thread;
  pyb_status status;

  (void)host, (void)sql, (void)size, (void)params, (void)names, (void)n, (void)changes;
  atomic_store(&crossing, true);
  pthread_create(&thread, NULL, pester, NULL);
  usleep(30000); /* the stop is asked for, and sent, before the crossing */
  status = pyb_execute_code(&session, "crossed = 1", PYB_NTS, NULL, failure);
  atomic_store(&crossing, false);
  pthread_join(thread, NULL);
  return status;
}

/* A stop may end the calls, but not the control plane. */
static void test_stop_does_not_break_the_crossing(void) {
  static const pyb_services services = {
      .size = sizeof services, .name = "test", .execute = cross};
  pyb_value result;
  pyb_status status;

  session.services = &services;

  status = evaluate(&session, "__import__('pybridge.host').host.execute('x')", &result);

  CHECK(status == PYB_OK || status == PYB_INTERRUPTED);
  pyb_value_release(&result);
  OK(run(&session, "after = 2"));
  CHECK(integer_of(&session, "after") == 2);
}

int main(void) {
  RUN(test_stop_does_not_break_the_crossing);
  return 0;
}
