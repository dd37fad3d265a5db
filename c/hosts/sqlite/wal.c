/* wal.c: finds the pages of a database in WAL mode, as one read transaction sees them:
 * in the write-ahead log, else in the file.
 *
 * "§" is a section of the document "WAL-mode File Format" of SQLite. Frames of the log
 * are numbered from 1. The wal-index in shared memory has a header, which each commit
 * replaces: among others the number of the last frame that is committed (mxFrame, here
 * m), two salts that change when the log is begun anew, and a count of commits. Behind
 * it is nBackfill (n): the frames up to it have been copied into the file.
 *
 * Which version of the database does the transaction see? Its own copy of the header
 * cannot be read. So the header is read before it begins and once more afterwards. No
 * two versions have the same header. So if nothing has changed, this header, and no
 * other, was there when the transaction took its copy. (Header and copy of it are
 * written one after the other, and are read in the other order, with a checksum: one
 * that is half written is not taken for one.)
 *
 * n is read between the two looks, while the header is known to be this one. As long as
 * it is, n only grows: whoever sets it back changes the header first. And the n that is
 * read was set by a checkpoint that knew of no frame behind m. (Read later, it may be
 * that of a checkpoint that knew of more: it passes over a page that has a newer frame
 * behind n, so the file need not have that page as it was at n.)
 *
 * n = m, or m = 0: the file has everything. A transaction that begins like this holds
 * read lock 0, under which nobody writes to the file; or, where that was not to be had,
 * a read mark, under which nobody copies frames behind m. The log is not read.
 *
 * n < m: read lock 0 is taken only where n = m, and n has not shrunk; so the
 * transaction holds a read mark, which is m or less. While it does, the log is not
 * begun anew, so the frames up to m and their entries in the wal-index stay as they
 * are: others write behind m only. A page whose last frame up to m is behind n is read
 * from there. For any other page that frame, if there is one, was copied into the file;
 * and no checkpoint touches the page there, as it goes only up to the mark, and up to
 * there no frame of the page is left. A file that is cut off is cut off at the size of
 * this version.
 *
 * One case is left, in which the header comes back: a process dies in the middle of
 * writing it, and another one recovers from the log what it was before. Then n is 0
 * although read lock 0 may be held, under which the log may be begun anew. So at the
 * end the salts are looked at: while they are the same, no frame has been written over,
 * as they change before the first one is.
 *
 * What is read from shared memory and from the log is not believed: numbers are checked
 * against what they index, searches have an end, and each frame says itself of which
 * page it is and to which log it belongs. Other processes write meanwhile, so each
 * number is loaded once, and at once. */
#include "wal.h"

#include <string.h>

#define REGION 32768     /* bytes of the wal-index that are mapped at once */
#define INDEX_HEADER 136 /* bytes before the page numbers of the first region */
#define BACKFILLED 96    /* where n is in them */
#define VERSION 3007000
#define ENTRIES 4096       /* page numbers in a region */
#define FIRST_ENTRIES 4062 /* and in the first one */
#define SLOTS 8192         /* of a region's hash table, 16 bits each */
#define LOG_HEADER 32      /* bytes before the first frame */

/* The VFS counts the bytes of the wal-index in an int. */
#define MOST_REGIONS (INT32_MAX / REGION)

/* 32-bit numbers of the header (§2.1), by their places. */
enum {
  AT_VERSION = 0,
  AT_FLAGS = 3,
  AT_LAST = 4,
  AT_PAGES = 5,
  AT_SALT = 8,
  AT_SUM = 10
};

/* ---- Shared memory -------------------------------------------------------------- */

static uint32_t load32(const volatile uint8_t *p) {
  return __atomic_load_n((const volatile uint32_t *)p, __ATOMIC_ACQUIRE);
}

static uint16_t load16(const volatile uint8_t *p) {
  return __atomic_load_n((const volatile uint16_t *)p, __ATOMIC_ACQUIRE);
}

/* A region of the wal-index, or NULL: it is not there, or not to be relied on. */
static const volatile uint8_t *find_region(pyb__wal *wal, uint32_t i) {
  void volatile *region = NULL;

  if (i < PYB__WAL_REGIONS && wal->regions[i] != NULL)
    return wal->regions[i];
  if (i >= MOST_REGIONS ||
      wal->file->pMethods->xShmMap(wal->file, (int)i, REGION, 0, &region) != SQLITE_OK)
    return NULL;
  if (i < PYB__WAL_REGIONS)
    wal->regions[i] = region;
  return region;
}

static void load_header(const volatile uint8_t *p, uint32_t header[PYB__WAL_HEADER]) {
  for (int i = 0; i < PYB__WAL_HEADER; i++)
    header[i] = load32(p + 4 * i);
}

/* The header is summed up in the byte order of the machine, two numbers at a time. */
static int is_sound(const uint32_t header[PYB__WAL_HEADER]) {
  uint32_t a = 0, b = 0;

  for (int i = 0; i < AT_SUM; i += 2) {
    a += header[i] + b;
    b += header[i + 1] + a;
  }
  return a == header[AT_SUM] && b == header[AT_SUM + 1];
}

/* Read the header. 0 = it is being written, or there is none. */
static int read_header(pyb__wal *wal, uint32_t header[PYB__WAL_HEADER]) {
  const volatile uint8_t *region = wal->regions[0];
  uint32_t copy[PYB__WAL_HEADER];

  wal->file->pMethods->xShmBarrier(wal->file);
  load_header(region, header);
  wal->file->pMethods->xShmBarrier(wal->file);
  load_header(region + sizeof copy, copy);
  return memcmp(header, copy, sizeof copy) == 0 && header[AT_VERSION] == VERSION &&
         *(const uint8_t *)&header[AT_FLAGS] == 1 && is_sound(header);
}

/* ---- The transaction ------------------------------------------------------------ */

int pyb__wal_open(pyb__wal *wal, sqlite3_file *file) {
  const sqlite3_io_methods *methods = file->pMethods;

  memset(wal, 0, sizeof *wal);
  if (methods->iVersion < 2 || methods->xShmMap == NULL || methods->xShmBarrier == NULL)
    return 0;
  wal->file = file;
  return find_region(wal, 0) != NULL;
}

void pyb__wal_look(pyb__wal *wal) {
  wal->seen = read_header(wal, wal->header);
}

/* The size of pages, by the header: 65536 does not fit into its 16 bits, and is 1. */
static uint32_t find_page_size(const uint32_t header[PYB__WAL_HEADER]) {
  uint16_t size;

  memcpy(&size, (const uint8_t *)&header[AT_FLAGS] + 2, sizeof size);
  return size == 1 ? 65536 : size;
}

/* Where a frame begins in the log. */
static sqlite3_int64 frame_place(const pyb__wal *wal, uint32_t frame) {
  return LOG_HEADER +
         (sqlite3_int64)(frame - 1) * (PYB__WAL_FRAME + (sqlite3_int64)wal->page_size);
}

/* Can there be a log of so many frames? */
static int is_log(const pyb__wal *wal) {
  sqlite3_int64 size = 0;

  return wal->page_size >= 512 && (wal->page_size & (wal->page_size - 1)) == 0 &&
         wal->log != NULL && wal->log->pMethods != NULL &&
         wal->log->pMethods->xFileSize(wal->log, &size) == SQLITE_OK &&
         wal->last / ENTRIES < MOST_REGIONS - 1 &&
         size >= frame_place(wal, wal->last + 1);
}

int pyb__wal_is_known(pyb__wal *wal, sqlite3_file *log) {
  uint32_t header[PYB__WAL_HEADER], backfilled;

  wal->file->pMethods->xShmBarrier(wal->file);
  backfilled = load32(wal->regions[0] + BACKFILLED);
  if (!wal->seen || !read_header(wal, header) ||
      memcmp(header, wal->header, sizeof header) != 0)
    return 0;
  wal->log = log;
  wal->page_size = find_page_size(header);
  wal->page_count = header[AT_PAGES];
  wal->last = header[AT_LAST];
  wal->first = wal->last == 0 ? 1 : backfilled + 1; /* see above: 0 = begun anew */
  if (wal->last == 0)
    return 1;
  return backfilled == wal->last || (backfilled < wal->last && is_log(wal));
}

int pyb__wal_is_same(pyb__wal *wal) {
  uint32_t header[PYB__WAL_HEADER];

  /* Whole or not: nobody writes a frame before all of the new header is there. */
  wal->file->pMethods->xShmBarrier(wal->file);
  load_header(wal->regions[0], header);
  return memcmp(&header[AT_SALT], &wal->header[AT_SALT], 8) == 0;
}

/* ---- Finding a frame ------------------------------------------------------------ */

/* The region that has the entry of a frame, and how many frames those before have. */
static uint32_t region_of(uint32_t frame) {
  return frame <= FIRST_ENTRIES ? 0 : (frame - FIRST_ENTRIES - 1) / ENTRIES + 1;
}

static uint32_t frames_before(uint32_t region) {
  return region == 0 ? 0 : FIRST_ENTRIES + (region - 1) * ENTRIES;
}

/* Find the last frame in one region that has the page; *frame stays 0 where none has. A
 * slot of the hash table has the place of an entry among the page numbers, from 1 on;
 * an empty one ends the search (§2.3). 0 = the table is not sound. */
static int find_in(const pyb__wal *wal, uint32_t i, const volatile uint8_t *region,
                   uint32_t page, uint32_t *frame) {
  uint32_t n = i == 0 ? FIRST_ENTRIES : ENTRIES, before = frames_before(i);
  const volatile uint8_t *pages = i == 0 ? region + INDEX_HEADER : region;
  const volatile uint8_t *slots = region + ENTRIES * 4;
  uint32_t at = page * 383 % SLOTS;

  for (int probes = 0; probes < SLOTS; probes++) {
    uint32_t entry = load16(slots + at * 2);
    uint32_t found = before + entry;

    if (entry == 0)
      return 1;
    if (entry > n)
      return 0;
    if (found >= wal->first && found <= wal->last && found > *frame &&
        load32(pages + (entry - 1) * 4) == page)
      *frame = found;
    at = (at + 1) % SLOTS;
  }
  return 0;
}

/* Find the frame that has the page; *frame is 0 where the file has it. 0 = it cannot be
 * told. */
static int find_frame(pyb__wal *wal, uint32_t page, uint32_t *frame) {
  uint32_t i, end = region_of(wal->first);

  *frame = 0;
  if (!pyb__wal_has_frames(wal))
    return 1;
  i = region_of(wal->last) + 1;
  while (i-- > end && *frame == 0) {
    const volatile uint8_t *region = find_region(wal, i);
    if (region == NULL || !find_in(wal, i, region, page, frame))
      return 0;
  }
  return 1;
}

/* ---- Reading -------------------------------------------------------------------- */

/* Does a frame say that it holds this page, and that it belongs to this log? */
static int is_frame_of(const pyb__wal *wal, const uint8_t *frame, uint32_t page) {
  uint32_t number;

  memcpy(&number, frame, 4);
  return __builtin_bswap32(number) == page &&
         memcmp(frame + 8, &wal->header[AT_SALT], 8) == 0;
}

/* Read n pages from frames that lie one behind the other. */
static int read_frames(const pyb__wal *wal, uint8_t *out, uint32_t page, uint32_t n,
                       uint32_t frame) {
  size_t size = wal->page_size;

  if (wal->log->pMethods->xRead(wal->log, out, (int)(n * (size + PYB__WAL_FRAME)),
                                frame_place(wal, frame)) != SQLITE_OK)
    return 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *from = out + i * (size + PYB__WAL_FRAME);
    if (!is_frame_of(wal, from, page + i))
      return 0;
    memmove(out + i * size, from + PYB__WAL_FRAME, size);
  }
  return 1;
}

/* Read n pages from the file. A page that is nowhere, as nobody has ever needed what is
 * on it, is zeros to SQLite; and that is what the VFS puts where the file has ended. */
static int read_file(const pyb__wal *wal, uint8_t *out, uint32_t page, uint32_t n) {
  sqlite3_int64 place = (sqlite3_int64)(page - 1) * (sqlite3_int64)wal->page_size;
  int code =
      wal->file->pMethods->xRead(wal->file, out, (int)(n * wal->page_size), place);

  return code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ;
}

int pyb__wal_read(pyb__wal *wal, uint8_t *out, uint32_t page, uint32_t n) {
  uint32_t frame, next = 0, run;

  if (!find_frame(wal, page, &frame))
    return 0;
  for (uint32_t i = 0; i < n; i += run) {
    uint8_t *at = out + (size_t)i * wal->page_size;

    for (run = 1; i + run < n; run++) {
      if (!find_frame(wal, page + i + run, &next))
        return 0;
      if (next != (frame == 0 ? 0 : frame + run))
        break;
    }
    if (!(frame == 0 ? read_file(wal, at, page + i, run)
                     : read_frames(wal, at, page + i, run, frame)))
      return 0;
    frame = next;
  }
  return 1;
}

int pyb__wal_read_first(pyb__wal *wal, uint8_t *out, uint32_t size) {
  uint32_t frame;

  if (!find_frame(wal, 1, &frame))
    return 0;
  if (frame == 0)
    return wal->file->pMethods->xRead(wal->file, out, (int)size, 0) == SQLITE_OK;
  if (wal->log->pMethods->xRead(wal->log, out, (int)size + PYB__WAL_FRAME,
                                frame_place(wal, frame)) != SQLITE_OK ||
      !is_frame_of(wal, out, 1))
    return 0;
  memmove(out, out + PYB__WAL_FRAME, size);
  return 1;
}
