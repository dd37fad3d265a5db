/* btree.h: a table's B-tree, read from the pages of a database file into columns.
 *
 * pages.c decides whether that may be done and fills a `pyb__tree`; btree.c walks from
 * the root to the leaves and along overflow chains; leaf.c takes the cells of a leaf
 * apart and appends them to the columns. Nothing in a page is believed: every number
 * read from it is checked against the bytes that are there. Whatever is not as the file
 * format says ends the scan with PYB__TREE_DECLINED, and SQL reports it then as SQLite
 * does. "§" is a section of the document "Database File Format" of SQLite.
 */
#ifndef PYBRIDGE_HOSTS_SQLITE_BTREE_H
#define PYBRIDGE_HOSTS_SQLITE_BTREE_H

#include "predicate.h"
#include "sqlite.h"
#include "wal.h"

typedef enum pyb__tree_end {
  PYB__TREE_WHOLE = 0,   /* all rows are in the columns */
  PYB__TREE_DECLINED,    /* not to be had from the pages; tree->reason says why */
  PYB__TREE_NO_MEMORY,   /* an allocation failed */
  PYB__TREE_INTERRUPTED, /* the host was asked to stop */
} pyb__tree_end;

/* How deep a cursor of SQLite goes; a deeper tree is corrupt to it. */
#define PYB__TREE_DEPTH 20

/* Bytes that may be read behind a page or a payload, so that numbers and short text are
 * taken with loads of a fixed width. What is read there is never used. */
#define PYB__TREE_SLACK 64

/* Bytes read at once where pages lie one behind the other. */
#define PYB__TREE_WINDOW (256 * 1024)

/* Pages of the file that are in memory: `n` from page `first` on. */
typedef struct pyb__window {
  uint8_t *bytes; /* PYB__TREE_WINDOW, or the file if that is less; room for the
                   * headers of so many frames; and the slack */
  uint32_t first, n;
} pyb__window;

/* One column of the result. */
typedef struct pyb__field {
  pyb_column *column;
  int field;             /* index in the record; -1 = the rowid */
  int real;              /* REAL affinity: a stored integer is a float */
  int has_default;       /* a record without the field has not NULL there */
  sqlite3_value *absent; /* then this, once it is known */
} pyb__field;

typedef struct pyb__tree pyb__tree;
struct pyb__tree {
  /* What to read; filled by the caller. */
  sqlite3_file *file;
  pyb__wal *wal; /* borrowed; NULL = all pages are in the file */
  uint32_t root;
  uint32_t page_size, usable_size; /* usable = without the reserved bytes */
  uint32_t page_count;
  int auto_vacuum;          /* the file has pages that say what other pages are for */
  int64_t start, end;       /* rowids, inclusive */
  int64_t longest;          /* bytes that a record may have */
  pyb__predicate predicate; /* which rows; no tests = all. Not released here */
  const int64_t *wanted;    /* their rowids, n_wanted of them, ascending; NULL = all */
  int64_t n_wanted;
  int64_t skip, most; /* of these: so many are passed over, and so many taken
                       * then; most 0 = all */
  pyb_table *table;   /* borrowed */
  pyb__field *fields; /* n of them, in the order of the table's columns */
  size_t n;
  /* Fill in fields[i].absent, the value in the row `rowid`, by asking SQL. */
  pyb__tree_end (*ask)(pyb__tree *tree, size_t i, int64_t rowid);
  int (*interrupted)(void *host); /* NULL = nobody asks */
  void *host;
  size_t seen; /* fields of a record that are looked at also where nobody wants them */
  /* Called between two leaves when the columns have `full_rows` or more; it may take
   * rows out of them. NULL = nobody cares. */
  pyb__tree_end (*full)(pyb__tree *tree, void *data);
  void *full_data;
  int64_t full_rows;

  /* The walk's own. */
  const char *reason;
  int64_t budget; /* pages that may still be visited: each has one place only */
  int64_t next;   /* the least rowid that may come */
  int64_t rows;   /* rows appended */
  int reserved;   /* there is room for the rows */
  int beyond;     /* a rowid behind `end` has come: SQLite reads on until it sees one */
  int enough;     /* no more rows are wanted */
  pyb__window leaves, chain;
  uint8_t *levels[PYB__TREE_DEPTH]; /* the interior pages from the root down */
  uint8_t *payload;                 /* a record put together from its chain */
  size_t payload_room;

  /* leaf.c's own: records whose headers are read, and whose cells are not yet
   * appended. cells[row * width + field] = serial type | offset << 32. */
  uint64_t *cells;
  int64_t *rowids;
  uint8_t *absent; /* of each field: the type that stands for it when it is missing */
  size_t width;    /* fields of a record up to the last that is wanted */
  int room, count; /* rows in cells */
  int judged;      /* not every row in range is taken */
};

/* Walk the tree and append all rows in range to the columns. */
PYB_CHECK pyb__tree_end pyb__tree_read(pyb__tree *tree);

/* Release what the walk and the caller's `absent` values own. The rest is the
 * caller's. */
void pyb__tree_release(pyb__tree *tree);

/* ---- btree.c, for leaf.c -------------------------------------------------------- */

/* A record whose payload goes on in overflow pages. */
typedef struct pyb__chain {
  size_t size; /* of the whole payload */
  size_t have; /* bytes of it in tree->payload */
  uint32_t next;
} pyb__chain;

/* Have at least `need` bytes of the payload in tree->payload. */
PYB_CHECK pyb__tree_end pyb__tree_gather(pyb__tree *tree, pyb__chain *chain,
                                         size_t need);

/* Make tree->payload hold `size` bytes and the slack, keeping what it has. */
PYB_CHECK pyb__tree_end pyb__tree_payload_room(pyb__tree *tree, size_t size);

static inline pyb__tree_end pyb__tree_decline(pyb__tree *tree, const char *reason) {
  tree->reason = reason;
  return PYB__TREE_DECLINED;
}

/* ---- leaf.c, for btree.c -------------------------------------------------------- */

PYB_CHECK pyb__tree_end pyb__leaf_begin(pyb__tree *tree);

/* Append the rows of one leaf page; its rowids must lie in tree->next .. `last`. */
PYB_CHECK pyb__tree_end pyb__leaf_read(pyb__tree *tree, const uint8_t *page,
                                       int64_t last);

void pyb__leaf_release(pyb__tree *tree);

/* ---- Numbers in pages ----------------------------------------------------------- */

static inline uint32_t pyb__be16(const uint8_t *p) {
  return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t pyb__be32(const uint8_t *p) {
  uint32_t number;

  __builtin_memcpy(&number, p, 4);
  return __builtin_bswap32(number);
}

static inline uint64_t pyb__be64(const uint8_t *p) {
  uint64_t number;

  __builtin_memcpy(&number, p, 8);
  return __builtin_bswap64(number);
}

/* A varint (§1.6): seven bits a byte, the ninth byte whole. Reads up to nine bytes;
 * the caller sees to it that they are there, if only as slack. */
static inline const uint8_t *pyb__varint(const uint8_t *p, uint64_t *number) {
  uint64_t sum = *p & 0x7f;

  if (*p++ < 0x80) {
    *number = sum;
    return p;
  }
  for (int i = 1; i < 8; i++) {
    sum = sum << 7 | (*p & 0x7f);
    if (*p++ < 0x80) {
      *number = sum;
      return p;
    }
  }
  *number = sum << 8 | *p;
  return p + 1;
}

/* Cells of a page begin behind its header and its array of n pointers. */
static inline uint32_t pyb__page_cells(const uint8_t *page) {
  return pyb__be16(page + 3);
}

#define PYB__PAGE_INTERIOR 5
#define PYB__PAGE_LEAF 13

/* ---- Cells of a record ---------------------------------------------------------- */

/* A serial type that no record has: the field is missing, and has a default. */
#define PYB__CELL_ABSENT 11

/* Where a cell is, and of what type: serial type | offset << 32. */
static inline uint32_t pyb__cell_type(uint64_t cell) {
  return (uint32_t)cell;
}

static inline const uint8_t *pyb__cell_place(const uint8_t *base, uint64_t cell) {
  return base + (cell >> 32);
}

/* The integer of a cell of types 1 to 6 at p: by how much the eight bytes that begin
 * with it are shifted to be it. */
static inline int64_t pyb__cell_integer(const uint8_t *p, uint32_t type) {
  static const uint8_t shifts[7] = {0, 56, 48, 40, 32, 16, 0};

  return (int64_t)pyb__be64(p) >> shifts[type];
}

static inline double pyb__cell_real(const uint8_t *p) {
  uint64_t bits = pyb__be64(p);
  double real;

  __builtin_memcpy(&real, &bits, 8);
  return real;
}

/* The value of a cell, as SQLite gives it: NaN is NULL, and an integer in a column of
 * REAL affinity was a float whose fraction was not worth storing. */
static inline pyb_value pyb__cell_value(uint64_t cell, const uint8_t *base, int real) {
  uint32_t type = pyb__cell_type(cell);
  const uint8_t *data = pyb__cell_place(base, cell);
  pyb_value value = PYB_EMPTY;

  if (type >= 12) {
    value.type = (type & 1) != 0 ? PYB_TEXT : PYB_BLOB;
    value.data = (const char *)data;
    value.size = (type - 12) >> 1;
  } else if (type == 7) {
    value.real = pyb__cell_real(data);
    value.type = value.real == value.real ? PYB_FLOAT64 : PYB_NULL;
  } else if (type != 0) {
    value.type = PYB_INT64;
    value.integer = type >= 8 ? (int64_t)type - 8 : pyb__cell_integer(data, type);
    if (real) {
      value.type = PYB_FLOAT64;
      value.real = (double)value.integer;
    }
  }
  return value;
}

#endif /* PYBRIDGE_HOSTS_SQLITE_BTREE_H */
