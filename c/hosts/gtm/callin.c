/* callin.c: what M does for the Python code that it calls: globals, code, output.
 *
 * M is called through GT.M's call-in interface, at one label of the routine ^pybcall.
 * GT.M forbids it in a transaction, beyond ten levels, and on other threads. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gtm.h"

#define MOST_ARGUMENTS 4
#define MOST_LEVELS 10 /* GT.M's own limit */

typedef int (*call_in)(const char *name, ...);

static struct {
  call_in call;
  void (*status)(char *text, int size);
  int level;
  char result[PYB__GTM_LONGEST];
  char problem[8192];
} m;

/* Python's output that could not be written at once. */
static struct {
  char *text;
  size_t size, capacity;
} held;

pyb_status pyb__gtm_refuse(pyb_error *error, pyb_status status, const char *format,
                           ...) {
  va_list arguments;

  memset(error, 0, sizeof *error);
  error->status = status;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}

/* The interface is in the program that has loaded us. Its table is the one that the
 * environment names, else the one beside the library. */
static bool find_m(void) {
  Dl_info library;
  const char *slash;
  char table[4096];

  if (m.call != NULL)
    return true;
  if (getenv("GTMCI") == NULL && dladdr((const void *)find_m, &library) != 0) {
    slash = strrchr(library.dli_fname, '/');
    snprintf(table, sizeof table, "%.*s/gtm/pybridge.ci",
             slash == NULL ? 1 : (int)(slash - library.dli_fname),
             slash == NULL ? "." : library.dli_fname);
    setenv("GTMCI", table, 1);
  }
  *(void **)&m.call = dlsym(RTLD_DEFAULT, "gtm_ci");
  *(void **)&m.status = dlsym(RTLD_DEFAULT, "gtm_zstatus");
  return m.call != NULL && m.status != NULL;
}

/* May M be called now? */
static pyb_status check(const pyb__gtm *host, pyb_error *error) {
  if (!find_m())
    return pyb__gtm_refuse(error, PYB_HOST, "this process is not GT.M");
  if (pyb__gtm_forked())
    return pyb__gtm_refuse(error, PYB_FORKED,
                           "M cannot be called in a process that Python has forked");
  if (host->in_transaction)
    return pyb__gtm_refuse(error, PYB_HOST,
                           "M cannot be called inside a transaction ($TLEVEL is above "
                           "0): read before TSTART, write after TCOMMIT");
  if (m.level >= MOST_LEVELS)
    return pyb__gtm_refuse(error, PYB_HOST,
                           "M and Python call each other %d levels deep, which is "
                           "GT.M's limit",
                           MOST_LEVELS);
  return PYB_OK;
}

/* Call ^pybcall with a verb and its arguments. What M answers is in m.result. */
static pyb_status call_m(const char *verb, const pyb__gtm_string *arguments, long *size,
                         pyb_error *error) {
  pyb__gtm_string name = {.length = (long)strlen(verb), .address = (char *)verb};
  pyb__gtm_string result = {.length = sizeof m.result, .address = m.result};
  pyb__gtm_string problem = {.length = sizeof m.problem, .address = m.problem};
  int failed;

  m.level++;
  pyb__gtm_signals_lend();
  failed = m.call("pybridge", &result, &problem, &name, &arguments[0], &arguments[1],
                  &arguments[2], &arguments[3]);
  pyb__gtm_signals_return();
  m.level--;
  if (failed != 0) {
    m.status(m.problem, sizeof m.problem);
    m.problem[sizeof m.problem - 1] = '\0';
    return pyb__gtm_refuse(error, PYB_HOST, "GT.M: %s", m.problem);
  }
  if (problem.length > 0)
    return pyb__gtm_refuse(error, PYB_HOST, "GT.M: %.*s", (int)problem.length,
                           problem.address);
  *size = result.length;
  return PYB_OK;
}

/* ---- Services -------------------------------------------------------------------- */

static void hold(const char *text, size_t size) {
  if (size > held.capacity - held.size) {
    size_t capacity = 2 * (held.size + size);
    char *grown = pyb__gtm_resize(held.text, capacity);

    if (grown == NULL)
      return;
    held.text = grown;
    held.capacity = capacity;
  }
  memcpy(held.text + held.size, text, size);
  held.size += size;
}

/* To the current device of M, so that it comes in order with what M writes. */
static void output(void *data, int stream, const char *text, size_t size) {
  pyb__gtm *host = data;
  pyb_error error;
  long ignored;

  if (stream == 2 || pyb__gtm_forked()) {
    FILE *file = stream == 2 ? stderr : stdout;

    fwrite(text, 1, size, file);
    fflush(file);
    return;
  }
  if (held.size != 0 || check(host, &error) != PYB_OK) {
    hold(text, size);
    return;
  }
  while (size != 0) {
    size_t piece = pyb__gtm_cut(text, size, PYB__GTM_LONGEST / 2);
    pyb__gtm_string arguments[MOST_ARGUMENTS] = {
        {.length = (long)piece, .address = (char *)text}};

    if (call_m("write", arguments, &ignored, &error) != PYB_OK) {
      hold(text, size);
      return;
    }
    text += piece;
    size -= piece;
  }
}

/* output: gtm_long_t pyb_gtm_output(O:gtm_string_t*[64]): what could not be written
 * when Python printed it, a piece at a time; how much is left after it. */
PYB_API long pyb_gtm_output(int count, pyb__gtm_string *text) {
  static char piece[PYB__GTM_LONGEST / 2];
  size_t size =
      held.text == NULL ? 0 : pyb__gtm_cut(held.text, held.size, sizeof piece);

  if (count < 1)
    return 0;
  memcpy(piece, held.text == NULL ? "" : held.text, size);
  text->address = piece;
  text->length = (long)size;
  held.size -= size;
  memmove(held.text == NULL ? piece : held.text,
          held.text == NULL ? piece : held.text + size, held.size);
  return (long)held.size;
}

static pyb_status call(void *data, const char *verb, const pyb_value *args, size_t n,
                       pyb_value *result, pyb_error *error) {
  char numbers[MOST_ARGUMENTS][PYB__GTM_NUMBER];
  pyb__gtm_string arguments[MOST_ARGUMENTS] = {{0}};
  pyb_status status = check(data, error);
  long size = 0;
  char *copy;

  if (status != PYB_OK)
    return status;
  if (n > MOST_ARGUMENTS)
    return pyb__gtm_refuse(error, PYB_BAD_ARGUMENT, "\"%s\" has %d arguments at most",
                           verb, MOST_ARGUMENTS);
  for (size_t i = 0; i < n; i++) {
    size_t length;

    arguments[i].address = (char *)pyb__gtm_dump(&args[i], numbers[i], &length);
    arguments[i].length = (long)length;
    if (length > PYB__GTM_LONGEST)
      return pyb__gtm_refuse(error, PYB_TOO_LARGE,
                             "a string of M has %d bytes at most, this has %zu",
                             PYB__GTM_LONGEST, length);
  }
  status = call_m(verb, arguments, &size, error);
  if (status != PYB_OK)
    return status;
  copy = pyb__gtm_malloc((size_t)size + 1);
  if (copy == NULL)
    return pyb__gtm_refuse(error, PYB_NO_MEMORY, "no memory for what M gave");
  memcpy(copy, m.result, (size_t)size);
  copy[size] = '\0';
  *result = (pyb_value){
      .type = PYB_BLOB, .data = copy, .size = (size_t)size, .release = pyb__gtm_free};
  return PYB_OK;
}

void pyb__gtm_lend(pyb_services *services) {
  *services = (pyb_services){.size = sizeof *services,
                             .name = "gtm",
                             .output = output,
                             .call = call,
                             .interrupted = pyb__gtm_signals_ending,
                             .signal = pyb__gtm_signals_keep};
}
