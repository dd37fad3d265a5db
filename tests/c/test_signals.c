/* test_signals.c: the host's signal handlers stay its own; Ctrl-C stops Python code. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "test.h"

static pyb_session session;

/* ---- The host's table ----------------------------------------------------------- */

static struct sigaction before[NSIG];
static volatile sig_atomic_t hosts_own;

static void host_handler(int number) {
  (void)number;
  hosts_own++;
}

static void host_action(int number, siginfo_t *info, void *machine) {
  (void)number, (void)info, (void)machine;
}

/* A host with handlers of all kinds. */
static void make_table(void) {
  struct sigaction plain = {.sa_handler = host_handler, .sa_flags = SA_RESTART};
  struct sigaction action = {.sa_sigaction = host_action, .sa_flags = SA_SIGINFO};
  struct sigaction ignored = {.sa_handler = SIG_IGN};

  sigaddset(&plain.sa_mask, SIGUSR2);
  sigaction(SIGINT, &plain, NULL);
  sigaction(SIGTERM, &plain, NULL);
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGCHLD, &action, NULL);
  sigaction(SIGHUP, &ignored, NULL);
  for (int number = 1; number < NSIG; number++)
    sigaction(number, NULL, &before[number]);
}

static int same_mask(const sigset_t *one, const sigset_t *other) {
  for (int number = 1; number < NSIG; number++)
    if (sigismember(one, number) != sigismember(other, number))
      return 0;
  return 1;
}

/* glibc adds this flag to whatever is set through it. */
#define RESTORER 0x04000000

/* The whole table: handler, mask and flags of each signal. */
static void check_table(void) {
  struct sigaction now;

  for (int number = 1; number < NSIG; number++) {
    sigaction(number, NULL, &now);
    if (now.sa_sigaction != before[number].sa_sigaction ||
        (now.sa_flags & ~RESTORER) != (before[number].sa_flags & ~RESTORER) ||
        !same_mask(&now.sa_mask, &before[number].sa_mask)) {
      printf("signal %d is not the host's any more\n", number);
      fflush(stdout);
      abort();
    }
  }
}

/* The start alone changes nothing. */
static void test_start_leaves_the_table(void) {
  OK(pyb_setup(NULL, &error));
  check_table();
}

/* Nor do imports, a thousand calls of both planes, and asyncio on either plane. */
static void test_calls_leave_the_table(void) {
  pyb_value value;

  OK(run(&session, "import asyncio, signal"));
  check_table();
  if (has_module("numpy") && has_module("pandas"))
    OK(run(&session, "import numpy, pandas"));
  check_table();
  for (int i = 0; i < 1000; i++) {
    OK(evaluate(&session, "1 + 1", &value));
    OK(pyb_get_variable(&session, "asyncio.__name__", NULL, &value, &error));
    pyb_value_release(&value);
  }
  check_table();
  OK(run(&session, "async def nothing(): await asyncio.sleep(0.001); return 5"));
  OK(run(&session, "asyncio.run(nothing())"));
  check_table();
  for (int i = 0; i < 3; i++) {
    OK(evaluate(&session, "asyncio.run(nothing())", &value));
    CHECK(value.integer == 5);
    check_table();
  }
  OK(run(&session, "import time; time.sleep(0.1)"));
  check_table();
  OK(evaluate(&session, "time.sleep(0.1)", &value));
  check_table();
  OK(run(&session, "import subprocess; subprocess.run(['true'], check=True)"));
  check_table();
}

/* What the user's own code does with SIGINT holds for Python, not for the host. */
static void test_user_handlers_leave_the_table(void) {
  pyb_value value;

  OK(run(&session, "old = signal.signal(signal.SIGINT, lambda *_: seen.append(1))\n"
                   "seen = []"));
  check_table();
  OK(evaluate(&session, "signal.signal(signal.SIGINT, old) and None", &value));
  check_table();
}

/* ---- Ctrl-C --------------------------------------------------------------------- */

/* Code calls tell() where it has come to what is to be stopped: however long it takes
 * to come there on a busy machine, SIGINT comes after that. */
static int told[2];
static double sent; /* when SIGINT was sent */

static void make_tell(const pyb_session *where) {
  char code[100];

  snprintf(code, sizeof code, "def tell():\n  import os\n  os.write(%d, b'.')\n",
           told[1]);
  OK(run(where, code));
}

/* A call that lasts takes SIGINT over from the host, which would have it before. */
static void wait_until_taken(void) {
  struct sigaction now;
  int ms = 0;

  do {
    pause_ms(1);
    CHECK(ms++ < 60000 && sigaction(SIGINT, NULL, &now) == 0);
  } while (now.sa_handler == host_handler);
}

static void interrupt_when_told(void) {
  struct pollfd pipe = {.fd = told[0], .events = POLLIN};
  char byte;

  CHECK(poll(&pipe, 1, 60000) == 1 && read(told[0], &byte, 1) == 1);
  wait_until_taken();
  pause_ms(30); /* for what is called next to begin */
  sent = seconds();
  kill(getpid(), SIGINT);
}

static void *interrupt(void *unused) {
  (void)unused;
  interrupt_when_told();
  return NULL;
}

/* Run code that tells, and send SIGINT then. Returns how long it went on after that. */
static double interrupted(const char *code, pyb_status *status) {
  pthread_t thread;

  CHECK(pthread_create(&thread, NULL, interrupt, NULL) == 0);
  *status = run(&session, code);
  pthread_join(thread, NULL);
  return seconds() - sent;
}

/* SIGINT ends a loop and cuts a sleep short; it is an error, and the next call works.
 */
static void test_sigint_stops_python(void) {
  static const char *const codes[] = {
      "tell()\nwhile True: pass",
      "import time; tell(); time.sleep(60)",
      "import threading; tell(); threading.Event().wait(60)",
      "import threading\nlock = threading.Lock()\nlock.acquire()\n"
      "tell(); lock.acquire()",
      "import select; tell(); select.select([], [], [], 60)",
      "import asyncio\nasync def long(): tell(); await asyncio.sleep(60)\n"
      "asyncio.run(long())",
      "import subprocess; tell(); subprocess.run(['sleep', '60'])",
  };

  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    pyb_status status;
    double took = interrupted(codes[i], &status);
    CHECK(status == PYB_INTERRUPTED && took < 1);
    CHECK(strcmp(error.type, "KeyboardInterrupt") == 0 && error.message[0] != '\0');
    check_table();
    for (int j = 0; j < 20; j++) {
      OK(run(&session, "x = 1"));
      CHECK(integer_of(&session, "sum(range(100))") == 4950);
    }
  }
  CHECK(hosts_own == 0);
}

/* Also where the loop runs on the data plane. */
static void test_sigint_stops_the_data_plane(void) {
  pthread_t thread;
  pyb_value value;

  OK(run(&session, "def loop():\n  tell()\n  while True: pass\n"));
  CHECK(pthread_create(&thread, NULL, interrupt, NULL) == 0);
  CHECK(evaluate(&session, "loop()", &value) == PYB_INTERRUPTED);
  pthread_join(thread, NULL);
  check_table();
  CHECK(hosts_own == 0);
}

/* Python code may handle it and go on. */
static void test_sigint_may_be_handled(void) {
  pyb_status status;

  interrupted(
      "import time\ntry:\n  tell()\n  time.sleep(60)\nexcept KeyboardInterrupt:\n"
      "  caught = 1\n",
      &status);
  CHECK(status == PYB_OK && integer_of(&session, "caught") == 1);
  check_table();
}

/* Outside a call SIGINT is the host's, and no later call hears of it. */
static void test_sigint_outside_is_the_hosts(void) {
  for (int i = 0; i < 10; i++) {
    raise(SIGINT);
    OK(run(&session, "x = 1"));
    OK(run(&session, "import time; time.sleep(0.03)"));
  }
  CHECK(hosts_own == 10);
  hosts_own = 0;
}

/* Seconds in which this process has had a processor: of those that a loop goes on for,
 * a busy machine takes none away and adds none. */
static double busy_seconds(void) {
  struct timespec used;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* A host that blocks SIGINT, as one does that waits for signals on a thread of its own,
 * has deadlines that work, and finds no SIGINT that nobody has sent. */
static void test_blocked_sigint_stays_the_hosts(void) {
  pyb_session limited = {.context = "limited", .deadline_ms = 50};
  sigset_t set, pending;
  pyb_value value;
  double start;

  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  OK(run(&limited, "def loop():\n  while True: pass\n"));
  for (int i = 0; i < 6; i++) {
    if (i % 2 == 0) /* else on the data plane, which has not been told of it */
      pthread_sigmask(SIG_BLOCK, &set, NULL);
    start = busy_seconds();
    if (i % 2 == 0)
      CHECK(run(&limited, "while True: pass") == PYB_DEADLINE);
    else
      CHECK(evaluate(&limited, "loop()", &value) == PYB_DEADLINE);
    CHECK(checked() || busy_seconds() - start < 0.4);
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGINT));
    pthread_sigmask(i % 2 ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    limited.deadline_ms = 0;
    OK(evaluate(&limited, "sum(range(100000))", &value));
    limited.deadline_ms = 50;
  }
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  CHECK(hosts_own == 0);
  check_table();
}

/* ---- Threads that are not Python's main one ------------------------------------- */

static void *sleep_in_python(void *status) {
  pyb_session own = {.context = "foreign"};

  *(pyb_status *)status =
      run(&own, "import time\ntell()\nfor i in range(3000): time.sleep(0.01)");
  return NULL;
}

static void *nap_in_python(void *status) {
  pyb_session own = {.context = "foreign"};

  *(pyb_status *)status =
      run(&own, "import time\nfor i in range(10): time.sleep(0.01)");
  return NULL;
}

/* SIGINT also stops a call on another thread, once: the calls after it run on. */
static void test_sigint_stops_a_foreign_thread_once(void) {
  pyb_session own = {.context = "foreign"};
  pthread_t thread;
  pyb_status status;

  make_tell(&own);
  CHECK(pthread_create(&thread, NULL, sleep_in_python, &status) == 0);
  interrupt_when_told();
  pthread_join(thread, NULL);
  CHECK(status == PYB_INTERRUPTED);
  check_table();
  for (int i = 0; i < 3; i++) {
    CHECK(pthread_create(&thread, NULL, nap_in_python, &status) == 0);
    pthread_join(thread, NULL);
    CHECK(status == PYB_OK);
  }
  check_table();
  OK(run(&session, "import time; time.sleep(0.05)"));
  CHECK(hosts_own == 0);
}

int main(void) {
  make_table();
  CHECK(pipe(told) == 0);
  RUN(test_start_leaves_the_table);
  RUN(test_calls_leave_the_table);
  RUN(test_user_handlers_leave_the_table);
  make_tell(&session);
  RUN(test_sigint_stops_python);
  RUN(test_sigint_stops_the_data_plane);
  RUN(test_sigint_may_be_handled);
  RUN(test_sigint_outside_is_the_hosts);
  RUN(test_blocked_sigint_stays_the_hosts);
  RUN(test_sigint_stops_a_foreign_thread_once);
  check_table();
  return 0;
}
