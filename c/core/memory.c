/* memory.c: the library's allocations, countable and able to fail on demand. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static atomic_llong live;

void pyb__live_add(int64_t change) {
  atomic_fetch_add_explicit(&live, change, memory_order_relaxed);
}

int64_t pyb_live(void) {
  return atomic_load_explicit(&live, memory_order_relaxed);
}

#ifdef PYB_TEST
/* Make the nth allocation from now on fail, and all after it where `on` is set;
 * 0 = none. Returns how many were asked for since the last call. */
PYB_API int64_t pyb_test_fail(int64_t nth, int on);

static atomic_llong asked, failing;
static atomic_int failing_on;

int64_t pyb_test_fail(int64_t nth, int on) {
  atomic_store(&failing, nth);
  atomic_store(&failing_on, on);
  return atomic_exchange(&asked, 0);
}

/* Does the allocation that asks now fail? A host's own ask too. */
bool pyb__test_fails(void);

bool pyb__test_fails(void) {
  long long nth = atomic_load(&failing);
  long long this = atomic_fetch_add(&asked, 1) + 1;
  return nth != 0 && (this == nth || (this > nth && atomic_load(&failing_on)));
}

static inline bool fails(void) {
  return pyb__test_fails();
}
#else
static inline bool fails(void) {
  return false;
}
#endif

void *pyb__malloc(size_t size) {
  return fails() ? NULL : malloc(size == 0 ? 1 : size);
}

void *pyb__calloc(size_t n, size_t size) {
  return fails() ? NULL : calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);
}

void pyb__free(void *memory) {
  free(memory);
}

/* Below this a buffer is cheaper on the heap than as pages. */
#define PAGES_FROM (256 * 1024)

void *pyb__buffer_resize(void *buffer, size_t old_size, size_t size) {
  void *grown;

  if (fails())
    return NULL;
  if (old_size >= PAGES_FROM)
    return pyb__pool_resize(buffer, size);
  if (size >= PAGES_FROM) {
    grown = pyb__pool_resize(NULL, size);
    if (grown != NULL && old_size != 0)
      memcpy(grown, buffer, old_size);
    if (grown != NULL)
      free(buffer);
    return grown;
  }
  return realloc(buffer, size == 0 ? 1 : size);
}

void pyb__buffer_free(void *buffer, size_t size) {
  if (buffer == NULL)
    return;
  if (size >= PAGES_FROM)
    pyb__pool_free(buffer);
  else
    free(buffer);
}
