#define THRESHER_ISA portable
#include "kernels.inc"
