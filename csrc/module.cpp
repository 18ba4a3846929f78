// thresher._kernels: the kernels as Python functions of numbers and addresses. The checks are on the Python side.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstring>
#include <initializer_list>
#include <vector>

#include "kernels.h"

namespace thresher {

#define DECLARE(set)                           \
  namespace set {                              \
  extern const Kernels<float> kernels_float;   \
  extern const Kernels<double> kernels_double; \
  }
#if defined(__x86_64__)
DECLARE(avx512)
DECLARE(avx2)
#endif
DECLARE(portable)

// best first
static const InstructionSet kSets[] = {
#if defined(__x86_64__)
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
              __builtin_cpu_supports("fma");
     },
     &avx512::kernels_float, &avx512::kernels_double},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }, &avx2::kernels_float,
     &avx2::kernels_double},
#endif
    {"portable", [] { return true; }, &portable::kernels_float, &portable::kernels_double},
};
static const InstructionSet* chosen = nullptr;

template <class T>
const Kernels<T>& kernels();
template <>
const Kernels<float>& kernels<float>() {
  return *chosen->single;
}
template <>
const Kernels<double>& kernels<double>() {
  return *chosen->twice;
}

// The arguments of a call, all whole numbers, read in order.
class Arguments {
 public:
  Arguments(PyObject* const* objects, Py_ssize_t count) : objects_(objects), count_(count) {}
  int64_t number() {
    if (next_ >= count_) {
      missing_ = true;
      return 0;
    }
    return PyLong_AsLongLong(objects_[next_++]);
  }
  int integer() { return int(number()); }
  double real() {
    if (next_ >= count_) {
      missing_ = true;
      return 0;
    }
    return PyFloat_AsDouble(objects_[next_++]);
  }
  Py_ssize_t left() const { return count_ - next_; }
  template <class P>
  P* address() {
    return reinterpret_cast<P*>(intptr_t(number()));
  }
  template <class T>
  Strided<T> strided() {
    T* data = address<T>();
    int64_t step = number(), example = number();
    return {data, step, example, number()};
  }
  Convolution convolution() {
    Convolution c;
    for (int64_t* field :
         {&c.n, &c.channels, &c.height, &c.width, &c.filters, &c.kernel_height, &c.kernel_width, &c.stride_height,
          &c.stride_width, &c.padding_height, &c.padding_width, &c.dilation_height, &c.dilation_width, &c.groups})
      *field = number();
    return c;
  }
  bool complete() {
    if (PyErr_Occurred()) return false;
    if (missing_ || next_ != count_) {
      PyErr_Format(PyExc_TypeError, "%zd arguments, not the %zd given", next_ + missing_, count_);
      return false;
    }
    return true;
  }

 private:
  PyObject* const* objects_;
  Py_ssize_t count_, next_ = 0;
  bool missing_ = false;
};

// A Python function of (bytes in a number: 4 or 8, threads, …): Call reads the rest and returns what to run.
template <template <class> class Call>
PyObject* function(PyObject*, PyObject* const* objects, Py_ssize_t count) {
  Arguments arguments(objects, count);
  int width = arguments.integer(), threads = arguments.integer();
  if (width == 4) {
    Call<float> call(arguments);
    if (!arguments.complete()) return nullptr;
    Py_BEGIN_ALLOW_THREADS call.run(threads);
    Py_END_ALLOW_THREADS
  } else {
    Call<double> call(arguments);
    if (!arguments.complete()) return nullptr;
    Py_BEGIN_ALLOW_THREADS call.run(threads);
    Py_END_ALLOW_THREADS
  }
  Py_RETURN_NONE;
}

template <class T>
struct Spmm {
  int64_t rows, n;
  const int32_t *pointers, *columns, *order;
  const T *values, *x, *bias;
  T* y;
  explicit Spmm(Arguments& a)
      : rows(a.number()), n(a.number()), pointers(a.address<int32_t>()), columns(a.address<int32_t>()),
        order(a.address<int32_t>()), values(a.address<T>()), x(a.address<T>()), bias(a.address<T>()),
        y(a.address<T>()) {}
  void run(int threads) const {
    kernels<T>().spmm(threads, rows, n, pointers, columns, order, values, x, bias, y);
  }
};

template <class T>
struct Sddmm {
  int64_t rows, n;
  const int32_t *pointers, *columns;
  const T *y, *x;
  T* result;
  explicit Sddmm(Arguments& a)
      : rows(a.number()), n(a.number()), pointers(a.address<int32_t>()), columns(a.address<int32_t>()),
        y(a.address<T>()), x(a.address<T>()), result(a.address<T>()) {}
  void run(int threads) const { kernels<T>().sddmm(threads, rows, n, pointers, columns, y, x, result); }
};

template <class T>
struct LinearBackward {
  int64_t num_rows, num_columns, n;
  const int32_t *row_pointers, *columns, *column_pointers, *rows, *order;
  const T *values, *x, *gradient;
  T *by_x, *by_values, *by_bias;
  explicit LinearBackward(Arguments& a)
      : num_rows(a.number()), num_columns(a.number()), n(a.number()), row_pointers(a.address<int32_t>()),
        columns(a.address<int32_t>()), column_pointers(a.address<int32_t>()), rows(a.address<int32_t>()),
        order(a.address<int32_t>()), values(a.address<T>()), x(a.address<T>()), gradient(a.address<T>()),
        by_x(a.address<T>()), by_values(a.address<T>()), by_bias(a.address<T>()) {}
  void run(int threads) const {
    kernels<T>().linear_backward(threads, num_rows, num_columns, n, row_pointers, columns, column_pointers, rows,
                                 order, values, x, gradient, by_x, by_values, by_bias);
  }
};

template <class T>
struct Transpose {
  int64_t rows, columns;
  const T* source;
  T* target;
  explicit Transpose(Arguments& a)
      : rows(a.number()), columns(a.number()), source(a.address<T>()), target(a.address<T>()) {}
  void run(int threads) const { kernels<T>().transpose(threads, rows, columns, source, target); }
};

template <class T>
struct Conv2d {
  Convolution shape;
  const int32_t *pointers, *columns;
  const T *values, *x, *bias;
  T* y;
  explicit Conv2d(Arguments& a)
      : shape(a.convolution()), pointers(a.address<int32_t>()), columns(a.address<int32_t>()),
        values(a.address<T>()), x(a.address<T>()), bias(a.address<T>()), y(a.address<T>()) {}
  void run(int threads) const { kernels<T>().conv2d(threads, shape, pointers, columns, values, x, bias, y); }
};

template <class T>
struct Conv2dBackward {
  Convolution shape;
  const int32_t *pointers, *columns;
  const T *values, *x, *gradient;
  T *by_x, *by_values, *by_bias;
  explicit Conv2dBackward(Arguments& a)
      : shape(a.convolution()), pointers(a.address<int32_t>()), columns(a.address<int32_t>()),
        values(a.address<T>()), x(a.address<T>()), gradient(a.address<T>()), by_x(a.address<T>()),
        by_values(a.address<T>()), by_bias(a.address<T>()) {}
  void run(int threads) const {
    kernels<T>().conv2d_backward(threads, shape, pointers, columns, values, x, gradient, by_x, by_values, by_bias);
  }
};

template <class T>
struct Recurrent {
  Recurrence<T> shape;
  explicit Recurrent(Arguments& a) {
    shape.gru = a.number();
    for (int64_t* field : {&shape.steps, &shape.n, &shape.inputs, &shape.hidden, &shape.width}) *field = a.number();
    for (SparseMatrix<T>* matrix : {&shape.input, &shape.recurrent}) {
      for (const int32_t** field :
           {&matrix->row_pointers, &matrix->columns, &matrix->column_pointers, &matrix->rows, &matrix->order})
        *field = a.address<int32_t>();
      matrix->values = a.address<T>();
    }
    shape.bias = a.address<T>();
    for (Strided<const T>* tensor : {&shape.x, &shape.h0, &shape.c0}) *tensor = a.strided<const T>();
    for (Strided<T>* tensor : {&shape.y, &shape.last_memory}) *tensor = a.strided<T>();
    shape.kept = a.address<T>();
  }
  void run(int threads) const { kernels<T>().recurrence(threads, shape); }
};

template <class T>
struct RecurrentBackward {
  Recurrent<T> forward;
  RecurrenceGradients<T> gradients;
  explicit RecurrentBackward(Arguments& a) : forward(a) {
    RecurrenceGradients<T>& g = gradients;
    for (Strided<const T>* tensor : {&g.each_h, &g.last_h, &g.last_memory}) *tensor = a.strided<const T>();
    for (Strided<T>* tensor : {&g.by_x, &g.by_h0, &g.by_c0}) *tensor = a.strided<T>();
    for (T** field : {&g.by_input, &g.by_recurrent, &g.by_bias}) *field = a.address<T>();
  }
  void run(int threads) const { kernels<T>().recurrence_backward(threads, forward.shape, gradients); }
};

template <class T>
struct ZeroRemoved {
  int64_t n;
  const uint64_t* words;
  std::vector<T*> targets;  // as many as there are arguments left
  explicit ZeroRemoved(Arguments& a) : n(a.number()), words(a.address<uint64_t>()) {
    while (a.left()) targets.push_back(a.address<T>());
  }
  void run(int threads) const { kernels<T>().zero_removed(threads, n, words, int64_t(targets.size()), targets.data()); }
};

template <class T>
struct RestoreRemoved {
  int64_t n;
  const uint64_t* words;
  T* target;
  const T* source;
  explicit RestoreRemoved(Arguments& a)
      : n(a.number()), words(a.address<uint64_t>()), target(a.address<T>()), source(a.address<T>()) {}
  void run(int threads) const { kernels<T>().restore_removed(threads, n, words, target, source); }
};

template <class T>
struct WriteKept {
  int64_t n;
  const uint64_t* words;
  T* target;
  const T* source;
  explicit WriteKept(Arguments& a)
      : n(a.number()), words(a.address<uint64_t>()), target(a.address<T>()), source(a.address<T>()) {}
  void run(int threads) const { kernels<T>().write_kept(threads, n, words, target, source); }
};

template <class T>
struct Conv2dExampleNorms {
  Convolution shape;
  const int32_t *pointers, *columns;
  const T *x, *gradient;
  T* norms;
  explicit Conv2dExampleNorms(Arguments& a)
      : shape(a.convolution()), pointers(a.address<int32_t>()), columns(a.address<int32_t>()), x(a.address<T>()),
        gradient(a.address<T>()), norms(a.address<T>()) {}
  void run(int threads) const {
    kernels<T>().conv2d_example_norms(threads, shape, pointers, columns, x, gradient, norms);
  }
};

template <class T>
struct BatchNorm {
  int64_t channels, length;
  double epsilon;
  const T *x, *weight, *bias;
  T *mean, *variance, *y;
  explicit BatchNorm(Arguments& a)
      : channels(a.number()), length(a.number()), epsilon(a.real()), x(a.address<T>()), weight(a.address<T>()),
        bias(a.address<T>()), mean(a.address<T>()), variance(a.address<T>()), y(a.address<T>()) {}
  void run(int threads) const {
    kernels<T>().batch_norm(threads, channels, length, epsilon, x, weight, bias, mean, variance, y);
  }
};

template <class T>
struct BatchNormBackward {
  int64_t channels, length;
  double epsilon;
  const T *gradient, *x, *weight, *mean, *variance;
  T *by_x, *by_weight, *by_bias;
  explicit BatchNormBackward(Arguments& a)
      : channels(a.number()), length(a.number()), epsilon(a.real()), gradient(a.address<T>()), x(a.address<T>()),
        weight(a.address<T>()), mean(a.address<T>()), variance(a.address<T>()), by_x(a.address<T>()),
        by_weight(a.address<T>()), by_bias(a.address<T>()) {}
  void run(int threads) const {
    kernels<T>().batch_norm_backward(threads, channels, length, epsilon, gradient, x, weight, mean, variance, by_x,
                                     by_weight, by_bias);
  }
};

static PyObject* available(PyObject*, PyObject*) {
  PyObject* names = PyList_New(0);
  for (const InstructionSet& set : kSets) {
    if (!set.here()) continue;
    PyObject* name = PyUnicode_FromString(set.name);
    if (!name || PyList_Append(names, name) < 0) {
      Py_XDECREF(name);
      Py_DECREF(names);
      return nullptr;
    }
    Py_DECREF(name);
  }
  return names;
}

static PyObject* choose(PyObject*, PyObject* name) {
  const char* wanted = PyUnicode_AsUTF8(name);
  if (!wanted) return nullptr;
  for (const InstructionSet& set : kSets) {
    if (std::strcmp(set.name, wanted) == 0 && set.here()) {
      chosen = &set;
      Py_RETURN_TRUE;
    }
  }
  Py_RETURN_FALSE;
}

static PyObject* chosen_name(PyObject*, PyObject*) { return PyUnicode_FromString(chosen->name); }

#define FUNCTION(name, Call) \
  { name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function<Call>)), METH_FASTCALL, nullptr }

static PyMethodDef kMethods[] = {
    {"available", available, METH_NOARGS, "Names of the instruction sets this machine has, best first."},
    {"choose", choose, METH_O, "Use the named set from now on; False if this machine has it not."},
    {"chosen", chosen_name, METH_NOARGS, "Name of the set in use."},
    FUNCTION("spmm", Spmm),
    FUNCTION("sddmm", Sddmm),
    FUNCTION("linear_backward", LinearBackward),
    FUNCTION("transpose", Transpose),
    FUNCTION("conv2d", Conv2d),
    FUNCTION("conv2d_backward", Conv2dBackward),
    FUNCTION("batch_norm", BatchNorm),
    FUNCTION("batch_norm_backward", BatchNormBackward),
    FUNCTION("recurrence", Recurrent),
    FUNCTION("recurrence_backward", RecurrentBackward),
    FUNCTION("conv2d_example_norms", Conv2dExampleNorms),
    FUNCTION("zero_removed", ZeroRemoved),
    FUNCTION("restore_removed", RestoreRemoved),
    FUNCTION("write_kept", WriteKept),
    {nullptr, nullptr, 0, nullptr},
};

static PyModuleDef kModule = {PyModuleDef_HEAD_INIT, "_kernels", "Compiled kernels of sparse layers.", -1, kMethods,
                              nullptr, nullptr, nullptr, nullptr};

}  // namespace thresher

PyMODINIT_FUNC PyInit__kernels() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  for (const thresher::InstructionSet& set : thresher::kSets) {
    if (set.here()) {
      thresher::chosen = &set;
      break;
    }
  }
  return PyModule_Create(&thresher::kModule);
}
