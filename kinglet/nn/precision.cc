#include "kinglet/nn/precision.h"

namespace kinglet::nn {
namespace {

thread_local Precision current = Precision::kFloat32;

}  // namespace

Precision precision() { return current; }

PrecisionGuard::PrecisionGuard(Precision wanted) : before_(current) { current = wanted; }
PrecisionGuard::~PrecisionGuard() { current = before_; }

}  // namespace kinglet::nn
