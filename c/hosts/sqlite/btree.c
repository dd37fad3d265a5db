/* btree.c: walks a table's B-tree from its root through the pages of the database. */
#include "btree.h"

#include <string.h>

/* The bytes from here on are locked, not stored: the page that holds them is never
 * part of anything (§1.4). */
#define LOCK_BYTE 0x40000000

static pyb__tree_end corrupt(pyb__tree *tree) {
  return pyb__tree_decline(tree, "a page is not as the file format says");
}

/* ---- Pages ---------------------------------------------------------------------- */

static uint32_t window_room(const pyb__tree *tree) {
  uint32_t room = PYB__TREE_WINDOW / tree->page_size;
  return room < tree->page_count ? room : tree->page_count;
}

/* May a page of the tree have this number? Page 1 is the schema's. */
static int is_page(const pyb__tree *tree, uint32_t page) {
  return page >= 2 && page <= tree->page_count &&
         page != LOCK_BYTE / tree->page_size + 1;
}

/* Read n pages from `first` on. 0 = they cannot be had. */
static int read_pages(pyb__tree *tree, uint8_t *out, uint32_t first, uint32_t n) {
  if (tree->wal != NULL)
    return pyb__wal_read(tree->wal, out, first, n);
  return tree->file->pMethods->xRead(tree->file, out, (int)(n * tree->page_size),
                                     (sqlite3_int64)(first - 1) *
                                         (sqlite3_int64)tree->page_size) == SQLITE_OK;
}

/* Have `n` pages from `first` on in the window. */
static pyb__tree_end load(pyb__tree *tree, pyb__window *window, uint32_t first,
                          uint32_t n) {
  window->n = 0;
  if (tree->interrupted != NULL && tree->interrupted(tree->host))
    return PYB__TREE_INTERRUPTED;
  if (window->bytes == NULL) {
    size_t size = (size_t)window_room(tree) *
                  (tree->page_size + (tree->wal == NULL ? (size_t)0 : PYB__WAL_FRAME));
    window->bytes = sqlite3_malloc64(size + PYB__TREE_SLACK);
    if (window->bytes == NULL)
      return PYB__TREE_NO_MEMORY;
    memset(window->bytes + size, 0, PYB__TREE_SLACK);
  }
  if (!read_pages(tree, window->bytes, first, n))
    return pyb__tree_decline(tree, "the file cannot be read to its end");
  window->first = first;
  window->n = n;
  return PYB__TREE_WHOLE;
}

static const uint8_t *in_window(const pyb__tree *tree, const pyb__window *window,
                                uint32_t page) {
  if (page < window->first || page - window->first >= window->n)
    return NULL;
  return window->bytes + (size_t)(page - window->first) * tree->page_size;
}

/* ---- Overflow chains ------------------------------------------------------------ */

pyb__tree_end pyb__tree_payload_room(pyb__tree *tree, size_t size) {
  uint8_t *grown;
  size_t room = tree->payload_room * 2;

  if (size <= tree->payload_room)
    return PYB__TREE_WHOLE;
  if (room < size)
    room = size;
  grown = sqlite3_realloc64(tree->payload, room + PYB__TREE_SLACK);
  if (grown == NULL)
    return PYB__TREE_NO_MEMORY;
  memset(grown + room, 0, PYB__TREE_SLACK);
  tree->payload = grown;
  tree->payload_room = room;
  return PYB__TREE_WHOLE;
}

/* Load the chain's next page, and as many behind it as a chain that lies in one piece
 * would go on with. Twice as many each time that this was right. */
static pyb__tree_end load_chain(pyb__tree *tree, const pyb__chain *chain) {
  pyb__window *window = &tree->chain;
  uint64_t rest = (chain->size - chain->have - 1) / (tree->usable_size - 4) + 1;
  uint32_t n = 1;

  if (window->n != 0 && chain->next == window->first + window->n)
    n = window->n * 2;
  if (n > window_room(tree))
    n = window_room(tree);
  if (n > rest)
    n = (uint32_t)rest;
  if (n > tree->page_count - chain->next + 1)
    n = tree->page_count - chain->next + 1;
  return load(tree, window, chain->next, n);
}

pyb__tree_end pyb__tree_gather(pyb__tree *tree, pyb__chain *chain, size_t need) {
  pyb__tree_end end;

  /* SQLite finds its way along a chain with the help of the pointer map (§1.8), and
   * fails where that is damaged although the chain is not. */
  if (tree->auto_vacuum && chain->have < need)
    return pyb__tree_decline(tree, "an auto-vacuum database has an overflow chain");
  if (need > (uint64_t)tree->page_count * tree->usable_size)
    return corrupt(tree); /* before memory is asked for that no file stands behind */
  end = pyb__tree_payload_room(tree, need);
  while (end == PYB__TREE_WHOLE && chain->have < need) {
    const uint8_t *page;
    size_t size = tree->usable_size - 4;

    if (!is_page(tree, chain->next) || --tree->budget < 0)
      return corrupt(tree);
    if (in_window(tree, &tree->chain, chain->next) == NULL)
      end = load_chain(tree, chain);
    if (end == PYB__TREE_WHOLE)
      end = pyb__tree_payload_room(tree, chain->have + size);
    if (end != PYB__TREE_WHOLE)
      return end;
    page = in_window(tree, &tree->chain, chain->next);
    if (size > chain->size - chain->have)
      size = chain->size - chain->have;
    memcpy(tree->payload + chain->have, page + 4, size);
    chain->have += size;
    chain->next = pyb__be32(page);
  }
  return end;
}

/* ---- Interior pages ------------------------------------------------------------- */

/* Child i of an interior page, and the greatest rowid below it. The page's cells have
 * been checked. */
static uint32_t child_of(const uint8_t *page, uint32_t i, int64_t last, int64_t *key) {
  const uint8_t *cell = page + pyb__be16(page + 12 + 2 * i);
  uint64_t number;

  if (i == pyb__page_cells(page)) {
    *key = last;
    return pyb__be32(page + 8);
  }
  pyb__varint(cell + 4, &number);
  *key = (int64_t)number;
  return pyb__be32(cell);
}

/* Does every cell of this interior page lie in it, and do the keys ascend? A cell is a
 * page number and a varint. (A cell of SQLite's own is never shorter than 5 bytes.) All
 * keys count, also behind the range: SQLite looks for its start by halving the page. */
static int interior_is_sound(const pyb__tree *tree, const uint8_t *page) {
  uint32_t n = pyb__page_cells(page);
  int64_t previous = 0;

  if (n == 0 || 12 + 2 * n > tree->usable_size)
    return 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t at = pyb__be16(page + 12 + 2 * i);
    uint64_t number;
    if (at < 12 + 2 * n || at + 5 > tree->usable_size ||
        pyb__varint(page + at + 4, &number) > page + tree->usable_size ||
        (i != 0 && (int64_t)number <= previous))
      return 0;
    previous = (int64_t)number;
  }
  return 1;
}

/* May there be rows to take behind the rowid `key` and up to `last`? `from` is where
 * the search among those that are wanted begins. */
static int is_wanted(const pyb__tree *tree, int64_t *from, int64_t key, int64_t last) {
  if (key >= tree->end)
    return 0;
  while (*from < tree->n_wanted && tree->wanted[*from] <= key)
    ++*from;
  return tree->wanted == NULL ||
         (*from < tree->n_wanted && tree->wanted[*from] <= last);
}

/* Load child i, and with it those after it that lie close behind it in the file, so far
 * as rows of them are wanted: most tables are written in the order of their rowids. */
static pyb__tree_end load_children(pyb__tree *tree, const uint8_t *page, uint32_t i,
                                   int64_t last) {
  uint32_t room = window_room(tree), n = pyb__page_cells(page), ahead;
  int64_t key, previous, from = 0;
  uint32_t first = child_of(page, i, last, &key), end = first;

  while (i < n) {
    previous = key;
    ahead = child_of(page, ++i, last, &key);
    if (ahead <= end || ahead - end > 3 || ahead - first >= room ||
        ahead > tree->page_count || !is_wanted(tree, &from, previous, key))
      break;
    end = ahead;
  }
  return load(tree, &tree->leaves, first, end - first + 1);
}

/* Make room for the table's rows, as far as their number can be told from the way down
 * to its first leaf. More than there is costs address space only, and where that is
 * refused the columns grow as they must. */
static void reserve(pyb__tree *tree, int depth, const uint8_t *leaf) {
  uint64_t rows = pyb__page_cells(leaf);
  uint64_t most = rows * tree->page_count;
  pyb_error error;

  for (int i = 0; i < depth && rows <= most; i++)
    rows *= pyb__page_cells(tree->levels[i]) + 1;
  if (rows > most)
    rows = most;
  if (rows > (uint64_t)tree->end - (uint64_t)tree->start)
    rows = (uint64_t)tree->end - (uint64_t)tree->start + 1;
  if (tree->wanted != NULL)
    rows = (uint64_t)tree->n_wanted;
  tree->reserved = 1;
  if (tree->judged)
    return; /* it cannot be told how many are taken */
  if (pyb_table_reserve(tree->table, (int64_t)rows, &error) != PYB_OK)
    return;
}

static pyb__tree_end read_page(pyb__tree *tree, int depth, const uint8_t *page,
                               int64_t last);

/* Read the children of an interior page in turn. Child i holds the rowids behind the
 * key before it up to its own key (§1.6), which SQLite relies on when it seeks. */
static pyb__tree_end read_interior(pyb__tree *tree, int depth, const uint8_t *page,
                                   int64_t last) {
  pyb__tree_end end = PYB__TREE_WHOLE;
  uint32_t n = pyb__page_cells(page);

  for (uint32_t i = 0; i <= n && end == PYB__TREE_WHOLE; i++) {
    int64_t key;
    uint32_t child = child_of(page, i, last, &key);

    if (key < tree->next || key > last || !is_page(tree, child))
      return corrupt(tree);
    if (key < tree->start) {
      tree->next = key + 1; /* no overflow: key < start */
      continue;
    }
    if (tree->beyond || tree->enough)
      break;
    if (--tree->budget < 0)
      return corrupt(tree);
    if (in_window(tree, &tree->leaves, child) == NULL)
      end = load_children(tree, page, i, last);
    if (end == PYB__TREE_WHOLE)
      end = read_page(tree, depth + 1, in_window(tree, &tree->leaves, child), key);
    if (end != PYB__TREE_WHOLE || key == last)
      /* Behind the greatest rowid of all there may be nothing: the next child's key
       * would have to be greater. */
      return end == PYB__TREE_WHOLE && i < n ? corrupt(tree) : end;
    tree->next = key + 1;
  }
  return end;
}

/* Read one page and what is below it; its rowids must lie in tree->next .. `last`. The
 * page is in the window of leaves, so an interior one is copied first. */
static pyb__tree_end read_page(pyb__tree *tree, int depth, const uint8_t *page,
                               int64_t last) {
  uint32_t n = pyb__page_cells(page);
  uint8_t **level = &tree->levels[depth];

  if ((n == 0 && depth != 0) || n > (tree->page_size - 8) / 6)
    return corrupt(tree);
  if (page[0] == PYB__PAGE_LEAF) {
    if (!tree->reserved)
      reserve(tree, depth, page);
    return pyb__leaf_read(tree, page, last);
  }
  if (page[0] != PYB__PAGE_INTERIOR || depth + 1 >= PYB__TREE_DEPTH ||
      !interior_is_sound(tree, page))
    return corrupt(tree);
  if (*level == NULL)
    *level = sqlite3_malloc64(tree->page_size + PYB__TREE_SLACK);
  if (*level == NULL)
    return PYB__TREE_NO_MEMORY;
  memcpy(*level, page, tree->page_size);
  memset(*level + tree->page_size, 0, PYB__TREE_SLACK);
  return read_interior(tree, depth, *level, last);
}

/* ---- The whole ------------------------------------------------------------------ */

pyb__tree_end pyb__tree_read(pyb__tree *tree) {
  pyb__tree_end end;

  tree->budget = tree->page_count;
  tree->next = INT64_MIN;
  tree->rows = 0;
  tree->reserved = tree->beyond = tree->enough = 0;
  if (!is_page(tree, tree->root) || --tree->budget < 0)
    return corrupt(tree);
  end = pyb__leaf_begin(tree);
  if (end == PYB__TREE_WHOLE)
    end = load(tree, &tree->leaves, tree->root, 1);
  if (end == PYB__TREE_WHOLE)
    end = read_page(tree, 0, tree->leaves.bytes, INT64_MAX);
  return end;
}

void pyb__tree_release(pyb__tree *tree) {
  pyb__leaf_release(tree);
  for (size_t i = 0; i < tree->n; i++)
    sqlite3_value_free(tree->fields[i].absent);
  for (int i = 0; i < PYB__TREE_DEPTH; i++)
    sqlite3_free(tree->levels[i]);
  sqlite3_free(tree->leaves.bytes);
  sqlite3_free(tree->chain.bytes);
  sqlite3_free(tree->payload);
}
