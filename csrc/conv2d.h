// Sparse 2-D convolution on [channels, height, width, n]: every kept weight is a multiply-add of images shifted.
//
// Work is cut into tasks: a slice of examples × a tile of positions. A task first copies ("packs") what its tile sees
// of every channel side by side, zeros for the padding among it, so that it stays in the second cache and lines do not
// compete for the same sets. There every kept weight is an offset. A block of positions × examples is then held in
// registers while one filter's weights pass.
#pragma once

#include <algorithm>

#include "matmul.h"

namespace thresher {
namespace THRESHER_ISA {

constexpr int64_t kPackedBytes = 5 << 18;  // of a packed tile; the second cache holds it and what streams past
constexpr int64_t kNearBytes = 40 << 10;   // of what one block of positions reads; the first cache holds it
constexpr int64_t kChunks = 16;            // groups of tasks that sum the values' gradient by themselves

template <class N>
INLINE N least(N a, N b) {
  return a < b ? a : b;
}
INLINE int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t remainder_of(int64_t a, int64_t b) { return ((a % b) + b) % b; }

// A block of positions × examples: Rows × Columns positions, Depth vectors of examples each.
template <int Rows_, int Columns_, int Depth_>
struct Block {
  static constexpr int Rows = Rows_, Columns = Columns_, Depth = Depth_, Size = Rows * Columns * Depth;
};

// Where a kept weight reads along one dimension: position·stride + offset − padding is (position + shift)·stride +
// phase − padding, so that images packed by phase are read side by side whatever the stride.
struct Reach {
  int64_t low = 0, high = 0;  // least and greatest shift
};

// Examples of a slice, positions of a tile, and how the tile is packed.
struct Tiling {
  int64_t depth;                   // numbers of a position: examples in a slice
  int64_t tile_height, tile_width;  // positions of a tile
  int64_t tiles_down, tiles_across, slices;
  int64_t packed_height, packed_width;  // positions of a packed image, margins included
  int64_t tasks() const { return slices * tiles_down * tiles_across; }
};

template <class T, class B>
Tiling tile(int64_t n, int64_t height, int64_t width, int64_t images, Reach down, Reach across) {
  Tiling t;
  t.depth = B::Depth * kLanes<T>;
  const int64_t margin_height = down.high - down.low, margin_width = across.high - across.low;
  t.tile_height = quotient_up(height, B::Rows) * B::Rows;
  t.tile_width = quotient_up(width, B::Columns) * B::Columns;
  auto bytes = [&] {
    return images * (t.tile_height + margin_height) * (t.tile_width + margin_width) * t.depth * int64_t(sizeof(T));
  };
  while (bytes() > kPackedBytes && (t.tile_height > B::Rows || t.tile_width > B::Columns)) {
    // halve the side that is longer in blocks; even shares, so that no tile is a sliver
    if (t.tile_height / B::Rows >= t.tile_width / B::Columns)
      t.tile_height = quotient_up(t.tile_height / B::Rows, 2) * B::Rows;
    else
      t.tile_width = quotient_up(t.tile_width / B::Columns, 2) * B::Columns;
  }
  t.tiles_down = quotient_up(height, t.tile_height);
  t.tiles_across = quotient_up(width, t.tile_width);
  t.slices = quotient_up(n, t.depth);
  t.packed_height = t.tile_height + margin_height;
  t.packed_width = t.tile_width + margin_width;
  return t;
}

struct Task {
  int64_t example, top, left;
};
INLINE Task task_at(const Tiling& t, int64_t index) {
  // slices innermost: neighbours in memory are read soon after each other
  const int64_t slice = index % t.slices, place = index / t.slices;
  return {slice * t.depth, place / t.tiles_across * t.tile_height, place % t.tiles_across * t.tile_width};
}

// packed [packed_height, packed_width, depth] from rows first_row + i·row_step and columns likewise of an image
// [height, width, n]; zeros outside of it and past the last example.
template <class T, class B>
INLINE void pack(const Tiling& t, const T* image, int64_t height, int64_t width, int64_t n, int64_t example,
                 int64_t first_row, int64_t row_step, int64_t first_column, int64_t column_step, T* packed) {
  constexpr int L = kLanes<T>;
  const int64_t there = least<int64_t>(t.depth, n - example);
  for (int64_t i = 0; i < t.packed_height; ++i) {
    const int64_t row = first_row + i * row_step;
    const bool inside = row >= 0 && row < height;
    for (int64_t j = 0; j < t.packed_width; ++j, packed += B::Depth * L) {
      const int64_t column = first_column + j * column_step;
      if (!inside || column < 0 || column >= width) {
        UNROLL for (int d = 0; d < B::Depth; ++d) store(packed + d * L, Vec<T>{});
        continue;
      }
      const T* from = image + (row * width + column) * n + example;
      if (there == t.depth) {
        UNROLL for (int d = 0; d < B::Depth; ++d) {
          __builtin_prefetch(from + row_step * width * n + d * L);  // the next row of the tile
          store(packed + d * L, load(from + d * L));
        }
      } else {
        for (int d = 0; d < B::Depth; ++d) {
          const int64_t left = least<int64_t>(L, there - d * L);
          store(packed + d * L, left <= 0 ? Vec<T>{} : left == L ? load(from + d * L) : load_first(from + d * L, int(left)));
        }
      }
    }
  }
}

// Calls f(i, position in the block, d) for the vectors of a block in order.
template <class B, class F>
INLINE void each(F&& f) {
  UNROLL for (int i = 0; i < B::Rows; ++i) {
    UNROLL for (int j = 0; j < B::Columns; ++j) {
      UNROLL for (int d = 0; d < B::Depth; ++d) f((i * B::Columns + j) * B::Depth + d, i, j, d);
    }
  }
}

// A block of an image [height, width, n] from (row, column) on, every step-th position: read or written where it is
// inside of the image and the batch, 0 read elsewhere.
template <class T, class B, class Pointer>
struct Window {
  Pointer image;
  int64_t height, width, n, example, row, column, row_step, column_step;
  INLINE bool whole() const {
    return example + B::Depth * kLanes<T> <= n && row + (B::Rows - 1) * row_step < height &&
           column + (B::Columns - 1) * column_step < width;
  }
  INLINE Pointer at(int i, int j, int d) const {
    return image + ((row + i * row_step) * width + column + j * column_step) * n + example + d * kLanes<T>;
  }
  INLINE int inside(int i, int j, int d) const {
    if (row + i * row_step >= height || column + j * column_step >= width) return 0;
    const int64_t left = n - example - d * kLanes<T>;
    return left <= 0 ? 0 : int(least<int64_t>(left, kLanes<T>));
  }
  INLINE void read(Vec<T>* block) const {
    if (whole()) {
      each<B>([&](int v, int i, int j, int d) { block[v] = load(at(i, j, d)); });
    } else {
      each<B>([&](int v, int i, int j, int d) {
        const int num = inside(i, j, d);
        block[v] = num ? load_first(at(i, j, d), num) : Vec<T>{};
      });
    }
  }
  INLINE void write(const Vec<T>* block) const {
    if (whole()) {
      each<B>([&](int v, int i, int j, int d) { store(at(i, j, d), block[v]); });
    } else {
      each<B>([&](int v, int i, int j, int d) {
        const int num = inside(i, j, d);
        if (num) store_first(at(i, j, d), block[v], num);
      });
    }
  }
};

template <class T, class B>
void conv2d_in(int threads, const Convolution& s, const int32_t* pointers, const int32_t* columns, const T* values,
               const T* x, const T* bias, T* y) {
  const int64_t out_height = s.out_height(), out_width = s.out_width();
  prefer_large_pages(y, s.filters * out_height * out_width * s.n * sizeof(T));
  const int64_t kernel = s.kernel_height * s.kernel_width, phases = s.stride_height * s.stride_width;
  const Reach down{0, (s.kernel_height - 1) * s.dilation_height / s.stride_height};
  const Reach across{0, (s.kernel_width - 1) * s.dilation_width / s.stride_width};
  const Tiling t = tile<T, B>(s.n, out_height, out_width, s.channels * phases, down, across);
  const int64_t image = t.packed_height * t.packed_width * t.depth, kept = pointers[s.filters];

  // channels that a block of positions reads at a time, unless a filter then has too few weights to pass
  const int64_t seen = phases * (B::Rows + down.high) * (B::Columns + across.high) * t.depth * int64_t(sizeof(T));
  int64_t near = kNearBytes / seen;
  const int64_t worthwhile = quotient_up(8 * s.filters * s.channels, kept + 1);  // 8 weights a filter
  if (near < worthwhile) near = worthwhile;
  if (near < 1) near = 1;
  const int64_t blocks = quotient_up(s.channels, near);
  near = quotient_up(s.channels, blocks);

  // per weight its offset in the packed images; per block of channels and filter where its weights begin
  const int64_t group_channels = s.channels / s.groups, group_filters = s.filters / s.groups;
  const int64_t num_columns = group_channels * kernel;
  int32_t* offsets = static_cast<int32_t*>(scratch<0>((kept + (blocks + 1) * s.filters + num_columns) * sizeof(int32_t)));
  int32_t* begins = offsets + kept;
  int32_t* of_column = begins + (blocks + 1) * s.filters;  // divisions cost more than a table
  for (int64_t column = 0; column < num_columns; ++column) {
    const int64_t tap = column % kernel;
    const int64_t h = tap / s.kernel_width * s.dilation_height, w = tap % s.kernel_width * s.dilation_width;
    const int64_t phase = h % s.stride_height * s.stride_width + w % s.stride_width;
    const int64_t shift = h / s.stride_height * t.packed_width + w / s.stride_width;
    of_column[column] = int32_t((column / kernel * phases + phase) * image + shift * t.depth);
  }
  parallel(kept < kPiece ? 1 : threads, s.filters, [&](int64_t o) {
    const int64_t first_channel = o / group_filters * group_channels;
    const int32_t of_group = int32_t(first_channel * phases * image);
    int64_t k = pointers[o];
    for (int64_t block = 0; block <= blocks; ++block) {
      begins[block * s.filters + o] = int32_t(k);
      const int64_t next = ((block + 1) * near - first_channel) * kernel;  // first column of the next block
      for (; k < pointers[o + 1] && columns[k] < next; ++k) offsets[k] = of_group + of_column[columns[k]];
    }
  });

  parallel(threads, t.tasks(), [&](int64_t index) {
    constexpr int L = kLanes<T>;
    const Task task = task_at(t, index);
    T* packed = static_cast<T*>(scratch<1>((s.channels * phases * image + s.filters * B::Size * L) * sizeof(T)));
    T* sums = packed + s.channels * phases * image;
    for (int64_t c = 0; c < s.channels; ++c) {
      for (int64_t a = 0; a < s.stride_height; ++a) {
        for (int64_t b = 0; b < s.stride_width; ++b) {
          pack<T, B>(t, x + c * s.height * s.width * s.n, s.height, s.width, s.n, task.example,
                     task.top * s.stride_height + a - s.padding_height, s.stride_height,
                     task.left * s.stride_width + b - s.padding_width, s.stride_width,
                     packed + ((c * s.stride_height + a) * s.stride_width + b) * image);
        }
      }
    }
    const int64_t bottom = least(t.tile_height, out_height - task.top), right = least(t.tile_width, out_width - task.left);
    const int64_t pitch = t.packed_width * t.depth;
    for (int64_t i = 0; i < bottom; i += B::Rows) {
      for (int64_t j = 0; j < right; j += B::Columns) {
        const T* corner = packed + i * pitch + j * t.depth;
        for (int64_t block = 0; block < blocks; ++block) {
          for (int64_t o = 0; o < s.filters; ++o) {
            Vec<T> total[B::Size];
            T* own = sums + o * B::Size * L;
            if (block == 0) {
              const Vec<T> start = broadcast(bias ? bias[o] : T(0));
              UNROLL for (int v = 0; v < B::Size; ++v) total[v] = start;
            } else {
              UNROLL for (int v = 0; v < B::Size; ++v) total[v] = load(own + v * L);
            }
            const int64_t end = begins[(block + 1) * s.filters + o];
            for (int64_t k = begins[block * s.filters + o]; k < end; ++k) {
              const Vec<T> value = broadcast(values[k]);
              const T* row = settle(corner + offsets[k]);
              each<B>([&](int v, int a, int b, int d) {
                if (a && !b && !d) row = settle(row + pitch);
                total[v] += value * load(row + (b * B::Depth + d) * L);
              });
            }
            if (block == blocks - 1) {
              Window<T, B, T*>{y + o * out_height * out_width * s.n, out_height, out_width, s.n, task.example,
                           task.top + i, task.left + j, 1, 1}
                  .write(total);
            } else {
              UNROLL for (int v = 0; v < B::Size; ++v) store(own + v * L, total[v]);
            }
          }
        }
      }
    }
  });
}

// result[i] += the sum of the i-th of `count` vectors.
template <class T>
INLINE void fold_into(T* result, const T* vectors, int64_t count) {
  constexpr int L = kLanes<T>;
  Vec<T> some[L];
  for (int64_t i = 0; i < count; i += L) {
    const int num = int(least<int64_t>(L, count - i));
    UNROLL for (int v = 0; v < L; ++v) some[v] = v < num ? load(vectors + (i + v) * L) : Vec<T>{};
    if (num == L)
      store(result + i, load(result + i) + fold<T>(some));
    else
      store_first(result + i, load_first(result + i, num) + fold<T>(some), num);
  }
}

// The weights by phase and channel of the input, each with its offset in the packed gradients of the filters.
template <class T>
struct ByChannel {
  int32_t *begins, *offsets, *origins, *place_of, *shift_of;
  T* values;
};

template <class T, class B, bool ForX, bool ForValues>
void conv2d_backward_in(int threads, const Convolution& s, const int32_t* pointers, const int32_t* columns,
                        const T* values, const T* x, const T* gradient, T* by_x, T* by_values) {
  constexpr int L = kLanes<T>;
  const int64_t out_height = s.out_height(), out_width = s.out_width();
  const int64_t kernel = s.kernel_height * s.kernel_width, phases = s.stride_height * s.stride_width;
  const int64_t kept = pointers[s.filters];
  if (ForX) prefer_large_pages(by_x, s.channels * s.height * s.width * s.n * sizeof(T));
  // input position a + p·stride gets weight (h, w) from output position p + shift
  auto phase_of = [](int64_t tap, int64_t dilation, int64_t padding, int64_t stride) {
    return remainder_of(tap * dilation - padding, stride);
  };
  auto shift_of = [&](int64_t tap, int64_t dilation, int64_t padding, int64_t stride) {
    return (phase_of(tap, dilation, padding, stride) + padding - tap * dilation) / stride;
  };
  auto reach = [&](int64_t taps, int64_t dilation, int64_t padding, int64_t stride) {
    Reach r{shift_of(0, dilation, padding, stride), shift_of(0, dilation, padding, stride)};
    for (int64_t tap = 1; tap < taps; ++tap) {
      const int64_t shift = shift_of(tap, dilation, padding, stride);
      if (shift < r.low) r.low = shift;
      if (shift > r.high) r.high = shift;
    }
    return r;
  };
  const Reach down = reach(s.kernel_height, s.dilation_height, s.padding_height, s.stride_height);
  const Reach across = reach(s.kernel_width, s.dilation_width, s.padding_width, s.stride_width);
  const int64_t height = quotient_up(s.height, s.stride_height), width = quotient_up(s.width, s.stride_width);
  const Tiling t = tile<T, B>(s.n, height, width, s.filters, down, across);
  const int64_t image = t.packed_height * t.packed_width * t.depth, pitch = t.packed_width * t.depth;
  const int64_t places = phases * s.channels, chunks = ForValues ? least(t.tasks(), kChunks) : t.tasks();

  ByChannel<T> w;
  const int64_t group_channels = s.channels / s.groups, group_filters = s.filters / s.groups;
  const int64_t padded = quotient_up(kept + 1, 16) * 16;  // every array starts on a line of its own
  const int64_t own_sums = ForValues ? chunks * padded : 0;
  char* memory = static_cast<char*>(scratch<2>((padded + own_sums) * sizeof(T) + (2 * padded + 2 * (places + 1) + 2 * kernel * group_channels) * 4));
  w.values = reinterpret_cast<T*>(memory);
  T* sums = w.values + padded;
  w.offsets = reinterpret_cast<int32_t*>(sums + own_sums);
  w.origins = w.offsets + padded;
  w.begins = w.origins + padded;
  int32_t* next = w.begins + places + 1;
  w.place_of = next + places + 1;
  w.shift_of = w.place_of + kernel * group_channels;
  // per column of the weights as a matrix, its place but for the group's and its offset but for the filter's
  const int64_t num_columns = group_channels * kernel;
  for (int64_t column = 0; column < num_columns; ++column) {
    const int64_t h = column % kernel / s.kernel_width, v = column % s.kernel_width;
    const int64_t phase = phase_of(h, s.dilation_height, s.padding_height, s.stride_height) * s.stride_width +
                          phase_of(v, s.dilation_width, s.padding_width, s.stride_width);
    w.place_of[column] = int32_t(phase * s.channels + column / kernel);
    w.shift_of[column] = int32_t(
        (shift_of(h, s.dilation_height, s.padding_height, s.stride_height) - down.low) * pitch +
        (shift_of(v, s.dilation_width, s.padding_width, s.stride_width) - across.low) * t.depth);
  }
  for (int64_t i = 0; i <= places; ++i) w.begins[i] = 0;
  for (int64_t o = 0; o < s.filters; ++o) {
    int32_t* counts = w.begins + 1 + o / group_filters * group_channels;
    for (int64_t k = pointers[o]; k < pointers[o + 1]; ++k) ++counts[w.place_of[columns[k]]];
  }
  for (int64_t i = 0; i < places; ++i) w.begins[i + 1] += w.begins[i], next[i] = w.begins[i];
  for (int64_t o = 0; o < s.filters; ++o) {
    int32_t* nexts = next + o / group_filters * group_channels;
    const int32_t of_filter = int32_t(o * image);
    for (int64_t k = pointers[o]; k < pointers[o + 1]; ++k) {
      const int32_t at = nexts[w.place_of[columns[k]]]++;
      w.offsets[at] = of_filter + w.shift_of[columns[k]];
      w.origins[at] = int32_t(k);
      w.values[at] = values[k];
    }
  }

  int64_t most = 0;
  for (int64_t i = 0; i < places; ++i) most = most < w.begins[i + 1] - w.begins[i] ? w.begins[i + 1] - w.begins[i] : most;
  parallel(threads, chunks, [&](int64_t chunk) {
    T* own = sums + chunk * padded;
    T* packed = static_cast<T*>(scratch<1>((s.filters * image + (ForValues ? most * L : 0)) * sizeof(T)));
    T* dots = packed + s.filters * image;  // one channel's, a vector each
    if (ForValues) std::memset(own, 0, size_t(kept) * sizeof(T));
    const int64_t last = t.tasks() * (chunk + 1) / chunks;
    for (int64_t index = t.tasks() * chunk / chunks; index < last; ++index) {
      const Task task = task_at(t, index);
      for (int64_t o = 0; o < s.filters; ++o) {
        pack<T, B>(t, gradient + o * out_height * out_width * s.n, out_height, out_width, s.n, task.example,
                   task.top + down.low, 1, task.left + across.low, 1, packed + o * image);
      }
      const int64_t bottom = least(t.tile_height, height - task.top), right = least(t.tile_width, width - task.left);
      for (int64_t place = 0; place < places; ++place) {
        const int64_t channel = place % s.channels, phase = place / s.channels;
        const int64_t begin = w.begins[place], end = w.begins[place + 1];
        if (begin == end && !ForX) continue;
        const int64_t at = channel * s.height * s.width * s.n;
        for (int64_t i = 0; i < bottom; i += B::Rows) {
          for (int64_t j = 0; j < right; j += B::Columns) {
            const int64_t row = (task.top + i) * s.stride_height + phase / s.stride_width;
            const int64_t column = (task.left + j) * s.stride_width + phase % s.stride_width;
            const T* corner = packed + i * pitch + j * t.depth;
            Vec<T> held[B::Size], total[B::Size];
            if (ForValues) {
              Window<T, B, const T*>{x + at, s.height, s.width, s.n, task.example, row, column, s.stride_height,
                                     s.stride_width}
                  .read(held);
            }
            UNROLL for (int v = 0; v < B::Size; ++v) total[v] = Vec<T>{};
            T* dot = dots;
            for (int64_t k = begin; k < end; ++k, dot += L) {
              const T* line = settle(corner + w.offsets[k]);
              const Vec<T> value = broadcast(w.values[k]);
              Vec<T> even = ForValues && (i || j) ? load(dot) : Vec<T>{}, odd{};
              each<B>([&](int v, int a, int b, int d) {
                if (a && !b && !d) line = settle(line + pitch);
                Vec<T> g = load(line + (b * B::Depth + d) * L);
                hold<T>(g);
                if (ForX) total[v] += value * g;
                if (ForValues) (v % 2 ? odd : even) += held[v] * g;
              });
              if (ForValues) store(dot, even + odd);
            }
            if (ForX) {
              Window<T, B, T*>{by_x + at, s.height, s.width, s.n, task.example, row, column, s.stride_height,
                               s.stride_width}
                  .write(total);
            }
          }
        }
        if (ForValues) fold_into(own + begin, dots, end - begin);
      }
    }
  });
  if (!ForValues) return;
  const int64_t piece = 1 << 12;
  parallel(threads, quotient_up(kept, piece), [&](int64_t part) {
    for (int64_t k = part * piece; k < least(kept, (part + 1) * piece); ++k) {
      T total = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) total += sums[chunk * padded + k];
      by_values[w.origins[k]] = total;
    }
  });
}

// The block, of those given, that wastes least on a batch and an image of these sizes; the earlier one if equal.
template <class T, class First, class... Rest, class F>
INLINE void with_block(int64_t n, int64_t height, int64_t width, F&& f) {
  auto padded = [&](int64_t rows, int64_t columns, int64_t depth) {
    depth *= kLanes<T>;
    return quotient_up(height, rows) * rows * quotient_up(width, columns) * columns * quotient_up(n, depth) * depth;
  };
  int64_t waste[] = {padded(First::Rows, First::Columns, First::Depth), padded(Rest::Rows, Rest::Columns, Rest::Depth)...};
  int best = 0;
  for (int i = 1; i <= int(sizeof...(Rest)); ++i)
    if (waste[i] < waste[best]) best = i;
  int at = 0;
  if (at++ == best) return f(First{});
  ((at++ == best ? (f(Rest{}), 0) : 0), ...);
}

// Square blocks read least around them, but long runs of memory come faster: blocks are as deep (more of the batch,
// fewer positions) as leaves a packed tile this many positions, of which its margins are then no great part.
constexpr int64_t kTilePositions = 40;

template <class T, int Size, class F>
INLINE void with_block_of(int64_t images, int64_t n, int64_t height, int64_t width, F&& f) {
  static_assert(Size == 4 || Size == 8 || Size == 16, "blocks are made for these numbers of registers");
  constexpr int Side = Size == 4 ? 1 : 2, Deep = Size < 8 ? Size : 8;
  using Wide = Block<Side == 1 || Size == 8 ? 2 : 4, Size == 4 ? 2 : 4, 1>;
  using Medium = Block<Side, 2, Size / (2 * Side)>;
  using Narrow = Block<1, Size / Deep, Deep>;
  using Row = Block<1, Size, 1>;
  using Point = Block<1, 1, Deep>;
  auto fits = [&](int64_t depth) {
    return images * depth * kVectorBytes * kTilePositions <= kPackedBytes;
  };
  if (fits(Narrow::Depth))
    with_block<T, Narrow, Medium, Wide, Row, Point>(n, height, width, f);
  else if (fits(Medium::Depth))
    with_block<T, Medium, Wide, Narrow, Row, Point>(n, height, width, f);
  else
    with_block<T, Wide, Medium, Narrow, Row, Point>(n, height, width, f);
}

// How images are packed where there are fewer examples than lanes: whole, by phase, with their padding. A weight then
// meets an image from its offset on: a filter is a row of a product whose lanes are positions, one line of the image
// after another. Those that end in the margin between two lines are computed and dropped.
struct Lines {
  int64_t height, width;  // of an image, margins included
  int64_t image;          // numbers in one
  int64_t images;
  explicit Lines(const Convolution& s)
      : height(s.out_height() + (s.kernel_height - 1) * s.dilation_height / s.stride_height),
        width(s.out_width() + (s.kernel_width - 1) * s.dilation_width / s.stride_width), image(height * width * s.n),
        images(s.channels * s.stride_height * s.stride_width) {}
  // whether an offset is a number of 32 bits
  bool fit() const { return image < (int64_t(1) << 31) / images; }
};

template <class T>
INLINE void copy(const T* from, int64_t count, T* to) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  for (; i + L <= count; i += L) store(to + i, load(from + i));
  if (i < count) store_first(to + i, load_first(from + i, int(count - i)), int(count - i));
}

// The channel's images by phase.
template <class T>
void pack_lines(const Convolution& s, const Lines& lines, const T* x, T* packed) {
  const int64_t n = s.n;
  std::fill(packed, packed + s.stride_height * s.stride_width * lines.image, T(0));
  for (int64_t phase = 0; phase < s.stride_height * s.stride_width; ++phase, packed += lines.image) {
    const int64_t up = phase / s.stride_width - s.padding_height, left = phase % s.stride_width - s.padding_width;
    // from the first column inside of the image to the last
    const int64_t begin = left < 0 ? quotient_up(-left, s.stride_width) : 0;
    const int64_t end = left < s.width ? least(lines.width, quotient_up(s.width - left, s.stride_width)) : 0;
    for (int64_t i = 0; i < lines.height; ++i) {
      const int64_t row = i * s.stride_height + up;
      if (row < 0 || row >= s.height) continue;
      const T* from = x + (row * s.width + left) * n;
      T* to = packed + i * lines.width * n;
      if (s.stride_width == 1) {
        if (begin < end) copy(from + begin * n, (end - begin) * n, to + begin * n);
      } else {
        for (int64_t j = begin; j < end; ++j)
          for (int64_t e = 0; e < n; ++e) to[j * n + e] = from[j * s.stride_width * n + e];
      }
    }
  }
}

// The weights of a filter and the images that they meet.
template <class T>
struct FilterEntries {
  const int32_t *columns, *offsets;  // of each column
  const T *values, *x;
  int64_t group_filters, group_step;
  INLINE T value(int64_t k) const { return values[k]; }
  INLINE const T* met(int64_t k) const { return x + offsets[columns[k]]; }
  INLINE FilterEntries of_row(int64_t row) const {
    return {columns, offsets, values, x + row / group_filters * group_step, group_filters, group_step};
  }
};

// A task is so many runs of positions for some of the filters, which all pass over one run before the next: more
// filters read what is near, more tasks keep all threads busy.
constexpr int64_t kStretch = 8, kTasksPerThread = 4;

template <class T>
void conv2d_few(int threads, const Convolution& s, const int32_t* pointers, const int32_t* columns, const T* values,
                const T* x, const T* bias, T* y) {
  const Lines lines(s);
  const int64_t out_height = s.out_height(), out_width = s.out_width(), line = lines.width * s.n;
  const int64_t kernel = s.kernel_height * s.kernel_width, phases = s.stride_height * s.stride_width;
  const int64_t group_channels = s.channels / s.groups, num_columns = group_channels * kernel;
  const bool as_it_is = phases == 1 && s.padding_height == 0 && s.padding_width == 0;
  T* packed = static_cast<T*>(scratch<0>(num_columns * sizeof(int32_t) + 64 +
                                         (as_it_is ? 0 : lines.images * lines.image * sizeof(T))));
  int32_t* offsets = reinterpret_cast<int32_t*>(packed + (as_it_is ? 0 : lines.images * lines.image));
  for (int64_t column = 0; column < num_columns; ++column) {
    const int64_t tap = column % kernel;
    const int64_t h = tap / s.kernel_width * s.dilation_height, w = tap % s.kernel_width * s.dilation_width;
    const int64_t phase = h % s.stride_height * s.stride_width + w % s.stride_width;
    offsets[column] = int32_t((column / kernel * phases + phase) * lines.image + h / s.stride_height * line +
                              w / s.stride_width * s.n);
  }
  if (pointers[s.filters] * out_height * line < 2 * kPiece) threads = 1;
  int64_t stretches = least(out_height, quotient_up(out_height * line, kStretch * kRun * kLanes<T>));
  const int64_t rows = quotient_up(out_height, stretches);
  stretches = quotient_up(out_height, rows);
  const int64_t share = quotient_up(s.filters, threads == 1 ? 1 : quotient_up(kTasksPerThread * threads, stretches));
  const int64_t shares = quotient_up(s.filters, share);
  if (!as_it_is) {
    parallel(lines.images * lines.image < 2 * kPiece ? 1 : threads, s.channels, [&](int64_t c) {
      pack_lines(s, lines, x + c * s.height * s.width * s.n, packed + c * phases * lines.image);
    });
  }
  const FilterEntries<T> entries{columns, offsets, values, as_it_is ? x : packed, s.filters / s.groups,
                                 group_channels * phases * lines.image};
  parallel(threads, stretches * shares, [&](int64_t index) {
    const int64_t top = index / shares * rows, height = least(rows, out_height - top);
    const int64_t from = index % shares * share, to = least(from + share, s.filters);
    const int64_t length = (height - 1) * line + out_width * s.n;
    T* results = static_cast<T*>(scratch<1>((to - from) * length * sizeof(T)));
    FilterEntries<T> lower = entries;
    lower.x += top * line;
    for_runs<T>(length, Product<T, FilterEntries<T>>{pointers, lower, bias, results, length, from, to});
    for (int64_t o = from; o < to; ++o)
      for (int64_t i = 0; i < height; ++i)
        copy(results + (o - from) * length + i * line, out_width * s.n,
             y + ((o * out_height + top + i) * out_width) * s.n);
  });
}

template <class T>
void conv2d(int threads, const Convolution& s, const int32_t* pointers, const int32_t* columns, const T* values,
            const T* x, const T* bias, T* y) {
  if (s.n > 0 && s.n < kLanes<T> && s.filters > 0 && Lines(s).fit())
    return conv2d_few(threads, s, pointers, columns, values, x, bias, y);
  const int64_t images = s.channels * s.stride_height * s.stride_width;
  with_block_of<T, kRegisters / 2>(images, s.n, s.out_height(), s.out_width(), [&](auto block) {
    conv2d_in<T, decltype(block)>(threads, s, pointers, columns, values, x, bias, y);
  });
}

template <class T>
void conv2d_backward(int threads, const Convolution& s, const int32_t* pointers, const int32_t* columns,
                     const T* values, const T* x, const T* gradient, T* by_x, T* by_values, T* by_bias) {
  if (by_bias) row_sums<T>(threads, s.filters, s.out_height() * s.out_width() * s.n, gradient, by_bias);
  const int64_t height = quotient_up(s.height, s.stride_height), width = quotient_up(s.width, s.stride_width);
  // the input of a block is held as well as its sums
  with_block_of<T, kRegisters / 4>(s.filters, s.n, height, width, [&](auto block) {
    using B = decltype(block);
    if (by_x && by_values)
      conv2d_backward_in<T, B, true, true>(threads, s, pointers, columns, values, x, gradient, by_x, by_values);
    else if (by_x)
      conv2d_backward_in<T, B, true, false>(threads, s, pointers, columns, values, x, gradient, by_x, by_values);
    else if (by_values)
      conv2d_backward_in<T, B, false, true>(threads, s, pointers, columns, values, x, gradient, by_x, by_values);
  });
}

}  // namespace THRESHER_ISA
}  // namespace thresher
