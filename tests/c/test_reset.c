/* test_reset.c: finalize and setup, many times, with extension modules loaded. */
#include "test.h"

static pyb_session session, other = {.context = "other"};

/* What a user does between two resets; nothing is left over from the last one. */
static void use(int i) {
  pyb_value value, n = int_value(i);
  pyb_object *object;

  OK(pyb_setup(NULL, &error));
  CHECK(evaluate(&session, "f", &value) == PYB_UNDEFINED);
  CHECK(pyb_get_variable(&other, "kept", NULL, &value, &error) == PYB_UNDEFINED);
  OK(run(&session, "import math, decimal\n"
                   "def f(x): return x + 1\n"
                   "class Cycle: pass\n"
                   "cycle = Cycle(); cycle.self = cycle; cycle.f = f\n"
                   "big = list(range(10000))\n"));
  OK(pyb_set_variable(&other, "kept", &n, &error));
  OK(pyb_call(&session, "f", &n, 1, NULL, 0, &value, &error));
  CHECK(value.integer == i + 1);
  CHECK(evaluate(&session, "1 / 0", &value) == PYB_PYTHON);
  OK(pyb_object_get(&session, "f", &object, &error));
  pyb_object_release(object);
}

static void use_frames(void) {
  OK(run(&session, "import numpy, pandas\n"
                   "frame = pandas.DataFrame({'a': numpy.arange(1000)})\n"
                   "total = int(frame['a'].sum())"));
  CHECK(integer_of(&session, "total") == 499500);
}

static void rounds_of(long n, int frames) {
  long start = 0, grown;

  for (long i = 0; i < n; i++) {
    use((int)i);
    if (frames && (i < 4 || i % 4 == 0 || getenv("PYB_SOAK") != NULL))
      use_frames();
    OK(pyb_finalize(&error));
    CHECK(pyb_live() == 0);
    if (i == n / 4) /* by now all caches have their size */
      start = resident();
  }
  grown = resident() - start;
  printf("%ld rounds%s: grown by %ld KiB in the last three quarters\n", n,
         frames ? " with numpy and pandas" : "", grown);
  CHECK(grown < 3072);
}

/* A thousand rounds, and memory does not grow. */
static void test_resets_do_not_grow(void) {
  rounds_of(rounds(1000, 1000), 0);
}

/* Also with numpy and pandas loaded and used in each. */
static void test_resets_keep_extension_modules(void) {
  if (has_module("numpy") && has_module("pandas"))
    rounds_of(rounds(1000, 1000), 1);
}

/* An object with a destructor that raises, prints, or looks around is dropped. */
static void test_reset_survives_destructors(void) {
  for (int i = 0; i < 50; i++) {
    OK(run(&other, "import sys\n"
                   "sys.unraisablehook = lambda *_: None\n"
                   "class Last:\n"
                   "  def __del__(self):\n"
                   "    globals()['again'] = Last\n"
                   "    raise ValueError('late')\n"
                   "one = Last(); two = [one, Last()]"));
    OK(pyb_finalize(&error));
  }
  OK(run(&session, "import sys; sys.unraisablehook = sys.__unraisablehook__"));
}

/* Modules of the user are read anew after a reset. */
static void test_user_modules_are_forgotten(void) {
  char code[200], folder[] = "/tmp/pyb_reset_XXXXXX";

  CHECK(mkdtemp(folder) != NULL);
  snprintf(code, sizeof code, "import sys; sys.path.insert(0, '%s')\nfolder = '%s'",
           folder, folder);
  for (int i = 0; i < 3; i++) {
    OK(run(&session, code));
    OK(pyb_set_variable(&session, "i", (pyb_value[]){int_value(i)}, &error));
    OK(run(&session, "sys.dont_write_bytecode = True\n"
                     "open(folder + '/pyb_mine.py', 'w').write(f'number = {i}')\n"
                     "import pyb_mine"));
    CHECK(integer_of(&session, "pyb_mine.number") == i);
    OK(pyb_finalize(&error));
  }
  OK(run(&session, code));
  OK(run(&session, "import shutil; sys.path.remove(folder); shutil.rmtree(folder)"));
}

int main(void) {
  RUN(test_resets_do_not_grow);
  RUN(test_resets_keep_extension_modules);
  RUN(test_reset_survives_destructors);
  RUN(test_user_modules_are_forgotten);
  return 0;
}
