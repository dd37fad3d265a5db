/* seam.c: the top of the file that cffi generates; build.py puts it there. */

#include "../core/internal.h"
#include "seam.h"

static int cffi_start_python(void);

int pyb__seam_start(void) {
  return cffi_start_python();
}

const char *pyb__session_context(uintptr_t session) {
  const pyb_session *given = (const pyb_session *)session;
  return given == NULL || given->context == NULL ? "" : given->context;
}

uint32_t pyb__session_flags(uintptr_t session) {
  const pyb_session *given = (const pyb_session *)session;
  return given == NULL ? 0 : given->flags;
}

size_t pyb__value_size(void) {
  return sizeof(pyb_value);
}
