/* memory.c: make each allocation of SQLite fail in turn while a statement runs.
 *
 *     memory LIBRARY < STATEMENTS
 *
 * Each line is "setup statement" (run once, must succeed) or "fails statement", and is
 * answered with "good", or with "bad", which is the end. What fails is run with its
 * first allocation failing, then its second, and so on until none is left to fail. A
 * failing run must end in an error, or have gone well without that memory; afterwards
 * nothing more may be live than before, and the statement works again. */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>

/* In a library that was built with -DPYB_TEST: the same for its own allocations. */
static int64_t (*library_fails)(int64_t nth, int on);

static sqlite3_mem_methods real;
static long countdown; /* allocations until one fails, 0 = none does */

static int fails(void) {
  return countdown != 0 && --countdown == 0;
}

static void *failing_malloc(int size) {
  return fails() ? NULL : real.xMalloc(size);
}

static void *failing_realloc(void *memory, int size) {
  return fails() ? NULL : real.xRealloc(memory, size);
}

static char message[2000];

/* Run a statement to its end; 1 = well. */
static int run(sqlite3 *db, const char *sql) {
  char *text = NULL;
  int code = sqlite3_exec(db, sql, NULL, NULL, &text);

  snprintf(message, sizeof message, "%s", text != NULL ? text : sqlite3_errstr(code));
  sqlite3_free(text);
  return code == SQLITE_OK;
}

/* Make the nth allocation fail: SQLite's, or the library's. Returns whether there was
 * one, of the statement that has run since. */
static void fail_at(long n, int library) {
  if (library)
    library_fails(n, 0);
  else
    countdown = n;
}

static int has_failed(long n, int library) {
  int left = library ? library_fails(0, 0) >= n : countdown == 0;

  countdown = 0;
  return left;
}

static int try_all(sqlite3 *db, const char *sql, int64_t (*live)(void), int library) {
  int64_t before;
  long n = 0, failed = 0;
  int left = 0;

  if (!run(db, sql)) {
    printf("FAIL: %s: %s\n", sql, message);
    return 0;
  }
  before = live();
  do {
    fail_at(++n, library);
    failed += !run(db, sql);
    left = has_failed(n, library);
    if (!sqlite3_get_autocommit(db)) {
      printf("FAIL: %s: allocation %ld leaves a transaction open\n", sql, n);
      return 0;
    }
    if (!run(db, sql)) {
      printf("FAIL: %s: after allocation %ld: %s\n", sql, n, message);
      return 0;
    }
    if (live() > before) {
      printf("FAIL: %s: allocation %ld leaks %lld\n", sql, n,
             (long long)(live() - before));
      return 0;
    }
  } while (left && n < 100000);
  printf("%ld of %ld failed: %s\n", failed, n - 1, sql);
  return library || failed > 0;
}

int main(int argc, char **argv) {
  sqlite3_mem_methods methods;
  int64_t (*live)(void);
  char line[4000];
  sqlite3 *db;
  int good = 1;

  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
  methods = real;
  methods.xMalloc = failing_malloc;
  methods.xRealloc = failing_realloc;
  sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
  sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* else small ones are not asked for */
  if (argc != 2 || sqlite3_open(":memory:", &db) != SQLITE_OK)
    return 2;
  sqlite3_enable_load_extension(db, 1);
  if (sqlite3_load_extension(db, argv[1], NULL, NULL) != SQLITE_OK) {
    printf("FAIL: load: %s\n", sqlite3_errmsg(db));
    return 1;
  }
  *(void **)&live = dlsym(dlopen(argv[1], RTLD_NOW), "pyb_live");
  *(void **)&library_fails = dlsym(dlopen(argv[1], RTLD_NOW), "pyb_test_fail");
  while (good && fgets(line, sizeof line, stdin) != NULL) {
    char *sql = strchr(line, ' ') + 1;
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "setup ", 6) == 0)
      good = run(db, sql) || (printf("FAIL: %s: %s\n", sql, message), 0);
    else
      good = try_all(db, sql, live, 0) &&
             (library_fails == NULL || try_all(db, sql, live, 1));
    puts(good ? "good" : "bad");
    fflush(stdout);
  }
  if (sqlite3_close(db) != SQLITE_OK) {
    printf("FAIL: close: %s\n", sqlite3_errmsg(db));
    good = 0;
  }
  return !good;
}
