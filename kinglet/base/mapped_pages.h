// Pages of a mapped file (files.h): advice to the kernel about parts of a mapping, and how much of them is in memory.
#pragma once

#include "kinglet/base/files.h"

namespace kinglet {

// `part` lies in a mapping; the pages that it begins and ends in are meant as a whole.

// Pages are read one by one when they are touched, and none beside them.
void advise_random(ByteView part);
// Reads what is not in memory and maps all of it, so that no later touch waits. Where the kernel cannot (before Linux
// 5.14) it only begins to read.
void bring_in(ByteView part);
// The part of the pages that are in memory now, 0 .. 1; of nothing 1. The kernel says 1 of files that this process may
// neither write nor own.
double resident_fraction(ByteView part);

}  // namespace kinglet
