/* fuzz_pages.c: database images with damaged bytes, scanned below SQL and by SQL.
 *
 * The scan may decline, but what it does return must be what SQL returns, and whatever
 * the bytes are it must not read or write beyond its memory, nor loop. Some images get
 * a write-ahead log, whose frames are damaged too, and whose index is damaged for wal.c
 * alone: SQLite itself believes what it finds there. Build it with
 * -DSQLITE_CORE -DPYB_TEST and -fsanitize=address,undefined together with
 * c/core/{error,memory,pool,linux,table,value,stream}.c,
 * c/hosts/sqlite/{pages,program,constants,plan,conditions,settings,predicate,members,
 * pattern,btree,wal,leaf,sorted,order,value}.c and -lsqlite3.
 *
 *     fuzz_pages SECONDS SEED [FOLDER]   images of its own, damaged at random
 *     fuzz_pages FILE ...                these images once each
 *
 * With -DFUZZ_ENTRY there is no main, but libFuzzer's entry point.
 */
#include "btree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The scan needs the adapter's value.c, and no object of Python's ever comes by it. */
pyb_status pyb_handle_release(const pyb_session *session, pyb_handle handle,
                              pyb_error *error) {
  (void)session;
  (void)handle;
  (void)error;
  return PYB_OK;
}

/* Nor have the queries parameters. */
pyb_status pyb__sqlite_parameters(sqlite3 *db, sqlite3_stmt *statement,
                                  const pyb_value *params, const char *const *names,
                                  size_t n, pyb_error *error) {
  (void)db, (void)params, (void)names, (void)error;
  return n == 0 && sqlite3_bind_parameter_count(statement) == 0 ? PYB_OK
                                                                : PYB_BAD_ARGUMENT;
}

/* c/core/memory.c, with -DPYB_TEST. */
int64_t pyb_test_fail(int64_t nth, int on);

static struct {
  long images, scanned, filtered, sorted, declined, starved, rows, walks, walked;
  long logged, looked, found;
} counts;

static char folder[200] = "/tmp";
static const uint8_t *image; /* the one in work, written to a file when a check fails */
static size_t image_size;
static const char *in_work = ""; /* the query */

static void fail(const char *what, const char *detail) {
  char path[260];
  FILE *file;

  snprintf(path, sizeof path, "%s/fuzz_pages.failed.%ld", folder, (long)getpid());
  file = fopen(path, "wb");
  if (file != NULL) {
    fwrite(image, 1, image_size, file);
    fclose(file);
  }
  fprintf(stderr, "%s: %s; the image is in %s; %s\n", what, detail, path, in_work);
  abort();
}

/* ---- Random numbers, the same on every machine ---------------------------------- */

static uint64_t state = 1;

static uint64_t next_random(void) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

static uint64_t below(uint64_t n) {
  return n == 0 ? 0 : next_random() % n;
}

/* ---- Two tables, cell by cell --------------------------------------------------- */

static int is_valid(const struct ArrowArray *array, int64_t i) {
  const uint8_t *bits = array->buffers[0];
  return bits == NULL || (bits[i >> 3] >> (i & 7) & 1) != 0;
}

static void compare_columns(const struct ArrowSchema *type, const struct ArrowArray *a,
                            const struct ArrowArray *b) {
  if (a->length != b->length || a->null_count != b->null_count)
    fail("the length differs", type->name);
  if (type->format[0] == 'n')
    return;
  for (int64_t i = 0; i < a->length; i++) {
    const int64_t *x = a->buffers[1], *y = b->buffers[1];
    if (is_valid(a, i) != is_valid(b, i))
      fail("a NULL differs", type->name);
    if (!is_valid(a, i))
      continue;
    if (type->format[0] == 'l' || type->format[0] == 'g') {
      if (x[i] != y[i])
        fail("a number differs", type->name);
    } else if (x[i + 1] - x[i] != y[i + 1] - y[i] ||
               memcmp((const char *)a->buffers[2] + x[i],
                      (const char *)b->buffers[2] + y[i], (size_t)(x[i + 1] - x[i])))
      fail("a text differs", type->name);
  }
}

/* Both tables are moved. */
static void compare(pyb_table *scanned, pyb_table *selected) {
  struct ArrowArrayStream x, y;
  struct ArrowSchema s, t;
  struct ArrowArray a, b;

  if (pyb_table_finish(scanned, &x, NULL) != PYB_OK ||
      pyb_table_finish(selected, &y, NULL) != PYB_OK || x.get_schema(&x, &s) != 0 ||
      y.get_schema(&y, &t) != 0 || x.get_next(&x, &a) != 0 || y.get_next(&y, &b) != 0)
    fail("a table is not whole", "finish");
  for (int64_t i = 0; i < s.n_children; i++) {
    if (strcmp(s.children[i]->format, t.children[i]->format) != 0)
      fail("a type differs", s.children[i]->format);
    compare_columns(s.children[i], a.children[i], b.children[i]);
  }
  counts.rows += (long)a.length;
  a.release(&a);
  b.release(&b);
  s.release(&s);
  t.release(&t);
  x.release(&x);
  y.release(&y);
}

/* ---- Allocations that fail ------------------------------------------------------ */

static sqlite3_mem_methods memory;
static int64_t until_failure; /* 0 = none fails */

static int fails(void) {
  return until_failure > 0 && --until_failure == 0;
}

static void *failing_malloc(int size) {
  return fails() ? NULL : memory.xMalloc(size);
}

static void *failing_realloc(void *old, int size) {
  return fails() ? NULL : memory.xRealloc(old, size);
}

static void arm_memory(void) {
  sqlite3_mem_methods failing;

  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
  failing = memory;
  failing.xMalloc = failing_malloc;
  failing.xRealloc = failing_realloc;
  sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
}

/* ---- The scan against the query ------------------------------------------------- */

static pyb_table *new_table(size_t n) {
  pyb_table *table = NULL;
  if (pyb_table_new(n, &table, NULL) != PYB_OK)
    abort();
  return table;
}

/* "select ... from table" and the clause. */
static char *query_text(sqlite3 *db, const pyb__sqlite_scan *scan, char **names,
                        const char *clause) {
  sqlite3_str *sql = sqlite3_str_new(db);

  for (size_t i = 0; i < scan->n; i++)
    sqlite3_str_appendf(sql, "%s\"%w\"", i == 0 ? "select " : ", ", names[i]);
  sqlite3_str_appendf(sql, " from \"%w\" %s", scan->table, clause);
  return sqlite3_str_finish(sql);
}

static const char *random_operand(void) {
  static const char *const values[] = {
      "0",    "-3",  "2.5", "1.5e1", "1.0000000000000002",  "x'0000'", "'some'",
      "'x7'", "'7'", "''",  "null",  "1152921504606846976", "70",      "rowid"};

  return values[below(sizeof values / sizeof *values)];
}

/* A column in a list, which has the rowid only by chance. */
static void add_list(sqlite3_str *sql, const char *name) {
  sqlite3_str_appendf(sql, "\"%w\" %s (%s", name, below(2) == 0 ? "in" : "not in",
                      random_operand());
  for (uint64_t i = below(6); i > 0; i--)
    sqlite3_str_appendf(sql, ", %s", random_operand());
  sqlite3_str_appendall(sql, ")");
}

static void add_pattern(sqlite3_str *sql, const char *name) {
  static const char *const patterns[] = {"like '%TEXT%'", "like 'some_%'",
                                         "like '1%'",     "glob '*[m-z]x*'",
                                         "glob 'x?'",     "like ''"};

  sqlite3_str_appendf(sql, "\"%w\"%s %s", name, below(3) == 0 ? " not" : "",
                      patterns[below(sizeof patterns / sizeof *patterns)]);
}

/* A comparison of one of the columns, or two of them. */
static void add_test(sqlite3_str *sql, const pyb__sqlite_scan *scan, char **names) {
  static const char *const operators[] = {
      "<", "<=", ">", ">=", "=", "<>", "is", "is not"};
  const char *name = names[below(scan->n)];

  if (below(6) == 0)
    sqlite3_str_appendf(sql, "\"%w\"", name);
  else if (below(4) == 0)
    add_list(sql, name);
  else if (below(6) == 0)
    add_pattern(sql, name);
  else if (below(5) == 0)
    sqlite3_str_appendf(sql, "\"%w\" < \"%w\"", name, names[below(scan->n)]);
  else
    sqlite3_str_appendf(sql, "%s\"%w\" %s %s", below(9) == 0 ? "rowid < 80 and " : "",
                        name, operators[below(8)], random_operand());
  if (below(3) == 0) {
    sqlite3_str_appendall(sql, below(2) == 0 ? " and " : " or ");
    add_test(sql, scan, names);
  }
}

/* What may come behind the table's name. */
static char *random_clause(sqlite3 *db, const pyb__sqlite_scan *scan, char **names) {
  sqlite3_str *sql = sqlite3_str_new(db);

  if (below(4) != 0) {
    sqlite3_str_appendall(sql, "where ");
    add_test(sql, scan, names);
  }
  for (uint64_t i = below(4), n = i; i > 0 && i < 3; i--)
    sqlite3_str_appendf(sql, "%s \"%w\"%s", i == n ? " order by" : ",",
                        names[below(scan->n)], below(2) == 0 ? "" : " desc");
  if (below(3) == 0)
    sqlite3_str_appendf(sql, " limit %d", (int)below(60) - 1);
  return sqlite3_str_finish(sql);
}

/* What SQL returns for the scan; NULL where that is an error. */
static pyb_table *select_rows(sqlite3 *db, const pyb__sqlite_scan *scan, char **names,
                              const char *clause, char message[400]) {
  pyb_table *table = new_table(scan->n);
  sqlite3_stmt *rows = NULL;
  char between[90] = "order by rowid", *text;
  int code;

  if (scan->start != INT64_MIN || scan->end != INT64_MAX)
    snprintf(between, sizeof between,
             "where rowid between %lld and %lld order by rowid", (long long)scan->start,
             (long long)scan->end);
  text = query_text(db, scan, names, clause != NULL ? clause : between);
  code = sqlite3_prepare_v2(db, text, -1, &rows, NULL);
  sqlite3_free(text);
  if (code == SQLITE_OK)
    while ((code = sqlite3_step(rows)) == SQLITE_ROW)
      for (size_t i = 0; i < scan->n; i++) {
        pyb_value value;
        if (pyb__sqlite_load(sqlite3_column_value(rows, (int)i), &value) != PYB_OK ||
            pyb_column_append(pyb_table_column(table, i), &value) != PYB_OK)
          abort();
      }
  if (code != SQLITE_DONE) {
    snprintf(message, 400, "%s (%d) in \"%s\", %zu columns, %.200s", sqlite3_errmsg(db),
             sqlite3_extended_errcode(db), scan->table, scan->n,
             clause != NULL ? clause : between);
    pyb_table_release(table);
    table = NULL;
  }
  sqlite3_finalize(rows);
  return table;
}

/* The same columns by a query that is no more than a scan. */
static pyb_status scan_query(pyb__sqlite *host, const char *text, pyb_table *table,
                             int *done, char reason[PYB__SQLITE_REASON],
                             pyb_error *error) {
  pyb__sqlite_plain query = {.sql = text, .size = text == NULL ? 0 : strlen(text)};
  pyb_status status = PYB_OK;

  if (text != NULL &&
      sqlite3_prepare_v2(host->db, text, -1, &query.statement, NULL) == SQLITE_OK)
    status = pyb__sqlite_pages_query(host, &query, table, done, reason, error);
  sqlite3_finalize(query.statement);
  return status;
}

static void scan_table(pyb__sqlite *host, const char *name, int whole) {
  enum { MOST = 64 };
  pyb__sqlite_scan scan = {"main", name, NULL, 0, INT64_MIN, INT64_MAX};
  int columns[MOST], done = 0;
  char *names[MOST], reason[PYB__SQLITE_REASON], message[400] = "";
  char *clause = NULL, *query = NULL, ranged[300];
  sqlite3_stmt *info = NULL;
  char *text = sqlite3_mprintf("pragma table_xinfo(\"%w\")", name);
  pyb_table *table;
  pyb_error error;
  pyb_status status = PYB_OK;

  sqlite3_prepare_v2(host->db, text, -1, &info, NULL);
  sqlite3_free(text);
  while (info != NULL && sqlite3_step(info) == SQLITE_ROW && scan.n < MOST)
    if (whole || below(3) != 0) {
      columns[scan.n] = sqlite3_column_int(info, 0);
      names[scan.n++] =
          sqlite3_mprintf("%s", (const char *)sqlite3_column_text(info, 1));
    }
  sqlite3_finalize(info);
  scan.columns = columns;
  if (!whole && below(2) != 0) {
    scan.start = (int64_t)below(300) - 20;
    scan.end = scan.start + (int64_t)below(300);
  }

  table = new_table(scan.n);
  if (scan.n != 0 && scan.start == INT64_MIN && below(3) != 0) {
    clause = random_clause(host->db, &scan, names);
    query = query_text(host->db, &scan, names, clause);
  }
  snprintf(ranged, sizeof ranged, "rowids %lld to %lld of %s", (long long)scan.start,
           (long long)scan.end, name);
  in_work = query != NULL ? query : ranged;
  if (!whole && below(3) == 0) {
    until_failure = below(2) == 0 ? 1 + (int64_t)below(600) : 0;
    (void)pyb_test_fail(until_failure == 0 ? 1 + (int64_t)below(30) : 0, (int)below(2));
  }
  if (query != NULL)
    status = scan_query(host, query, table, &done, reason, &error);
  else if (scan.n != 0)
    status = pyb__sqlite_pages_scan(host, &scan, table, &done, reason, &error);
  until_failure = 0;
  (void)pyb_test_fail(0, 0);
  if (status != PYB_OK && (status != PYB_NO_MEMORY || whole || done))
    fail("an error", error.message);
  counts.starved += status != PYB_OK;
  if (done) {
    pyb_table *selected = select_rows(host->db, &scan, names, clause, message);
    if (selected == NULL)
      fail("SQL fails, the scan does not", message);
    else
      compare(table, selected);
    counts.scanned++;
    counts.filtered += clause != NULL && strncmp(clause, "where", 5) == 0;
    counts.sorted += clause != NULL && strstr(clause, "order by") != NULL;
  } else {
    pyb_table_release(table);
    counts.declined++;
  }
  for (size_t i = 0; i < scan.n; i++)
    sqlite3_free(names[i]);
  in_work = "";
  sqlite3_free(clause);
  sqlite3_free(query);
}

/* Scan every table of the database in `path`. */
static void scan_file(const char *path) {
  pyb__sqlite host = {.pages = 1};
  char *tables[8];
  int n = 0;
  sqlite3_stmt *rows = NULL;

  if (sqlite3_open_v2(path, &host.db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
    if (below(8) == 0)
      sqlite3_exec(host.db, "pragma cell_size_check = on", NULL, NULL, NULL);
    if (below(8) == 0)
      sqlite3_exec(host.db, "pragma writable_schema = on", NULL, NULL, NULL);
    if (below(8) == 0)
      sqlite3_exec(host.db, "pragma mmap_size = 1000000", NULL, NULL, NULL);
    sqlite3_prepare_v2(host.db, "select name from sqlite_master where type = 'table'",
                       -1, &rows, NULL);
    while (rows != NULL && n < 8 && sqlite3_step(rows) == SQLITE_ROW &&
           sqlite3_column_text(rows, 0) != NULL)
      tables[n++] = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(rows, 0));
    sqlite3_finalize(rows);
    for (int i = 0; i < n; i++) {
      scan_table(&host, tables[i], 1);
      scan_table(&host, tables[i], 0);
      sqlite3_free(tables[i]);
    }
  }
  if (sqlite3_close(host.db) != SQLITE_OK)
    fail("a statement is left open", path);
}

static void write_file(char path[260], const uint8_t *data, size_t size) {
  FILE *file;

  snprintf(path, 260, "%s/fuzz_pages.%ld.db", folder, (long)getpid());
  file = fopen(path, "wb");
  if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
    perror(path);
    exit(2);
  }
}

static void remove_files(const char *path) {
  static const char *const rests[] = {"", "-journal", "-wal", "-shm"};

  for (int i = 0; i < 4; i++) {
    char rest[280];
    snprintf(rest, sizeof rest, "%s%s", path, rests[i]);
    unlink(rest);
  }
}

static void scan_image(const uint8_t *data, size_t size) {
  char path[260];

  write_file(path, data, size);
  scan_file(path);
  remove_files(path);
}

/* ---- The walk alone, over bytes that need not be a database --------------------- */

typedef struct memory_file {
  sqlite3_file base;
  const uint8_t *data;
  size_t size;
} memory_file;

static int memory_read(sqlite3_file *base, void *out, int n, sqlite3_int64 offset) {
  memory_file *file = (memory_file *)base;

  if (offset < 0 || n < 0 || (uint64_t)offset + (uint64_t)n > file->size)
    return SQLITE_IOERR_SHORT_READ;
  memcpy(out, file->data + offset, (size_t)n);
  return SQLITE_OK;
}

static pyb__tree_end no_default(pyb__tree *tree, size_t i, int64_t rowid) {
  (void)i, (void)rowid;
  return pyb__tree_decline(tree, "no default");
}

static void walk(const uint8_t *data, size_t size, uint32_t page_size,
                 uint32_t unused) {
  static const sqlite3_io_methods methods = {.iVersion = 1, .xRead = memory_read};
  memory_file file = {{&methods}, data, size};
  pyb__field fields[5] = {{0}};
  pyb__tree tree = {.file = &file.base,
                    .page_size = page_size,
                    .usable_size = page_size - unused,
                    .page_count = (uint32_t)(size / page_size),
                    .start = INT64_MIN,
                    .end = INT64_MAX,
                    .longest = 1000000000,
                    .fields = fields,
                    .n = 5,
                    .ask = no_default};

  tree.root = 2 + (uint32_t)below(tree.page_count < 12 ? tree.page_count : 12);
  tree.table = new_table(tree.n);
  for (size_t i = 0; i < tree.n; i++) {
    fields[i].column = pyb_table_column(tree.table, i);
    fields[i].field = i == 0 ? -1 : (int)(i * i - below(3) / 2);
    fields[i].has_default = below(4) == 0;
    fields[i].real = below(2) == 0;
  }
  counts.walks++;
  counts.walked += pyb__tree_read(&tree) == PYB__TREE_WHOLE;
  pyb__tree_release(&tree);
  pyb_table_release(tree.table);
}

static void run_image(const uint8_t *data, size_t size) {
  image = data;
  image_size = size;
  counts.images++;
  if (size >= 100) {
    uint32_t page_size = (uint32_t)data[16] << 8 | data[17];
    if (page_size < 512 || (page_size & (page_size - 1)) != 0)
      page_size = 1024;
    walk(data, size, page_size, data[20] <= 32 ? data[20] : 0);
    walk(data, size, 512u << below(8), 0);
  }
  scan_image(data, size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  arm_memory();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  state = size;
  run_image(data, size);
  return 0;
}

/* ---- Images of our own, and damage ---------------------------------------------- */
#ifndef FUZZ_ENTRY

typedef struct sample {
  uint8_t *data;
  size_t size;
} sample;

static void run_sql(sqlite3 *db, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
    fprintf(stderr, "%s: %s\n", sql, message);
    exit(2);
  }
}

static sample read_file(const char *path) {
  sample sample = {NULL, 0};
  FILE *file = fopen(path, "rb");

  if (file == NULL) {
    perror(path);
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  sample.size = (size_t)ftell(file);
  rewind(file);
  sample.data = malloc(sample.size + 1);
  if (fread(sample.data, 1, sample.size, file) != sample.size)
    exit(2);
  fclose(file);
  return sample;
}

/* A database with most of what a table can have, on pages of this size. */
static sample make_sample(int page_size, int reserved, int vacuum) {
  char path[260], sql[200];
  sqlite3 *db;
  sample sample;

  snprintf(path, sizeof path, "%s/fuzz_pages.%ld.sample", folder, (long)getpid());
  unlink(path);
  sqlite3_open(path, &db);
  sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
  snprintf(sql, sizeof sql, "pragma page_size = %d; pragma auto_vacuum = %d", page_size,
           vacuum);
  run_sql(db, sql);
  run_sql(db, "create table a(i integer primary key, r real, t text, b blob, x)");
  run_sql(db, "create table c(p int, q real)");
  run_sql(db, "create table e(z)");
  run_sql(db, "create table w(k text primary key, v) without rowid");
  run_sql(db, "with recursive n(i) as (select 1 union all select i + 1 from n"
              " where i < 140) insert into a select i * 2 - 9, abs(i) % 7 / 2.0,"
              " substr('some text that goes on', 1, i % 23), zeroblob(i % 19),"
              " case i % 5 when 0 then null when 1 then i << (i % 62) when 2 then -i"
              " when 3 then i / 3.0 else 'x' || i end from n");
  run_sql(db, "insert into c select i, r from a limit 90");
  run_sql(db, "alter table c add column d default 'seven'");
  run_sql(db, "alter table c add column f real default 7");
  run_sql(db, "alter table c add column g");
  run_sql(db, "insert into c select i, r, t, i, b from a limit 40");
  run_sql(db, "insert into c select i, r, t || hex(zeroblob(i / 9)), x, t from a"
              " where i > 200");
  snprintf(sql, sizeof sql,
           "insert into a(t, b) select hex(zeroblob(%d)), zeroblob(%d);"
           "insert into a(t, b) values('short', zeroblob(%d)), ('mid', zeroblob(%d))",
           page_size / 2, page_size * 3, page_size * 2, page_size - 100);
  run_sql(db, sql);
  run_sql(db, "insert into w select i, t from a");
  run_sql(db, "delete from a where i % 11 = 3");
  sqlite3_close(db);
  sample = read_file(path);
  unlink(path);
  return sample;
}

/* A number that is near the old one, or at an edge, or any. */
static uint8_t other_byte(uint8_t old) {
  static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0x81, 0xff};

  switch (below(4)) {
  case 0:
    return old ^ (uint8_t)(1u << below(8));
  case 1:
    return (uint8_t)(old + 1 - 2 * below(2));
  case 2:
    return edges[below(sizeof edges)];
  default:
    return (uint8_t)next_random();
  }
}

/* Make the record of a cell longer in all places that say how long it is: it goes on in
 * the bytes of its neighbour, or behind the page. */
static void stretch_record(uint8_t *page, size_t page_size, size_t cell) {
  size_t longer = 1 + below(20), at = cell + 1, last;

  if (cell + 30 > page_size || page[0] != 13 || page[cell] + longer > 127)
    return;
  while (page[at] >= 0x80 && at < cell + 9)
    at++;
  last = at + page[at + 1];
  if (last >= page_size || page[last] < 12 || page[last] + 2 * longer > 127)
    return;
  page[cell] += (uint8_t)longer;
  page[last] += (uint8_t)(2 * longer);
}

/* Change a byte where it matters: in a page's header or its cell pointers, or where a
 * cell has its sizes, its rowid or page number, and the types of its record. */
static void damage_page(uint8_t *page, size_t page_size) {
  size_t header = page[0] == 5 ? 12 : 8, n = pyb__be16(page + 3), at;

  switch (below(8)) {
  case 0:
    at = below(header);
    break;
  case 1:
    at = header + below(2 * n + 2);
    break;
  default:
    at = header + 2 * below(n);
    if (at + 1 < page_size)
      at = pyb__be16(page + at);
    if (below(4) == 0) {
      stretch_record(page, page_size, at);
      return;
    }
    at += below(2) != 0 ? below(16) : below(4);
  }
  if (at < page_size)
    page[at] = other_byte(page[at]);
}

/* Damage a copy: pages where they are laid out, any bytes, the file's header, numbers
 * that become NaN, one page over another, the end of the file. */
static void damage(uint8_t *data, size_t *size) {
  size_t page_size = (size_t)data[16] << 8 | data[17];
  int times = 1 + (int)below(3);

  if (page_size == 1)
    page_size = 65536;
  for (int i = 0; i < times; i++) {
    size_t at = below(*size), page = at / page_size * page_size;
    uint64_t kind = below(40);

    if (page + page_size > *size)
      continue;
    if (kind < 30 && page != 0)
      damage_page(data + page, page_size);
    else if (kind < 33)
      data[at] = other_byte(data[at]);
    else if (kind < 35)
      data[16 + below(84)] = other_byte(data[16 + below(84)]);
    else if (kind == 35 && at + 8 <= *size)
      memcpy(data + at, "\x7f\xf8\0\0\0\0\0\1", 8);
    else if (kind == 36)
      memcpy(data + page, data + below(*size) / page_size * page_size, page_size / 2);
    else if (kind == 37 && *size > 3 * page_size)
      *size -= below(2 * page_size);
  }
}

#include "fuzz_log.h"

/* On a slow machine it takes longer until each outcome was seen often enough. */
static int seen_enough(void) {
  return counts.scanned > 500 && counts.filtered > 200 && counts.sorted > 100 &&
         counts.declined > 100 && counts.starved > 50 && counts.walked > 50 &&
         counts.logged > 100 && counts.found > 1000;
}

static void run_samples(double seconds) {
  static const int sizes[] = {512, 1024, 4096, 65536};
  enum { SAMPLES = 8 };
  sample samples[SAMPLES];
  time_t until = time(NULL) + (time_t)seconds;

  for (int i = 0; i < SAMPLES; i++)
    samples[i] = make_sample(sizes[i % 4], i >= 4 ? 20 : 0, i % 3);
  for (int i = 0; i < SAMPLES; i++)
    run_image(samples[i].data, samples[i].size);
  while (time(NULL) < until || (!seen_enough() && time(NULL) < until + 120)) {
    uint64_t pick = below(20);
    sample *from = &samples[pick < SAMPLES ? pick : pick % 2 * 4];
    size_t size = from->size;
    uint8_t *copy;

    if (below(6) == 0) {
      run_logged(from);
      continue;
    }
    copy = malloc(size);
    memcpy(copy, from->data, size);
    damage(copy, &size);
    run_image(copy, size);
    free(copy);
  }
  for (int i = 0; i < SAMPLES; i++)
    free(samples[i].data);
}

int main(int argc, char **argv) {
  LLVMFuzzerInitialize(&argc, &argv);
  if (argc < 3 || argv[1][0] == '/' || argv[1][0] == '.') {
    for (int i = 1; i < argc; i++) {
      sample sample = read_file(argv[i]);
      run_image(sample.data, sample.size);
      free(sample.data);
    }
  } else {
    state = strtoull(argv[2], NULL, 10);
    if (argc > 3)
      snprintf(folder, sizeof folder, "%s", argv[3]);
    run_samples(atof(argv[1]));
  }
  printf("images %ld scanned %ld filtered %ld sorted %ld declined %ld starved %ld rows "
         "%ld walks "
         "%ld walked %ld logged %ld looked %ld found %ld live %ld\n",
         counts.images, counts.scanned, counts.filtered, counts.sorted, counts.declined,
         counts.starved, counts.rows, counts.walks, counts.walked, counts.logged,
         counts.looked, counts.found, (long)pyb_live());
  return 0;
}
#endif
