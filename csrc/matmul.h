// Products of a sparse matrix with matrices whose rows are contiguous: every kept entry is a multiply-add of rows.
#pragma once

#include "parallel.h"
#include "simd.h"

namespace thresher {
namespace THRESHER_ISA {

// Vectors of a row that are worked on at once. All partial sums and, backward, as many inputs stay in registers.
constexpr int kRun = kRegisters / 4;

// Rows are handed out in pieces of about this many multiply-adds; a product below two of them stays on one thread.
constexpr int64_t kPiece = 1 << 15;
// An entry takes as long as this many multiply-adds where it has fewer.
constexpr int64_t kLeastWork = 4;

struct Pieces {
  int64_t rows, count;
  int threads;
  Pieces(int threads_, int64_t num_rows, int64_t kept, int64_t n) {
    int64_t work = (kept + num_rows) * (n < kLeastWork ? kLeastWork : n);
    threads = work < 2 * kPiece ? 1 : threads_;
    int64_t wanted = work / kPiece + 1;
    if (wanted > 64) wanted = 64;
    if (wanted > num_rows) wanted = num_rows ? num_rows : 1;
    rows = (num_rows + wanted - 1) / wanted;
    count = rows ? (num_rows + rows - 1) / rows : 0;
  }
};

// The entries of a matrix: their values, and the rows of a dense matrix that they meet.
template <class T>
struct Entries {
  const int32_t* columns;
  const T *values, *x;
  int64_t n;
  INLINE T value(int64_t k) const { return values[k]; }
  INLINE const T* met(int64_t k) const { return x + int64_t(columns[k]) * n; }
  INLINE const Entries& of_row(int64_t) const { return *this; }
};
// The same with the values in another order.
template <class T>
struct OrderedEntries : Entries<T> {
  const int32_t* order;
  INLINE T value(int64_t k) const { return this->values[order[k]]; }
  INLINE const OrderedEntries& of_row(int64_t) const { return *this; }
};

// y = start + Σ value(k)·met(k)[first, …) over P vectors, the last of them with `last` numbers if Partial. Where there
// are few vectors, several sums of each are under way at once: an addition would wait for the one before it.
template <class T, int P, bool Partial, class Of>
INLINE void row_product(const Of& entries, int64_t begin, int64_t end, int64_t first, T start, T* y, int last) {
  constexpr int L = kLanes<T>, Chains = P == 1 ? 4 : P <= 3 ? 2 : 1;
  Vec<T> total[Chains][P];
  UNROLL for (int s = 0; s < Chains; ++s) {
    UNROLL for (int p = 0; p < P; ++p) total[s][p] = s ? Vec<T>{} : broadcast(start);
  }
  auto add = [&](int64_t k, Vec<T>* to) __attribute__((always_inline)) {
    const T* from = settle(entries.met(k) + first);
    Vec<T> value = broadcast(entries.value(k));
    UNROLL for (int p = 0; p < P; ++p)
      to[p] += value * (Partial && p == P - 1 ? load_first(from + p * L, last) : load(from + p * L));
  };
  int64_t k = begin;
  for (; k + Chains <= end; k += Chains) {
    UNROLL for (int s = 0; s < Chains; ++s) add(k + s, total[s]);
  }
  if constexpr (Chains > 1) {
    for (; k < end; ++k) add(k, total[0]);
    UNROLL for (int s = 1; s < Chains; ++s) {
      UNROLL for (int p = 0; p < P; ++p) total[0][p] += total[s][p];
    }
  }
  UNROLL for (int p = 0; p < P; ++p) {
    if (Partial && p == P - 1)
      store_first(y + p * L, total[0][p], last);
    else
      store(y + p * L, total[0][p]);
  }
}

// f.template run<P, Partial>(first, last) over all n numbers of a row, in runs of at most kRun vectors.
template <class T, int P, class F>
INLINE void shorter_run(int vectors, int64_t first, int last, F& f) {
  if constexpr (P >= 1) {
    if (vectors == P) {
      if (last == kLanes<T>)
        f.template run<P, false>(first, last);
      else
        f.template run<P, true>(first, last);
    } else {
      shorter_run<T, P - 1>(vectors, first, last, f);
    }
  }
}
template <class T, class F>
INLINE void for_runs(int64_t n, F&& f) {
  constexpr int L = kLanes<T>;
  for (int64_t first = 0; first < n; first += kRun * L) {
    int64_t left = n - first;
    if (left >= kRun * L) {
      f.template run<kRun, false>(first, L);
    } else {
      int vectors = int((left + L - 1) / L);
      shorter_run<T, kRun>(vectors, first, int(left - (vectors - 1) * L), f);
    }
  }
}

// Rows from `from` on of a product, the first of them at y and the others each `pitch` further.
template <class T, class Of>
struct Product {
  const int32_t* pointers;
  Of entries;
  const T* bias;
  T* y;
  int64_t pitch, from, to;
  template <int P, bool Partial>
  INLINE void run(int64_t first, int last) const {
    for (int64_t row = from; row < to; ++row)
      row_product<T, P, Partial>(entries.of_row(row), pointers[row], pointers[row + 1], first, bias ? bias[row] : T(0),
                                 y + (row - from) * pitch + first, last);
  }
};

// Partial sums of Σ values[k]·x[columns[k]]: lanes are entries. With Ordered, values[order[k]].
template <class T, bool Ordered = false>
INLINE Vec<T> dot(const int32_t* columns, const int32_t* order, const T* values, int64_t begin, int64_t end,
                  const T* x) {
  constexpr int L = kLanes<T>;
  Vec<T> total[4] = {};
  int64_t k = begin;
  auto add = [&](Vec<T>& to) __attribute__((always_inline)) {
    to += (Ordered ? gather(values, order + k) : load(values + k)) * gather(x, columns + k);
    k += L;
  };
  while (k + 4 * L <= end) {
    UNROLL for (int i = 0; i < 4; ++i) add(total[i]);
  }
  while (k + L <= end) add(total[0]);
  if (k < end) {
    const int left = int(end - k);
    total[1] += (Ordered ? gather_first(values, order + k, left) : load_first(values + k, left)) *
                gather_first(x, columns + k, left);
  }
  return (total[0] + total[1]) + (total[2] + total[3]);
}

// y = S·x (+ bias) for a single x, [rows]: as there are no neighbours to be lanes, the entries of a row are.
template <class T, bool Ordered>
void spmv(int threads, int64_t num_rows, const int32_t* pointers, const int32_t* columns, const int32_t* order,
          const T* values, const T* x, const T* bias, T* y) {
  constexpr int64_t L = kLanes<T>;
  const int64_t groups = (num_rows + L - 1) / L;
  Pieces pieces(threads, groups, pointers[num_rows], 1);
  parallel(pieces.threads, pieces.count, [&](int64_t piece) {
    const int64_t to = (piece + 1) * pieces.rows < groups ? (piece + 1) * pieces.rows : groups;
    for (int64_t group = piece * pieces.rows; group < to; ++group) {
      const int64_t row = group * L;
      const int num = int(num_rows - row < L ? num_rows - row : L);
      Vec<T> totals[L];
      for (int i = 0; i < L; ++i)
        totals[i] = i < num ? dot<T, Ordered>(columns, order, values, pointers[row + i], pointers[row + i + 1], x)
                            : Vec<T>{};
      Vec<T> result = fold<T>(totals);
      if (bias) result += load_first(bias + row, num);
      store_first(y + row, result, num);
    }
  });
}

// y = S·x (+ bias), [rows, n]. With `order` the values are taken from there: S given by columns is then Sᵀ by rows.
template <class T>
void spmm(int threads, int64_t num_rows, int64_t n, const int32_t* pointers, const int32_t* columns,
          const int32_t* order, const T* values, const T* x, const T* bias, T* y) {
  if (n == 1)
    return (order ? spmv<T, true> : spmv<T, false>)(threads, num_rows, pointers, columns, order, values, x, bias, y);
  Pieces pieces(threads, num_rows, pointers[num_rows], n);
  parallel(pieces.threads, pieces.count, [&](int64_t piece) {
    const int64_t from = piece * pieces.rows, to = from + pieces.rows < num_rows ? from + pieces.rows : num_rows;
    const Entries<T> entries{columns, values, x, n};
    if (order)
      for_runs<T>(n, Product<T, OrderedEntries<T>>{pointers, {entries, order}, bias, y + from * n, n, from, to});
    else
      for_runs<T>(n, Product<T, Entries<T>>{pointers, entries, bias, y + from * n, n, from, to});
  });
}

// Sums that come as vectors, one after another, are folded a vector-full at a time and added to result[place].
template <class T, bool Scattered>
struct Sums {
  static constexpr int L = kLanes<T>;
  Vec<T> waiting[L];
  T* result;
  const int32_t* order;
  bool fresh;  // the first contribution: write instead of add
  int64_t end = 0;  // of all entries, where places are scattered
  unsigned count = 0;
  INLINE void put(int64_t k, Vec<T> v) {
    waiting[count] = v;
    if (++count == L) {
      flush(k - (L - 1), L);
      count = 0;
    }
  }
  INLINE void flush(int64_t k, int num) {
    Vec<T> folded = fold<T>(waiting);
    if constexpr (Scattered) {
      for (int i = 0; i < num; ++i) {
        // places lie far apart: fetched ahead, or one store would wait for the other
        if (k + 3 * L < end) __builtin_prefetch(result + order[k + 2 * L + i], 1);
        T* place = result + order[k + i];
        *place = fresh ? folded[i] : *place + folded[i];
      }
    } else {
      T* place = result + k;
      if (num == L)
        store(place, fresh ? folded : load(place) + folded);
      else
        store_first(place, fresh ? folded : load_first(place, num) + folded, num);
    }
  }
  INLINE void finish(int64_t stop) {
    if (count) {
      for (int i = int(count); i < L; ++i) waiting[i] = Vec<T>{};
      flush(stop - count, int(count));
    }
  }
};

template <class T>
struct Sampled {
  const int32_t *pointers, *columns;
  const T *y, *x;
  T* result;
  int64_t n, from, to;
  template <int P, bool Partial>
  INLINE void run(int64_t first, int last) const {
    constexpr int L = kLanes<T>;
    Sums<T, false> sums;
    sums.result = result;
    sums.fresh = first == 0;
    for (int64_t row = from; row < to; ++row) {
      Vec<T> held[P];
      const T* own = y + row * n + first;
      UNROLL for (int p = 0; p < P; ++p)
        held[p] = Partial && p == P - 1 ? load_first(own + p * L, last) : load(own + p * L);
      for (int64_t k = pointers[row]; k < pointers[row + 1]; ++k) {
        const T* other = settle(x + int64_t(columns[k]) * n + first);
        Vec<T> even{}, odd{};
        UNROLL for (int p = 0; p < P; ++p) {
          Vec<T> v = Partial && p == P - 1 ? load_first(other + p * L, last) : load(other + p * L);
          if (p % 2)
            odd += held[p] * v;
          else
            even += held[p] * v;
        }
        sums.put(k, even + odd);
      }
    }
    sums.finish(pointers[to]);
  }
};

// result[k] = y[row of k]·x[column of k]: the entries of y·xᵀ that are kept.
template <class T>
void sddmm(int threads, int64_t num_rows, int64_t n, const int32_t* pointers, const int32_t* columns, const T* y,
           const T* x, T* result) {
  if (n == 0) {
    for (int64_t k = 0; k < pointers[num_rows]; ++k) result[k] = 0;
    return;
  }
  Pieces pieces(threads, num_rows, pointers[num_rows], n);
  parallel(pieces.threads, pieces.count, [&](int64_t piece) {
    int64_t from = piece * pieces.rows, to = from + pieces.rows < num_rows ? from + pieces.rows : num_rows;
    for_runs<T>(n, Sampled<T>{pointers, columns, y, x, result, n, from, to});
  });
}

// First row of the part-th of `parts` runs of rows with about as many entries each.
inline int64_t share(const int32_t* pointers, int64_t num_rows, int64_t part, int64_t parts) {
  const int64_t wanted = (pointers[num_rows] + num_rows) * part / parts;
  int64_t low = 0, high = num_rows;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (pointers[middle] + middle < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

template <class T>
struct Backward {
  const int32_t *pointers, *rows, *order;
  const T *values, *x, *gradient;
  T *by_x, *by_values;
  int64_t n, from, to;
  // by column: its x and the sum for its gradient stay in registers, and each row of the gradient that is read
  // serves two multiply-adds
  template <int P, bool Partial>
  INLINE void run(int64_t first, int last) const {
    constexpr int L = kLanes<T>;
    Sums<T, true> sums;
    sums.result = by_values;
    sums.order = order;
    sums.fresh = first == 0;
    sums.end = pointers[to];
    for (int64_t column = from; column < to; ++column) {
      Vec<T> held[P], total[P];
      const T* own = x + column * n + first;
      UNROLL for (int p = 0; p < P; ++p) {
        held[p] = Partial && p == P - 1 ? load_first(own + p * L, last) : load(own + p * L);
        total[p] = Vec<T>{};
      }
      for (int64_t k = pointers[column]; k < pointers[column + 1]; ++k) {
        const T* other = settle(gradient + int64_t(rows[k]) * n + first);
        Vec<T> value = broadcast(values[order[k]]), even{}, odd{};
        UNROLL for (int p = 0; p < P; ++p) {
          Vec<T> g = Partial && p == P - 1 ? load_first(other + p * L, last) : load(other + p * L);
          hold<T>(g);
          total[p] += value * g;
          if (p % 2)
            odd += held[p] * g;
          else
            even += held[p] * g;
        }
        sums.put(k, even + odd);
      }
      T* target = by_x + column * n + first;
      UNROLL for (int p = 0; p < P; ++p) {
        if (Partial && p == P - 1)
          store_first(target + p * L, total[p], last);
        else
          store(target + p * L, total[p]);
      }
    }
    sums.finish(pointers[to]);
  }
};

template <class T>
void row_sums(int threads, int64_t num_rows, int64_t n, const T* x, T* result) {
  constexpr int L = kLanes<T>;
  Pieces pieces(threads, num_rows, 0, n);
  parallel(pieces.threads, pieces.count, [&](int64_t piece) {
    int64_t from = piece * pieces.rows, to = from + pieces.rows < num_rows ? from + pieces.rows : num_rows;
    for (int64_t row = from; row < to; ++row) {
      const T* own = x + row * n;
      Vec<T> total{};
      int64_t i = 0;
      for (; i + L <= n; i += L) total += load(own + i);
      if (i < n) total += load_first(own + i, int(n - i));
      result[row] = sum<T>(total);
    }
  });
}

// Gradients of a sparse linear layer; null where one is not wanted.
template <class T>
void linear_backward(int threads, int64_t num_rows, int64_t num_columns, int64_t n, const int32_t* row_pointers,
                     const int32_t* columns, const int32_t* column_pointers, const int32_t* rows,
                     const int32_t* order, const T* values, const T* x, const T* gradient, T* by_x, T* by_values,
                     T* by_bias) {
  if (by_bias) row_sums<T>(threads, num_rows, n, gradient, by_bias);
  if (by_values && (!by_x || n == 0)) sddmm<T>(threads, num_rows, n, row_pointers, columns, gradient, x, by_values);
  if (!by_x) return;
  if (!by_values) {
    spmm<T>(threads, num_columns, n, column_pointers, rows, order, values, gradient, nullptr, by_x);
    return;
  }
  // one piece a thread: neighbours in a row of the values' gradient, which two threads would write to in turn, are in
  // columns far apart
  const int64_t kept = column_pointers[num_columns];
  if ((kept + num_columns) * n < 2 * kPiece) threads = 1;
  parallel(threads, threads, [&](int64_t piece) {
    int64_t from = share(column_pointers, num_columns, piece, threads);
    int64_t to = share(column_pointers, num_columns, piece + 1, threads);
    for_runs<T>(n, Backward<T>{column_pointers, rows, order, values, x, gradient, by_x, by_values, n, from, to});
  });
}

// Rows of a square of L vectors become its columns, in log2(L) rounds that exchange blocks of half the size.
template <class T, int Half, int... I>
INLINE void exchange(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  const Vec<T> low = __builtin_shufflevector(a, b, (I & Half ? L + (I ^ Half) : I)...);
  b = __builtin_shufflevector(a, b, (I & Half ? L + I : I | Half)...);
  a = low;
}
template <class T, int Half = kLanes<T> / 2>
INLINE void transpose_square(Vec<T>* rows) {
  constexpr int L = kLanes<T>;
  UNROLL for (int i = 0; i < L; ++i) {
    if (!(i & Half)) exchange<T, Half>(rows[i], rows[i + Half], std::make_integer_sequence<int, L>{});
  }
  if constexpr (Half > 1) transpose_square<T, Half / 2>(rows);
}

// target [columns, rows] = source [rows, columns] transposed, square by square.
template <class T>
void transpose(int threads, int64_t rows, int64_t columns, const T* source, T* target) {
  constexpr int64_t L = kLanes<T>;
  const int64_t strips = (columns + L - 1) / L;
  parallel(rows * columns < 2 * kPiece ? 1 : threads, strips, [&](int64_t strip) {
    const int64_t left = strip * L, width = left + L <= columns ? L : columns - left;
    for (int64_t top = 0; top < rows; top += L) {
      const int64_t height = top + L <= rows ? L : rows - top;
      Vec<T> square[L];
      UNROLL for (int i = 0; i < L; ++i) {
        const T* row = source + (top + i) * columns + left;
        square[i] = i >= height ? Vec<T>{} : width == L ? load(row) : load_first(row, int(width));
      }
      transpose_square<T>(square);
      UNROLL for (int i = 0; i < L; ++i) {
        T* row = target + (left + i) * rows + top;
        if (i < width) {
          if (height == L)
            store(row, square[i]);
          else
            store_first(row, square[i], int(height));
        }
      }
    }
  });
}

}  // namespace THRESHER_ISA
}  // namespace thresher
