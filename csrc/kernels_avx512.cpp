#define THRESHER_ISA avx512
#include "kernels.inc"
