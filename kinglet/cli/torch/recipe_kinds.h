// Every kind of model and of checkpoint that recipes of `kinglet train` and `kinglet distill` may name.
#pragma once

#include "kinglet/train/language_recipe.h"

namespace kinglet::cli {

// Models "decoder" and "memoryformer"; checkpoints "plain" and "excp".
RecipeKinds recipe_kinds();

}  // namespace kinglet::cli
