// Vectors of one instruction set. Each of kernels_*.cpp includes this once, with THRESHER_ISA naming its set, so
// that everything below has its own copy per set: a function shared between sets could be compiled for the wrong one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

namespace thresher {
namespace THRESHER_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vec = typename VectorOf<T>::type;

// numbers in a vector
template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}
template <class T>
INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}
template <class T, int... I>
INLINE Vec<T> broadcast(T x, std::integer_sequence<int, I...>) {
  return Vec<T>{((void)I, x)...};
}
template <class T>
INLINE Vec<T> broadcast(T x) {
  return broadcast(x, std::make_integer_sequence<int, kLanes<T>>{});
}
// Makes the compiler address what is near p from p, instead of keeping a register for each place.
template <class T>
INLINE const T* settle(const T* p) {
#if defined(__GNUC__)
  __asm__("" : "+r"(p));
#endif
  return p;
}
// Keeps v in a register where the compiler would rather read its memory again for every use.
template <class T>
INLINE void hold(Vec<T>& v) {
#if defined(__x86_64__)
  __asm__("" : "+v"(v));
#endif
}
// load_first: the first n numbers, 0 after them; reads no further. store_first: writes no further.
// gather: x[indices[0]], x[indices[1]], …; gather_first: of the first n indices, 0 after them.
// A copy of n numbers whose count is not known is a call, so that vectors with masks are used where there are any.
#if defined(__AVX512F__)
template <class T>
INLINE Vec<T> load_first(const T* p, int n) {
  if constexpr (sizeof(T) == 4)
    return _mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
  else
    return _mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p);
}
template <class T>
INLINE void store_first(T* p, Vec<T> v, int n) {
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), v);
  else
    _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), v);
}
template <class T>
INLINE Vec<T> gather_first(const T* x, const int32_t* indices, int n) {
  const __mmask16 mask = __mmask16((1u << n) - 1);
  if constexpr (sizeof(T) == 4)
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, _mm512_maskz_loadu_epi32(mask, indices), x, 4);
  else
    return _mm512_mask_i32gather_pd(_mm512_setzero_pd(), __mmask8(mask),
                                    _mm256_maskz_loadu_epi32(__mmask8(mask), indices), x, 8);
}
#elif defined(__AVX2__)
INLINE __m256i first_of_8(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE __m256i first_of_4(int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
template <class T>
INLINE Vec<T> load_first(const T* p, int n) {
  if constexpr (sizeof(T) == 4)
    return _mm256_maskload_ps(p, first_of_8(n));
  else
    return _mm256_maskload_pd(p, first_of_4(n));
}
template <class T>
INLINE void store_first(T* p, Vec<T> v, int n) {
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, first_of_8(n), v);
  else
    _mm256_maskstore_pd(p, first_of_4(n), v);
}
template <class T>
INLINE Vec<T> gather_first(const T* x, const int32_t* indices, int n) {
  if constexpr (sizeof(T) == 4) {
    const __m256i mask = first_of_8(n);
    return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), x, _mm256_maskload_epi32(indices, mask),
                                    _mm256_castsi256_ps(mask), 4);
  } else {
    const __m128i mask = _mm256_castsi256_si128(first_of_8(n));
    return _mm256_mask_i32gather_pd(_mm256_setzero_pd(), x, _mm_maskload_epi32(indices, mask),
                                    _mm256_castsi256_pd(first_of_4(n)), 8);
  }
}
#else
template <class T>
INLINE Vec<T> load_first(const T* p, int n) {
  Vec<T> v{};
  std::memcpy(&v, p, size_t(n) * sizeof(T));
  return v;
}
template <class T>
INLINE void store_first(T* p, Vec<T> v, int n) {
  std::memcpy(p, &v, size_t(n) * sizeof(T));
}
template <class T>
INLINE Vec<T> gather_first(const T* x, const int32_t* indices, int n) {
  Vec<T> v{};
  for (int i = 0; i < n; ++i) v[i] = x[indices[i]];
  return v;
}
#endif
template <class T>
INLINE Vec<T> gather(const T* x, const int32_t* indices) {
  return gather_first(x, indices, kLanes<T>);
}

// Lane of (a, b) side by side that lane `i` of a fold of N vectors takes: blocks of N/2 lanes are partial sums, and
// two neighbours among them, the `second` or the first, are added.
template <int L, int N>
constexpr int fold_lane(int i, bool second) {
  int block = i / N, lane = i % N, half = N / 2;
  return (lane < half ? 0 : L) + (2 * block + second) * half + lane % half;
}
template <class T, int N, int... I>
INLINE Vec<T> fold_pair(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  return __builtin_shufflevector(a, b, fold_lane<L, N>(I, false)...) +
         __builtin_shufflevector(a, b, fold_lane<L, N>(I, true)...);
}

// Sums of N vectors at once: lane i of the result of as many vectors as there are lanes is the sum of vector i. Pairs
// are folded together until one vector is left: three instructions a vector, not the eight of a sum by itself.
template <class T, int N = kLanes<T>>
INLINE Vec<T> fold(const Vec<T>* v) {
  if constexpr (N == 1) {
    return v[0];
  } else {
    return fold_pair<T, N>(fold<T, N / 2>(v), fold<T, N / 2>(v + N / 2),
                           std::make_integer_sequence<int, kLanes<T>>{});
  }
}

template <class T>
INLINE T sum(Vec<T> v) {
  T total = 0;
  for (int i = 0; i < kLanes<T>; ++i) total += v[i];
  return total;
}

}  // namespace THRESHER_ISA
}  // namespace thresher
