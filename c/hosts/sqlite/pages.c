/* pages.c: decides whether a table may be read from its pages below SQL, and does it:
 * for py_table, or for a query that turns out to want no more than rows of one table.
 *
 * SQL stays the judge of what a scan returns. The scan below it is made only where each
 * of the following is seen to hold, in this order, and each for its own reason.
 *
 * 1. The database is a file, opened by the VFS "unix" itself: its xRead gives the bytes
 *    of the database format. Databases in memory, temporary ones, and those of a VFS
 *    that changes or moves pages (encrypting, checksums, compression) have another
 *    name. A SQLite built with a codec changes pages above the VFS and is refused.
 * 2. This connection holds a read transaction, by a statement that stands on a row, and
 *    so the SHARED lock ("File Locking And Concurrency", section 3): what a crash had
 *    left half done was rolled back before, and until the lock is given back nobody
 *    writes to the file, because that takes an EXCLUSIVE one. The lock is seen in the
 *    VFS: with `nolock` or `immutable` there is none. The schema that the connection
 *    knows was compared with the file's by the same statement.
 * 3. The connection has not begun to write to this database, so its page cache has no
 *    page that differs from the file. (Nor has another one in the same cache: where a
 *    cache may be shared the program of 6 has an instruction that locks the table.)
 * 4. The journal is a rollback journal. Or it is a write-ahead log, and it is known
 *    which version of the database the transaction sees, because it begins here: pages
 *    that are in the log are read from there, others from the file, and wal.c says why
 *    they are this version's. Where it is not known, because the transaction has begun
 *    before or has no locks of its own, the log's file is seen to be empty when it has
 *    begun ("WAL-mode File Format", section 2.3). A transaction that needs frames of
 *    the log holds a read mark above 0, under which the log is neither reset nor cut
 *    off. So this one needs none: it holds read mark 0, reads the database file alone,
 *    and no checkpoint writes to that until it has ended.
 * 5. The header is plain, its text encoding is UTF-8, its schema cookie is that of the
 *    statement, and the file (or the commit in the log) has as many pages as it says
 *    ("Database File Format", §1.3).
 * 6. The program that SQLite itself would run for the query, which for py_table is
 *    `select columns from table`, does only this: go through one B-tree from its
 *    first to its last entry or through a range of rowids, go by rows for which a
 *    comparison of fields and constants says so, or the list of an IN, or a pattern of
 *    LIKE or GLOB that is SQLite's own, take fields of the record or the rowid, make
 *    floats of the integers in a column of REAL affinity, sort by fields with the
 *    collation BINARY, and return them. EXPLAIN shows it, and asks the authorizer of
 *    the connection on the way (program.c, plan.c, conditions.c). So the root page, the
 *    fields, the alias of the rowid, the affinities, the collations, the logic of WHERE
 *    and LIMIT, and which fields have a default are not worked out here from SQL: they
 *    are what SQLite has worked out. Generated columns, views that compute, virtual
 *    tables, tables WITHOUT ROWID, indexes, other functions and whatever a later
 *    version thinks of are programs with other instructions. The shape of the program
 *    is no promise of SQLite's: where it changes, the scan declines. What it compares
 *    with is known exactly, or not at all (constants.c); and where the values of a row
 *    call for a conversion that predicate.c does not do, the scan declines.
 * 7. The schema on disk names the same root page: no edit of sqlite_schema that the
 *    connection has not seen. Where only a query is given, it names the table; and the
 *    query, prepared once more inside the transaction, has the columns it had before.
 *
 * What the pages then hold is checked byte for byte by btree.c and leaf.c. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sorted.h"

#define ADDED 3034001 /* the version that has all we call: sqlite3_txn_state */
#define HEADER 100    /* bytes of a database's header */
#define TRIES 20      /* transactions that are begun until none comes in between */

typedef struct attempt {
  pyb__sqlite *host;
  const pyb__sqlite_scan *scan;
  const pyb__sqlite_plain *query; /* what is read, where that is not all of `scan` */
  sqlite3 *db;
  sqlite3_stmt *hold; /* stands on a row while the transaction is needed */
  char **names;       /* of the columns to read; NULL = a query's */
  const char *rowid;  /* a name that means the rowid in this table, or NULL */
  int in_wal;         /* the database is in WAL mode */
  int known;          /* and what `wal` says is what the transaction sees */
  pyb__wal wal;
  uint32_t cookie, change;
  pyb__program program;
  pyb__plan plan;
  pyb__tree tree;
} attempt;

/* The checks return NULL where all is well, else the reason why the scan may not be. */

/* ---- SQL ------------------------------------------------------------------------ */

static const char no_memory[] = "there is no memory for it";

/* Prepare a statement from a format of sqlite3_mprintf. NULL: it cannot be. */
static sqlite3_stmt *prepare(sqlite3 *db, const char *format, ...) {
  sqlite3_stmt *statement = NULL;
  va_list list;
  char *sql;

  va_start(list, format);
  sql = sqlite3_vmprintf(format, list);
  va_end(list);
  if (sql != NULL && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
    statement = NULL;
  sqlite3_free(sql);
  return statement;
}

static int is_row(sqlite3_stmt *statement) {
  return statement != NULL && sqlite3_step(statement) == SQLITE_ROW;
}

static int text_is(sqlite3_stmt *statement, int column, const char *text) {
  const char *got = (const char *)sqlite3_column_text(statement, column);
  return got != NULL && strcmp(got, text) == 0;
}

/* ---- The database --------------------------------------------------------------- */

static const char *check_file(attempt *at) {
  const char *schema = at->scan->schema;
  const char *path = sqlite3_db_filename(at->db, schema);
  sqlite3_file *file = NULL;
  char *vfs = NULL;
  int plain;

  if (sqlite3_compileoption_used("HAS_CODEC"))
    return "this SQLite encrypts its pages";
  if (sqlite3_stricmp(schema, "temp") == 0 || path == NULL || path[0] == '\0')
    return "the database is not a file";
  sqlite3_file_control(at->db, schema, SQLITE_FCNTL_VFSNAME, &vfs);
  plain = vfs != NULL && strcmp(vfs, "unix") == 0;
  sqlite3_free(vfs);
  if (!plain)
    return "the database is not a plain file: its VFS is not \"unix\"";
  sqlite3_file_control(at->db, schema, SQLITE_FCNTL_FILE_POINTER, &file);
  if (file == NULL || file->pMethods == NULL || file->pMethods->xRead == NULL ||
      file->pMethods->xFileSize == NULL)
    return "the database file is not open";
  at->tree.file = file;
  return NULL;
}

/* Read the header of the database, HEADER bytes; 0 = there is none. */
static int read_header(attempt *at, uint8_t *header) {
  sqlite3_file *file = at->tree.file;

  if (at->known)
    return pyb__wal_read_first(&at->wal, header, HEADER);
  return file->pMethods->xRead(file, header, HEADER, 0) == SQLITE_OK;
}

/* How many pages the database has, whatever its header says; 0 = it cannot be told. */
static uint32_t count_pages(const attempt *at) {
  sqlite3_file *file = at->tree.file;
  sqlite3_int64 size = 0;

  if (at->known && at->wal.page_count != 0)
    return at->wal.page_count;
  if (file->pMethods->xFileSize(file, &size) != SQLITE_OK)
    return 0;
  return (uint32_t)(size / at->tree.page_size);
}

/* The header's numbers are big-endian; the offsets are those of §1.3. */
static const char *check_header(attempt *at) {
  static const char magic[16] = "SQLite format 3";
  pyb__tree *tree = &at->tree;
  uint8_t header[HEADER + PYB__WAL_FRAME];
  uint32_t count;

  if (!read_header(at, header))
    return "the file has no header";
  tree->page_size = pyb__be16(header + 16);
  if (tree->page_size == 1)
    tree->page_size = 65536;
  tree->usable_size = tree->page_size - header[20];
  if (memcmp(header, magic, sizeof magic) != 0 || tree->page_size < 512 ||
      (tree->page_size & (tree->page_size - 1)) != 0 || tree->usable_size < 480 ||
      memcmp(header + 21, "\x40\x20\x20", 3) != 0)
    return "the file's header is not plain";
  if (at->known && pyb__wal_has_frames(&at->wal) &&
      at->wal.page_size != tree->page_size)
    return "the write-ahead log has pages of another size";
  if (header[18] != header[19] || header[18] != (at->in_wal ? 2 : 1))
    return "the journal mode is not the one that the file's header says";
  if (pyb__be32(header + 56) != 1)
    return "the text encoding is not UTF-8";
  at->change = pyb__be32(header + 24);
  at->cookie = pyb__be32(header + 40);
  tree->auto_vacuum = pyb__be32(header + 52) != 0;
  /* The size in the header counts where whoever wrote last knew of it (§1.3.8). */
  count = count_pages(at);
  tree->page_count = pyb__be32(header + 28);
  if (tree->page_count == 0 || memcmp(header + 24, header + 92, 4) != 0)
    tree->page_count = count;
  if (tree->page_count > count)
    return "the file is shorter than its header says";
  return NULL;
}

/* ---- The transaction ------------------------------------------------------------ */

static const char *check_transaction(attempt *at) {
  int state = sqlite3_txn_state(at->db, at->scan->schema), lock = 0;

  if (state == SQLITE_TXN_WRITE)
    return "the connection has begun to write to the database";
  if (state != SQLITE_TXN_READ)
    return "there is no read transaction";
  if (sqlite3_file_control(at->db, at->scan->schema, SQLITE_FCNTL_LOCKSTATE, &lock) !=
          SQLITE_OK ||
      lock < SQLITE_LOCK_SHARED)
    return "the database file is not locked";
  return NULL;
}

/* The file of the write-ahead log, which SQLite has open, or NULL. */
static sqlite3_file *find_log(const attempt *at) {
  sqlite3_file *log = NULL;

  sqlite3_file_control(at->db, at->scan->schema, SQLITE_FCNTL_JOURNAL_POINTER, &log);
  return log != NULL && log->pMethods != NULL ? log : NULL;
}

static const char *check_log_is_empty(const attempt *at) {
  sqlite3_file *log = find_log(at);
  sqlite3_int64 size = -1;

  if (log == NULL || log->pMethods->xFileSize(log, &size) != SQLITE_OK || size != 0)
    return "the write-ahead log is not empty, and what is seen of it is not known";
  return NULL;
}

/* Does each transaction take locks? A connection that has the database for itself does
 * not, and may keep the wal-index where nobody sees it. */
static int is_sharing(const attempt *at) {
  sqlite3_stmt *mode = prepare(at->db, "pragma \"%w\".locking_mode", at->scan->schema);
  int sharing = is_row(mode) && text_is(mode, 0, "normal");

  sqlite3_finalize(mode);
  return sharing;
}

/* Every mode that has a rollback journal will do; but without any, after a rollback,
 * nobody knows what the file holds. */
static const char *check_journal(attempt *at) {
  static const char *const modes[] = {"delete", "truncate", "persist", "memory"};
  sqlite3_stmt *mode = prepare(at->db, "pragma \"%w\".journal_mode", at->scan->schema);
  const char *reason = "the database has no rollback journal";

  if (is_row(mode)) {
    at->in_wal = text_is(mode, 0, "wal");
    if (at->in_wal)
      reason = NULL;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
      if (text_is(mode, 0, modes[i]))
        reason = NULL;
  }
  sqlite3_finalize(mode);
  return reason;
}

/* Begin the transaction, in WAL mode, so that it is known what it sees. */
static const char *begin_known(attempt *at) {
  for (int i = 0; i < TRIES && !at->known; i++) {
    int lock = 0, first;

    sqlite3_reset(at->hold);
    /* The caller's BEGIN may hold what was begun here a moment ago. */
    first = sqlite3_txn_state(at->db, at->scan->schema) == SQLITE_TXN_NONE;
    if (first)
      pyb__wal_look(&at->wal);
    if (!is_row(at->hold))
      return "the schema cannot be read";
    if (!first)
      break;
    sqlite3_file_control(at->db, at->scan->schema, SQLITE_FCNTL_LOCKSTATE, &lock);
    at->known = lock == SQLITE_LOCK_SHARED && pyb__wal_is_known(&at->wal, find_log(at));
  }
  if (at->known && pyb__wal_has_frames(&at->wal))
    at->tree.wal = &at->wal;
  return NULL;
}

static const char *begin(attempt *at) {
  int state = sqlite3_txn_state(at->db, at->scan->schema);
  const char *reason;

  if (state == SQLITE_TXN_WRITE)
    return "the connection has begun to write to the database";
  at->hold = prepare(at->db, "select 1 from \"%w\".sqlite_master", at->scan->schema);
  if (at->hold == NULL)
    return "the schema cannot be read";
  reason = check_journal(at);
  /* Only where SQLite has the log open: what maps its index may open that too. */
  if (reason == NULL && at->in_wal && state == SQLITE_TXN_NONE &&
      find_log(at) != NULL && is_sharing(at) && pyb__wal_open(&at->wal, at->tree.file))
    reason = begin_known(at);
  else if (!is_row(at->hold))
    return "the schema cannot be read";
  if (reason == NULL)
    reason = check_transaction(at);
  if (reason == NULL && at->in_wal && !at->known)
    reason = check_log_is_empty(at);
  return reason;
}

/* Nothing has changed since: with the lock held this cannot fail, and costs nothing. */
static const char *check_still(attempt *at) {
  const char *reason = check_transaction(at);
  uint32_t change = at->change;

  if (reason == NULL)
    reason = check_header(at);
  if (reason == NULL && at->change != change)
    reason = "the database has changed meanwhile";
  if (reason == NULL && at->tree.wal != NULL && !pyb__wal_is_same(&at->wal))
    reason = "the write-ahead log has begun anew meanwhile";
  return reason;
}

/* ---- The table ------------------------------------------------------------------ */

/* The names of the wanted columns, and one for the rowid that no column has taken. */
static const char *find_names(attempt *at) {
  static const char *const rowids[] = {"rowid", "_rowid_", "oid"};
  const pyb__sqlite_scan *scan = at->scan;
  sqlite3_stmt *info =
      prepare(at->db, "pragma \"%w\".table_xinfo(\"%w\")", scan->schema, scan->table);
  int taken[3] = {0, 0, 0};
  size_t found = 0;

  at->names = sqlite3_malloc64((scan->n + 1) * sizeof *at->names);
  if (at->names == NULL) {
    sqlite3_finalize(info);
    return no_memory;
  }
  memset(at->names, 0, (scan->n + 1) * sizeof *at->names);
  while (is_row(info)) {
    const char *name = (const char *)sqlite3_column_text(info, 1);
    for (int i = 0; i < 3 && name != NULL; i++)
      taken[i] |= sqlite3_stricmp(name, rowids[i]) == 0;
    if (found < scan->n && sqlite3_column_int(info, 0) == scan->columns[found])
      at->names[found++] = sqlite3_mprintf("%s", name);
  }
  sqlite3_finalize(info);
  for (int i = 2; i >= 0; i--)
    if (!taken[i])
      at->rowid = rowids[i];
  return found == scan->n && found != 0 ? NULL : "the columns are not found";
}

/* The root page that the schema on disk has for the table. */
static const char *check_schema(attempt *at) {
  sqlite3_stmt *row = prepare(at->db,
                              "select rootpage from \"%w\".sqlite_master"
                              " where type = 'table' and name = %Q collate nocase",
                              at->scan->schema, at->scan->table);
  const char *reason = NULL;

  if (!is_row(row) || sqlite3_column_int64(row, 0) == 0)
    reason = "it is not an ordinary table";
  else if (sqlite3_column_int64(row, 0) != at->tree.root)
    reason = "the schema has been edited";
  else if (at->plan.cookie != at->cookie)
    reason = "the schema has changed meanwhile";
  sqlite3_finalize(row);
  return reason;
}

/* ---- The program ---------------------------------------------------------------- */

/* The query that py_table stands for, of sqlite3_malloc, or NULL. */
static char *table_query(const attempt *at) {
  sqlite3_str *sql = sqlite3_str_new(at->db);

  for (size_t i = 0; i < at->scan->n; i++)
    sqlite3_str_appendf(sql, "%s\"%w\"", i == 0 ? "explain select " : ", ",
                        at->names[i]);
  sqlite3_str_appendf(sql, " from \"%w\".\"%w\" not indexed", at->scan->schema,
                      at->scan->table);
  return sqlite3_str_finish(sql);
}

/* See what SQLite would do for a query behind "explain", a string of sqlite3_malloc
 * that is taken. */
static const char *read_program(attempt *at, char *explain) {
  pyb__plan *plan = &at->plan;
  const char *reason = pyb__program_read(at->db, explain, &at->program);

  if (reason == NULL && at->query != NULL)
    reason = pyb__program_constants(at->db, at->query, &at->program);
  plan->fields = at->tree.fields;
  plan->n = at->tree.n;
  if (reason == NULL)
    reason = pyb__plan_make(&at->program, plan);
  return reason;
}

/* py_table's own query has no WHERE: its rows are those from `start` to `end`. */
static const char *read_table_program(attempt *at) {
  const char *reason = read_program(at, table_query(at));

  at->tree.root = at->plan.root;
  return reason == pyb__plan_more
             ? "the columns are not plainly stored in a rowid table"
             : reason;
}

static const char *read_query_program(attempt *at) {
  const pyb__sqlite_plain *query = at->query;
  const pyb__plan *plan = &at->plan;
  const char *reason =
      read_program(at, sqlite3_mprintf("explain %.*s", (int)query->size, query->sql));

  at->tree.root = plan->root;
  at->tree.start = plan->start;
  at->tree.end = plan->end;
  at->tree.predicate = plan->predicate;
  at->tree.skip = plan->skip;
  at->tree.most = plan->most;
  return reason;
}

/* ---- A query -------------------------------------------------------------------- */

/* Which database the program reads: its name, of sqlite3_malloc, or NULL. */
static char *find_schema(const attempt *at) {
  sqlite3_stmt *list = prepare(at->db, "pragma database_list");
  char *schema = NULL;

  while (schema == NULL && is_row(list))
    if (sqlite3_column_int(list, 0) == at->plan.database)
      schema = sqlite3_mprintf("%s", sqlite3_column_text(list, 1));
  sqlite3_finalize(list);
  return schema;
}

/* Which table the program reads: its name, of sqlite3_malloc, or NULL. */
static char *find_table(const attempt *at) {
  sqlite3_stmt *row = prepare(at->db,
                              "select name from \"%w\".sqlite_master"
                              " where type = 'table' and rootpage = %u",
                              at->scan->schema, at->tree.root);
  char *table = is_row(row) ? sqlite3_mprintf("%s", sqlite3_column_text(row, 0)) : NULL;

  sqlite3_finalize(row);
  return table;
}

static int is_same(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Does the query have the columns inside the transaction that it had before? */
static const char *check_columns(const attempt *at) {
  const pyb__sqlite_plain *query = at->query;
  sqlite3_stmt *again = prepare(at->db, "%.*s", (int)query->size, query->sql);
  int n = again == NULL ? 0 : sqlite3_column_count(again);
  int same = n > 0 && (size_t)n == at->tree.n;

  for (int i = 0; i < n && same; i++)
    same = is_same(sqlite3_column_name(again, i),
                   sqlite3_column_name(query->statement, i)) &&
           is_same(sqlite3_column_decltype(again, i),
                   sqlite3_column_decltype(query->statement, i));
  sqlite3_finalize(again);
  return same ? NULL : "the schema has changed meanwhile";
}

/* ---- The scan ------------------------------------------------------------------- */

/* pyb__tree.ask: which value a field has that the record does not reach to. It is the
 * same in every such record, so one is looked up. */
static pyb__tree_end ask(pyb__tree *tree, size_t i, int64_t rowid) {
  attempt *at = (attempt *)((char *)tree - offsetof(attempt, tree));
  pyb__tree_end end = PYB__TREE_WHOLE;
  sqlite3_stmt *row;

  if (at->names == NULL)
    return pyb__tree_decline(tree, "a row from before ALTER TABLE wants a default");
  if (at->rowid == NULL)
    return pyb__tree_decline(tree, "the rowid has no name, and a default is wanted");
  row = prepare(at->db, "select \"%w\" from \"%w\".\"%w\" not indexed where %s = %lld",
                at->names[i], at->scan->schema, at->scan->table, at->rowid,
                (long long)rowid);
  if (!is_row(row))
    end = pyb__tree_decline(tree, "a default cannot be asked for");
  else
    tree->fields[i].absent = sqlite3_value_dup(sqlite3_column_value(row, 0));
  if (end == PYB__TREE_WHOLE && tree->fields[i].absent == NULL)
    end = PYB__TREE_NO_MEMORY;
  sqlite3_finalize(row);
  return end;
}

/* Has the host been asked to stop, or by the library? Only a newer SQLite can say. */
static int is_stopped(void *data) {
  pyb__sqlite *host = data;

  return atomic_load(&host->stopped) != 0 ||
         (host->services.interrupted != NULL && host->services.interrupted(host));
}

static const char *prepare_tree(attempt *at, pyb_table *table) {
  pyb__tree *tree = &at->tree;

  tree->n = at->scan->n;
  tree->fields = sqlite3_malloc64((tree->n + 1) * sizeof *tree->fields);
  if (tree->fields == NULL) {
    tree->n = 0;
    return no_memory;
  }
  memset(tree->fields, 0, (tree->n + 1) * sizeof *tree->fields);
  for (size_t i = 0; i < tree->n; i++)
    tree->fields[i].column = pyb_table_column(table, i);
  tree->table = table;
  tree->start = at->scan->start;
  tree->end = at->scan->end;
  tree->longest = sqlite3_limit(at->db, SQLITE_LIMIT_LENGTH, -1);
  tree->ask = ask;
  tree->interrupted = is_stopped;
  tree->host = at->host;
  return NULL;
}

static const char *check_table(attempt *at, pyb_table *table) {
  const char *reason = check_file(at);

  if (reason == NULL)
    reason = begin(at);
  if (reason == NULL)
    reason = check_header(at);
  if (reason == NULL)
    reason = find_names(at);
  if (reason == NULL)
    reason = prepare_tree(at, table);
  if (reason == NULL)
    reason = read_table_program(at);
  if (reason == NULL)
    reason = check_schema(at);
  return reason;
}

/* The program first, as most queries are no plain scans. */
static const char *check_query(attempt *at, pyb__sqlite_scan *scan, pyb_table *table) {
  const char *reason = prepare_tree(at, table);

  if (reason == NULL)
    reason = read_query_program(at);
  if (reason != NULL)
    return reason;
  scan->schema = find_schema(at);
  if (scan->schema == NULL)
    return "the database is not found";
  reason = check_file(at);
  if (reason == NULL)
    reason = begin(at);
  if (reason == NULL)
    reason = check_header(at);
  if (reason != NULL)
    return reason;
  scan->table = find_table(at);
  if (scan->table == NULL)
    return "the table is not found";
  reason = check_schema(at);
  if (reason == NULL)
    reason = check_columns(at);
  if (reason == NULL)
    reason = pyb__plan_suits(at->db, &at->plan, at->scan,
                             sqlite3_bind_parameter_count(at->query->statement));
  return reason;
}

static void finish(attempt *at) {
  pyb__tree_release(&at->tree);
  pyb__plan_release(&at->plan);
  pyb__program_release(&at->program);
  sqlite3_free(at->tree.fields);
  for (size_t i = 0; i < at->scan->n && at->names != NULL; i++)
    sqlite3_free(at->names[i]);
  sqlite3_free(at->names);
  sqlite3_finalize(at->hold);
}

/* Walk the tree, where nothing is against it, and put the attempt away. */
static pyb_status walk(attempt *at, pyb_table *table, const char *why, int *done,
                       char reason[PYB__SQLITE_REASON], pyb_error *error) {
  pyb__tree_end end = PYB__TREE_WHOLE;

  if (why == NULL) {
    end = at->plan.n_keys == 0 ? pyb__tree_read(&at->tree)
                               : pyb__sorted_read(&at->tree, &at->plan, table);
    why = end == PYB__TREE_DECLINED ? at->tree.reason : check_still(at);
  }
  finish(at);
  if (end == PYB__TREE_NO_MEMORY)
    return pyb__sqlite_refuse(error, PYB_NO_MEMORY, "no memory for table \"%s\"",
                              at->scan->table);
  if (end == PYB__TREE_INTERRUPTED)
    return pyb__sqlite_refuse(error, PYB_INTERRUPTED, "interrupted");
  *done = why == NULL;
  if (why != NULL)
    snprintf(reason, PYB__SQLITE_REASON, "%s", why);
  return PYB_OK;
}

void pyb__sqlite_scanned(pyb__sqlite *host, const char *reason) {
  sqlite3_snprintf(sizeof host->scanned, host->scanned, "%s%s",
                   reason == NULL ? "pages" : "query: ", reason == NULL ? "" : reason);
}

static const char too_old[] = "this SQLite is older than 3.34.1";

pyb_status pyb__sqlite_pages_scan(pyb__sqlite *host, const pyb__sqlite_scan *scan,
                                  pyb_table *table, int *done,
                                  char reason[PYB__SQLITE_REASON], pyb_error *error) {
  attempt at = {.host = host, .scan = scan, .db = host->db};
  pyb_status status;

  *done = 0;
  reason[0] = '\0';
  atomic_store(&host->stopped, 0); /* an earlier stop is over, or comes again */
  /* Where connections are serialized, no other thread comes in between. */
  sqlite3_mutex_enter(sqlite3_db_mutex(at.db));
  status = walk(&at, table, pyb__sqlite_has(ADDED) ? check_table(&at, table) : too_old,
                done, reason, error);
  sqlite3_mutex_leave(sqlite3_db_mutex(at.db));
  return status;
}

pyb_status pyb__sqlite_pages_query(pyb__sqlite *host, const pyb__sqlite_plain *query,
                                   pyb_table *table, int *done,
                                   char reason[PYB__SQLITE_REASON], pyb_error *error) {
  pyb__sqlite_scan scan = {.n = (size_t)sqlite3_column_count(query->statement),
                           .start = INT64_MIN,
                           .end = INT64_MAX};
  attempt at = {.host = host, .scan = &scan, .query = query, .db = host->db};
  const char *why = NULL;
  pyb_status status;

  *done = 0;
  reason[0] = '\0';
  atomic_store(&host->stopped, 0);
  if (!pyb__sqlite_has(ADDED))
    why = too_old;
  sqlite3_mutex_enter(sqlite3_db_mutex(at.db));
  if (why == NULL)
    why = check_query(&at, &scan, table);
  status = walk(&at, table, why, done, reason, error);
  sqlite3_mutex_leave(sqlite3_db_mutex(at.db));
  sqlite3_free((char *)scan.schema);
  sqlite3_free((char *)scan.table);
  return status;
}
