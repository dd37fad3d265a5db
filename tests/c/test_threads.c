/* test_threads.c: many host threads, most of which Python has never seen. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "test.h"

enum { THREADS = 16 };

/* One mixed call; the answer tells whether it went to the right context. */
static void mixed_call(pyb_session *session, long i) {
  pyb_value args[2] = {int_value(i), int_value(1)}, value;
  pyb_object *object;

  switch (i % 8) {
  case 0:
    OK(evaluate(session, "mine", &value));
    CHECK(value.integer == (int64_t)(uintptr_t)session->host);
    break;
  case 1:
    OK(pyb_call(session, "add", args, 2, NULL, 0, &value, &error));
    CHECK(value.integer == i + 1);
    break;
  case 2:
    OK(pyb_execute_code(session, "x = [i for i in range(3)]; x[2]", PYB_NTS, "y",
                        &error));
    break;
  case 3:
    OK(pyb_set_variable(session, "z", &args[0], &error));
    OK(pyb_get_variable(session, "z", "str", &value, &error));
    CHECK(value.type == PYB_TEXT && atol(value.data) == i);
    pyb_value_release(&value);
    break;
  case 4:
    CHECK(evaluate(session, "1 / 0", &value) == PYB_PYTHON);
    CHECK(strcmp(error.message, "division by zero") == 0);
    break;
  case 5:
    OK(pyb_object_get(session, "add", &object, &error));
    OK(pyb_object_call(session, object, args, 2, &value, &error));
    CHECK(value.integer == i + 1);
    pyb_object_release(object);
    break;
  case 6:
    OK(evaluate(session, "'text' * 10", &value));
    CHECK(value.size == 40);
    pyb_value_release(&value);
    break;
  default:
    CHECK(pyb_get_variable(session, "nobody", NULL, &value, &error) == PYB_UNDEFINED);
  }
}

static void *many_calls(void *number) {
  char name[20];
  pyb_session session = {.context = name, .host = number};
  pyb_value mine = int_value((int64_t)(uintptr_t)number);
  long n = rounds(10000, 10000);

  snprintf(name, sizeof name, "thread%d", (int)(uintptr_t)number);
  OK(run(&session, "def add(a, b): return a + b"));
  OK(pyb_set_variable(&session, "mine", &mine, &error));
  for (long i = 0; i < n; i++)
    mixed_call(&session, i);
  return NULL;
}

static void on_threads(void *(*work)(void *)) {
  pthread_t threads[THREADS];

  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
}

/* Sixteen threads start Python at once: one does, all are served. */
static void *first_call(void *unused) {
  pyb_value value;

  OK(pyb_evaluate(NULL, "6 * 7", PYB_NTS, NULL, &value, &error));
  CHECK(value.integer == 42);
  return unused;
}

static void test_threads_start_python_together(void) {
  on_threads(first_call);
  CHECK(integer_of(NULL, "__import__('threading').active_count() >= 1") == 1);
}

/* Mixed calls from all of them, each in its own context. */
static void test_threads_do_not_mix(void) {
  on_threads(many_calls);
}

/* Each thread that ends takes its thread state along. */
static void test_threads_come_and_go(void) {
  pthread_t thread;
  int64_t states;
  long n = rounds(300, 5000), grown;

  OK(run(NULL, "import sys, threading\nlocal = threading.local()"));
  states = integer_of(NULL, "len(sys._current_frames())");
  grown = resident();
  for (long i = 0; i < n; i++) {
    CHECK(pthread_create(&thread, NULL, first_call, NULL) == 0);
    pthread_join(thread, NULL);
  }
  CHECK(integer_of(NULL, "len(sys._current_frames())") == states);
  grown = resident() - grown;
  CHECK(grown < 2048);
}

/* What a thread's own Python objects do at its end may call nothing, nor hang. */
static void *with_local(void *unused) {
  OK(run(NULL, "class Last:\n"
               "  def __del__(self):\n"
               "    ended.append(1)\n"
               "    raise ValueError('late')\n"
               "local.last = Last()"));
  return unused;
}

static void test_thread_end_runs_destructors(void) {
  OK(run(NULL, "ended = []\nimport sys\nhook = sys.unraisablehook\n"
               "sys.unraisablehook = lambda *_: None"));
  on_threads(with_local);
  CHECK(integer_of(NULL, "len(ended)") == THREADS);
  OK(run(NULL, "sys.unraisablehook = hook"));
}

/* Python's own threads may call back into the host's library. */
static void test_python_threads_may_call(void) {
  char code[400];

  snprintf(code, sizeof code,
           "import ctypes, threading\n"
           "call = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(%llu)\n"
           "ts = [threading.Thread(target=lambda: [call(None) for i in range(50)])\n"
           "      for i in range(8)]\n"
           "[t.start() for t in ts]; [t.join() for t in ts]\n",
           (unsigned long long)(uintptr_t)&first_call);
  OK(run(NULL, code));
}

/* A stop is for the thread that calls, not for one that its code has just started. */
static void *starts_threads(void *unused) {
  pyb_session session = {.deadline_ms = 12};

  for (long i = rounds(25, 1000); i > 0; i--)
    CHECK(run(&session, "start()") == PYB_DEADLINE);
  return unused;
}

static void test_stops_leave_alone_what_threads_begin(void) {
  pthread_t thread;

  OK(run(NULL, "import _thread, sys\n"
               "ran, lost, started, hook = [], [], 0, sys.unraisablehook\n"
               "sys.unraisablehook = lambda one: lost.append(str(one.object))\n"
               "def work(): ran.append(1)\n"
               "def start():\n"
               "    global started\n"
               "    while True:\n"
               "        if started - len(ran) - len(lost) < 40:\n"
               "            _thread.start_new_thread(work, ())\n"
               "            started += 1\n"));
  CHECK(pthread_create(&thread, NULL, starts_threads, NULL) == 0);
  pthread_join(thread, NULL);
  OK(run(NULL, "sys.unraisablehook = hook"));
  CHECK(integer_of(NULL, "len(lost)") == 0);
}

/* What a row has lent is its thread's own: no other thread changes it, nor the end of
 * one that has been lent something. */
static void *many_texts(void *number) {
  char wanted[40], context[20];
  pyb_session session = {.context = context};
  pyb_object *text;
  pyb_value value;
  long n = rounds(2000, 200);

  snprintf(context, sizeof context, "texts%d", (int)(uintptr_t)number);
  OK(run(&session, "def text(i): return f'{i} of a thread' + 'é' * (i % 3 == 0)"));
  OK(pyb_object_get(&session, "text", &text, &error));
  for (long i = 0; i < n; i++) {
    pyb_value arg = int_value((int64_t)(uintptr_t)number * 100000 + i);
    OK(pyb_object_call_row(&session, text, &arg, 1, &value, &error));
    CHECK(value.release == NULL);
    snprintf(wanted, sizeof wanted, "%lld of a thread%s", (long long)arg.integer,
             arg.integer % 3 == 0 ? "é" : "");
    sched_yield();
    CHECK(value.size == strlen(wanted) && strcmp(value.data, wanted) == 0);
  }
  pyb_object_release(text);
  return NULL;
}

static void test_threads_have_their_texts_lent(void) {
  on_threads(many_texts);
  many_texts((void *)(uintptr_t)THREADS);
}

/* Resets on one thread while the others call: results or errors, never a crash. */
static atomic_int resetting;

static void *calls_during_resets(void *number) {
  char name[20];
  pyb_session session = {.context = name};
  pyb_value value, args[1] = {int_value(1)};

  snprintf(name, sizeof name, "reset%d", (int)(uintptr_t)number % 3);
  while (atomic_load(&resetting)) {
    (void)!run(&session, "def one(x): return [str(i) for i in range(20)] and x");
    if (pyb_call(&session, "one", args, 1, NULL, 0, &value, &error) != PYB_OK)
      CHECK(error.status == PYB_UNDEFINED);
    if (evaluate(&session, "one(2) + len(globals())", &value) != PYB_OK)
      CHECK(error.status == PYB_UNDEFINED);
  }
  return NULL;
}

static void *resets(void *unused) {
  for (int i = 0; i < 200; i++)
    OK(pyb_finalize(&error));
  atomic_store(&resetting, 0);
  return unused;
}

static void test_resets_on_another_thread(void) {
  pthread_t thread;

  atomic_store(&resetting, 1);
  CHECK(pthread_create(&thread, NULL, resets, NULL) == 0);
  on_threads(calls_during_resets);
  pthread_join(thread, NULL);
}

int main(void) {
  RUN(test_threads_start_python_together);
  RUN(test_threads_do_not_mix);
  RUN(test_threads_come_and_go);
  RUN(test_thread_end_runs_destructors);
  RUN(test_python_threads_may_call);
  RUN(test_stops_leave_alone_what_threads_begin);
  RUN(test_threads_have_their_texts_lent);
  RUN(test_resets_on_another_thread);
  CHECK(pyb_live() == 0);
  return 0;
}
