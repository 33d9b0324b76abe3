// MemoryFormers in recipes of `kinglet train`.
#pragma once

#include "kinglet/train/language_recipe.h"

namespace kinglet {

// The table [model] with kind = "memoryformer" (docs/memoryformer.md has the keys): a new model, one that is trained
// on (`from` a folder), or one that begins with the weights of a GPT-NeoX (`from_dense`, experimental).
ModelFactory read_memoryformer(RecipeTable& model);

}  // namespace kinglet
