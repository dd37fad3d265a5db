/* wal.h: the pages of a database in WAL mode, as one read transaction sees them. */
#ifndef PYBRIDGE_HOSTS_SQLITE_WAL_H
#define PYBRIDGE_HOSTS_SQLITE_WAL_H

#include "sqlite.h"

/* Regions of the wal-index whose places are kept, enough for a gigabyte of pages of the
 * usual size. Beyond them each is asked for again. */
#define PYB__WAL_REGIONS 64

#define PYB__WAL_HEADER 12 /* 32-bit numbers in the wal-index header */

/* Bytes of a frame in front of its page (§1.2). */
#define PYB__WAL_FRAME 24

typedef struct pyb__wal {
  sqlite3_file *file, *log; /* borrowed: the database's, and the log's */
  uint32_t header[PYB__WAL_HEADER];
  int seen; /* the header was whole when it was looked at last */

  /* Known when pyb__wal_is_known has said so. */
  uint32_t page_size;   /* where there are frames */
  uint32_t page_count;  /* of the database; 0 = the file's size says it */
  uint32_t first, last; /* the frames that count; none where last < first */

  const volatile uint8_t *regions[PYB__WAL_REGIONS];
} pyb__wal;

/* Is there a wal-index that can be read? The connection is in WAL mode, with locks
 * of its own for each transaction. */
PYB_CHECK int pyb__wal_open(pyb__wal *wal, sqlite3_file *file);

/* Look at the wal-index header, directly before the transaction begins. */
void pyb__wal_look(pyb__wal *wal);

/* Look again, directly after it has begun: is what it sees what was seen before? */
PYB_CHECK int pyb__wal_is_known(pyb__wal *wal, sqlite3_file *log);

static inline int pyb__wal_has_frames(const pyb__wal *wal) {
  return wal->first <= wal->last;
}

/* Put n pages from `page` on into `out`, which has room for PYB__WAL_FRAME bytes more
 * for each. 0 = they cannot be had. */
PYB_CHECK int pyb__wal_read(pyb__wal *wal, uint8_t *out, uint32_t page, uint32_t n);

/* Put the first `size` bytes of page 1 into `out`, which has room for PYB__WAL_FRAME
 * more. 0 = they cannot be had. */
PYB_CHECK int pyb__wal_read_first(pyb__wal *wal, uint8_t *out, uint32_t size);

/* Is the log still the one of which the frames were read? */
PYB_CHECK int pyb__wal_is_same(pyb__wal *wal);

#endif /* PYBRIDGE_HOSTS_SQLITE_WAL_H */
