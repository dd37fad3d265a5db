/* connections.c: open, load, use and close many connections in many threads.
 *
 *     connections <library> <threads> <rounds>
 *
 * Prints pyb_live before and after, and "ok". */
#include <dlfcn.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *library;
static int rounds;

/* Run a query of one value and compare its text. */
static int check(sqlite3 *db, const char *sql, const char *expected) {
  sqlite3_stmt *statement = NULL;
  int right = 0;

  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW)
    right = strcmp((const char *)sqlite3_column_text(statement, 0), expected) == 0;
  if (!right)
    fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
  sqlite3_finalize(statement);
  return right;
}

static int use(sqlite3 *db, int number) {
  char sql[128], expected[16];

  snprintf(sql, sizeof sql, "select py_context('c%d')", number % 7);
  snprintf(expected, sizeof expected, "c%d", number % 7);
  return check(db, sql, expected) && check(db, "select py_eval('6 * 7')", "42") &&
         check(db, "select py_query('values (1), (2)', 'q', 'list')", "2") &&
         check(db, "select py_call('len', 'abc')", "3");
}

static void *run(void *argument) {
  for (int i = 0; i < rounds; i++) {
    sqlite3 *db = NULL;
    char *message = NULL;
    int right;

    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
      return "cannot open";
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
    if (sqlite3_load_extension(db, library, NULL, &message) != SQLITE_OK) {
      fprintf(stderr, "%s\n", message);
      return "cannot load";
    }
    right = use(db, (int)(intptr_t)argument + i);
    if (sqlite3_close(db) != SQLITE_OK)
      return "cannot close: something is left open";
    if (!right)
      return "wrong result";
  }
  return NULL;
}

int main(int n, char **words) {
  int threads = n == 4 ? atoi(words[2]) : 0, failed = threads == 0;
  pthread_t *ids = calloc((size_t)threads + 1, sizeof *ids);
  int64_t (*live)(void);
  int64_t before;
  void *handle;

  library = words[1];
  rounds = n == 4 ? atoi(words[3]) : 0;
  handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  live = (int64_t (*)(void))dlsym(handle, "pyb_live");
  failed |= run(NULL) != NULL; /* what is made once is made by now */
  before = live();
  for (int i = 0; i < threads; i++)
    pthread_create(&ids[i], NULL, run, (void *)(intptr_t)i);
  for (int i = 0; i < threads; i++) {
    void *wrong = NULL;
    pthread_join(ids[i], &wrong);
    if (wrong != NULL)
      fprintf(stderr, "%s\n", (const char *)wrong);
    failed |= wrong != NULL;
  }
  printf("%lld %lld\n", (long long)before, (long long)live());
  free(ids);
  if (!failed)
    puts("ok");
  return failed;
}
