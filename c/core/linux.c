/* linux.c: what is Linux's alone: pages that move, the loader's questions, the stack.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include "internal.h"

void *pyb__pages_map(size_t size) {
  void *pages =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (pages == MAP_FAILED)
    return NULL;
  /* Huge pages would make short tables resident far beyond their size, and the time of
   * the first touch depends on what the machine has just given back. */
  madvise(pages, size, MADV_NOHUGEPAGE);
  return pages;
}

void *pyb__pages_move(void *pages, size_t old_size, size_t size) {
  void *moved = mremap(pages, old_size, size, MREMAP_MAYMOVE);

  return moved == MAP_FAILED ? NULL : moved;
}

void pyb__pages_idle(void *pages, size_t size) {
  madvise(pages, size, MADV_FREE);
}

void pyb__pages_unmap(void *pages, size_t size) {
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
