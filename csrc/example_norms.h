// Squared norms of every example's gradient of a sparse convolution's weights: lanes are examples all along, so that
// no gradient of one example is ever stored.
#pragma once

#include "kernels.h"
#include "parallel.h"
#include "simd.h"

namespace thresher {
namespace THRESHER_ISA {

// target [rows, columns, lanes] = what lies from (row, column) on of an image [height, width, n], for `there` examples;
// zeros outside of it and in the lanes left over.
template <class T>
INLINE void pack_lanes(const T* image, int64_t height, int64_t width, int64_t n, int there, int64_t row,
                       int64_t column, int64_t rows, int64_t columns, T* target) {
  for (int64_t i = row; i < row + rows; ++i) {
    for (int64_t j = column; j < column + columns; ++j, target += kLanes<T>) {
      const bool inside = i >= 0 && i < height && j >= 0 && j < width;
      store(target, inside ? load_first(image + (i * width + j) * n, there) : Vec<T>{});
    }
  }
}

// total[p] = Σ over [rows, columns] of gradient · what weight p sees of the input, a step further each position.
template <class T, int P>
INLINE void correlate(const T* gradient, const T* x, const int64_t* offsets, int64_t rows, int64_t columns,
                      int64_t row_step, int64_t column_step, Vec<T>* total) {
  UNROLL for (int p = 0; p < P; ++p) total[p] = Vec<T>{};
  for (int64_t i = 0; i < rows; ++i) {
    const T* line = x + i * row_step;
    for (int64_t j = 0; j < columns; ++j, gradient += kLanes<T>, line += column_step) {
      const Vec<T> g = load(gradient);
      UNROLL for (int p = 0; p < P; ++p) total[p] += g * load(line + offsets[p]);
    }
  }
}
template <class T, int P, class... Rest>
INLINE void correlate_some(int num, Rest... rest) {
  if constexpr (P > 1) {
    if (num < P) return correlate_some<T, P - 1>(num, rest...);
  }
  correlate<T, P>(rest...);
}

// norms[example] = Σ over kept weights of (Σ over positions of gradient · input)², one slice of examples at a time.
template <class T>
void conv2d_example_norms(int threads, const Convolution& s, const int32_t* pointers, const int32_t* columns,
                          const T* x, const T* gradient, T* norms) {
  constexpr int L = kLanes<T>;
  constexpr int kTogether = kRegisters / 4;  // weights that share each gradient loaded
  const int64_t out_height = s.out_height(), out_width = s.out_width(), kept = pointers[s.filters];
  const int64_t width = (out_width - 1) * s.stride_width + (s.kernel_width - 1) * s.dilation_width + 1;
  const int64_t more_rows = (s.kernel_height - 1) * s.dilation_height + 1 - s.stride_height;
  auto rows_seen = [&](int64_t rows) { return rows * s.stride_height + more_rows; };
  auto packed = [&](int64_t rows) { return (s.channels * rows_seen(rows) * width + s.filters * rows * out_width) * L; };

  // Tiles of whole rows that stay in the second cache, unless the sums between tiles would be the larger traffic.
  int64_t budget = (1 << 20) / int64_t(sizeof(T)), rows = out_height;
  if (budget < kept * L) budget = kept * L;
  while (rows > 1 && packed(rows) > budget) rows = (rows + 1) / 2;

  const int64_t group_channels = s.channels / s.groups, image = rows_seen(rows) * width * L;
  const int64_t kernel = s.kernel_height * s.kernel_width;
  int64_t* offsets = static_cast<int64_t*>(scratch<0>((group_channels * kernel + 1) * sizeof(int64_t)));
  for (int64_t column = 0; column < group_channels * kernel; ++column) {
    const int64_t h = column % kernel / s.kernel_width, w = column % s.kernel_width;
    offsets[column] = column / kernel * image + (h * s.dilation_height * width + w * s.dilation_width) * L;
  }

  parallel(threads, (s.n + L - 1) / L, [&](int64_t slice) {
    const int64_t example = slice * L;
    const int there = int(s.n - example < L ? s.n - example : L);
    T* seen = static_cast<T*>(scratch<1>((packed(rows) + (rows < out_height ? kept * L : 0) + L) * sizeof(T)));
    T* gradients = seen + s.channels * image;
    T* sums = seen + packed(rows);  // of the tiles before
    Vec<T> norm{};
    for (int64_t top = 0; top < out_height; top += rows) {
      const int64_t now = out_height - top < rows ? out_height - top : rows;
      const bool last = top + rows >= out_height;
      for (int64_t c = 0; c < s.channels; ++c) {
        pack_lanes(x + c * s.height * s.width * s.n + example, s.height, s.width, s.n, there,
                   top * s.stride_height - s.padding_height, -s.padding_width, rows_seen(now), width,
                   seen + c * image);
      }
      for (int64_t o = 0; o < s.filters; ++o) {
        pack_lanes(gradient + o * out_height * out_width * s.n + example, out_height, out_width, s.n, there, top, 0,
                   now, out_width, gradients + o * rows * out_width * L);
        const T* own = seen + o / (s.filters / s.groups) * group_channels * image;
        for (int64_t k = pointers[o]; k < pointers[o + 1]; k += kTogether) {
          const int num = int(pointers[o + 1] - k < kTogether ? pointers[o + 1] - k : kTogether);
          int64_t places[kTogether];
          for (int p = 0; p < num; ++p) places[p] = offsets[columns[k + p]];
          Vec<T> total[kTogether];
          correlate_some<T, kTogether>(num, gradients + o * rows * out_width * L, own, places, now, out_width,
                                       s.stride_height * width * L, s.stride_width * L, total);
          for (int p = 0; p < num; ++p) {
            T* sum = sums + (k + p) * L;
            if (top) total[p] += load(sum);
            if (last)
              norm += total[p] * total[p];
            else
              store(sum, total[p]);
          }
        }
      }
    }
    store_first(norms + example, norm, there);
  });
}

}  // namespace THRESHER_ISA
}  // namespace thresher
