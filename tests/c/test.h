/* test.h: what the C tests share: checks that say what was not so, and short calls. */
#ifndef PYB_TEST_H
#define PYB_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pybridge.h>

static _Thread_local pyb_error error; /* of the last call that was given it */

#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      printf("%s:%d: not so: %s [status %d, %s: %s]\n", __FILE__, __LINE__,            \
             #condition, (int)error.status, error.type, error.message);                \
      fflush(stdout);                                                                  \
      _exit(1);                                                                        \
    }                                                                                  \
  } while (0)

#define OK(call) CHECK((call) == PYB_OK)

/* Run one test and say so. */
#define RUN(test)                                                                      \
  do {                                                                                 \
    memset(&error, 0, sizeof error);                                                   \
    test();                                                                            \
    puts(#test ": ok");                                                                \
    fflush(stdout);                                                                    \
  } while (0)

/* ---- Short calls ---------------------------------------------------------------- */

static inline pyb_value text_value(const char *text) {
  return (pyb_value){.type = PYB_TEXT, .data = text, .size = strlen(text)};
}

static inline pyb_value int_value(int64_t integer) {
  return (pyb_value){.type = PYB_INT64, .integer = integer};
}

static inline pyb_status run(const pyb_session *session, const char *code) {
  return pyb_execute_code(session, code, PYB_NTS, NULL, &error);
}

static inline pyb_status evaluate(const pyb_session *session, const char *expression,
                                  pyb_value *result) {
  return pyb_evaluate(session, expression, PYB_NTS, NULL, result, &error);
}

/* The integer that an expression gives. */
static inline int64_t integer_of(const pyb_session *session, const char *expression) {
  pyb_value value;

  OK(evaluate(session, expression, &value));
  CHECK(value.type == PYB_INT64 || value.type == PYB_BOOL);
  return value.integer;
}

static inline int is_bytes(const pyb_value *value, pyb_type type, const char *bytes,
                           size_t size) {
  return value->type == type && value->size == size &&
         memcmp(value->data, bytes, size) == 0;
}

static inline int is_text(const pyb_value *value, const char *text) {
  return is_bytes(value, PYB_TEXT, text, strlen(text));
}

/* Is `part` in `text`? */
static inline int has(const char *text, const char *part) {
  return strstr(text, part) != NULL;
}

static inline int has_module(const char *name) {
  pyb_session session = {0};
  char text[200];

  snprintf(text, sizeof text,
           "__import__('importlib.util').util.find_spec('%s') != None", name);
  return (int)integer_of(&session, text);
}

/* ---- Measures ------------------------------------------------------------------- */

static inline double seconds(void) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void pause_ms(int ms) {
  struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

  nanosleep(&pause, NULL);
}

/* Are we watched by a tool that is slow, and keeps memory that was freed? */
static inline int checked(void) {
  return getenv("PYB_CHECKED") != NULL;
}

/* Resident memory in KiB; under such a tool it says nothing, and is 0. */
static inline long resident(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long whole = 0, pages = 0;

  if (file == NULL || checked() || fscanf(file, "%ld %ld", &whole, &pages) != 2)
    pages = 0;
  if (file != NULL)
    fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* How often a counted test runs: `few`, or `many` where PYB_SOAK is set, and less where
 * PYB_QUICK is, on the Pythons that are not the first. */
static inline long rounds(long few, long many) {
  if (checked())
    return few / 50;
  if (getenv("PYB_QUICK") != NULL)
    return few / 10;
  return getenv("PYB_SOAK") != NULL ? many : few;
}

#endif /* PYB_TEST_H */
