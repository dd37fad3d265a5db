/* host.c: a C program with SQLite and the extension in it, that times what it is told.
 *
 *     host DATABASE LIBRARY
 *
 * Each line of input is one SQL statement. For each one it prints "SECONDS\tVALUE" or
 * "error\tMESSAGE": the time from the text of the statement to its last row, and the
 * first column of its first row. It is what the sqlite3 shell does, with a finer clock
 * and without a process for each measurement. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Run one statement; the first cell goes to *cell (of sqlite3_malloc). */
static int run(sqlite3 *db, const char *sql, char **cell) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

  *cell = NULL;
  while (code == SQLITE_OK || code == SQLITE_ROW) {
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW && *cell == NULL)
      *cell = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
  }
  sqlite3_finalize(statement);
  return code;
}

int main(int argc, char **argv) {
  char *line = NULL, *message = NULL, *cell;
  size_t room = 0;
  sqlite3 *db;

  if (argc != 3 || sqlite3_open(argv[1], &db) != SQLITE_OK)
    return 2;
  sqlite3_enable_load_extension(db, 1);
  if (sqlite3_load_extension(db, argv[2], NULL, &message) != SQLITE_OK) {
    fprintf(stderr, "host: %s\n", message);
    return 2;
  }
  while (getline(&line, &room, stdin) > 0) {
    double begun = now();
    int code = run(db, line, &cell);
    double seconds = now() - begun;

    if (code == SQLITE_DONE)
      printf("%.9f\t%s\n", seconds, cell != NULL ? cell : "");
    else
      printf("error\t%s\n", sqlite3_errmsg(db));
    fflush(stdout);
    sqlite3_free(cell);
  }
  free(line);
  sqlite3_close(db);
  return 0;
}
