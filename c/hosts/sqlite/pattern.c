/* pattern.c: matches text with a pattern of LIKE or GLOB. */
#include "pattern.h"

#include <string.h>

typedef enum kind {
  LITERAL, /* these bytes */
  ONE,     /* any character */
  SET,     /* a character of these ranges, or of none of them */
  MANY,    /* any text */
} kind;

typedef struct piece {
  kind kind;
  int inverted;    /* of a set */
  size_t start, n; /* bytes of a literal, ranges of a set */
} piece;

typedef struct range {
  uint32_t low, high;
} range;

struct pyb__pattern {
  int folds;     /* the letters of ASCII are the same in both cases */
  int never;     /* nothing matches */
  int begins;    /* what begins with the prefix does, whatever follows */
  size_t prefix; /* bytes of ASCII that a text must begin with: the first `bytes` */
  size_t n;
  piece *pieces;
  range *ranges;
  uint8_t *bytes; /* of all literals; folded, if it does */
};

/* ---- Characters ----------------------------------------------------------------- */

static inline uint8_t fold(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

/* How many bytes the character at p has, in text that is UTF-8. */
static inline size_t width_at(const uint8_t *p) {
  return *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
}

/* The character at p, in text that is UTF-8. */
static uint32_t character_at(const uint8_t *p) {
  static const uint8_t bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  size_t width = width_at(p);
  uint32_t character = *p & bits[width];

  for (size_t i = 1; i < width; i++)
    character = character << 6 | (p[i] & 0x3f);
  return character;
}

/* Is what is at p, `left` bytes long, a character that SQLite takes for itself? It
 * takes U+FFFE and U+FFFF for U+FFFD. */
static int is_character(const uint8_t *p, size_t left) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t width = width_at(p);
  uint32_t character;

  if (*p < 0x80)
    return 1;
  if (*p < 0xc2 || *p > 0xf4 || width > left)
    return 0;
  for (size_t i = 1; i < width; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  character = character_at(p);
  return character >= least[width] && character <= 0x10ffff &&
         (character & 0xfffff800) != 0xd800 && (character & 0xfffffffe) != 0xfffe;
}

/* Cut a text off at its first NUL: 1, or 0 where what is before that is not UTF-8. */
static int cut_text(const uint8_t *text, size_t *size) {
  const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
  size_t i = 0;
  uint64_t word;

  while (i < *size) {
    if (i + 8 <= *size) {
      memcpy(&word, text + i, 8);
      if (((word | (word - ones)) & highs) == 0) { /* 1 to 127, all of them */
        i += 8;
        continue;
      }
    }
    if (text[i] == 0) {
      *size = i;
      return 1;
    }
    if (!is_character(text + i, *size - i))
      return 0;
    i += width_at(text + i);
  }
  return 1;
}

/* ---- Reading -------------------------------------------------------------------- */

/* A pattern on its way to be one: text that is UTF-8 from p to the end, and how much of
 * the room is taken. */
typedef struct reading {
  pyb__pattern *pattern;
  const uint8_t *p, *end;
  size_t n_ranges, n_bytes;
} reading;

static piece *add_piece(reading *r, kind kind, size_t start) {
  piece *piece = &r->pattern->pieces[r->pattern->n++];

  *piece = (struct piece){.kind = kind, .start = start};
  return piece;
}

/* Take the character at p into the literal that is last, or a new one. */
static void read_literal(reading *r) {
  pyb__pattern *pattern = r->pattern;
  piece *last = pattern->n == 0 ? NULL : &pattern->pieces[pattern->n - 1];

  if (last == NULL || last->kind != LITERAL)
    last = add_piece(r, LITERAL, r->n_bytes);
  for (size_t i = width_at(r->p); i > 0; i--, last->n++, r->p++)
    pattern->bytes[r->n_bytes++] = pattern->folds ? fold(*r->p) : *r->p;
}

static void add_range(reading *r, piece *set, uint32_t low, uint32_t high) {
  r->pattern->ranges[r->n_ranges++] = (range){low, high};
  set->n++;
}

/* Take the character at p. */
static uint32_t read_character(reading *r) {
  uint32_t character = character_at(r->p);

  r->p += width_at(r->p);
  return character;
}

/* Read a set, p behind its bracket. A hyphen is one of a range where a character is
 * before it that is none's end, and one behind it. */
static void read_set(reading *r) {
  piece *set = add_piece(r, SET, r->n_ranges);
  int open = 0; /* a range may begin with the character before */

  if (r->p < r->end && *r->p == '^') {
    set->inverted = 1;
    r->p++;
  }
  if (r->p < r->end && *r->p == ']') {
    add_range(r, set, ']', ']');
    r->p++;
  }
  while (r->p < r->end && *r->p != ']') {
    uint32_t character = read_character(r);
    int ends = r->p == r->end || *r->p == ']';
    if (character == '-' && open && !ends) {
      r->pattern->ranges[r->n_ranges].low = r->pattern->ranges[r->n_ranges - 1].low;
      r->pattern->ranges[r->n_ranges++].high = read_character(r);
      set->n++;
      open = 0;
    } else {
      add_range(r, set, character, character);
      open = 1;
    }
  }
  r->pattern->never |= r->p == r->end;
  r->p += r->p < r->end;
}

static void read_pattern(reading *r, int glob) {
  uint8_t many = glob ? '*' : '%', one = glob ? '?' : '_';

  while (r->p < r->end && !r->pattern->never) {
    if (*r->p == many || *r->p == one)
      add_piece(r, *r->p++ == many ? MANY : ONE, 0);
    else if (glob && *r->p == '[') {
      r->p++;
      read_set(r);
    } else
      read_literal(r);
  }
}

static void find_prefix(pyb__pattern *pattern) {
  const piece *first = pattern->pieces, *last = first + pattern->n, *behind = first;

  if (pattern->n != 0 && first->kind == LITERAL) {
    while (pattern->prefix < first->n && pattern->bytes[pattern->prefix] < 0x80)
      pattern->prefix++;
    behind += pattern->prefix == first->n;
  }
  pattern->begins = behind < last && behind->kind == MANY && behind + 1 == last;
}

pyb__pattern *pyb__pattern_new(const char *text, size_t size, int glob) {
  const uint8_t *p = (const uint8_t *)text;
  pyb__pattern *pattern;
  reading r = {.p = p};

  if (!cut_text(p, &size))
    return NULL;
  /* No character makes more than one of each, nor a byte more than one. */
  pattern =
      sqlite3_malloc64(sizeof *pattern + size * (sizeof(piece) + sizeof(range) + 1));
  if (pattern == NULL)
    return NULL;
  memset(pattern, 0, sizeof *pattern);
  pattern->folds = !glob;
  pattern->pieces = (piece *)(pattern + 1);
  pattern->ranges = (range *)(pattern->pieces + size);
  pattern->bytes = (uint8_t *)(pattern->ranges + size);
  r.pattern = pattern;
  r.end = p + size;
  read_pattern(&r, glob);
  find_prefix(pattern);
  return pattern;
}

void pyb__pattern_release(pyb__pattern *pattern) {
  sqlite3_free(pattern);
}

/* ---- Matching ------------------------------------------------------------------- */

static int is_literal(const pyb__pattern *pattern, const piece *piece,
                      const uint8_t *p) {
  const uint8_t *bytes = pattern->bytes + piece->start;

  if (!pattern->folds)
    return memcmp(p, bytes, piece->n) == 0;
  for (size_t i = 0; i < piece->n; i++)
    if (fold(p[i]) != bytes[i])
      return 0;
  return 1;
}

static int is_in_set(const pyb__pattern *pattern, const piece *piece,
                     uint32_t character) {
  const range *ranges = pattern->ranges + piece->start;

  for (size_t i = 0; i < piece->n; i++)
    if (character >= ranges[i].low && character <= ranges[i].high)
      return !piece->inverted;
  return piece->inverted;
}

/* How many bytes of the text from p on a piece takes that is not MANY: 0 = it does not
 * match there. */
static inline size_t take_piece(const pyb__pattern *pattern, const piece *piece,
                                const uint8_t *p, const uint8_t *end) {
  if (p == end)
    return 0;
  if (piece->kind == LITERAL)
    return (size_t)(end - p) >= piece->n && is_literal(pattern, piece, p) ? piece->n
                                                                          : 0;
  return piece->kind == ONE || is_in_set(pattern, piece, character_at(p)) ? width_at(p)
                                                                          : 0;
}

/* The first place from p on where a piece behind MANY may match, or the end. A byte
 * that begins a literal is in the middle of no character. */
static const uint8_t *find_piece(const pyb__pattern *pattern, const piece *piece,
                                 const uint8_t *p, const uint8_t *end) {
  uint8_t first;

  if (piece->kind != LITERAL)
    return p;
  first = pattern->bytes[piece->start];
  if (!pattern->folds || first < 'a' || first > 'z') {
    p = p == end ? NULL : memchr(p, first, (size_t)(end - p));
    return p == NULL ? end : p;
  }
  while (p < end && (*p | 0x20) != first)
    p++;
  return p;
}

/* Pieces are matched from the left. Where one fails, the last MANY before it takes one
 * character more: an earlier one need not, as the pieces behind it have found the first
 * place that there is for them. */
static int match(const pyb__pattern *pattern, const uint8_t *p, const uint8_t *end) {
  const piece *piece = pattern->pieces, *last = piece + pattern->n, *again = NULL;
  const uint8_t *from = NULL; /* where the pieces from `again` on were tried */
  size_t size;

  for (;;) {
    if (piece < last && piece->kind == MANY) {
      again = ++piece;
      if (again == last)
        return 1;
      from = p = find_piece(pattern, again, p, end);
    } else if (piece < last && (size = take_piece(pattern, piece, p, end)) != 0) {
      p += size;
      piece++;
    } else if (piece == last && p == end) {
      return 1;
    } else {
      if (again == NULL || from == end)
        return 0;
      from = p = find_piece(pattern, again, from + width_at(from), end);
      piece = again;
    }
  }
}

/* Does the beginning of a text tell? -1 = no. What follows a byte of ASCII that differs
 * need not be UTF-8, nor what nobody looks at. */
static int match_prefix(const pyb__pattern *pattern, const uint8_t *p, size_t size) {
  for (size_t i = 0; i < pattern->prefix; i++) {
    uint8_t byte = i < size ? p[i] : 0;
    if (byte >= 0x80)
      return -1;
    if ((pattern->folds ? fold(byte) : byte) != pattern->bytes[i])
      return 0;
  }
  return pattern->begins ? 1 : -1;
}

int pyb__pattern_matches(const pyb__pattern *pattern, const char *text, size_t size) {
  const uint8_t *p = (const uint8_t *)text;
  int matches = pattern->never ? 0 : match_prefix(pattern, p, size);

  if (matches >= 0)
    return matches;
  return cut_text(p, &size) ? match(pattern, p, p + size) : -1;
}
