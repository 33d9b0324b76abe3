// What a recipe of `kinglet distill` says (docs/mgsr.md has the keys). A method is a set of defaults; every key can say
// otherwise, so that methods can be mixed and taken apart.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kinglet/methods/mgsr/distillation.h"
#include "kinglet/methods/mgsr/instruction_data.h"
#include "kinglet/models/decoder/model_folder.h"
#include "kinglet/train/language_recipe.h"

namespace kinglet::mgsr {

// "sft", "kd", "seqkd", "imitkd", "gkd", "minillm", "distillm", "mgsr"
const std::vector<std::string>& method_names();

struct DistillRecipe : CourseRecipe {
  std::string name, method;
  std::uint64_t seed = 1;

  std::filesystem::path teacher;  // a folder; empty: none
  WeightType teacher_type = WeightType::kFloat32;
  std::filesystem::path cache;  // of the teacher's logits; empty: none
  std::int64_t cache_top_k = 0;

  std::filesystem::path student;  // a folder, or empty: a new model of `model`
  ModelFactory model;
  std::filesystem::path tokenizer;  // a folder; empty: the student's, or the teacher's

  std::vector<std::filesystem::path> train, validation;
  std::string chat = "auto";  // auto, template, plain
  ReadingSettings reading;

  DistillationSettings distillation;  // without what follows from tokenizer and course
  std::int64_t answers = 0;           // validation questions that are answered and scored at the end
};

// Raises Error (bad input) with the place of the first thing that is wrong. Call reader.finish() afterwards.
DistillRecipe read_distill_recipe(RecipeReader& reader, const RecipeKinds& kinds, const std::string& default_name);

}  // namespace kinglet::mgsr
