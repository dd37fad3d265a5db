/* seam.h: the prototypes of seam.cdef for C. They are included into the file that cffi
 * generates, so that one that differs does not compile. */
#ifndef PYB_SEAM_H
#define PYB_SEAM_H

#include <stddef.h>
#include <stdint.h>

int pyb__py_simple_string(uintptr_t session, const char *code, size_t size,
                          const char *variable, const char *serialization,
                          uintptr_t result, uintptr_t error);
int pyb__py_execute_code(uintptr_t session, const char *code, size_t size,
                         const char *variable, uintptr_t error);
int pyb__py_evaluate(uintptr_t session, const char *expression, size_t size,
                     const char *serialization, uintptr_t result, uintptr_t error);
int pyb__py_execute_function(uintptr_t session, const char *function, const char *args,
                             const char *kwargs, const char *variable,
                             const char *serialization, uintptr_t result,
                             uintptr_t error);
int pyb__py_execute_function_args(uintptr_t session, const char *function,
                                  uintptr_t args, size_t n, const char *const *names,
                                  size_t n_names, const char *variable,
                                  const char *serialization, uintptr_t result,
                                  uintptr_t error);
int pyb__py_get_variable(uintptr_t session, const char *variable,
                         const char *serialization, uintptr_t result, uintptr_t error);
int pyb__py_set_variable(uintptr_t session, const char *variable, uintptr_t value,
                         uintptr_t error);
int pyb__py_get_variable_info(uintptr_t session, const char *variable,
                              const char *serialization, uintptr_t result,
                              uintptr_t error);
int pyb__py_get_function_info(uintptr_t session, const char *function, uintptr_t result,
                              uintptr_t error);
int pyb__py_import_module(uintptr_t session, const char *module, const char *alias,
                          uintptr_t result, uintptr_t error);
int pyb__py_get_module_info(uintptr_t session, const char *module, uintptr_t result,
                            uintptr_t error);
int pyb__py_initialize(uintptr_t session, const char *file, uintptr_t result,
                       uintptr_t error);
int pyb__py_job(uintptr_t session, const char *function, const char *inputs,
                const char *parameters, const char *options, uintptr_t result,
                uintptr_t error);
int pyb__py_list_runs(uintptr_t session, const char *project, uintptr_t result,
                      uintptr_t error);
int pyb__py_get_status(uintptr_t session, uintptr_t result, uintptr_t error);
int pyb__py_execute_query(uintptr_t session, const char *sql, size_t size,
                          const char *variable, const char *type, const char *from,
                          const char *options, uintptr_t params,
                          const char *const *names, size_t n, int64_t *count,
                          uintptr_t error);
int pyb__py_shell(uintptr_t session, const char *name, const char *options,
                  int64_t *code, uintptr_t error);
int pyb__py_set_stream(uintptr_t session, const char *variable, const char *type,
                       const char *options, uintptr_t rows, int64_t *count,
                       uintptr_t error);
int pyb__py_get_stream(uintptr_t session, const char *variable,
                       const char *const *columns, size_t n, uintptr_t rows,
                       uintptr_t error);
int pyb__py_get_schema(uintptr_t session, const char *variable, uintptr_t schema,
                       uintptr_t error);
int pyb__py_snapshot(uintptr_t session, const char *verb, const char *const *texts,
                     size_t n, int64_t *number, uintptr_t result, uintptr_t error);
int pyb__py_finalize(uintptr_t session, uintptr_t error);

/* What the entries ask of a session, and sizes of the struct arrays that they read. */
const char *pyb__session_context(uintptr_t session);
uint32_t pyb__session_flags(uintptr_t session);
size_t pyb__value_size(void);

/* Start cffi's half of the library; 0 = done. No GIL is wanted. */
int pyb__seam_start(void);

#endif /* PYB_SEAM_H */
