/* members.c: looks a value up among constants by its hash. */
#include "members.h"

#include <string.h>

#include "predicate.h"

typedef struct member {
  pyb_value value; /* as normalize() leaves it */
  char digits[PYB__DIGITS];
} member;

struct pyb__members {
  size_t n, most;
  int has_null;
  uint64_t sizes;  /* bit i: there is a text or blob of i bytes; 63 = or longer */
  uint32_t mask;   /* slots - 1 */
  uint32_t *slots; /* number of a member + 1; 0 = the slot is free */
  member members[];
};

/* ---- Values --------------------------------------------------------------------- */

/* A float that is a whole number becomes the integer: they are equal, and -0.0 is 0. */
static void normalize(pyb_value *value) {
  if (value->type != PYB_FLOAT64 || !(value->real >= -9223372036854775808.0) ||
      value->real >= 9223372036854775808.0 ||
      (double)(int64_t)value->real != value->real)
    return;
  value->integer = (int64_t)value->real;
  value->type = PYB_INT64;
}

static int has_bytes(const pyb_value *value) {
  return value->type == PYB_TEXT || value->type == PYB_BLOB;
}

static int is_same(const pyb_value *a, const pyb_value *b) {
  if (a->type != b->type)
    return 0;
  if (a->type == PYB_INT64)
    return a->integer == b->integer;
  if (a->type == PYB_FLOAT64)
    return a->real == b->real;
  return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static uint64_t size_bit(size_t size) {
  return (uint64_t)1 << (size < 63 ? size : 63);
}

/* ---- Hashes --------------------------------------------------------------------- */

static inline uint64_t mix(uint64_t hash, uint64_t number) {
  hash = (hash ^ number) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 32;
}

static uint64_t hash_bytes(const char *data, size_t size) {
  uint64_t hash = size, word = 0;
  size_t i = 0;

  for (; i + 8 <= size; i += 8) {
    memcpy(&word, data + i, 8);
    hash = mix(hash, word);
  }
  word = 0;
  if (i < size)
    memcpy(&word, data + i, size - i);
  return mix(hash, word);
}

static uint64_t hash_integer(int64_t integer) {
  return mix(0, (uint64_t)integer);
}

static uint64_t hash_value(const pyb_value *value) {
  int64_t bits;

  if (has_bytes(value))
    return hash_bytes(value->data, value->size);
  memcpy(&bits, &value->real, 8);
  return hash_integer(value->type == PYB_INT64 ? value->integer : bits);
}

/* The member in the slot, or NULL: it is free. */
static inline const pyb_value *member_at(const pyb__members *members, uint32_t slot) {
  uint32_t number = members->slots[slot];

  return number == 0 ? NULL : &members->members[number - 1].value;
}

/* The slot that has the value, or the free one that it belongs into: there is one. */
static uint32_t find_slot(const pyb__members *members, const pyb_value *value) {
  uint32_t slot = (uint32_t)hash_value(value) & members->mask;
  const pyb_value *there;

  while ((there = member_at(members, slot)) != NULL && !is_same(there, value))
    slot = (slot + 1) & members->mask;
  return slot;
}

/* ---- The set -------------------------------------------------------------------- */

pyb__members *pyb__members_new(size_t most) {
  pyb__members *members;
  size_t slots = 4, size;

  while (slots < 2 * most)
    slots *= 2;
  size = sizeof *members + most * sizeof *members->members;
  members = sqlite3_malloc64(size + slots * sizeof *members->slots);
  if (members == NULL)
    return NULL;
  memset(members, 0, size + slots * sizeof *members->slots);
  members->most = most;
  members->mask = (uint32_t)(slots - 1);
  members->slots = (uint32_t *)((char *)members + size);
  return members;
}

int pyb__members_add(pyb__members *members, const pyb_value *value, int numeric,
                     int textual) {
  member *member = &members->members[members->n];
  uint32_t slot;

  if (value->type == PYB_NULL) {
    members->has_null = 1;
    return 1;
  }
  if (members->n == members->most)
    return 0;
  member->value = *value;
  if (!pyb__constant_settle(&member->value, numeric, textual, member->digits))
    return 0;
  normalize(&member->value);
  if (has_bytes(&member->value))
    members->sizes |= size_bit(member->value.size);
  slot = find_slot(members, &member->value);
  if (members->slots[slot] == 0)
    members->slots[slot] = (uint32_t)++members->n;
  return 1;
}

int pyb__members_have_null(const pyb__members *members) {
  return members->has_null;
}

int pyb__members_have(const pyb__members *members, const pyb_value *value) {
  pyb_value normal = *value;

  if (has_bytes(value) && (members->sizes & size_bit(value->size)) == 0)
    return 0;
  normalize(&normal);
  return members->slots[find_slot(members, &normal)] != 0;
}

/* The two that follow are the same without a `pyb_value`, as most rows ask for one. */
int pyb__members_have_integer(const pyb__members *members, int64_t integer) {
  uint32_t slot = (uint32_t)hash_integer(integer) & members->mask;
  const pyb_value *there;

  while ((there = member_at(members, slot)) != NULL &&
         (there->integer != integer || there->type != PYB_INT64))
    slot = (slot + 1) & members->mask;
  return there != NULL;
}

int pyb__members_have_text(const pyb__members *members, const char *data, size_t size) {
  const pyb_value *there;
  uint32_t slot;

  if ((members->sizes & size_bit(size)) == 0)
    return 0;
  slot = (uint32_t)hash_bytes(data, size) & members->mask;
  while ((there = member_at(members, slot)) != NULL &&
         (there->size != size || there->type != PYB_TEXT ||
          (size != 0 && memcmp(there->data, data, size) != 0)))
    slot = (slot + 1) & members->mask;
  return there != NULL;
}

void pyb__members_release(pyb__members *members) {
  sqlite3_free(members);
}
