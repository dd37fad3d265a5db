/* test_fork.c: a fork before the first use works, one after it is an error. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "test.h"

/* Run `work` in a child with a time limit; its exit code, or -1 = killed. */
static int in_child(void (*work)(void)) {
  int status;
  pid_t child = fork();

  CHECK(child >= 0);
  if (child == 0) {
    alarm(20); /* a hang is a failure, not the end of the test machine */
    work();
    exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void first_use(void) {
  pyb_value value;

  OK(evaluate(NULL, "6 * 7", &value));
  CHECK(value.integer == 42);
}

/* The library is there, tables have been made, Python has not been started. */
static void test_fork_before_first_use_works(void) {
  pyb_table *table;

  OK(pyb_table_new(1, &table, &error));
  CHECK(in_child(first_use) == 0);
  CHECK(in_child(first_use) == 0);
  pyb_table_release(table);
}

static void refused(void) {
  pyb_session session = {.context = "child"};
  pyb_value value;

  for (int i = 0; i < 3; i++) {
    CHECK(evaluate(&session, "1", &value) == PYB_FORKED);
    CHECK(run(&session, "1") == PYB_FORKED);
    CHECK(pyb_setup(NULL, &error) == PYB_FORKED && has(error.message, "fork"));
    CHECK(pyb_finalize(&error) == PYB_FORKED);
  }
  pyb_interrupt(&session);
}

/* After it every call is an error that says so; what needs no Python works on, and the
 * child ends with its own exit code. */
static void test_fork_after_first_use_is_refused(void) {
  first_use();
  CHECK(in_child(refused) == 0);
  first_use();
}

static pyb_object *object;
static pyb_value text;

static void releases(void) {
  pyb_table *table;

  pyb_object_release(object);
  pyb_value_release(&text);
  OK(pyb_table_new(1, &table, &error));
  OK(pyb_column_int64(pyb_table_column(table, 0), 1));
  pyb_table_release(table);
  CHECK(pyb_live() == 0);
}

/* What was given out before may be released in the child. */
static void test_child_may_release(void) {
  OK(pyb_object_get(NULL, "len", &object, &error));
  OK(evaluate(NULL, "'text'", &text));
  CHECK(in_child(releases) == 0);
  pyb_object_release(object);
  pyb_value_release(&text);
}

static pyb_handle list;

static void uses_handle(void) {
  int64_t length;

  CHECK(pyb_handle_length(NULL, list, &length, &error) == PYB_FORKED);
  CHECK(pyb_handle_release(NULL, list, &error) == PYB_FORKED);
  pyb_value_release(&text);
}

/* A handle is the parent's, and so is one that a value owns. */
static void test_child_may_not_use_handles(void) {
  OK(pyb_handle_of(NULL, "[]", &list, &error));
  OK(pyb_handle_call(NULL, list, "copy", NULL, 0, NULL, 0, PYB_AS_FITS, &text, &error));
  CHECK(in_child(uses_handle) == 0);
  CHECK(pyb_handle_count() == 2);
  pyb_value_release(&text);
  OK(pyb_handle_release(NULL, list, &error));
}

static volatile int going = 1;

static void *keep_calling(void *unused) {
  while (going)
    OK(run(NULL, "for i in range(1000): pass"));
  return unused;
}

/* Also while other threads are in Python, hold the GIL, and the watch is awake. */
static void test_fork_while_threads_call(void) {
  pthread_t threads[3];

  for (int i = 0; i < 3; i++)
    CHECK(pthread_create(&threads[i], NULL, keep_calling, NULL) == 0);
  for (int i = 0; i < 100; i++)
    CHECK(in_child(refused) == 0);
  going = 0;
  for (int i = 0; i < 3; i++)
    pthread_join(threads[i], NULL);
}

/* Python code that forks: the child of os.fork may end itself, or come back into the
 * host's program, which is refused then. */
static void test_python_may_fork(void) {
  for (int i = 0; i < 30; i++) {
    pid_t parent = getpid();
    pyb_status status;

    OK(run(NULL, "import os\n"
                 "pid = os.fork()\n"
                 "if pid == 0: os._exit(7)\n"
                 "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n"));
    status = run(NULL, "import os, time\ntime.sleep(0.012)\nchild = os.fork()\n");
    if (getpid() != parent) {
      alarm(20);
      CHECK(status == PYB_OK);
      refused();
      exit(0);
    }
    CHECK(status == PYB_OK);
    OK(run(NULL, "assert os.waitpid(child, 0)[1] == 0, 'the child'"));
  }
}

/* A program that is executed anew starts its own Python. */
static void test_exec_starts_anew(void) {
  OK(run(NULL, "import subprocess, sys\n"
               "out = subprocess.run([sys.executable, '-c', 'print(6 * 7)'],\n"
               "                     capture_output=True, check=True).stdout"));
  CHECK(integer_of(NULL, "int(out)") == 42);
}

int main(void) {
  RUN(test_fork_before_first_use_works);
  RUN(test_fork_after_first_use_is_refused);
  RUN(test_child_may_release);
  RUN(test_child_may_not_use_handles);
  RUN(test_fork_while_threads_call);
  RUN(test_python_may_fork);
  RUN(test_exec_starts_anew);
  return 0;
}
