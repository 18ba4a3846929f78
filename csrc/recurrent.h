// Whole sequences of an LSTM or GRU with sparse weights. Examples do not meet, so a slice of them runs through all the
// steps as one task, its states in the nearest caches, and no thread ever waits for another between steps.
#pragma once

#include <algorithm>
#include <type_traits>

#include "activation.h"
#include "kernels.h"
#include "matmul.h"

namespace thresher {
namespace THRESHER_ISA {

// The cells. A unit has four sums; the one of gate g stands at place g·hidden + unit, and so does its gradient. A sum
// is fed by a row of the input weights, by a row of the recurrent weights, or by both. `kept` is for backward.

// Input, forget, cell and output gate, and the memory that they give.
struct Lstm {
  static constexpr int kKept = 5;
  static constexpr bool kMemory = true;
  static constexpr bool has_input(int) { return true; }
  static constexpr bool has_recurrent(int) { return true; }
  static int64_t recurrent_row(int64_t place, int64_t) { return place; }
  static int64_t place(int64_t recurrent_row, int64_t) { return recurrent_row; }

  template <class T>
  static INLINE void forward(const Vec<T>* sums, Vec<T>& h, Vec<T>& memory, Vec<T>* kept) {
    Vec<T> input = logistic<T>(sums[0]), forget = logistic<T>(sums[1]), cell = tanh<T>(sums[2]);
    Vec<T> output = logistic<T>(sums[3]);
    memory = forget * memory + input * cell;
    h = output * tanh<T>(memory);
    kept[0] = input, kept[1] = forget, kept[2] = cell, kept[3] = output, kept[4] = memory;
  }
  // by_h and by_memory: gradients of what the step gave, changed to those of what it took, by way of this unit alone.
  // before: the memory that it took.
  template <class T>
  static INLINE void backward(const Vec<T>* kept, Vec<T> before, Vec<T>* by_sums, Vec<T>& by_h, Vec<T>& by_memory) {
    Vec<T> input = kept[0], forget = kept[1], cell = kept[2], output = kept[3], shown = tanh<T>(kept[4]);
    by_memory += by_h * output * (1 - shown * shown);
    by_sums[0] = by_memory * cell * input * (1 - input);
    by_sums[1] = by_memory * before * forget * (1 - forget);
    by_sums[2] = by_memory * input * (1 - cell * cell);
    by_sums[3] = by_h * shown * output * (1 - output);
    by_memory *= forget;
    by_h = Vec<T>{};
  }
};

// Reset and update gate, the input's part of the new state, and the recurrent part of it, which the reset gate scales.
struct Gru {
  static constexpr int kKept = 4;
  static constexpr bool kMemory = false;
  static constexpr bool has_input(int gate) { return gate < 3; }
  static constexpr bool has_recurrent(int gate) { return gate != 2; }
  static int64_t recurrent_row(int64_t place, int64_t hidden) { return place < 2 * hidden ? place : place - hidden; }
  static int64_t place(int64_t recurrent_row, int64_t hidden) {
    return recurrent_row < 2 * hidden ? recurrent_row : recurrent_row + hidden;
  }

  template <class T>
  static INLINE void forward(const Vec<T>* sums, Vec<T>& h, Vec<T>&, Vec<T>* kept) {
    Vec<T> reset = logistic<T>(sums[0]), update = logistic<T>(sums[1]), fresh = tanh<T>(sums[2] + reset * sums[3]);
    h = fresh + update * (h - fresh);
    kept[0] = reset, kept[1] = update, kept[2] = fresh, kept[3] = sums[3];
  }
  // before: the state that the step took
  template <class T>
  static INLINE void backward(const Vec<T>* kept, Vec<T> before, Vec<T>* by_sums, Vec<T>& by_h, Vec<T>&) {
    Vec<T> reset = kept[0], update = kept[1], fresh = kept[2], recurrent = kept[3];
    by_sums[1] = by_h * (before - fresh) * update * (1 - update);
    by_sums[2] = by_h * (1 - update) * (1 - fresh * fresh);
    by_sums[0] = by_sums[2] * recurrent * reset * (1 - reset);
    by_sums[3] = by_sums[2] * reset;
    by_h *= update;
  }
};

// The examples of one task: `count` of them from `first`, in rows of `width` numbers of which the others are 0.
struct Slice {
  int64_t index, first;
  int count, width;  // 16, 32 or 64, narrower than the other slices if the last one can be
  template <class T>
  Slice(const Recurrence<T>& r, int64_t index_)
      : index(index_), first(index * r.width), count(int(std::min(r.width, r.n - first))),
        width(count <= 16 ? 16 : count <= 32 ? 32 : 64) {}

  // rows [features, width] = (or, to Add, +=) one step of a tensor
  template <bool Add = false, class T>
  void take(const Strided<T>& tensor, int64_t step, int64_t features, std::remove_const_t<T>* rows) const {
    if (!Add && count < width) std::fill(rows, rows + features * width, T(0));
    const T* from = tensor.data + step * tensor.step + first * tensor.example;
    if (tensor.example == 1) {
      for (int64_t f = 0; f < features; ++f)
        for (int i = 0; i < count; ++i)
          rows[f * width + i] = (Add ? rows[f * width + i] : T(0)) + from[f * tensor.feature + i];
    } else {
      for (int i = 0; i < count; ++i)
        for (int64_t f = 0; f < features; ++f)
          rows[f * width + i] =
              (Add ? rows[f * width + i] : T(0)) + from[f * tensor.feature + i * tensor.example];
    }
  }
  template <class T>
  void give(const T* rows, int64_t step, int64_t features, const Strided<T>& tensor) const {
    T* to = tensor.data + step * tensor.step + first * tensor.example;
    if (tensor.example == 1) {
      for (int64_t f = 0; f < features; ++f)
        std::memcpy(to + f * tensor.feature, rows + f * width, size_t(count) * sizeof(T));
    } else {
      for (int i = 0; i < count; ++i)
        for (int64_t f = 0; f < features; ++f) to[f * tensor.feature + i * tensor.example] = rows[f * width + i];
    }
  }
};

// total += Σ values·x[columns] over the entries of a row
template <class T, int P>
INLINE void add_products(const SparseMatrix<T>& matrix, int64_t row, const T* x, int width, Vec<T>* total) {
  for (int32_t k = matrix.row_pointers[row]; k < matrix.row_pointers[row + 1]; ++k) {
    const T* from = x + int64_t(matrix.columns[k]) * width;
    Vec<T> value = broadcast(matrix.values[k]);
    UNROLL for (int p = 0; p < P; ++p) total[p] += value * load(from + p * kLanes<T>);
  }
}

template <class T, class Cell, int P>
void forward_slice(const Recurrence<T>& r, const Slice& slice) {
  constexpr int L = kLanes<T>;
  const int64_t hidden = r.hidden;
  const int width = slice.width;
  T* x = static_cast<T*>(scratch<0>(size_t(r.inputs + 3 * hidden) * width * sizeof(T)));
  T *h = x + r.inputs * width, *next = h + hidden * width, *memory = next + hidden * width;
  slice.take(r.h0, 0, hidden, h);
  if (Cell::kMemory) slice.take(r.c0, 0, hidden, memory);
  T* kept = r.kept ? r.kept + slice.index * r.steps * hidden * Cell::kKept * r.width : nullptr;
  for (int64_t step = 0; step < r.steps; ++step) {
    slice.take(r.x, step, r.inputs, x);
    for (int64_t unit = 0; unit < hidden; ++unit) {
      for (int at = 0; at < width; at += P * L) {
        Vec<T> sums[4][P];
        for (int gate = 0; gate < 4; ++gate) {
          const int64_t place = gate * hidden + unit;
          Vec<T> total[P];
          UNROLL for (int p = 0; p < P; ++p) total[p] = broadcast(r.bias ? r.bias[place] : T(0));
          if (Cell::has_input(gate)) add_products<T, P>(r.input, place, x + at, width, total);
          if (Cell::has_recurrent(gate))
            add_products<T, P>(r.recurrent, Cell::recurrent_row(place, hidden), h + at, width, total);
          UNROLL for (int p = 0; p < P; ++p) sums[gate][p] = total[p];
        }
        for (int p = 0; p < P; ++p) {
          const int64_t own = unit * width + at + p * L;
          Vec<T> four[4] = {sums[0][p], sums[1][p], sums[2][p], sums[3][p]}, keep[Cell::kKept];
          Vec<T> state = load(h + own), cell = Cell::kMemory ? load(memory + own) : Vec<T>{};
          Cell::template forward<T>(four, state, cell, keep);
          store(next + own, state);
          if (Cell::kMemory) store(memory + own, cell);
          if (kept)
            for (int i = 0; i < Cell::kKept; ++i) store(kept + i * width + at + p * L, keep[i]);
        }
      }
      if (kept) kept += Cell::kKept * width;
    }
    std::swap(h, next);
    slice.give(h, step, hidden, r.y);
  }
  if (Cell::kMemory) slice.give(memory, 0, hidden, r.last_memory);
}

// A single example, for which nothing is kept: lanes are entries in the products and units in the cells.
template <class T, class Cell>
void forward_one(const Recurrence<T>& r) {
  constexpr int L = kLanes<T>;
  const int64_t hidden = r.hidden, room = (hidden + L - 1) / L * L;
  Slice slice(r, 0);
  slice.width = 1;
  T* h = static_cast<T*>(scratch<0>(size_t(3 * room + r.inputs) * sizeof(T)));
  T *next = h + room, *memory = next + room, *x = memory + room;
  slice.take(r.h0, 0, hidden, h);
  if (Cell::kMemory) slice.take(r.c0, 0, hidden, memory);
  for (int64_t step = 0; step < r.steps; ++step) {
    slice.take(r.x, step, r.inputs, x);
    for (int64_t unit = 0; unit < hidden; unit += L) {
      const int num = int(std::min<int64_t>(L, hidden - unit));
      Vec<T> sums[4], keep[Cell::kKept];
      for (int gate = 0; gate < 4; ++gate) {
        const int64_t place = gate * hidden + unit;
        Vec<T> totals[L] = {};
        auto add = [&](const SparseMatrix<T>& matrix, int64_t row, const T* to) {
          const int32_t* pointers = matrix.row_pointers + row;
          for (int i = 0; i < num; ++i)
            totals[i] += dot(matrix.columns, nullptr, matrix.values, pointers[i], pointers[i + 1], to);
        };
        if (Cell::has_input(gate)) add(r.input, place, x);
        if (Cell::has_recurrent(gate)) add(r.recurrent, Cell::recurrent_row(place, hidden), h);
        sums[gate] = fold<T>(totals);
        if (r.bias) sums[gate] += load_first(r.bias + place, num);
      }
      Vec<T> state = load_first(h + unit, num), cell = Cell::kMemory ? load_first(memory + unit, num) : Vec<T>{};
      Cell::template forward<T>(sums, state, cell, keep);
      store(next + unit, state);
      if (Cell::kMemory) store(memory + unit, cell);
    }
    std::swap(h, next);
    slice.give(h, step, hidden, r.y);
  }
  if (Cell::kMemory) slice.give(memory, 0, hidden, r.last_memory);
}

// By column: its x and the sum for its gradient stay in registers, and each row of the sums' gradients that is read
// serves two multiply-adds. `values` and `by_values`, which is added to, are in the order by column, and so is by_x.
template <class T, int P, class Place>
void columns_backward(const SparseMatrix<T>& matrix, int64_t num_columns, const T* values, Place place, const T* x,
                      const T* by_sums, int width, T* by_x, T* by_values) {
  constexpr int L = kLanes<T>;
  for (int at = 0; at < width; at += P * L) {
    Sums<T, false> sums;
    sums.result = by_values;
    sums.fresh = false;
    for (int64_t column = 0; column < num_columns; ++column) {
      Vec<T> held[P], total[P];
      const int64_t own = column * width + at;
      UNROLL for (int p = 0; p < P; ++p) {
        held[p] = load(x + own + p * L);
        total[p] = load(by_x + own + p * L);
      }
      for (int32_t k = matrix.column_pointers[column]; k < matrix.column_pointers[column + 1]; ++k) {
        const T* from = by_sums + place(matrix.rows[k]) * width + at;
        Vec<T> value = broadcast(values[k]), even{}, odd{};
        UNROLL for (int p = 0; p < P; ++p) {
          Vec<T> g = load(from + p * L);
          total[p] += value * g;
          if (p % 2)
            odd += held[p] * g;
          else
            even += held[p] * g;
        }
        sums.put(k, even + odd);
      }
      UNROLL for (int p = 0; p < P; ++p) store(by_x + own + p * L, total[p]);
    }
    sums.finish(matrix.column_pointers[num_columns]);
  }
}

// What a task sums the gradients of the parameters in: the entries by column, a vector for each of the four biases.
template <class T>
struct Gathered {
  T *input, *recurrent, *bias;
  Gathered(const Recurrence<T>& r, T* memory)
      : input(memory), recurrent(input + kept_input(r)), bias(recurrent + kept_recurrent(r)) {}
  static int64_t kept_input(const Recurrence<T>& r) { return r.input.column_pointers[r.inputs]; }
  static int64_t kept_recurrent(const Recurrence<T>& r) { return r.recurrent.column_pointers[r.hidden]; }
  static int64_t size(const Recurrence<T>& r) {
    return kept_input(r) + kept_recurrent(r) + 4 * r.hidden * kLanes<T>;
  }
};

template <class T, class Cell, int P>
void backward_slice(const Recurrence<T>& r, const RecurrenceGradients<T>& g, const Slice& slice,
                    const Gathered<T>& values, const Gathered<T>& gathered) {
  constexpr int L = kLanes<T>;
  const int64_t hidden = r.hidden, inputs = r.inputs;
  const int width = slice.width;
  const int64_t rows = hidden * width;
  T* x = static_cast<T*>(scratch<0>(size_t(2 * inputs + 8 * hidden) * width * sizeof(T)));
  T *by_x = x + inputs * width, *h = by_x + inputs * width, *memory0 = h + rows;
  T *by_h = memory0 + rows, *by_memory = by_h + rows, *by_sums = by_memory + rows;
  std::fill(by_h, by_sums, T(0));
  if (g.last_h.data) slice.template take<true>(g.last_h, 0, hidden, by_h);
  if (g.last_memory.data) slice.template take<true>(g.last_memory, 0, hidden, by_memory);
  if (Cell::kMemory) slice.take(r.c0, 0, hidden, memory0);
  const Strided<const T> y{r.y.data, r.y.step, r.y.example, r.y.feature};
  for (int64_t step = r.steps; step-- > 0;) {
    slice.take(r.x, step, inputs, x);
    slice.take(step ? y : r.h0, step ? step - 1 : 0, hidden, h);
    if (g.each_h.data) slice.template take<true>(g.each_h, step, hidden, by_h);
    const T* kept = r.kept + (slice.index * r.steps * hidden * r.width + step * rows) * Cell::kKept;
    const T* before = !Cell::kMemory ? h : step ? kept - (rows * Cell::kKept) + (Cell::kKept - 1) * width : memory0;
    const int64_t pitch = Cell::kMemory && step ? Cell::kKept * width : width;
    for (int64_t unit = 0; unit < hidden; ++unit) {
      Vec<T> total[4] = {};
      for (int at = 0; at < width; at += L) {
        const int64_t own = unit * width + at;
        Vec<T> keep[Cell::kKept], four[4], state = load(by_h + own), cell = load(by_memory + own);
        for (int i = 0; i < Cell::kKept; ++i) keep[i] = load(kept + (unit * Cell::kKept + i) * width + at);
        Cell::template backward<T>(keep, load(before + unit * pitch + at), four, state, cell);
        store(by_h + own, state);
        store(by_memory + own, cell);
        for (int gate = 0; gate < 4; ++gate) {
          total[gate] += four[gate];
          store(by_sums + gate * rows + own, four[gate]);
        }
      }
      for (int gate = 0; gate < 4; ++gate) {
        T* bias = gathered.bias + (gate * hidden + unit) * L;
        store(bias, load(bias) + total[gate]);
      }
    }
    columns_backward<T, P>(
        r.recurrent, hidden, values.recurrent, [hidden](int64_t row) { return Cell::place(row, hidden); }, h, by_sums,
        width, by_h, gathered.recurrent);
    std::fill(by_x, by_x + inputs * width, T(0));
    columns_backward<T, P>(
        r.input, inputs, values.input, [](int64_t row) { return row; }, x, by_sums, width, by_x, gathered.input);
    if (g.by_x.data) slice.give(by_x, step, inputs, g.by_x);
  }
  slice.give(by_h, 0, hidden, g.by_h0);
  if (Cell::kMemory) slice.give(by_memory, 0, hidden, g.by_c0);
}

// f(Cell, vectors worked on at once)
template <class T, class F>
void for_cell(bool gru, int width, F&& f) {
  auto with = [&](auto vectors) {
    if (gru)
      f(Gru{}, vectors);
    else
      f(Lstm{}, vectors);
  };
  switch (std::min(width / kLanes<T>, kRun)) {
    case 1: return with(std::integral_constant<int, 1>{});
    case 2: return with(std::integral_constant<int, 2>{});
    case 4: return with(std::integral_constant<int, 4>{});
    default: return with(std::integral_constant<int, kRun>{});
  }
}

template <class T>
int threads_for(int threads, const Recurrence<T>& r) {
  int64_t kept = r.input.row_pointers[(r.gru ? 3 : 4) * r.hidden] + Gathered<T>::kept_recurrent(r);
  return r.steps * r.n * (kept + 32 * r.hidden) < 2 * kPiece ? 1 : threads;
}

template <class T>
void recurrence(int threads, const Recurrence<T>& r) {
  if (r.n == 1 && !r.kept) return r.gru ? forward_one<T, Gru>(r) : forward_one<T, Lstm>(r);
  parallel(threads_for(threads, r), (r.n + r.width - 1) / r.width, [&](int64_t index) {
    const Slice slice(r, index);
    for_cell<T>(r.gru, slice.width, [&](auto cell, auto vectors) {
      forward_slice<T, decltype(cell), decltype(vectors)::value>(r, slice);
    });
  });
}

// A gradient of a parameter is summed in as many parts as there are slices, but in no more than this.
constexpr int64_t kParts = 64;

template <class T>
void recurrence_backward(int threads, const Recurrence<T>& r, const RecurrenceGradients<T>& g) {
  using Sum = Gathered<T>;
  const int64_t slices = (r.n + r.width - 1) / r.width, parts = std::min(slices, kParts), size = Sum::size(r);
  const int64_t kept_input = Sum::kept_input(r), kept_recurrent = Sum::kept_recurrent(r);
  T* memory = static_cast<T*>(scratch<1>(size_t(parts + 1) * size_t(size) * sizeof(T)));
  std::fill(memory, memory + (parts + 1) * size, T(0));
  const Sum values(r, memory + parts * size);
  for (int64_t k = 0; k < kept_input; ++k) values.input[k] = r.input.values[r.input.order[k]];
  for (int64_t k = 0; k < kept_recurrent; ++k) values.recurrent[k] = r.recurrent.values[r.recurrent.order[k]];
  parallel(threads_for(threads, r), parts, [&](int64_t part) {
    for (int64_t index = part; index < slices; index += parts) {
      const Slice slice(r, index);
      for_cell<T>(r.gru, slice.width, [&](auto cell, auto vectors) {
        backward_slice<T, decltype(cell), decltype(vectors)::value>(r, g, slice, values, Sum(r, memory + part * size));
      });
    }
  });
  Sum total(r, memory + parts * size);
  std::fill(total.input, total.input + size, T(0));
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t i = 0; i < size; ++i) total.input[i] += memory[part * size + i];
  for (int64_t k = 0; k < kept_input; ++k) g.by_input[r.input.order[k]] = total.input[k];
  for (int64_t k = 0; k < kept_recurrent; ++k) g.by_recurrent[r.recurrent.order[k]] = total.recurrent[k];
  for (int64_t place = 0; place < 4 * r.hidden; ++place)
    g.by_bias[place] = sum<T>(load(total.bias + place * kLanes<T>));
}

}  // namespace THRESHER_ISA
}  // namespace thresher
