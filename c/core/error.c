/* error.c: filling and naming failures. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

const char *pyb_status_text(pyb_status status) {
  switch (status) {
#define X(name, number, text)                                                          \
  case PYB_##name:                                                                     \
    return text;
    PYB_STATUS_MAP(X)
#undef X
  }
  return "unknown status";
}

void pyb__copy_text(char *field, size_t room, const char *text, size_t size) {
  size_t kept = size;

  if (size >= room) {
    kept = room - 4;
    while (kept > 0 && ((unsigned char)text[kept] & 0xC0) == 0x80)
      kept--;
  }
  memcpy(field, text, kept);
  if (kept < size)
    memcpy(field + kept, "...", 4);
  else
    field[kept] = '\0';
}

pyb_status pyb__fail(pyb_error *error, pyb_status status, const char *format, ...) {
  char text[2 * sizeof error->message];
  va_list arguments;
  int size;

  if (error == NULL)
    return status;
  memset(error, 0, sizeof *error);
  error->status = status;
  va_start(arguments, format);
  size = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size < 0)
    size = 0;
  if ((size_t)size >= sizeof text)
    size = sizeof text - 1;
  pyb__copy_text(error->message, sizeof error->message, text, (size_t)size);
  return status;
}

pyb_status pyb__missing(pyb_error *error, const char *what) {
  return pyb__fail(error, PYB_BAD_ARGUMENT, "%s is missing (NULL)", what);
}
