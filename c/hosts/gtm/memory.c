/* memory.c: the host's allocations; in a build for tests they are counted, and fail on
 * demand as the library's own do. */
#include <stdlib.h>

#include "gtm.h"

#ifdef PYB_TEST
/* Is this allocation one that is to fail? In the library's own memory.c. */
bool pyb__test_fails(void);

/* How many there are now. */
PYB_API int64_t pyb_test_gtm_live(void);

static int64_t live;

int64_t pyb_test_gtm_live(void) {
  return live;
}

void *pyb__gtm_resize(void *memory, size_t size) {
  void *grown = pyb__test_fails() ? NULL : realloc(memory, size);

  live += grown != NULL && memory == NULL;
  return grown;
}

void pyb__gtm_free(void *memory) {
  live -= memory != NULL;
  free(memory);
}
#else
void *pyb__gtm_resize(void *memory, size_t size) {
  return realloc(memory, size);
}

void pyb__gtm_free(void *memory) {
  free(memory);
}
#endif

void *pyb__gtm_malloc(size_t size) {
  return pyb__gtm_resize(NULL, size);
}
