// KINGLET_SCALAR_LOOPS: no vectorisation from here on; for the lowest level of a kernel file.
//
// The part of a kernel file between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE is compiled once an instruction set
// and is plain loops over raw pointers only: a template or inline function of the standard library instantiated
// there could end up in the program compiled for a processor that is not the user's. The lowest level is compiled
// without vectorisation: it is the scalar reference that the tests compare the others with.
//
// Included by kernel files only, after <hwy/highway.h>.
#pragma once

// clang-format off
#if defined(__GNUC__) && !defined(__clang__)
#define KINGLET_SCALAR_LOOPS _Pragma("GCC optimize(\"no-tree-loop-vectorize\", \"no-tree-slp-vectorize\")")
#else
#define KINGLET_SCALAR_LOOPS
#endif
// clang-format on
