/* callout.c: what GT.M calls: one entry for all that happens once a statement.
 *
 * M's side of it is the routine ^pybridge. A call names a verb and gives it strings;
 * what does not fit into them (long code, typed arguments) is handed over beforehand,
 * by "feed" and "argument". The answer is 0, or the status of a failure; where a result
 * is longer than a string of M, minus the number of its pieces. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gtm.h"

#define MOST_ARGUMENTS 8
#define NAME_SIZE 4096 /* of a name or a path, with its NUL */

pyb__gtm pyb__gtm_host;

/* ---- What is handed over before the call that uses it ---------------------------- */

typedef struct handed {
  char *code; /* what was fed, with a NUL behind it */
  size_t code_size;
  pyb_value *arguments; /* each owns its data */
  char **names;         /* of those that have one; they come last */
  size_t n, n_names;
} handed;

/* For the next call, which takes it: while that runs, M may hand over more. */
static handed waiting;

static void drop(handed *given) {
  pyb__gtm_free(given->code);
  for (size_t i = 0; i < given->n; i++)
    pyb_value_release(&given->arguments[i]);
  for (size_t i = 0; i < given->n_names; i++)
    pyb__gtm_free(given->names[i]);
  pyb__gtm_free(given->arguments);
  pyb__gtm_free(given->names);
  memset(given, 0, sizeof *given);
}

/* ---- A call ---------------------------------------------------------------------- */

typedef struct request {
  const pyb__gtm_string *arguments[MOST_ARGUMENTS];
  int n;
  pyb_value *result;
  pyb_error *error;
  char *names[MOST_ARGUMENTS]; /* the arguments that were wanted NUL-terminated */
  handed handed;
} request;

static pyb_status refuse(request *r, pyb_status status, const char *message) {
  return pyb__gtm_refuse(r->error, status, "%s", message);
}

static const pyb_session *session(void) {
  return &pyb__gtm_host.session;
}

static bool given(const request *r, int i) {
  return i < r->n && r->arguments[i]->length > 0;
}

/* Argument i as a NUL-terminated string; NULL in *text where it is missing or empty. */
static pyb_status want(request *r, int i, const char **text) {
  const pyb__gtm_string *argument;

  *text = NULL;
  if (!given(r, i))
    return PYB_OK;
  argument = r->arguments[i];
  if (memchr(argument->address, '\0', (size_t)argument->length) != NULL)
    return refuse(r, PYB_BAD_ARGUMENT, "a name or option has $CHAR(0) in it");
  r->names[i] = pyb__gtm_malloc((size_t)argument->length + 1);
  if (r->names[i] == NULL)
    return refuse(r, PYB_NO_MEMORY, "no memory for an argument");
  memcpy(r->names[i], argument->address, (size_t)argument->length);
  r->names[i][argument->length] = '\0';
  *text = r->names[i];
  return PYB_OK;
}

/* Arguments first, first + 1 ...: a place for each, then NULL. */
__attribute__((sentinel)) static pyb_status want_all(request *r, int first,
                                                     const char **place, ...) {
  pyb_status status = PYB_OK;
  va_list places;

  va_start(places, place);
  for (; place != NULL; place = va_arg(places, const char **)) {
    *place = NULL;
    if (status == PYB_OK)
      status = want(r, first++, place);
  }
  va_end(places);
  return status;
}

/* What a serialization is called: also by the original's numbers, in any case. */
static pyb_status want_form(request *r, int i, const char **form) {
  pyb_status status = want(r, i, form);

  if (status != PYB_OK || *form == NULL)
    return status;
  for (char *c = r->names[i]; *c != '\0'; c++)
    if (*c >= 'A' && *c <= 'Z')
      *c = (char)(*c - 'A' + 'a');
  if (strcmp(*form, "0") == 0)
    *form = "str";
  else if (strcmp(*form, "1") == 0)
    *form = "repr";
  else if (strcmp(*form, "value") == 0)
    *form = NULL;
  return PYB_OK;
}

/* The code: what was fed, else argument i. */
static const char *code_of(const request *r, int i, size_t *size) {
  if (r->handed.code != NULL) {
    *size = r->handed.code_size;
    return r->handed.code;
  }
  *size = given(r, i) ? (size_t)r->arguments[i]->length : 0;
  return *size == 0 ? "" : r->arguments[i]->address;
}

/* ---- Verbs ----------------------------------------------------------------------- */

/* feed(piece): more of the code that the next verb is to run. */
static pyb_status feed(request *r) {
  size_t size = given(r, 0) ? (size_t)r->arguments[0]->length : 0;
  char *grown = pyb__gtm_resize(waiting.code, waiting.code_size + size + 1);

  if (grown == NULL)
    return refuse(r, PYB_NO_MEMORY, "no memory for the code");
  if (size != 0)
    memcpy(grown + waiting.code_size, r->arguments[0]->address, size);
  waiting.code = grown;
  waiting.code_size += size;
  grown[waiting.code_size] = '\0';
  return PYB_OK;
}

/* A value of M's, with a copy of its data. */
static pyb_status take_value(request *r, int i, int type, pyb_value *value) {
  const char *why = "", *data = given(r, i) ? r->arguments[i]->address : "";
  size_t size = given(r, i) ? (size_t)r->arguments[i]->length : 0;
  char letter = given(r, type) ? r->arguments[type]->address[0] : '+';
  char *copy;

  if ((given(r, type) && r->arguments[type]->length != 1) ||
      strchr(PYB__GTM_KINDS "j", letter) == NULL || letter == '-')
    return refuse(r, PYB_BAD_ARGUMENT,
                  "the type of a value is one letter of +bdtmifnsxj");
  if (pyb__gtm_load(data, size, letter == 'j' ? PYB__GTM_TEXT : (pyb__gtm_kind)letter,
                    value, &why) != PYB_OK) {
    char message[512];
    snprintf(message, sizeof message, "\"%.*s\" is not of type \"%c\": %s",
             (int)(size < 100 ? size : 100), data, letter, why);
    return refuse(r, PYB_UNSUPPORTED, message);
  }
  if (value->type != PYB_TEXT && value->type != PYB_BLOB && value->type != PYB_DECIMAL)
    return PYB_OK;
  if (letter == 'j')
    value->type = PYB_JSON;
  copy = pyb__gtm_malloc(value->size + 1);
  if (copy == NULL) {
    *value = PYB_EMPTY;
    return refuse(r, PYB_NO_MEMORY, "no memory for a value");
  }
  memcpy(copy, value->data, value->size);
  copy[value->size] = '\0';
  value->data = copy;
  value->release = pyb__gtm_free;
  return PYB_OK;
}

/* argument(value, type, name): one more for the next call; those with a name last. */
static pyb_status argument(request *r) {
  pyb_value *values =
      pyb__gtm_resize(waiting.arguments, (waiting.n + 1) * sizeof *values);
  const char *name;
  pyb_status status;

  if (values == NULL)
    return refuse(r, PYB_NO_MEMORY, "no memory for an argument");
  waiting.arguments = values;
  status = want(r, 2, &name);
  if (status == PYB_OK && name == NULL && waiting.n_names != 0)
    status = refuse(r, PYB_BAD_ARGUMENT,
                    "positional arguments come before those with a name");
  if (status == PYB_OK && name != NULL) {
    char **names =
        pyb__gtm_resize(waiting.names, (waiting.n_names + 1) * sizeof *names);
    if (names == NULL)
      return refuse(r, PYB_NO_MEMORY, "no memory for an argument");
    waiting.names = names;
  }
  if (status == PYB_OK)
    status = take_value(r, 0, 1, &values[waiting.n]);
  if (status != PYB_OK)
    return status;
  waiting.n++;
  if (name != NULL) {
    waiting.names[waiting.n_names++] = r->names[2];
    r->names[2] = NULL; /* moved */
  }
  return PYB_OK;
}

/* simple_string(code, variable, serialization) */
static pyb_status simple_string(request *r) {
  const char *variable, *form, *code;
  size_t size;
  pyb_status status = want(r, 1, &variable);

  if (status == PYB_OK)
    status = want_form(r, 2, &form);
  if (status != PYB_OK)
    return status;
  code = code_of(r, 0, &size);
  return pyb_simple_string(session(), code, size, variable, form, r->result, r->error);
}

/* execute_code(code, variable) */
static pyb_status execute_code(request *r) {
  const char *variable, *code;
  size_t size;
  pyb_status status = want(r, 1, &variable);

  if (status != PYB_OK)
    return status;
  code = code_of(r, 0, &size);
  return pyb_execute_code(session(), code, size, variable, r->error);
}

/* evaluate(expression, serialization) */
static pyb_status evaluate(request *r) {
  const char *form, *code;
  size_t size;
  pyb_status status = want_form(r, 1, &form);

  if (status != PYB_OK)
    return status;
  code = code_of(r, 0, &size);
  return pyb_evaluate(session(), code, size, form, r->result, r->error);
}

/* execute_function(function, variable, serialization[, args, kwargs]): with what was
 * handed over; or with JSON, an array and an object. */
static pyb_status execute_function(request *r) {
  const char *function, *variable, *form, *args, *kwargs;
  pyb_status status = want_all(r, 0, &function, &variable, NULL);

  if (status == PYB_OK)
    status = want_form(r, 2, &form);
  if (status == PYB_OK)
    status = want(r, 3, &args);
  if (status == PYB_OK)
    status = want(r, 4, &kwargs);
  if (status != PYB_OK)
    return status;
  if (args == NULL && kwargs == NULL)
    return pyb_execute_function_args(session(), function, r->handed.arguments,
                                     r->handed.n, (const char *const *)r->handed.names,
                                     r->handed.n_names, variable, form, r->result,
                                     r->error);
  if (r->handed.n != 0)
    return refuse(r, PYB_BAD_ARGUMENT,
                  "arguments come as an array of M or as JSON, here are both");
  return pyb_execute_function(session(), function, args, kwargs, variable, form,
                              r->result, r->error);
}

/* get_variable(variable, serialization) */
static pyb_status get_variable(request *r) {
  const char *variable, *form;
  pyb_status status = want(r, 0, &variable);

  if (status == PYB_OK)
    status = want_form(r, 1, &form);
  return status != PYB_OK
             ? status
             : pyb_get_variable(session(), variable, form, r->result, r->error);
}

/* set_variable(variable, value, type): what was fed is a value too, as text. */
static pyb_status set_variable(request *r) {
  const char *variable;
  pyb_value value = PYB_EMPTY;
  pyb_status status = want(r, 0, &variable);

  if (status == PYB_OK && r->handed.code == NULL) {
    status = take_value(r, 1, 2, &value);
  } else if (status == PYB_OK) {
    char letter = given(r, 2) ? r->arguments[2]->address[0] : 's';
    value.type = letter == 'x' ? PYB_BLOB : letter == 'j' ? PYB_JSON : PYB_TEXT;
    value.data = r->handed.code;
    value.size = r->handed.code_size;
  }
  if (status == PYB_OK)
    status = pyb_set_variable(session(), variable, &value, r->error);
  pyb_value_release(&value);
  return status;
}

/* get_variable_info(variable, serialization): JSON */
static pyb_status get_variable_info(request *r) {
  const char *variable, *form;
  pyb_status status = want(r, 0, &variable);

  if (status == PYB_OK)
    status = want_form(r, 1, &form);
  return status != PYB_OK
             ? status
             : pyb_get_variable_info(session(), variable, form, r->result, r->error);
}

/* get_function_info(function): JSON */
static pyb_status get_function_info(request *r) {
  const char *function;
  pyb_status status = want(r, 0, &function);

  return status != PYB_OK
             ? status
             : pyb_get_function_info(session(), function, r->result, r->error);
}

/* import_module(module, alias): JSON */
static pyb_status import_module(request *r) {
  const char *module, *alias;
  pyb_status status = want_all(r, 0, &module, &alias, NULL);

  return status != PYB_OK
             ? status
             : pyb_import_module(session(), module, alias, r->result, r->error);
}

/* get_module_info(module): JSON */
static pyb_status get_module_info(request *r) {
  const char *module;
  pyb_status status = want(r, 0, &module);

  return status != PYB_OK ? status
                          : pyb_get_module_info(session(), module, r->result, r->error);
}

/* get_status(): JSON, or nothing */
static pyb_status get_status(request *r) {
  return pyb_get_status(session(), r->result, r->error);
}

/* execute_query(sql, variable, type, namespace, options): another database's rows. */
static pyb_status execute_query(request *r) {
  const char *variable, *type, *from, *options, *sql;
  int64_t count = 0;
  size_t size;
  pyb_status status = want_all(r, 1, &variable, &type, &from, &options, NULL);

  if (status != PYB_OK)
    return status;
  sql = code_of(r, 0, &size);
  status = pyb_execute_query(session(), sql, size, variable, type, from, options, NULL,
                             NULL, 0, &count, r->error);
  *r->result = (pyb_value){.type = PYB_INT64, .integer = count};
  return status;
}

/* ---- The shell ------------------------------------------------------------------- */

/* The options of pyb_shell for one text to run: {"code": [text]}. */
static char *shell_options(const char *code, size_t size) {
  char *json = pyb__gtm_malloc(6 * size + 32), *end;

  if (json == NULL)
    return NULL;
  end = json + sprintf(json, "{\"code\":[\"");
  for (size_t i = 0; i < size; i++)
    if ((unsigned char)code[i] < 0x20 || code[i] == '"' || code[i] == '\\')
      end += sprintf(end, "\\u%04x", code[i]);
    else
      *end++ = code[i];
  memcpy(end, "\"]}", 4);
  return json;
}

/* shell([code]): show what code gives, as if it had been typed; without code let the
 * user type. The result is the exit code. */
static pyb_status shell(request *r) {
  size_t size;
  const char *code = code_of(r, 0, &size);
  char *options = size == 0 ? NULL : shell_options(code, size);
  int64_t ended = 0;
  pyb_status status;

  if (size != 0 && options == NULL)
    return refuse(r, PYB_NO_MEMORY, "no memory for the code");
  status = pyb_shell(session(), NULL, options, &ended, r->error);
  *r->result = (pyb_value){.type = PYB_INT64, .integer = ended};
  pyb__gtm_free(options);
  return status;
}

/* ---- Snapshots: in the store that is the user's file ----------------------------- */

/* save_context(name, mask, length, description): the number of the snapshot */
static pyb_status save_context(request *r) {
  const char *name, *mask, *length, *description;
  int64_t id = 0;
  pyb_status status = want_all(r, 0, &name, &mask, &length, &description, NULL);

  if (status == PYB_OK)
    status = pyb_save_context(session(), name, mask,
                              length == NULL ? 0 : strtoll(length, NULL, 10),
                              description, NULL, &id, NULL, r->error);
  if (status == PYB_OK)
    *r->result = (pyb_value){.type = PYB_INT64, .integer = id};
  return status;
}

/* restore_context(snapshot, mask, clear, options): a report as JSON */
static pyb_status restore_context(request *r) {
  const char *snapshot, *mask, *clear, *options;
  pyb_status status = want_all(r, 0, &snapshot, &mask, &clear, &options, NULL);

  return status != PYB_OK
             ? status
             : pyb_restore_context(session(), snapshot, mask,
                                   clear != NULL && strcmp(clear, "0") != 0, options,
                                   NULL, r->result, r->error);
}

/* display_context(snapshot): text; of the live context where there is no snapshot */
static pyb_status display_context(request *r) {
  const char *snapshot;
  pyb_status status = want(r, 0, &snapshot);

  return status != PYB_OK
             ? status
             : pyb_display_context(session(), snapshot, NULL, r->result, r->error);
}

/* ---- The session ----------------------------------------------------------------- */

/* context([name]): switch to it; gives the name of the one before. */
static pyb_status context(request *r) {
  pyb__gtm *host = &pyb__gtm_host;
  char before[sizeof host->context];
  const char *name;
  pyb_status status = want(r, 0, &name);
  char *copy;

  if (status != PYB_OK)
    return status;
  if (name != NULL && strlen(name) >= sizeof host->context)
    return refuse(r, PYB_TOO_LARGE, "the name of a context has 255 bytes at most");
  memcpy(before, host->context, sizeof before);
  copy = pyb__gtm_malloc(sizeof before);
  if (copy == NULL)
    return refuse(r, PYB_NO_MEMORY, "no memory for the name");
  if (name != NULL) {
    snprintf(host->context, sizeof host->context, "%s", name);
    memset(host->session.cache, 0, sizeof host->session.cache);
  }
  strcpy(copy, before);
  *r->result = (pyb_value){
      .type = PYB_TEXT, .data = copy, .size = strlen(before), .release = pyb__gtm_free};
  return PYB_OK;
}

/* deadline(milliseconds): of each call from now on, 0 = none */
static pyb_status deadline(request *r) {
  const char *text;
  char *end;
  long long limit;
  pyb_status status = want(r, 0, &text);

  if (status != PYB_OK)
    return status;
  limit = text == NULL ? 0 : strtoll(text, &end, 10);
  if (limit < 0 || (text != NULL && *end != '\0'))
    return refuse(r, PYB_BAD_ARGUMENT, "a deadline is a number of milliseconds");
  pyb__gtm_host.session.deadline_ms = limit;
  return PYB_OK;
}

/* begin(spec, mask, delimiter): of records, which ^pybglobal then hands over. spec is
 * the number of subscripts, then letters: "l" for Latin-1, "n" to make NULL what does
 * not fit. No delimiter: the records are $LISTs. */
static pyb_status begin(request *r) {
  static const pyb__gtm_string empty = {.length = 0, .address = ""};

  return pyb__gtm_rows_begin(given(r, 0) ? r->arguments[0] : &empty,
                             given(r, 1) ? r->arguments[1] : &empty,
                             given(r, 2) ? r->arguments[2] : &empty, r->error);
}

/* frame(variable, type, labels, options): of the records; "again" where they are to be
 * handed over once more, else how many there were. */
static pyb_status frame(request *r) {
  const char *variable, *type, *labels, *options;
  int64_t count = 0;
  bool again;
  pyb_status status = want_all(r, 0, &variable, &type, &labels, &options, NULL);

  if (status == PYB_OK && variable == NULL)
    status = refuse(r, PYB_BAD_ARGUMENT, "the variable is missing");
  if (status == PYB_OK)
    status =
        pyb__gtm_rows_end(variable, type, labels, options, &count, &again, r->error);
  if (status == PYB_OK && again) {
    *r->result = (pyb_value){.type = PYB_TEXT, .data = "again", .size = 5};
    return PYB_OK;
  }
  pyb__gtm_rows_drop();
  if (status == PYB_OK)
    *r->result = (pyb_value){.type = PYB_INT64, .integer = count};
  return status;
}

/* pull(variable, keys, delimiter): begin to give out the rows of a frame. */
static pyb_status pull(request *r) {
  const char *variable, *keys, *delimiter;
  pyb_status status = want_all(r, 0, &variable, &keys, &delimiter, NULL);

  return status != PYB_OK ? status
                          : pyb__gtm_pull_begin(variable, keys, delimiter, r->error);
}

/* pulled(): the end of that; fails if it has failed meanwhile. */
static pyb_status pulled(request *r) {
  return pyb__gtm_pull_end(r->error);
}

static pyb_status setup(request *r) {
  return pyb_setup(NULL, r->error);
}

static pyb_status finalize(request *r) {
  return pyb_finalize(r->error);
}

static const struct verb {
  const char *name;
  pyb_status (*call)(request *);
  bool hands_over; /* for a later verb, which drops what was handed over */
} verbs[] = {
    {"feed", feed, true},
    {"argument", argument, true},
    {"setup", setup, false},
    {"finalize", finalize, false},
    {"simple_string", simple_string, false},
    {"execute_code", execute_code, false},
    {"evaluate", evaluate, false},
    {"execute_function", execute_function, false},
    {"get_variable", get_variable, false},
    {"set_variable", set_variable, false},
    {"get_variable_info", get_variable_info, false},
    {"get_function_info", get_function_info, false},
    {"import_module", import_module, false},
    {"get_module_info", get_module_info, false},
    {"get_status", get_status, false},
    {"execute_query", execute_query, false},
    {"save_context", save_context, false},
    {"restore_context", restore_context, false},
    {"display_context", display_context, false},
    {"shell", shell, false},
    {"begin", begin, false},
    {"frame", frame, false},
    {"pull", pull, false},
    {"pulled", pulled, false},
    {"context", context, false},
    {"deadline", deadline, false},
};

static const struct verb *find(const pyb__gtm_string *name) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if ((size_t)name->length == strlen(verbs[i].name) &&
        memcmp(name->address, verbs[i].name, (size_t)name->length) == 0)
      return &verbs[i];
  return NULL;
}

/* ---- The entry ------------------------------------------------------------------- */

/* What the last call gave, until the next one: GT.M copies it after we have returned.
 */
static pyb_value kept;
static char kept_number[PYB__GTM_NUMBER];
static char kept_problem[2048];

/* OpenBLAS's threads can keep a process for ever that SIGTERM ends while they work. */
static void prepare(void) {
  static bool prepared;

  if (prepared)
    return;
  prepared = true;
  pyb__gtm_signals_prepare();
  /* M does not write by C's stdio, nor does it flush that when it ends. */
  setvbuf(stdout, NULL, _IONBF, 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 0);
  strcpy(pyb__gtm_host.context, "main");
  pyb__gtm_lend(&pyb__gtm_host.services);
  pyb__gtm_host.session.context = pyb__gtm_host.context;
  pyb__gtm_host.session.services = &pyb__gtm_host.services;
  pyb__gtm_host.session.host = &pyb__gtm_host;
}

/* A forked process ends with the code that has forked it: M is its parent's. */
static void end_fork(pyb_status status, const pyb_error *error) {
  int code = status == PYB_OK ? 0 : 1;

  if (status == PYB_OK ||
      sscanf(error->message, "the code called sys.exit(%d)", &code) == 1)
    exit(code);
  fprintf(stderr, "%s: %s\n", error->type, error->message);
  exit(code);
}

static void describe(const pyb_error *error, pyb__gtm_string *problem) {
  int n = snprintf(kept_problem, sizeof kept_problem, "%s%s%s", error->type,
                   error->type[0] != '\0' ? ": " : "", error->message);

  if (error->line != 0 && n > 0 && (size_t)n < sizeof kept_problem)
    n += snprintf(kept_problem + n, sizeof kept_problem - (size_t)n, " (%s:%d)",
                  error->file, (int)error->line);
  if (n < 0 || (size_t)n >= sizeof kept_problem)
    n = (int)pyb__gtm_cut(kept_problem, strlen(kept_problem), sizeof kept_problem - 4);
  problem->address = kept_problem;
  problem->length = n;
}

/* Piece i of the kept result, 0 = first: all but bytes are cut between characters. How
 * many bytes are left behind it. */
static size_t show(long i, pyb__gtm_string *result) {
  size_t left, piece = 0;
  const char *data = pyb__gtm_dump(&kept, kept_number, &left);

  for (; i >= 0; i--) {
    data += piece;
    left -= piece;
    piece = kept.type != PYB_BLOB     ? pyb__gtm_cut(data, left, PYB__GTM_LONGEST)
            : left < PYB__GTM_LONGEST ? left
                                      : PYB__GTM_LONGEST;
  }
  result->address = (char *)data;
  result->length = (long)piece;
  return left - piece;
}

static long pieces(void) {
  pyb__gtm_string piece;
  long n = 1;

  while (show(n - 1, &piece) != 0)
    n++;
  return n;
}

/* piece: gtm_long_t pyb_gtm_piece(I:gtm_long_t, O:gtm_string_t*[64]): piece i of a
 * result that was longer than a string of M. */
PYB_API long pyb_gtm_piece(int count, long i, pyb__gtm_string *result) {
  if (count >= 2)
    show(i, result);
  return 0;
}

/* call: gtm_long_t pyb_gtm_call(level, result, problem, verb, a1, ... a8). `level` is
 * $TLEVEL: in a transaction M cannot be called back. */
PYB_API long pyb_gtm_call(int count, long level, pyb__gtm_string *result,
                          pyb__gtm_string *problem, pyb__gtm_string *verb,
                          pyb__gtm_string *a1, pyb__gtm_string *a2, pyb__gtm_string *a3,
                          pyb__gtm_string *a4, pyb__gtm_string *a5, pyb__gtm_string *a6,
                          pyb__gtm_string *a7, pyb__gtm_string *a8) {
  pyb_error error = {0};
  pyb_value value = PYB_EMPTY;
  request r = {.arguments = {a1, a2, a3, a4, a5, a6, a7, a8},
               .n = count - 4,
               .result = &value,
               .error = &error};
  const struct verb *found;
  bool outer = pyb__gtm_host.in_transaction;
  void *signals;
  pyb_status status;

  if (count < 4) /* there is no place for an answer */
    return PYB_BAD_ARGUMENT;
  if (r.n > MOST_ARGUMENTS)
    r.n = MOST_ARGUMENTS;
  found = find(verb);
  prepare();
  signals = pyb__gtm_signals_enter();
  problem->length = 0;
  if (found == NULL || !found->hands_over) {
    r.handed = waiting;
    memset(&waiting, 0, sizeof waiting);
  }
  pyb__gtm_host.in_transaction = level > 0;
  status = found != NULL ? found->call(&r)
                         : refuse(&r, PYB_BAD_ARGUMENT,
                                  "the library does not know this verb; "
                                  "its routine ^pybridge is of another "
                                  "version");
  if (pyb__gtm_forked())
    end_fork(status, &error);
  for (int i = 0; i < MOST_ARGUMENTS; i++)
    pyb__gtm_free(r.names[i]);
  pyb__gtm_host.in_transaction = outer;
  pyb__gtm_signals_leave(signals);
  drop(&r.handed);
  if (status != PYB_OK)
    drop(&waiting);
  /* Only now: calls within this one have kept theirs. */
  pyb_value_release(&kept);
  kept = value;
  show(0, result);
  if (status != PYB_OK) {
    describe(&error, problem);
    return status;
  }
  return pieces() > 1 ? -pieces() : 0;
}
