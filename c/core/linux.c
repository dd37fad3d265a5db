/* linux.c: what is Linux's alone: pages that move, the loader's questions, the stack.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include "internal.h"

/* Buffers never shrink below the size at which they became pages. */
void *pyb__pages_resize(void *pages, size_t old_size, size_t size) {
  void *mapped;

  if (pages == NULL) {
    mapped =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* Huge pages would make short tables resident far beyond their size, and the time
     * of the first touch depends on what the machine has just given back. */
    if (mapped != MAP_FAILED)
      madvise(mapped, size, MADV_NOHUGEPAGE);
  } else {
    mapped = mremap(pages, old_size, size, MREMAP_MAYMOVE);
  }
  return mapped == MAP_FAILED ? NULL : mapped;
}

void pyb__pages_free(void *pages, size_t size) {
  munmap(pages, size);
}

const char *pyb__library_path(const void *address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fname : NULL;
}

const char *pyb__stack_floor(void) {
  pthread_attr_t attributes;
  void *lowest = NULL;
  size_t size = 0;

  if (pthread_getattr_np(pthread_self(), &attributes) != 0)
    return NULL;
  pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  return (const char *)lowest + size / 4;
}

int pyb__library_promote(const char *path) {
  /* The handle is kept on purpose: libpython stays for the life of the process. */
  return dlopen(path, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD) != NULL ? 0 : -1;
}
