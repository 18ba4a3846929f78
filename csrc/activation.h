// The logistic function and tanh of vectors, to the last two or three bits.
#pragma once

#include "simd.h"

namespace thresher {
namespace THRESHER_ISA {

template <class T>
struct Exponential;
template <>
struct Exponential<float> {
  using Bits = uint32_t;
  static constexpr int kMantissa = 23, kBias = 127, kDegree = 7;
  static constexpr float kLargest = 88, kTanhOne = 10;  // e^x is finite up to the one, tanh is 1 from the other
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
};
template <>
struct Exponential<double> {
  using Bits = uint64_t;
  static constexpr int kMantissa = 52, kBias = 1023, kDegree = 13;
  static constexpr double kLargest = 709, kTanhOne = 20;
  static constexpr double kLn2High = 0.693145751953125, kLn2Low = 1.42860682030941723212e-6;
};

// NaN stays NaN: it is neither below nor above.
template <class T>
INLINE Vec<T> clamp(Vec<T> x, T limit) {
  Vec<T> low = broadcast(-limit), high = broadcast(limit);
  x = x < low ? low : x;
  return x > high ? high : x;
}

constexpr double factorial(int k) { return k < 2 ? 1 : k * factorial(k - 1); }

// e^x = scale·(1 + rest), scale a power of two, for |x| up to kLargest. The rest is the Taylor series of e^r - 1 for
// |r| <= ln(2)/2; the first term left out is below 6e-9, of 1, in float and below 5e-18 in double.
template <class T>
INLINE void exponential(Vec<T> x, Vec<T>& scale, Vec<T>& rest) {
  using E = Exponential<T>;
  typedef typename E::Bits Bits __attribute__((vector_size(kVectorBytes)));
  // adding it leaves no bits after the point: the nearest whole number stands in the last bits
  constexpr T kRound = T(3) * (typename E::Bits(1) << (E::kMantissa - 1));
  Vec<T> shifted = x * T(1.442695040888963407) + kRound;
  Vec<T> whole = shifted - kRound;
  Vec<T> r = x - whole * E::kLn2High - whole * E::kLn2Low;
  Vec<T> series = broadcast(T(1 / factorial(E::kDegree)));
  UNROLL for (int k = E::kDegree - 1; k >= 1; --k) series = series * r + T(1 / factorial(k));
  rest = series * r;
  Bits bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + typename E::Bits(E::kBias)) << E::kMantissa;
  std::memcpy(&scale, &bits, sizeof scale);
}

template <class T>
INLINE Vec<T> logistic(Vec<T> x) {
  Vec<T> scale, rest;
  exponential<T>(-clamp<T>(x, Exponential<T>::kLargest), scale, rest);
  return T(1) / (scale * rest + scale + T(1));
}

// (e^2x - 1)/(e^2x + 1), by e^2x - 1 so that a small x keeps all its digits
template <class T>
INLINE Vec<T> tanh(Vec<T> x) {
  Vec<T> scale, rest;
  exponential<T>(T(2) * clamp<T>(x, Exponential<T>::kTanhOne), scale, rest);
  Vec<T> less_one = scale * rest + (scale - T(1));
  return less_one / (less_one + T(2));
}

}  // namespace THRESHER_ISA
}  // namespace thresher
