#define THRESHER_ISA avx2
#include "kernels.inc"
