/* pool.c: the pages of freed buffers are kept for the next query, which finds them
 * mapped.
 *
 * The first touch of fresh pages costs more than filling them: a third of the time of a
 * whole table. What is kept is bounded, the system may take its memory back whenever it
 * is short of it, and pyb_finalize lets all of it go. */
#include <pthread.h>
#include <string.h>

#include "internal.h"

#define SLOTS 64

/* The address sanitizer is to see what is freed. */
#ifdef __SANITIZE_ADDRESS__
#define MOST 0
#else
#define MOST ((size_t)256 << 20)
#endif

/* What stands before the bytes that are handed out: how large the block really is, as a
 * kept one may be larger than what was asked for. Arrow wants 64 bytes' alignment. */
typedef struct block {
  _Alignas(64) size_t size;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  block *pages;
  size_t size;
} kept[SLOTS]; /* oldest first */
static size_t n_kept, kept_size;

/* The child of a fork may find the lock taken for ever: then it goes without. */
static bool try_lock(void) {
  return pthread_mutex_trylock(&lock) == 0;
}

static block *remove_kept(size_t i) {
  block *pages = kept[i].pages;

  kept_size -= kept[i].size;
  n_kept--;
  memmove(&kept[i], &kept[i + 1], (n_kept - i) * sizeof kept[0]);
  return pages;
}

/* The smallest kept block that is large enough, or NULL. */
static block *take_kept(size_t size) {
  block *pages = NULL;
  size_t best = SLOTS;

  if (!try_lock())
    return NULL;
  for (size_t i = 0; i < n_kept; i++)
    if (kept[i].size >= size && (best == SLOTS || kept[i].size < kept[best].size))
      best = i;
  if (best != SLOTS) {
    size = kept[best].size;
    pages = remove_kept(best);
    pages->size = size;
  }
  pthread_mutex_unlock(&lock);
  return pages;
}

void *pyb__pool_resize(void *buffer, size_t size) {
  block *pages = buffer == NULL ? NULL : (block *)buffer - 1;
  size_t whole = size + sizeof *pages;

  if (whole < size)
    return NULL;
  if (pages == NULL)
    pages = take_kept(whole);
  if (pages == NULL) {
    pages = pyb__pages_map(whole);
  } else if (pages->size < whole) {
    pages = pyb__pages_move(pages, pages->size, whole);
  } else {
    return pages + 1;
  }
  if (pages == NULL)
    return NULL;
  pages->size = whole;
  return pages + 1;
}

void pyb__pool_free(void *buffer) {
  block *pages = (block *)buffer - 1;
  size_t size = pages->size;

  if (size > MOST || !try_lock()) {
    pyb__pages_unmap(pages, size);
    return;
  }
  while (n_kept == SLOTS || kept_size + size > MOST) {
    size_t oldest = kept[0].size;
    pyb__pages_unmap(remove_kept(0), oldest);
  }
  pyb__pages_idle(pages, size);
  kept[n_kept].pages = pages;
  kept[n_kept++].size = size;
  kept_size += size;
  pthread_mutex_unlock(&lock);
}

void pyb__pool_drain(void) {
  if (!try_lock())
    return;
  while (n_kept > 0) {
    size_t oldest = kept[0].size;
    pyb__pages_unmap(remove_kept(0), oldest);
  }
  pthread_mutex_unlock(&lock);
}
