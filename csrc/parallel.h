// Loops over independent tasks, in the pool of threads that torch's own operators use.
#pragma once

#include <cstdint>
#include <cstdlib>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace thresher {
namespace THRESHER_ISA {

// task(i) for i in [0, count). Which thread takes which task is left open: a task must not depend on it.
template <class Task>
inline void parallel(int threads, int64_t count, Task&& task) {
#ifdef _OPENMP
  if (threads > 1 && count > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
#endif
  for (int64_t i = 0; i < count; ++i) task(i);
}

// Memory of a thread that stays for its next call: fresh pages cost more than many a kernel.
template <int Slot>
inline void* scratch(size_t bytes) {
  struct Buffer {
    void* memory = nullptr;
    size_t size = 0;
    ~Buffer() { std::free(memory); }
  };
  static thread_local Buffer buffer;
  if (buffer.size < bytes) {
    std::free(buffer.memory);
    bytes = (bytes + 4095) / 4096 * 4096;
    buffer.memory = std::aligned_alloc(64, bytes);
    buffer.size = buffer.memory ? bytes : 0;
  }
  return buffer.memory;
}

// Asks for large pages under memory that is about to be written for the first time. An activation above 32 MB comes
// fresh from the system every step, and its first touch, page by page of 4 KB, would take longer than the product.
inline void prefer_large_pages(void* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = 1 << 21;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / kPage * kPage;
  if (end > begin + kPage) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace THRESHER_ISA
}  // namespace thresher
