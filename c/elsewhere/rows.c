/* rows.c: the rows of an ODBC statement, cell by cell into the buffers of Arrow arrays.
 *
 * It allocates nothing and knows no Python: pybridge/elsewhere/direct.py gives it the
 * driver manager's functions and the buffers, and a larger one where it asks for it. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Of sql.h and sqlext.h; there is no need for them where nothing is linked. */
enum { SQL_NO_DATA = 100, SQL_NULL_DATA = -1 };
enum {
  C_CHAR = 1,
  C_DOUBLE = 8,
  C_TIMESTAMP = 93,
  C_BINARY = -2,
  C_BIT = -7,
  C_WCHAR = -8,
  C_INTEGER = -25,
};

typedef struct timestamp {
  int16_t year;
  uint16_t month, day, hour, minute, second;
  uint32_t nanoseconds;
} timestamp;

/* What is in a column, and so how its cells are asked for and where they go. */
typedef enum kind {
  INTEGER,
  REAL,
  FLAG,
  DATE,
  MOMENT,
  TIME,
  NARROW,
  WIDE,
  BINARY
} kind;

/* Text and blobs grow: `ends` has where each cell ends in `bytes`. A wide cell is put
 * together in `cell` first. A cell that is under way keeps how much of it there is in
 * `part`, and whether that is all of it. */
typedef struct column {
  int32_t kind;
  int32_t is_whole;
  uint8_t *validity;
  void *values;
  int64_t *ends;
  uint8_t *bytes;
  int64_t size, used;
  uint8_t *cell;
  int64_t cell_size, part;
} column;

typedef struct reader {
  int16_t (*fetch)(void *statement);
  int16_t (*get)(void *statement, uint16_t column, int16_t type, void *room,
                 intptr_t size, intptr_t *length);
  void *statement;
  column *columns;
  int32_t n_columns;
  int32_t at_column;  /* the cell that is next; n_columns: a row */
  int64_t rows, most; /* so many are there; so many have room */
  int64_t enough;     /* bytes of text after which no other row is begun */
} reader;

typedef enum state {
  FULL,      /* take the rows, then come again */
  END,       /* these were the last */
  FAILED,    /* the statement has the driver's words */
  ROOM,      /* `bytes` of the column at hand has to be larger */
  CELL_ROOM, /* `cell` has to be larger */
  NO_DATE,   /* the cell at hand is no date or time of Python's */
  NO_TEXT,   /* the cell at hand has half a surrogate pair */
} state;

#define FIRST_PIECE 512

/* A cell that is there, or NULL, or one of the states above that are trouble. */
enum { CELL_NULL = -1, CELL_OK = 0 };

static bool is_good(int16_t code) {
  return code == 0 || code == 1;
}

/* ---- Cells of a fixed size ------------------------------------------------------- */

static bool is_date(const timestamp *at) {
  static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = at->year % 4 == 0 && (at->year % 100 != 0 || at->year % 400 == 0);

  return at->year >= 1 && at->year <= 9999 && at->month >= 1 && at->month <= 12 &&
         at->day >= 1 && at->day <= days[at->month - 1] &&
         (at->month != 2 || at->day < 29 || leap);
}

static bool is_time(const timestamp *at) {
  return at->hour < 24 && at->minute < 60 && at->second < 60;
}

static int64_t microseconds_of(const timestamp *at) {
  int64_t seconds = ((int64_t)at->hour * 60 + at->minute) * 60 + at->second;

  return seconds * 1000000 + at->nanoseconds / 1000;
}

/* Days since 1970-01-01, by years that begin in March. */
static int64_t days_of(const timestamp *at) {
  int64_t year = at->year - (at->month <= 2);
  int64_t month = (at->month + 9) % 12;

  return year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 +
         at->day - 719469;
}

#define DAY INT64_C(86400000000) /* in microseconds */

/* Write a date, a time of day, or both. */
static int time_cell(column *column, int64_t row, const timestamp *at) {
  if (!is_time(at) || (column->kind != TIME && !is_date(at)))
    return NO_DATE;
  if (column->kind == DATE)
    ((int32_t *)column->values)[row] = (int32_t)days_of(at);
  else if (column->kind == TIME)
    ((int64_t *)column->values)[row] = microseconds_of(at);
  else
    ((int64_t *)column->values)[row] = days_of(at) * DAY + microseconds_of(at);
  return CELL_OK;
}

static int fixed_cell(reader *reader, column *column, uint16_t number) {
  static const int16_t types[] = {C_INTEGER,   C_DOUBLE,    C_BIT,
                                  C_TIMESTAMP, C_TIMESTAMP, C_TIMESTAMP};
  union {
    int64_t integer;
    double real;
    uint8_t flag;
    timestamp at;
  } cell = {0};
  intptr_t length = 0;
  int64_t row = reader->rows;

  if (!is_good(reader->get(reader->statement, number, types[column->kind], &cell,
                           sizeof(cell), &length)))
    return FAILED;
  if (length == SQL_NULL_DATA)
    return CELL_NULL;
  switch ((kind)column->kind) {
  case INTEGER:
    ((int64_t *)column->values)[row] = cell.integer;
    return CELL_OK;
  case REAL:
    ((double *)column->values)[row] = cell.real;
    return CELL_OK;
  case FLAG:
    ((uint8_t *)column->values)[row / 8] |= (uint8_t)((cell.flag != 0) << row % 8);
    return CELL_OK;
  default:
    return time_cell(column, row, &cell.at);
  }
}

/* ---- Cells that grow ------------------------------------------------------------- */

/* Add to the cell at hand what the driver still has of it. It writes `end` bytes of
 * zero behind each piece, which count as room only. Some drivers fill all room with
 * zeros, so that the first piece is a small one. */
static int pieces(reader *reader, uint16_t number, int16_t type, int64_t end,
                  column *column, uint8_t *to, int64_t size, state more) {
  while (!column->is_whole) {
    int64_t room = (size - column->part) / 2 * 2;
    int64_t wanted = column->part == 0 ? FIRST_PIECE : column->part / 2 * 16;
    intptr_t length = 0;
    int16_t code;

    if (room < FIRST_PIECE)
      return more;
    room = wanted < room ? wanted : room;
    code = reader->get(reader->statement, number, type, to + column->part,
                       (intptr_t)room, &length);
    if (code == SQL_NO_DATA)
      break;
    if (!is_good(code))
      return FAILED;
    if (length == SQL_NULL_DATA) {
      column->is_whole = true;
      return CELL_NULL;
    }
    if (length < 0 || length > room - end) { /* the driver may not know how much */
      column->part += room - end;
      continue;
    }
    column->part += length;
    column->is_whole = true;
  }
  column->is_whole = true;
  return CELL_OK;
}

/* Write UTF-16 as UTF-8; returns the end of it, or NULL for half a surrogate pair. */
static uint8_t *narrowed(const uint8_t *from, int64_t size, uint8_t *to) {
  for (const uint8_t *end = from + size / 2 * 2; from < end; from += 2) {
    uint16_t unit, low;
    uint32_t letter;

    memcpy(&unit, from, 2);
    letter = unit;
    if (letter < 0x80) {
      *to++ = (uint8_t)letter;
      continue;
    }
    if (letter < 0x800) {
      *to++ = (uint8_t)(0xc0 | letter >> 6);
      *to++ = (uint8_t)(0x80 | (letter & 0x3f));
      continue;
    }
    if (letter >= 0xd800 && letter < 0xe000) {
      if (letter >= 0xdc00 || end - from < 4)
        return NULL;
      memcpy(&low, from += 2, 2);
      if (low < 0xdc00 || low >= 0xe000)
        return NULL;
      letter = 0x10000 + ((letter - 0xd800) << 10) + (low - 0xdc00u);
      *to++ = (uint8_t)(0xf0 | letter >> 18);
      *to++ = (uint8_t)(0x80 | (letter >> 12 & 0x3f));
    } else {
      *to++ = (uint8_t)(0xe0 | letter >> 12);
    }
    *to++ = (uint8_t)(0x80 | (letter >> 6 & 0x3f));
    *to++ = (uint8_t)(0x80 | (letter & 0x3f));
  }
  return to;
}

static int wide_cell(reader *reader, column *column, uint16_t number) {
  int code = pieces(reader, number, C_WCHAR, 2, column, column->cell, column->cell_size,
                    CELL_ROOM);
  uint8_t *end;

  if (code != CELL_OK)
    return code;
  if (column->size - column->used < column->part / 2 * 3)
    return ROOM;
  end = narrowed(column->cell, column->part, column->bytes + column->used);
  if (end == NULL)
    return NO_TEXT;
  column->used = end - column->bytes;
  return CELL_OK;
}

static int narrow_cell(reader *reader, column *column, uint16_t number) {
  bool text = column->kind == NARROW;
  int code = pieces(reader, number, text ? C_CHAR : C_BINARY, text, column,
                    column->bytes + column->used, column->size - column->used, ROOM);

  if (code == CELL_OK)
    column->used += column->part;
  return code;
}

static int growing_cell(reader *reader, column *column, uint16_t number) {
  int code = column->kind == WIDE ? wide_cell(reader, column, number)
                                  : narrow_cell(reader, column, number);

  if (code > CELL_OK)
    return code;
  column->ends[reader->rows] = column->used;
  column->part = 0;
  column->is_whole = false;
  return code;
}

/* ---- Rows ------------------------------------------------------------------------ */

static bool is_enough(const reader *reader) {
  int64_t bytes = 0;

  for (int32_t i = 0; i < reader->n_columns; i++)
    bytes += reader->columns[i].used;
  return reader->rows == reader->most || bytes >= reader->enough;
}

/* Read on; returns a state. After ROOM and CELL_ROOM it goes on in that cell. */
__attribute__((visibility("default"))) int pyb_odbc_read(reader *reader) {
  while (true) {
    if (reader->at_column == reader->n_columns) {
      int16_t code;

      if (is_enough(reader))
        return FULL;
      code = reader->fetch(reader->statement);
      if (!is_good(code))
        return code == SQL_NO_DATA ? END : FAILED;
      reader->at_column = 0;
    }
    for (; reader->at_column < reader->n_columns; reader->at_column++) {
      column *column = &reader->columns[reader->at_column];
      uint16_t number = (uint16_t)(reader->at_column + 1);
      int code = column->kind < NARROW ? fixed_cell(reader, column, number)
                                       : growing_cell(reader, column, number);

      if (code > CELL_OK)
        return code;
      if (code == CELL_OK)
        column->validity[reader->rows / 8] |= (uint8_t)(1 << reader->rows % 8);
    }
    reader->rows++;
  }
}
