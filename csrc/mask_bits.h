// Tensors under a mask of one bit per number: set where the number is kept. Words of 64, the first number lowest.
#pragma once

#include <type_traits>

#include "simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace thresher {
namespace THRESHER_ISA {

// Numbers are handled as integers of their width, since NaN and infinities are to be zeroed too.
template <class T>
using Integer = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

template <class I, int... Lane>
INLINE Vec<I> lane_bits(std::integer_sequence<int, Lane...>) {
  return Vec<I>{(I(1) << Lane)...};
}
// v where the lowest bits of `word` are clear, zero where they are set
template <class I>
INLINE Vec<I> removed(Vec<I> v, uint64_t word) {
#if defined(__AVX512F__)
  if constexpr (sizeof(I) == 4)
    return (Vec<I>)_mm512_maskz_mov_epi32(__mmask16(~word), (__m512i)v);
  else
    return (Vec<I>)_mm512_maskz_mov_epi64(__mmask8(~word), (__m512i)v);
#else
  const Vec<I> lanes = lane_bits<I>(std::make_integer_sequence<int, kLanes<I>>{});
  return v & ((broadcast(I(word)) & lanes) == 0);
#endif
}
template <class I>
INLINE bool any(Vec<I> v) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask((__m512i)v, (__m512i)v) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256((__m256i)v, (__m256i)v);
#else
  const Vec<int64_t> halves = (Vec<int64_t>)v;
  return (halves[0] | halves[1]) != 0;
#endif
}

// target = `kept` of target where the bit is set, `elsewhere` where it is not. Stored only where that changes
// something: of what an optimizer left alone, a pass reads the cache lines and writes none.
template <class I, class Elsewhere>
INLINE void put_removed(I* target, uint64_t word, Elsewhere&& elsewhere) {
  constexpr int L = kLanes<I>, kGroup = 4;
  for (int first = 0; first < 64; first += kGroup * L) {
    Vec<I> changed[kGroup], some{};
    UNROLL for (int i = 0; i < kGroup; ++i) {
      const int at = first + i * L;
      changed[i] = removed<I>(load(target + at) ^ elsewhere(at), word >> at);
      some |= changed[i];
    }
    if (any<I>(some)) {
      UNROLL for (int i = 0; i < kGroup; ++i) {
        const int at = first + i * L;
        store(target + at, load(target + at) ^ changed[i]);
      }
    }
  }
}

struct ZeroRemoved {
  template <class I>
  static INLINE void word(I* target, const I*, uint64_t word) {
    put_removed(target, word, [](int) { return Vec<I>{}; });
  }
};
struct RestoreRemoved {
  template <class I>
  static INLINE void word(I* target, const I* source, uint64_t word) {
    put_removed(target, word, [&](int at) { return load(source + at); });
  }
};
struct WriteKept {
  template <class I>
  static INLINE void word(I* target, const I* source, uint64_t word) {
    UNROLL for (int at = 0; at < 64; at += kLanes<I>) {
      const Vec<I> v = load(source + at);
      store(target + at, v ^ removed<I>(v, word >> at));
    }
  }
};

// Operation on all n numbers of each target. The last come first: what the optimizer wrote last is in the cache.
template <class Operation, class T>
void under_mask(int threads, int64_t n, const uint64_t* words, int64_t num_targets, T* const* targets,
                const T* source) {
  using I = Integer<T>;
  constexpr int64_t kBlock = 16;          // words of one target before the next target's turn
  constexpr int64_t kParallel = 1 << 16;  // numbers below which waking a second thread takes longer
  const I* other = reinterpret_cast<const I*>(source);
  const int64_t num_words = (n + 63) / 64;
  // Divided as torch divides an element-wise operation, so that each thread finds its part in its own cache: with
  // parts taken in any order the pass after a step takes twice as long.
  const int parts = n < kParallel ? 1 : threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(parts) if (parts > 1)
#endif
  for (int part = 0; part < parts; ++part) {
    const int64_t begin = num_words * part / parts;
    int64_t to = num_words * (part + 1) / parts;
    while (to > begin) {
      const int64_t from = to - begin > kBlock ? to - kBlock : begin;
      for (int64_t k = 0; k < num_targets; ++k) {
        I* target = reinterpret_cast<I*>(targets[k]);
        for (int64_t w = to - 1; w >= from; --w) {
          const int64_t first = 64 * w, left = n - first;
          if (left >= 64) {
            Operation::word(target + first, other ? other + first : nullptr, words[w]);
          } else {
            I last[64] = {}, last_other[64] = {};
            const size_t bytes = size_t(left) * sizeof(I);
            std::memcpy(last, target + first, bytes);
            if (other) std::memcpy(last_other, other + first, bytes);
            Operation::word(last, last_other, words[w]);
            std::memcpy(target + first, last, bytes);
          }
        }
      }
      to = from;
    }
  }
}

// Zeroes every target where the bit is clear.
template <class T>
void zero_removed(int threads, int64_t n, const uint64_t* words, int64_t num_targets, T* const* targets) {
  under_mask<ZeroRemoved, T>(threads, n, words, num_targets, targets, nullptr);
}
// target = source where the bit is clear.
template <class T>
void restore_removed(int threads, int64_t n, const uint64_t* words, T* target, const T* source) {
  under_mask<RestoreRemoved, T>(threads, n, words, 1, &target, source);
}
// target = source where the bit is set, zero elsewhere.
template <class T>
void write_kept(int threads, int64_t n, const uint64_t* words, T* target, const T* source) {
  under_mask<WriteKept, T>(threads, n, words, 1, &target, source);
}

}  // namespace THRESHER_ISA
}  // namespace thresher
