/* test_nomemory.c: Python's own allocations made to fail in turn while the library uses
 * them: each call gives its answer or an error, nothing stays live, the next one works.
 */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "test.h"

/* As in Python's own header, which the tests do without. */
typedef struct {
  void *ctx;
  void *(*malloc)(void *ctx, size_t size);
  void *(*calloc)(void *ctx, size_t n, size_t size);
  void *(*realloc)(void *ctx, void *memory, size_t size);
  void (*free)(void *ctx, void *memory);
} allocator;

enum { DOMAINS = 3 };

static allocator real[DOMAINS], failing[DOMAINS];
static long countdown; /* allocations until one fails; 0 = none does */

static int fails(void) {
  return countdown != 0 && --countdown == 0;
}

static void *failing_malloc(void *ctx, size_t size) {
  allocator *a = ctx;
  return fails() ? NULL : a->malloc(a->ctx, size);
}

static void *failing_calloc(void *ctx, size_t n, size_t size) {
  allocator *a = ctx;
  return fails() ? NULL : a->calloc(a->ctx, n, size);
}

static void *failing_realloc(void *ctx, void *memory, size_t size) {
  allocator *a = ctx;
  return fails() ? NULL : a->realloc(a->ctx, memory, size);
}

static void failing_free(void *ctx, void *memory) {
  allocator *a = ctx;
  a->free(a->ctx, memory);
}

static void take_allocators(void) {
  void (*get)(int, allocator *), (*set)(int, allocator *);
  void *found[2] = {dlsym(RTLD_DEFAULT, "PyMem_GetAllocator"),
                    dlsym(RTLD_DEFAULT, "PyMem_SetAllocator")};

  CHECK(found[0] != NULL && found[1] != NULL);
  memcpy(&get, &found[0], sizeof get);
  memcpy(&set, &found[1], sizeof set);
  for (int domain = 1; domain < DOMAINS; domain++) { /* not what holds the GIL's own */
    get(domain, &real[domain]);
    failing[domain] = (allocator){&real[domain], failing_malloc, failing_calloc,
                                  failing_realloc, failing_free};
    set(domain, &failing[domain]);
  }
}

static pyb_session session = {.context = "none"};

static void done(pyb_status status) {
  CHECK(status == PYB_OK || error.status == status);
  CHECK(status == PYB_OK || error.message[0] != '\0' || error.type[0] != '\0');
}

static void take(pyb_status status, pyb_value *value) {
  done(status);
  CHECK(status == PYB_OK || (value->type == PYB_NULL && value->release == NULL));
  pyb_value_release(value);
}

/* The library's own C on the data plane, and its crossing of the seam. */
static void scenario(void) {
  static const char *const names[] = {"b"};
  pyb_value args[3] = {
      int_value(1000000), text_value("a text"), {.type = PYB_FLOAT64, .real = 0.5}};
  pyb_object *object;
  pyb_value value;

  take(evaluate(&session, "[1, 2, 3][0] + 100000", &value), &value);
  take(pyb_call(&session, "f", args, 3, NULL, 0, &value, &error), &value);
  take(pyb_call(&session, "f", args, 3, names, 1, &value, &error), &value);
  take(evaluate(&session, "1 / 0", &value), &value);
  take(pyb_get_variable(&session, "text", NULL, &value, &error), &value);
  done(pyb_set_variable(&session, "v", &args[1], &error));
  done(run(&session, "x = 1"));
  if (pyb_object_get(&session, "text.upper", &object, &error) == PYB_OK) {
    take(pyb_object_call(&session, object, NULL, 0, &value, &error), &value);
    take(pyb_object_call_row(&session, object, NULL, 0, &value, &error), &value);
    pyb_object_release(object);
  }
}

static void test_each_allocation_of_python_may_fail(void) {
  int64_t live = pyb_live();
  long nth = 1;

  for (;; nth++) {
    countdown = nth;
    scenario();
    if (countdown != 0) /* there were not as many */
      break;
    CHECK(pyb_live() == live);
    scenario();
    CHECK(integer_of(&session, "6 * 7") == 42);
  }
  countdown = 0;
  printf("%ld allocations\n", nth - 1);
  CHECK(nth > 50);
}

int main(void) {
  OK(run(&session, "def f(a, b='b', c=0): return b\ntext = 'text' * 10"));
  for (int i = 0; i < 3; i++)
    scenario();
  take_allocators();
  RUN(test_each_allocation_of_python_may_fail);
  return 0;
}
