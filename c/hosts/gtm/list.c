/* list.c: the binary lists of IRIS ($LISTBUILD), an element at a time.
 *
 * An element is its length, its type and its data. A length of one byte counts itself
 * and the type; 0 and two bytes, or three zeros and four bytes, count the type and the
 * data only. Numbers are little-endian and as short as they can be; what is left out of
 * a negative one are bytes of 0xff. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gtm.h"

enum {
  PLACEHOLDER = 0,
  LATIN = 1, /* also a list within the list, and bytes */
  UTF16 = 2,
  POSITIVE = 4,
  NEGATIVE = 5,
  DECIMAL = 6,
  NEGATIVE_DECIMAL = 7,
  DOUBLE = 8,
  COMPACT_DOUBLE = 9,
  REFERENCE = 32 /* added to a type: the element was passed by reference */
};

static uint32_t little(const unsigned char *data, size_t size) {
  uint32_t number = 0;

  for (size_t i = size; i-- > 0;)
    number = number << 8 | data[i];
  return number;
}

/* Where the type and the data of an element are. */
static bool header(const unsigned char *data, size_t size, size_t *begin,
                   size_t *length) {
  if (data[0] > 0) {
    *begin = 1;
    *length = data[0] - 1u;
  } else if (size >= 3 && (data[1] != 0 || data[2] != 0)) {
    *begin = 3;
    *length = little(data + 1, 2);
  } else if (size >= 7) {
    *begin = 7;
    *length = little(data + 3, 4);
    if (*length == 0)
      return false;
  } else {
    return false;
  }
  return *length <= size - *begin;
}

/* An integer of up to eight bytes; -1 fills what was left out of a negative one. */
static bool integer_of(const unsigned char *data, size_t size, bool negative,
                       int64_t *integer) {
  uint64_t number = negative ? UINT64_MAX : 0;

  if (size > 8)
    return false;
  for (size_t i = size; i-- > 0;)
    number = number << 8 | data[i];
  /* The sign is the type's, so a ninth byte would be all that tells them apart. */
  if (size == 8 && (number >> 63 != 0) != negative)
    return false;
  *integer = (int64_t)number;
  return true;
}

/* mantissa * 10**exponent, as exact text: without an exponent where that is short. */
static bool decimal_of(const unsigned char *data, size_t size, bool negative,
                       pyb_value *value, char *scratch) {
  char digits[24];
  const char *sign;
  int64_t mantissa;
  int exponent, n, whole;

  if (size == 0 || !integer_of(data + 1, size - 1, negative, &mantissa))
    return false;
  exponent = (signed char)data[0];
  sign = mantissa < 0 ? "-" : "";
  n = snprintf(digits, sizeof digits, "%llu",
               mantissa < 0 ? 0 - (unsigned long long)mantissa
                            : (unsigned long long)mantissa);
  whole = n + exponent; /* digits before the point */
  if (whole > 40 || whole < -18 || mantissa == 0)
    n = snprintf(scratch, PYB__GTM_NUMBER, "%s%sE%d", sign, digits,
                 mantissa == 0 ? 0 : exponent);
  else if (exponent >= 0)
    n = snprintf(scratch, PYB__GTM_NUMBER, "%s%s%.*s", sign, digits, exponent,
                 "0000000000000000000000000000000000000000");
  else if (whole > 0)
    n = snprintf(scratch, PYB__GTM_NUMBER, "%s%.*s.%s", sign, whole, digits,
                 digits + whole);
  else
    n = snprintf(scratch, PYB__GTM_NUMBER, "%s0.%.*s%s", sign, -whole,
                 "0000000000000000000000000000000000000000", digits);
  value->type = PYB_DECIMAL;
  value->data = scratch;
  value->size = (size_t)n;
  return true;
}

/* A double whose last bytes, zeros, were left out. */
static bool double_of(const unsigned char *data, size_t size, bool compact,
                      pyb_value *value) {
  unsigned char bytes[8] = {0};

  if (size > 8)
    return false;
  value->type = PYB_FLOAT64;
  if (!compact && size <= 4) {
    float single;
    memcpy(bytes + 4 - size, data, size);
    memcpy(&single, bytes, 4);
    value->real = (double)single;
    return true;
  }
  memcpy(bytes + 8 - size, data, size);
  memcpy(&value->real, bytes, 8);
  return true;
}

static size_t put_utf8(char *out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3f));
  out[2] = (char)(0x80 | (c >> 6 & 0x3f));
  out[3] = (char)(0x80 | (c & 0x3f));
  return 4;
}

/* Text of one or two bytes a character, as UTF-8 that the value owns. A surrogate that
 * stands alone is no character. */
static pyb_status text_of(const unsigned char *data, size_t size, bool wide,
                          pyb_value *value, const char **why) {
  char *text =
      pyb__gtm_malloc(2 * size + 1); /* two bytes become three at most, one two */
  size_t n = 0;

  if (wide && size % 2 != 0) {
    pyb__gtm_free(text);
    *why = "a wide string of a $LIST has an odd number of bytes";
    return PYB_UNSUPPORTED;
  }
  if (text == NULL) {
    *why = "no memory for a string of a $LIST";
    return PYB_NO_MEMORY;
  }
  for (size_t i = 0; i < size; i += wide ? 2 : 1) {
    uint32_t c = wide ? little(data + i, 2) : data[i];

    if (wide && c >= 0xd800 && c < 0xdc00 && i + 4 <= size &&
        (little(data + i + 2, 2) & 0xfc00) == 0xdc00) {
      c = 0x10000 + ((c & 0x3ff) << 10 | (little(data + i + 2, 2) & 0x3ff));
      i += 2;
    } else if (wide && c >= 0xd800 && c < 0xe000) {
      pyb__gtm_free(text);
      *why = "a wide string of a $LIST has half a surrogate pair";
      return PYB_UNSUPPORTED;
    }
    n += put_utf8(text + n, c);
  }
  *value =
      (pyb_value){.type = PYB_TEXT, .data = text, .size = n, .release = pyb__gtm_free};
  return PYB_OK;
}

pyb_status pyb__gtm_element(const char *list, size_t size, size_t *at, pyb_value *value,
                            char *scratch, const char **why) {
  const unsigned char *data = (const unsigned char *)list + *at;
  size_t begin, length;
  bool known;

  *value = PYB_EMPTY;
  if (*at >= size || !header(data, size - *at, &begin, &length)) {
    *why = "the record is not a $LIST: an element is longer than what is left";
    return PYB_UNSUPPORTED;
  }
  *at += begin + length;
  if (length == 0)
    return PYB_OK; /* undefined */
  data += begin;
  length--;
  switch (data[0] & ~REFERENCE) {
  case PLACEHOLDER:
    return PYB_OK;
  case LATIN:
  case UTF16:
    return text_of(data + 1, length, (data[0] & ~REFERENCE) == UTF16, value, why);
  case POSITIVE:
  case NEGATIVE:
    value->type = PYB_INT64;
    known = integer_of(data + 1, length, (data[0] & ~REFERENCE) == NEGATIVE,
                       &value->integer);
    break;
  case DECIMAL:
  case NEGATIVE_DECIMAL:
    known = decimal_of(data + 1, length, (data[0] & ~REFERENCE) == NEGATIVE_DECIMAL,
                       value, scratch);
    break;
  case DOUBLE:
  case COMPACT_DOUBLE:
    known =
        double_of(data + 1, length, (data[0] & ~REFERENCE) == COMPACT_DOUBLE, value);
    break;
  default:
    known = false;
    break;
  }
  if (known)
    return PYB_OK;
  *value = PYB_EMPTY;
  *why = "a $LIST has an element of a type or length that is not known";
  return PYB_UNSUPPORTED;
}
