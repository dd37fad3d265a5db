/* test_deadline.c: deadlines and interrupts, on Python's main thread and on others. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "test.h"

static double worst; /* ms beyond the deadline, or after the interrupt */

#define WITHIN_MS 100

/* A call that must be stopped, and for which status. Returns how long it took, ms. */
static double stopped(const pyb_session *session, const char *code, pyb_status wanted) {
  double start = seconds();
  pyb_status status = run(session, code);
  double took = (seconds() - start) * 1000;

  CHECK(status == wanted && error.status == wanted);
  return took;
}

static void in_time(double late) {
  if (late > worst)
    worst = late;
  CHECK(late >= -1 && late < WITHIN_MS);
}

static const char LOOP[] = "while True: pass";
static const char STUBBORN[] = "while True:\n"
                               "  try:\n"
                               "    while True: pass\n"
                               "  except Exception: pass\n";

/* The deadline stops pure Python within 100 ms and says so; the next call works. */
static void deadline_stops_python(void) {
  pyb_session session = {.context = "deadline", .deadline_ms = 50};

  for (int i = 0; i < 5; i++) {
    in_time(stopped(&session, i % 2 ? LOOP : STUBBORN, PYB_DEADLINE) - 50);
    CHECK(has(error.message, "50 ms") && has(error.type, "DeadlineExceeded"));
    OK(run(&session, "x = 1"));
    CHECK(integer_of(&session, "sum(range(1000))") == 499500);
  }
}

/* CPython 3.11 stands still under a profiler where a stop has left its flag up. */
static void code_runs_profiled_after_a_stop(void) {
  pyb_session session = {.context = "deadline", .deadline_ms = 50};

  stopped(&session, LOOP, PYB_DEADLINE);
  session.deadline_ms = 0;
  OK(run(&session, "import sys\n"
                   "seen = []\n"
                   "def f(): return 1\n"
                   "sys.setprofile(lambda frame, event, arg: seen.append(event))\n"
                   "try: f()\n"
                   "finally: sys.setprofile(None)\n"));
  CHECK(integer_of(&session, "'call' in seen and 'return' in seen") == 1);
}

/* Also on the data plane, where code is called per row. */
static void deadline_stops_the_data_plane(void) {
  pyb_session session = {.context = "deadline", .deadline_ms = 50};
  pyb_object *object;
  pyb_value value;
  double start;

  OK(run(&session, "def loop():\n  while True: pass\n"));
  start = seconds();
  CHECK(evaluate(&session, "loop()", &value) == PYB_DEADLINE);
  in_time((seconds() - start) * 1000 - 50);
  start = seconds();
  CHECK(pyb_call(&session, "loop", NULL, 0, NULL, 0, &value, &error) == PYB_DEADLINE);
  in_time((seconds() - start) * 1000 - 50);
  OK(pyb_object_get(&session, "loop", &object, &error));
  start = seconds();
  CHECK(pyb_object_call(&session, object, NULL, 0, &value, &error) == PYB_DEADLINE);
  in_time((seconds() - start) * 1000 - 50);
  pyb_object_release(object);
  CHECK(integer_of(&session, "1 + 1") == 2);
}

/* Code that swallows whatever stops it is stopped again. */
static void stubborn_code_is_stopped(void) {
  pyb_session session = {.context = "deadline", .deadline_ms = 50};

  CHECK(stopped(&session,
                "n = 0\nwhile n < 3:\n  try:\n    while True: pass\n"
                "  except BaseException: n += 1\n"
                "while True: pass\n",
                PYB_DEADLINE) < 1000);
  OK(run(&session, "x = 1"));
}

/* A call that is over in time is left alone, and so is the next one, which lasts longer
 * than the first was allowed to. */
static void no_deadline_no_stop(void) {
  pyb_session session = {.context = "deadline", .deadline_ms = 400};

  for (int i = 0; i < 4; i++)
    OK(run(&session, "import time\nfor i in range(4): time.sleep(0.01)"));
  session.deadline_ms = 0;
  OK(run(&session, "import time\nfor i in range(50): time.sleep(0.01)"));
  session.deadline_ms = INT64_MAX;
  OK(run(&session, "import time\nfor i in range(5): time.sleep(0.01)"));
  session.deadline_ms = INT64_MIN;
  OK(run(&session, "import time\nfor i in range(5): time.sleep(0.01)"));
  session.deadline_ms = 5; /* and whatever was allowed before, this is in time */
  in_time(stopped(&session, LOOP, PYB_DEADLINE) - 5);
  session.deadline_ms = 1;
  for (int i = 0; i < 300; i++) /* at the very edge: either way, but cleanly */
    if (run(&session, "for i in range(20000): pass") != PYB_OK)
      CHECK(error.status == PYB_DEADLINE);
  session.deadline_ms = 0;
  for (int i = 0; i < 50; i++)
    OK(run(&session, "for i in range(20000): pass"));
}

/* One call of about `ms`, which makes a text. Returns whether it was stopped. */
static bool is_stopped(const pyb_session *session, double ms) {
  const pyb_session free = {.context = session->context};
  pyb_value value = {.type = PYB_FLOAT64, .real = ms / 1000};
  int64_t live = pyb_live();
  pyb_status status;

  OK(pyb_set_variable(&free, "length", &value, &error));
  status = pyb_simple_string(session,
                             "end = now() + length\n"
                             "while now() < end: pass\n"
                             "x = 'text' * 100",
                             PYB_NTS, "x", NULL, &value, &error);
  if (status == PYB_OK)
    CHECK(value.size == 400);
  else
    CHECK(status == PYB_DEADLINE && error.status == status && value.release == NULL);
  pyb_value_release(&value);
  CHECK(pyb_live() == live);
  return status != PYB_OK;
}

/* The end of a call, its result and its stop may coincide: never a wrong answer, and
 * nothing leaks. How late a stop comes is the machine's affair, so the length of the
 * calls looks for it: a call that has ended makes the next one longer, one that was
 * stopped makes it shorter. */
static void edges_leak_nothing(void) {
  pyb_session session = {.context = "deadline"};
  int stops = 0, ends = 0;
  double ms = 0;

  OK(run(&session, "from time import perf_counter as now"));
  while (stops < 30 || ends < 30) {
    session.deadline_ms = 1 + (stops + ends) % 3;
    if (is_stopped(&session, ms)) {
      stops++;
      ms *= 0.8;
    } else {
      ends++;
      ms = ms * 1.2 + 0.5;
    }
    CHECK(ms < 10000 && stops < 5000); /* else there are never stops, or no ends */
  }
}

/* ---- Interrupts ----------------------------------------------------------------- */

typedef struct interrupting {
  const pyb_session *session;
  double at;
} interrupting;

static void *interrupt_soon(void *data) {
  interrupting *job = data;

  pause_ms(60);
  job->at = seconds();
  pyb_interrupt(job->session);
  return NULL;
}

static void interrupt_stops_python(void) {
  pyb_session session = {.context = "deadline"}, other = {0};
  interrupting job = {.session = &session};

  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, interrupt_soon, &job) == 0);
    CHECK(run(&session, i % 2 ? LOOP : STUBBORN) == PYB_INTERRUPTED);
    pthread_join(thread, NULL);
    in_time((seconds() - job.at) * 1000);
    CHECK(error.message[0] != '\0');
    pyb_interrupt(&session); /* no call: nothing happens, nor to the next one */
    pyb_interrupt(&other);
    OK(run(&session, "import time\nfor i in range(5): time.sleep(0.01)"));
  }
}

static int asked;

static int wants_stop(void *host) {
  return ++asked > *(int *)host;
}

/* The host's own wish to stop is asked for while a call lasts. */
static void host_may_ask_to_stop(void) {
  static const pyb_services services = {.size = sizeof services,
                                        .interrupted = wants_stop};
  int patience = 3;
  pyb_session session = {.services = &services, .host = &patience};

  asked = 0;
  CHECK(stopped(&session, LOOP, PYB_INTERRUPTED) < 300);
  CHECK(asked > 3);
  patience = 1 << 30;
  OK(run(&session, "x = 1"));
}

static int wants_stop_later(void *host) {
  return seconds() > *(double *)host;
}

/* What was stopped at its deadline says so, also where it lasts on and the host then
 * asks it to stop too: one that was told of the deadline may do so. */
static void deadline_stays_the_reason(void) {
  static const pyb_services services = {.size = sizeof services,
                                        .interrupted = wants_stop_later};
  double later;
  pyb_session session = {.services = &services, .host = &later, .deadline_ms = 30};

  later = seconds() + 0.06;
  stopped(&session,
          "import time\n"
          "end = time.monotonic() + 0.15\n"
          "while time.monotonic() < end:\n"
          "  try:\n"
          "    while time.monotonic() < end: pass\n"
          "  except BaseException: pass\n"
          "while True: pass\n",
          PYB_DEADLINE);
}

/* ---- Nesting -------------------------------------------------------------------- */

static pyb_session inner = {.context = "inner"};

static pyb_status run_inner(void *host, const char *sql, size_t size,
                            const pyb_value *params, const char *const *names, size_t n,
                            int64_t *changes, pyb_error *out) {
  (void)host, (void)params, (void)names, (void)n;
  *changes = 1;
  return pyb_execute_code(&inner, sql, size, NULL, out);
}

static const pyb_services nesting = {.size = sizeof nesting, .execute = run_inner};

/* An inner call that runs over its own deadline leaves the outer one its time. */
static void inner_deadline_is_the_inner_calls(void) {
  pyb_session outer = {.context = "outer", .services = &nesting};

  inner.deadline_ms = 40;
  OK(run(&outer, "from pybridge import _plane\n"
                 "import time\n"
                 "try:\n"
                 "  _plane.host_execute('while True: pass', None)\n"
                 "except BaseException as exc:\n"
                 "  kind = type(exc).__name__\n"
                 "for i in range(30): time.sleep(0.01)\n"));
  CHECK(integer_of(&outer, "kind == 'DeadlineExceeded'") == 1);
  outer.deadline_ms = 5000;
  OK(run(&outer, "try:\n"
                 "  _plane.host_execute('while True: pass', None)\n"
                 "except BaseException as exc:\n"
                 "  kind = type(exc).__name__\n"
                 "for i in range(20): time.sleep(0.01)\n"));
}

/* The outer deadline stops the inner call and itself. */
static void outer_deadline_stops_the_inner_call(void) {
  pyb_session outer = {.context = "outer", .services = &nesting, .deadline_ms = 50};

  OK(run(&outer, "from pybridge import _plane"));
  inner.deadline_ms = 10000;
  in_time(
      stopped(&outer, "_plane.host_execute('while True: pass', None)", PYB_DEADLINE) -
      50);
  inner.deadline_ms = 0;
  in_time(
      stopped(&outer, "_plane.host_execute('while True: pass', None)", PYB_DEADLINE) -
      50);
}

/* ---- Python's main thread alone ------------------------------------------------- */

/* There a sleep is cut short, and code that turns SIGINT off stops all the same. */
static void test_main_thread_waits_are_cut_short(void) {
  pyb_session session = {.deadline_ms = 50};

  in_time(stopped(&session, "import time; time.sleep(60)", PYB_DEADLINE) - 50);
  in_time(
      stopped(&session, "import threading; threading.Event().wait(60)", PYB_DEADLINE) -
      50);
  CHECK(stopped(&session,
                "import signal\n"
                "old = signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
                "try:\n"
                "  while True: pass\n"
                "finally: signal.signal(signal.SIGINT, old)",
                PYB_DEADLINE) < 400);
  CHECK(stopped(&session,
                "while True:\n"
                "  try:\n"
                "    while True: pass\n"
                "  except KeyboardInterrupt: pass\n",
                PYB_DEADLINE) < 400);
  session.deadline_ms = 0;
  OK(run(&session, "import time; time.sleep(0.3)"));
}

static void both(void) {
  deadline_stops_python();
  code_runs_profiled_after_a_stop();
  deadline_stops_the_data_plane();
  stubborn_code_is_stopped();
  no_deadline_no_stop();
  edges_leak_nothing();
  interrupt_stops_python();
  host_may_ask_to_stop();
  deadline_stays_the_reason();
  inner_deadline_is_the_inner_calls();
  outer_deadline_stops_the_inner_call();
}

static void test_main_thread(void) {
  worst = 0;
  both();
  printf("main thread: at worst %.1f ms late\n", worst);
}

static void *on_thread(void *unused) {
  both();
  return unused;
}

static void test_foreign_thread(void) {
  pthread_t thread;

  worst = 0;
  CHECK(pthread_create(&thread, NULL, on_thread, NULL) == 0);
  pthread_join(thread, NULL);
  printf("foreign thread: at worst %.1f ms late\n", worst);
}

/* ---- Work of the host ----------------------------------------------------------- */

static atomic_int told; /* how often the host was told to stop */

static void tell(void *host) {
  (void)host;
  atomic_fetch_add(&told, 1);
}

static void wait_until_told(int times) {
  for (int i = 0; i < 5000 && atomic_load(&told) < times; i++)
    pause_ms(1);
  CHECK(atomic_load(&told) >= times);
}

static void *interrupt_work(void *session) {
  pause_ms(20);
  pyb_interrupt(session);
  return NULL;
}

/* Work of a host is told to stop at its deadline and by pyb_interrupt, and its end says
 * so; work that nobody stops ends as it does. */
static void test_work_of_the_host_is_stopped(void) {
  pyb_services services = {.size = sizeof services, .interrupt = tell};
  pyb_session session = {.services = &services, .deadline_ms = 30};
  pthread_t other;
  pyb_work work;

  OK(pyb_work_begin(&session, &work, &error));
  wait_until_told(2);
  CHECK(pyb_work_end(&work, PYB_HOST, &error) == PYB_DEADLINE);
  CHECK(has(error.message, "30 ms") && has(error.type, "DeadlineExceeded"));

  session.deadline_ms = 0;
  atomic_store(&told, 0);
  OK(pyb_work_begin(&session, &work, &error));
  CHECK(pthread_create(&other, NULL, interrupt_work, &session) == 0);
  wait_until_told(1);
  CHECK(pyb_work_end(&work, PYB_OK, &error) == PYB_INTERRUPTED);
  pthread_join(other, NULL);

  atomic_store(&told, 0);
  OK(pyb_work_begin(&session, &work, &error));
  CHECK(pyb_work_end(&work, PYB_HOST, &error) == PYB_HOST);
  OK(pyb_work_begin(&session, &work, &error));
  OK(pyb_work_end(&work, PYB_OK, &error));
  CHECK(atomic_load(&told) == 0);
  CHECK(pyb_work_begin(NULL, &work, &error) == PYB_BAD_ARGUMENT);
}

int main(void) {
  OK(pyb_setup(NULL, &error));
  RUN(test_main_thread);
  RUN(test_main_thread_waits_are_cut_short);
  RUN(test_foreign_thread);
  RUN(test_work_of_the_host_is_stopped);
  CHECK(pyb_live() == 0);
  return 0;
}
