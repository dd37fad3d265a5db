/* stream.c: a finished table as an Arrow stream of one batch. */
#include <errno.h>
#include <string.h>

#include "table.h"

/* ---- Schema --------------------------------------------------------------------- */

static const char *format_of(pyb_type type) {
  switch (type) {
  case PYB_NULL:
    return "n";
  case PYB_BOOL:
    return "b";
  case PYB_INT64:
    return "l";
  case PYB_FLOAT64:
    return "g";
  case PYB_TEXT:
  case PYB_DECIMAL:
  case PYB_JSON:
    return "U";
  case PYB_BLOB:
    return "Z";
  case PYB_DATE:
    return "tdD";
  case PYB_TIME:
    return "ttu";
  case PYB_TIMESTAMP:
    return "tsu:";
  case PYB_HANDLE: /* never in a column */
    break;
  }
  return "n";
}

/* The schema outlives the table, so it has its own copies, all in one block. */
static void release_schema(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++)
    if (schema->children[i]->release != NULL)
      schema->children[i]->release(schema->children[i]);
  pyb__free(schema->private_data);
  schema->release = NULL;
  pyb__live_add(-1);
}

static size_t put_pair(char *metadata, const char *key, const char *text) {
  int32_t sizes[3] = {1, (int32_t)strlen(key), (int32_t)strlen(text)};

  memcpy(metadata, &sizes[0], 4);
  memcpy(metadata + 4, &sizes[1], 4);
  memcpy(metadata + 8, key, (size_t)sizes[1]);
  memcpy(metadata + 8 + sizes[1], &sizes[2], 4);
  memcpy(metadata + 12 + sizes[1], text, (size_t)sizes[2]);
  return 12 + (size_t)sizes[1] + (size_t)sizes[2];
}

static int export_field(const pyb_column *column, struct ArrowSchema *schema) {
  static const char key[] = "pybridge.declared";
  const pyb__column_rest *rest = column->rest;
  const char *name = rest->name == NULL ? "" : rest->name;
  size_t named = strlen(name) + 1;
  size_t declared = rest->declared == NULL ? 0 : strlen(rest->declared);
  char *block = pyb__malloc(named + 12 + sizeof key + declared);

  memset(schema, 0, sizeof *schema);
  if (block == NULL)
    return ENOMEM;
  memcpy(block, name, named);
  schema->format = format_of(pyb__only_type(column));
  schema->name = block;
  schema->flags = ARROW_FLAG_NULLABLE;
  if (rest->declared != NULL) {
    put_pair(block + named, key, rest->declared);
    schema->metadata = block + named;
  }
  schema->private_data = block;
  schema->release = release_schema;
  pyb__live_add(1);
  return 0;
}

static int export_schema(const pyb_table *table, struct ArrowSchema *schema) {
  /* Says to the Python end that the buffers are nobody else's: it may write to them,
   * and need not copy. */
  static const char key[] = "pybridge.private";
  size_t pointers = table->n * sizeof(struct ArrowSchema *);
  size_t size = pointers + table->n * sizeof(struct ArrowSchema);
  char *block = pyb__malloc(size + 12 + sizeof key);
  struct ArrowSchema *fields;

  memset(schema, 0, sizeof *schema);
  if (block == NULL)
    return ENOMEM;
  fields = (struct ArrowSchema *)(block + pointers);
  schema->format = "+s";
  schema->name = "";
  put_pair(block + size, key, "1");
  schema->metadata = block + size;
  schema->children = (struct ArrowSchema **)block;
  schema->private_data = block;
  schema->release = release_schema;
  pyb__live_add(1);
  for (; (size_t)schema->n_children < table->n; schema->n_children++) {
    int64_t i = schema->n_children;
    schema->children[i] = &fields[i];
    if (export_field(&table->columns[i], &fields[i]) != 0) {
      schema->release(schema);
      return ENOMEM;
    }
  }
  return 0;
}

/* ---- Arrays --------------------------------------------------------------------- */

typedef struct exported_column {
  pyb_column column;
  const void *buffers[3];
} exported_column;

static void release_array(struct ArrowArray *array) {
  exported_column *exported = array->private_data;

  pyb__column_clear(&exported->column);
  pyb__free(exported);
  array->release = NULL;
  pyb__live_add(-1);
}

/* Bits and days are narrower than the eight bytes that they were built in. */
static void narrow(pyb_column *column, pyb_type type) {
  if (type == PYB_DATE) {
    int32_t *days = (int32_t *)(void *)column->integers;
    for (int64_t i = 0; i < column->length; i++) {
      int32_t day = (int32_t)column->integers[i];
      memcpy(&days[i], &day, 4);
    }
  } else if (type == PYB_BOOL) {
    uint8_t *bits = (uint8_t *)column->integers;
    for (int64_t i = 0; i < column->length; i += 8) {
      uint8_t byte = 0;
      for (int64_t j = i; j < i + 8 && j < column->length; j++)
        byte |= (uint8_t)((column->integers[j] != 0) << (j - i));
      bits[i / 8] = byte;
    }
  }
}

/* Move a column into an Arrow array. */
static int export_column(pyb_column *column, struct ArrowArray *array) {
  static const int64_t nothing[1] = {0};
  exported_column *exported = pyb__malloc(sizeof *exported);
  pyb_type type = pyb__only_type(column);

  memset(array, 0, sizeof *array);
  if (exported == NULL)
    return ENOMEM;
  narrow(column, type);
  exported->column = *column;
  memset(column, 0, sizeof *column);
  column = &exported->column;
  exported->buffers[0] = column->nulls == 0 ? NULL : column->validity;
  exported->buffers[1] = column->integers == NULL ? nothing : column->integers;
  exported->buffers[2] = column->bytes == NULL ? (const char *)nothing : column->bytes;
  array->length = column->length;
  array->null_count = column->nulls;
  array->n_buffers = type == PYB_NULL ? 0 : pyb__is_fixed(type) ? 2 : 3;
  array->buffers = exported->buffers;
  array->private_data = exported;
  array->release = release_array;
  pyb__live_add(1);
  return 0;
}

static void release_batch(struct ArrowArray *batch) {
  for (int64_t i = 0; i < batch->n_children; i++)
    if (batch->children[i]->release != NULL)
      batch->children[i]->release(batch->children[i]);
  pyb__free(batch->private_data);
  batch->release = NULL;
  pyb__live_add(-1);
}

/* Move all columns of a table into an Arrow struct array. */
static int export_batch(pyb_table *table, struct ArrowArray *batch) {
  static const void *no_validity[1] = {NULL};
  size_t pointers = table->n * sizeof(struct ArrowArray *);
  char *block = pyb__malloc(pointers + table->n * sizeof(struct ArrowArray) + 1);
  struct ArrowArray *arrays;

  memset(batch, 0, sizeof *batch);
  if (block == NULL)
    return ENOMEM;
  arrays = (struct ArrowArray *)(block + pointers);
  batch->length = table->n == 0 ? 0 : table->columns[0].length;
  batch->n_buffers = 1;
  batch->buffers = no_validity;
  batch->children = (struct ArrowArray **)block;
  batch->private_data = block;
  batch->release = release_batch;
  pyb__live_add(1);
  for (; (size_t)batch->n_children < table->n; batch->n_children++) {
    int64_t i = batch->n_children;
    batch->children[i] = &arrays[i];
    if (export_column(&table->columns[i], &arrays[i]) != 0) {
      batch->release(batch);
      return ENOMEM;
    }
  }
  return 0;
}

/* ---- Stream --------------------------------------------------------------------- */

typedef struct table_stream {
  pyb_table *table;
  bool given; /* the one batch is out */
} table_stream;

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *schema) {
  table_stream *state = stream->private_data;

  /* The columns leave with the batch and take the names along. */
  return state->given ? EINVAL : export_schema(state->table, schema);
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *batch) {
  table_stream *state = stream->private_data;

  memset(batch, 0, sizeof *batch);
  if (state->given)
    return 0;
  state->given = true;
  return export_batch(state->table, batch);
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
  table_stream *state = stream->private_data;
  return state->given ? "the schema is asked for after the rows, or no memory"
                      : "no memory";
}

static void release_stream(struct ArrowArrayStream *stream) {
  table_stream *state = stream->private_data;

  pyb_table_release(state->table);
  pyb__free(state);
  stream->release = NULL;
  pyb__live_add(-1);
}

pyb_status pyb_table_finish(pyb_table *table, struct ArrowArrayStream *rows,
                            pyb_error *error) {
  table_stream *state = NULL;
  pyb_status status = PYB_OK;

  memset(rows, 0, sizeof *rows);
  for (size_t i = 0; i < table->n && status == PYB_OK; i++) {
    if (table->columns[i].length != table->columns[0].length)
      status = pyb__fail(
          error, PYB_BAD_ARGUMENT, "column %zu is of length %lld, column 0 is of %lld",
          i, (long long)table->columns[i].length, (long long)table->columns[0].length);
    else
      status = pyb__column_settle(&table->columns[i], error);
  }
  if (status == PYB_OK) {
    state = pyb__calloc(1, sizeof *state);
    if (state == NULL)
      status = pyb__fail(error, PYB_NO_MEMORY, "no memory for a stream");
  }
  if (status != PYB_OK) {
    pyb_table_release(table);
    return status;
  }
  state->table = table;
  rows->get_schema = get_schema;
  rows->get_next = get_next;
  rows->get_last_error = get_last_error;
  rows->release = release_stream;
  rows->private_data = state;
  pyb__live_add(1);
  return PYB_OK;
}
