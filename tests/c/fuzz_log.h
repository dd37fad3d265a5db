/* fuzz_log.h: the part of fuzz_pages.c with write-ahead logs: databases that get one,
 * whose frames are damaged, and copies of the wal-index, damaged for wal.c alone. */

enum { REGION = 32768, REGIONS = 4 };

/* A database file with the regions of a wal-index. */
typedef struct shared_file {
  memory_file memory;
  uint8_t *regions[REGIONS];
  int n;
} shared_file;

static int memory_size(sqlite3_file *base, sqlite3_int64 *size) {
  *size = (sqlite3_int64)((memory_file *)base)->size;
  return SQLITE_OK;
}

static int shared_map(sqlite3_file *base, int i, int size, int extend,
                      void volatile **out) {
  shared_file *file = (shared_file *)base;

  if (size != REGION || extend != 0)
    abort();
  *out = i < file->n ? file->regions[i] : NULL;
  return below(2000) == 0 ? SQLITE_READONLY : SQLITE_OK;
}

static void shared_barrier(sqlite3_file *base) {
  (void)base;
}

static const sqlite3_io_methods shared_methods = {.iVersion = 3,
                                                  .xRead = memory_read,
                                                  .xFileSize = memory_size,
                                                  .xShmMap = shared_map,
                                                  .xShmBarrier = shared_barrier};

static sqlite3_file *find_file(sqlite3 *db, int which) {
  sqlite3_file *file = NULL;
  sqlite3_file_control(db, "main", which, &file);
  return file;
}

static sample copy_file(sqlite3_file *file) {
  sqlite3_int64 size = 0;
  sample copy;

  file->pMethods->xFileSize(file, &size);
  copy.size = (size_t)size;
  copy.data = malloc(copy.size + 1);
  if (file->pMethods->xRead(file, copy.data, (int)size, 0) != SQLITE_OK)
    fail("the file cannot be copied", "xRead");
  return copy;
}

/* Have both headers say what the first one says, with the right sum. */
static void settle_header(uint8_t *region) {
  uint32_t header[12], a = 0, b = 0;

  memcpy(header, region, sizeof header);
  for (int i = 0; i < 10; i += 2) {
    a += header[i] + b;
    b += header[i + 1] + a;
  }
  header[10] = a;
  header[11] = b;
  memcpy(region, header, sizeof header);
  memcpy(region + sizeof header, header, sizeof header);
}

static void damage_index(shared_file *file) {
  for (uint64_t i = 1 + below(4); i > 0; i--) {
    uint8_t *region = file->regions[below((uint64_t)file->n)];
    uint64_t at = below(6) == 0 ? below(100) : below(REGION);

    switch (below(6)) {
    case 0: /* the hash table is full, or its slots lead behind the page numbers */
      memset(region + REGION / 2, below(2) == 0 ? 1 : 0xff, REGION / 2);
      break;
    case 1:
      memset(region + at, (int)below(256), below(REGION - at));
      break;
    default:
      region[at] = other_byte(region[at]);
    }
  }
  if (below(4) != 0) {
    const uint32_t whole[] = {3007000, 1};
    memcpy(file->regions[0], &whole[0], 4);
    file->regions[0][12] = (uint8_t)whole[1];
    settle_header(file->regions[0]);
  }
}

/* Where everything is as SQLite has left it, all pages are there. And a header that has
 * changed is seen. */
static void check_sound_log(shared_file *file, sqlite3_file *log) {
  pyb__wal wal;
  uint8_t *out;

  if (!pyb__wal_open(&wal, &file->memory.base))
    return; /* shared_map now and then says no */
  pyb__wal_look(&wal);
  if (!pyb__wal_is_known(&wal, log))
    fail("the log is not known", "wal");
  out = malloc(wal.page_size + PYB__WAL_FRAME);
  for (uint32_t page = 1; page <= wal.page_count && pyb__wal_has_frames(&wal); page++)
    counts.found += pyb__wal_read(&wal, out, page, 1);
  free(out);
  if (!pyb__wal_is_same(&wal))
    fail("the log has changed", "wal");
  pyb__wal_look(&wal);
  file->regions[0][8]++; /* the count of changes */
  if (pyb__wal_is_known(&wal, log))
    fail("half a header is taken for one", "wal");
  settle_header(file->regions[0]);
  if (pyb__wal_is_known(&wal, log))
    fail("another version is taken for this one", "wal");
  file->regions[0][32]++; /* a salt */
  if (pyb__wal_is_same(&wal))
    fail("another log is taken for this one", "wal");
  settle_header(file->regions[0]);
}

/* Read pages by an index that may say anything. */
static void look_at_log(shared_file *file, sqlite3_file *log) {
  pyb__wal wal;

  if (!pyb__wal_open(&wal, &file->memory.base))
    return;
  pyb__wal_look(&wal);
  counts.looked++;
  if (!pyb__wal_is_known(&wal, log) || !pyb__wal_has_frames(&wal))
    return;
  for (int i = 0; i < 20; i++) {
    uint32_t n = 1 + (uint32_t)below(7);
    uint8_t *out = malloc((size_t)n * (wal.page_size + PYB__WAL_FRAME));
    uint32_t page = below(9) == 0 ? (uint32_t)next_random() : 1 + (uint32_t)below(99);

    counts.found += pyb__wal_read(&wal, out, page, n);
    free(out);
  }
}

static void fuzz_index(sqlite3 *keeper) {
  sqlite3_file *file = find_file(keeper, SQLITE_FCNTL_FILE_POINTER);
  sample pages = copy_file(file);
  sample frames = copy_file(find_file(keeper, SQLITE_FCNTL_JOURNAL_POINTER));
  shared_file shared = {{{&shared_methods}, pages.data, pages.size}, {NULL}, 0};
  memory_file log = {{&shared_methods}, frames.data, frames.size};
  void volatile *region = NULL;

  while (shared.n < REGIONS &&
         file->pMethods->xShmMap(file, shared.n, REGION, 0, &region) == SQLITE_OK &&
         region != NULL) {
    shared.regions[shared.n] = malloc(REGION);
    memcpy(shared.regions[shared.n++], (void *)(uintptr_t)region, REGION);
  }
  check_sound_log(&shared, &log.base);
  for (int i = 0; i < 8; i++) {
    damage_index(&shared);
    look_at_log(&shared, &log.base);
  }
  for (int i = 0; i < shared.n; i++)
    free(shared.regions[i]);
  free(pages.data);
  free(frames.data);
}

/* Damage pages where they are, in the log more often than in the file. The connection's
 * own files are used: to close another one would drop its locks. */
static void damage_files(sqlite3 *keeper, size_t page_size) {
  uint8_t *page = malloc(page_size);

  for (uint64_t i = below(4); i > 0; i--) {
    int in_log = below(4) != 0;
    sqlite3_file *file = find_file(keeper, in_log ? SQLITE_FCNTL_JOURNAL_POINTER
                                                  : SQLITE_FCNTL_FILE_POINTER);
    size_t head = in_log ? PYB__WAL_FRAME : 0, start = in_log ? 32 : page_size;
    sqlite3_int64 size = 0, at;

    file->pMethods->xFileSize(file, &size);
    at = (sqlite3_int64)(start + head +
                         below((uint64_t)size / (page_size + head)) *
                             (page_size + head));
    if (file->pMethods->xRead(file, page, (int)page_size, at) != SQLITE_OK)
      continue;
    if (in_log && below(10) == 0) {
      file->pMethods->xWrite(file, "\1", 1, at - 1 - (sqlite3_int64)below(head));
      continue;
    }
    damage_page(page, page_size);
    file->pMethods->xWrite(file, page, (int)page_size, at);
  }
  free(page);
}

static void make_log(sqlite3 *keeper, sqlite3 *reader, sqlite3_stmt **old) {
  static const char *const changes[] = {
      "update a set x = i where i % 3 = 0",
      "update c set q = 7 where rowid < 50",
      "delete from a where i % 7 = 1",
      "insert into a(t, b) select t, zeroblob(i) from a where i % 5 = 0 limit 40",
      "update a set t = t || t, b = null where i % 13 = 2",
      "insert into e select x from a limit 30",
      "begin; update a set t = hex(zeroblob(90)); delete from c; rollback",
      "pragma wal_checkpoint",
      "pragma wal_checkpoint(restart)",
  };

  run_sql(keeper, "pragma journal_mode = wal; pragma wal_autocheckpoint = 0;"
                  "pragma cache_size = 3; pragma synchronous = off;"
                  "insert into e values(1)");
  for (uint64_t i = below(12); i > 0; i--) {
    run_sql(keeper, changes[below(sizeof changes / sizeof *changes)]);
    if (*old == NULL && below(6) == 0 &&
        sqlite3_prepare_v2(reader, "select * from e", -1, old, NULL) == SQLITE_OK)
      sqlite3_step(*old);
  }
}

static void run_logged(const sample *from) {
  size_t page_size = (size_t)from->data[16] << 8 | from->data[17];
  long before = counts.scanned;
  sqlite3 *keeper = NULL, *reader = NULL;
  sqlite3_stmt *old = NULL;
  char path[260];

  image = from->data;
  image_size = from->size;
  counts.images++;
  write_file(path, from->data, from->size);
  sqlite3_open(path, &keeper);
  sqlite3_open(path, &reader);
  make_log(keeper, reader, &old);
  fuzz_index(keeper);
  damage_files(keeper, page_size == 1 ? 65536 : page_size);
  scan_file(path);
  counts.logged += counts.scanned - before;
  sqlite3_finalize(old);
  sqlite3_close(reader);
  sqlite3_close(keeper);
  remove_files(path);
}
