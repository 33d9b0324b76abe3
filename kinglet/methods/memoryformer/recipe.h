// MemoryFormers in recipes of `kinglet train`.
#pragma once

#include "kinglet/train/language_recipe.h"

namespace kinglet {

// The table [model] with kind = "memoryformer" (docs/memoryformer.md has the keys): a new model, or one that is trained
// on, `from` a folder.
ModelFactory read_memoryformer(RecipeTable& model);

}  // namespace kinglet
