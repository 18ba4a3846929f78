// The kernels of one instruction set, as a table: what module.cpp calls.
#pragma once

#include <cstdint>

namespace thresher {

// A convolution of x [channels, height, width, n] to y [filters, out_height, out_width, n].
// Its functions are inlined everywhere: a copy of their own could be one that another instruction set compiled.
struct Convolution {
  int64_t n, channels, height, width, filters;
  int64_t kernel_height, kernel_width, stride_height, stride_width, padding_height, padding_width;
  int64_t dilation_height, dilation_width, groups;
  __attribute__((always_inline)) int64_t out_height() const {
    return (height + 2 * padding_height - dilation_height * (kernel_height - 1) - 1) / stride_height + 1;
  }
  __attribute__((always_inline)) int64_t out_width() const {
    return (width + 2 * padding_width - dilation_width * (kernel_width - 1) - 1) / stride_width + 1;
  }
};

// A sparse matrix as in ops/topology.py, by row and by column, and its values in the order by row.
template <class T>
struct SparseMatrix {
  const int32_t *row_pointers, *columns, *column_pointers, *rows, *order;
  const T* values;
};

// A [steps, n, features] tensor anywhere in memory; no data where there is none.
template <class T>
struct Strided {
  T* data;
  int64_t step, example, feature;
};

// An LSTM or GRU over a sequence; what forward writes into the last three, backward reads.
template <class T>
struct Recurrence {
  bool gru;
  int64_t steps, n, inputs, hidden;
  int64_t width;  // examples in a slice: 16, 32 or 64
  SparseMatrix<T> input, recurrent;
  const T* bias;  // of the four sums of each unit
  Strided<const T> x, h0, c0;
  Strided<T> y, last_memory;
  T* kept;  // [slices, steps, hidden, 5 or (gru) 4, width], or null if nothing is to be differentiated
};

// Of the results, given; of the arguments, wanted.
template <class T>
struct RecurrenceGradients {
  Strided<const T> each_h, last_h, last_memory;
  Strided<T> by_x, by_h0, by_c0;
  T *by_input, *by_recurrent, *by_bias;
};

template <class T>
struct Kernels {
  void (*spmm)(int threads, int64_t num_rows, int64_t n, const int32_t* pointers, const int32_t* columns,
               const int32_t* order, const T* values, const T* x, const T* bias, T* y);
  void (*sddmm)(int threads, int64_t num_rows, int64_t n, const int32_t* pointers, const int32_t* columns,
                const T* y, const T* x, T* result);
  void (*linear_backward)(int threads, int64_t num_rows, int64_t num_columns, int64_t n,
                          const int32_t* row_pointers, const int32_t* columns, const int32_t* column_pointers,
                          const int32_t* rows, const int32_t* order, const T* values, const T* x, const T* gradient,
                          T* by_x, T* by_values, T* by_bias);
  void (*transpose)(int threads, int64_t rows, int64_t columns, const T* source, T* target);
  void (*conv2d)(int threads, const Convolution& shape, const int32_t* pointers, const int32_t* columns,
                 const T* values, const T* x, const T* bias, T* y);
  void (*conv2d_backward)(int threads, const Convolution& shape, const int32_t* pointers, const int32_t* columns,
                          const T* values, const T* x, const T* gradient, T* by_x, T* by_values, T* by_bias);
  void (*batch_norm)(int threads, int64_t channels, int64_t length, double epsilon, const T* x, const T* weight,
                     const T* bias, T* mean, T* variance, T* y);
  void (*batch_norm_backward)(int threads, int64_t channels, int64_t length, double epsilon, const T* gradient,
                              const T* x, const T* weight, const T* mean, const T* variance, T* by_x, T* by_weight,
                              T* by_bias);
  void (*recurrence)(int threads, const Recurrence<T>& shape);
  void (*recurrence_backward)(int threads, const Recurrence<T>& shape, const RecurrenceGradients<T>& gradients);
  void (*zero_removed)(int threads, int64_t n, const uint64_t* words, int64_t num_targets, T* const* targets);
  void (*restore_removed)(int threads, int64_t n, const uint64_t* words, T* target, const T* source);
  void (*write_kept)(int threads, int64_t n, const uint64_t* words, T* target, const T* source);
  void (*conv2d_example_norms)(int threads, const Convolution& shape, const int32_t* pointers,
                               const int32_t* columns, const T* x, const T* gradient, T* norms);
};

struct InstructionSet {
  const char* name;
  bool (*here)();  // whether this machine has it
  const Kernels<float>* single;
  const Kernels<double>* twice;
};

}  // namespace thresher
