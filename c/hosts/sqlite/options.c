/* options.c: what the options of py_define say; JSON, which SQLite itself reads. */
#include <string.h>

#include "define.h"

void pyb__names_release(pyb__names *names) {
  for (size_t i = 0; i < names->n; i++)
    sqlite3_free(names->names[i]);
  sqlite3_free(names->names);
}

/* One row for each member. */
static const char members[] =
    "select key, type, case when type in ('array', 'object') then null else atom end, "
    "value from json_each(?1)";

static pyb_status want(pyb_error *error, const char *key, const char *what) {
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT, "option \"%s\" wants %s", key,
                            what);
}

static pyb_status refuse_options(pyb_error *error) {
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "options want a JSON object, for example {\"arity\": 1}");
}

static pyb_status read_flag(const char *key, const char *type, int *flag,
                            pyb_error *error) {
  *flag = strcmp(type, "true") == 0;
  return *flag || strcmp(type, "false") == 0 ? PYB_OK
                                             : want(error, key, "true or false");
}

static pyb_status read_number(const char *key, const char *type, sqlite3_stmt *member,
                              int64_t least, int64_t most, int64_t *number,
                              pyb_error *error) {
  char range[64];

  *number = sqlite3_column_int64(member, 2);
  if (strcmp(type, "integer") == 0 && *number >= least && *number <= most)
    return PYB_OK;
  sqlite3_snprintf(sizeof range, range, "a whole number from %lld to %lld",
                   (long long)least, (long long)most);
  return want(error, key, range);
}

/* Read an array of texts. */
static pyb_status read_names(sqlite3 *db, const char *key, const char *array,
                             pyb__names *names, pyb_error *error) {
  sqlite3_stmt *items = NULL;
  pyb_status status = PYB_OK;
  int code;

  pyb__names_release(names);
  *names = (pyb__names){0};
  code = sqlite3_prepare_v2(db,
                            "select atom, type, json_array_length(?1) "
                            "from json_each(?1)",
                            -1, &items, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_bind_text(items, 1, array, -1, SQLITE_STATIC);
  while ((code == SQLITE_OK || code == SQLITE_ROW) &&
         (code = sqlite3_step(items)) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(items, 0);
    if (names->names == NULL)
      names->names = sqlite3_malloc64((uint64_t)sqlite3_column_int64(items, 2) *
                                      sizeof *names->names);
    if (name == NULL ||
        strcmp((const char *)sqlite3_column_text(items, 1), "text") != 0)
      status = want(error, key, "an array of names");
    else if (names->names == NULL ||
             (names->names[names->n] = sqlite3_mprintf("%s", name)) == NULL)
      status = pyb__sqlite_refuse(error, PYB_NO_MEMORY, "out of memory");
    else
      names->n++;
    if (status != PYB_OK)
      break;
  }
  if (status == PYB_OK && code != SQLITE_DONE)
    status = pyb__sqlite_error(db, code, error);
  sqlite3_finalize(items);
  return status;
}

static pyb_status read_vectorized(sqlite3 *db, sqlite3_stmt *member, const char *key,
                                  const char *type, pyb__definition *d,
                                  pyb_error *error) {
  int batch = strcmp(key, "batch") == 0;

  if (d->kind != PYB__VECTORIZED)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "option \"%s\" is for kind vectorized", key);
  if (batch)
    return read_number(key, type, member, 1, INT32_MAX, &d->batch, error);
  if (strcmp(type, "array") != 0)
    return want(error, key, "an array of names");
  return read_names(db, key, (const char *)sqlite3_column_text(member, 3),
                    strcmp(key, "keep") == 0 ? &d->keep : &d->columns, error);
}

static pyb_status read_option(sqlite3 *db, sqlite3_stmt *member, pyb__definition *d,
                              pyb_error *error) {
  const char *key = (const char *)sqlite3_column_text(member, 0);
  const char *type = (const char *)sqlite3_column_text(member, 1);
  const char *atom = (const char *)sqlite3_column_text(member, 2);
  int64_t number = 0;
  pyb_status status;

  if (key == NULL || type == NULL)
    return refuse_options(error);
  if (strcmp(key, "deterministic") == 0)
    return read_flag(key, type, &d->deterministic, error);
  if (strcmp(key, "innocuous") == 0)
    return read_flag(key, type, &d->innocuous, error);
  if (strcmp(key, "json") == 0 && d->kind == PYB__SCALAR)
    return read_flag(key, type, &d->json, error);
  if (strcmp(key, "json") == 0)
    return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                              "option \"json\" is for kind scalar");
  if (strcmp(key, "arity") == 0) {
    status =
        read_number(key, type, member, -1,
                    sqlite3_limit(db, SQLITE_LIMIT_FUNCTION_ARG, -1), &number, error);
    d->arity = (int)number;
    return status;
  }
  if (strcmp(key, "null") == 0) {
    d->special = atom != NULL && strcmp(atom, "special") == 0;
    return d->special || (atom != NULL && strcmp(atom, "default") == 0)
               ? PYB_OK
               : want(error, key, "\"default\" or \"special\"");
  }
  if (strcmp(key, "batch") == 0 || strcmp(key, "columns") == 0 ||
      strcmp(key, "keep") == 0)
    return read_vectorized(db, member, key, type, d, error);
  return pyb__sqlite_refuse(error, PYB_BAD_ARGUMENT,
                            "option \"%s\" is not known; there are arity, "
                            "deterministic, null, innocuous, json, batch, columns and "
                            "keep",
                            key);
}

pyb_status pyb__definition_options(pyb__definition *d, const char *options,
                                   pyb_error *error) {
  sqlite3 *db = d->host->db;
  sqlite3_stmt *member = NULL;
  pyb_status status = PYB_OK;
  int code;

  d->arity = -1;
  d->batch = 65536;
  /* json_each takes an array, and a number, as well */
  if (options != NULL && options[strspn(options, " \t\r\n")] != '{')
    return refuse_options(error);
  code = sqlite3_prepare_v2(db, members, -1, &member, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_bind_text(member, 1, options == NULL ? "{}" : options, -1,
                             SQLITE_STATIC);
  while (status == PYB_OK && (code == SQLITE_OK || code == SQLITE_ROW) &&
         (code = sqlite3_step(member)) == SQLITE_ROW)
    status = read_option(db, member, d, error);
  if (status == PYB_OK && code != SQLITE_DONE)
    status = pyb__sqlite_options_failed(db, code, error);
  sqlite3_finalize(member);
  if (status == PYB_OK && d->kind == PYB__VECTORIZED && d->columns.n == 0)
    status = read_names(db, "columns", "[\"value\"]", &d->columns, error);
  return status;
}
