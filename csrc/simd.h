// Vectors of one instruction set. Each of kernels_*.cpp includes this once, with THRESHER_ISA naming its set, so
// that everything below has its own copy per set: a function shared between sets could be compiled for the wrong one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

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
// the first n numbers, 0 after them; reads no further
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
