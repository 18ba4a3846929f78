// Products of a sparse matrix with matrices whose rows are contiguous: every kept entry is a multiply-add of rows.
#pragma once

#include "parallel.h"
#include "simd.h"

namespace thresher {
namespace THRESHER_ISA {

// Vectors of a row that are worked on at once. All partial sums and, backward, as many inputs stay in registers.
constexpr int kRun = kRegisters / 4;

// Rows are handed out in pieces of about this many multiply-adds; a whole product below it stays on one thread.
constexpr int64_t kPiece = 1 << 15;

struct Pieces {
  int64_t rows, count;
  int threads;
  Pieces(int threads_, int64_t num_rows, int64_t kept, int64_t n) {
    int64_t work = kept * n + num_rows * n;
    threads = work < 2 * kPiece ? 1 : threads_;
    int64_t wanted = work / kPiece + 1;
    if (wanted > 64) wanted = 64;
    if (wanted > num_rows) wanted = num_rows ? num_rows : 1;
    rows = (num_rows + wanted - 1) / wanted;
    count = rows ? (num_rows + rows - 1) / rows : 0;
  }
};

// y[row] = bias[row] + Σ values[k]·x[columns[k]] over P vectors, the last of them with `last` numbers if Partial.
template <class T, int P, bool Partial, bool Ordered>
INLINE void row_product(const int32_t* columns, const int32_t* order, const T* values, int64_t begin, int64_t end,
                        const T* x, int64_t n, T start, T* y, int last) {
  constexpr int L = kLanes<T>;
  Vec<T> total[P];
  UNROLL for (int p = 0; p < P; ++p) total[p] = broadcast(start);
  for (int64_t k = begin; k < end; ++k) {
    const T* from = settle(x + int64_t(columns[k]) * n);
    Vec<T> value = broadcast(Ordered ? values[order[k]] : values[k]);
    UNROLL for (int p = 0; p < P; ++p) {
      total[p] += value * (Partial && p == P - 1 ? load_first(from + p * L, last) : load(from + p * L));
    }
  }
  UNROLL for (int p = 0; p < P; ++p) {
    if (Partial && p == P - 1)
      store_first(y + p * L, total[p], last);
    else
      store(y + p * L, total[p]);
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

template <class T>
struct Product {
  const int32_t *pointers, *columns, *order;
  const T *values, *x, *bias;
  T* y;
  int64_t n, from, to;
  template <int P, bool Partial>
  INLINE void run(int64_t first, int last) const {
    for (int64_t row = from; row < to; ++row) {
      T start = bias ? bias[row] : T(0);
      if (order)
        row_product<T, P, Partial, true>(columns, order, values, pointers[row], pointers[row + 1], x + first, n,
                                         start, y + row * n + first, last);
      else
        row_product<T, P, Partial, false>(columns, order, values, pointers[row], pointers[row + 1], x + first, n,
                                          start, y + row * n + first, last);
    }
  }
};

// y = S·x (+ bias), [rows, n]. With `order` the values are taken from there: S given by columns is then Sᵀ by rows.
template <class T>
void spmm(int threads, int64_t num_rows, int64_t n, const int32_t* pointers, const int32_t* columns,
          const int32_t* order, const T* values, const T* x, const T* bias, T* y) {
  Pieces pieces(threads, num_rows, pointers[num_rows], n);
  parallel(pieces.threads, pieces.count, [&](int64_t piece) {
    int64_t from = piece * pieces.rows, to = from + pieces.rows < num_rows ? from + pieces.rows : num_rows;
    for_runs<T>(n, Product<T>{pointers, columns, order, values, x, bias, y, n, from, to});
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
