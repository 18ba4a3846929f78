// Batch normalisation of [channels, length], a channel at a time so that its second reading comes from a near cache.
#pragma once

#include "parallel.h"
#include "simd.h"

namespace thresher {
namespace THRESHER_ISA {

// Σ f(i) over [0, length): vectors of partial sums over short runs, the runs in double, always in the same order.
template <class T, class F>
INLINE double long_sum(int64_t length, F&& f) {
  constexpr int L = kLanes<T>;
  constexpr int64_t kStretch = 64 * L;
  double total = 0;
  for (int64_t from = 0; from < length; from += kStretch) {
    const int64_t to = from + kStretch < length ? from + kStretch : length;
    Vec<T> even{}, odd{};
    int64_t i = from;
    for (; i + 2 * L <= to; i += 2 * L) {
      even += f(i, L);
      odd += f(i + L, L);
    }
    for (; i < to; i += L) even += f(i, int(to - i < L ? to - i : L));
    total += double(sum<T>(even + odd));
  }
  return total;
}

template <class T>
INLINE Vec<T> load_some(const T* p, int num) {
  return num == kLanes<T> ? load(p) : load_first(p, num);
}
template <class T>
INLINE void store_some(T* p, Vec<T> v, int num) {
  if (num == kLanes<T>)
    store(p, v);
  else
    store_first(p, v, num);
}

// y = (x − mean)·scale + bias with scale = weight/√(variance + epsilon), over each channel; weight and bias may be
// null. mean and variance (of the channel itself, divided by its length) are results too.
template <class T>
void batch_norm(int threads, int64_t channels, int64_t length, double epsilon, const T* x, const T* weight,
                const T* bias, T* mean, T* variance, T* y) {
  constexpr int L = kLanes<T>;
  prefer_large_pages(y, channels * length * sizeof(T));
  parallel(channels * length < 1 << 16 ? 1 : threads, channels, [&](int64_t c) {
    const T* own = x + c * length;
    const double middle = long_sum<T>(length, [&](int64_t i, int num) { return load_some(own + i, num); }) / double(length);
    const Vec<T> center = broadcast(T(middle));
    const double spread = long_sum<T>(length, [&](int64_t i, int num) {
      // numbers past the end are not far from the center but none
      Vec<T> off = load_some(own + i, num) - center;
      if (num < L) off = load_first(reinterpret_cast<const T*>(&off), num);
      return off * off;
    }) / double(length);
    mean[c] = T(middle);
    variance[c] = T(spread);
    const T factor = T((weight ? double(weight[c]) : 1.0) / __builtin_sqrt(spread + epsilon));
    const Vec<T> scale = broadcast(factor), shift = broadcast(bias ? bias[c] : T(0));
    T* to = y + c * length;
    for (int64_t i = 0; i < length; i += L) {
      const int num = int(length - i < L ? length - i : L);
      store_some(to + i, (load_some(own + i, num) - center) * scale + shift, num);
    }
  });
}

// Gradients of x, weight and bias from that of y.
template <class T>
void batch_norm_backward(int threads, int64_t channels, int64_t length, double epsilon, const T* gradient, const T* x,
                         const T* weight, const T* mean, const T* variance, T* by_x, T* by_weight, T* by_bias) {
  constexpr int L = kLanes<T>;
  prefer_large_pages(by_x, channels * length * sizeof(T));
  parallel(channels * length < 1 << 16 ? 1 : threads, channels, [&](int64_t c) {
    const T *own = x + c * length, *g = gradient + c * length;
    const Vec<T> center = broadcast(mean[c]);
    const double total = long_sum<T>(length, [&](int64_t i, int num) { return load_some(g + i, num); });
    const double aligned = long_sum<T>(length, [&](int64_t i, int num) {  // past the end the gradient is 0
      return load_some(g + i, num) * (load_some(own + i, num) - center);
    });
    const double inverse = 1.0 / __builtin_sqrt(double(variance[c]) + epsilon);
    by_weight[c] = T(aligned * inverse);
    by_bias[c] = T(total);
    const double scale = (weight ? double(weight[c]) : 1.0) * inverse;
    const Vec<T> factor = broadcast(T(scale)), level = broadcast(T(total / double(length)));
    const Vec<T> slope = broadcast(T(aligned * inverse * inverse / double(length)));
    T* to = by_x + c * length;
    for (int64_t i = 0; i < length; i += L) {
      const int num = int(length - i < L ? length - i : L);
      store_some(to + i, (load_some(g + i, num) - level - (load_some(own + i, num) - center) * slope) * factor, num);
    }
  });
}

}  // namespace THRESHER_ISA
}  // namespace thresher
