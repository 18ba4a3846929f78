// Runs the kernels of each instruction set of this machine over drawn shapes, in buffers of exactly the sizes they are
// said to need, and compares with loops in double. Built by test_compiled_kernels.py with the sanitizers on.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <random>
#include <vector>

#include "kernels.h"

namespace thresher {
#define DECLARE(set)                           \
  namespace set {                              \
  extern const Kernels<float> kernels_float;   \
  extern const Kernels<double> kernels_double; \
  }
#ifdef HAVE_AVX512
DECLARE(avx512)
#endif
#ifdef HAVE_AVX2
DECLARE(avx2)
#endif
DECLARE(portable)
}  // namespace thresher
using namespace thresher;

static std::mt19937 generator(0);
static int64_t between(int64_t low, int64_t high) { return low + int64_t(generator() % uint64_t(high - low + 1)); }
static int64_t one_of(std::initializer_list<int64_t> some) { return some.begin()[between(0, int64_t(some.size()) - 1)]; }

// Exactly `size` numbers, so that one read or written past them is found.
template <class T>
struct Buffer {
  size_t size;
  std::unique_ptr<T[]> data;
  explicit Buffer(size_t size_) : size(size_), data(new T[size_]) {
    // results start as something that would be noticed if it stayed
    for (size_t i = 0; i < size; ++i) data[i] = T(12345);
  }
  T* get() const { return data.get(); }
  T& operator[](size_t i) const { return data[i]; }
  Buffer&& drawn() && {
    std::normal_distribution<double> normal;
    for (size_t i = 0; i < size; ++i) data[i] = T(normal(generator));
    return std::move(*this);
  }
};

struct Entry {
  int32_t row, column;
};

struct Pattern {
  int64_t rows, columns;
  std::vector<Entry> entries;  // by row
  Buffer<int32_t> row_pointers, of_column, column_pointers, of_row, order;
  Pattern(int64_t rows_, int64_t columns_, std::vector<Entry> entries_)
      : rows(rows_), columns(columns_), entries(std::move(entries_)), row_pointers(size_t(rows + 1)),
        of_column(entries.size()), column_pointers(size_t(columns + 1)), of_row(entries.size()),
        order(entries.size()) {
    for (int64_t i = 0; i <= rows; ++i) row_pointers[size_t(i)] = 0;
    for (int64_t i = 0; i <= columns; ++i) column_pointers[size_t(i)] = 0;
    for (const Entry& e : entries) ++row_pointers[size_t(e.row + 1)], ++column_pointers[size_t(e.column + 1)];
    for (int64_t i = 0; i < rows; ++i) row_pointers[size_t(i + 1)] += row_pointers[size_t(i)];
    for (int64_t i = 0; i < columns; ++i) column_pointers[size_t(i + 1)] += column_pointers[size_t(i)];
    size_t place = 0;
    for (int32_t column = 0; column < columns; ++column) {
      for (size_t k = 0; k < entries.size(); ++k) {
        if (entries[k].column != column) continue;
        of_row[place] = entries[k].row;
        order[place++] = int32_t(k);
      }
    }
    for (size_t k = 0; k < entries.size(); ++k) of_column[k] = entries[k].column;
  }
};
static Pattern pattern(int64_t rows, int64_t columns) {
  const int64_t percent = one_of({0, 10, 40, 100});
  std::vector<Entry> entries;
  for (int32_t row = 0; row < rows; ++row) {
    if (between(0, 4) == 0) continue;  // a whole row of nothing
    for (int32_t column = 0; column < columns; ++column)
      if (between(1, 100) <= percent) entries.push_back({row, column});
  }
  return Pattern(rows, columns, std::move(entries));
}

static int failures = 0;
template <class T>
static void compare(const char* set, const char* what, const Buffer<T>& found, const std::vector<double>& expected,
                    const std::vector<double>& sizes) {
  const double bound = sizeof(T) == 4 ? 4e-6 : 1e-14;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::abs(double(found[i]) - expected[i]) <= bound * (sizes[i] + 1)) continue;
    std::printf("%s %s[%zu] of %zu: %g, not %g\n", set, what, i, expected.size(), double(found[i]), expected[i]);
    ++failures;
    return;
  }
}
// Sums with, beside each, the sum of sizes its error is measured by.
struct Sums {
  std::vector<double> value, size;
  explicit Sums(size_t n) : value(n), size(n) {}
  void add(size_t i, double term) { value[i] += term, size[i] += std::abs(term); }
};

template <class T>
static void products(const char* set, const Kernels<T>& kernels) {
  const int64_t n = one_of({0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 300});
  const int threads = int(between(1, 3));
  const Pattern s = pattern(between(0, 40), between(0, 5) ? between(0, 40) : between(100, 200));
  const size_t kept = s.entries.size(), width = size_t(n);
  const auto values = Buffer<T>(kept).drawn(), x = Buffer<T>(size_t(s.columns) * width).drawn(),
             g = Buffer<T>(size_t(s.rows) * width).drawn(), bias = Buffer<T>(size_t(s.rows)).drawn();
  Buffer<T> y(g.size), by_x(x.size), by_values(kept), by_bias(size_t(s.rows)), sampled(kept), only(x.size);
  Sums right_y(g.size), right_x(x.size), right_values(kept), right_bias(size_t(s.rows));
  for (size_t row = 0; row < size_t(s.rows); ++row) {
    for (size_t i = 0; i < width; ++i) {
      right_y.add(row * width + i, double(bias[row]));
      right_bias.add(row, double(g[row * width + i]));
    }
  }
  for (size_t k = 0; k < kept; ++k) {
    const size_t row = size_t(s.entries[k].row) * width, column = size_t(s.entries[k].column) * width;
    for (size_t i = 0; i < width; ++i) {
      right_y.add(row + i, double(values[k]) * double(x[column + i]));
      right_x.add(column + i, double(values[k]) * double(g[row + i]));
      right_values.add(k, double(x[column + i]) * double(g[row + i]));
    }
  }
  const int32_t *p = s.row_pointers.get(), *c = s.of_column.get(), *q = s.column_pointers.get(), *r = s.of_row.get(),
                *o = s.order.get();
  kernels.spmm(threads, s.rows, n, p, c, nullptr, values.get(), x.get(), bias.get(), y.get());
  compare(set, "spmm", y, right_y.value, right_y.size);
  kernels.spmm(threads, s.columns, n, q, r, o, values.get(), g.get(), nullptr, only.get());
  compare(set, "spmm_transposed", only, right_x.value, right_x.size);
  kernels.sddmm(threads, s.rows, n, p, c, g.get(), x.get(), sampled.get());
  compare(set, "sddmm", sampled, right_values.value, right_values.size);
  const int wanted = int(between(1, 7));
  kernels.linear_backward(threads, s.rows, s.columns, n, p, c, q, r, o, values.get(), x.get(), g.get(),
                          wanted & 1 ? by_x.get() : nullptr, wanted & 2 ? by_values.get() : nullptr,
                          wanted & 4 ? by_bias.get() : nullptr);
  if (wanted & 1) compare(set, "linear by x", by_x, right_x.value, right_x.size);
  if (wanted & 2) compare(set, "linear by values", by_values, right_values.value, right_values.size);
  if (wanted & 4) compare(set, "linear by bias", by_bias, right_bias.value, right_bias.size);

  Buffer<T> turned(x.size);
  kernels.transpose(threads, s.columns, n, x.get(), turned.get());
  for (size_t row = 0; row < size_t(s.columns); ++row) {
    for (size_t i = 0; i < width; ++i) {
      if (turned[i * size_t(s.columns) + row] == x[row * width + i]) continue;
      std::printf("%s transpose\n", set);
      ++failures;
      return;
    }
  }
}

template <class T>
static void convolution(const char* set, const Kernels<T>& kernels) {
  Convolution s;
  s.groups = one_of({1, 1, 2, 3});
  s.n = one_of({0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 129});
  const int64_t group_channels = between(1, 4), group_filters = between(1, 5);
  s.channels = group_channels * s.groups, s.filters = group_filters * s.groups;
  s.kernel_height = between(1, 4), s.kernel_width = between(1, 4);
  s.stride_height = between(1, 3), s.stride_width = between(1, 3);
  s.dilation_height = between(1, 3), s.dilation_width = between(1, 3);
  s.padding_height = between(0, 4), s.padding_width = between(0, 4);
  auto side = [](int64_t kernel, int64_t dilation, int64_t padding) {
    const int64_t least = dilation * (kernel - 1) + 1 - 2 * padding;
    return (least > 1 ? least : 1) + between(0, 8);
  };
  s.height = side(s.kernel_height, s.dilation_height, s.padding_height);
  s.width = side(s.kernel_width, s.dilation_width, s.padding_width);
  const int threads = int(between(1, 3));
  const int64_t taps = s.kernel_height * s.kernel_width, rows = s.out_height(), columns = s.out_width();
  const Pattern w = pattern(s.filters, group_channels * taps);
  const size_t kept = w.entries.size(), n = size_t(s.n);
  const auto values = Buffer<T>(kept).drawn(), bias = Buffer<T>(size_t(s.filters)).drawn(),
             x = Buffer<T>(size_t(s.channels * s.height * s.width) * n).drawn(),
             g = Buffer<T>(size_t(s.filters * rows * columns) * n).drawn();
  Buffer<T> y(g.size), by_x(x.size), by_values(kept), by_bias(size_t(s.filters)), norms(n);
  Sums right_y(g.size), right_x(x.size), right_values(kept), right_bias(size_t(s.filters)), right_norms(n);
  for (size_t i = 0; i < g.size; ++i) {
    const size_t filter = i / (size_t(rows * columns) * n);
    right_y.add(i, double(bias[filter]));
    right_bias.add(filter, double(g[i]));
  }
  for (size_t k = 0; k < kept; ++k) {
    const int64_t filter = w.entries[k].row, column = w.entries[k].column, tap = column % taps;
    const int64_t channel = filter / group_filters * group_channels + column / taps;
    Sums own(n);  // of each example
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t h = i * s.stride_height + tap / s.kernel_width * s.dilation_height - s.padding_height;
        const int64_t v = j * s.stride_width + tap % s.kernel_width * s.dilation_width - s.padding_width;
        if (h < 0 || h >= s.height || v < 0 || v >= s.width) continue;
        const size_t from = size_t((channel * s.height + h) * s.width + v) * n;
        const size_t to = size_t((filter * rows + i) * columns + j) * n;
        for (size_t e = 0; e < n; ++e) {
          right_y.add(to + e, double(values[k]) * double(x[from + e]));
          right_x.add(from + e, double(values[k]) * double(g[to + e]));
          right_values.add(k, double(x[from + e]) * double(g[to + e]));
          own.add(e, double(x[from + e]) * double(g[to + e]));
        }
      }
    }
    for (size_t e = 0; e < n; ++e) {
      right_norms.value[e] += own.value[e] * own.value[e];
      right_norms.size[e] += own.size[e] * own.size[e];
    }
  }
  const int32_t *p = w.row_pointers.get(), *c = w.of_column.get();
  kernels.conv2d(threads, s, p, c, values.get(), x.get(), between(0, 1) ? bias.get() : nullptr, y.get());
  kernels.conv2d(threads, s, p, c, values.get(), x.get(), bias.get(), y.get());
  compare(set, "conv2d", y, right_y.value, right_y.size);
  const int wanted = int(between(1, 7));
  kernels.conv2d_backward(threads, s, p, c, values.get(), x.get(), g.get(), wanted & 1 ? by_x.get() : nullptr,
                          wanted & 2 ? by_values.get() : nullptr, wanted & 4 ? by_bias.get() : nullptr);
  if (wanted & 1) compare(set, "conv2d by x", by_x, right_x.value, right_x.size);
  if (wanted & 2) compare(set, "conv2d by values", by_values, right_values.value, right_values.size);
  if (wanted & 4) compare(set, "conv2d by bias", by_bias, right_bias.value, right_bias.size);
  kernels.conv2d_example_norms(threads, s, p, c, x.get(), g.get(), norms.get());
  compare(set, "conv2d norms", norms, right_norms.value, right_norms.size);
}

static void run(const char* set, const Kernels<float>& single, const Kernels<double>& twice, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    products(set, single);
    products(set, twice);
    convolution(set, single);
    convolution(set, twice);
  }
}

int main(int, char** arguments) {
  const int rounds = std::atoi(arguments[1]);
#ifdef HAVE_AVX512
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    run("avx512", avx512::kernels_float, avx512::kernels_double, rounds);
#endif
#ifdef HAVE_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    run("avx2", avx2::kernels_float, avx2::kernels_double, rounds);
#endif
  run("portable", portable::kernels_float, portable::kernels_double, rounds);
  if (!failures) std::printf("all equal\n");
  return failures ? 1 : 0;
}
