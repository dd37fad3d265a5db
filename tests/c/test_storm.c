/* test_storm.c: deadlines, interrupts and SIGINT all at once, from everywhere. What is
 * stopped is stopped for a reason, and when the storm is over nothing is left of it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "test.h"

enum { THREADS = 6 };

static pyb_session sessions[THREADS + 1]; /* the last is the main thread's */
static atomic_int storming;
static atomic_long ended[13]; /* calls by status */
static volatile sig_atomic_t hosts_own;

static void host_handler(int number) {
  (void)number;
  hosts_own++;
}

/* One call after the other, of either plane, short and long, with and without a
 * deadline; all of them may be stopped, and for nothing else than that. */
static void call_in_storm(pyb_session *session, long i) {
  static const char *const codes[] = {
      "x = 1",
      "for i in range(3000): pass",
      "while True: pass",
      "import time; time.sleep(0.002)",
      "try:\n  while True: pass\nfinally:\n  x = 2",
      "try:\n  for i in range(100000): pass\nexcept BaseException:\n  x = 3",
  };
  long kind = i % (long)(sizeof codes / sizeof *codes);
  pyb_value value;
  pyb_status status;

  session->deadline_ms = kind == 2 || kind == 4 || i % 5 == 0 ? 1 + i % 4 : 0;
  if (i % 3 == 0) {
    status = evaluate(session, kind == 2 ? "loop()" : "sum(range(2000))", &value);
    CHECK(status != PYB_OK || value.integer == 1999000);
    pyb_value_release(&value);
  } else {
    status = run(session, codes[kind]);
  }
  CHECK(status == PYB_OK || status == PYB_DEADLINE || status == PYB_INTERRUPTED);
  CHECK(status == PYB_OK || (error.status == status && error.message[0] != '\0'));
  atomic_fetch_add(&ended[status], 1);
}

static void *calls(void *number) {
  pyb_session *session = &sessions[(uintptr_t)number];

  for (long i = (long)(uintptr_t)number; atomic_load(&storming); i++)
    call_in_storm(session, i);
  return NULL;
}

static void *interrupts(void *unused) {
  for (int i = 0; atomic_load(&storming); i++) {
    pyb_interrupt(&sessions[i % (THREADS + 1)]);
    pause_ms(3 + i % 7);
  }
  return unused;
}

static void *sends_sigint(void *unused) {
  while (atomic_load(&storming)) {
    kill(getpid(), SIGINT);
    pause_ms(29);
  }
  return unused;
}

/* Nothing stops calls that nobody has asked to stop. */
static void *calm_calls(void *number) {
  pyb_session *session = &sessions[(uintptr_t)number];
  pyb_value value;

  session->deadline_ms = 0;
  for (int i = 0; i < 5; i++) {
    OK(run(session, "import time\nfor i in range(4): time.sleep(0.01)"));
    OK(evaluate(session, "sum(range(2000))", &value));
    OK(evaluate(session, "time.sleep(0.03)", &value));
  }
  return NULL;
}

static void storm(void) {
  pthread_t threads[THREADS], others[2];
  double end = seconds() + (double)rounds(500, 5000) / 1000;

  atomic_store(&storming, 1);
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, calls, (void *)i) == 0);
  CHECK(pthread_create(&others[0], NULL, interrupts, NULL) == 0);
  CHECK(pthread_create(&others[1], NULL, sends_sigint, NULL) == 0);
  for (long i = 0; seconds() < end; i++)
    call_in_storm(&sessions[THREADS], i);
  atomic_store(&storming, 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  pthread_join(others[0], NULL);
  pthread_join(others[1], NULL);
}

static void calm(void) {
  pthread_t threads[THREADS];

  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, calm_calls, (void *)i) == 0);
  calm_calls((void *)(uintptr_t)THREADS);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
}

static void test_storm_leaves_nothing(void) {
  for (int i = 0; i < 4; i++) {
    storm();
    calm();
  }
  printf(
      "%ld calls ended well, %ld by deadline, %ld interrupted, %d signals the host's\n",
      atomic_load(&ended[PYB_OK]), atomic_load(&ended[PYB_DEADLINE]),
      atomic_load(&ended[PYB_INTERRUPTED]), (int)hosts_own);
  CHECK(atomic_load(&ended[PYB_OK]) > 0 && atomic_load(&ended[PYB_DEADLINE]) > 0);
}

/* The host's handler is back, and gets the next SIGINT. */
static void test_handler_is_back(void) {
  struct sigaction now;
  int before;

  sigaction(SIGINT, NULL, &now);
  CHECK(now.sa_handler == host_handler);
  before = hosts_own;
  raise(SIGINT);
  CHECK(hosts_own == before + 1);
}

int main(void) {
  struct sigaction action = {.sa_handler = host_handler};

  sigaction(SIGINT, &action, NULL);
  for (int i = 0; i <= THREADS; i++) {
    sessions[i].context = i % 2 ? "odd" : "even";
    OK(run(&sessions[i], "import time\ndef loop():\n  while True: pass\n"));
  }
  RUN(test_storm_leaves_nothing);
  RUN(test_handler_is_back);
  CHECK(pyb_live() == 0);
  return 0;
}
